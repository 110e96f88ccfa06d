"""An output folder is the old one or the new one, whatever happens in between."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowpack.assembly.staging import MARKER, check_apart, staged
from flowpack.errors import InputError
from tests.paths import write_tree


def put(output: Path, text: str) -> None:
    with staged(output) as folder:
        write_tree(folder, {MARKER: "{}", "content": text})


def test_a_new_output_replaces_the_old_one_whole(tmp_path: Path) -> None:
    output = tmp_path / "deep" / "out"
    put(output, "old")
    (output / "left over").touch()
    put(output, "new")
    assert sorted(path.name for path in output.iterdir()) == ["content", MARKER]
    assert (output / "content").read_text() == "new"
    assert [path.name for path in output.parent.iterdir()] == ["out"]


def test_a_failed_build_leaves_the_output_as_it_was(tmp_path: Path) -> None:
    output = tmp_path / "out"
    put(output, "old")
    with pytest.raises(RuntimeError), staged(output) as folder:
        (folder / "content").write_text("half")
        raise RuntimeError
    assert (output / "content").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_of_someone_else_is_not_replaced(tmp_path: Path) -> None:
    output = write_tree(tmp_path / "out", {"thesis.tex": "years of work"})
    with pytest.raises(InputError, match="did not write"):
        put(output, "new")
    assert (output / "thesis.tex").read_text() == "years of work"


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    put(tmp_path / "out", "new")
    assert (tmp_path / "out" / "content").read_text() == "new"


@pytest.mark.parametrize("output", ["flow", "flow/build", ".", "shared"])
def test_an_output_that_mixes_with_its_sources_is_refused(tmp_path: Path, output: str) -> None:
    sources = [tmp_path / "flow" / "flow.dag.yaml", tmp_path / "shared" / "a.py"]
    with pytest.raises(InputError):
        check_apart(tmp_path / output, tmp_path / "flow", iter(sources))
    check_apart(tmp_path / "build", tmp_path / "flow", iter(sources))


_WRITER = """
import sys, pathlib
from flowpack.assembly.staging import staged
number = 0
while True:
    number += 1
    with staged(pathlib.Path(sys.argv[1])) as folder:
        (folder / "flowpack.json").write_text("{}")
        for name in range(20):
            (folder / f"{name}").write_text(str(number))
    print(number, flush=True)
"""


@pytest.mark.attack("held: kill -9 at any moment")
def test_kill_9_leaves_the_old_output_or_the_new(tmp_path: Path) -> None:
    """A process that writes outputs one after another is killed at many moments; each time the output is whole."""
    output = tmp_path / "out"
    for attempt in range(12):
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(output)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        for _ in range(3):
            writer.stdout.readline()
        time.sleep(attempt * 0.0007)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        contents = {path.read_text() for path in output.iterdir() if path.name != MARKER}
        assert len(contents) == 1
        assert len(list(output.iterdir())) == 21
    put(output, "last")
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "what killed builds left is taken away"
