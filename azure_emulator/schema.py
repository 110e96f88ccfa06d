"""Checks a request's body against the models that ship inside azure-ai-ml, as strictly as their declarations read.

The client's own deserialiser takes anything; here a member that the model has not, one that it requires and that is
missing, and a value of another type are each a problem.
"""

from __future__ import annotations

import enum
import importlib
import importlib.util
import sys
import types
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Union

SCALARS = {str: "a string", int: "an integer", float: "a number", bool: "a boolean"}


def problems(body: Any, model: str) -> list[str]:
    """What is wrong with ``body`` as an instance of this class of azure-ai-ml's client, each with its JSON path."""
    return list(_of_value(body, getattr(_models(), model), "$"))


@cache
def _models() -> ModuleType:
    """The client's package alone: all of azure-ai-ml around it would take seconds to import."""
    whole = importlib.util.find_spec("azure.ai.ml")
    assert whole and whole.submodule_search_locations
    folder = Path(whole.submodule_search_locations[0], "_restclient", "arm_ml_service")
    spec = importlib.util.spec_from_file_location(
        "arm_ml_service", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None or not folder.is_dir():
        raise RuntimeError(f"this azure-ai-ml has its models elsewhere than in {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules["arm_ml_service"] = package
    spec.loader.exec_module(package)
    return importlib.import_module("arm_ml_service.models")


@cache
def _members(model: type) -> dict[str, tuple[Any, bool]]:
    """By the name on the wire: the type, and whether the server alone writes it."""
    hints = typing.get_type_hints(model, vars(sys.modules[model.__module__]), {"_models": _models()})
    found = {}
    for base in reversed(model.__mro__):
        for name, field in vars(base).items():
            if hasattr(field, "_rest_name_input") and name in hints:
                read_only = field._visibility == ["read"]
                found[field._rest_name_input or name] = (hints[name], read_only)
    return found


def _of_value(value: Any, wanted: Any, path: str) -> Iterator[str]:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is Any or _is_json(wanted):
        return
    if origin in (Union, types.UnionType):
        yield from _of_union(value, arguments, path)
    elif origin is Literal:
        if value not in [getattr(one, "value", one) for one in arguments]:
            yield f"{path}: {value!r} is none of {[getattr(one, 'value', one) for one in arguments]}"
    elif origin is list:
        if not isinstance(value, list):
            yield f"{path}: not a list"
            return
        for index, one in enumerate(value):
            yield from _of_value(one, arguments[0], f"{path}[{index}]")
    elif origin is dict:
        if not isinstance(value, dict):
            yield f"{path}: not an object"
            return
        for name, one in value.items():
            yield from _of_value(one, arguments[1], f"{path}.{name}")
    elif isinstance(wanted, type) and hasattr(wanted, "_is_model"):
        yield from _of_model(value, wanted, path)
    elif isinstance(wanted, type) and issubclass(wanted, enum.Enum):
        if value not in [one.value for one in wanted]:
            yield f"{path}: {value!r} is none of {[one.value for one in wanted]}"
    elif wanted in SCALARS:
        if not _is_scalar(value, wanted):
            yield f"{path}: {value!r} is not {SCALARS[wanted]}"
    elif not isinstance(value, str):  # dates, durations, bytes: all of them text on the wire
        yield f"{path}: {value!r} is not text"


def _of_union(value: Any, arguments: tuple[Any, ...], path: str) -> Iterator[str]:
    if value is None and type(None) in arguments:
        return
    tried = [list(_of_value(value, one, path)) for one in arguments if one is not type(None)]
    if all(tried):
        yield from tried[-1]


def _of_model(value: Any, model: type, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path}: not an object"
        return
    model = _subclass(value, model)
    members = _members(model)
    for name, one in value.items():
        if name not in members:
            yield f"{path}: Could not find member '{name}' on object of type '{model.__name__}'"
        elif not members[name][1]:  # what the server alone writes, it ignores in a request
            yield from _of_value(one, members[name][0], f"{path}.{name}")
    for name, (wanted, read_only) in members.items():
        if not read_only and type(None) not in typing.get_args(wanted) and value.get(name) is None:
            yield f"{path}: Required property '{name}' not found on object of type '{model.__name__}'"


def _subclass(value: dict[str, Any], model: type) -> type:
    """The class that the value's discriminators name."""
    for name, field in vars(model).items():
        if getattr(field, "_is_discriminator", False):
            chosen = getattr(model, "__mapping__", {}).get(value.get(field._rest_name_input or name))
            if chosen and chosen is not model and issubclass(chosen, model):
                return _subclass(value, chosen)
    return model


def _is_scalar(value: Any, wanted: type) -> bool:
    if wanted is bool or isinstance(value, bool):
        return wanted is bool and isinstance(value, bool)
    return isinstance(value, (int, float)) if wanted is float else isinstance(value, wanted)


def _is_json(wanted: Any) -> bool:
    return wanted is object or wanted is dict
