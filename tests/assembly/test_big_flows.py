"""What has not changed is neither read nor copied again, and nothing but what was there before comes of it."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowpack.assembly import copying, hashing
from flowpack.assembly.files import CopiedFile
from flowpack.assembly.flow_folder import FlowFolder, assemble, read_digests, write_flow_folder
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.staging import MARKER, staged
from flowpack.errors import InputError
from flowpack.flows.reader import read_flow
from tests.paths import ROOT, write_tree
from tests.recording import Recording

MANY = 300  # enough for flowpack to keep a record of them


@pytest.fixture
def flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flow whose files are older than what a record distrusts."""
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / ".git").mkdir()
    folder = write_tree(
        tmp_path / "flow",
        {"flow.dag.yaml": "nodes: []\n", **{f"data/{number % 7}/{number}.txt": str(number) for number in range(MANY)}},
    )
    (folder / "data/0/0.txt").chmod(0o755)
    long_ago(folder)
    monkeypatch.setattr(time, "time_ns", lambda now=time.time_ns: now() + 10_000_000_000)
    return folder


def long_ago(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))


def planned(flow: Path) -> FlowFolder:
    read = read_flow(flow)
    return assemble(read, IncludeRoots.of(read.folder))


def build(flow: Path) -> tuple[Path, str]:
    """As ``flowpack build`` writes and replaces an output."""
    folder = planned(flow)
    output = flow.parent / "out"
    with staged(output) as new:
        (new / MARKER).touch()
        (new / "flow").mkdir()
        write_flow_folder(folder, new / "flow", replaces=output / "flow")
    return output / "flow", folder.digest


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }


def inodes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_ino for path in folder.rglob("*") if path.is_file()}


def read_files(flow: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files the digest reads."""
    read: list[str] = []
    sum_up = CopiedFile.sum_up
    with monkeypatch.context() as patched:
        patched.setattr(CopiedFile, "sum_up", lambda file, tell: read.append(file.path) or sum_up(file, tell))
        planned(flow).digest  # noqa: B018
    return read


def test_what_has_not_changed_is_not_read_again(flow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(read_files(flow, monkeypatch)) == MANY + 1
    assert read_files(flow, monkeypatch) == []
    (flow / "data/1/1.txt").write_text("?")
    assert read_files(flow, monkeypatch) == [str(flow / "data/1/1.txt")]


def test_a_change_that_keeps_size_and_time_is_seen(flow: Path) -> None:
    before = planned(flow).digest
    changed = flow / "data/1/1.txt"
    changed.write_text("?")
    os.utime(changed, (1_700_000_000, 1_700_000_000))
    assert planned(flow).digest != before


def test_a_file_that_has_just_changed_is_read_each_time(flow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(flow.parent / "cache"))
    (flow / "data/1/1.txt").write_text("?")
    planned(flow).digest  # noqa: B018
    assert str(flow / "data/1/1.txt") in read_files(flow, monkeypatch)


@pytest.mark.parametrize("record", [b"", b"[]", b'{"format": 1, "files": 3}', b'{"format": 0}', b"\xff"])
def test_a_broken_record_is_as_good_as_none(flow: Path, record: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    before = planned(flow).digest
    [kept] = (flow.parent / "cache" / "digests").iterdir()
    kept.write_bytes(record)
    assert planned(flow).digest == before
    assert read_files(flow, monkeypatch) == []


def test_a_small_flow_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "cache"))
    build(write_tree(tmp_path / "flow", {"flow.dag.yaml": "nodes: []\n"}))
    assert not (tmp_path / "cache").exists()


def test_what_has_not_changed_is_not_copied_again(flow: Path) -> None:
    output, digest = build(flow)
    first = inodes(output)
    assert contents(output) == {
        name: (text, 0o755 if name == "data/0/0.txt" else 0o644) for name, (text, _) in contents(flow).items()
    }
    (flow / "data/1/1.txt").write_text("changed")
    (flow / "data/2/2.txt").unlink()
    (flow / "data/3/3.txt").chmod(0o755)
    output, changed = build(flow)
    second = inodes(output)
    assert changed != digest
    assert contents(output)["data/1/1.txt"] == (b"changed", 0o644)
    assert contents(output)["data/3/3.txt"] == (b"3", 0o755)
    assert "data/2/2.txt" not in second
    assert {name for name in second if second[name] != first[name]} == {"data/1/1.txt", "data/3/3.txt"}
    assert {path.stat().st_nlink for path in output.rglob("*") if path.is_file()} == {1}
    assert inodes(build(flow)[0]) == second


def test_the_output_never_shares_a_file_with_the_flow(flow: Path) -> None:
    output, _ = build(flow)
    (output / "data/1/1.txt").write_text("an edit of the output")
    assert (flow / "data/1/1.txt").read_text() == "1"


def test_an_edit_of_the_output_does_not_outlive_the_next_build(flow: Path) -> None:
    output, _ = build(flow)
    before = contents(output)
    for name, edit in (("1", "?"), ("2", "longer")):
        (output / f"data/{name}/{name}.txt").write_text(edit)
    (output / "data/3/3.txt").chmod(0o600)
    (output / "data/4/4.txt").unlink()
    (output / "data/5/5.txt").unlink()
    (output / "data/5/5.txt").symlink_to("12.txt")
    assert contents(build(flow)[0]) == before


def test_a_file_of_the_output_that_someone_linked_is_left_to_them(flow: Path) -> None:
    output, _ = build(flow)
    kept = flow.parent / "kept.txt"
    os.link(output / "data/1/1.txt", kept)
    output, _ = build(flow)
    (output / "data/1/1.txt").write_text("an edit of the output")
    assert kept.read_text() == "1"


def test_a_file_system_without_links_gets_copies(flow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(build(flow)[0])

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert contents(build(flow)[0]) == before


def test_times_are_the_sources_as_a_copys_are(flow: Path) -> None:
    output, _ = build(flow)
    assert (output / "data/1/1.txt").stat().st_mtime == 1_700_000_000


def test_a_file_that_changes_during_the_build_is_refused(flow: Path) -> None:
    folder = planned(flow)
    folder.digest  # noqa: B018
    (flow / "data/1/1.txt").write_text("2")
    with pytest.raises(InputError, match="changed during the build") as caught:
        write_flow_folder(folder, flow.parent / "out")
    assert caught.value.location is not None
    assert caught.value.location.path == flow / "data/1/1.txt"


SIZES = [0, 1, 64 * 1024, 64 * 1024 + 1, 1024 * 1024, 3 * 1024 * 1024 + 7]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ways", ["all", "reflink", "no reflink", "neither", "half"])
def test_every_way_of_copying_gives_the_same_bytes(
    tmp_path: Path, size: int, ways: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ways == "reflink":  # as a file system that has them does it
        monkeypatch.setattr("fcntl.ioctl", lambda made, _, given: os.pwrite(made, os.pread(given, size, 0), 0))
    elif ways != "all":
        monkeypatch.setattr(copying, "_share", lambda *_: False)
    if ways == "neither":
        monkeypatch.setattr(copying, "_copy_in_the_kernel", lambda *_: None)
    if ways == "half":
        copy = os.copy_file_range
        monkeypatch.setattr(
            os, "copy_file_range", lambda source, target, _: copy(source, target, min(size // 2, 1)) * 0
        )
    content = os.urandom(size)
    (tmp_path / "source").write_bytes(content)
    copied: list[int] = []
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        copying.copy_content(source.fileno(), target.fileno(), size, copied.append)
    assert (tmp_path / "target").read_bytes() == content
    assert sum(copied) in {size, size - 1}


@pytest.mark.parametrize("size", [0, 1, 1000, 4096, 4097, 10_000])
def test_a_digest_is_of_every_byte(tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one piece it is that of sha256sum; in several, still another for each other content."""
    content = bytearray(os.urandom(size))
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("r+b") as file:
        assert hashing.sum_up(file.fileno(), size, lambda _: None) == hashlib.sha256(content).hexdigest()
        monkeypatch.setattr(hashing, "_PIECE", 1024)
        seen = {hashing.sum_up(file.fileno(), size, lambda _: None)}
        for position in range(0, size, max(size // 20, 1)):
            os.pwrite(file.fileno(), bytes([content[position] ^ 1]), position)
            seen.add(hashing.sum_up(file.fileno(), size, lambda _: None))
            os.pwrite(file.fileno(), bytes([content[position]]), position)
        assert len(seen) == 1 + len(range(0, size, max(size // 20, 1)))


def test_digests_taken_while_copying_are_those_taken_without(flow: Path) -> None:
    write_tree(flow, {"large.bin": os.urandom(3_000_000), "small.bin": os.urandom(3_000), "empty": ""})
    folder = planned(flow)
    write_flow_folder(folder, flow.parent / "new")
    assert folder.digest == planned(flow).digest
    assert (flow.parent / "new/large.bin").read_bytes() == (flow / "large.bin").read_bytes()


def test_progress_ends_at_the_whole(flow: Path) -> None:
    read = read_flow(flow)
    told = Recording()
    folder = assemble(read, IncludeRoots.of(read.folder))
    read_digests(folder, told)
    write_flow_folder(folder, flow.parent / "new", reporter=told)
    for task in ("reading the flow", "copying the flow"):
        assert told.tasks[task].progress[-1] == (folder.size, folder.size)


_PEAK = """
import resource, sys
from pathlib import Path
from tests.assembly.test_big_flows import build
build(Path(sys.argv[1]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_large_file_costs_no_memory(tmp_path: Path) -> None:
    peaks = []
    for size in (1, 512 * 1024 * 1024):
        flow = write_tree(tmp_path / str(size) / "flow", {"flow.dag.yaml": "nodes: []\n"})
        with (flow / "data.bin").open("wb") as file:
            file.truncate(size)
        environment = {"PYTHONPATH": str(ROOT), "FLOWPACK_CACHE_DIR": str(tmp_path / "cache"), "HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", _PEAK, flow], env=environment, capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    unit = 1 if sys.platform == "darwin" else 1024
    assert (peaks[1] - peaks[0]) * unit < 32 * 1024 * 1024
