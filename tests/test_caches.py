from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowpack.assembly.flow_folder import assemble, write_flow_folder
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.staging import MARKER, staged
from flowpack.caches import cache_folder, read_cached, write_cached
from flowpack.checks.run import check
from flowpack.errors import OutsideError
from flowpack.flows.reader import read_flow
from flowpack.images.sbom import render_sbom
from tests.images.test_sbom import INPUTS
from tests.paths import write_tree

ANOTHER_USER = 12345


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "mine"))
    return tmp_path / "mine"


def test_the_cache_is_where_the_user_says(cache: Path) -> None:
    assert cache_folder("pip-tools") == cache / "pip-tools"
    assert (cache / "pip-tools").is_dir()


@pytest.mark.parametrize(
    ("shared", "root"), [("", ".cache"), ("relative", ".cache"), ("{home}/elsewhere", "elsewhere")]
)
def test_else_it_is_in_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: str, root: str) -> None:
    monkeypatch.delenv("FLOWPACK_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", shared.format(home=tmp_path))
    assert cache_folder("x") == tmp_path / root / "flowpack" / "x"


def test_what_was_written_is_read(cache: Path) -> None:
    assert read_cached("kind", "name") is None
    write_cached("kind", "name", b"first")
    write_cached("kind", "name", b"second\n")
    assert read_cached("kind", "name") == b"second\n"
    assert [path.name for path in (cache / "kind").iterdir()] == ["name"]


@pytest.mark.attack("M1")
def test_nobody_else_can_look_into_the_cache(cache: Path) -> None:
    (cache / "kind").mkdir(parents=True)
    (cache / "kind").chmod(0o777)
    write_cached("kind", "name", b"content")
    assert (cache / "kind").stat().st_mode & 0o777 == 0o700
    assert (cache / "kind" / "name").stat().st_mode & 0o777 == 0o600


def replace_by_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.attack("M1")
@pytest.mark.parametrize(
    "plant",
    [
        replace_by_link,
        replace_by_pipe,
        lambda path: path.chmod(0o660),
        lambda path: path.chmod(0o602),
        pytest.param(
            lambda path: os.chown(path, ANOTHER_USER, -1),
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives files away"),
        ),
    ],
    ids=["link", "pipe", "group may write", "others may write", "another user's"],
)
def test_a_file_that_another_user_may_have_written_is_not_read(cache: Path, plant: Callable[[Path], None]) -> None:
    write_cached("kind", "name", b"content")
    plant(cache / "kind" / "name")
    assert read_cached("kind", "name") is None


@pytest.mark.attack("M1")
def test_a_linked_folder_of_the_cache_is_refused(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    cache.mkdir()
    (cache / "kind").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutsideError, match="another user's") as caught:
        cache_folder("kind")
    assert "FLOWPACK_CACHE_DIR" in (caught.value.hint or "")
    write_cached("kind", "name", b"content")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.attack("M1")
@pytest.mark.skipif(os.geteuid() != 0, reason="root alone gives folders away")
def test_another_users_cache_is_refused(cache: Path) -> None:
    write_cached("kind", "name", b"content")
    os.chown(cache / "kind", ANOTHER_USER, -1)
    with pytest.raises(OutsideError, match="another user's"):
        cache_folder("kind")


def test_what_a_killed_writer_left_goes_away(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = write_tree(cache / "kind", {".name.1234": "half", ".name.5678": "being written"})
    os.utime(left / ".name.1234", (1_700_000_000, 1_700_000_000))
    write_cached("kind", "name", b"content")
    assert sorted(path.name for path in left.iterdir()) == [".name.5678", "name"]


Damage = Callable[[bytes], bytes]


@st.composite
def damages(draw: st.DrawFn) -> Damage:
    """One way in which a file goes bad; ``share`` says where in it."""
    share = draw(st.floats(0, 1))

    def flip_a_bit(content: bytes) -> bytes:
        at = min(int(share * len(content)), len(content) - 1)
        return content[:at] + bytes([content[at] ^ (1 << bit)]) + content[at + 1 :]

    def change_a_digit(content: bytes) -> bytes:
        """What a JSON reader takes without a word."""
        at = content.find(b"7", int(share * len(content)))
        return content[:at] + b"3" + content[at + 1 :] if at >= 0 else content + b" "

    bit = draw(st.integers(0, 7))
    more = draw(st.binary(min_size=1, max_size=20))
    ways: list[Damage] = [
        flip_a_bit,
        change_a_digit,
        lambda content: content[: int(share * (len(content) - 1))],
        lambda content: content[len(content) // 2 :] + content[: len(content) // 2],
        lambda content: b"",
        lambda content: content + more,
        lambda content: more + content,
        lambda content: more * 100,
    ]
    return draw(st.sampled_from(ways))


@pytest.mark.attack("M1")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), damage=damages())
def test_a_damaged_file_is_as_good_as_none(cache: Path, content: bytes, damage: Damage) -> None:
    write_cached("kind", "name", content)
    path = cache / "kind" / "name"
    damaged = damage(path.read_bytes())
    unchanged = damaged == path.read_bytes()
    path.write_bytes(damaged)
    assert read_cached("kind", "name") == (content if unchanged else None)


class Everything:
    """All results that a cache shortens the way to, of one project."""

    def __init__(self, folder: Path) -> None:
        self.flow = folder / "flow"
        self.output = folder / "out"

    def results(self) -> tuple[object, ...]:
        read = read_flow(self.flow)
        planned = assemble(read, IncludeRoots.of(read.folder))
        digest = planned.digest
        with staged(self.output) as new:
            (new / MARKER).touch()
            (new / "flow").mkdir()
            write_flow_folder(assemble(read, IncludeRoots.of(read.folder)), new / "flow", replaces=self.output / "flow")
        written = {
            str(path.relative_to(self.output)): path.read_bytes() for path in self.output.rglob("*") if path.is_file()
        }
        findings = check([str(self.flow)], processes=1).findings
        return digest, written, findings, render_sbom(**INPUTS), render_sbom(**{**INPUTS, "flow_name": "other"})


@pytest.mark.attack("M1")
@pytest.mark.parametrize("kind", ["digests", "outputs", "checks", "sboms"])
def test_no_damage_of_a_cache_changes_a_result(
    tmp_path: Path, cache: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"data/{number}.txt": f"content of {number}" for number in range(220)}
    project = write_tree(tmp_path, {".git/HEAD": "", "flow/flow.dag.yaml": "nodes: []\n"})
    write_tree(project / "flow", {**files, "key.pem": "-----BEGIN PRIVATE KEY-----\n"})
    for path in (project / "flow").rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    # A record distrusts files that have just changed.
    monkeypatch.setattr(time, "time_ns", lambda now=time.time_ns: now() + 10_000_000_000)
    project_of_all = Everything(project)
    expected = project_of_all.results()
    assert expected[2], "the planted key is found"
    assert project_of_all.results() == expected
    kept = {path: path.read_bytes() for path in cache.glob("*/*")}
    assert {path.parent.name for path in kept} == {"digests", "outputs", "checks", "sboms"}
    attacked = sorted(path for path in kept if path.parent.name == kind)

    @settings(max_examples=12, deadline=None)
    @given(damage=damages())
    def holds(damage: Damage) -> None:
        for path in attacked:
            path.write_bytes(damage(kept[path]))
        assert project_of_all.results() == expected

    holds()
    for content in kept.values():
        for path in attacked:
            path.write_bytes(content)
        assert project_of_all.results() == expected
