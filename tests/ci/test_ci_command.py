"""``flowpack ci`` where it needs no engine: tests/integration/test_action.py has the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import flowpack
from tests.paths import write_tree

FLOW = "inputs: {}\nnodes: []\noutputs: {}\n"
NO_ENGINE = {"DOCKER_HOST": "tcp://127.0.0.1:1"}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    files = {"flows/one/flow.dag.yaml": FLOW, "flows/broken/flow.dag.yaml": "nodes: [\n"}
    return write_tree(tmp_path / "repository", files)


def test_each_flow_is_told_about_though_all_fail(repository: Path, tmp_path: Path) -> None:
    summary, outputs = tmp_path / "new" / "summary.md", tmp_path / "outputs"
    outputs.write_text("before=1\n")
    done = flowpack(
        "ci", "flows", "--summary", summary, "--outputs", outputs, "--json", cwd=repository, env=NO_ENGINE, expect=3
    )
    by_name = {each["flow"]: each for each in done.json["flows"]}
    assert {name: each["exit_code"] for name, each in by_name.items()} == {"one": 3, "broken": 1}
    assert by_name["broken"]["error"].startswith("flows/broken/flow.dag.yaml:")
    text = summary.read_text()
    assert "| broken | failed |" in text
    assert "| one | failed |" in text
    lines = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
    assert lines["before"] == "1"
    assert [each["flow"] for each in json.loads(lines["flows"])] == ["broken", "one"]


def test_two_flows_of_one_name_are_refused(repository: Path) -> None:
    write_tree(repository, {"more/one/flow.dag.yaml": FLOW})
    done = flowpack("ci", ".", cwd=repository, env=NO_ENGINE, expect=2)
    assert "two flows are named 'one': flows/one/flow.dag.yaml and more/one/flow.dag.yaml" in done.stderr


def test_every_image_would_have_one_name(repository: Path) -> None:
    done = flowpack("ci", ".", "--image", "registry.example/flows:1", cwd=repository, expect=2)
    assert "has no {flow}" in done.stderr


def test_a_deployment_needs_a_workspace_and_an_endpoint_for_each_flow(repository: Path) -> None:
    done = flowpack("ci", ".", "--deploy", "--endpoint", "prod", cwd=repository, expect=2)
    assert "--endpoint 'prod' has no {flow}" in done.stderr
    assert "no workspace is configured" in flowpack("ci", ".", "--deploy", cwd=repository, expect=2).stderr
    done = flowpack("ci", ".", "--deploy", "--registry", "local", cwd=repository, expect=2)
    assert "--deploy needs a workspace" in done.stderr


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("a" * 28,), "33 characters, and 32 are the most"),
        (("12", "flow_12"), "two flows have the endpoint 'flow-12-prod': flows/"),
    ],
)
def test_an_endpoint_s_name_is_whole_and_one_flow_s(names: tuple[str, ...], told: str, tmp_path: Path) -> None:
    write_tree(tmp_path, {f"flows/{name}/flow.dag.yaml": FLOW for name in names})
    workspace = ("--subscription", "s", "--resource-group", "g", "--workspace-name", "w")
    arguments = ("ci", "flows", "--deploy", "--endpoint", "{flow}-prod", *workspace)
    assert told in flowpack(*arguments, cwd=tmp_path, env=NO_ENGINE, expect=2).stderr


def test_an_empty_revision_takes_every_flow(repository: Path) -> None:
    done = flowpack("ci", "flows/broken", "--changed-since", "", cwd=repository, env=NO_ENGINE, expect=1)
    assert done.stdout == "broken\tfailed\t-\t-\t-\n"


@pytest.mark.parametrize("option", [("--env", "A=1"), ("--env-file", "variables")])
def test_variables_without_a_test_are_refused(repository: Path, option: tuple[str, str]) -> None:
    write_tree(repository, {"variables": "A=1\n"})
    done = flowpack("ci", ".", "--no-test", *option, cwd=repository, env=NO_ENGINE, expect=2)
    assert "--env and --env-file are for the test" in done.stderr


def test_a_variable_that_a_fork_s_job_does_not_have_is_told(repository: Path) -> None:
    done = flowpack("ci", "flows/broken", "--env", "NO_SUCH", "--env", "A=1", cwd=repository, env=NO_ENGINE, expect=1)
    assert "warning: --env NO_SUCH: this machine has no NO_SUCH" in done.stderr
