"""``flowpack deploy`` and ``flowpack endpoint`` without a network: documents, and command lines that are wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.azureml.models.examples import flow_folder
from tests.commands import Done, flowpack

IMAGE = "registry.example/chat@sha256:" + "a" * 64
WORKSPACE = ("--subscription", "s", "--resource-group", "g", "--workspace-name", "w")


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("AZURE_", "AZUREML_", "FLOWPACK_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    return flow_folder(tmp_path / "basic-chat")


def dry_run(chat: Path, *options: str | Path, expect: int = 0) -> Done:
    return flowpack("deploy", chat, "--image", IMAGE, "--dry-run", *WORKSPACE, *options, expect=expect)


def test_a_dry_run_shows_the_three_documents(chat: Path) -> None:
    model, endpoint, deployment = yaml.safe_load_all(dry_run(chat).stdout)
    assert (model["name"], endpoint["name"], deployment["name"]) == ("basic-chat", "basic-chat", "blue")
    assert deployment["environment"]["image"] == IMAGE


def test_a_dry_run_shows_the_steps_for_a_new_endpoint(chat: Path) -> None:
    steps = dry_run(chat, "--json").json["steps"]
    assert steps == [
        "create endpoint basic-chat",
        "create deployment blue of endpoint basic-chat with basic-chat:<next>",
        "score the sample with deployment blue",
        "set the traffic: blue 100 %",
    ]
    assert "# set the traffic: blue 100 %" in dry_run(chat).stdout


def test_options_reach_the_documents(chat: Path) -> None:
    shown = dry_run(chat, "--endpoint", "other", "--instance-count", "3", "--auth-mode", "aad_token", "--json").json
    assert shown["endpoint"]["name"] == shown["deployment"]["endpoint_name"] == "other"
    assert shown["endpoint"]["auth_mode"] == "aad_token"
    assert shown["deployment"]["instance_count"] == 3


def test_a_name_that_azure_does_not_take_is_refused(chat: Path) -> None:
    assert "prod_1" in dry_run(chat, "--endpoint", "prod_1", expect=1).stderr


@pytest.mark.parametrize("option", [("--traffic", "101"), ("--instance-count", "0"), ("--auth-mode", "none")])
def test_a_value_out_of_range_is_a_wrong_command_line(chat: Path, option: tuple[str, str]) -> None:
    assert option[0] in dry_run(chat, *option, expect=2).stderr


@pytest.mark.parametrize(("share", "said"), [("blue", "'blue'"), ("blue=x", "blue=x"), ("blue=101", "sum to 101 %")])
def test_a_share_of_traffic_that_is_wrong_is_refused_before_azure_is_asked(share: str, said: str) -> None:
    assert said in flowpack("endpoint", "traffic", "chat", share, *WORKSPACE, expect=2).stderr
