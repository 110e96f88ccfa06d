from __future__ import annotations

from pathlib import Path

from flowpack.running.variables import server_environment
from tests.paths import write_tree

BUILD = {
    "settings.json": '{"OPEN_AI_CONNECTION_API_KEY": "", "OPEN_AI_CONNECTION_API_BASE": ""}',
    "connections/open_ai_connection.yaml": "name: open_ai_connection\ntype: azure_open_ai\n",
    "connections/weather_service.yaml": "name: weather service\ntype: custom\n",
    "flow/flow.dag.yaml": "environment_variables: {GREETING: hello}\nnodes: []\n",
}


def test_what_serving_reads_and_the_build_asks_for_and_nothing_else(tmp_path: Path) -> None:
    wanted = {
        "OPEN_AI_CONNECTION_API_KEY": "k",
        "OPEN_AI_CONNECTION_API_VERSION": "2025-01-01",
        "WEATHER_SERVICE_REGION": "north",
        "weather_service": "other",
        "GREETING": "hi",
        "PROMPTFLOW_WORKER_NUM": "2",
        "PF_LOGGING_LEVEL": "DEBUG",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://o",
        "APPLICATIONINSIGHTS_CONNECTION_STRING": "c",
    }
    of_this_machine = {
        "PATH": "/bin",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PROMPTFLOW_PROJECT_PATH": "/home/me/flow",
        "PF_HOME_DIRECTORY": "/home/me/.promptflow",
        "OTHER_CONNECTION_API_KEY": "o",
        "FLOWPACK_CACHE_DIR": "/c",
    }
    build = write_tree(tmp_path, BUILD)
    assert server_environment(build, environ={**wanted, **of_this_machine}) == wanted


def test_what_is_explicit_wins_and_may_be_anything(tmp_path: Path) -> None:
    explicit = {"PF_LOGGING_LEVEL": "ERROR", "AZURE_CLIENT_SECRET": "s"}
    environment = server_environment(
        write_tree(tmp_path, BUILD), explicit=explicit, environ={"PF_LOGGING_LEVEL": "DEBUG"}
    )
    assert environment == explicit


def test_without_a_build_only_what_serving_reads(tmp_path: Path) -> None:
    environ = {"PROMPTFLOW_SERVING_ENGINE": "fastapi", "OPEN_AI_CONNECTION_API_KEY": "k"}
    assert server_environment(environ=environ) == {"PROMPTFLOW_SERVING_ENGINE": "fastapi"}
