"""What rules see of one flow. Each part is built when a rule first asks for it, and is None if that fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from flowpack.assembly.flow_folder import FlowFolder, folder_of, merged
from flowpack.assembly.includes import IncludedSource, included_sources
from flowpack.assembly.left_out import LeftOut
from flowpack.assembly.merging import Conflict
from flowpack.assembly.roots import IncludeRoots
from flowpack.checks.azure_documents import AzureDocument, Kind
from flowpack.checks.discovery import Place
from flowpack.checks.nodes import NodeView, nodes_of
from flowpack.checks.values import fields_of
from flowpack.dependencies.conda_file import with_conda_file
from flowpack.dependencies.lock_format import LOCK_NAME, ParsedLock, parse_lock
from flowpack.dependencies.requirements import Requirements, read_requirements
from flowpack.dependencies.target import DEFAULT_PYTHON, Platform, Target
from flowpack.documents.yaml_documents import Document, Value, read_document
from flowpack.errors import FlowpackError, Location, LockError
from flowpack.flows.connections import Connection, find_connections
from flowpack.flows.front_matter import read_front_matter
from flowpack.flows.model import Flow, Include
from flowpack.flows.reader import read_flow
from flowpack.flows.tool_sources import ToolSource
from flowpack.reading import LOCK_BYTES, read_text

_T = TypeVar("_T")
_TARGET = re.compile(r"Python (\S+) on (\S+)")


@dataclass(frozen=True)
class Attempt:
    """The result of reading a flow: the flow, or the error."""

    flow: Flow | None
    error: FlowpackError | None


@dataclass(frozen=True)
class Includes:
    """The sources of the usable includes, and the errors of the others."""

    sources: tuple[IncludedSource, ...]
    refused: tuple[tuple[Include, FlowpackError], ...]


@dataclass(frozen=True)
class Assembled:
    """The standalone folder with the conflicts between its sources, or the error."""

    folder: FlowFolder | None
    conflicts: tuple[Conflict, ...] = ()
    error: FlowpackError | None = None


class Subject:
    def __init__(self, place: Place, include_roots: tuple[Path, ...] = ()) -> None:
        self.file = place.flow
        self.roots = IncludeRoots.of((place.flow or place.documents[0]).parent, include_roots)
        self.location = Location(place.flow or place.documents[0])
        self._documents = place.documents
        self._known: dict[str, Any] = {}

    def once(self, what: str, make: Callable[[], _T]) -> _T:
        """The result of ``make``, cached under the name ``what`` for all rules."""
        if what not in self._known:
            self._known[what] = make()
        known: _T = self._known[what]
        return known

    @cached_property
    def attempt(self) -> Attempt:
        if self.file is None:
            return Attempt(None, None)
        try:
            return Attempt(read_flow(self.file, within=self.roots.folders), None)
        except FlowpackError as error:
            return Attempt(None, error)

    @property
    def flow(self) -> Flow | None:
        return self.attempt.flow

    @cached_property
    def document(self) -> Document | None:
        """The flow's YAML, or a prompty's front matter."""
        if self.file is None:
            return None
        try:
            if self.file.suffix == ".prompty":
                return read_front_matter(self.file, self.roots.folders)
            return read_document(self.file, within=self.roots.folders)
        except FlowpackError:
            return None

    @cached_property
    def root(self) -> Mapping[str, Value]:
        return fields_of(self.document.root) if self.document else {}

    @cached_property
    def nodes(self) -> tuple[NodeView, ...]:
        return tuple(nodes_of(self.root))

    @cached_property
    def includes(self) -> Includes:
        flow = self.flow
        if flow is None:
            return Includes((), ())
        sources: list[IncludedSource] = []
        refused = []
        for include in flow.additional_includes:
            try:
                sources += included_sources(replace(flow, additional_includes=(include,)), self.roots)
            except FlowpackError as error:
                refused.append((include, error))
        return Includes(tuple(sources), tuple(refused))

    @cached_property
    def assembled(self) -> Assembled:
        """Built from the usable includes."""
        flow = self.flow
        if flow is None:
            return Assembled(None)
        left_out = LeftOut()
        sources = self.includes.sources
        try:
            merge = merged(flow, sources, self.roots, left_out)
            folder = folder_of(flow, merge, sources, left_out)
        except FlowpackError as error:
            return Assembled(None, error=error)
        return Assembled(folder, tuple(merge.conflicts))

    @property
    def folder(self) -> FlowFolder | None:
        return self.assembled.folder

    @cached_property
    def paths(self) -> Mapping[str, Path]:
        return self.folder.paths if self.folder else {}

    def where(self, target: str) -> Location:
        """The place to report for a file of the standalone folder: the include that adds it, or the file."""
        include = self.folder.included_by.get(target) if self.folder else None
        return include.location if include else Location(self.paths[target])

    @cached_property
    def sources(self) -> Mapping[str, ToolSource]:
        """The folder's Python files that can be parsed."""
        within = self.roots.folders
        read = {target: ToolSource.read(self.paths[target], within) for target in self.paths if target.endswith(".py")}
        return {target: source for target, source in read.items() if source}

    @property
    def lock_file(self) -> Path | None:
        path = self.file.parent / LOCK_NAME if self.file else None
        return path if path and path.is_file() else None

    @cached_property
    def lock(self) -> ParsedLock | None:
        """None if the lock is missing or broken."""
        if self.lock_file is None:
            return None
        try:
            return parse_lock(self.read_lock(self.lock_file), self.lock_file)
        except FlowpackError:
            return None

    def read_lock(self, path: Path) -> str:
        return read_text(path, limit=LOCK_BYTES, within=self.roots.folders, error=LockError)

    @cached_property
    def target(self) -> Target:
        """The target of the lock, else the default target of a build."""
        stated = _TARGET.fullmatch(self.lock.target or "") if self.lock else None
        try:
            return Target.parse(stated[1], stated[2]) if stated else _default_target()
        except FlowpackError:
            return _default_target()

    def read_requirements(self) -> Requirements | None:
        """Raises FlowpackError if they are broken."""
        folder = self.folder
        if folder is None:
            return None
        named = folder.requirements if folder.requirements in folder.files else None
        requirements = read_requirements(named, folder.paths, self.roots.folders)
        if folder.conda_file is None or folder.conda_file not in folder.files:
            return requirements

        return with_conda_file(requirements, folder.conda_file, folder.paths, self.target, self.roots.folders)

    @cached_property
    def requirements(self) -> Requirements | None:
        try:
            return self.read_requirements()
        except FlowpackError:
            return None

    @property
    def connections(self) -> tuple[Connection, ...]:
        return self.connections_or_why_not[0]

    @cached_property
    def connections_or_why_not(self) -> tuple[tuple[Connection, ...], FlowpackError | None]:
        if self.flow is None or self.folder is None:
            return (), None
        try:
            return find_connections(self.flow, self.paths), None
        except FlowpackError as error:
            return (), error

    @cached_property
    def documents(self) -> tuple[AzureDocument, ...]:
        return tuple(AzureDocument.read(path, self.roots.folders) for path in self._documents)

    def documents_of(self, *kinds: Kind) -> tuple[AzureDocument, ...]:
        return tuple(each for each in self.documents if each.kind in kinds and each.root)


def _default_target() -> Target:
    return Target.parse(DEFAULT_PYTHON, str(Platform.of_this_machine()))
