"""The connection parameters of a Python tool, and the keys of a connection that its source uses."""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from flowpack.flows.connection_types import CONNECTION_TYPES
from flowpack.flows.python_source import LOCAL, Function, PythonSource, last_name

_SECRET_NAME = re.compile(r"key|secret|token|password|pwd|credential|connection_?string", re.I)
_OF_EVERY_CONNECTION = {"configs", "secrets", "name", "type", "module", "class_name", "custom_type", "is_secret"}
_STRONG_TYPE = "CustomStrongTypeConnection"
_MOST_FUNCTIONS = 20_000
"""Functions of one file, inherited methods included: each class of a chain may have all methods of the others."""


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
        """For keys that may be either: a name such as api_key is treated as a secret."""
        secrets = frozenset(name for name in names if _SECRET_NAME.search(name))
        return cls(names - secrets, secrets)


@dataclass(frozen=True, slots=True)
class ConnectionParameter:
    """A parameter typed as a connection. ``class_names`` are promptflow's, several if it accepts any of them."""

    name: str
    class_names: tuple[str, ...]
    keys: ConnectionKeys = field(default_factory=ConnectionKeys)


class ToolSource(PythonSource):
    """A Python file of a flow, with the connections that its tools take."""

    @cached_property
    def connection_parameters(self) -> Mapping[str, ConnectionParameter]:
        """The connection parameters of the file's tools, by name. Tools are functions and methods with ``@tool``."""
        found: dict[str, ConnectionParameter] = {}
        # A tool class takes its connection in the constructor, and promptflow asks for it as an input of the node.
        constructors = [self.method(owner, "__init__") for owner, _ in self.tools if owner]
        functions = [each for each in constructors if each] + [function for _, function in self.tools]
        for function in dict.fromkeys(functions):
            arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
            for argument in arguments:
                names = tuple(self._connection_classes(argument.annotation))
                if names:
                    found[argument.arg] = self._parameter(function, argument.arg, names)
        return found

    @cached_property
    def tools(self) -> tuple[tuple[ast.ClassDef | None, Function], ...]:
        """Functions with promptflow's ``@tool``, and methods of ``ToolProvider`` classes with their class.

        A ``tool`` that is not from promptflow (a project's own helper) is used only if the file has no other.
        """
        found: dict[str | None, list[tuple[ast.ClassDef | None, Function]]] = {}
        for owner, function, decorators in islice(self._functions_and_methods(), _MOST_FUNCTIONS):
            found.setdefault(self._origin_of_tool(decorators), []).append((owner, function))
        return tuple(found.get("promptflow") or found.get("elsewhere") or ())

    def _functions_and_methods(self) -> Iterator[tuple[ast.ClassDef | None, Function, list[ast.expr]]]:
        for definition in self.definitions.values():
            if isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield None, definition, definition.decorator_list
            elif isinstance(definition, ast.Call) and definition.args:  # step = tool(function)
                function = self.defined(last_name(definition.args[0]))
                if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    yield None, function, [definition.func]
            elif isinstance(definition, ast.ClassDef):
                yield from ((definition, method, method.decorator_list) for method in self._methods(definition))

    def _methods(self, owner: ast.ClassDef) -> Iterator[Function]:
        """The methods of a tool class, inherited ones included, each name once."""
        classes, ancestors = self.lineage(owner)
        if any(name.rpartition(".")[2] == "ToolProvider" for name in ancestors):
            named: dict[str, Function] = {}
            for each in reversed(classes):
                named |= self.own_methods(each)
            yield from named.values()

    def _origin_of_tool(self, decorators: list[ast.expr]) -> str | None:
        origin = None
        for decorator in decorators:
            name = self.full_name(decorator.func if isinstance(decorator, ast.Call) else decorator)
            if name.rpartition(".")[2].removeprefix(LOCAL) == "tool":
                if name.startswith("promptflow."):
                    return "promptflow"
                origin = "elsewhere"
        return origin

    def _parameter(self, function: Function, name: str, class_names: tuple[str, ...]) -> ConnectionParameter:
        strong = [each for each in class_names if each not in CONNECTION_TYPES]
        if strong:
            return ConnectionParameter(name, ("CustomConnection",), self._strong_type_keys(strong[0]))
        if "CustomConnection" not in class_names:
            return ConnectionParameter(name, class_names)
        keys = self.once("keys", function, lambda: keys_by_name(function))
        return ConnectionParameter(name, class_names, keys.get(name, ConnectionKeys()))

    def _connection_classes(self, annotation: ast.expr | None) -> Iterator[str]:
        """The connection classes in an annotation: ``Union``, ``Optional``, ``|`` and quoted ones included."""
        for node in ast.walk(annotation) if annotation else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
                    yield from self._connection_classes(ast.parse(node.value, mode="eval").body)
            elif isinstance(node, (ast.Name, ast.Attribute)):
                name = last_name(node)
                name = self.imported_names.get(name, name).rpartition(".")[2]
                if name in CONNECTION_TYPES or name in self._strong_types:
                    yield name

    @cached_property
    def _strong_types(self) -> Mapping[str, ast.ClassDef]:
        return {
            node.name: node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ClassDef) and any(last_name(base) == _STRONG_TYPE for base in node.bases)
        }

    def _strong_type_keys(self, name: str) -> ConnectionKeys:
        fields = [each for each in self._strong_types[name].body if isinstance(each, ast.AnnAssign)]
        named = {each.target.id: last_name(each.annotation) for each in fields if isinstance(each.target, ast.Name)}
        secrets = frozenset(key for key, annotation in named.items() if annotation == "Secret")
        return ConnectionKeys(frozenset(named) - secrets, secrets)


def keys_used(function: Function | ast.AST, parameter: str) -> ConnectionKeys:
    """Finds ``c.api_key``, ``c.secrets["k"]``, ``c.configs.get("k")`` and ``getattr(c, "k")``."""
    return keys_by_name(function).get(parameter, ConnectionKeys())


def keys_by_name(function: Function | ast.AST) -> Mapping[str, ConnectionKeys]:
    """The keys used of each name. Takes one walk, because a function may have thousands of parameters."""
    found: dict[str, dict[str, set[str]]] = {}

    def used(name: str, where: str, keys: set[str]) -> None:
        found.setdefault(name, {"configs": set(), "secrets": set(), "either": set()})[where].update(keys)

    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr not in _OF_EVERY_CONNECTION and not node.attr.startswith("_"):
                used(node.value.id, "either", {node.attr})
        elif isinstance(node, ast.Subscript):
            if holder := _holder(node.value):
                used(*holder, _text(node.slice))
        elif isinstance(node, ast.Call) and node.args:
            if isinstance(node.func, ast.Attribute) and node.func.attr == "get":
                if holder := _holder(node.func.value):
                    used(*holder, _text(node.args[0]))
            elif last_name(node.func) == "getattr" and len(node.args) > 1 and isinstance(node.args[0], ast.Name):
                used(node.args[0].id, "either", _text(node.args[1]))
    return {name: _keys(**keys) for name, keys in found.items()}


def _keys(configs: set[str], secrets: set[str], either: set[str]) -> ConnectionKeys:
    known = ConnectionKeys(frozenset(configs), frozenset(secrets))
    return known | ConnectionKeys.guessed(frozenset(either - configs - secrets))


def _holder(node: ast.expr) -> tuple[str, str] | None:
    """The name, and the part of it that a key is looked up in; None if it cannot be a connection."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.attr in {"configs", "secrets"}:
        return node.value.id, node.attr
    return (node.id, "either") if isinstance(node, ast.Name) else None


def _text(node: ast.expr) -> set[str]:
    return {node.value} if isinstance(node, ast.Constant) and isinstance(node.value, str) else set()
