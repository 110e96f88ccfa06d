"""A requirements file is read as pip reads it: pip itself is the oracle."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowpack.dependencies.requirement_text import LogicalLine, Option, decode, logical_lines, split_options
from flowpack.errors import RequirementsError

req_file = pytest.importorskip("pip._internal.req.req_file")

PIECES = ["a==1", "\\\n", "\\\r\n", "\n", "\r\n", "#", " #c", " ", "\t", "--hash=x", "-r b.txt", "x#y", "\\", "${A}"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_entries_and_their_lines_are_pips(text: str) -> None:
    pips = [(number, line) for number, line in req_file.preprocess(text) if line]
    assert [(line.number, line.text) for line in logical_lines(text, Path("r.txt"))] == pips


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_tells_the_encoding(encoding: str) -> None:
    assert decode("flask  # é".encode(encoding), Path("r.txt")) == "flask  # é"


def test_an_encoding_may_be_declared() -> None:
    assert decode("# -*- coding: latin-1 -*-\n# é\n".encode("latin-1"), Path("r.txt")).endswith("# é\n")


def test_bytes_that_are_no_text_are_told_with_their_line() -> None:
    with pytest.raises(RequirementsError) as raised:
        decode(b"flask\n# caf\xe9\n", Path("r.txt"))
    assert str(raised.value.location) == "r.txt:2"


@pytest.mark.parametrize(
    ("text", "requirement", "options"),
    [
        ("flask==3", "flask==3", ()),
        ("-r other.txt", "", (Option("--requirement", "other.txt"),)),
        ("-rother.txt", "", (Option("--requirement", "other.txt"),)),
        ("--requirement=other.txt", "", (Option("--requirement", "other.txt"),)),
        ("-f 'with a space'", "", (Option("--find-links", "with a space"),)),
        ("--pre", "", (Option("--pre", ""),)),
        (
            "a-b==1 --hash=sha256:1 --hash sha256:2",
            "a-b==1",
            (Option("--hash", "sha256:1"), Option("--hash", "sha256:2")),
        ),
    ],
)
def test_options_stand_behind_the_requirement(text: str, requirement: str, options: tuple[Option, ...]) -> None:
    assert split_options(LogicalLine(1, text), Path("r.txt")) == (requirement, options)


@pytest.mark.parametrize("text", ["--index https://x", "-r", "-f 'open", "-z"])
def test_an_option_that_cannot_be_read_is_told_with_its_line(text: str) -> None:
    with pytest.raises(RequirementsError) as raised:
        split_options(LogicalLine(7, text), Path("r.txt"))
    assert str(raised.value.location) == "r.txt:7"
