"""Finds the connections of models: in a flex flow's init, in prompties, and in sources that create configurations."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flowpack.errors import FlowpackError, Location
from flowpack.flows.connection_types import (
    AZURE_OPEN_AI,
    CONNECTION_TYPES,
    MODEL_CONFIGURATIONS,
    OPEN_AI,
    PROMPTY_TYPES,
    ConnectionType,
)
from flowpack.flows.connection_uses import Use
from flowpack.flows.front_matter import model_configuration, read_front_matter
from flowpack.flows.model import Flow, FlowInput, FlowKind
from flowpack.flows.python_source import PythonSource, last_name, read_source
from flowpack.flows.resolve import module_files
from flowpack.flows.tool_sources import ConnectionKeys, keys_used
from flowpack.reading import Roots


def in_init(flow: Flow, files: Mapping[str, Path]) -> Iterator[Use]:
    """Connections that a flex flow's class gets by name, from the sample's init or else a default."""
    for name, parameter in flow.init.items():
        value = flow.sample_init.get(name, parameter.default)
        user = f"init parameter '{name}'"
        if (
            parameter.type in MODEL_CONFIGURATIONS
            and isinstance(value, dict)
            and isinstance(value.get("connection"), str)
        ):
            yield Use(value["connection"], (MODEL_CONFIGURATIONS[parameter.type],), user)
        elif parameter.type in CONNECTION_TYPES and isinstance(value, str) and value:
            yield Use(value, (CONNECTION_TYPES[parameter.type],), user, _keys_of(flow, parameter, files))


def in_models(flow: Flow, files: Mapping[str, Path]) -> Iterator[Use]:
    """Connections in prompties, and in ``AzureOpenAIModelConfiguration(connection="...")`` in a source."""
    for target, configuration in prompty_configurations(flow, files).items():
        name = configuration.get("connection")
        if isinstance(name, str) and name and not name.startswith("${"):
            yield Use(name, (_type_of(configuration),), f"'{target}'", location=Location(files[target]))
    for target in files:
        if target.endswith(".py") and b"ModelConfiguration" in (read_source(files[target], flow.roots) or b""):
            yield from _in_source(target, files[target], flow.roots)


def prompty_configurations(flow: Flow, files: Mapping[str, Path]) -> dict[str, Mapping[str, Any]]:
    """``model.configuration`` of each readable prompty in the folder, if the flow may use prompties."""
    targets = [target for target in files if target.endswith(".prompty")]
    if flow.kind is FlowKind.PROMPTY:
        targets = [flow.standalone_name]
    if not targets or not (flow.kind is FlowKind.PROMPTY or _in_some_source(b"prompty", flow, files)):
        return {}

    found = {}
    for target in targets:
        try:
            found[target] = model_configuration(read_front_matter(files[target], flow.roots))
        except FlowpackError:
            if flow.kind is FlowKind.PROMPTY:
                raise
    return found


def _in_some_source(word: bytes, flow: Flow, files: Mapping[str, Path]) -> bool:
    sources = (read_source(files[target], flow.roots) for target in files if target.endswith(".py"))
    return any(word in (source or b"").lower() for source in sources)


def _type_of(configuration: Mapping[str, Any]) -> ConnectionType:
    """The type that the file was written for. promptflow itself uses the connection's own type."""
    if str(configuration.get("type")) in PROMPTY_TYPES:
        return PROMPTY_TYPES[configuration["type"]]
    return OPEN_AI if configuration.get("model") else AZURE_OPEN_AI


def _in_source(target: str, path: Path, within: Roots) -> Iterator[Use]:
    source = PythonSource.read(path, within)
    for node in ast.walk(source.tree) if source else ():
        kind = MODEL_CONFIGURATIONS.get(last_name(node)) if isinstance(node, ast.Call) else None
        for argument in node.keywords if kind and isinstance(node, ast.Call) else ():
            value = argument.value.value if isinstance(argument.value, ast.Constant) else None
            if kind and argument.arg == "connection" and isinstance(value, str) and value:
                where = Location(path, argument.value.lineno, argument.value.col_offset + 1)
                yield Use(value, (kind,), f"'{target}'", location=where)


def _keys_of(flow: Flow, parameter: FlowInput, files: Mapping[str, Path]) -> ConnectionKeys:
    """The keys of a custom connection that the class uses, also through an attribute: ``self.service = service``."""
    module, _, name = (flow.entry or "").partition(":")
    path = next((files[file] for file in module_files(module) if file in files), None)
    source = PythonSource.read(path, flow.roots) if path and parameter.type == "CustomConnection" else None
    owner = source.defined(name) if source else None
    if not isinstance(owner, ast.ClassDef):
        return ConnectionKeys()
    kept = {
        target.attr
        for node in ast.walk(owner)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id == parameter.name
        for target in node.targets
        if isinstance(target, ast.Attribute) and last_name(target.value) == "self"
    }
    return keys_used(_Named(kept, parameter.name).visit(owner), parameter.name)


class _Named(ast.NodeTransformer):
    """Replaces ``self.<kept>`` with the parameter that was assigned to it."""

    def __init__(self, kept: set[str], name: str) -> None:
        self._kept, self._name = kept, name

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr in self._kept and last_name(node.value) == "self":
            return ast.Name(self._name, node.ctx)
        return self.generic_visit(node)
