"""Finds the modules of packages that a flow's code imports."""

from __future__ import annotations

import ast
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from flowpack.checks.distributions import DISTRIBUTIONS
from flowpack.errors import Location
from flowpack.flows.model import Flow
from flowpack.flows.python_source import read_source
from flowpack.flows.tool_sources import ToolSource
from flowpack.reading import Roots

_DEEPEST = 64  # packages within packages; a longer name takes quadratic time and finds nothing


def imports_of(flow: Flow, sources: Mapping[str, ToolSource]) -> Iterator[tuple[str, Location]]:
    """Modules of DISTRIBUTIONS among ``all_imports_of`` the flow."""
    for name, location in all_imports_of(flow, sources):
        module = next((each for each in DISTRIBUTIONS if f"{name}.".startswith(f"{each}.")), None)
        if module:
            yield module, location


def all_imports_of(flow: Flow, sources: Mapping[str, ToolSource]) -> Iterator[tuple[str, Location]]:
    """What the code imports as soon as it loads and is not the flow's own, in the sources that the flow reaches.

    ``from a import b`` counts as ``a.b``, which may be a module or a name in one.
    """
    waiting = deque(_first(flow, sources))
    seen = set(waiting)
    while waiting:
        source = sources[waiting.popleft()]
        local = {path for module in source.imported_modules for path in _files(module, sources)}
        waiting += sorted(local - seen)
        seen |= local
        for statement in source.tree.body:  # not those within `try` and `if`, which may be meant to fail
            for name in _modules(statement):
                if not any(_files(name.partition(".")[0], sources)):
                    yield name, source.location(statement)


def mentions(modules: Sequence[str], paths: Mapping[str, Path], within: Roots) -> bool:
    """Whether any source contains one of the names, even in a string."""
    words = re.compile("|".join(rf"\b{re.escape(module)}\b" for module in modules).encode())
    sources = (read_source(paths[target], within) for target in paths if target.endswith(".py"))
    return any(words.search(source) for source in sources if source)


def _first(flow: Flow, sources: Mapping[str, ToolSource]) -> Iterator[str]:
    for node in flow.nodes:
        path = (node.source.path if node.source else None) or ""
        target = "/".join(part for part in path.replace("\\", "/").split("/") if part not in {"", "."})
        if target in sources:
            yield target
    if flow.entry:
        yield from _files(flow.entry.partition(":")[0], sources)


def _files(module: str, sources: Mapping[str, ToolSource]) -> Iterator[str]:
    """The flow's own files that an imported name may refer to: the module, or the module that contains it."""
    parts = module.split(".", _DEEPEST)[:_DEEPEST]
    for end in range(1, len(parts) + 1):
        path = "/".join(parts[:end])
        yield from (each for each in (f"{path}.py", f"{path}/__init__.py") if each in sources)


def _modules(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
        yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
