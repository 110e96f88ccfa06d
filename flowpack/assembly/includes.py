"""``additional_includes``, with promptflow's meaning of each kind of item.

A file lands at the flow's root under its own name, a folder's content under the folder's name. Where ``X.zip`` does not
exist and folder ``X`` does, the folder is zipped to ``X.zip``. Of two sources with one target the last wins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from flowpack.assembly.files import CopiedFile, FileSource, ZippedFolder
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.sources import FolderWalk
from flowpack.errors import InputError, nearest
from flowpack.flows.model import Flow, Include


def included_files(
    flow: Flow, roots: IncludeRoots, left_out: Counter[str]
) -> Iterator[tuple[Include, str, FileSource]]:
    """Each file that an include brings, with its target path in the standalone folder."""
    for include in flow.additional_includes:
        written = Path(include.path)
        path = written if written.is_absolute() else flow.folder / written
        folder = path.with_suffix("") if path.suffix == ".zip" and not path.exists() else None
        if folder is not None and folder.is_dir():
            _check_root(include, folder, roots)
            walk = FolderWalk(folder.resolve(), roots, left_out)
            yield include, path.resolve().name, ZippedFolder(folder.resolve(), tuple(walk.files()))
        elif path.is_dir():
            _check_folder(include, path, flow, roots)
            real = path.resolve()
            for relative, file in FolderWalk(real, roots, left_out).files():
                yield include, f"{real.name}/{relative}", CopiedFile(file)
        elif path.is_file():
            _check_root(include, path, roots)
            yield include, path.resolve().name, CopiedFile(path.resolve())
        else:
            raise _missing(include, path)


def _check_folder(include: Include, path: Path, flow: Flow, roots: IncludeRoots) -> None:
    _check_root(include, path, roots)
    real = path.resolve()
    if real == flow.folder or real in flow.folder.parents:
        raise InputError(
            f"'{include.path}' contains the flow itself",
            location=include.location,
            hint="include the files or folders that the flow needs, one by one",
        )


def _check_root(include: Include, path: Path, roots: IncludeRoots) -> None:
    real = path.resolve()
    if not roots.allow(real):
        raise InputError(
            f"'{include.path}' lies outside the project root '{roots.folders[0]}'",
            location=include.location,
            hint=f"allow it with --include-root {real if real.is_dir() else real.parent}",
        )


def _missing(include: Include, path: Path) -> InputError:
    if path.is_symlink():
        return InputError(f"'{include.path}' is a symbolic link to nothing", location=include.location)
    hint = "paths are relative to the flow file"
    if path.parent.is_dir():
        near = nearest(path.name, (each.name for each in path.parent.iterdir()))
        if near:
            hint = f"did you mean '{Path(include.path).with_name(near)}'?"
    return InputError(f"'{include.path}' does not exist", location=include.location, hint=hint)
