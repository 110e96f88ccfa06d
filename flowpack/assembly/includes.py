"""Resolves ``additional_includes`` as promptflow does.

A file is copied to the flow's root under its own name, a folder's content under the folder's name. If ``X.zip`` does
not exist but folder ``X`` does, the folder is zipped to ``X.zip``. Of two sources with the same target, the last wins.
The includes of an included flow are not followed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowpack.assembly.files import CopiedFile, FileSource, ZippedFolder
from flowpack.assembly.ignore import IgnoreRules, Rule
from flowpack.assembly.left_out import Kept, LeftOut
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.sources import FolderWalk, check_name, file_at
from flowpack.assembly.version_control import part_of_version_control
from flowpack.errors import InputError, nearest
from flowpack.flows.model import Flow, Include
from flowpack.flows.resolve import FLOW_FILE_NAMES
from flowpack.quoting import shell_word
from flowpack.reading import is_folder, kind_of

_HAS_INCLUDES = re.compile(rb"^additional_includes[ \t]*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class IncludedSource:
    """The file or folder that an item names, with links resolved. A folder's content is copied or zipped."""

    include: Include
    path: Path
    target: str
    is_folder: bool
    zipped: bool = False

    def files(self, flow: Flow, roots: IncludeRoots, left_out: LeftOut) -> Iterator[tuple[str, FileSource]]:
        """Yields pairs of a target path in the standalone folder and its source."""
        if not self.is_folder:
            check_name(self.target, str(self.path))
            rule = self._rule_against(flow)
            if rule:
                left_out.kept.append(Kept(self.target, self.include, rule))
            yield self.target, file_at(str(self.path), (*roots.folders,))
            return
        files = FolderWalk(self.path, roots, left_out).files()
        if self.zipped:
            members = tuple(sorted(files, key=lambda member: member[0]))
            yield self.target, ZippedFolder(self.path, Path(self.target).stem, members)
        else:
            for relative, file in files:
                yield f"{self.target}/{relative}", file

    def _rule_against(self, flow: Flow) -> Rule | None:
        """The rule that would leave the file out, at its source or its target, if no include named it."""
        inside = self.path.is_relative_to(flow.folder)
        folder = flow.folder if inside else self.path.parent
        rule = IgnoreRules.of(folder).why_left_out(folder, self.path.relative_to(folder).as_posix())
        return rule or IgnoreRules.of(flow.folder).why_out(self.target, str(self.path), is_folder=False)


def included_sources(flow: Flow, roots: IncludeRoots) -> list[IncludedSource]:
    return [_source(include, flow, roots) for include in flow.additional_includes]


def is_flow_with_includes(target: str, source: FileSource) -> bool:
    """Whether this is the file of another flow that has includes of its own."""
    if target.rpartition("/")[2] not in FLOW_FILE_NAMES or not isinstance(source, CopiedFile):
        return False
    return any(_HAS_INCLUDES.search(chunk) for chunk in source.chunks())


def _source(include: Include, flow: Flow, roots: IncludeRoots) -> IncludedSource:
    path = flow.folder / include.path  # an absolute path stays as it is
    _check_root(include, _real(path), roots)  # before any file is examined
    mode = _mode(include, path)
    zipped = not mode and path.suffix == ".zip" and stat.S_ISDIR(_mode(include, path.with_suffix("")))
    if not mode and not zipped:
        raise _missing(include, path)
    real = (path.with_suffix("") if zipped else path).resolve()
    _check_root(include, real, roots)
    _check_no_version_control(include, real, roots)
    if zipped or stat.S_ISDIR(mode):
        _check_not_around(include, real, flow)
    elif not stat.S_ISREG(mode):
        raise InputError(
            f"'{include.path}' is neither a file nor a folder: it is {kind_of(mode)}", location=include.location
        )
    # promptflow resolves links only in relative paths.
    as_written = zipped or (Path(include.path).is_absolute() and path.name != "..")
    return IncludedSource(include, real, path.name if as_written else real.name, zipped or stat.S_ISDIR(mode), zipped)


def _mode(include: Include, path: Path) -> int:
    """The file's mode; zero if nothing exists at the path."""
    try:
        return path.stat().st_mode
    except PermissionError as error:
        raise InputError(f"'{include.path}' cannot be read: {error.strerror}", location=include.location) from error
    except (OSError, ValueError):  # ValueError for characters that no path may contain
        return 0


def _check_not_around(include: Include, real: Path, flow: Flow) -> None:
    if flow.folder.is_relative_to(real):
        raise InputError(
            f"'{include.path}' contains the flow itself",
            location=include.location,
            hint="include the files or folders that the flow needs, one by one",
        )


def _real(path: Path) -> Path:
    """The path with links resolved, even if it does not exist; for a link to itself, the link's own path."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):  # RuntimeError for a loop, ValueError as in _mode
        return Path(os.path.normpath(path.parent)) / path.name


def _check_no_version_control(include: Include, real: Path, roots: IncludeRoots) -> None:
    repository = part_of_version_control(real, roots.folders)
    if repository:
        raise InputError(
            f"'{include.path}' leads into version control, '{repository}'",
            location=include.location,
            hint="copy the files that the flow needs to another folder",
        )


def _check_root(include: Include, real: Path, roots: IncludeRoots) -> None:
    if not roots.allow(real):
        raise InputError(
            f"'{include.path}' is outside the project root '{roots.folders[0]}'",
            location=include.location,
            # Judged by its name alone: files outside the root are not examined.
            hint=f"allow it with --include-root {shell_word(real.parent if real.suffix else real)}",
        )


def _missing(include: Include, path: Path) -> InputError:
    if os.path.islink(path):  # noqa: PTH114  (False for an invalid path)
        try:
            path.stat()
        except OSError as error:
            to = "itself" if error.errno == errno.ELOOP else "nothing"
            return InputError(f"'{include.path}' is a symbolic link to {to}", location=include.location)
    hint = "paths are relative to the flow file"
    if is_folder(path.parent):
        near = nearest(path.name, (each.name for each in path.parent.iterdir()))
        if near:
            hint = f"did you mean '{Path(include.path).with_name(near)}'?"
    return InputError(f"'{include.path}' does not exist", location=include.location, hint=hint)
