"""Runs a reader in a process of its own, which a limit of processor time and of memory ends.

Processor time is measured, not time on the clock: a busy machine fails no test.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from flowpack.errors import FlowpackError
from tests.hostile.readers import Reader

MEMORY = 3 * 1024**3


@dataclass(frozen=True, slots=True)
class Measured:
    """``problem`` is a traceback, or which limit ended the process; None for what was read or refused."""

    seconds: float
    problem: str | None = None
    refusal: str | None = None


def measure(reader: Reader, content: str | bytes, *, limit: float = 20.0) -> Measured:
    """``limit`` in seconds of the processor."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        folder = Path(name).resolve() / "project" / "flow"
        folder.mkdir(parents=True)
        (folder.parent / ".git").mkdir()
        reader.lay(folder, content)
        readable, writable = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(readable)
            _in_child(reader, folder, limit, writable)
        os.close(writable)
        with os.fdopen(readable, "rb") as told:
            answer = told.read()
        _, status = os.waitpid(child, 0)
    if answer:
        return Measured(**json.loads(answer))
    ended = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {status}"
    how = f"not done after {limit:g} s" if ended == "SIGPROF" else f"the process ended with {ended}"
    return Measured(limit, problem=how)


def _in_child(reader: Reader, folder: Path, limit: float, writable: int) -> None:
    problem = refusal = None
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process also within one long call of C
        signal.setitimer(signal.ITIMER_PROF, limit)
        os.environ["FLOWPACK_CACHE_DIR"] = str(folder.parent.parent / "cache")
        # What the tests before have left in this process's memory is not the reader's to look through.
        gc.freeze()
        gc.disable()
        began = time.process_time()
        try:
            reader.read(folder)
        except FlowpackError as error:
            refusal = str(error)[:2000]
        except MemoryError:
            problem = f"more than {MEMORY >> 20} MB of memory"
        except BaseException:
            problem = traceback.format_exc()[-4000:]
        seconds = time.process_time() - began
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(writable, json.dumps({"seconds": seconds, "problem": problem, "refusal": refusal}).encode())
    finally:
        os._exit(0)
