"""Finds where a flow's nodes and variables name a connection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowpack.errors import Location
from flowpack.flows.connection_types import (
    AZURE_OPEN_AI,
    CONNECTION_TYPES,
    LLM_PROVIDERS,
    PACKAGE_TOOL_CONNECTIONS,
    ConnectionType,
)
from flowpack.flows.model import Node
from flowpack.flows.tool_packages import read_package_tool
from flowpack.flows.tool_sources import ConnectionKeys, ToolSource
from flowpack.reading import Roots

_REFERENCE = re.compile(r"^\$\{([^.]+)\.([^.]+)}$")


@dataclass(frozen=True, slots=True)
class Use:
    """A place that names a connection. ``types`` is empty if the place does not show the type.

    ``location`` is the node, or the file that names the connection.
    """

    name: str
    types: tuple[ConnectionType, ...]
    user: str
    keys: ConnectionKeys = field(default_factory=ConnectionKeys)
    location: Location | None = None


def in_nodes(nodes: Sequence[Node], files: Mapping[str, Path], within: Roots) -> Iterator[Use]:
    sources: dict[Path, ToolSource | None] = {}
    for node in nodes:
        user = f"node '{node.name}'"
        if node.connection:
            # Without a provider, promptflow uses the connection's own type; the studio's default is Azure OpenAI.
            kind = LLM_PROVIDERS.get(node.provider or "", AZURE_OPEN_AI)
            yield Use(node.connection, (kind,), user, location=node.location)
        elif node.source and node.source.type == "code" and node.source.path and node.type == "python":
            path = files.get(_standalone(node.source.path))
            if path and path not in sources:
                sources[path] = ToolSource.read(path, within)
            yield from _in_tool(node, sources[path] if path else None, user)
        elif node.source and node.source.tool:
            yield from _in_package_tool(node, node.source.tool, user)


def _in_package_tool(node: Node, tool: str, user: str) -> Iterator[Use]:
    if tool in PACKAGE_TOOL_CONNECTIONS:
        for parameter, class_names in PACKAGE_TOOL_CONNECTIONS[tool].items():
            yield from _literal(node, parameter, class_names, user, ConnectionKeys())
        return

    known = read_package_tool(tool) if "." in tool else None
    for each in known.connection_parameters.values() if known else ():
        yield from _literal(node, each.name, each.class_names, user, each.keys)


def _in_tool(node: Node, source: ToolSource | None, user: str) -> Iterator[Use]:
    if source is not None:
        for parameter in source.connection_parameters.values():
            yield from _literal(node, parameter.name, parameter.class_names, user, parameter.keys)


def _literal(
    node: Node, parameter: str, class_names: tuple[str, ...], user: str, keys: ConnectionKeys
) -> Iterator[Use]:
    """A literal names a connection. An input that refers to another node gets one at run time."""
    value = node.inputs.get(parameter)
    if isinstance(value, str) and value and not value.startswith("${"):
        yield Use(value, tuple(CONNECTION_TYPES[name] for name in class_names), user, keys, node.location)


def in_environment(variables: Mapping[str, Any]) -> Iterator[Use]:
    for variable, value in variables.items():
        match = _REFERENCE.match(value.strip()) if isinstance(value, str) else None
        if match:
            keys = ConnectionKeys.guessed(frozenset({match[2]}))
            yield Use(match[1], (), f"environment variable '{variable}'", keys)


def _standalone(path: str) -> str:
    """A node's source path, written as in the standalone folder's listing."""
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))
