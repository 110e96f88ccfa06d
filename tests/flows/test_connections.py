"""Connections are found in nodes, tool sources and variables, and each says what has to be set."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from flowpack.documents.yaml_documents import dump
from flowpack.flows.connections import Connection, find_connections
from flowpack.flows.reader import read_flow
from tests.paths import FLOWS, write_tree


def connections_of(folder: Path) -> dict[str, Connection]:
    flow = read_flow(folder)
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {each.name: each for each in find_connections(flow, files)}


def tool_flow(folder: Path, source: str, value: str = "my conn") -> dict[str, Connection]:
    flow = f"nodes:\n- name: n\n  type: python\n  source: {{type: code, path: t.py}}\n  inputs:\n    c: {value}\n"
    return connections_of(write_tree(folder, {"flow.dag.yaml": flow, "t.py": source}))


def test_an_llm_nodes_connection() -> None:
    connection = connections_of(FLOWS / "llm-chat")["open_ai_connection"]
    assert connection.variables == ("OPEN_AI_CONNECTION_API_KEY", "OPEN_AI_CONNECTION_API_BASE")
    assert dump(connection.document()) == (
        "$schema: https://azuremlschemas.azureedge.net/promptflow/latest/AzureOpenAIConnection.schema.json\n"
        "type: azure_open_ai\n"
        "name: open_ai_connection\n"
        "module: promptflow.connections\n"
        "api_base: ${env:OPEN_AI_CONNECTION_API_BASE}\n"
        "api_key: ${env:OPEN_AI_CONNECTION_API_KEY}\n"
        "api_type: azure\n"
        "api_version: '2024-02-01'\n"
        "auth_mode: key\n"
    )


def test_a_custom_connections_keys_come_from_the_source_and_the_variables() -> None:
    connection = connections_of(FLOWS / "custom-connection")["weather service"]
    assert connection.file_name == "weather_service.yaml"
    document = connection.document()
    assert document["configs"] == {
        "endpoint": "${env:WEATHER_SERVICE_ENDPOINT}",
        "region": "${env:WEATHER_SERVICE_REGION}",
    }
    assert document["secrets"] == {"api_key": "${env:WEATHER_SERVICE_API_KEY}"}


@pytest.mark.parametrize(
    ("imports", "annotation", "expected"),
    [
        ("from promptflow.connections import OpenAIConnection", "OpenAIConnection", "open_ai"),
        ("from promptflow.connections import OpenAIConnection as O", "O", "open_ai"),
        ("import promptflow.connections as pc", "pc.SerpConnection", "serp"),
        ("from promptflow.connections import *", "'CognitiveSearchConnection'", "cognitive_search"),
        ("from typing import Optional", "Optional[AzureOpenAIConnection]", "azure_open_ai"),
        ("from typing import Union", "Union[OpenAIConnection, AzureOpenAIConnection]", "open_ai"),
        ("", "QdrantConnection | None", "qdrant"),
    ],
)
def test_a_tools_parameter_tells_the_type(tmp_path: Path, imports: str, annotation: str, expected: str) -> None:
    source = f"{imports}\nfrom promptflow.core import tool\n@tool\ndef n(c: {annotation}):\n    return 1\n"
    assert tool_flow(tmp_path, source)["my conn"].type.document_type == expected


@pytest.mark.parametrize("annotation", ["str", "dict", "list[str]"])
def test_other_parameters_are_no_connections(tmp_path: Path, annotation: str) -> None:
    source = f"from promptflow.core import tool\n@tool\ndef n(c: {annotation}):\n    return 1\n"
    assert tool_flow(tmp_path, source) == {}


def test_a_reference_to_another_node_names_no_connection(tmp_path: Path) -> None:
    source = "from promptflow.core import tool\n@tool\ndef n(c: OpenAIConnection):\n    return 1\n"
    assert tool_flow(tmp_path, source, "${inputs.c}") == {}


def test_keys_of_a_custom_connection_in_all_their_spellings(tmp_path: Path) -> None:
    source = (
        "from promptflow.core import tool\n@tool\ndef n(c: CustomConnection):\n"
        "    return c.configs['a'], c.secrets['b'], c.configs.get('d'), c.api_token, c.host, getattr(c, 'port'),"
        " c['e'], c.name\n"
    )
    document = tool_flow(tmp_path, source)["my conn"].document()
    assert sorted(document["configs"]) == ["a", "d", "e", "host", "port"]
    assert sorted(document["secrets"]) == ["api_token", "b"]


def test_a_strong_type_names_its_keys(tmp_path: Path) -> None:
    source = (
        "from promptflow.connections import CustomStrongTypeConnection\nfrom promptflow.contracts.types import Secret\n"
        "class Mine(CustomStrongTypeConnection):\n    key: Secret\n    base: str = 'x'\n"
        "from promptflow.core import tool\n@tool\ndef n(c: Mine):\n    return 1\n"
    )
    document = tool_flow(tmp_path, source)["my conn"].document()
    assert document["type"] == "custom"
    assert list(document["configs"]) == ["base"]
    assert list(document["secrets"]) == ["key"]


def test_the_flows_code_is_not_run(tmp_path: Path) -> None:
    source = (
        f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom promptflow.core import tool\n"
        "@tool\ndef n(c: OpenAIConnection):\n    return 1\n"
    )
    assert list(tool_flow(tmp_path, source)) == ["my conn"]
    assert not (tmp_path / "ran").exists()


def test_a_known_package_tool(tmp_path: Path) -> None:
    flow = (
        "nodes:\n- name: n\n  type: python\n"
        "  source: {type: package, tool: promptflow.tools.serpapi.SerpAPI.search}\n  inputs: {connection: search}\n"
    )
    assert connections_of(write_tree(tmp_path, {"flow.dag.yaml": flow}))["search"].variables == ("SEARCH_API_KEY",)


def test_two_uses_of_one_connection_make_one_with_the_type_that_is_told(tmp_path: Path) -> None:
    flow = (
        "environment_variables: {KEY: '${ai.api_key}'}\nnodes:\n"
        "- {name: a, type: llm, connection: ai, provider: OpenAI}\n- {name: b, type: llm, connection: ai}\n"
    )
    found = connections_of(write_tree(tmp_path, {"flow.dag.yaml": flow}))
    assert found["ai"].users == ("node 'a'", "node 'b'", "environment variable 'KEY'")
    assert found["ai"].type.document_type == "open_ai"


def test_a_flex_flows_init() -> None:
    connections = connections_of(FLOWS / "flex-class-with-init")
    assert connections["open_ai_connection"].type.document_type == "azure_open_ai"
    assert connections["open_ai_connection"].users == ("init parameter 'model_config'",)
    assert connections["front desk"].document()["configs"] == {"name": "${env:FRONT_DESK_NAME}"}


CHAT = """\
from promptflow.connections import CustomConnection, OpenAIConnection
from promptflow.core import OpenAIModelConfiguration


class Chat:
    def __init__(self, model: OpenAIModelConfiguration, desk: CustomConnection, spare: OpenAIConnection = None) -> None:
        self.service = desk
        self.region = desk.configs["region"]

    def __call__(self, question: str) -> str:
        return self.service.endpoint + self.service.secrets["api_key"]
"""


@pytest.mark.parametrize(
    "values",
    [
        "sample: {init: {model: {model: gpt, connection: a}, desk: b}}\n",
        "init:\n  model: {type: OpenAIModelConfiguration, default: {model: gpt, connection: a}}\n"
        "  desk: {type: CustomConnection, default: b}\n",
    ],
)
def test_what_a_class_keeps_of_a_connection_is_used(tmp_path: Path, values: str) -> None:
    connections = connections_of(
        write_tree(tmp_path, {"flow.flex.yaml": "entry: chat:Chat\n" + values, "chat.py": CHAT})
    )
    assert {name: each.type.document_type for name, each in connections.items()} == {"a": "open_ai", "b": "custom"}
    assert connections["b"].variables == ("B_ENDPOINT", "B_REGION", "B_API_KEY")


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ("{connection: mine, azure_deployment: gpt}", "azure_open_ai"),
        ("{connection: mine, model: gpt}", "open_ai"),
        ("{connection: mine, type: openai}", "open_ai"),
    ],
)
def test_a_promptys_connection(tmp_path: Path, configuration: str, expected: str) -> None:
    front = f"---\nmodel: {{configuration: {configuration}, parameters: {{}}}}\n---\n"
    [connection] = connections_of(write_tree(tmp_path, {"a.prompty": front})).values()
    assert (connection.name, connection.type.document_type, connection.users) == ("mine", expected, ("'a.prompty'",))


def test_a_model_configuration_in_a_source(tmp_path: Path) -> None:
    source = """\
        from promptflow.core import AzureOpenAIModelConfiguration, OpenAIModelConfiguration as Model
        FIRST = AzureOpenAIModelConfiguration(connection="first", azure_deployment="gpt")
        SECOND = AzureOpenAIModelConfiguration(connection=FIRST.connection, azure_deployment="gpt")
        """
    flow = {"flow.dag.yaml": "nodes: []\n", "models.py": textwrap.dedent(source)}
    assert list(connections_of(write_tree(tmp_path, flow))) == ["first"]


def test_a_name_with_hyphens_asks_for_variables_that_a_shell_can_set(tmp_path: Path) -> None:
    node = "{name: ask, type: llm, provider: AzureOpenAI, api: chat, connection: aoai-connection, inputs: {}}"
    found = connections_of(write_tree(tmp_path, {"flow.dag.yaml": f"nodes: [{node}]\n"}))["aoai-connection"]
    assert found.variables == ("AOAI_CONNECTION_API_KEY", "AOAI_CONNECTION_API_BASE")
    assert found.override == "aoai_connection"
    assert found.file_name == "aoai-connection.yaml"
    assert found.document()["api_key"] == "${env:AOAI_CONNECTION_API_KEY}"


WHOLE = """\
from promptflow.connections import CustomConnection
from promptflow.core import tool

@tool
def n(c: CustomConnection) -> str:
    return str(dict(c))
"""


def test_a_custom_connection_that_is_taken_as_a_whole_has_the_keys_of_its_document(tmp_path: Path) -> None:
    document = "type: custom\nname: my conn\nconfigs: {endpoint: x}\nsecrets: {api_key: <user-input>}\n"
    write_tree(tmp_path, {"custom.yml": document, "other.yaml": document.replace("my conn", "other")})
    found = tool_flow(tmp_path, WHOLE)["my conn"]
    assert found.variables == ("MY_CONN_ENDPOINT", "MY_CONN_API_KEY")


def test_without_a_document_a_custom_connection_that_is_taken_as_a_whole_has_no_keys(tmp_path: Path) -> None:
    assert tool_flow(tmp_path, WHOLE)["my conn"].variables == ()
