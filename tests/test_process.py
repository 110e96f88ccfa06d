"""The one door to other programs: what lies in the working directory is neither started nor loaded."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from flowpack import process
from flowpack.errors import ToolError
from flowpack.images.engine.builders import docker_programs
from flowpack.uv_program import find_uv_program
from tests.paths import write_tree

PROGRAM = "#!/bin/sh\necho from the checkout\n"


def executable(folder: Path, *names: str) -> Path:
    write_tree(folder, dict.fromkeys(names, PROGRAM))
    for name in names:
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with programs in it and in a folder of it, and a PATH that leads there."""
    folder = executable(tmp_path / "checkout", "docker", "uv", "git", "no-other", "bin/docker", "bin/no-other")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "bin", "../checkout/bin", os.environ["PATH"], ""]))
    return folder


@pytest.mark.attack("C4")
def test_a_program_of_the_working_directory_is_not_found(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uv", None)
    assert process.find_program("no-other") is None
    found = (process.find_program("git"), find_uv_program(), *docker_programs())
    assert not [program for program in found if program and Path(program).is_relative_to(checkout)]
    assert all(program is None or Path(program).is_absolute() for program in found)
    with pytest.raises(ToolError, match="'no-other' is not installed, or not on PATH"):
        process.run(("no-other",))
    assert "from the checkout" not in process.run(("git", "--version")).stdout


@pytest.mark.attack("C4")
def test_a_program_that_is_started_finds_none_of_the_working_directory(checkout: Path) -> None:
    done = process.run(("sh", "-c", "no-other; echo $PATH"), cwd=checkout)
    assert "from the checkout" not in done.stdout
    assert all(Path(entry).is_absolute() for entry in done.stdout.strip().split(os.pathsep))


@pytest.mark.attack("C4")
def test_a_python_that_is_started_loads_nothing_of_the_working_directory(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = checkout.parent / "mark"
    planted = f"open({str(mark)!r}, 'a').write(__name__)\n"
    write_tree(checkout, dict.fromkeys(("venv.py", "pip.py", "json.py", "sitecustomize.py"), planted))
    monkeypatch.setenv("PYTHONPATH", ".")
    for command in (("-m", "venv", "--help"), ("-m", "pip", "--version"), ("-c", "import json")):
        process.run((sys.executable, *command))
    assert not mark.exists()
    process.run((sys.executable, "-m", "json"), cwd=checkout)
    assert mark.exists()  # the marks work


def test_what_is_started_begins_at_the_root_and_knows_the_owner_s_files(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", "configuration")
    done = process.run(("sh", "-c", 'pwd; echo "$DOCKER_CONFIG"'))
    assert done.stdout.splitlines() == ["/", str(checkout / "configuration")]
    assert process.run(("./no-other",)).stdout == "from the checkout\n"  # named as a path, by a person


def test_a_working_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert process.run(("sh", "-c", "echo there")).stdout == "there\n"
