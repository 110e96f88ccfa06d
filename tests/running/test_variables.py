from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.running.variables import ServerVariables, server_variables
from tests.paths import write_tree

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
