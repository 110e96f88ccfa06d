"""What ``flowpack build`` says of the standalone folder: what is left out, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import flowpack
from tests.paths import write_tree


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "flow/flow.dag.yaml": "nodes: []\nadditional_includes:\n- ../secrets/.env\n- ../one/a.txt\n- ../two/a.txt\n",
        "flow/.gitignore": "# big\n*.bin\n",
        "flow/data.bin": "x" * 5_000_000,
        "flow/sub/more.bin": "x",
        "flow/.venv/x": "x" * 200,
        "secrets/.env": "KEY=1",
        "one/a.txt": "1",
        "two/a.txt": "22",
        ".git/HEAD": "",
    }
    return write_tree(tmp_path, files)


def test_a_dry_run_says_what_is_left_out_and_by_which_rule(project: Path) -> None:
    shown = flowpack("build", "flow", "--dry-run", cwd=project).stdout
    assert "flow (dag), 3 files, " in shown
    assert "left out    2 files, 5 MB, flow/.gitignore:2: *.bin\n" in shown
    assert "left out    1 file, 200 B, always out: virtual environment\n" in shown
    assert "taken in    .env, which flow/flow.dag.yaml:3:3 names, against a rule (always out: .env*)\n" in shown
    document = flowpack("build", "flow", "--dry-run", "--json", cwd=project).json
    rules = {each["rule"]: (each["files"], each["bytes"], each["complete"]) for each in document["left_out"]}
    assert rules["flow/.gitignore:2: *.bin"] == (2, 5_000_001, True)


@pytest.mark.network
def test_a_build_says_it_too(project: Path) -> None:
    done = flowpack("build", "flow", "--output", "out", cwd=project)
    assert "left out    2 files, 5 MB, flow/.gitignore:2: *.bin\n" in done.stderr
    assert "flow: 3 files, " in done.stderr


def test_explain_answers_on_stdout_and_writes_nothing(project: Path) -> None:
    before = sorted(project.rglob("*"))
    done = flowpack("build", "flow", "--explain", "flow/data.bin", cwd=project)
    assert done.stdout == "out: flow/.gitignore:2: *.bin\n"
    document = flowpack("build", "flow", "--explain", ".env", "--json", cwd=project).json
    assert (document["in"], document["target"], document["rule"]) == (True, ".env", "always out: .env*")
    assert sorted(project.rglob("*")) == before


def test_two_files_for_one_place_are_a_warning_or_an_error(project: Path) -> None:
    conflict = "'a.txt' comes from 'two/a.txt' and replaces 'one/a.txt'"
    assert f"warning: flow/flow.dag.yaml:5:3: {conflict}" in flowpack("build", "flow", "--dry-run", cwd=project).stderr
    refused = flowpack("build", "flow", "--dry-run", cwd=project, env={"FLOWPACK_ON_CONFLICT": "error"}, expect=1)
    assert f"error: flow/flow.dag.yaml:5:3: {conflict}" in refused.stderr
