"""Commands that build a flow stop at what ``flowpack check`` calls an error of the flow file."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.commands import flowpack
from tests.paths import BROKEN, FLOWS

_WORKSPACE = ("--subscription", "00000000-0000-0000-0000-000000000000", "--resource-group", "group")
_WORKSPACE += ("--workspace-name", "space")
_COMMANDS = {
    "build": ("build", "flow", "--output", "out"),
    "build without making anything": ("build", "flow", "--dry-run"),
    "lock": ("lock", "flow"),
    "register": ("register", "flow", "--registry", "local:registry"),
    "deploy": ("deploy", "flow", *_WORKSPACE, "--dry-run", "--image", f"a.example/b@sha256:{'0' * 64}"),
}
_ERRORS = {
    "flow-reference-dangling": "flow/flow.dag.yaml:15:11: the flow has no input 'txt'",
    "flow-nodes-in-a-circle": "flow/flow.dag.yaml:9:3: each of these nodes waits for the next: first → second → first",
    "flow-node-twice": "flow/flow.dag.yaml:16:3: there is already a node 'count' in line 9",
}


def broken(defect: str, parent: Path) -> Path:
    project = parent / "project"
    shutil.copytree(BROKEN / defect, project)
    (project / ".git").mkdir()
    return project


@pytest.mark.parametrize("command", _COMMANDS)
def test_each_command_stops_before_it_makes_anything(command: str, tmp_path: Path) -> None:
    project = broken("flow-reference-dangling", tmp_path)
    before = sorted(project.rglob("*"))
    done = flowpack(*_COMMANDS[command], cwd=project, expect=1)
    assert f"error: {_ERRORS['flow-reference-dangling']}" in done.stderr
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize("defect", _ERRORS)
def test_check_and_build_report_the_same_error(defect: str, tmp_path: Path) -> None:
    project = broken(defect, tmp_path)
    built = flowpack("build", "flow", "--dry-run", cwd=project, expect=1)
    checked = flowpack("check", "flow", "--json", cwd=project, expect=1)
    assert f"error: {_ERRORS[defect]}" in built.stderr
    messages = {each["message"] for each in checked.json["findings"] if each["severity"] == "error"}
    assert _ERRORS[defect].split(": ", 1)[1] in messages


def test_an_error_that_a_comment_suppresses_does_not_stop_a_build(tmp_path: Path) -> None:
    project = broken("flow-node-twice", tmp_path)
    file = project / "flow" / "flow.dag.yaml"
    file.write_text(f"# flowpack: ignore-file[FP113]\n{file.read_text()}")
    flowpack("build", "flow", "--dry-run", cwd=project)


def test_only_the_chosen_variant_counts(tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(FLOWS / "llm-variants", project)
    (project / ".git").mkdir()
    file = project / "flow.dag.yaml"
    text = file.read_text()
    before, _, pirate = text.partition("pirate:")
    file.write_text(f"{before}pirate:{pirate.replace('${inputs.text}', '${inputs.txt}')}")
    flowpack("build", ".", "--dry-run", cwd=project)
    done = flowpack("build", ".", "--dry-run", "--variant", "summarize.pirate", cwd=project, expect=1)
    assert "the flow has no input 'txt'" in done.stderr


def test_a_default_of_the_wrong_type_stops_no_build(tmp_path: Path) -> None:
    """promptflow serves such a flow and answers each request that gives the input."""
    project = tmp_path / "project"
    shutil.copytree(FLOWS / "python-only", project)
    (project / ".git").mkdir()
    (project / "flow.dag.yaml").write_text(
        "inputs:\n  text: {type: list, default: ''}\noutputs:\n  words: {type: int, reference: '${count.output}'}\n"
        "nodes:\n- name: count\n  type: python\n  source: {type: code, path: count.py}\n"
        "  inputs: {text: '${inputs.text}'}\n"
    )
    done = flowpack("build", ".", "--dry-run", cwd=project)
    assert "the default is not a list" in done.stderr
