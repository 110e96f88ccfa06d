from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flowpack.running.variables import (
    ServerVariables,
    loopback_variables,
    missing_variables,
    server_variables,
)
from tests.images.records import build_record
from tests.paths import FLOWS, write_tree

BUILD = {
    "settings.json": '{"OPEN_AI_CONNECTION_API_KEY": "", "OPEN_AI_CONNECTION_API_BASE": ""}',
    "connections/open_ai_connection.yaml": "name: open_ai_connection\ntype: azure_open_ai\n",
    "connections/weather_service.yaml": "name: weather service\ntype: custom\nconfigs: {region: ''}\nsecrets: {}\n",
    "flow/flow.dag.yaml": "environment_variables: {GREETING: hello}\nnodes: []\n",
}
A_STRANGERS_BUILD = {
    "settings.json": '{"AWS_SECRET_ACCESS_KEY": "", "AZURE_OPENAI_API_KEY": ""}',
    "connections/github.yaml": "name: github\ntype: custom\nsecrets: {token: ''}\n",
    "connections/azure_client.yaml": "name: azure client\ntype: custom\nsecrets: {secret: ''}\n",
    "connections/ssh.yaml": "name: SSH_AUTH_SOCK\ntype: serp\n",
    "connections/prod.yaml": "name: prod\ntype: open_ai\n",
    "flow/flow.dag.yaml": "environment_variables: {ACTIONS_ID_TOKEN_REQUEST_TOKEN: '', PATH: '', Pip_Index_Url: ''}\n"
    "nodes: []\n",
}


def test_what_serving_reads_and_the_build_asks_for_and_nothing_else(tmp_path: Path) -> None:
    of_serving = {
        "PROMPTFLOW_WORKER_NUM": "2",
        "PF_LOGGING_LEVEL": "DEBUG",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://o",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": "c",
    }
    of_flow = {
        "OPEN_AI_CONNECTION_API_KEY": "k",
        "OPEN_AI_CONNECTION_API_VERSION": "2025-01-01",
        "WEATHER_SERVICE_REGION": "north",
        "weather_service": "other",
        "GREETING": "hi",
    }
    of_this_machine = {
        "PATH": "/bin",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PROMPTFLOW_PROJECT_PATH": "/home/me/flow",
        "PF_HOME_DIRECTORY": "/home/me/.promptflow",
        "OTHER_CONNECTION_API_KEY": "o",
        "FLOWPACK_CACHE_DIR": "/c",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=secret",
    }
    build = write_tree(tmp_path, BUILD)
    found = server_variables(build, environ={**of_serving, **of_flow, **of_this_machine})
    assert found.values == {**of_serving, **of_flow}
    assert found.asked == tuple(sorted(of_flow))


@pytest.mark.attack("run: variables")
def test_a_name_that_begins_with_a_connection_s_is_not_passed(tmp_path: Path) -> None:
    environ = {"PROD_DATABASE_PASSWORD": "s", "WEATHER_SERVICE_PASSWORD": "s", "GREETING_TOKEN": "s", "prod_x": "s"}
    for build in (BUILD, A_STRANGERS_BUILD):
        found = server_variables(write_tree(tmp_path / str(len(build)), build), environ=environ)
        assert found == ServerVariables({})


@pytest.mark.attack("run: variables")
def test_a_credential_of_the_machine_is_kept_back_until_somebody_names_it(tmp_path: Path) -> None:
    credentials = {
        "AWS_SECRET_ACCESS_KEY": "s",
        "GITHUB_TOKEN": "s",
        "AZURE_CLIENT_SECRET": "s",
        "SSH_AUTH_SOCK": "s",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "s",
        "PATH": "s",
        "Pip_Index_Url": "s",
    }
    of_the_flow = {"AZURE_OPENAI_API_KEY": "k", "PROD_API_KEY": "k"}
    build = write_tree(tmp_path, A_STRANGERS_BUILD)
    found = server_variables(build, environ={**credentials, **of_the_flow})
    assert found.values == of_the_flow
    assert found.kept_back == tuple(sorted(credentials))

    named = server_variables(build, explicit={"GITHUB_TOKEN": "mine"}, environ=credentials)
    assert named.values == {"GITHUB_TOKEN": "mine"}
    assert "GITHUB_TOKEN" not in named.kept_back


def test_what_is_explicit_wins_and_may_be_anything(tmp_path: Path) -> None:
    explicit = {"PF_LOGGING_LEVEL": "ERROR", "AZURE_CLIENT_SECRET": "s"}
    found = server_variables(write_tree(tmp_path, BUILD), explicit=explicit, environ={"PF_LOGGING_LEVEL": "DEBUG"})
    assert found == ServerVariables(explicit)


def test_without_a_build_only_what_serving_reads(tmp_path: Path) -> None:
    environ = {"PROMPTFLOW_SERVING_ENGINE": "fastapi", "OPEN_AI_CONNECTION_API_KEY": "k"}
    assert server_variables(environ=environ).values == {"PROMPTFLOW_SERVING_ENGINE": "fastapi"}


def weather_build(tmp_path: Path) -> Path:
    return write_tree(tmp_path, {"settings.json": '{"WEATHER_API_KEY": "", "WEATHER_API_BASE": "", "TOKEN": ""}'})


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        ({}, ("TOKEN", "WEATHER_API_BASE (connection 'weather')", "WEATHER_API_KEY (connection 'weather')")),
        ({"weather": "other"}, ("TOKEN",)),
        ({"PF_CONNECTION_PROVIDER": "azureml://x", "TOKEN": ""}, ()),
        ({"PF_CONNECTION_PROVIDER": "local", "WEATHER_API_BASE": "b", "WEATHER_API_KEY": "k"}, ("TOKEN",)),
        ({"WEATHER_AUTH_MODE": "meid_token", "TOKEN": "t"}, ("WEATHER_API_BASE (connection 'weather')",)),
    ],
)
def test_what_is_missing_depends_on_where_the_connection_comes_from(
    tmp_path: Path, values: dict[str, str], missing: tuple[str, ...]
) -> None:
    record = replace(build_record(), connections={"weather": ("WEATHER_API_KEY", "WEATHER_API_BASE")})
    assert missing_variables(weather_build(tmp_path), record, values) == missing


@pytest.mark.parametrize(
    ("config", "missing"),
    [
        (None, ["PF_FLOW_INIT_CONFIG (JSON with 'greeting', which the flow's class needs)"]),
        ('{"mark": "?"}', ["PF_FLOW_INIT_CONFIG (JSON with 'greeting', which the flow's class needs)"]),
        ('{"greeting": "Hi"}', []),
        ("[", []),
    ],
)
def test_what_the_class_of_a_flex_flow_needs_is_named(tmp_path: Path, config: str | None, missing: list[str]) -> None:
    flow = {path.name: path.read_text() for path in (FLOWS / "flex-class-without-values").iterdir()}
    files = {f"flow/{name}": text for name, text in flow.items()}
    build = write_tree(tmp_path, {**files, "settings.json": '{"PF_FLOW_INIT_CONFIG": ""}'})
    values = {} if config is None else {"PF_FLOW_INIT_CONFIG": config}
    assert list(missing_variables(build, build_record(), values)) == missing


@pytest.mark.parametrize("url", ["http://localhost:1/v1", "https://127.0.0.1", "HTTP://[::1]:80/", "redis://127.1.2.3"])
def test_a_loopback_url_is_found(url: str) -> None:
    assert list(loopback_variables({"BASE": url})) == ["BASE"]


@pytest.mark.parametrize("text", ["https://localhost.example.com", "localhost", "http://host.docker.internal:1", "10"])
def test_other_values_are_not_loopback(text: str) -> None:
    assert loopback_variables({"BASE": text}) == {}
