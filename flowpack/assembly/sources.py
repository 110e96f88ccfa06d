"""The files of a source folder, links followed as promptflow follows them, ignored ones left out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flowpack.assembly.ignore import IgnoreRules
from flowpack.assembly.roots import IncludeRoots
from flowpack.errors import InputError, Location


@dataclass(slots=True)
class FolderWalk:
    """Walks one source folder and counts what it leaves out, by rule."""

    folder: Path
    roots: IncludeRoots
    left_out: Counter[str] = field(default_factory=Counter)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Pairs of a path relative to the folder, with ``/``, and the file itself; sorted within each folder."""
        yield from self._below(self.folder, "", IgnoreRules.of(self.folder), (self.folder.resolve(),))

    def _below(
        self, folder: Path, prefix: str, rules: IgnoreRules, parents: tuple[Path, ...]
    ) -> Iterator[tuple[str, Path]]:
        for path in self._entries(folder):
            relative = prefix + path.name
            rule = rules.why_out(relative, path)
            if rule is not None:
                self.left_out[rule] += 1
                continue
            if path.is_symlink():
                self._check_link(path)
            if path.is_dir():
                real = path.resolve()
                if real in parents:
                    raise InputError("a symbolic link leads back to a folder that holds it", location=Location(path))
                yield from self._below(path, relative + "/", rules, (*parents, real))
            elif path.is_file():
                yield relative, path
            else:
                raise InputError("is no regular file", location=Location(path), hint="name it in .flowpackignore")

    def _entries(self, folder: Path) -> list[Path]:
        try:
            return sorted((Path(entry.path) for entry in os.scandir(folder)), key=lambda path: path.name)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", location=Location(folder)) from error

    def _check_link(self, path: Path) -> None:
        try:
            target = path.resolve(strict=True)
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"the symbolic link's target '{os.readlink(path)}' does not exist",  # noqa: PTH115  (as it is written)
                location=Location(path),
                hint="mend the link, or name it in .flowpackignore",
            ) from error
        inside = self.folder.resolve()
        if not self.roots.allow(target) and inside not in target.parents:
            raise InputError(
                f"the symbolic link leads out of the project, to '{target}'",
                location=Location(path),
                hint=f"allow it with --include-root {target if target.is_dir() else target.parent}",
            )
