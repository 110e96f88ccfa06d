from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

from flowpack.running.served import stopped_at_the_end
from tests.paths import ROOT

PROGRAM = """
import os, signal, sys, time
from flowpack.running.served import stopped_at_the_end

class Server:
    def stop(self):
        print("stopping", flush=True)
        os.kill(os.getpid(), signal.SIGINT)  # someone impatient
        time.sleep(0.1)
        print("stopped", flush=True)

with stopped_at_the_end(Server()):
    print("serving", flush=True)
    {body}
"""


def ended(body: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM).replace("{body}", body)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_server_is_stopped_to_the_end_whatever_comes(name: str) -> None:
    status, said = ended(f"os.kill(os.getpid(), signal.{name}); time.sleep(60)")
    assert said == ["serving", "stopping", "stopped"]
    assert status != 0


def test_and_by_an_exception() -> None:
    status, said = ended("raise ValueError")
    assert said == ["serving", "stopping", "stopped"]
    assert status != 0


def test_handlers_are_put_back() -> None:
    class Quiet:
        def stop(self) -> None:
            pass

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with stopped_at_the_end(Quiet()):  # type: ignore[arg-type]
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
