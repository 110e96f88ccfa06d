"""The files for CI services: valid by the services' own schemas and by actionlint, and their shell scripts parse."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ci.actionlint import actionlint
from tests.paths import ROOT, write_tree

PAGE = (ROOT / "docs" / "how-to" / "ci.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def examples(start: str) -> list[str]:
    found = [example for example in EXAMPLES if example.startswith(start)]
    assert found
    return found


def check_by_schema(schema: str, *paths: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--regex-variant", "python"]
    command += ["--builtin-schema", f"vendor.{schema}", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("github-actions", "action.yml"),
        ("azure-pipelines", "ci/azure-pipelines.yml"),
        ("gitlab-ci", "ci/gitlab.yml"),
    ],
)
def test_each_file_is_valid_by_its_schema(schema: str, path: str) -> None:
    check_by_schema(schema, ROOT / path)


@pytest.mark.parametrize(
    ("schema", "start"), [("github-workflows", "name: "), ("azure-pipelines", "trigger:"), ("gitlab-ci", "include:")]
)
def test_the_examples_of_the_page_are_valid(schema: str, start: str, tmp_path: Path) -> None:
    texts = examples(start)
    write_tree(tmp_path, {f"{number}.yml": text for number, text in enumerate(texts)})
    check_by_schema(schema, *sorted(tmp_path.iterdir()))


def workflow_problems(repository: Path, *texts: str) -> list[str]:
    workflows = {f".github/workflows/{number}.yml": text for number, text in enumerate(texts)}
    write_tree(repository, {".git/HEAD": "", "action.yml": (ROOT / "action.yml").read_bytes(), **workflows})
    return actionlint([repository / name for name in workflows], root=repository).splitlines()


@pytest.mark.network
def test_actionlint_finds_nothing_in_the_examples_of_the_page(tmp_path: Path) -> None:
    assert workflow_problems(tmp_path, *examples("name: ")) == []


@pytest.mark.network
def test_actionlint_holds_a_workflow_against_the_action(tmp_path: Path) -> None:
    """Else the test above would pass without a look at action.yml."""
    text = examples("name: flows")[0]
    for right, wrong in ("outputs.images", "outputs.image"), ("sources:", "sorces:"), ("image:", "register:"):
        assert right in text
        text = text.replace(right, wrong, 1)
    problems = "\n".join(workflow_problems(tmp_path, text))
    assert 'property "image" is not defined' in problems
    assert 'input "sorces" is not defined in action "flowpack"' in problems
    assert 'missing input "image" which is required by action "flowpack"' in problems


def test_the_examples_give_parameters_that_there_are() -> None:
    parameters = yaml.safe_load((ROOT / "ci" / "azure-pipelines.yml").read_text())["parameters"]
    template = yaml.safe_load(examples("trigger:")[0])["steps"][-1]
    assert set(template["parameters"]) <= {each["name"] for each in parameters}
    variables = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())["variables"]
    assert set(yaml.safe_load(examples("include:")[0])["variables"]) <= set(variables)


def scripts() -> dict[str, str]:
    action = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    azure = yaml.safe_load((ROOT / "ci" / "azure-pipelines.yml").read_text())["steps"]
    gitlab = yaml.safe_load((ROOT / "ci" / "gitlab.yml").read_text())
    found = {f"action.yml: {step['name']}": step["run"] for step in action if "run" in step}
    found |= {f"azure-pipelines.yml: {step['displayName']}": step["bash"] for step in azure if "bash" in step}
    found |= {f"gitlab.yml: {name}": job["script"][0] for name, job in gitlab.items() if "script" in job}
    # GitLab runs them as one script, each line ending it where it fails.
    return {**found, "gitlab.yml: before": "set -e\n" + "\n".join(gitlab[".flowpack"]["before_script"])}


@pytest.mark.parametrize("name", scripts())
def test_each_script_parses_and_takes_values_as_variables_alone(name: str) -> None:
    """An expression that a service writes into a script is a way in for whoever names a branch."""
    script = scripts()[name]
    assert "${{" not in script
    assert name.startswith("gitlab.yml") or "$(" not in script  # Azure writes a variable in place of it
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    done = subprocess.run(("bash", "-n"), input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_hook_names_a_command_and_what_it_looks_at() -> None:
    hooks: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["id"] for hook in hooks] == ["flowpack-check"]
    (hook,) = hooks
    assert {"name", "entry", "language"} <= set(hook)
    assert hook["entry"] == "python -I -m flowpack check"
    for path in ("flows/a/flow.dag.yaml", "flows/a/ask.py", "flows/a/ask.jinja2", "a.prompty", "requirements.txt"):
        assert re.search(hook["files"], path)
    assert f"id: {hook['id']}" in PAGE


@pytest.mark.parametrize("publishes", [False, True], ids=["a branch", "main"])
@pytest.mark.parametrize("service", ["azure", "gitlab"])
def test_the_step_that_builds_hands_on_what_it_can_and_keeps_the_exit_code(
    service: str, publishes: bool, tmp_path: Path
) -> None:
    """On a flow that cannot be read, so that no engine is needed; action.yml runs in tests/integration."""
    write_tree(tmp_path, {"flows/my chat/flow.dag.yaml": "nodes: [\n"})
    branch = "main" if publishes else "feature"
    if service == "azure":
        script = scripts()["azure-pipelines.yml: Build and test; on the main branch push, register and deploy"]
        variables = {"SOURCES": "flows/my chat\n", "OPTIONS": "--no-test", "MAIN_BRANCH": "main", "REGISTER": "true"}
        variables |= {"BUILD_SOURCEBRANCH": f"refs/heads/{branch}", "AGENT_TEMPDIRECTORY": str(tmp_path)}
    else:
        script = scripts()["gitlab.yml: flowpack-build"]
        variables = {"FLOWPACK_SOURCES": "flows/my chat", "FLOWPACK_CI_OPTIONS": "--no-test"}
        variables |= {"FLOWPACK_MAIN_BRANCH": "main", "CI_COMMIT_BRANCH": branch, "FLOWPACK_REGISTER": "true"}
    write_tree(tmp_path, {"bin/docker": '#!/bin/sh\necho docker "$@"\n', "bin/python": _PYTHON})
    for program in (tmp_path / "bin").iterdir():
        program.chmod(0o755)
    variables |= {"FLOWPACK_REGISTRY": f"local:{tmp_path}/models", "CHANGED_SINCE": "", "PYTHON": sys.executable}
    done = subprocess.run(
        ("bash", "-c", script),
        cwd=tmp_path,
        env={**os.environ, **variables, "PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert ("-I -m flowpack ci flows/my chat" in done.stderr, "--push --register" in done.stderr) == (True, publishes)
    assert "1 failed" in (tmp_path / "flowpack.md").read_text()
    if service == "azure":
        assert f"##vso[task.uploadsummary]{tmp_path}/flowpack.md\n" in done.stdout
        assert "##vso[task.setvariable variable=images;isOutput=true]{}\n" in done.stdout
    else:
        assert "images={}\n" in (tmp_path / "flowpack.env").read_text()
        assert ("docker login" in done.stdout) is publishes


_PYTHON = """\
#!/bin/sh
echo "$@" >&2
exec "$PYTHON" "$@"
"""


@pytest.mark.attack("M1")
@pytest.mark.parametrize("file", ["action.yml", "ci/azure-pipelines.yml", "ci/gitlab.yml"])
def test_no_job_keeps_what_another_branch_s_check_recalls(file: str) -> None:
    """A pull request could write into a shared cache that nothing was found, or what to install."""
    text = (ROOT / file).read_text()
    [key] = re.findall(r"^\s+key: (flowpack.*)$", text, re.M)
    assert re.search(r"github\.ref|Build\.SourceBranch|CI_COMMIT_REF_SLUG", key)
    assert re.search(r"event_name|Build\.Reason|CI_PIPELINE_SOURCE", key)
    assert not re.search(r"\.cache/flowpack|\.flowpack-cache/flowpack", text)
