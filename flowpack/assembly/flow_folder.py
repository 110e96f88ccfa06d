"""The standalone flow folder: planned first, as a listing with sources, then written or only looked at."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from flowpack.assembly.files import CopiedFile, FileSource, WrittenFile, digest_of
from flowpack.assembly.includes import included_files
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.sources import FolderWalk
from flowpack.dependencies.lock_format import LOCK_NAME
from flowpack.errors import InputError, shown_path
from flowpack.flows.model import Environment, Flow, Include, Node


@dataclass(frozen=True)
class FlowFolder:
    """A flow with each file of its standalone folder, sorted by path; ``left_out`` counts ignored entries by rule."""

    flow: Flow
    files: Mapping[str, FileSource]
    left_out: Mapping[str, int]

    @property
    def paths(self) -> Mapping[str, Path]:
        """Each file's source on this machine."""
        return {target: source.origin for target, source in self.files.items()}

    @cached_property
    def digest(self) -> str:
        """A digest of paths, execute bits and content: the same wherever and whenever the folder is assembled."""
        listing = "".join(
            f"{digest_of(source)} {'x' if source.executable else '-'} {target}\n"
            for target, source in self.files.items()
        )
        return "sha256:" + hashlib.sha256(listing.encode()).hexdigest()

    @property
    def requirements(self) -> str | None:
        """The requirements file's path in the folder, by promptflow's rule."""
        stated = self.flow.environment.python_requirements_txt
        if stated:
            return _normal(stated)
        return "requirements.txt" if "requirements.txt" in self.files else None

    @property
    def conda_file(self) -> str | None:
        stated = self.flow.environment.conda_file
        return _normal(stated) if stated else None

    def write(self, target: Path) -> None:
        for relative, source in self.files.items():
            path = target / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            source.write(path)
            path.chmod(0o755 if source.executable else 0o644)


def assemble(flow: Flow, roots: IncludeRoots, narrate: Callable[[str], None] = lambda _: None) -> FlowFolder:
    """Merges the flow's own files and its includes; nothing is written."""
    left_out: Counter[str] = Counter()
    merge = _Merge(narrate)
    for relative, path in FolderWalk(flow.folder, roots, left_out).files():
        if relative != LOCK_NAME or flow.environment.python_requirements_txt == LOCK_NAME:
            merge.add(relative, CopiedFile(path))
    merge.add(flow.file.name, CopiedFile(flow.file))  # never ignored
    for include, target, source in included_files(flow, roots, left_out):
        merge.add(target, source, include)
    files = merge.files
    if files[flow.file.name].origin == flow.file and flow.text.encode() != flow.file.read_bytes():
        files[flow.file.name] = WrittenFile(flow.file, flow.text.encode())
    folder = FlowFolder(flow, dict(sorted(files.items())), dict(left_out))
    _check_sources(flow.nodes, folder)
    _check_environment(flow.environment, folder)
    return folder


class _Merge:
    """Files by target path; the last of two with one target wins, and a file never takes a folder's place."""

    def __init__(self, narrate: Callable[[str], None]) -> None:
        self.files: dict[str, FileSource] = {}
        self._folders: dict[str, str] = {}  # each folder, with one file below it
        self._narrate = narrate

    def add(self, target: str, source: FileSource, include: Include | None = None) -> None:
        parents = [str(parent) for parent in PurePosixPath(target).parents][:-1]
        clash = self._folders.get(target) or next((parent for parent in parents if parent in self.files), None)
        if clash is not None:
            raise InputError(
                f"'{shown_path(source.origin)}' would land at '{target}', "
                f"where '{shown_path(self.files[clash].origin)}' is '{clash}'",
                location=include.location if include else None,
                hint="a path cannot be a file and a folder; rename one of the two",
            )
        earlier = self.files.get(target)
        if include and earlier and earlier.origin != source.origin and digest_of(earlier) != digest_of(source):
            self._narrate(
                f"warning: {include.location}: '{target}' comes from '{shown_path(source.origin)}' "
                f"and replaces '{shown_path(earlier.origin)}'"
            )
        self.files[target] = source
        for parent in parents:
            self._folders.setdefault(parent, target)


def _check_sources(nodes: tuple[Node, ...], folder: FlowFolder) -> None:
    for node in nodes:
        source = node.source
        if source is None or source.path is None:
            continue
        if _normal(source.path) not in folder.files:
            raise InputError(
                f"node '{node.name}': the source '{source.path}' is not in the standalone folder",
                location=source.location,
                hint=_where_it_is(source.path, folder),
            )


def _where_it_is(path: str, folder: FlowFolder) -> str:
    in_place = folder.flow.folder / path
    if in_place.exists() and folder.flow.folder in in_place.resolve().parents:
        return "the file is there and an ignore rule leaves it out"
    if in_place.exists():
        return f"add '{path}' to additional_includes and name it as '{Path(path).name}'"
    name = Path(path).name
    same = next((each for each in folder.files if each.rpartition("/")[2] == name), None)
    return f"did you mean '{same}'?" if same else "paths are relative to the flow file"


def _check_environment(environment: Environment, folder: FlowFolder) -> None:
    for name in ("python_requirements_txt", "conda_file", "setup_sh"):
        path = getattr(environment, name)
        if path is not None and _normal(path) not in folder.files:
            raise InputError(
                f"environment.{name}: '{path}' is not in the standalone folder",
                location=environment.locations.get(name),
                hint="paths are relative to the flow file; a file of another folder needs an additional include",
            )


def _normal(path: str) -> str:
    """A path of the flow file as the listing has it."""
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in {"", "."})
