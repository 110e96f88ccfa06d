"""The steps of action.yml, run as a shell runs them, on the fixtures, against the real engine and a real registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from azure_emulator import AzureEmulator
from azure_emulator.connections import custom_keys
from tests.commands import flowpack
from tests.integration.action_runner import ActionRun, ActionRunner
from tests.integration.real_parts import Docker, RunningRegistry
from tests.paths import FLOWS, ROOT

pytestmark = [pytest.mark.engine, pytest.mark.registry, pytest.mark.network]

INSTALL = frozenset({"Install flowpack"})
SECOND = "Build and test; on the main branch push, register and deploy"
MAIN = "refs/heads/main"


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment for the action to install flowpack into; it finds what flowpack needs in this one."""
    folder = tmp_path_factory.mktemp("python")
    subprocess.run((sys.executable, "-m", "venv", str(folder)), check=True)
    site = sysconfig.get_path("purelib", vars={"base": str(folder)})
    Path(site, "what-is-there.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkout")
    for flow in ("chat-with-includes", "custom-connection"):
        shutil.copytree(FLOWS / flow, folder / "flows" / flow, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(FLOWS.parent / "shared", folder / "shared")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    settings = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ("git", *settings, *arguments), cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=change")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture(scope="module")
def runner(
    programs: Path, checkout: Path, building: dict[str, str], tmp_path_factory: pytest.TempPathFactory, docker: Docker
) -> ActionRunner:
    environment = {**building, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    runner = ActionRunner(ROOT / "action.yml", checkout, tmp_path_factory.mktemp("runner"), environment)
    installed = runner.run({}, event="push", ref=MAIN, without=frozenset({"Check", SECOND}))
    assert installed.failed is None, installed.log
    return runner


@pytest.fixture(scope="module")
def inputs(
    registry: RunningRegistry, tmp_path_factory: pytest.TempPathFactory, docker: Docker
) -> Iterator[dict[str, str]]:
    models = tmp_path_factory.mktemp("models")
    yield {"sources": "flows\n", "image": f"{registry.host}/ci/{{flow}}:{{revision}}", "registry": f"local:{models}"}
    made = docker("image", "ls", "--quiet", f"--filter=reference={registry.host}/ci/*").split()
    docker("image", "rm", "--force", *set(made), check=False)


def repositories(registry: RunningRegistry) -> list[str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{registry.host}/v2/_catalog", timeout=10) as answer:
        return [name for name in json.load(answer)["repositories"] if name.startswith("ci/")]


def by_name(run: ActionRun) -> dict[str, dict[str, object]]:
    return {flow["flow"]: flow for flow in json.loads(run.outputs["flows"])}


def test_a_pull_request_then_the_main_branch_then_a_change(
    runner: ActionRunner, inputs: dict[str, str], checkout: Path, registry: RunningRegistry, docker: Docker
) -> None:
    """In this order, as a repository sees it."""
    request = runner.run(inputs, event="pull_request", ref="refs/pull/1/merge", without=INSTALL)
    assert request.failed is None, request.log
    flows = by_name(request)
    assert {name: flow["state"] for name, flow in flows.items()} == {
        "chat-with-includes": "done",
        "custom-connection": "not tested",
    }
    assert str(flows["chat-with-includes"]["test"]).startswith("passed in ")
    assert str(flows["custom-connection"]["test"]).startswith("not tested: WEATHER_SERVICE_")
    assert repositories(registry) == []
    assert request.outputs["images"] == request.outputs["models"] == "{}"

    target = runner.run(inputs, event="pull_request_target", ref=MAIN, without=INSTALL)
    assert target.failed is None, target.log
    assert repositories(registry) == []

    main = runner.run(inputs, event="push", ref=MAIN, without=INSTALL)
    assert main.failed is None, main.log
    images, models = json.loads(main.outputs["images"]), json.loads(main.outputs["models"])
    assert models == {"chat-with-includes": "chat-with-includes:1", "custom-connection": "custom-connection:1"}
    for flow, image in images.items():
        assert image.startswith(f"{registry.host}/ci/{flow}@sha256:")
        assert docker("pull", "--quiet", image).strip() == image
        assert image in main.summary
    row = next(line for line in main.summary.splitlines() if line.startswith("| chat-with-includes"))
    assert " MB | " in row
    assert row.endswith(" | chat-with-includes:1 | – |")

    before = git(checkout, "rev-parse", "HEAD")
    (checkout / "shared" / "knowledge" / "cats.md").write_text("# Cats\nThe library has two cats.\n")
    commit(checkout)
    again = runner.run({**inputs, "changed-since": before}, event="push", ref=MAIN, without=INSTALL)
    assert again.failed is None, again.log
    flows = by_name(again)
    assert flows["custom-connection"]["state"] == "unchanged"
    chat = flows["chat-with-includes"]
    assert chat["model"] == "chat-with-includes:2"
    assert int(str(chat["layers_reused"])) > 0
    assert json.loads(again.outputs["images"])["chat-with-includes"] != images["chat-with-includes"]


def test_the_main_branch_deploys(
    runner: ActionRunner, inputs: dict[str, str], checkout: Path, azure: AzureEmulator
) -> None:
    """The pushed image runs behind an endpoint, with a connection that the workspace alone has."""
    flow = checkout / "flows/custom-connection"
    # What reaches the tests' Azure reaches no package index: a flow with a lock needs none.
    flowpack("lock", flow, "--azureml", "--python", runner.environment["FLOWPACK_PYTHON"])
    azure.connect("weather service", custom_keys({"api_key": "s"}, endpoint="https://w.example", region="north"))
    azure_environment = {**azure.variables("owner"), **azure.workspace_variables()}
    deploying = replace(runner, environment={**runner.environment, **azure_environment})
    asked = {"sources": str(flow), "registry": "", "ci-options": "--azureml --no-test"}
    asked |= {"deploy": "true", "endpoint": "{flow}-prod"}

    first = deploying.run({**inputs, **asked}, event="push", ref=MAIN, without=INSTALL)
    assert first.failed is None, first.log
    assert json.loads(first.outputs["models"]) == {"custom-connection": "custom-connection:1"}
    [uri] = json.loads(first.outputs["endpoints"]).values()
    assert uri == f"https://custom-connection-prod.{azure.setup.scoring_domain}/score"
    assert "| custom-connection:1 | custom-connection-prod / blue |" in first.summary

    def invoked(*arguments: str) -> Any:
        command = ("endpoint", "invoke", "custom-connection-prod", *arguments)
        return json.loads(flowpack(*command, env=azure_environment).stdout)

    assert invoked("--input", "city=Delft") == {"report": "Delft by https://w.example, region north, signed True"}

    # A key that is wrong shows when the flow is asked, and not before.
    (flow / "ask.py").write_text((flow / "ask.py").read_text().replace("service.api_key", "service.no_such_key"))
    second = deploying.run({**inputs, **asked}, event="push", ref=MAIN, without=INSTALL)
    assert second.failed == SECOND
    assert "no_such_key" in second.summary
    assert invoked("--input", "city=Delft")["report"].startswith("Delft by")
    assert list(azure.deployments("custom-connection-prod")) == ["blue"]
    git(checkout, "checkout", "--quiet", ".")


def test_a_flow_that_is_wrong_stops_at_the_check_with_an_annotation(
    runner: ActionRunner, inputs: dict[str, str], checkout: Path, tmp_path: Path
) -> None:
    broken = checkout / "flows" / "broken"
    broken.mkdir()
    text = (checkout / "flows/custom-connection/flow.dag.yaml").read_text()
    (broken / "flow.dag.yaml").write_text(text.replace("${ask.output}", "${aks.output}"))
    shutil.copy(checkout / "flows/custom-connection/ask.py", broken)
    run = runner.run(inputs, event="push", ref=MAIN, without=INSTALL)
    shutil.rmtree(broken)
    assert run.failed == "Check"
    assert "::error file=flows/broken/flow.dag.yaml,line=" in run.log
    assert run.outputs["flows"] == ""
