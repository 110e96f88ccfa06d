"""Runs the ``flowpack`` command in a process forked from one that has loaded azure-ai-ml.

Loading it takes two seconds of the processor, and a test of Azure runs several commands. Arguments, variables, working
directory, streams and exit code are as in ``tests.commands``, where each command starts an interpreter.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from flowpack.cli.main import main
from tests.commands import Done

_LOADED = ["azure.ai.ml", "flowpack.cli.main"]


def flowpack(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, expect: int = 0
) -> Done:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED)
    with tempfile.TemporaryDirectory() as name:
        streams = [Path(name, stream) for stream in ("stdout", "stderr")]
        variables = {**os.environ, **(env or {})}
        process = context.Process(target=_run, args=([*map(str, arguments)], cwd or Path.cwd(), variables, streams))
        process.start()
        process.join(600)
        if process.exitcode is None:
            process.kill()
            process.join()
        stdout, stderr = (stream.read_text() for stream in streams)
    assert process.exitcode == expect, f"exit {process.exitcode}, not {expect}\n{stdout}\n{stderr}"
    return Done(expect, stdout, stderr)


def _run(arguments: list[str], folder: Path, variables: Mapping[str, str], streams: list[Path]) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = ["flowpack", *arguments]
    main()
