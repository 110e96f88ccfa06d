"""What long work shows: live on a terminal, in plain lines elsewhere, nothing with ``--quiet``."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.paths import ROOT

_SLOW = """
import sys, time
from flowpack.cli import reporters, tasks
reporter = reporters.reporter_for(quiet="--quiet" in sys.argv)
if not reporter.__class__.__name__.startswith("_"):
    live = isinstance(reporter._tasks, tasks.LiveTasks)
    reporter = reporters.LineReporter(
        tasks.LiveTasks(reporters._live_view, patience=0.05)
        if live
        else tasks.PlainTasks(patience=0.05, heartbeat=0.2)
    )
with reporter.task("copying the flow", "bytes") as task:
    for done in range(0, 101, 20):
        task.advance(done * 1_000_000, 100_000_000)
        task.detail("a\\x1b[2J/big.bin")
        time.sleep(0.15)
        if done == 60:
            reporter.warning("it is big")
    task.finish("copied the flow")
with reporter.task("a moment"):
    pass
reporter.info("done")
"""


def on_a_terminal(**environment: str) -> str:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment}
    subprocess.run([sys.executable, "-c", _SLOW], cwd=ROOT, stderr=theirs, check=True, env=variables)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 100_000):
            shown += part
    except OSError:  # Linux says so where the other side is closed and all is read
        pass
    os.close(ours)
    return shown.decode()


def without_styles(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_terminal_shows_what_is_done_how_far_it_is_and_how_long_it_took() -> None:
    shown = on_a_terminal()
    live = without_styles(shown)
    assert re.search(r"copying the flow [━╸╺]+ +0\.\d\d s, 40 MB of 100 MB, a/big\.bin", live)
    assert "\x1b[2J" not in shown
    assert live.endswith("\ndone\r\n")
    assert "warning: it is big" in live
    assert re.search(r"copied the flow in \d\.\d+ s", live)
    assert "a moment" not in live


def test_no_color_takes_the_colours_and_leaves_the_progress() -> None:
    assert "\x1b[33mwarning" in on_a_terminal()
    shown = on_a_terminal(NO_COLOR="1")
    assert "40 MB of 100 MB" in shown
    assert not re.search(r"\x1b\[[0-9;]*3\d(;\d+)*m", shown)


def test_a_terminal_that_cannot_move_its_cursor_gets_lines() -> None:
    shown = on_a_terminal(TERM="dumb")
    assert "\x1b[1A" not in shown
    assert "copying the flow\r\n" in shown


def elsewhere(*arguments: str) -> list[str]:
    command = [sys.executable, "-c", _SLOW, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_a_log_gets_a_line_signs_of_life_and_the_time() -> None:
    lines = elsewhere()
    assert lines[0] == "copying the flow"
    sign = r"  … copying the flow: \d+ MB of 100 MB, a/big\.bin, 0\.\d\d s"
    assert any(re.fullmatch(sign, line) for line in lines), lines
    assert "warning: it is big" in lines
    assert re.fullmatch(r"copied the flow in \d\.\d+ s", lines[-2])
    assert lines[-1] == "done"


def test_quiet_leaves_the_warning() -> None:
    assert elsewhere("--quiet") == ["warning: it is big"]
