"""Finds what to check: the flows below a folder, and the Azure ML documents that belong to them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flowpack.assembly.ignore import why_always_out
from flowpack.checks.azure_documents import kind_of
from flowpack.errors import InputError, Location, UsageError
from flowpack.flows.resolve import FLOW_FILE_NAMES
from flowpack.reading import DOCUMENT_BYTES, is_folder, project_root, read_bytes

_NOT_OF_A_PROJECT = {"node_modules", "site-packages"}
_BUILD_OUTPUT = "flowpack.json"
_DEEPEST = 100
"""Levels of folders below the checked one. More are a trap, not a project."""
_ENVIRONMENT = "pyvenv.cfg"
_DAG = (".dag.yaml", ".dag.yml")
_CONFIGURATION = re.compile(rb"^[ \t]+configuration[ \t]*:", re.MULTILINE)
_PROMPTY_PACKAGE = re.compile(rb"^[ \t]*(?:import|from)[ \t]+prompty\b", re.MULTILINE)
_HAS_NODES = re.compile(rb"^nodes[ \t]*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Place:
    """A flow with the Azure ML documents that belong to it, or documents without a flow (``flow`` is None)."""

    flow: Path | None
    documents: tuple[Path, ...] = ()


@dataclass(slots=True)
class _Found:
    flows: list[Path] = field(default_factory=list)
    prompties: list[Path] = field(default_factory=list)
    asked_for: set[Path] = field(default_factory=set)
    documents: list[Path] = field(default_factory=list)


def find_places(sources: Sequence[str]) -> tuple[Place, ...]:
    """Sorted by path. Raises UsageError if a source does not exist, and InputError if it contains no flow."""
    found = _Found()
    for source in sources:
        before = _count(found)
        for path in _expanded(source):
            _look(path, found)
        if _count(found) == before:
            hint = "give a flow, or a folder with a flow.dag.yaml, for example"
            raise InputError("no flow here", location=Location(Path(source)), hint=hint)
    flows = sorted(dict.fromkeys([*found.flows, *_own_flows(found)]))
    return tuple(_with_documents(flows, sorted(set(found.documents))))


def _count(found: _Found) -> int:
    return len(found.flows) + len(found.prompties) + len(found.documents)


def _expanded(source: str) -> list[Path]:
    if os.path.lexists(source):
        return [_found_at(Path(source))]
    matches = glob.glob(source, recursive=True) if glob.has_magic(source) else []  # noqa: PTH207  (absolute ones too)
    if not matches:
        raise UsageError(f"'{source}' does not exist")
    return [_found_at(Path(match)) for match in sorted(matches)]


def _found_at(path: Path) -> Path:
    """Does not resolve a file's own link: only the content comes from its target, not the place."""
    return path.resolve() if is_folder(path) else path.parent.resolve() / path.name


def _look(path: Path, found: _Found) -> None:
    if not is_folder(path):
        _take(path, found, asked_for=True)
        return
    waiting = [(str(path), 0)]
    while waiting:
        folder, depth = waiting.pop()
        here = _entries(folder, depth)
        names = {entry.name for entry in here}
        if _ENVIRONMENT in names or _BUILD_OUTPUT in names:
            continue
        for entry in here:
            if entry.is_dir(follow_symlinks=False):
                if _is_of_the_project(entry.name):
                    waiting.append((entry.path, depth + 1))
            elif entry.name.endswith((".yaml", ".yml", ".prompty")):
                _take(Path(entry.path), found)


def _entries(folder: str, depth: int) -> list[os.DirEntry[str]]:
    if depth > _DEEPEST:
        raise InputError(
            f"folders are nested more than {_DEEPEST} levels deep",
            location=Location(Path(folder)),
            hint="name the flows' own folders",
        )
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}",
            location=Location(Path(folder)),
            hint="make it readable, or name the flows' own folders",
        ) from error


def _is_of_the_project(name: str) -> bool:
    return not name.startswith(".") and name not in _NOT_OF_A_PROJECT and why_always_out(name) is None


def _take(path: Path, found: _Found, *, asked_for: bool = False) -> None:
    if asked_for:
        found.asked_for.add(path)
    if path.suffix == ".prompty":
        found.prompties.append(path)
    elif path.name in FLOW_FILE_NAMES:
        found.flows.append(path)
    elif path.suffix in {".yaml", ".yml"}:
        text = _content(path)
        if path.name.endswith(_DAG) and _HAS_NODES.search(text):
            found.flows.append(path)
        elif kind_of(path.name, text):
            found.documents.append(path)
        elif asked_for:
            found.flows.append(path)


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path, limit=DOCUMENT_BYTES, within=[project_root(path.parent)])
    except InputError:  # the rule that needs the file reports it
        return b""


def _own_flows(found: _Found) -> Iterator[Path]:
    """Prompties outside the folders of other flows that do not belong to the code beside or above them."""
    folders = {str(flow.parent) for flow in found.flows}
    for path in found.prompties:
        is_of_a_flow = any(str(parent) in folders for parent in path.parents)
        if not is_of_a_flow and (path in found.asked_for or not _is_called_by_code(path)):
            yield path


def _is_called_by_code(path: Path) -> bool:
    """Whether a Python file names the prompty and gives it its model, or calls it without promptflow.

    An evaluator does the first, with ``Prompty.load(source, model=...)``. The second uses the package ``prompty``.
    """
    name = path.name.encode()
    sources = (_content(source) for folder in path.parents[:2] for source in folder.glob("*.py"))
    callers = [source for source in sources if name in source]
    is_whole = _CONFIGURATION.search(_content(path)) is not None
    return bool(callers) and (not is_whole or any(map(_PROMPTY_PACKAGE.search, callers)))


def _with_documents(flows: Sequence[Path], documents: Iterable[Path]) -> Iterator[Place]:
    """A document belongs to the nearest flow in its folder or above. Others are grouped by their folder."""
    by_folder: dict[Path, Path] = {}
    for flow in flows:
        by_folder.setdefault(flow.parent, flow)
    of_flows: dict[Path, list[Path]] = {}
    apart: dict[Path, list[Path]] = {}
    for document in documents:
        folder = next((parent for parent in document.parents if parent in by_folder), None)
        if folder:
            of_flows.setdefault(by_folder[folder], []).append(document)
        else:
            apart.setdefault(document.parent, []).append(document)
    yield from (Place(flow, tuple(of_flows.get(flow, ()))) for flow in flows)
    yield from (Place(None, tuple(together)) for together in apart.values())
