from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flowpack.checks.baseline import Baseline
from flowpack.checks.findings import Finding
from flowpack.errors import InputError, Location
from tests.checks.findings_samples import UNPINNED, repository, samples


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return repository(tmp_path)


def written(findings: list[Finding], root: Path) -> Baseline:
    path = root / "baseline.json"
    path.write_text(Baseline.of(findings, root).text())
    return Baseline.read(path)


def test_what_the_baseline_knows_is_not_new(root: Path) -> None:
    findings = samples(root)
    compared = written(findings[:2], root).compare(findings, root)
    assert (compared.new, compared.known, compared.gone) == (tuple(findings[2:]), 2, 0)


def test_an_empty_baseline_is_one(root: Path) -> None:
    assert written([], root).compare(samples(root), root).known == 0


def test_entries_survive_lines_that_move_and_indentation(root: Path) -> None:
    baseline = written(samples(root), root)
    path = root / "flows/my chat/requirements.txt"
    path.write_text("# pinned some day\nscipy\n  numpy \nrequests\n")
    found = Finding(rule=UNPINNED, message="another wording", location=Location(path, 3, 3))
    new = Finding(rule=UNPINNED, message="'scipy' is not pinned", location=Location(path, 2, 1))
    compared = baseline.compare([new, found], root)
    assert (compared.new, compared.known, compared.gone) == ((new,), 1, 3)


def test_a_second_one_on_an_equal_line_is_new(root: Path) -> None:
    path = root / "flows/my chat/requirements.txt"
    path.write_text("numpy\nnumpy\n")
    first = Finding(rule=UNPINNED, message="m", location=Location(path, 1))
    second = replace(first, location=Location(path, 2))
    assert written([first], root).compare([first, second], root).new == (second,)
    assert written([first, second], root).compare([first, second], root).new == ()


def test_no_line_of_a_file_is_written_out(root: Path) -> None:
    """It may be the very line that holds a secret."""
    assert "serch" not in Baseline.of(samples(root), root).text()


@pytest.mark.parametrize("text", [None, "", "[]", '{"version": 1, "findings": [{}]}', '{"version": 2}'])
def test_what_is_no_baseline_is_refused_with_the_command_that_writes_one(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "baseline.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as caught:
        Baseline.read(path)
    assert "--write-baseline" in (caught.value.hint or "")
