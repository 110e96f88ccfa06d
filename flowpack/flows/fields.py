"""Reads the fields that flow files of all kinds share, and checks those that flowpack relies on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowpack.documents.yaml_documents import Value
from flowpack.errors import UsageError, nearest
from flowpack.flows.model import REQUIRED, Environment, FlowInput, FlowKind, FlowOutput, Include
from flowpack.flows.variants import VariantChoice
from flowpack.valid_names import check_name

SERVED_TYPES = ("string", "int", "double", "bool", "list", "object", "image")
"""The types of inputs and outputs that promptflow's server supports in its swagger. It stops at any other."""

_MEANT = {
    **{"str": "string", "text": "string", "integer": "int", "float": "double", "number": "double"},
    **{"boolean": "bool", "array": "list", "dict": "object", "json": "object"},
}
_CSHARP_ENTRY = re.compile(r"\(.+\)[a-zA-Z0-9]+(\.[a-zA-Z0-9]+)+")


def check_language(root: Mapping[str, Value]) -> None:
    hint = "flowpack serves Python flows; use pf flow build for C#"
    language, entry = root.get("language"), root.get("entry")
    if language is not None and language.data not in (None, "python"):
        raise language.error(f"flows in '{language.data}' are not supported", hint)
    if entry is not None and isinstance(entry.data, str) and _CSHARP_ENTRY.match(entry.data):
        raise entry.error(f"'{entry.data}' is a method of an assembly: flows in C# are not supported", hint)


def refuse_variant(kind: FlowKind, choice: VariantChoice | None) -> None:
    if choice is not None:
        hint = "remove --variant: only nodes of a flow.dag.yaml have variants"
        raise UsageError(f"'{choice.node}.{choice.variant}': a {kind.value} flow has no nodes", hint=hint)


def read_includes(root: Mapping[str, Value]) -> tuple[Include, ...]:
    if "additional_includes" not in root or root["additional_includes"].is_null:
        return ()
    hint = "write each path as a list item:\n        additional_includes:\n        - ../shared"
    items = root["additional_includes"].sequence("a list of paths", hint)
    return tuple(Include(path=item.string("a path"), location=item.location) for item in items)


def read_environment(root: Mapping[str, Value]) -> Environment:
    fields = mapping_of(root, "environment")
    names = ("image", "conda_file", "python_requirements_txt", "setup_sh")
    # promptflow's own samples have more keys in `environment`. Keys that serving does not use are ignored.
    given = {name: fields[name] for name in names if name in fields and not fields[name].is_null}
    return Environment(
        **{name: value.string() for name, value in given.items()},
        locations={name: value.location for name, value in given.items()},
    )


def read_input(name: str, value: Value) -> FlowInput:
    check_name("input", name, value.location)
    fields = value.mapping("a mapping with a type")
    if "type" not in fields:
        raise value.error("the input has no type", "add type: string, for example")
    history = fields.get("is_chat_history")
    return FlowInput(
        name=name,
        type=_type(fields["type"]),
        default=fields["default"].data if "default" in fields else REQUIRED,
        is_chat_input=flag(fields, "is_chat_input"),
        is_chat_history=None if history is None or history.is_null else history.boolean(),
    )


def read_output(name: str, value: Value) -> FlowOutput:
    check_name("output", name, value.location)
    fields = value.mapping("a mapping with a reference")
    reference = fields.get("reference")
    return FlowOutput(
        name=name,
        type=_type(fields["type"]) if "type" in fields else None,
        reference=None if reference is None or reference.is_null else str(reference.data),
        is_chat_output=flag(fields, "is_chat_output"),
        evaluation_only=flag(fields, "evaluation_only"),
    )


def read_variables(root: Mapping[str, Value]) -> dict[str, Any]:
    variables = mapping_of(root, "environment_variables")
    for name, value in variables.items():
        check_name("variable", name, value.location)
    return {name: value.data for name, value in variables.items()}


def check_served(port: Value) -> None:
    """Refuses an input or output whose type keeps the server from starting."""
    stated = port.mapping("a mapping with a type").get("type")
    if stated is None:
        raise port.error("the type is missing", "add type: string, for example")
    if stated.data not in SERVED_TYPES:
        meant = _MEANT.get(str(stated.data)) or nearest(str(stated.data), SERVED_TYPES)
        hint = f"did you mean '{meant}'?" if meant else f"use one of: {', '.join(SERVED_TYPES)}"
        raise stated.error(f"promptflow does not serve the type '{stated.data}'", hint)


def _type(value: Value) -> str:
    """A type's name. If several types fit, the studio writes a list with one of them."""
    data = value.data
    return str(data[0]) if isinstance(data, list) and data else value.string("the name of a type")


def flag(fields: Mapping[str, Value], key: str) -> bool:
    return key in fields and not fields[key].is_null and fields[key].boolean()


def mapping_of(fields: Mapping[str, Value], key: str) -> dict[str, Value]:
    return fields[key].mapping() if key in fields and not fields[key].is_null else {}


def sequence_of(fields: Mapping[str, Value], key: str) -> list[Value]:
    return fields[key].sequence() if key in fields and not fields[key].is_null else []
