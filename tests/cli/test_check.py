"""``flowpack check`` as a pull request sees it: what is printed where, and when it fails."""

from __future__ import annotations

import json
from pathlib import Path

from tests.checks.rule_projects import project
from tests.commands import Done, flowpack
from tests.paths import write_tree


def run(folder: Path, *arguments: str, expect: int = 0) -> Done:
    env = {"FLOWPACK_CACHE_DIR": str(folder.parent / "cache")}
    return flowpack("check", *arguments, cwd=folder, env=env, expect=expect)


def test_errors_fail_and_the_report_is_all_of_stdout(tmp_path: Path) -> None:
    done = run(project("dangling-reference", "fails", tmp_path), ".", expect=1)
    assert done.stdout.startswith("flow.dag.yaml:7:16: error FP103 dangling-reference: the flow has no node 'cuont'\n")
    assert done.stdout.endswith("2 errors in 1 file\n")
    assert done.stderr == "checked: 1 flow\n"


def test_nothing_found_prints_nothing(tmp_path: Path) -> None:
    done = run(project("dangling-reference", "passes", tmp_path), ".", "--quiet")
    assert (done.stdout, done.stderr) == ("", "")


def test_warnings_fail_where_they_are_to(tmp_path: Path) -> None:
    folder = project("unused-node", "fails", tmp_path)
    assert "1 warning" in run(folder, ".").stdout
    run(folder, ".", "--strict", expect=1)


def test_json_is_one_document(tmp_path: Path) -> None:
    folder = project("dangling-reference", "fails", tmp_path)
    document = run(folder, ".", "--json", expect=1).json
    assert document == json.loads(run(folder, ".", "--format", "json", expect=1).stdout)
    assert [finding["code"] for finding in document["findings"]] == ["FP103", "FP103"]


def test_rules_are_selected_and_ignored(tmp_path: Path) -> None:
    folder = project("dangling-reference", "fails", tmp_path)
    assert run(folder, ".", "--ignore", "FP103").stdout == ""
    assert run(folder, ".", "--select", "FP2,FP5").stdout == ""
    assert "no rule's code begins with it" in run(folder, ".", "--select", "FP9", expect=2).stderr


def test_a_baseline_keeps_what_was_there_quiet(tmp_path: Path) -> None:
    folder = project("dangling-reference", "fails", tmp_path)
    assert run(folder, ".", "--write-baseline").stdout == "flowpack-baseline.json\n"
    assert run(folder, ".", "--baseline", "flowpack-baseline.json").stdout == ""
    path = folder / "flow.dag.yaml"
    path.write_text(path.read_text() + "    more: ${nothing.output}\n")
    done = run(folder, ".", "--baseline", "flowpack-baseline.json", "--select", "FP103", expect=1)
    assert "no node 'nothing'" in done.stdout
    assert done.stdout.endswith("1 error in 1 file\n")


def test_a_comment_takes_a_finding_back(tmp_path: Path) -> None:
    folder = project("unused-node", "fails", tmp_path)
    path = folder / "flow.dag.yaml"
    path.write_text(path.read_text().replace("- name: clean", "- name: clean  # flowpack: ignore[FP105]"))
    assert run(folder, ".", "--strict").stdout == ""


def test_what_can_be_mended_is(tmp_path: Path) -> None:
    folder = project("variable-not-text", "fails", tmp_path)
    run(folder, ".", expect=1)
    done = run(folder, ".", "--fix")
    assert (done.stdout, done.stderr) == ("", "fixed: 1\nchecked: 1 flow\n")
    assert 'NUM: "4"   # one a core' in (folder / "deployment.yaml").read_text()


def test_a_source_that_is_not_there_is_a_wrong_command_line(tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "project", {"README.md": ""})
    assert "'flows' does not exist" in run(folder, "flows", expect=2).stderr
    assert "no flow here" in run(folder, ".", expect=1).stderr
