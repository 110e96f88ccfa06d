"""Reads a Python tool's source with ``ast``: parameters typed as connections, and what of a connection is used.

Nothing is imported, so the packages that a flow needs need not be installed, and no code of the flow runs.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from flowpack.flows.connection_types import CONNECTION_TYPES

_SECRET_NAME = re.compile(r"key|secret|token|password|pwd|credential|connection_?string", re.I)
_OF_EVERY_CONNECTION = {"configs", "secrets", "name", "type", "module", "class_name", "custom_type", "is_secret"}
_STRONG_TYPE = "CustomStrongTypeConnection"


@dataclass(frozen=True, slots=True)
class ConnectionKeys:
    """The keys of a custom connection, as far as the source shows them."""

    configs: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()

    def __or__(self, other: ConnectionKeys) -> ConnectionKeys:
        secrets = self.secrets | other.secrets
        return ConnectionKeys((self.configs | other.configs) - secrets, secrets)

    @classmethod
    def guessed(cls, names: frozenset[str]) -> ConnectionKeys:
        """Keys that are used without saying which of the two they are: a name such as api_key is taken for a secret."""
        secrets = frozenset(name for name in names if _SECRET_NAME.search(name))
        return cls(names - secrets, secrets)


@dataclass(frozen=True, slots=True)
class ConnectionParameter:
    """A parameter typed as a connection; ``class_names`` are promptflow's, several where any of them would do."""

    name: str
    class_names: tuple[str, ...]
    keys: ConnectionKeys = field(default_factory=ConnectionKeys)


class ToolSource:
    """One Python file of a flow."""

    def __init__(self, text: str) -> None:
        self.tree = ast.parse(text)

    @classmethod
    def read(cls, path: Path) -> ToolSource | None:
        """None where the file is no Python that this interpreter reads; running it is where that shows."""
        try:
            return cls(path.read_text(encoding="utf-8-sig"))
        except (SyntaxError, ValueError, OSError):
            return None

    @cached_property
    def imported_names(self) -> Mapping[str, str]:
        """What each imported name means: ``{"AOAI": "promptflow.connections.AzureOpenAIConnection"}``."""
        names: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    names[alias.asname or alias.name.partition(".")[0]] = alias.name
        return names

    @cached_property
    def imported_modules(self) -> frozenset[str]:
        """Every absolute import, in full: ``promptflow``, ``promptflow.core.tool``."""
        modules = set(self.imported_names.values())
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
        return frozenset(modules)

    @cached_property
    def connection_parameters(self) -> Mapping[str, ConnectionParameter]:
        """Those of the file's tools, by name: functions with ``@tool``, and methods where they have it."""
        found: dict[str, ConnectionParameter] = {}
        for function in self._tools():
            arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
            for argument in arguments:
                names = tuple(self._connection_classes(argument.annotation))
                if names:
                    found[argument.arg] = self._parameter(function, argument.arg, names)
        return found

    def _tools(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        classes = {node.name: node for node in self.tree.body if isinstance(node, ast.ClassDef)}
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and any(
                _last_name(each) == "tool" for each in node.decorator_list
            ):
                yield node
        for node in classes.values():
            # A tool class takes its connection in the constructor, and promptflow asks for it as an input of the node.
            if any(_last_name(base) == "ToolProvider" for base in node.bases):
                yield from (each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__")

    def _parameter(
        self, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str, class_names: tuple[str, ...]
    ) -> ConnectionParameter:
        strong = [each for each in class_names if each not in CONNECTION_TYPES]
        if strong:
            return ConnectionParameter(name, ("CustomConnection",), self._strong_type_keys(strong[0]))
        keys = _keys_used(function, name) if "CustomConnection" in class_names else ConnectionKeys()
        return ConnectionParameter(name, class_names, keys)

    def _connection_classes(self, annotation: ast.expr | None) -> Iterator[str]:
        """The connection classes in an annotation: ``Union``, ``Optional``, ``|`` and quoted ones included."""
        if annotation is None:
            return
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            try:
                yield from self._connection_classes(ast.parse(annotation.value, mode="eval").body)
            except SyntaxError:
                return
        elif isinstance(annotation, (ast.Name, ast.Attribute)):
            name = _last_name(annotation)
            name = self.imported_names.get(name, name).rpartition(".")[2]
            if name in CONNECTION_TYPES or name in self._strong_types:
                yield name
        elif isinstance(annotation, ast.Subscript):
            yield from self._connection_classes(annotation.slice)
        elif isinstance(annotation, ast.Tuple):
            for each in annotation.elts:
                yield from self._connection_classes(each)
        elif isinstance(annotation, ast.BinOp):
            yield from self._connection_classes(annotation.left)
            yield from self._connection_classes(annotation.right)

    @cached_property
    def _strong_types(self) -> Mapping[str, ast.ClassDef]:
        return {
            node.name: node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ClassDef) and any(_last_name(base) == _STRONG_TYPE for base in node.bases)
        }

    def _strong_type_keys(self, name: str) -> ConnectionKeys:
        fields = [each for each in self._strong_types[name].body if isinstance(each, ast.AnnAssign)]
        named = {each.target.id: _last_name(each.annotation) for each in fields if isinstance(each.target, ast.Name)}
        secrets = frozenset(key for key, annotation in named.items() if annotation == "Secret")
        return ConnectionKeys(frozenset(named) - secrets, secrets)


def _keys_used(function: ast.FunctionDef | ast.AsyncFunctionDef, parameter: str) -> ConnectionKeys:
    """``c.api_key``, ``c.secrets["k"]``, ``c.configs.get("k")``, ``getattr(c, "k")``."""
    found: dict[str, set[str]] = {"configs": set(), "secrets": set(), "either": set(), "other": set()}
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and _is_name(node.value, parameter):
            if node.attr not in _OF_EVERY_CONNECTION and not node.attr.startswith("_"):
                found["either"].add(node.attr)
        elif isinstance(node, ast.Subscript):
            found[_holder(node.value, parameter)] |= _text(node.slice)
        elif isinstance(node, ast.Call) and node.args:
            if isinstance(node.func, ast.Attribute) and node.func.attr == "get":
                found[_holder(node.func.value, parameter)] |= _text(node.args[0])
            elif _last_name(node.func) == "getattr" and len(node.args) > 1 and _is_name(node.args[0], parameter):
                found["either"] |= _text(node.args[1])
    known = ConnectionKeys(frozenset(found["configs"]), frozenset(found["secrets"]))
    return known | ConnectionKeys.guessed(frozenset(found["either"] - found["configs"] - found["secrets"]))


def _holder(node: ast.expr, parameter: str) -> str:
    """Which part of the connection a key is looked up in; ``other`` where it is not the connection at all."""
    if isinstance(node, ast.Attribute) and _is_name(node.value, parameter) and node.attr in {"configs", "secrets"}:
        return node.attr
    return "either" if _is_name(node, parameter) else "other"


def _text(node: ast.expr) -> set[str]:
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
