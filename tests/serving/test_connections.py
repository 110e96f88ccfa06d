from __future__ import annotations

import json
from typing import Any

import pytest

from flowpack.flows.connection_types import CONNECTION_TYPES
from flowpack.serving.connection_fields import TYPES
from flowpack.serving.connections import missing, resolve_all
from flowpack.serving.problems import CannotStartError

AZURE: dict[str, Any] = {
    "$schema": "https://azuremlschemas.azureedge.net/promptflow/latest/AzureOpenAIConnection.schema.json",
    "type": "azure_open_ai",
    "name": "open_ai_connection",
    "module": "promptflow.connections",
    "api_base": "${env:OPEN_AI_CONNECTION_API_BASE}",
    "api_key": "${env:OPEN_AI_CONNECTION_API_KEY}",
    "api_type": "azure",
    "api_version": "2024-02-01",
    "auth_mode": "key",
}
CUSTOM: dict[str, Any] = {
    "type": "custom",
    "name": "weather service",
    "configs": {"endpoint": "${env:WEATHER_SERVICE_ENDPOINT}", "region": "north"},
    "secrets": {"api_key": "${env:WEATHER_SERVICE_API_KEY}"},
}
KEY = {"OPEN_AI_CONNECTION_API_BASE": "https://a.example", "OPEN_AI_CONNECTION_API_KEY": "k"}


def resolved(name: str, environ: dict[str, str], *documents: dict[str, Any]) -> dict[str, Any]:
    connections, problems = resolve_all({each["name"]: each for each in documents}, [name], environ)
    assert not problems
    return connections[name].to_executor()


def problems_of(
    environ: dict[str, str], *documents: dict[str, Any], used: tuple[str, ...] = ()
) -> set[tuple[str, str]]:
    found = missing({each["name"]: each for each in documents}, used, environ)
    return {(problem.name, problem.reason) for problem in found}


def test_references_are_filled_from_the_environment() -> None:
    connection = resolved("open_ai_connection", KEY, AZURE)
    assert connection["type"] == "AzureOpenAIConnection"
    assert connection["value"]["api_key"] == "k"
    assert connection["value"]["api_base"] == "https://a.example"
    assert connection["secret_keys"] == ["api_key"]


def test_everything_missing_is_named_with_the_variable_to_set() -> None:
    assert problems_of({}, AZURE, CUSTOM, used=("other one",)) == {
        ("OPEN_AI_CONNECTION_API_BASE", "connection 'open_ai_connection', api_base"),
        ("OPEN_AI_CONNECTION_API_KEY", "connection 'open_ai_connection', api_key"),
        ("WEATHER_SERVICE_ENDPOINT", "connection 'weather service', endpoint"),
        ("WEATHER_SERVICE_API_KEY", "connection 'weather service', api_key"),
        ("other_one", "connection 'other one' is not in the image: its JSON, or the name of one that is"),
    }
    assert str(CannotStartError(missing({"open_ai_connection": AZURE}, [], {}))).splitlines()[:3] == [
        "cannot start: 2 settings are missing",
        "  OPEN_AI_CONNECTION_API_BASE  (connection 'open_ai_connection', api_base)",
        "  OPEN_AI_CONNECTION_API_KEY   (connection 'open_ai_connection', api_key)",
    ]


def test_a_key_left_empty_is_missing_but_a_custom_value_may_be_empty() -> None:
    assert problems_of({**KEY, "OPEN_AI_CONNECTION_API_KEY": ""}, AZURE) == {
        ("OPEN_AI_CONNECTION_API_KEY", "connection 'open_ai_connection', api_key")
    }
    assert not problems_of({"WEATHER_SERVICE_ENDPOINT": "", "WEATHER_SERVICE_API_KEY": ""}, CUSTOM)


def test_a_needed_field_that_a_document_leaves_out_is_missing() -> None:
    document = {"type": "azure_open_ai", "name": "x y", "api_key": "k"}
    assert problems_of({}, document) == {("X_Y_API_BASE", "connection 'x y', api_base")}


def test_a_single_field_is_overridden_also_one_that_the_document_does_not_have() -> None:
    environ = {**KEY, "OPEN_AI_CONNECTION_API_VERSION": "2025-01-01", "OPEN_AI_CONNECTION_RESOURCE_ID": "/r"}
    value = resolved("open_ai_connection", environ, AZURE)["value"]
    assert (value["api_version"], value["resource_id"]) == ("2025-01-01", "/r")
    environ = {"WEATHER_SERVICE_ENDPOINT": "e", "WEATHER_SERVICE_API_KEY": "k", "WEATHER_SERVICE_REGION": "south"}
    assert resolved("weather service", environ, CUSTOM)["value"]["region"] == "south"


def test_a_document_may_refer_to_any_variable_and_the_field_s_own_wins() -> None:
    document = {**AZURE, "api_key": "${env:SHARED_KEY}"}
    base = {"OPEN_AI_CONNECTION_API_BASE": "b"}
    assert problems_of(base, document) == {("SHARED_KEY", "connection 'open_ai_connection', api_key")}
    assert resolved("open_ai_connection", {**base, "SHARED_KEY": "s"}, document)["value"]["api_key"] == "s"
    both = {**base, "SHARED_KEY": "s", "OPEN_AI_CONNECTION_API_KEY": "own"}
    assert resolved("open_ai_connection", both, document)["value"]["api_key"] == "own"


def test_signing_in_with_entra_id_needs_no_key() -> None:
    environ = {"OPEN_AI_CONNECTION_API_BASE": "b", "OPEN_AI_CONNECTION_AUTH_MODE": "meid_token"}
    connection = resolved("open_ai_connection", environ, AZURE)
    assert "api_key" not in connection["value"]
    assert connection["value"]["auth_mode"] == "meid_token"


def test_a_variable_named_as_the_connection_names_another_one() -> None:
    other = {"type": "open_ai", "name": "team key", "api_key": "${env:TEAM_KEY_API_KEY}"}
    environ = {"open_ai_connection": "team key", "TEAM_KEY_API_KEY": "t"}
    connection = resolved("open_ai_connection", environ, AZURE, other)
    assert (connection["type"], connection["value"]["api_key"]) == ("OpenAIConnection", "t")
    assert connection["name"] == "open_ai_connection"
    [(name, reason)] = problems_of({**KEY, "open_ai_connection": "nobody"}, AZURE)
    assert name == "open_ai_connection"
    assert "neither JSON nor the name of a connection in the image" in reason
    assert "nobody" not in reason, "what was taken for a name may be a secret"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param({"type": "azure_open_ai", "api_base": "b", "api_key": "j"}, id="document"),
        pytest.param({"type": "AzureOpenAIConnection", "value": {"api_base": "b", "api_key": "j"}}, id="executor"),
        pytest.param({"api_base": "b", "api_key": "j"}, id="fields"),
        pytest.param(
            {
                "id": "/subscriptions/s",
                "name": "prod",
                "properties": {
                    "authType": "ApiKey",
                    "category": "AzureOpenAI",
                    "credentials": {"key": "j"},
                    "target": "b",
                    "metadata": {"ApiType": "azure", "ApiVersion": "2024-02-01"},
                },
            },
            id="workspace",
        ),
    ],
)
def test_a_variable_named_as_the_connection_holds_json(data: dict[str, Any]) -> None:
    value = resolved("open_ai_connection", {"open_ai_connection": json.dumps(data)}, AZURE)["value"]
    assert (value["api_base"], value["api_key"]) == ("b", "j")


def test_json_of_custom_connections_in_each_form() -> None:
    workspace = {
        "properties": {
            "authType": "CustomKeys",
            "category": "CustomKeys",
            "credentials": {"keys": {"api_key": "s"}},
            "metadata": {"endpoint": "e", "azureml.flow.connection_type": "Custom", "azureml.flow.module": "m"},
            "target": "_",
        }
    }
    executor = {"type": "CustomConnection", "value": {"endpoint": "e", "api_key": "s"}, "secret_keys": ["api_key"]}
    for data in (workspace, executor):
        connection = resolved("weather service", {"weather_service": json.dumps(data)})
        assert connection["value"] == {"endpoint": "e", "api_key": "s"}
        assert connection["secret_keys"] == ["api_key"]


def test_json_that_says_too_little_or_what_promptflow_does_not_know() -> None:
    for data in ({"api_key": "k"}, {"type": "telepathy"}, {"properties": {"category": "Snowflake"}}):
        [(name, reason)] = problems_of({"x": json.dumps(data)}, used=("x",))
        assert name == "x"
        assert reason.startswith("connection 'x': ")


def test_a_package_s_own_connection_class_is_handed_on() -> None:
    document = {**CUSTOM, "custom_type": "MyConnection", "module": "my_tools.connections", "package": "my-tools"}
    environ = {"WEATHER_SERVICE_ENDPOINT": "e", "WEATHER_SERVICE_API_KEY": "k"}
    value = resolved("weather service", environ, document)["value"]
    assert value["promptflow.connection.custom_type"] == "MyConnection"
    assert value["promptflow.connection.module"] == "my_tools.connections"


def test_no_problem_and_no_connection_s_repr_in_a_message_holds_a_secret() -> None:
    environ = {"OPEN_AI_CONNECTION_API_KEY": "top-secret", "weather_service": "other-secret"}
    found = missing({"open_ai_connection": AZURE, "weather service": CUSTOM}, [], environ)
    assert "secret" not in str(CannotStartError(found))


def test_the_types_are_those_that_a_build_writes() -> None:
    written = {each.document_type: each for each in CONNECTION_TYPES.values()}
    assert set(TYPES) == set(written)
    for name, kind in TYPES.items():
        assert (kind.class_name, kind.needed, kind.module) == (
            written[name].class_name,
            written[name].needed,
            written[name].module,
        )
        assert set(written[name].optional) <= set(kind.optional)
