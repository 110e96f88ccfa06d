"""Reads the signatures of a flow's functions and classes as promptflow sees them after importing the code.

The rules are those of ``function_to_interface`` and ``generate_flow_meta_dict_by_object`` of promptflow-core 1.18.5; a
differential test compares the two.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowpack.errors import Location
from flowpack.flows.annotations import Annotation, default_of, is_text, members_of, type_of_default
from flowpack.flows.model import REQUIRED
from flowpack.flows.python_source import Function, PythonSource
from flowpack.flows.tool_sources import ToolSource

_REFUSED_ANSWER = "must return str, a dataclass or a TypedDict, or have no return annotation"


_MOST_TOOLS = 100
_MOST_PARAMETERS = 1_000
"""A file should have one tool. Each method of a tool class is one, with all parameters of the constructor."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """``types`` are promptflow's names (``string``, ``object``, a connection's class), several for a union.

    ``why_not_served`` says why a flex flow with this parameter does not start, if the source shows it.
    """

    name: str
    types: tuple[str, ...]
    location: Location
    default: Any = REQUIRED
    options: tuple[str, ...] = ()
    why_not_served: str | None = None


@dataclass(frozen=True, slots=True)
class ToolSignature:
    """A function with ``@tool``, or a method together with its class's ``__init__``. ``name`` is qualified."""

    name: str
    inputs: Mapping[str, Parameter]
    location: Location


@dataclass(frozen=True, slots=True)
class EntrySignature:
    """A flex flow's entry. ``init`` is None for a function, ``outputs`` is None if it returns a single value.

    ``why_not_served`` is about the entry and its return type; each parameter has its own.
    """

    inputs: Mapping[str, Parameter]
    outputs: Mapping[str, Parameter] | None
    init: Mapping[str, Parameter] | None
    location: Location
    why_not_served: str | None = None


def read_tools(source: ToolSource) -> tuple[ToolSignature, ...]:
    """Every tool that promptflow collects in the file; a node's file should have one."""
    return source.once("tools", source.tree, lambda: tuple(_tools(source)))


def _tools(source: ToolSource) -> Iterator[ToolSignature]:
    for owner, function in source.tools[:_MOST_TOOLS]:
        init = source.method(owner, "__init__") if owner else None
        if not (_is_of_a_person(function) and (init is None or _is_of_a_person(init))):
            continue
        inputs = _parameters(source, init, with_rest=True) if init else {}
        name = f"{owner.name}.{function.name}" if owner else function.name
        yield ToolSignature(name, inputs | _parameters(source, function), source.location(function))


def read_entry(source: PythonSource, name: str) -> EntrySignature | None:
    """The signature of ``module:name``; None if the file itself does not define that function or callable class."""
    definition = source.defined(name)
    if definition is not None and not _is_of_a_person(definition):
        return None
    if isinstance(definition, ast.ClassDef):
        call = source.method(definition, "__call__")
        if call is None:
            return None
        init = _init(source, definition)
        outputs, problem = _outputs(source, call.returns)
        if init is None:
            problem = "has no __init__; promptflow needs one, even if it is empty"
        return EntrySignature(_parameters(source, call), outputs, init or {}, source.location(definition), problem)
    if isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
        outputs, problem = _outputs(source, definition.returns)
        return EntrySignature(_parameters(source, definition), outputs, None, source.location(definition), problem)
    return None


def _init(source: PythonSource, owner: ast.ClassDef) -> dict[str, Parameter] | None:
    init = source.method(owner, "__init__")
    if init:
        return _parameters(source, init, model_configurations=True)
    if _is_dataclass(source, owner):
        return _fields(source, owner, model_configurations=True)
    return None if source.lineage(owner)[1] <= {"object"} else {}


def _outputs(source: PythonSource, returns: ast.expr | None) -> tuple[dict[str, Parameter] | None, str | None]:
    """The fields of the return type, and why promptflow refuses it."""
    if returns is None:
        return None, None
    if is_text(source, returns):
        return None, f"{_REFUSED_ANSWER}; promptflow does not read string annotations"
    members = members_of(source, returns)
    owner = source.local_class(members[0]) if len(members) == 1 else None
    if owner is not None and (_is_dataclass(source, owner) or _is_typed_dict(source, owner)):
        return _fields(source, owner), None
    fields = _fields_of_call(source, members[0]) if len(members) == 1 else None
    if fields is not None:
        return fields, None
    annotation = Annotation(source, returns)
    certain = annotation.types != ("object",) or annotation.why_not_served or source.full_name(returns) == "dict"
    return None, _REFUSED_ANSWER if certain and annotation.types != ("string",) else None


def _is_of_a_person(definition: ast.AST) -> bool:
    """False if there are thousands of parameters or fields. Nobody writes that, so the definition is ignored."""
    if isinstance(definition, ast.ClassDef):
        methods = (each for each in definition.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)))
        return len(definition.body) <= _MOST_PARAMETERS and all(map(_is_of_a_person, methods))
    if isinstance(definition, (ast.FunctionDef, ast.AsyncFunctionDef)):
        given = definition.args
        return len(given.posonlyargs) + len(given.args) + len(given.kwonlyargs) <= _MOST_PARAMETERS
    return True


def _parameters(
    source: PythonSource, function: Function, *, with_rest: bool = False, model_configurations: bool = False
) -> dict[str, Parameter]:
    """``with_rest`` includes ``*args`` and ``**kwargs``, as promptflow does for a tool class's ``__init__``."""
    arguments = function.args
    positional = (*arguments.posonlyargs, *arguments.args)
    without = [None] * (len(positional) - len(arguments.defaults))
    pairs: list[tuple[ast.arg, ast.expr | None]] = [*zip(positional, [*without, *arguments.defaults], strict=True)]
    pairs += [(arguments.vararg, None)] if with_rest and arguments.vararg else []
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    pairs += [(arguments.kwarg, None)] if with_rest and arguments.kwarg else []
    return {
        each.arg: _parameter(source, each.arg, each, default, model_configurations)
        for each, default in pairs
        if each.arg != "self"
    }


def _fields(source: PythonSource, owner: ast.ClassDef, *, model_configurations: bool = False) -> dict[str, Parameter]:
    return {
        item.target.id: _parameter(source, item.target.id, item, item.value, model_configurations)
        for each in reversed(source.lineage(owner)[0])
        for item in each.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }


def _fields_of_call(source: PythonSource, node: ast.expr) -> dict[str, Parameter] | None:
    """Those of ``TypedDict("Answer", {"output": str})``; None of anything else."""
    if not isinstance(node, ast.Call) or source.full_name(node.func).rpartition(".")[2] != "TypedDict":
        return None
    fields = node.args[1] if len(node.args) > 1 else None
    if not isinstance(fields, ast.Dict) or len(fields.keys) > _MOST_PARAMETERS:
        return None
    return {
        key.value: Parameter(key.value, Annotation(source, value).types, source.location(value))
        for key, value in zip(fields.keys, fields.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def _parameter(
    source: PythonSource, name: str, node: ast.arg | ast.AnnAssign, default: ast.expr | None, model_configurations: bool
) -> Parameter:
    location = source.location(node)
    value = default_of(source, default) if default is not None else REQUIRED
    if node.annotation is not None:
        found = Annotation(source, node.annotation, model_configurations=model_configurations)
        return Parameter(name, found.types, location, value, found.options, found.why_not_served)
    if default is not None:
        types, options = type_of_default(source, default)
        return Parameter(name, types, location, value, options)
    return Parameter(name, ("object",), location)


def _is_typed_dict(source: PythonSource, owner: ast.ClassDef) -> bool:
    return any(name.rpartition(".")[2] in {"TypedDict", "dict"} for name in source.lineage(owner)[1])


def _is_dataclass(source: PythonSource, owner: ast.ClassDef) -> bool:
    decorators = (each.func if isinstance(each, ast.Call) else each for each in owner.decorator_list)
    return any(source.full_name(each) == "dataclasses.dataclass" for each in decorators)
