"""Eight of a command at once, and commands that are killed: each answer is right, and nothing is left behind."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import flowpack
from tests.paths import FLOWS, write_tree

EIGHT = 8
MOMENTS = 6


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose flow has a fresh lock, and enough files for flowpack to keep records of them."""
    project = write_tree(tmp_path_factory.mktemp("project"), {".git/HEAD": ""})
    shutil.copytree(FLOWS / "python-only", project / "flow")
    write_tree(project / "flow", {f"data/{number}.txt": str(number) * 100 for number in range(250)})
    write_tree(project / "flow", {"key.pem": "-----BEGIN PRIVATE KEY-----\n", ".flowpackignore": "*.pem\n"})
    flowpack("lock", project / "flow", "--quiet")
    return project


@pytest.fixture
def project(locked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable, folder in (("FLOWPACK_CACHE_DIR", "cache"), ("TMPDIR", "tmp")):
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(variable, str(tmp_path / folder))
    return Path(shutil.copytree(locked, tmp_path / "project"))


def started(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flowpack", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answers(running: list[subprocess.Popen[str]]) -> list[str]:
    """What each printed; all of them ended well, without a word on stderr."""
    ended = [each.communicate(timeout=300) for each in running]
    assert [each.returncode for each in running] == [0] * len(running), [stderr for _, stderr in ended]
    assert [stderr for _, stderr in ended] == [""] * len(running)
    return [stdout for stdout, _ in ended]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".git"]


def no_leftovers(project: Path) -> None:
    assert list((project.parent / "tmp").glob("flowpack-*")) == []
    assert hidden(project.parent) == hidden(project) == []
    assert {path.name for path in (project / "flow").iterdir() if path.name.startswith(".")} == {".flowpackignore"}


@pytest.mark.attack("held: eight of anything at once")
@pytest.mark.network
def test_builds_to_outputs_of_their_own_are_equal(project: Path, tmp_path: Path) -> None:
    answers([started("build", project / "flow", "-o", tmp_path / f"out{each}", "-q") for each in range(EIGHT)])
    first, *others = (contents(tmp_path / f"out{each}") for each in range(EIGHT))
    assert all(other == first for other in others)
    no_leftovers(project)


@pytest.mark.attack("M4")
@pytest.mark.network
def test_builds_to_one_output_all_end_well(project: Path, tmp_path: Path) -> None:
    flowpack("build", project / "flow", "-o", tmp_path / "alone", "--locked", "-q")
    for _ in range(3):
        answers([started("build", project / "flow", "-o", tmp_path / "out", "--locked", "-q") for _ in range(EIGHT)])
        assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    no_leftovers(project)


@pytest.mark.attack("held: eight of anything at once")
@pytest.mark.network
def test_locks_of_one_flow_all_end_well(project: Path) -> None:
    answers([started("lock", project / "flow", "--upgrade", "-q") for _ in range(EIGHT)])
    flowpack("lock", project / "flow", "--check", "-q")
    no_leftovers(project)


@pytest.mark.attack("held: eight of anything at once")
@pytest.mark.network
def test_registrations_of_one_flow_are_one_version(project: Path, tmp_path: Path) -> None:
    registry = f"local:{tmp_path / 'registry'}"
    answers([started("register", project / "flow", "--registry", registry, "-q", "--json") for _ in range(EIGHT)])
    assert sorted(path.name for path in (tmp_path / "registry" / "flow").iterdir()) == [".lock", "1"]
    no_leftovers(project)


@pytest.mark.attack("held: eight of anything at once")
@pytest.mark.network
def test_checks_find_the_same(project: Path) -> None:
    (project / "flow" / ".flowpackignore").unlink()
    command = ("check", project, "--json", "-q")
    first, *others = ended = [started(*command) for _ in range(EIGHT)]
    found = [each.communicate(timeout=300) for each in ended]
    assert {each.returncode for each in (first, *others)} == {1}
    assert len({stdout for stdout, _ in found}) == 1
    assert "key.pem" in found[0][0]
    assert flowpack(*command, expect=1).stdout == found[0][0]


def killed(command: list[str | Path], moment: float) -> None:
    """Starts the command and kills it ``moment`` s later."""
    running = started(*command)
    time.sleep(moment)
    running.send_signal(signal.SIGKILL)
    running.communicate()


@pytest.mark.attack("held: kill -9 at any moment")
@pytest.mark.network
@pytest.mark.parametrize("name", ["build", "lock", "register", "check"])
def test_a_killed_command_breaks_nothing(name: str, project: Path, tmp_path: Path) -> None:
    commands: dict[str, list[str | Path]] = {
        "build": ["build", project / "flow", "-o", tmp_path / "out", "--locked", "--json", "-q"],
        "lock": ["lock", project / "flow", "--upgrade", "-q"],
        "register": ["register", project / "flow", "--registry", f"local:{tmp_path / 'registry'}", "--json", "-q"],
        "check": ["check", project, "--json", "-q"],
    }
    command = commands[name]
    began = time.monotonic()
    expected = flowpack(*command).stdout
    takes = time.monotonic() - began
    lock = (project / "flow" / "requirements.lock").read_bytes()
    before = contents(tmp_path / "out") if name == "build" else {}
    for attempt in range(MOMENTS):
        if name in {"check", "register"}:
            shutil.rmtree(tmp_path / "cache")
            (tmp_path / "cache").mkdir()
            shutil.rmtree(tmp_path / "registry", ignore_errors=True)
        killed(command, takes * (0.3 + attempt / MOMENTS))
        assert (project / "flow" / "requirements.lock").read_bytes() == lock
        if name == "build":
            assert contents(tmp_path / "out") == before
        for version in (tmp_path / "registry").glob("flow/[0-9]*"):
            assert (version / "model.yaml").is_file()
    done = flowpack(*command)
    assert name not in {"build", "check"} or done.stdout == expected
    if name == "register":
        assert [each["version"] for each in json.loads(models(tmp_path))["models"]] == ["1"]
    no_leftovers(project)


def models(tmp_path: Path) -> str:
    return flowpack("models", "--registry", f"local:{tmp_path / 'registry'}", "--json").stdout
