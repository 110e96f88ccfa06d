"""What a command ends with when something comes that no part of flowpack foresaw: one line, and a log with the rest.

What the system refused (a full disk, a folder without permission) becomes a sentence with the place. All else is a
defect of flowpack's own: its traceback goes to a file in the cache, which the message names.
"""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import sys
import time
import traceback
from pathlib import Path

from flowpack import __version__
from flowpack.caches import cache_folder
from flowpack.errors import FlowpackError, InternalError, Location, OutsideError, scrub
from flowpack.writing import unwritable

SHOW_TRACEBACK = "FLOWPACK_TRACEBACK"
_LOGS_KEPT = 20
_LONGEST = 300
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
_ASSIGNMENT = re.compile(r"((?:--[a-z-]+=)?[^\s=]+)=.*", re.S)


def foreseen(error: BaseException) -> FlowpackError:
    """The error as flowpack reports one. Where it is a defect, a log of it has been written."""
    if os.environ.get(SHOW_TRACEBACK):
        traceback.print_exception(type(error), error, error.__traceback__, file=sys.stderr)
    if isinstance(error, MemoryError):
        return OutsideError("there is not enough memory", hint="give flowpack more, or a smaller flow")
    if isinstance(error, OSError):
        refusal = _refusal(error)
        if refusal:
            return refusal
    if isinstance(error, UnicodeEncodeError) and sys.getfilesystemencoding().lower() != "utf-8":
        return OutsideError(
            f"the locale's encoding, {sys.getfilesystemencoding()}, has no name for a file of the flow",
            hint="set PYTHONUTF8=1, or LC_ALL=C.UTF-8",
        )
    return _defect(error)


def _refusal(error: OSError) -> FlowpackError | None:
    if _is_without_a_working_directory():
        return OutsideError("the working directory no longer exists", hint="change to a folder that exists")
    reason = error.strerror or str(error)
    if of_a_stream(error):
        return OutsideError(f"the output cannot be written: {reason}", hint="choose another place for it")
    if isinstance(error.filename, (str, bytes)) and error.filename:
        path = Path(os.fsdecode(error.filename))
        if error.errno in _FULL:
            return unwritable(path, error)
        return OutsideError(
            f"the system refuses: {reason}", location=Location(path), hint="look at the file and its permissions"
        )
    if error.errno in _FULL:
        return OutsideError(f"a file cannot be written: {reason}", hint="free some space")
    return None


def of_a_stream(error: OSError) -> bool:
    """Whether it was in writing to stdout or stderr that the system refused: such an error names no file."""
    at = error.__traceback__
    while at and at.tb_next:
        at = at.tb_next
    return at is not None and at.tb_frame.f_globals.get("__name__") == "click.utils"


def _is_without_a_working_directory() -> bool:
    try:
        os.getcwd()  # noqa: PTH109  (asked for nothing but whether there is one)
    except OSError:
        return True
    return False


def _defect(error: BaseException) -> InternalError:
    said = next(iter(str(error).splitlines()), "")[:_LONGEST]
    message = f"internal error: {type(error).__name__}{': ' + said if said else ''}"
    log = write_log(error)
    if log is None:
        return InternalError(message, hint=f"set {SHOW_TRACEBACK}=1 to see where it comes from, and report it")
    return InternalError(message, hint=f"report it with {log}, which says where it comes from")


def write_log(error: BaseException) -> Path | None:
    """A file for this user alone; of earlier ones the newest stay. None where there is no place for it."""
    with contextlib.suppress(OSError, FlowpackError, MemoryError, RuntimeError):
        folder = cache_folder("logs")
        path = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}.log"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(_account(error))
        for old in sorted(folder.glob("*.log"))[:-_LOGS_KEPT]:
            old.unlink(missing_ok=True)
        return path
    return None


def _account(error: BaseException) -> str:
    """Without the environment, and without the values of NAME=VALUE on the command line: either may hold secrets."""
    command = " ".join(_ASSIGNMENT.sub(r"\1=****", each) for each in sys.argv)
    lines = [
        f"flowpack {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"command: {command}",
        "",
        *traceback.format_exception(type(error), error, error.__traceback__),
    ]
    return scrub("\n".join(line.rstrip("\n") for line in lines)) + "\n"
