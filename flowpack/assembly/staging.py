"""Writes an output folder beside its place and swaps it in at the end: a reader sees the old one or the new one.

On Linux and macOS the swap is one system call that exchanges the two names. Elsewhere the old folder is renamed first;
a crash between the two renames leaves it beside, under a name that the next build puts back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from flowpack.errors import InputError, Location, OutsideError

MARKER = "flowpack.json"
"""The build's record; a folder without it was not written by flowpack and is never replaced."""

_AT_FDCWD = {"linux": -100, "darwin": -2}
_EXCHANGE = {"linux": ("renameat2", 2), "darwin": ("renameatx_np", 2)}


@contextlib.contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Gives a new folder to write into: it becomes ``output`` when the block ends well, and is removed otherwise."""
    check_replaceable(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    _recover(output)
    try:
        staging = output.parent / f"{_prefix(output)}{os.urandom(6).hex()}.new"
        staging.mkdir()
    except OSError as error:
        raise OutsideError(f"cannot write here: {error.strerror}", location=Location(output.parent)) from error
    try:
        with _in_use(staging):
            staging.chmod(0o755)
            yield staging
            _swap(staging, output)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def check_replaceable(output: Path) -> None:
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise InputError("the output is no folder", location=Location(output), hint="choose another --output")
    if output.is_dir() and any(output.iterdir()) and not (output / MARKER).is_file():
        raise InputError(
            "the output folder holds files that flowpack did not write",
            location=Location(output),
            hint="choose another --output, or empty this folder",
        )


def replace_file(path: Path, text: str) -> None:
    """Writes a file beside its place and renames it: a reader sees the old text or the new one."""
    beside = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        beside.write_bytes(text.encode())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def check_apart(output: Path, flow_folder: Path, sources: Iterable[Path]) -> None:
    """Refuses an output that would be taken into the flow again at the next build, or that would replace the flow.

    ``sources`` are the files and folders that the flow is made from, with their links resolved.
    """
    real = output.resolve()
    if real == flow_folder or flow_folder in real.parents:
        raise InputError(
            "the output folder lies inside the flow",
            location=Location(output),
            hint="choose an --output beside the flow",
        )
    if real in flow_folder.parents:
        raise InputError(
            "the output folder contains the flow", location=Location(output), hint="choose an --output beside the flow"
        )
    for source in sources:
        if real == source or real in source.parents or source in real.parents:
            is_inside = source in real.parents
            raise InputError(
                f"the output folder {'lies inside' if is_inside else 'holds'} '{source}', which the flow includes",
                location=Location(output),
                hint="choose another --output",
            )


def _prefix(output: Path) -> str:
    return f".{output.name}.flowpack-"


def _recover(output: Path) -> None:
    """Takes away what a killed build left, and puts an old output back where a swap without exchange was cut short."""
    for left in output.parent.glob(f"{_prefix(output)}*"):
        if left.suffix == ".old" and not output.exists():
            left.rename(output)
        elif left.suffix in {".new", ".old"} and not _is_in_use(left):
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _in_use(staging: Path) -> Iterator[None]:
    """Holds a lock on the folder that ends with this process, however it ends."""
    descriptor = _lock(staging)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _is_in_use(staging: Path) -> bool:
    descriptor = _lock(staging)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _lock(folder: Path) -> int | None:
    if sys.platform == "win32":
        return None  # a folder cannot be locked there; leftovers stay until someone removes them
    import fcntl  # noqa: PLC0415  (POSIX alone has it)

    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _swap(staging: Path, output: Path) -> None:
    if not output.exists():
        with contextlib.suppress(OSError):  # another build of this output came first
            staging.rename(output)
            return
    if _exchange(staging, output):
        return  # staging now holds the old output, and staged() removes it
    old = staging.with_suffix(".old")
    output.rename(old)
    staging.rename(output)
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two names at once; False where the system or the file system cannot."""
    if sys.platform not in _EXCHANGE:
        return False
    import ctypes  # noqa: PLC0415  (only an output that is replaced needs it)

    function, flag = _EXCHANGE[sys.platform]
    here = _AT_FDCWD[sys.platform]
    with contextlib.suppress(OSError, AttributeError):
        call = getattr(ctypes.CDLL(None, use_errno=True), function)
        return bool(call(here, os.fsencode(one), here, os.fsencode(other), flag) == 0)
    return False
