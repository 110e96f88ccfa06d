"""Finds the connections that a flow uses and what each needs, without running code or reading a local store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flowpack.documents.yaml_documents import read_document
from flowpack.errors import FlowpackError, Location
from flowpack.flows.connection_types import CUSTOM, ConnectionType
from flowpack.flows.connection_uses import Use, in_environment, in_nodes
from flowpack.flows.model import Flow
from flowpack.flows.model_connections import in_init, in_models
from flowpack.flows.name_places import place_of
from flowpack.flows.tool_sources import ConnectionKeys
from flowpack.valid_names import Kind, check_name

_SCHEMA = "https://azuremlschemas.azureedge.net/promptflow/latest/{class_name}.schema.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """A connection of a flow. Only a custom one has ``keys``; ``users`` are the nodes and variables that name it."""

    name: str
    type: ConnectionType
    keys: ConnectionKeys = field(default_factory=ConnectionKeys)
    users: tuple[str, ...] = ()

    @property
    def file_name(self) -> str:
        return self.name.replace(" ", "_") + ".yaml"

    @property
    def override(self) -> str:
        """The variable that replaces the whole connection, by another one's name or by JSON."""
        return shell_name(self.name)

    def variable(self, key: str) -> str:
        """The variable that sets a field, by the naming of ``pf flow build`` and promptflow's override contract."""
        return shell_name(f"{self.name}_{key}").upper()

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that must be set for the connection to work. Fields with a default do not need one."""
        keys = (*sorted(self.keys.configs), *sorted(self.keys.secrets)) if self.type is CUSTOM else ()
        return tuple(self.variable(key) for key in (*self.type.secrets, *self.type.needed, *keys))

    @property
    def field_variables(self) -> tuple[str, ...]:
        """Every variable that sets one of its fields, those with a default among them."""
        return (*self.variables, *(self.variable(key) for key in self.type.optional))

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


def shell_name(name: str) -> str:
    """A variable's name that a shell can set. promptflow only replaces spaces; the server accepts both forms."""
    return re.sub(r"\W", "_", name)


def find_connections(flow: Flow, files: Mapping[str, Path]) -> tuple[Connection, ...]:
    """The flow's connections by name; ``files`` maps each path of the standalone folder to its source."""
    uses: dict[str, list[Use]] = {}
    for use in (
        *in_nodes(flow.nodes, files, flow.roots),
        *in_environment(flow.environment_variables),
        *in_init(flow, files),
        *in_models(flow, files),
    ):
        uses.setdefault(use.name, []).append(use)
    for name, those in uses.items():
        where = next((use.location for use in those if use.location), Location(flow.file))
        _check("connection", name, where, flow, files)
        for use in those:
            for key in sorted(use.keys.configs | use.keys.secrets):
                _check("key", key, where, flow, files)
    connections = []
    for name in sorted(uses):
        found = _connection(name, uses[name])
        if found.type is CUSTOM and found.keys == ConnectionKeys():
            found = replace(found, keys=_documented_keys(name, flow, files))
        connections.append(found)
    return tuple(connections)


def _documented_keys(name: str, flow: Flow, files: Mapping[str, Path]) -> ConnectionKeys:
    """The keys of a custom connection whose code takes it as a whole, by the document that `pf connection create` reads
    beside the flow: ``type: custom`` and the connection's name."""
    for target in sorted(files):
        if "/" in target or not target.endswith((".yaml", ".yml")):
            continue
        try:
            document = read_document(files[target], within=flow.roots).root.data
        except FlowpackError:
            continue
        if isinstance(document, dict) and document.get("type") == "custom" and document.get("name") == name:
            parts = [document.get(part) or {} for part in ("configs", "secrets")]
            configs, secrets = (frozenset(map(str, each)) if isinstance(each, dict) else frozenset() for each in parts)
            return ConnectionKeys(configs=configs, secrets=secrets)
    return ConnectionKeys()


def _check(kind: Kind, name: str, otherwise: Location, flow: Flow, files: Mapping[str, Path]) -> None:
    def where() -> Location:
        return place_of(name, flow, files) or otherwise

    check_name(kind, name, where)


def _connection(name: str, uses: Sequence[Use]) -> Connection:
    """The use with the fewest possible types decides the type. The keys of all uses are combined."""
    keys = ConnectionKeys()
    for use in uses:
        keys |= use.keys
    told = sorted((use for use in uses if use.types), key=lambda use: len(use.types))
    kind = told[0].types[0] if told else CUSTOM
    connection = Connection(name=name, type=kind, users=tuple(dict.fromkeys(use.user for use in uses)))
    return replace(connection, keys=keys) if kind is CUSTOM else connection
