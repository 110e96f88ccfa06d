"""Lists the files of a source folder: follows links as promptflow does, and leaves out ignored files."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flowpack.assembly.files import CopiedFile
from flowpack.assembly.ignore import IgnoreRules
from flowpack.assembly.left_out import LeftOut
from flowpack.assembly.names import why_impossible
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.version_control import is_repository, part_of_version_control
from flowpack.errors import InputError, Location
from flowpack.quoting import shell_word
from flowpack.reading import Roots, kind_of

_PATHS_OF_ONE_FOLDER = 64
"""Links may lead to one folder by this many paths. Two links in each of 25 folders make 33 million paths to one."""


@dataclass(slots=True)
class FolderWalk:
    """Walks one source folder, whose path has its links resolved, and records what it leaves out."""

    folder: Path
    roots: IncludeRoots
    left_out: LeftOut = field(default_factory=LeftOut)

    def files(self) -> Iterator[tuple[str, CopiedFile]]:
        """Yields pairs of a path relative to the folder, with ``/``, and the file itself.

        Uses strings instead of ``Path`` and no recursion, because thousands of files pass here.
        """
        rules = IgnoreRules.of(self.folder)
        within = self.within
        self._check_no_repository()
        waiting: list[tuple[str, str, tuple[tuple[int, int], ...], bool]]
        waiting = [(str(self.folder), "", (_identity(stat_of(str(self.folder))),), False)]
        reached: Counter[tuple[int, int]] = Counter()
        while waiting:
            folder, prefix, above, by_link = waiting.pop()
            for entry in self._entries(folder):
                relative = prefix + entry.name
                try:
                    is_folder = entry.is_dir()
                except OSError:  # a link to itself; the rules decide what happens to it
                    is_folder = False
                rule = rules.why_out(relative, entry.path, is_folder)
                if rule is not None:
                    self.left_out.add(rule, entry, is_folder)
                    continue
                check_name(relative, folder)
                is_link = entry.is_symlink()
                if is_link:
                    self._check_link(Path(entry.path))
                if is_folder:
                    identity = _identity(stat_of(entry.path))
                    if identity in above:
                        raise InputError(
                            "a symbolic link leads back to a folder that contains it",
                            location=Location(Path(entry.path)),
                        )
                    if by_link or is_link:
                        reached[identity] += 1
                        if reached[identity] > _PATHS_OF_ONE_FOLDER:
                            raise self._too_many_paths(entry.path)
                    waiting.append((entry.path, relative + "/", (*above, identity), by_link or is_link))
                else:
                    yield relative, file_at(entry.path, within, entry)

    @property
    def within(self) -> Roots:
        """The roots and the folder itself. An include is inside a root already, but a flow may be the folder ``/``."""
        return (*self.roots.folders, self.folder)

    def _check_no_repository(self) -> None:
        if is_repository(str(self.folder)):
            raise InputError(
                "the folder is itself a git repository, with earlier versions of its files",
                location=Location(self.folder),
                hint="remove HEAD, objects and refs, or include only the folders that the flow needs",
            )

    def _too_many_paths(self, path: str) -> InputError:
        return InputError(
            f"symbolic links lead to the folder '{os.path.realpath(path)}' by more than {_PATHS_OF_ONE_FOLDER} paths",
            location=Location(Path(path)),
            hint="remove links, or add them to .flowpackignore",
        )

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", location=Location(Path(folder))) from error

    def _check_link(self, path: Path) -> None:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise InputError(
                broken_link(path, error), location=Location(path), hint="fix the link, or add it to .flowpackignore"
            ) from error
        repository = part_of_version_control(target, self.within)
        if repository:
            raise InputError(
                f"the symbolic link leads into version control, '{repository}'",
                location=Location(path),
                hint="remove the link, or add it to .flowpackignore",
            )
        if not self.roots.allow(target) and self.folder not in target.parents:
            raise InputError(
                f"the symbolic link leads out of the project, to '{target}'",
                location=Location(path),
                hint=f"allow it with --include-root {shell_word(target if target.is_dir() else target.parent)}",
            )


def check_name(relative: str, place: str) -> None:
    impossible = why_impossible(relative)
    if impossible:
        raise InputError(
            f"the name {relative[:100]!a}{'…' * (len(relative) > 100)} {impossible}",
            location=Location(Path(place)),
            hint="rename it, or add it to .flowpackignore",
        )


def file_at(path: str, within: Roots, entry: os.DirEntry[str] | None = None) -> CopiedFile:
    """The regular file at a path, to be read only inside ``within``; ``entry`` saves a system call."""
    found = stat_of(path, entry)
    if not stat.S_ISREG(found.st_mode):
        raise InputError(
            f"is not a regular file: it is {kind_of(found.st_mode)}",
            location=Location(Path(path)),
            hint="add it to .flowpackignore",
        )
    return CopiedFile.of(path, found, within)


def stat_of(path: str, entry: os.DirEntry[str] | None = None) -> os.stat_result:
    try:
        return entry.stat() if entry else os.stat(path)  # noqa: PTH116  (one of thousands)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", location=Location(Path(path))) from error


def broken_link(path: Path, error: Exception) -> str:
    """Says why a link does not resolve. Python before 3.13 reports a loop as a RuntimeError."""
    if isinstance(error, RuntimeError) or getattr(error, "errno", None) == errno.ELOOP:
        return "the symbolic link leads back to itself"
    if isinstance(error, PermissionError):
        return f"the symbolic link's target cannot be read: {error.strerror}"
    return f"the symbolic link's target '{os.readlink(path)}' does not exist"  # noqa: PTH115  (as it is written)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
