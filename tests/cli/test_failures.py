"""What no part foresaw, and what the system refuses: a line and an exit code, never a traceback."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from flowpack.errors import shown_path
from tests.commands import Done, flowpack
from tests.paths import FLOWS, write_tree

SECRET = "correct-horse-battery"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose flow has a fresh lock."""
    project = write_tree(tmp_path_factory.mktemp("project"), {".git/HEAD": ""})
    shutil.copytree(FLOWS / "python-only", project / "flow")
    flowpack("lock", project / "flow", "--quiet")
    return project


@pytest.fixture
def project(locked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(locked, tmp_path / "project"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def crash(raising: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """``flowpack`` as if the statement came in the middle of a command."""
    code = (
        "import sys\nfrom flowpack.cli import main\n"
        f"def invoke(context):\n    {raising}\n"
        f"main.cli.invoke = invoke\nsys.argv = {['flowpack', *(arguments or ('lock', 'x'))]!r}\nmain.main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.attack("low: a traceback where an error belongs")
@pytest.mark.parametrize(
    "raising",
    [
        "raise KeyError('x')",
        "raise AssertionError",
        "raise UnicodeDecodeError('utf-8', b'x', 0, 1, 'why')",
        "raise ValueError('several\\nlines')",
        "return invoke(context)",  # RecursionError
    ],
)
def test_a_defect_is_a_line_that_names_a_log(cache: Path, raising: str) -> None:
    done = crash(raising, "build", "x", "-e", f"TOKEN={SECRET}", f"--env=KEY={SECRET}", f"https://u:{SECRET}@host/x")
    assert done.returncode == 3
    first, second = done.stderr.splitlines()
    assert first.startswith("error: internal error: ")
    [log] = (cache / "logs").iterdir()
    assert str(log) in second
    assert log.stat().st_mode & 0o777 == 0o600
    text = log.read_text()
    assert "Traceback (most recent call last)" in text
    assert "command: flowpack build x -e TOKEN=**** --env=KEY=****" in text
    assert SECRET not in text + done.stderr
    assert done.stdout == ""


def test_the_log_holds_no_variable_of_the_environment(cache: Path) -> None:
    crash("raise KeyError", env={"MY_PASSWORD": SECRET})
    [log] = (cache / "logs").iterdir()
    assert SECRET not in log.read_text()


def test_a_defect_is_json_where_json_is_asked_for(cache: Path) -> None:
    done = crash("raise KeyError('x')", "build", "--json")
    assert json.loads(done.stdout)["error"] == "InternalError"


def test_the_newest_logs_are_kept(cache: Path) -> None:
    write_tree(cache / "logs", {f"20000101T0000{number:02}-1.log": "" for number in range(30)})
    crash("raise KeyError")
    names = sorted(path.name for path in (cache / "logs").iterdir())
    assert len(names) == 20
    assert not names[-1].startswith("2000")


def test_without_a_place_for_a_log_the_line_says_how_to_see_more(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = crash("raise KeyError('x')", env={"FLOWPACK_CACHE_DIR": str(tmp_path / "file")})
    assert (done.returncode, len(done.stderr.splitlines())) == (3, 2)
    assert "FLOWPACK_TRACEBACK=1" in done.stderr
    shown = crash("raise KeyError('x')", env={"FLOWPACK_CACHE_DIR": str(tmp_path), "FLOWPACK_TRACEBACK": "1"})
    assert "Traceback" in shown.stderr


@pytest.mark.attack("low: a traceback where an error belongs")
@pytest.mark.parametrize(
    ("raising", "said"),
    [
        ("open('/no/such/file')", "/no/such/file: the system refuses: No such file or directory"),
        ("import os; raise OSError(28, os.strerror(28), '/x/y')", "/x/y: cannot be written: No space left on device"),
        ("import os; raise OSError(28, os.strerror(28))", "a file cannot be written: No space left on device"),
        ("raise MemoryError", "there is not enough memory"),
    ],
)
def test_what_the_system_refuses_is_a_sentence_with_the_file(cache: Path, raising: str, said: str) -> None:
    done = crash(raising)
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == f"error: {said}"
    assert done.stderr.splitlines()[1].startswith("hint: ")
    assert not (cache / "logs").exists()


def test_an_interrupt_is_told_in_a_word(cache: Path) -> None:
    done = crash("raise KeyboardInterrupt")
    assert (done.returncode, done.stderr.strip()) == (130, "stopped")


@pytest.mark.parametrize("arguments", [["--help"], ["check", str(FLOWS)], ["check", str(FLOWS), "--json"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_ends_it_silently(cache: Path, arguments: Sequence[str], unbuffered: str) -> None:
    """``flowpack check | head``; exit code 1 would say that a flow is wrong."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "flowpack", *arguments, *["--quiet"] * (arguments[0] != "--help")],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_disk_below_stdout_is_told(cache: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "flowpack", "check", FLOWS, "--json", "-q"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.startswith("error: the output cannot be written: No space left on device")


def test_a_wrong_command_line_is_json_too(cache: Path) -> None:
    done = flowpack("build", "--json", expect=2)
    assert done.json["error"] == "UsageError"
    assert "Missing argument" in done.json["message"]


@pytest.mark.attack("low: a deleted working directory")
def test_a_deleted_working_directory_is_told(tmp_path: Path, cache: Path) -> None:
    gone = tmp_path / "gone"
    for arguments in (["check", "."], ["build", ".", "--output", "out"], ["lock", str(FLOWS / "python-only")]):
        gone.mkdir()
        done = subprocess.run(
            ["sh", "-c", 'rmdir ../gone; exec "$@"', "sh", sys.executable, "-m", "flowpack", *arguments],
            cwd=gone,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3
        assert done.stderr.startswith("error: the working directory no longer exists\nhint: ")


NO_UTF8 = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LOCALES = [{"LC_ALL": "C"}, NO_UTF8, {"PYTHONIOENCODING": "ascii"}]


@pytest.mark.attack("low: C locale")
@pytest.mark.parametrize("locale", LOCALES, ids=str)
def test_names_that_are_not_ascii_in_any_locale(tmp_path: Path, cache: Path, locale: dict[str, str]) -> None:
    """The finding names the file, on a terminal and in JSON, or one line says which locale would do."""
    project = write_tree(
        tmp_path / "größe", {".git/HEAD": "", "flöw/flow.dag.yaml": "nodes: 3\n", "flöw/ü.py": "x = 1"}
    )
    for arguments in (["check", project], ["check", project, "--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "flowpack", *map(str, arguments)],
            env={**os.environ, **locale},
            capture_output=True,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        if locale is NO_UTF8 and done.returncode == 3:
            assert b"hint: set PYTHONUTF8=1" in done.stderr
            continue
        assert done.returncode == 1, done.stderr
        if "--json" in arguments:
            [finding, *_] = json.loads(done.stdout)["findings"]
            assert "fl" in finding["file"]


@pytest.fixture
def in_the_way(tmp_path: Path) -> Path:
    return write_tree(tmp_path, {"file": "not a folder"}) / "file"


@pytest.mark.attack("low: an output that cannot be written")
@pytest.mark.network
@pytest.mark.parametrize(
    "arguments",
    [
        ["build", "{project}/flow", "--locked", "--output", "{file}/deep/out"],
        ["build", "{project}/flow", "--locked", "--output", "/proc/nowhere/out"],
        ["check", "{project}", "--write-baseline", "--baseline", "{file}/baseline.json"],
        ["check", "{project}", "--write-baseline", "--baseline", "{project}/no/such/folder.json"],
        ["check", "{project}", "--write-baseline", "--baseline", "/proc/version"],
        ["ci", "{project}", "--summary", "{file}/summary.md"],
        ["ci", "{project}", "--outputs", "/proc/nowhere/outputs"],
        ["register", "{project}/flow", "--registry", "local:{file}/registry"],
        ["register", "{project}/flow", "--registry", "local:{project}/registry", "--output", "{file}/model"],
    ],
    ids=lambda arguments: " ".join(arguments[:1] + arguments[-2:]),
)
def test_a_place_that_cannot_be_written_is_named(
    project: Path, cache: Path, in_the_way: Path, arguments: Sequence[str]
) -> None:
    done = refused([each.format(project=project, file=in_the_way) for each in arguments])
    place = arguments[-1].removeprefix("local:").format(project=project, file=in_the_way)
    assert any(shown_path(each) in done.stderr for each in (Path(place), *list(Path(place).parents)[:-2]))
    assert in_the_way.read_text() == "not a folder"


def refused(arguments: Sequence[str], env: dict[str, str] | None = None) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "flowpack", *arguments],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode in {1, 3}, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert "None" not in errors[0]
    return Done(done.returncode, done.stdout, done.stderr)


def test_a_summary_that_cannot_be_written_is_known_before_a_flow_is_built(project: Path, in_the_way: Path) -> None:
    done = refused(["ci", str(project), "--summary", f"{in_the_way}/summary.md"])
    assert "flow (1 of 1)" not in done.stderr


@pytest.mark.attack("held: full disk")
@pytest.mark.network
def test_a_full_disk_leaves_the_old_output(project: Path, cache: Path, tmp_path: Path) -> None:
    """As far as a limit for a file's size is a full disk: the system refuses the write in the middle."""
    out = tmp_path / "out"
    flowpack("build", project / "flow", "--output", out, "--locked", "-q")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (project / "flow" / "data.bin").write_bytes(bytes(200_000))
    for largest in (0, 1_000, 100_000):
        done = subprocess.run(
            [sys.executable, "-m", "flowpack", "build", project / "flow", "--output", out, "--locked", "-q"],
            preexec_fn=lambda largest=largest: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 3
        assert "cannot be written: File too large" in done.stderr
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def on_a_small_disk(disk: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Runs a script with a file system of 2 MB at ``disk``, which no other process sees."""
    disk.mkdir()
    program = f"mount -t tmpfs -o size=2m none {disk} && {script}"
    done = subprocess.run(
        ["unshare", "--mount", *["--map-root-user"] * (os.geteuid() != 0), "sh", "-c", program, "sh", sys.executable],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("this machine lets nobody mount a small disk")
    return done


@pytest.mark.attack("low: read-only or full folders in lock")
@pytest.mark.network
@pytest.mark.skipif(shutil.which("unshare") is None, reason="a small disk needs Linux")
@pytest.mark.parametrize("state", ["full", "read-only"])
@pytest.mark.parametrize("place", ["flow", "TMPDIR", "registry", "output"])
def test_a_full_or_a_read_only_disk_is_one_line(
    project: Path, cache: Path, tmp_path: Path, place: str, state: str
) -> None:
    disk, flow = tmp_path / "disk", project / "flow"
    commands = {
        "flow": f"rm {disk}/flow/requirements.lock; SPOIL; $1 -m flowpack lock {disk}/flow -q",
        "TMPDIR": f"SPOIL; TMPDIR={disk} $1 -m flowpack lock {flow} --upgrade -q",
        "registry": f"SPOIL; $1 -m flowpack register {flow} --registry local:{disk}/registry -q",
        "output": f"SPOIL; $1 -m flowpack build {flow} --locked --output {disk}/out -q",
    }
    spoil = {
        "full": f"head -c 5000000 /dev/zero > {disk}/fill 2> /dev/null",
        "read-only": f"mount -o remount,ro {disk}",
    }
    script = f"cp -r {flow} {disk}/flow; {commands[place].replace('SPOIL', spoil[state])}"
    done = on_a_small_disk(disk, script)
    assert done.returncode == 3, done.stderr
    first, *_ = [line for line in done.stderr.splitlines() if not line.startswith("warning:")]
    assert shown_path(disk) in first or str(disk) in first
    reason = "No space left on device" if state == "full" else "Read-only file system"
    assert reason in first
    assert "Traceback" not in done.stderr


@pytest.mark.attack("low: kill -9 of lock")
@pytest.mark.network
def test_what_killed_commands_left_among_temporary_files_is_gone_after_the_next(
    project: Path, cache: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    env = {**os.environ, "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "flowpack", "lock", str(project / "flow"), "--upgrade", "-q"]
    before = (project / "flow" / "requirements.lock").read_bytes()
    for attempt in range(6):
        running = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while running.poll() is None and not list(temporary.glob("flowpack-temporary-*")):
            time.sleep(0.001)
        time.sleep(attempt * 0.05)
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert (project / "flow" / "requirements.lock").read_bytes() == before
    assert list(temporary.glob("flowpack-temporary-*")), "a kill leaves something"
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    assert list(temporary.glob("flowpack-temporary-*")) == []
    assert [path.name for path in (project / "flow").iterdir() if path.name.startswith(".")] == []
