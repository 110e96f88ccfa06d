"""Writes an output folder next to its final path and swaps it in at the end: readers see the old or the new one.

On Linux and macOS the swap is one system call that exchanges the two names. Elsewhere the old folder is renamed first;
after a crash between the two renames, the next build restores it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from flowpack.errors import InputError, Location
from flowpack.temporary import held_if_abandoned, new_held_folder, remove_abandoned, removed_at_the_end
from flowpack.writing import make_folder, unwritable

MARKER = "flowpack.json"
"""The build's record; a folder without it was not written by flowpack and is never replaced."""

_ATTEMPTS = 20
_BETWEEN_ATTEMPTS = 0.05  # s
_AT_FDCWD = {"linux": -100, "darwin": -2}
_EXCHANGE = {"linux": ("renameat2", 2), "darwin": ("renameatx_np", 2)}


@contextlib.contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Yields a new folder to write into. It becomes ``output`` if the block succeeds, else it is removed."""
    check_replaceable(output)
    make_folder(output.parent)
    _recover(output)
    try:
        staging = new_held_folder(output.parent, _prefix(output), ".new")
    except OSError as error:
        raise unwritable(output, error) from error
    with removed_at_the_end(staging):
        staging.path.chmod(0o755)
        yield staging.path
        try:
            _swap(staging.path, output)
        except OSError as error:
            raise unwritable(output, error) from error


def check_replaceable(output: Path) -> None:
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise InputError("the output is not a folder", location=Location(output), hint="choose another --output")
    # Checked twice: another build may replace the folder after its names are listed and before its marker is checked.
    if _is_foreign(output) and _is_foreign(output):
        raise InputError(
            "the output folder contains files that flowpack did not write",
            location=Location(output),
            hint="choose another --output, or empty this folder",
        )


def _is_foreign(output: Path) -> bool:
    try:
        return output.is_dir() and any(output.iterdir()) and not (output / MARKER).is_file()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unwritable(output, error) from error


def check_apart(output: Path, flow_folder: Path, sources: Iterable[Path]) -> None:
    """Refuses an output that the next build would include in the flow, or that would replace the flow.

    ``sources`` are the files and folders the flow is made from, with links resolved.
    """
    real = output.resolve()
    if real == flow_folder or flow_folder in real.parents:
        raise InputError(
            "the output folder is inside the flow",
            location=Location(output),
            hint="choose an --output next to the flow",
        )
    if real in flow_folder.parents:
        raise InputError(
            "the output folder contains the flow", location=Location(output), hint="choose an --output next to the flow"
        )
    for source in sources:
        if real == source or real in source.parents or source in real.parents:
            is_inside = source in real.parents
            raise InputError(
                f"the output folder {'is inside' if is_inside else 'contains'} '{source}', which the flow includes",
                location=Location(output),
                hint="choose another --output",
            )


def _prefix(output: Path) -> str:
    return f".{output.name}.flowpack-"


def _recover(output: Path) -> None:
    """Removes what a killed build left, and restores the old output if a swap without exchange was interrupted."""
    if not output.exists():
        for left in output.parent.glob(f"{_prefix(output)}*.old"):
            with held_if_abandoned(left) as abandoned, contextlib.suppress(OSError):
                if abandoned:
                    left.rename(output)
    for suffix in (".new", ".old"):
        remove_abandoned(output.parent, _prefix(output), suffix)


def _swap(staging: Path, output: Path) -> None:
    if not output.exists():
        with contextlib.suppress(OSError):  # another build of this output came first
            staging.rename(output)
            return
    if _exchange(staging, output):
        return  # staging now holds the old output, and staged() removes it
    for attempt in range(_ATTEMPTS):
        old = staging.with_suffix(f".{attempt}.old")
        with contextlib.suppress(FileNotFoundError):
            output.rename(old)
        try:
            staging.rename(output)
        except OSError:
            # Between the two renames, another build put its own output there, or restored the old one.
            if not output.exists():
                with contextlib.suppress(OSError):
                    old.rename(output)
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(_BETWEEN_ATTEMPTS)
        else:
            break
        finally:
            if output.exists():
                shutil.rmtree(old, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two names atomically; False if the system or the file system cannot."""
    if sys.platform not in _EXCHANGE:
        return False
    import ctypes  # noqa: PLC0415  (only needed to replace an output)

    function, flag = _EXCHANGE[sys.platform]
    here = _AT_FDCWD[sys.platform]
    with contextlib.suppress(OSError, AttributeError):
        call = getattr(ctypes.CDLL(None, use_errno=True), function)
        return bool(call(here, os.fsencode(one), here, os.fsencode(other), flag) == 0)
    return False
