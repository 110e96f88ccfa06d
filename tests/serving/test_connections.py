from __future__ import annotations

import json
from typing import Any

import pytest

from flowpack.flows.connection_types import CONNECTION_TYPES
from flowpack.serving.connection_fields import TYPES
from flowpack.serving.connections import Connections
from flowpack.serving.problems import CannotStartError, Problem
from flowpack.serving.sources import Answer

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


def connections_of(environ: dict[str, str], *documents: dict[str, Any], source: Any = None) -> Connections:
    return Connections({each["name"]: each for each in documents}, environ, source)


def resolved(name: str, environ: dict[str, str], *documents: dict[str, Any], source: Any = None) -> dict[str, Any]:
    return connections_of(environ, *documents, source=source)[name].to_executor()


def problems_of(
    environ: dict[str, str], *documents: dict[str, Any], used: tuple[str, ...] = (), source: Any = None
) -> set[tuple[str, str]]:
    try:
        connections_of(environ, *documents, source=source).learn([*(each["name"] for each in documents), *used])
    except CannotStartError as error:
        return {(problem.name, problem.reason) for problem in error.problems}
    return set()


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
    with pytest.raises(CannotStartError) as caught:
        connections_of({}, AZURE).learn(["open_ai_connection"])
    assert str(caught.value).splitlines()[:3] == [
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
    assert "neither JSON nor the name of a connection" in reason
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


def test_custom_keys_that_hold_another_type_are_that_type() -> None:
    """As workspaces kept OpenAI's connections before they had a category of their own."""
    metadata = {"azureml.flow.connection_type": "OpenAI", "azureml.flow.module": "promptflow.connections"}
    data = {
        "properties": {
            "category": "CustomKeys",
            "credentials": {"keys": {"api_key": "k"}},
            "metadata": {**metadata, "organization": "o"},
        }
    }
    connection = resolved("x", {"x": json.dumps(data)})
    assert connection["type"] == "OpenAIConnection"
    assert connection["value"] == {"api_key": "k", "organization": "o"}


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
    assert "secret" not in str(problems_of(environ, AZURE, CUSTOM))


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


class Store:
    """Has two connections, in the two forms that sources answer with."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.refuses = False
        self.has: dict[str, Any] = {
            "open_ai_connection": {"type": "AzureOpenAIConnection", "value": {"api_base": "s", "api_key": "sk"}},
            "weather service": {
                "properties": {"category": "CustomKeys", "credentials": {"keys": {"api_key": "w"}}, "metadata": {}}
            },
        }

    def __str__(self) -> str:
        return "the store"

    def ask(self, names: Any) -> Answer:
        self.asked.append(list(names))
        if self.refuses:
            return Answer(problems=(Problem("the store", "refuses", missing=False),))
        found = {name: self.has[name] for name in names if name in self.has}
        return Answer(found, frozenset(set(names) - found.keys()))


def test_what_a_source_has_counts_instead_of_the_document_and_single_fields_on_top() -> None:
    store = Store()
    connections = connections_of({"OPEN_AI_CONNECTION_API_KEY": "own"}, AZURE, CUSTOM, source=store)
    connections.learn(["open_ai_connection", "weather service"])
    assert store.asked == [["open_ai_connection", "weather service"]], "asked once for all"
    value = connections["open_ai_connection"].to_executor()["value"]
    assert (value["api_base"], value["api_key"], "api_version" in value) == ("s", "own", False)
    assert connections["weather service"].to_executor()["value"] == {"api_key": "w"}
    assert len(store.asked) == 1


def test_a_source_is_not_asked_for_what_a_variable_gives_whole_and_asked_for_the_name_it_holds() -> None:
    store = Store()
    assert resolved("x", {"x": '{"type": "serp", "api_key": "k"}'}, source=store)["value"] == {"api_key": "k"}
    assert not store.asked
    assert resolved("x", {"x": "open_ai_connection"}, source=store)["value"]["api_base"] == "s"
    assert store.asked == [["open_ai_connection"]]
    fields = {"open_ai_connection": '{"api_version": "v"}'}
    value = resolved("open_ai_connection", fields, AZURE, source=store)["value"]
    assert (value["api_base"], value["api_version"]) == ("s", "v"), "JSON of single fields goes on top"


def test_what_a_source_does_not_have_comes_from_the_document() -> None:
    store = Store()
    store.has.clear()
    assert resolved("open_ai_connection", KEY, AZURE, source=store)["value"]["api_key"] == "k"
    found = problems_of({"open_ai_connection": "nobody"}, AZURE, source=store)
    assert ("the store", "has no connection with the name that open_ai_connection holds") in found
    assert "nobody" not in str(found)


def test_a_document_without_fields_does_not_stand_for_a_connection_that_a_source_was_asked_for() -> None:
    store = Store()
    store.refuses = True
    empty = {"type": "custom", "name": "x", "module": "promptflow.connections", "configs": {}, "secrets": {}}
    found = problems_of({}, empty, source=store)
    assert {name for name, _ in found} == {"x", "the store"}


def test_a_source_that_refuses_is_told_but_does_not_matter_where_variables_give_all() -> None:
    store = Store()
    store.refuses = True
    told: list[str] = []
    connections = Connections({"open_ai_connection": AZURE}, KEY, store, told.append)
    connections.learn(["open_ai_connection"])
    assert told == ["connections come from the environment alone: the store: refuses"]
    assert ("the store", "refuses") in problems_of({}, AZURE, source=store)


@pytest.mark.parametrize("form", ["AOAI-CONNECTION", "AOAI_CONNECTION"])
def test_a_connection_with_hyphens_takes_its_variables_in_both_forms(form: str) -> None:
    document = {
        **AZURE,
        "name": "aoai-connection",
        "api_base": "${env:AOAI_CONNECTION_API_BASE}",
        "api_key": "${env:AOAI_CONNECTION_API_KEY}",
    }
    given = {f"{form}_API_BASE": "https://a.example", f"{form}_API_KEY": "k"}
    assert resolved("aoai-connection", given, document)["value"]["api_key"] == "k"
    assert ("AOAI_CONNECTION_API_KEY", "connection 'aoai-connection', api_key") in problems_of({}, document)


@pytest.mark.parametrize("override", ["aoai-connection", "aoai_connection"])
def test_a_connection_with_hyphens_is_replaced_by_either_form(override: str) -> None:
    given = {override: '{"type": "serp", "api_key": "k"}'}
    assert resolved("aoai-connection", given)["value"] == {"api_key": "k"}
