"""``flowpack run`` and ``flowpack test`` with a virtual environment, as a user calls them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.commands import flowpack
from tests.paths import FLOWS

pytestmark = pytest.mark.network
COUNT = FLOWS / "python-only"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
HERE = ("--engine", "venv", "--python", PYTHON)


def test_a_flow_is_built_served_and_scored_with_its_defaults() -> None:
    done = flowpack("test", COUNT, *HERE)
    assert json.loads(done.stdout) == {"word_count": 6}
    assert "healthy after" in done.stderr


def test_inputs_come_from_options_and_files(tmp_path: Path) -> None:
    file = tmp_path / "inputs.json"
    file.write_text('{"text": "one two"}')
    assert flowpack("test", COUNT, *HERE, "--inputs", file).json == {"word_count": 2}
    assert flowpack("test", COUNT, *HERE, "--inputs", file, "--input", "text=one two three").json == {"word_count": 3}


def test_a_builds_output_is_served_as_it_is(tmp_path: Path) -> None:
    flowpack("build", COUNT, "--output", tmp_path / "out", "--python", PYTHON)
    done = flowpack("test", tmp_path / "out", "--engine", "venv", "--json").json
    assert done["engine"] == "venv"
    assert done["answer"] == {"word_count": 6}
    assert done["inputs"] == {"text": "To be, or not to be"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_serves_until_it_is_stopped(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "flowpack", "run", str(COUNT), *HERE, "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        request = urllib.request.Request(
            f"{url}/score", data=b'{"text": "a b"}', headers={"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            assert json.load(response) == {"word_count": 2}
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{url}/health", timeout=5)


def test_an_unknown_subject_is_guessed_neither_a_path_nor_an_image() -> None:
    done = flowpack("test", "./nowhere", expect=1)
    assert done.stderr.startswith("error: nowhere: does not exist\n")


def test_an_image_needs_an_engine() -> None:
    done = flowpack("test", "team/flow:1", "--engine", "venv", expect=2)
    assert "an image needs an engine" in done.stderr
