"""The standalone flow folder: first planned as a listing with sources, then written or only inspected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from flowpack.assembly.copying import Advance
from flowpack.assembly.files import FileSource, WrittenFile
from flowpack.assembly.ignore import IgnoreRules
from flowpack.assembly.includes import IncludedSource, included_sources, is_flow_with_includes
from flowpack.assembly.left_out import LeftOut
from flowpack.assembly.merging import Merge
from flowpack.assembly.records import EarlierFolder, KnownDigests, Record
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.sources import FolderWalk, file_at
from flowpack.assembly.writing import FolderWriter
from flowpack.dependencies.lock_format import LOCK_NAME
from flowpack.errors import InputError, Location, nearest, shown_path
from flowpack.flows.model import Environment, Flow, Include, Node
from flowpack.flows.resolve import in_the_way
from flowpack.reading import DOCUMENT_BYTES, is_there, read_bytes
from flowpack.reporting import SILENT, Reporter, Task


class MissingRequirements(NamedTuple):
    message: str
    location: Location


@dataclass(frozen=True)
class FlowFolder:
    """A flow and the files of its standalone folder, sorted by path.

    ``sources`` are the folders and files it is made from, with links resolved.
    """

    flow: Flow
    files: Mapping[str, FileSource]
    included_by: Mapping[str, Include]
    sources: tuple[Path, ...]
    left_out: LeftOut

    @cached_property
    def paths(self) -> Mapping[str, Path]:
        """Each file's source on this machine."""
        return _Origins(self.files)

    @cached_property
    def size(self) -> int:
        return sum(source.size for source in self.files.values())

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """Each file's digest. Reads the files unless ``read_digests`` or ``write_flow_folder`` has done so."""
        return _digests(self, lambda _: None)

    @cached_property
    def digest(self) -> str:
        """A digest of paths, execute bits and content; it does not depend on where or when the folder is assembled."""
        listing = "".join(
            f"{self.digests[target]} {'x' if source.executable else '-'} {target}\n"
            for target, source in self.files.items()
        )
        return "sha256:" + hashlib.sha256(listing.encode()).hexdigest()

    @property
    def requirements(self) -> str | None:
        """The requirements file's path in the folder, by promptflow's rule."""
        stated = self.flow.environment.python_requirements_txt
        if stated:
            return _normal(stated) if _normal(stated) in self.files else None
        return "requirements.txt" if "requirements.txt" in self.files else None

    @property
    def conda_file(self) -> str | None:
        stated = self.flow.environment.conda_file
        return _normal(stated) if stated else None


def read_digests(folder: FlowFolder, reporter: Reporter = SILENT) -> None:
    """Reads the files for ``folder.digests`` and ``folder.digest``, and reports progress."""
    if "digests" not in vars(folder):
        with reporter.task("reading the flow", "bytes") as task:
            vars(folder)["digests"] = _digests(folder, _advance(task, folder.size))


def write_flow_folder(
    folder: FlowFolder, target: Path, replaces: Path | None = None, reporter: Reporter = SILENT
) -> None:
    """Writes the files below ``target``. Unchanged files are linked from ``replaces``, the folder it will replace.

    Computes digests that are not known yet on the way.
    """
    target.mkdir(exist_ok=True)
    digests = vars(folder).get("digests")
    record = _record(folder)
    known = KnownDigests(record, lambda _: None)
    with (
        EarlierFolder(replaces, files=len(folder.files), size=folder.size) as earlier,
        reporter.task("copying the flow", "bytes") as task,
    ):
        writer = FolderWriter(target, earlier, known, digests or {}, _advance(task, folder.size))
        written = writer.write(folder.files)
    if digests is None:
        record.save()
        vars(folder)["digests"] = written  # where cached_property keeps it


def _digests(folder: FlowFolder, advance: Advance) -> dict[str, str]:
    """Takes the digests of unchanged files from the last build's record."""
    record = _record(folder)
    known = KnownDigests(record, advance)
    digests = {target: source.digest(known) for target, source in folder.files.items()}
    record.save()
    return digests


def _record(folder: FlowFolder) -> Record:
    return Record("digests", folder.flow.file, files=len(folder.files), size=folder.size)


def _advance(task: Task, size: int) -> Advance:
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        task.advance(done, size)

    return advance


class _Origins(Mapping[str, Path]):
    """Creates each Path on access, because most of thousands are never used."""

    def __init__(self, files: Mapping[str, FileSource]) -> None:
        self._files = files

    def __getitem__(self, target: str) -> Path:
        return self._files[target].origin

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def assemble(
    flow: Flow,
    roots: IncludeRoots,
    reporter: Reporter = SILENT,
    *,
    strict: bool = False,
) -> FlowFolder:
    """Merges the flow's files and its includes; writes nothing. ``strict`` refuses two different files for a target."""
    left_out = LeftOut()
    sources = included_sources(flow, roots)
    merge = merged(flow, sources, roots, left_out, reporter, strict=strict)
    folder = folder_of(flow, merge, sources, left_out)
    check_sources(flow.nodes, folder)
    check_environment(flow.environment, folder)
    for include in flow.environment_files:
        name = PurePosixPath(include.path).name
        reporter.info(f"{include.location}: '{include.path}' is taken along, as '{name}' in the standalone folder")
    missing = missing_requirements(folder)
    if missing:
        reporter.warning(f"{missing.location}: {missing.message}")
    return folder


def folder_of(
    flow: Flow,
    merge: Merge,
    sources: Sequence[IncludedSource],
    left_out: LeftOut,
) -> FlowFolder:
    merge.check_names()
    return FlowFolder(
        flow=flow,
        files=dict(sorted(merge.files.items())),
        included_by=merge.included_by,
        sources=(flow.folder, *(source.path for source in sources)),
        left_out=left_out,
    )


def merged(
    flow: Flow,
    sources: Sequence[IncludedSource],
    roots: IncludeRoots,
    left_out: LeftOut,
    reporter: Reporter = SILENT,
    *,
    strict: bool = False,
) -> Merge:
    merge = Merge(flow, reporter, strict=strict)
    flow_file = flow.file.name
    for relative, file in FolderWalk(flow.folder, roots, left_out).files():
        is_the_lock = relative == LOCK_NAME and flow.environment.python_requirements_txt != LOCK_NAME
        if not is_the_lock and relative != flow_file:
            merge.add(relative, file)
    if flow.standalone_name in merge.files:
        reporter.info(f"{flow.file.name} replaces {flow.standalone_name}: promptflow expects the flow under that name")
    merge.add(flow.standalone_name, _flow_file(flow))  # never ignored
    for source in sources:
        for target, included in source.files(flow, roots, left_out):
            merge.add(target, included, source.include)
            if is_flow_with_includes(target, included):
                reporter.warning(
                    f"{source.include.location}: '{source.include.path}' includes a flow whose own "
                    f"additional_includes are not followed: add the files that '{shown_path(included.origin)}' needs"
                )
    for target in [each for each in merge.files if "/" not in each and in_the_way(flow, each)]:
        reporter.warning(f"'{target}' is left out: promptflow serves one flow per folder, here {flow.file.name}")
        del merge.files[target]
    return merge


def _flow_file(flow: Flow) -> FileSource:
    """The flow file for the standalone folder, usually unchanged."""
    content = flow.text.encode()
    if read_bytes(flow.file, limit=DOCUMENT_BYTES, within=flow.roots) == content:
        return file_at(str(flow.file), flow.roots)
    return WrittenFile(flow.file, content)


def check_sources(nodes: tuple[Node, ...], folder: FlowFolder) -> None:
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


def _where_it_is(path: str, folder: FlowFolder) -> str | None:
    in_place = folder.flow.folder / path
    if is_there(in_place) and folder.flow.folder in in_place.resolve().parents:
        rule = IgnoreRules.of(folder.flow.folder).why_left_out(folder.flow.folder, _normal(path))
        return f"the file exists, but a rule leaves it out: {rule}" if rule else None
    if is_there(in_place):
        return f"add '{path}' to additional_includes and name it as '{Path(path).name}'"
    name = Path(path).name
    same = next((each for each in folder.files if each.rpartition("/")[2] == name), None)
    return f"did you mean '{same}'?" if same else "paths are relative to the flow file"


def check_environment(environment: Environment, folder: FlowFolder) -> None:
    for name in ("python_requirements_txt", "conda_file", "setup_sh"):
        path = getattr(environment, name)
        if path is not None and _normal(path) not in folder.files:
            near = _near_requirements(path, folder) if name == "python_requirements_txt" else None
            if name == "python_requirements_txt" and near is None:
                continue  # promptflow serves the flow without it: see missing_requirements
            raise InputError(
                f"environment.{name}: '{path}' is not in the standalone folder",
                location=environment.locations.get(name),
                hint=f"did you mean '{near}'?"
                if near
                else "paths are relative to the flow file; a file of another folder needs an additional include",
            )


def missing_requirements(folder: FlowFolder) -> MissingRequirements | None:
    """The requirements file that ``environment`` names and that does not exist."""
    path = folder.flow.environment.python_requirements_txt
    if path is None or _normal(path) in folder.files:
        return None
    key = "python_requirements_txt"
    message = f"environment.{key}: '{path}' is not in the standalone folder: the flow is built without it"
    return MissingRequirements(message, folder.flow.environment.locations[key])


def _near_requirements(path: str, folder: FlowFolder) -> str | None:
    """A file that is probably meant. To leave its packages out would only fail later."""
    texts = [name for name in folder.files if name.endswith((".txt", ".in"))]
    same = (name for name in texts if name.rpartition("/")[2] == PurePosixPath(_normal(path)).name)
    return nearest(_normal(path), texts) or next(same, None)


def _normal(path: str) -> str:
    """Converts a path in the flow file to the form used in the listing."""
    return "/".join(part for part in path.replace("\\", "/").split("/") if part not in {"", "."})
