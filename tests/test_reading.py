"""The one bounded reader of files that a stranger may have written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowpack.errors import InputError
from flowpack.reading import read_bytes, read_text


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "project"
    folder.mkdir()
    return folder


def test_a_file_of_the_project_is_read_also_through_a_link_inside_it(project: Path) -> None:
    (project / "a.txt").write_bytes(b"content")
    (project / "link").symlink_to("a.txt")
    assert read_bytes(project / "link", limit=10, within=[project]) == b"content"


@pytest.mark.parametrize("to", ["../outside.txt", "/proc/self/environ", "/etc/passwd"])
def test_a_link_out_of_the_project_is_refused_and_its_content_is_not_shown(project: Path, to: str) -> None:
    (project.parent / "outside.txt").write_text("a secret")
    (project / "link").symlink_to(to)
    with pytest.raises(InputError, match="leads out of the project") as caught:
        read_bytes(project / "link", limit=100_000, within=[project])
    assert caught.value.location is not None
    assert caught.value.location.path == project / "link"


def test_a_folder_that_is_a_link_out_of_the_project_is_refused(project: Path) -> None:
    (project.parent / "other").mkdir()
    (project.parent / "other" / "file").write_text("a secret")
    (project / "sub").symlink_to("../other")
    with pytest.raises(InputError, match="leads out of the project"):
        read_bytes(project / "sub" / "file", limit=100, within=[project])


def test_a_sibling_whose_name_only_starts_alike_is_outside(project: Path) -> None:
    (project.parent / "project-2").mkdir()
    (project.parent / "project-2" / "file").write_text("a secret")
    (project / "link").symlink_to("../project-2/file")
    with pytest.raises(InputError, match="leads out of the project"):
        read_bytes(project / "link", limit=100, within=[project])


def test_what_is_not_a_regular_file_is_refused_without_waiting(project: Path) -> None:
    os.mkfifo(project / "pipe")
    (project / "zero").symlink_to("/dev/zero")
    (project / "folder").mkdir()
    for name, kind in (("pipe", "a named pipe"), ("zero", "a device"), ("folder", "a folder")):
        with pytest.raises(InputError, match=f"not a regular file: it is {kind}"):
            read_bytes(project / name, limit=100, within=None)


def test_a_file_over_the_limit_is_refused_before_it_is_read(project: Path) -> None:
    with (project / "large").open("wb") as file:
        file.truncate(2**40)  # has no blocks on disk
    with pytest.raises(InputError, match="larger than 1 MB"):
        read_bytes(project / "large", limit=2**20, within=[project])


def test_a_file_that_says_it_has_no_bytes_is_bounded_too() -> None:
    with pytest.raises(InputError, match="larger than"):
        read_bytes(Path("/proc/self/maps"), limit=10, within=None)


def test_text_that_is_not_utf8_is_refused_at_its_line_and_column(project: Path) -> None:
    (project / "a.txt").write_bytes(b"one\ntw\xff")
    with pytest.raises(InputError, match="not UTF-8") as caught:
        read_text(project / "a.txt", limit=100, within=[project])
    assert (caught.value.location.line, caught.value.location.column) == (2, 3)  # type: ignore[union-attr]
