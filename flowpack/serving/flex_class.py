"""What a flex flow's class is created with, read from its source: promptflow runs the class to find out."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .problems import Problem, nearest

INIT_CONFIG = "PF_FLOW_INIT_CONFIG"


@dataclass(frozen=True)
class Constructor:
    """The parameters of ``__init__``; ``takes_any`` with ``**kwargs``."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    takes_any: bool


def problems_of_init(flow: Path, data: Mapping[str, Any], given: Mapping[str, Any]) -> list[Problem]:
    """``data`` is the flow file's content. promptflow takes ``given`` instead of the sample's ``init``."""
    constructor = read_constructor(flow, data)
    if constructor is None:
        return []
    declared = _mapping(data.get("init"))
    defaults = {key for key, each in declared.items() if _mapping(each).get("default") not in (None, "")}
    values = given or _mapping(_mapping(data.get("sample")).get("init"))
    lacking = [name for name in constructor.required if name not in values and name not in defaults]
    problems = []
    if lacking:
        named = ", ".join(f"'{name}'" for name in lacking)
        reason = f"has no {named}, which" if given else f"JSON with {named}, which"
        problems.append(Problem(INIT_CONFIG, f"{reason} class '{constructor.name}' needs", missing=not given))
    known = (*constructor.required, *constructor.optional)
    unknown = [] if constructor.takes_any else [name for name in given if name not in known]
    problems += [_unknown(name, known, constructor.name) for name in unknown]
    return problems


def read_constructor(flow: Path, data: Mapping[str, Any]) -> Constructor | None:
    """None for a function, and for a class whose ``__init__`` is inherited, generated or wrapped."""
    module, _, name = str(data.get("entry") or "").partition(":")
    path = "/".join([str(data.get("code") or "."), *module.split(".")])
    source = next((each for each in (flow / f"{path}.py", flow / path / "__init__.py") if each.is_file()), None)
    if source is None:
        return None
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # promptflow says what is wrong with it
    owners = [each for each in tree.body if isinstance(each, ast.ClassDef) and each.name == name]
    methods = owners[-1].body if owners and not owners[-1].decorator_list else []
    found = [each for each in methods if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    if not found or found[-1].decorator_list:
        return None
    return _constructor(name, found[-1].args)


def _constructor(name: str, arguments: ast.arguments) -> Constructor:
    positional = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    first_default = len(positional) - len(arguments.defaults)
    by_name = list(zip(arguments.kwonlyargs, arguments.kw_defaults))  # noqa: B905 - strict is of 3.10
    required = [*positional[1:first_default], *(each.arg for each, default in by_name if default is None)]
    optional = [*positional[max(first_default, 1) :], *(each.arg for each, default in by_name if default is not None)]
    return Constructor(name, tuple(required), tuple(optional), takes_any=arguments.kwarg is not None)


def _unknown(name: str, known: tuple[str, ...], owner: str) -> Problem:
    near = nearest(name, known)
    meant = f"; did you mean '{near}'?" if near else f"; it has: {', '.join(known) or 'none'}"
    return Problem(INIT_CONFIG, f"class '{owner}' has no parameter '{name[:100]}'{meant}", missing=False)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
