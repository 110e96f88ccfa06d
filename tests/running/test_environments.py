from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowpack import process
from flowpack.errors import ToolError
from flowpack.process import Completed
from flowpack.running import environments
from flowpack.running.environments import find_interpreter, virtual_environment
from tests.paths import write_tree
from tests.running.builds import PYTHON, lock


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A lock of one small package, and a serving package that uses it."""
    folder = write_tree(tmp_path / "build", {"flowpack_serving/__init__.py": "import idna\n"})
    (folder / "requirements.lock").write_text(lock(("idna==3.10",)))
    return folder


def made(build: Path, **more: Any) -> Path:
    return virtual_environment(build / "requirements.lock", build / "flowpack_serving", python=PYTHON, **more)


def imports(place: Path) -> None:
    subprocess.run([place / "bin" / "python", "-c", "import flowpack_serving"], check=True)


class Counting:
    """Runs programs, and keeps what was run."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []

    def __call__(self, args: Sequence[str], **options: Any) -> Completed:
        self.commands.append(list(args))
        return process.run(args, **options)


@pytest.mark.network
@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_it_has_the_lock_s_packages_and_is_made_once(
    build: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    if tool == "pip":
        monkeypatch.setattr(environments, "find_uv_program", lambda: None)
    elif environments.find_uv_program() is None:
        pytest.skip("uv is not installed")
    told: list[str] = []
    run = Counting()
    first = made(build, run=run, narrate=told.append)
    imports(first)
    assert any(f"with {tool} in" in line for line in told)
    before = len(run.commands)
    assert made(build, run=run) == first
    assert len(run.commands) == before
    assert [path.name for path in (own_cache / "environments").iterdir()] == [first.name]


@pytest.mark.network
def test_another_lock_or_another_launcher_is_another_environment(build: Path, own_cache: Path) -> None:
    first = made(build)
    write_tree(build, {"flowpack_serving/__init__.py": "import idna  # changed\n"})
    assert made(build) != first


@pytest.mark.network
def test_one_whose_interpreter_is_gone_is_made_anew(build: Path, own_cache: Path) -> None:
    place = made(build)
    (place / "bin" / "python").unlink()
    (place / "bin" / "python").symlink_to("/no/such/python")
    assert made(build) == place
    imports(place)


@pytest.mark.network
def test_processes_at_once_get_one_whole_environment(build: Path, own_cache: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        places = set(pool.map(made, [build] * 3))
    [place] = places
    imports(place)
    assert [path.name for path in (own_cache / "environments").iterdir()] == [place.name]


@pytest.mark.network
def test_killed_in_the_middle_it_leaves_nothing_that_looks_whole(build: Path, own_cache: Path) -> None:
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom flowpack import process\n"
        "from flowpack.running.environments import virtual_environment\n"
        "def run(args, **options):\n"
        "    if 'sync' in args or 'pip' in args:\n        os.kill(os.getpid(), 9)\n"
        "    return process.run(args, **options)\n"
        f"b = Path({str(build)!r})\n"
        f"virtual_environment(b / 'requirements.lock', b / 'flowpack_serving', python={PYTHON!r}, run=run)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    kept = own_cache / "environments"
    [left] = list(kept.iterdir())
    assert left.name.startswith(".")
    imports(made(build))
    yesterday = time.time() - 25 * 3600
    os.utime(left, (yesterday, yesterday))
    write_tree(build, {"flowpack_serving/__init__.py": "import idna  # changed\n"})
    made(build)
    assert not left.exists(), "what a killed process left is removed a day later"


@pytest.mark.network
def test_a_lock_that_cannot_be_installed_is_told_in_the_installer_s_words(build: Path, own_cache: Path) -> None:
    (build / "requirements.lock").write_text("idna==3.10 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(ToolError) as caught:
        made(build)
    assert "requirements.lock cannot be installed" in caught.value.message
    assert "hash" in (caught.value.detail or "").lower()
    assert not list((own_cache / "environments").iterdir())


def test_the_running_interpreter_is_taken_where_it_fits() -> None:
    assert find_interpreter(PYTHON) == Path(sys.executable)


def test_an_interpreter_on_path_is_asked_for_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version manager's stand-in is there for versions that are not installed."""
    stand_in = tmp_path / "python3.99"
    stand_in.write_text("#!/bin/sh\necho 'python3.99: command not found' >&2\nexit 127\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(environments, "find_uv_program", lambda: None)
    with pytest.raises(ToolError) as caught:
        find_interpreter("3.99")
    assert "Python 3.99" in caught.value.message
    assert f"--python {PYTHON}" in (caught.value.hint or "")
    stand_in.write_text("#!/bin/sh\necho 3.99\n")
    assert find_interpreter("3.99") == stand_in


def test_uv_knows_of_interpreters_that_are_not_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(args: Sequence[str], *, env: Mapping[str, str | None] | None = None, **_: Any) -> Completed:
        said = "/opt/pythons/3.99/bin/python\n" if "find" in args else "3.99\n"
        return Completed(tuple(args), 0, said, "")

    monkeypatch.setattr(environments, "find_uv_program", lambda: "/usr/bin/uv")
    assert shutil.which("python3.99") is None
    assert find_interpreter("3.99", run) == Path("/opt/pythons/3.99/bin/python")
