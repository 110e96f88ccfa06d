"""Reads a DAG flow: types are checked where flowpack relies on them, each with its place in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowpack.errors import Location
from flowpack.flows.model import (
    REQUIRED,
    Environment,
    Flow,
    FlowInput,
    FlowKind,
    FlowOutput,
    Include,
    Node,
    NodeSource,
)
from flowpack.flows.text_edits import standalone_text
from flowpack.flows.variants import VariantChoice, choose_variants
from flowpack.yaml_documents import Document, Value

_NOT_IN_A_STANDALONE_FLOW = ("additional_includes", "node_variants")


def read_dag_flow(document: Document, choice: VariantChoice | None) -> Flow:
    root = document.root.mapping("a flow: a mapping with inputs, outputs and nodes")
    _check_language(root)
    if "nodes" not in root:
        raise document.root.error("the flow has no nodes", "a DAG flow lists its steps under 'nodes'")
    chosen = choose_variants(root, choice)
    return Flow(
        kind=FlowKind.DAG,
        file=document.path,
        name=document.path.parent.name,
        inputs={name: _input(name, value) for name, value in _mapping(root, "inputs").items()},
        outputs={name: _output(name, value) for name, value in _mapping(root, "outputs").items()},
        nodes=tuple(_node(value, chosen) for value in _sequence(root, "nodes")),
        environment=read_environment(root),
        environment_variables={key: value.data for key, value in _mapping(root, "environment_variables").items()},
        additional_includes=read_includes(root),
        text=standalone_text(
            document, without=_NOT_IN_A_STANDALONE_FLOW, nodes=chosen, expected=_standalone_data(document, chosen)
        ),
    )


def read_includes(root: Mapping[str, Value]) -> tuple[Include, ...]:
    if "additional_includes" not in root or root["additional_includes"].is_null:
        return ()
    hint = "write each path as an item of its own:\n        additional_includes:\n        - ../shared"
    items = root["additional_includes"].sequence("a list of paths", hint)
    return tuple(Include(path=item.string("a path"), location=item.location) for item in items)


def read_environment(root: Mapping[str, Value]) -> Environment:
    fields = _mapping(root, "environment")
    names = ("image", "conda_file", "python_requirements_txt", "setup_sh")
    # promptflow's own samples leave `environment` a mapping with further keys; what serving does not read stays unread.
    given = {name: fields[name] for name in names if name in fields and not fields[name].is_null}
    return Environment(
        **{name: value.string() for name, value in given.items()},
        locations={name: value.location for name, value in given.items()},
    )


def _standalone_data(document: Document, chosen: Mapping[str, Value]) -> dict[str, Any]:
    data = {key: value for key, value in document.root.data.items() if key not in _NOT_IN_A_STANDALONE_FLOW}
    data["nodes"] = [
        {"name": node["name"], **chosen[node["name"]].data} if node["name"] in chosen else node
        for node in data["nodes"]
    ]
    return data


def _check_language(root: Mapping[str, Value]) -> None:
    language = root.get("language")
    if language is not None and language.data not in (None, "python"):
        raise language.error(
            f"flows in '{language.data}' are not supported", "flowpack serves Python flows; use pf flow build for C#"
        )


def _input(name: str, value: Value) -> FlowInput:
    fields = value.mapping("a mapping with a type")
    if "type" not in fields:
        raise value.error("the input has no type", "say type: string, for example")
    history = fields.get("is_chat_history")
    return FlowInput(
        name=name,
        type=_type(fields["type"]),
        default=fields["default"].data if "default" in fields else REQUIRED,
        is_chat_input=_flag(fields, "is_chat_input"),
        is_chat_history=None if history is None or history.is_null else history.boolean(),
    )


def _output(name: str, value: Value) -> FlowOutput:
    fields = value.mapping("a mapping with a reference")
    reference = fields.get("reference")
    return FlowOutput(
        name=name,
        type=_type(fields["type"]) if "type" in fields else None,
        reference=None if reference is None or reference.is_null else str(reference.data),
        is_chat_output=_flag(fields, "is_chat_output"),
        evaluation_only=_flag(fields, "evaluation_only"),
    )


def _type(value: Value) -> str:
    """A type's name; studio writes a list of one where several would do."""
    data = value.data
    return str(data[0]) if isinstance(data, list) and data else value.string("the name of a type")


def _flag(fields: Mapping[str, Value], key: str) -> bool:
    return key in fields and not fields[key].is_null and fields[key].boolean()


def _node(value: Value, chosen: Mapping[str, Value]) -> Node:
    fields = value.mapping()
    name = fields["name"].string()  # choose_variants has seen that it is there
    if name in chosen:
        fields = {**chosen[name].mapping(), "name": fields["name"]}
    if "type" not in fields:
        raise value.error("the node has no type", "say type: python, llm or prompt")

    def text(key: str) -> str | None:
        field = fields.get(key)
        return None if field is None or field.is_null else field.string()

    return Node(
        name=name,
        type=fields["type"].string(),
        source=_source(fields.get("source")),
        inputs={key: each.data for key, each in _mapping(fields, "inputs").items()},
        location=value.location,
        connection=text("connection"),
        provider=text("provider"),
        api=text("api"),
        aggregation=_flag(fields, "aggregation") or _flag(fields, "reduce"),
    )


def _source(value: Value | None) -> NodeSource | None:
    if value is None or value.is_null:
        return None
    fields = value.mapping("a mapping with a type and a path")
    path, tool = fields.get("path"), fields.get("tool")
    location: Location = path.location if path is not None else value.location
    return NodeSource(
        type=fields["type"].string() if "type" in fields else "code",
        path=None if path is None or path.is_null else path.string("a path"),
        tool=None if tool is None or tool.is_null else tool.string(),
        location=location,
    )


def _mapping(fields: Mapping[str, Value], key: str) -> dict[str, Value]:
    return fields[key].mapping() if key in fields and not fields[key].is_null else {}


def _sequence(fields: Mapping[str, Value], key: str) -> list[Value]:
    return fields[key].sequence() if key in fields and not fields[key].is_null else []
