"""Finds the connections that a flow uses, and what each needs, without its code and without a local store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flowpack.flows.connection_types import (
    AZURE_OPEN_AI,
    CONNECTION_TYPES,
    CUSTOM,
    LLM_PROVIDERS,
    PACKAGE_TOOL_CONNECTIONS,
    ConnectionType,
)
from flowpack.flows.model import Flow, Node
from flowpack.flows.tool_sources import ConnectionKeys, ToolSource

_REFERENCE = re.compile(r"^\$\{([^.]+)\.([^.]+)}$")
_SCHEMA = "https://azuremlschemas.azureedge.net/promptflow/latest/{class_name}.schema.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """A connection of a flow; ``keys`` are those of a custom one, ``users`` the nodes and variables that name it."""

    name: str
    type: ConnectionType
    keys: ConnectionKeys = field(default_factory=ConnectionKeys)
    users: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        return self.name.replace(" ", "_") + ".yaml"

    def variable(self, key: str) -> str:
        """The variable that sets a field, named as ``pf flow build`` and promptflow's override contract name it."""
        return f"{self.name.replace(' ', '_')}_{key}".upper()

    @property
    def variables(self) -> tuple[str, ...]:
        """What has to be set for the connection to work; fields with a default are not among it."""
        keys = (*sorted(self.keys.configs), *sorted(self.keys.secrets)) if self.type is CUSTOM else ()
        return tuple(self.variable(key) for key in (*self.type.secrets, *self.type.needed, *keys))

    def document(self) -> dict[str, Any]:
        def reference(key: str) -> str:
            return f"${{env:{self.variable(key)}}}"

        head = {
            "$schema": _SCHEMA.format(class_name=self.type.class_name),
            "type": self.type.document_type,
            "name": self.name,
        }
        if self.type is CUSTOM:
            return {
                **head,
                "configs": {key: reference(key) for key in sorted(self.keys.configs)},
                "secrets": {key: reference(key) for key in sorted(self.keys.secrets)},
                "module": self.type.module,
            }
        fields = {key: reference(key) for key in (*self.type.needed, *self.type.secrets)} | dict(self.type.optional)
        return {**head, "module": self.type.module, **dict(sorted(fields.items()))}


@dataclass(frozen=True, slots=True)
class _Use:
    """One place that names a connection; ``types`` is empty where the place does not tell."""

    name: str
    types: tuple[ConnectionType, ...]
    user: str
    keys: ConnectionKeys = field(default_factory=ConnectionKeys)


def find_connections(flow: Flow, files: Mapping[str, Path]) -> tuple[Connection, ...]:
    """The flow's connections by name; ``files`` maps each path of the standalone folder to its source."""
    uses: dict[str, list[_Use]] = {}
    for use in (*_in_nodes(flow.nodes, files), *_in_environment(flow.environment_variables)):
        uses.setdefault(use.name, []).append(use)
    return tuple(_connection(name, uses[name]) for name in sorted(uses))


def _connection(name: str, uses: Sequence[_Use]) -> Connection:
    """A use that leaves no choice of type decides; keys of all custom uses come together."""
    keys = ConnectionKeys()
    for use in uses:
        keys |= use.keys
    told = sorted((use for use in uses if use.types), key=lambda use: len(use.types))
    kind = told[0].types[0] if told else CUSTOM
    connection = Connection(name=name, type=kind, users=tuple(dict.fromkeys(use.user for use in uses)))
    return replace(connection, keys=keys) if kind is CUSTOM else connection


def _in_nodes(nodes: Sequence[Node], files: Mapping[str, Path]) -> Iterator[_Use]:
    for node in nodes:
        user = f"node '{node.name}'"
        if node.connection:
            # Without a provider promptflow goes by the connection's own type; studio starts from Azure OpenAI.
            kind = LLM_PROVIDERS.get(node.provider or "", AZURE_OPEN_AI)
            yield _Use(node.connection, (kind,), user)
        elif node.source and node.source.type == "code" and node.source.path and node.type == "python":
            yield from _in_tool(node, files.get(_standalone(node.source.path)), user)
        elif node.source and node.source.tool:
            for parameter, class_names in PACKAGE_TOOL_CONNECTIONS.get(node.source.tool, {}).items():
                yield from _literal(node, parameter, class_names, user, ConnectionKeys())


def _in_tool(node: Node, path: Path | None, user: str) -> Iterator[_Use]:
    source = ToolSource.read(path) if path else None
    if source is not None:
        for parameter in source.connection_parameters.values():
            yield from _literal(node, parameter.name, parameter.class_names, user, parameter.keys)


def _literal(
    node: Node, parameter: str, class_names: tuple[str, ...], user: str, keys: ConnectionKeys
) -> Iterator[_Use]:
    """A connection is named by a literal; an input that refers to another node carries one at run time."""
    value = node.inputs.get(parameter)
    if isinstance(value, str) and value and not value.startswith("${"):
        yield _Use(value, tuple(CONNECTION_TYPES[name] for name in class_names), user, keys)


def _in_environment(variables: Mapping[str, Any]) -> Iterator[_Use]:
    for variable, value in variables.items():
        match = _REFERENCE.match(value.strip()) if isinstance(value, str) else None
        if match:
            keys = ConnectionKeys.guessed(frozenset({match[2]}))
            yield _Use(match[1], (), f"environment variable '{variable}'", keys)


def _standalone(path: str) -> str:
    """A node's source path as the standalone folder's listing has it."""
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))
