"""Reads a DAG flow. Types are checked where flowpack relies on them, and errors name the place in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowpack.documents.yaml_documents import Document, Value
from flowpack.errors import Location
from flowpack.flows.fields import (
    check_language,
    flag,
    mapping_of,
    read_environment,
    read_includes,
    read_input,
    read_output,
    read_variables,
    sequence_of,
)
from flowpack.flows.model import Flow, FlowKind, Node, NodeSource
from flowpack.flows.text_edits import standalone_text
from flowpack.flows.variants import VariantChoice, choose_variants
from flowpack.valid_names import check_name

_NOT_IN_A_STANDALONE_FLOW = ("additional_includes", "node_variants")


def read_dag_flow(document: Document, choice: VariantChoice | None) -> Flow:
    root = document.root.mapping("a flow: a mapping with inputs, outputs and nodes")
    check_language(root)
    if "nodes" not in root:
        raise document.root.error("the flow has no nodes", "a DAG flow lists its steps under 'nodes'")
    chosen = choose_variants(root, choice)
    return Flow(
        kind=FlowKind.DAG,
        file=document.path,
        name=document.path.parent.name,
        inputs={name: read_input(name, value) for name, value in mapping_of(root, "inputs").items()},
        outputs={name: read_output(name, value) for name, value in mapping_of(root, "outputs").items()},
        nodes=tuple(_node(value, chosen) for value in sequence_of(root, "nodes")),
        environment=read_environment(root),
        environment_variables=read_variables(root),
        additional_includes=read_includes(root),
        text=standalone_text(
            document, without=_NOT_IN_A_STANDALONE_FLOW, nodes=chosen, expected=_standalone_data(document, chosen)
        ),
    )


def _standalone_data(document: Document, chosen: Mapping[str, Value]) -> dict[str, Any]:
    data = {key: value for key, value in document.root.data.items() if key not in _NOT_IN_A_STANDALONE_FLOW}
    if chosen:
        data["nodes"] = [
            {"name": node["name"], **chosen[node["name"]].data} if node["name"] in chosen else node
            for node in data["nodes"]
        ]
    return data


def _node(value: Value, chosen: Mapping[str, Value]) -> Node:
    fields = value.mapping()
    name = fields["name"].string()  # choose_variants has checked that it exists
    check_name("node", name, fields["name"].location)
    if name in chosen:
        fields = {**chosen[name].mapping(), "name": fields["name"]}
    if "type" not in fields:
        raise value.error("the node has no type", "add type: python, llm or prompt")

    connection = fields.get("connection")
    if connection is not None and isinstance(connection.data, str) and connection.data:
        check_name("connection", connection.data, connection.location)

    def text(key: str) -> str | None:
        field = fields.get(key)
        return None if field is None or field.is_null else field.string()

    return Node(
        name=name,
        type=fields["type"].string(),
        source=_source(fields.get("source")),
        inputs={key: each.data for key, each in mapping_of(fields, "inputs").items()},
        location=value.location,
        connection=text("connection"),
        provider=text("provider"),
        api=text("api"),
        aggregation=flag(fields, "aggregation") or flag(fields, "reduce"),
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
