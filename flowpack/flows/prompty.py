"""Reads a prompty: YAML front matter between lines of dashes, and the prompt template below it.

Refuses anything that keeps promptflow's server from starting or from answering any request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flowpack.documents.yaml_documents import Document, Value, read_text
from flowpack.errors import nearest
from flowpack.flows.connection_types import PROMPTY_TYPES
from flowpack.flows.fields import (
    check_served,
    mapping_of,
    read_environment,
    read_includes,
    read_input,
    read_output,
    read_variables,
    refuse_variant,
)
from flowpack.flows.front_matter import read_front_matter
from flowpack.flows.model import Flow, FlowKind, Include, MissingFile
from flowpack.flows.references import MissingFileError, read_data, with_files
from flowpack.flows.resolve import standalone_source
from flowpack.flows.variants import VariantChoice
from flowpack.reading import Roots

SUFFIX = ".prompty"

_IN_MODEL = ("api", "configuration", "parameters", "response")
_NO_VALUES_OF_A_CONNECTION = {"type", "connection", "model", "azure_deployment"}


def read_prompty_flow(path: Path, choice: VariantChoice | None, within: Roots) -> Flow:
    refuse_variant(FlowKind.PROMPTY, choice)
    document = read_front_matter(path, within)
    root = document.root.mapping("a front matter: a mapping with a model")
    includes = read_includes(root)
    _check_model(root, document)
    for port in mapping_of(root, "inputs").values():
        check_served(port)
    try:
        sample, missing = _sample(root, document, includes), None
    except MissingFileError as error:
        sample, missing = {}, MissingFile(error.path, root["sample"].location)
    return Flow(
        kind=FlowKind.PROMPTY,
        file=path,
        name=path.parent.name,
        inputs={name: read_input(name, value) for name, value in mapping_of(root, "inputs").items()},
        outputs={name: read_output(name, value) for name, value in mapping_of(root, "outputs").items()},
        nodes=(),
        environment=read_environment(root),
        environment_variables=read_variables(root),
        additional_includes=includes,
        text=read_text(path, within),
        sample=sample,
        missing_sample=missing,
    )


def _check_model(root: Mapping[str, Value], document: Document) -> None:
    if "model" not in root or root["model"].is_null:
        raise document.root.error("the model is missing", "add model.configuration and model.parameters")
    if not root["model"].is_mapping:
        return  # a reference, which is followed later
    model = root["model"].mapping()
    for key, value in model.items():
        if key not in _IN_MODEL:
            near = nearest(key, _IN_MODEL)
            raise value.error("promptflow does not know this key", f"did you mean '{near}'?" if near else None)
    for key in ("configuration", "parameters"):
        if key not in model or model[key].is_null:
            hint = "add parameters: {} if there are none" if key == "parameters" else None
            raise root["model"].error(f"promptflow needs model.{key}", hint)
    if model["configuration"].is_mapping:
        _check_configuration(model["configuration"])


def _check_configuration(value: Value) -> None:
    fields = value.mapping()
    connection, kind = fields.get("connection"), fields.get("type")
    given = [key for key, each in fields.items() if each.data and key not in _NO_VALUES_OF_A_CONNECTION]
    if connection is not None and connection.data:
        if given:
            hint = f"remove {', '.join(given)}, which the connection provides, or remove the connection"
            raise connection.error("promptflow refuses a connection beside values that it provides", hint)
    elif kind is None or kind.is_null:
        hint = f"add a type, one of: {', '.join(PROMPTY_TYPES)}"
        raise value.error("the configuration has neither a type nor a connection", hint)
    elif str(kind.data) not in PROMPTY_TYPES and not str(kind.data).startswith("${"):
        near = nearest(str(kind.data), PROMPTY_TYPES)
        hint = f"did you mean '{near}'?" if near else f"use one of: {', '.join(PROMPTY_TYPES)}"
        raise kind.error(f"promptflow does not call models of type '{kind.data}'", hint)


def _sample(root: Mapping[str, Value], document: Document, includes: Iterable[Include]) -> Mapping[str, Any]:
    """``file:sample.json``, without ``${}``, also names a file."""
    if "sample" not in root or root["sample"].is_null:
        return {}
    value = root["sample"]

    def find(relative: str) -> Path | None:
        return standalone_source(document.path.parent, includes, relative)

    data = with_files(value, find)
    if isinstance(data, str) and data.endswith(".json"):
        named = data.removeprefix("file:")
        path = find(named)
        if path is None:
            raise MissingFileError.at(value, named)
        data = read_data(path, document.within)
    if not isinstance(data, dict):
        raise value.error("expected a mapping of inputs, or a JSON file with one: ${file:sample.json}")
    return data
