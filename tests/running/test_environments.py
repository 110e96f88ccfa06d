from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from flowpack import kept_environments, process
from flowpack.errors import ToolError
from flowpack.process import Completed
from flowpack.running import environments
from flowpack.running.environments import find_interpreter, virtual_environment
from tests.paths import write_tree
from tests.recording import Recording
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
    told = Recording()
    run = Counting()
    first = made(build, run=run, reporter=told)
    imports(first)
    assert any(line.endswith(f"with {tool}") for line in told)
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
@pytest.mark.attack("held: eight of anything at once")
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
    place = made(build)
    imports(place)
    assert list(kept.iterdir()) == [place], "what a killed process left is removed by the next"


@pytest.mark.network
def test_a_lock_that_cannot_be_installed_is_told_in_the_installer_s_words(build: Path, own_cache: Path) -> None:
    (build / "requirements.lock").write_text("idna==3.10 --hash=sha256:" + "0" * 64 + "\n")
    with pytest.raises(ToolError) as caught:
        made(build)
    assert "requirements.lock cannot be installed" in caught.value.message
    assert "hash" in (caught.value.detail or "").lower()
    assert not list((own_cache / "environments").iterdir())


def core_of(place: Path) -> Path:
    return next(place.glob("lib/python*/site-packages/idna/core.py"))


@pytest.mark.attack("M2")
@pytest.mark.network
@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_no_file_of_an_environment_is_another_s(
    build: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    """An edit of the one would be an edit of the installer's cache, and so of every other and every later one."""
    if tool == "pip":
        monkeypatch.setattr(environments, "find_uv_program", lambda: None)
    first = made(build)
    core_of(first).write_text("raise SystemExit('edited')\n")
    write_tree(build, {"flowpack_serving/__init__.py": "import idna  # another\n"})
    second = made(build)
    imports(second)
    shared = [
        path for path in second.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_nlink > 1
    ]
    assert shared == []


def append(path: Path) -> None:
    path.write_text(path.read_text() + "raise SystemExit('edited')\n")


def edit_in_place_with_the_time_restored(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"#")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def link_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to(__file__)


BREAKING = {
    "an edit": append,
    "an edit with the time restored": edit_in_place_with_the_time_restored,
    "an empty file": lambda path: path.write_text(""),
    "a missing file": Path.unlink,
    "a file that is a link": link_elsewhere,
    "a module more": lambda path: path.with_name("more.py").touch(),
    "a startup hook": lambda path: (path.parents[1] / "evil.pth").write_text("import os"),
    "a missing package": lambda path: shutil.rmtree(path.parent),
    "bytecode that was changed": lambda path: append_a_byte(next(path.parent.glob("__pycache__/core.*.pyc"))),
    "a mode": lambda path: path.chmod(0o777),
    "its interpreter": lambda path: (path.parents[4] / "bin" / "python").unlink(),
}


def append_a_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one environment, to be copied and broken."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FLOWPACK_CACHE_DIR", str(folder / "cache"))
        build = write_tree(folder / "build", {"flowpack_serving/__init__.py": "import idna\n"})
        (build / "requirements.lock").write_text(lock(("idna==3.10",)))
        made(build)
    return folder


@pytest.mark.attack("M2")
@pytest.mark.network
@pytest.mark.parametrize("breaking", BREAKING)
def test_a_broken_environment_is_made_again(whole: Path, breaking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(whole / "cache"))
    place = made(whole / "build")
    before = core_of(place).read_bytes()
    BREAKING[breaking](core_of(place))
    told = Recording()
    assert made(whole / "build", reporter=told) == place
    assert "the environment of requirements.lock is broken (" in told[0]
    assert core_of(place).read_bytes() == before
    imports(place)
    assert {path.name for path in core_of(place).parents[1].glob("*.pth")} <= {
        "_virtualenv.pth",
        "distutils-precedence.pth",
    }
    told.clear()
    made(whole / "build", reporter=told)
    assert told == []


@pytest.mark.attack("M2")
@pytest.mark.network
def test_times_that_changed_alone_break_nothing(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup that was put back, or a `touch`: contents are compared, once."""
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(whole / "cache"))
    place = made(whole / "build")
    os.utime(core_of(place))
    compared: list[str] = []
    digest = kept_environments._digest
    monkeypatch.setattr(kept_environments, "_digest", lambda path: compared.append(path) or digest(path))
    run = Counting()
    made(whole / "build", run=run)
    assert compared
    compared.clear()
    made(whole / "build", run=run)
    assert (run.commands, compared) == ([], [])


@pytest.mark.attack("M1")
@pytest.mark.network
@pytest.mark.parametrize("damage", [b"", b"{}", b"flowpack cache 1 manifests/x 00\n{}"])
def test_without_its_manifest_an_environment_is_not_trusted(
    whole: Path, damage: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(whole / "cache"))
    place = made(whole / "build")
    append(core_of(place))
    for path in (whole / "cache" / "manifests").iterdir():
        path.write_bytes(damage)
    made(whole / "build")
    imports(place)


@pytest.mark.attack("M2")
@pytest.mark.network
@pytest.mark.skipif(environments.find_uv_program() is None, reason="uv is not installed")
def test_what_changed_in_the_cache_of_uv_gets_into_no_environment(
    build: Path, own_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    expected = core_of(made(build)).read_bytes()
    [cached] = (tmp_path / "uv").glob("archive-*/*/idna/core.py")
    append(cached)
    shutil.rmtree(own_cache)
    told = Recording()
    place = made(build, reporter=told)
    assert core_of(place).read_bytes() == expected
    assert any("uv's cache is damaged (idna-3.10.dist-info)" in line for line in told)


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
