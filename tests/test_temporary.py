"""Folders that are held while they are used, and go away however their process ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowpack.assembly.staging import MARKER, staged
from flowpack.errors import OutsideError
from flowpack.running.processes import ProcessServer
from flowpack.temporary import new_held_folder, remove_abandoned, temporary_folder
from tests.paths import write_tree


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_private_and_goes_away(temporary: Path) -> None:
    with temporary_folder("lock") as folder:
        write_tree(folder, {"deep/file": "x"})
        assert folder.parent == temporary
        assert folder.stat().st_mode & 0o777 == 0o700
    assert names(temporary) == []


def test_it_goes_away_after_an_error(temporary: Path) -> None:
    with pytest.raises(KeyError), temporary_folder("lock"):
        raise KeyError
    assert names(temporary) == []


@pytest.mark.attack("low: kill -9 of lock")
def test_what_a_killed_process_left_is_removed_by_the_next(temporary: Path) -> None:
    code = (
        "import os\nfrom flowpack.temporary import temporary_folder\n"
        "with temporary_folder('lock') as folder:\n    (folder / 'x').touch()\n    os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(names(temporary)) == 1
    with temporary_folder("lock") as folder:
        assert names(temporary) == [folder.name]


def test_what_is_in_use_or_is_not_flowpacks_stays(temporary: Path) -> None:
    write_tree(temporary, {"flowpack-other/x": "", "flowpack-temporary-file": ""})
    (temporary / "flowpack-temporary-link").symlink_to("flowpack-other")
    before = names(temporary)
    with temporary_folder("one") as one, temporary_folder("two"):
        assert one.is_dir()
    assert names(temporary) == before
    assert (temporary / "flowpack-other" / "x").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives folders away")
def test_another_users_folder_stays(temporary: Path) -> None:
    (temporary / "flowpack-temporary-theirs").mkdir()
    os.chown(temporary / "flowpack-temporary-theirs", 12345, -1)
    with temporary_folder("one"):
        pass
    assert names(temporary) == ["flowpack-temporary-theirs"]


def test_a_server_holds_its_folder_for_as_long_as_it_runs(temporary: Path) -> None:
    """Also where the flowpack that started it was killed."""
    held = new_held_folder(temporary, "flowpack-temporary-")
    server = ProcessServer(["sleep", "60"], dict(os.environ), held.path / "log", held=held.descriptor)
    held.release()
    remove_abandoned(temporary, "flowpack-temporary-")
    assert held.path.is_dir()
    server.stop()
    remove_abandoned(temporary, "flowpack-temporary-")
    assert not held.path.exists()


@pytest.mark.attack("low: read-only or full folders in lock")
@pytest.mark.parametrize("place", ["/proc/nowhere", "{file}"])
def test_a_temporary_folder_that_cannot_be_made_is_an_error(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TMPDIR", place.format(file=tmp_path / "file"))
    with pytest.raises(OutsideError, match="no temporary folder can be made") as caught, temporary_folder("lock"):
        pass
    assert "TMPDIR" in (caught.value.hint or "")


_SWEEPER = """
import sys
from pathlib import Path
from flowpack.temporary import remove_abandoned
print("begun", flush=True)
while True:
    remove_abandoned(Path(sys.argv[1]), ".out.flowpack-", ".new")
"""


@pytest.mark.attack("M4")
def test_no_folder_is_taken_for_abandoned_between_its_making_and_its_lock(tmp_path: Path) -> None:
    sweepers = [
        subprocess.Popen([sys.executable, "-c", _SWEEPER, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(2)
    ]
    try:
        for sweeper in sweepers:
            assert sweeper.stdout is not None
            sweeper.stdout.readline()
        for number in range(300):
            held = new_held_folder(tmp_path, ".out.flowpack-", ".new")
            (held.path / "file").touch()
            (held.path / "file").unlink()
            held.path.rmdir()
            held.release()
            with staged(tmp_path / "out") as folder:
                write_tree(folder, {MARKER: "{}", "deep/content": str(number)})
            assert (tmp_path / "out" / "deep" / "content").read_text() == str(number)
    finally:
        for sweeper in sweepers:
            sweeper.kill()
            sweeper.communicate()
