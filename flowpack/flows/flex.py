"""Reads a flex flow from its file and the signature of its entry, without running it.

Refuses anything that keeps promptflow's server from starting. Errors name the place in the file or the source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flowpack.documents.yaml_documents import Document, Value
from flowpack.flows.entry import Entry, find_entry
from flowpack.flows.fields import (
    check_language,
    check_served,
    mapping_of,
    read_environment,
    read_includes,
    read_input,
    read_output,
    read_variables,
    refuse_variant,
)
from flowpack.flows.model import REQUIRED, Flow, FlowInput, FlowKind, FlowOutput, Include, MissingFile
from flowpack.flows.references import MissingFileError, with_files
from flowpack.flows.resolve import standalone_source
from flowpack.flows.signatures import EntrySignature, Parameter
from flowpack.flows.text_edits import standalone_text
from flowpack.flows.variants import VariantChoice

_INCLUDES = "additional_includes"
_ENTRY = re.compile(r"(?P<module>\w+(?:\.\w+)*):(?P<name>\w+)")


def read_flex_flow(document: Document, choice: VariantChoice | None) -> Flow:
    root = document.root.mapping()
    check_language(root)
    refuse_variant(FlowKind.FLEX, choice)
    includes = read_includes(root)
    for port in (*mapping_of(root, "inputs").values(), *mapping_of(root, "outputs").values()):
        check_served(port)
    module, name = _entry(root["entry"])
    entry = find_entry(document.path, root, module, name, includes)
    if entry:
        _check_stated(root, entry)
    missing = None
    try:
        sample = _sample(document, root, includes)
    except MissingFileError as error:
        sample, missing = None, MissingFile(error.path, root["sample"].location)
    return Flow(
        kind=FlowKind.FLEX,
        file=document.path,
        name=document.path.parent.name,
        inputs=_ports(root, "inputs", entry.signature.inputs if entry else None),
        outputs=_outputs(root, entry.signature if entry else None),
        nodes=(),
        environment=read_environment(root),
        environment_variables=read_variables(root),
        additional_includes=includes,
        text=_standalone_text(document, root, sample),
        entry=f"{module}:{name}",
        init=_ports(root, "init", entry.signature.init or {} if entry else None),
        sample=_mapping_in(root, sample or {}, "inputs"),
        sample_init=_mapping_in(root, sample or {}, "init"),
        missing_sample=missing,
    )


def _entry(value: Value) -> tuple[str, str]:
    text = value.string("module:function, or module:Class")
    match = _ENTRY.fullmatch(text)
    if match is None:
        hint = "write the module and the function's or class's name: flow:main, or package.module:Class"
        raise value.error(f"'{text}' is not a valid entry", hint)
    if match["module"].endswith(".py"):
        meant = match["module"].removesuffix(".py")
        raise value.error(f"'{match['module']}' is a file, not a module", f"did you mean '{meant}:{match['name']}'?")
    return match["module"], match["name"]


def _check_stated(root: Mapping[str, Value], entry: Entry) -> None:
    """promptflow does not build a flow with an input, or a field of its answer, that the code does not have."""
    known = {"inputs": entry.signature.inputs, "outputs": entry.signature.outputs, "init": entry.signature.init}
    for key, parameters in known.items():
        for name, port in mapping_of(root, key).items():
            if entry.is_certain and parameters is not None and name not in parameters:
                there = ", ".join(parameters) or "nothing"
                raise port.error(f"'{entry.name}' has no '{name}'", f"its source has: {there}")


def _ports(root: Mapping[str, Value], key: str, parameters: Mapping[str, Parameter] | None) -> dict[str, FlowInput]:
    """Types come from the file. An input's default comes only from the source: else the server requires the input."""
    stated = {name: read_input(name, value) for name, value in mapping_of(root, key).items()}
    if parameters is None:
        return stated
    ports = {}
    for name, parameter in parameters.items():
        port = stated.get(name) or FlowInput(name=name, type=parameter.types[0])
        keeps_its_own = key == "init" and port.default is not REQUIRED
        ports[name] = port if keeps_its_own else replace(port, default=parameter.default)
    return ports or stated


def _outputs(root: Mapping[str, Value], signature: EntrySignature | None) -> dict[str, FlowOutput]:
    stated = {name: read_output(name, value) for name, value in mapping_of(root, "outputs").items()}
    if stated or signature is None or signature.outputs is None:
        return stated
    return {name: FlowOutput(name=name, type=each.types[0]) for name, each in signature.outputs.items()}


def _sample(document: Document, root: Mapping[str, Value], includes: tuple[Include, ...]) -> Any:
    if "sample" not in root or root["sample"].is_null:
        return {}
    return with_files(root["sample"], lambda path: standalone_source(document.path.parent, includes, path))


def _mapping_in(root: Mapping[str, Value], sample: Any, key: str) -> dict[str, Any]:
    if not isinstance(sample, dict):
        hint = "write a mapping, or name a file with one: ${file:sample.json}"
        raise root["sample"].error("expected a mapping with inputs and init", hint)
    part = sample.get(key) or {}
    if not isinstance(part, dict):
        raise root["sample"].error(f"expected '{key}' to be a mapping")
    return part


def _standalone_text(document: Document, root: Mapping[str, Value], sample: Any) -> str:
    """Without includes, and with the content of a sample's files: promptflow 1.18.5's server stops at such a file.

    ``sample`` is None if its file is missing: the flow is served without one.
    """
    data = {key: value for key, value in document.root.data.items() if key != _INCLUDES}
    if "sample" not in root or root["sample"].is_null or root["sample"].data == sample:
        return standalone_text(document, without=(_INCLUDES,), expected=data)
    if sample is None:
        del data["sample"]
        return standalone_text(document, without=(_INCLUDES, "sample"), expected=data)
    added = {"sample": sample}
    return standalone_text(document, without=(_INCLUDES, "sample"), expected=data | added, added=added)
