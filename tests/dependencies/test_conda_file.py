"""A conda file's Python and pip section count; what only conda installs is refused at its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.dependencies.conda_file import with_conda_file
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.target import Target
from flowpack.errors import InputError
from tests.paths import write_tree

TARGET = Target.parse("3.11", "linux/amd64")


def read(folder: Path, text: str) -> Requirements:
    write_tree(folder, {"conda.yaml": text})
    return with_conda_file(Requirements(), "conda.yaml", {"conda.yaml": folder / "conda.yaml"}, TARGET)


def test_the_pip_section_becomes_requirements_with_their_places(tmp_path: Path) -> None:
    text = (
        "name: mine\nchannels: [defaults]\ndependencies:\n- python=3.11\n- pip\n- pip:\n  - Flask>=3\n  - idna==3.7\n"
    )
    found = read(tmp_path, text)
    assert [(line.text, line.source, line.location.line) for line in found.lines] == [
        ("flask>=3", "conda.yaml", 7),
        ("idna==3.7", "conda.yaml", 8),
    ]


@pytest.mark.parametrize("version", ["", "=3.11", "==3.11", "=3.11.4", "=3.11.*", ">=3.9", ">=3.9,<3.12"])
def test_a_python_that_fits(tmp_path: Path, version: str) -> None:
    assert read(tmp_path, f"dependencies: ['python{version}']\n").lines == ()


@pytest.mark.parametrize(
    ("item", "words", "hint"),
    [
        ("python=3.9", "python=3.9, but the image has Python 3.11", "build with --python 3.9"),
        ("python>=3.12", "python>=3.12", "build with --python 3.12"),
        ("conda-forge::ffmpeg=6", "needs conda", "base image"),
        ("python=three", "not a Python version", ""),
        ("{pip: ['-r more.txt']}", "is an option", "python_requirements_txt"),
        ("{pip: ['git+https://a.example/b']}", "version control", ""),
    ],
)
def test_what_cannot_be_honoured_says_where(tmp_path: Path, item: str, words: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, f"dependencies:\n- {item}\n")
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")
    assert caught.value.location is not None
    assert caught.value.location.line == 2
