from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.checks.findings import Finding
from flowpack.checks.suppressions import unsuppressed
from flowpack.errors import Location
from tests.checks.findings_samples import DANGLING


def is_hidden(path: Path, text: str, line: int | None) -> bool:
    path.write_text(text)
    finding = Finding(rule=DANGLING, message="m", location=Location(path, line))
    return unsuppressed([finding]) == ()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("q: ${nodes.x}  # flowpack: ignore[FP101]", 1),
        ("q: ${nodes.x}  # because of this  # flowpack: ignore[FP2, fp101]", 1),
        ("import os  #flowpack:ignore[FP1]", 1),
        ("numpy  # flowpack: ignore[FP101]\n", 1),
        ("{{ question }} {# flowpack: ignore[FP101] #}", 1),
        ("# flowpack: ignore[FP101]\nq: |-", 2),
        ("# flowpack: ignore[FP101]\n  {#- flowpack: ignore[FP3] -#}\nq: |-", 3),
        ("a: 1\nb: 2\n# flowpack: ignore-file[FP101]\n", 1),
        ("# flowpack: ignore-file[FP101]\n", None),
    ],
)
def test_what_a_comment_takes_back(tmp_path: Path, text: str, line: int | None) -> None:
    assert is_hidden(tmp_path / "file", text, line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("q: ${nodes.x}", 1),
        ("q: ${nodes.x}  # flowpack: ignore[FP102]", 1),
        ("q: ${nodes.x}  # flowpack: ignore", 1),  # all of them: nothing says so
        ("q: ${nodes.x}  # flowpack: ignore[]", 1),
        ("a: 1  # flowpack: ignore[FP101]\nq: ${nodes.x}", 2),
        ("# flowpack: ignore[FP101]\n\nq: ${nodes.x}", 3),
        ("q: a#flowpack: ignore[FP101]", 1),
        ("# flowpack: ignore[FP101]\n", None),
        ("# flowpack: ignore[FP101]\n", 99),
    ],
)
def test_what_it_does_not(tmp_path: Path, text: str, line: int | None) -> None:
    assert not is_hidden(tmp_path / "file", text, line)


def test_a_folder_and_a_missing_file_hold_no_comments(tmp_path: Path) -> None:
    findings = [Finding(rule=DANGLING, message="m", location=Location(tmp_path / name)) for name in ("", "none")]
    assert len(unsuppressed(findings)) == 2
