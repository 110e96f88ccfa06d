"""Finds imports that work in the project but not in the standalone folder, without running the code.

In the project, a flow's code may import modules beside the flow folder, through ``sys.path`` or ``PYTHONPATH``. The
image contains only the standalone folder. Only sources that the flow imports, directly or not, are read.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from flowpack.errors import Location, shown_path
from flowpack.flows.model import Flow
from flowpack.flows.python_source import PythonSource, read_source
from flowpack.flows.sys_path_edits import added_folders
from flowpack.reading import is_file, lies_within

_AN_IMPORT = re.compile(rb"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import|import[ \t]+([\w., \t]+))", re.M)
_FORGIVING = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
_OF_PROMPTFLOW = {"promptflow"}
_STANDALONE = os.sep + "standalone"
_DEEPEST_MODULE = 100
_MOST_FOLDERS = 50
"""Folders that sources add to ``sys.path``. Each import is looked up in each of them."""


@dataclass(frozen=True, slots=True)
class MissingImport:
    module: str
    location: Location
    remedy: str

    def __str__(self) -> str:
        return f"{self.location}: the standalone folder lacks the module '{self.module}': {self.remedy}"


class _Import(NamedTuple):
    module: str
    names: tuple[str, ...]
    location: Location
    is_optional: bool

    @property
    def submodules(self) -> tuple[str, ...]:
        """``from package import name``: each name may be a module."""
        return tuple(f"{self.module}.{name}" for name in self.names)

    @property
    def modules(self) -> Iterator[str]:
        """The modules that the import may run, parents and submodules included."""
        parts = self.module.split(".", _DEEPEST_MODULE)[:_DEEPEST_MODULE]  # no folders are nested more deeply
        yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))
        yield from self.submodules


def find_missing_imports(
    flow: Flow, files: Mapping[str, Path], project: Path, required: Callable[[], Collection[str]]
) -> Iterator[MissingImport]:
    """``required`` returns the names of the flow's requirements. It is called only if an import looks missing."""
    search = _Search(flow, files, project)
    waiting = deque(search.first_sources())
    seen = set(waiting)
    told: set[str] = set()
    while waiting:
        target = waiting.popleft()
        for each in search.imports(target):
            reached = [found for found in dict.fromkeys(search.reached(each)) if found not in seen]
            seen.update(reached)
            waiting += reached
            missing = None if each.is_optional else search.missing(each)
            if missing and missing.remedy not in told and not _is_required(each.module, required()):
                told.add(missing.remedy)
                yield missing


def _is_required(module: str, required: Collection[str]) -> bool:
    return re.sub(r"[-_.]+", "-", module.partition(".")[0]).lower() in required


class _Search:
    """Looks for modules, first in the standalone folder, then on this machine."""

    def __init__(self, flow: Flow, files: Mapping[str, Path], project: Path) -> None:
        self._flow = flow
        self._files = files
        self._project = project
        self._prefixes = [""]
        above = [folder for folder in flow.folder.parents if folder == project or project in folder.parents]
        # Each folder that Python may search, with a note on the source line that adds it, if one does.
        self._beside: dict[Path, str] = dict.fromkeys([flow.folder, *above, project / "src"], "")
        self._listings: dict[Path, set[str]] = {}

    @cached_property
    def _packages(self) -> Mapping[str, Path]:
        """Folders in the standalone folder with sources in or below them, and where each comes from."""
        packages: dict[str, Path] = {}
        for target, origin in self._files.items():
            folder, parent = target.rpartition("/")[0], origin.parent
            while target.endswith(".py") and folder and folder not in packages:
                packages[folder] = parent
                folder, parent = folder.rpartition("/")[0], parent.parent
        return packages

    def first_sources(self) -> list[str]:
        """The sources that promptflow loads: the nodes', or the entry's module, perhaps in the folder ``code``."""
        found = []
        for node in self._flow.nodes:
            path = node.source.path if node.source and node.source.type == "code" else None
            target = "/".join(part for part in (path or "").replace("\\", "/").split("/") if part not in {"", "."})
            if target.endswith(".py") and target in self._files:
                found.append(target)
        module = (self._flow.entry or "").partition(":")[0]
        entry = self._source("", module) if module else None
        if module and entry is None:
            ending = "/" + module.replace(".", "/") + ".py"
            entry = next((target for target in self._files if target.endswith(ending)), None)
            self._prefixes += [entry.removesuffix(ending) + "/"] if entry else []
        found += [entry] if entry else []
        return list(dict.fromkeys(found))

    def imports(self, target: str) -> list[_Import]:
        """The imports of a source; none if its text shows that all are installed or in the standard library."""
        path = self._files[target]
        text = read_source(path, self._flow.roots)
        if text is None:
            return []
        edits_path = b"sys.path" in text or b"addsitedir" in text
        if not edits_path and not any(self._is_of_interest(top) for top in _tops(text)):
            return []
        source = PythonSource.read(path, self._flow.roots)
        if source is None:
            return []
        if edits_path:
            self._follow_edits(source, target)
        return list(_imports(source, target))

    def reached(self, each: _Import) -> Iterator[str]:
        """The sources in the standalone folder that the import runs."""
        for module in each.modules:
            found = (self._source(prefix, module) for prefix in self._prefixes)
            yield from filter(None, [next(filter(None, found), None)])

    def missing(self, each: _Import) -> MissingImport | None:
        top = each.module.partition(".")[0]
        if _is_never_local(top):
            return None
        prefix = next((prefix for prefix in self._prefixes if self._is_there(prefix, top)), None)
        if prefix is not None:
            left_out = self._left_out(each, prefix)
            if left_out or self._source(prefix, top) or self._is_there(prefix, each.module):
                return left_out
        folder = next((folder for folder in self._beside if self._holds(folder, each)), None)
        return MissingImport(each.module, each.location, self._remedy(folder, top)) if folder else None

    def _left_out(self, each: _Import, prefix: str) -> MissingImport | None:
        """A package in the folder may lack a module because an ignore rule leaves it out."""
        for module in each.modules:
            folder, _, name = (prefix + module.replace(".", "/")).rpartition("/")
            origin = self._packages.get(folder)
            if origin and not self._is_there(prefix, module) and _is_module(origin / name):
                return MissingImport(module, each.location, _left_out(origin / name))
        return None

    def _remedy(self, folder: Path, top: str) -> str:
        path = folder / f"{top}.py" if f"{top}.py" in self._listed(folder) else folder / top
        if folder == self._flow.folder:
            return _left_out(folder / top)
        if path in self._flow.folder.parents:
            return f"it is in '{shown_path(path)}', which contains the flow itself; move the code to another folder"
        written = os.path.relpath(path, self._flow.folder).replace(os.sep, "/")
        return f"add to additional_includes: - {written}{self._beside[folder]}"

    def _source(self, prefix: str, module: str) -> str | None:
        path = prefix + module.replace(".", "/")
        return next((each for each in (f"{path}.py", f"{path}/__init__.py") if each in self._files), None)

    def _is_there(self, prefix: str, module: str) -> bool:
        return bool(self._source(prefix, module)) or prefix + module.replace(".", "/") in self._packages

    def _holds(self, folder: Path, each: _Import) -> bool:
        """Whether the folder has the module. For a package without ``__init__``, the whole path must exist."""
        top = each.module.partition(".")[0]
        if not self._listed(folder) & {top, f"{top}.py"}:
            return False
        paths = [folder.joinpath(*module.split(".")) for module in (each.module, *each.submodules)]
        return _is_module(folder / top) or any(_is_module(path) for path in paths)

    def _listed(self, folder: Path) -> set[str]:
        if folder not in self._listings:
            try:
                self._listings[folder] = set(os.listdir(folder))  # noqa: PTH208
            except OSError:
                self._listings[folder] = set()
        return self._listings[folder]

    def _is_of_interest(self, top: str) -> bool:
        """Whether a module of this name is relative, in the standalone folder, or beside the flow."""
        if not top or _is_never_local(top):
            return not top
        inside = any(self._is_there(prefix, top) for prefix in self._prefixes)
        return inside or any(self._listed(folder) & {top, f"{top}.py"} for folder in self._beside)

    def _follow_edits(self, source: PythonSource, target: str) -> None:
        for _, folder in added_folders(source, f"{_STANDALONE}/{target}", _STANDALONE):
            prefix = folder[len(_STANDALONE) + 1 :].replace(os.sep, "/") + "/"
            is_inside = folder.startswith(_STANDALONE + os.sep)
            if is_inside and prefix not in self._prefixes and len(self._prefixes) < _MOST_FOLDERS:
                self._prefixes.append(prefix)
        for call, folder in added_folders(source, str(self._files[target]), str(self._flow.folder)):
            where = source.location(call)
            if len(self._beside) >= _MOST_FOLDERS:
                break
            if not lies_within(os.path.realpath(folder), self._flow.roots):
                continue  # nothing outside the project is read
            self._beside.setdefault(
                Path(folder), f" ({shown_path(where.path)}:{where.line} adds its folder to sys.path)"
            )


def _left_out(module: Path) -> str:
    file = module.with_name(f"{module.name}.py")
    return f"an ignore rule leaves out '{shown_path(file if is_file(file) else module)}'"


def _is_module(path: Path) -> bool:
    return is_file(path.with_name(f"{path.name}.py")) or is_file(path / "__init__.py")


def _is_never_local(top: str) -> bool:
    return top in sys.stdlib_module_names or top in _OF_PROMPTFLOW


def _tops(text: bytes) -> Iterator[str]:
    for match in _AN_IMPORT.finditer(text):
        modules = (match[1] or match[2]).decode("utf-8", "replace")
        yield from (part.split()[0].partition(".")[0] for part in modules.split(",") if part.split())


def _imports(source: PythonSource, target: str) -> Iterator[_Import]:
    """All imports but those for type checkers only. Those that may fail (``except ImportError``) are optional."""
    package = target.rpartition("/")[0].replace("/", ".")
    waiting: deque[tuple[ast.AST, bool]] = deque([(source.tree, False)])
    while waiting:
        node, optional = waiting.popleft()
        if isinstance(node, ast.Import):
            yield from (_Import(alias.name, (), source.location(node), optional) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            if module:
                names = tuple(alias.name for alias in node.names if alias.name != "*")
                yield _Import(module, names, source.location(node), optional)
        elif isinstance(node, ast.Try) and any(_forgives(handler) for handler in node.handlers):
            waiting += [(each, True) for each in (*node.body, *node.handlers)]
            waiting += [(each, optional) for each in (*node.orelse, *node.finalbody)]
        elif isinstance(node, ast.If) and _is_not_run(node.test):
            waiting += [(each, optional) for each in node.orelse]
        else:
            waiting += [(each, optional) for each in ast.iter_child_nodes(node)]


def _absolute(node: ast.ImportFrom, package: str) -> str | None:
    if not node.level:
        return node.module
    parts = package.split(".") if package else []
    if node.level > len(parts):  # the source has no package: the import fails in the project too
        return None
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def _forgives(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(each, ast.Name) and each.id in _FORGIVING for each in types)


def _is_not_run(test: ast.expr) -> bool:
    names = {each.id if isinstance(each, ast.Name) else getattr(each, "attr", "") for each in ast.walk(test)}
    return "TYPE_CHECKING" in names or "__name__" in names
