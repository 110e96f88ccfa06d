"""A start inside an Azure ML deployment, with promptflow-core's own packages for it, against the tests' own Azure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from azure_emulator import AzureEmulator, Setup
from azure_emulator.connections import api_key, custom_keys
from azure_emulator.setup import SECRETS_READER
from tests.paths import write_tree
from tests.running.builds import AZURE_OPEN_AI
from tests.serving.conftest import Environments, Launch

pytestmark = [pytest.mark.network, pytest.mark.skipif(sys.platform != "linux", reason="images are Linux")]

FLOW = {
    "flow.dag.yaml": """\
environment_variables:
  REGION: ${weather service.region}
inputs:
  text: {type: string, default: hello}
outputs:
  seen: {type: string, reference: "${show.output}"}
nodes:
- name: show
  type: python
  source: {type: code, path: show.py}
  inputs:
    text: ${inputs.text}
    model: open_ai_connection
    service: weather service
""",
    "show.py": """\
import os

from promptflow.connections import AzureOpenAIConnection, CustomConnection
from promptflow.core import tool


@tool
def show(text: str, model: AzureOpenAIConnection, service: CustomConnection) -> str:
    seen = [model.api_base, model.api_key, model.api_version, service.endpoint, service.key, os.environ["REGION"]]
    return " ".join(seen)
""",
}
# Each of them as promptflow's own provider reads it, and as the launcher does: name, type, and the object's values.
BOTH_READ = """\
import json, sys
from promptflow.core._connection_provider._dict_connection_provider import DictConnectionProvider
from promptflow.core._connection_provider._workspace_connection_provider import WorkspaceConnectionProvider
from flowpack_serving.connections import Connections

def shown(executor):
    return DictConnectionProvider({"x": executor}).get("x")._to_execution_connection_dict()

for properties in json.load(sys.stdin):
    data = {"properties": properties}
    theirs = WorkspaceConnectionProvider._convert_to_connection_dict("x", json.loads(json.dumps(data)))
    ours = Connections({}, {"x": json.dumps(data)})["x"].to_executor()
    print(json.dumps([shown(theirs), shown(ours)]))
"""
FORMS = [
    api_key("AzureOpenAI", "b", "k", ApiType="Azure", ApiVersion="v", ResourceId="/r"),
    {**api_key("AzureOpenAI", "b", "k"), "authType": "AAD", "credentials": None},
    api_key("OpenAI", "b", "k", organization="o"),
    api_key("Serverless", "b", "k"),
    api_key("Serp", "", "k"),
    api_key("CognitiveSearch", "b", "k", ApiVersion="v"),
    api_key("AIServices", "b", "k"),
    api_key("CognitiveService", "b", "k", Kind="Content Safety", ApiVersion="v"),
    api_key("CognitiveService", "b", "k", Kind="Form Recognizer", ApiVersion="v"),
    custom_keys({"key": "s"}, endpoint="e", **{"azureml.flow.connection_type": "Custom", "azureml.flow.module": "m"}),
    custom_keys({"api_key": "k"}, **{"azureml.flow.connection_type": "Serp"}),
    custom_keys({"api_key": "k"}, base_url="b", **{"azureml.flow.connection_type": "OpenAI"}),
]
MODEL = api_key("AzureOpenAI", "https://prod.example", "k-1", ApiType="Azure", ApiVersion="2024-10-21")
SERVICE = custom_keys({"key": "s-1"}, endpoint="https://w.example", region="north")


@pytest.fixture
def flow(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "model" / "my-flow", FLOW)


@pytest.fixture(scope="module")
def shared() -> Iterator[AzureEmulator]:
    with AzureEmulator(setup=Setup(workspace="prod", runs_containers=False, operation_seconds=0)) as running:
        yield running


@pytest.fixture
def azure(shared: AzureEmulator) -> AzureEmulator:
    """A workspace with two connections, and with two endpoints: the identity of "chat" alone may read them."""
    shared.reset()
    shared.connect("open_ai_connection", MODEL)
    shared.connect("weather service", SERVICE)
    identity = shared.make_endpoint("chat")["identity"]
    shared.assign(identity["principalId"], SECRETS_READER, shared.setup.resource_group_id)
    shared.make_endpoint("stranger")
    return shared


def asked(azure: AzureEmulator) -> list[str]:
    """The connections whose secrets were asked for."""
    urls = [one.url for one in azure.journal.asked("POST", "/listsecrets")]
    return sorted(unquote(url).rpartition("/connections/")[2].partition("/")[0] for url in urls)


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "connections", {"open_ai_connection.yaml": AZURE_OPEN_AI})


def test_each_form_of_connection_is_read_as_promptflow_reads_it(environments: Environments) -> None:
    command = [environments["azure"], "-c", BOTH_READ]
    done = subprocess.run(command, input=json.dumps(FORMS), capture_output=True, text=True, check=True)
    read = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(read) == len(FORMS)
    for theirs, ours in read:
        assert ours == theirs


@pytest.mark.parametrize("engine", ["flask", "fastapi"])
def test_the_mounted_model_with_the_workspaces_connections(
    launch: Launch, azure: AzureEmulator, flow: Path, documents: Path, engine: str
) -> None:
    """Also those that only the flow's code names, which come up when it is loaded."""
    mounted = {"PROMPTFLOW_PROJECT_PATH": "", "AZUREML_MODEL_DIR": str(flow.parent)}
    launched = launch(
        flow,
        packages="azure",
        connections=documents,
        PROMPTFLOW_SERVING_ENGINE=engine,
        **mounted,
        **azure.deployment_variables("chat"),
    ).healthy()
    assert launched.score({}) == {"seen": "https://prod.example k-1 2024-10-21 https://w.example s-1 north"}
    assert asked(azure) == ["open_ai_connection", "weather service"]
    assert "k-1" not in launched.said
    assert launched.terminate() == 0


def test_the_whole_override_contract(launch: Launch, azure: AzureEmulator, flow: Path) -> None:
    """One field, another name, and JSON in the form that Azure ML puts in place of a reference to a connection."""
    azure.connect("other", api_key("AzureOpenAI", "https://other.example", "k-2", ApiVersion="v2"))
    launched = launch(
        flow,
        packages="azure",
        open_ai_connection="other",
        OPEN_AI_CONNECTION_API_VERSION="v3",
        weather_service=json.dumps({"properties": custom_keys({"key": "s-2"}, endpoint="e", region="south")}),
        WEATHER_SERVICE_KEY="${env:KEY_OF_THE_TEAM}",
        KEY_OF_THE_TEAM="s-3",
        **azure.deployment_variables("chat"),
    ).healthy()
    assert launched.score({}) == {"seen": "https://other.example k-2 v3 e s-3 south"}
    assert asked(azure) == ["other"]


def test_a_user_assigned_identity(launch: Launch, azure: AzureEmulator, flow: Path) -> None:
    azure.make_endpoint("guest", identity="flow-identity")
    identity = azure.user_assigned("flow-identity")
    azure.assign(identity["principalId"], SECRETS_READER)
    variables = {**azure.deployment_variables("guest"), "AZURE_CLIENT_ID": identity["clientId"]}
    launched = launch(flow, packages="azure", **variables).healthy()
    assert "k-1" in launched.score({})["seen"]
    launched = launch(flow, packages="azure", **{**variables, "AZURE_CLIENT_ID": "another"})
    assert launched.ended() == 1
    assert "workspace 'prod'" in launched.said
    assert "AZURE_CLIENT_ID where that is user-assigned" in launched.said


def test_what_the_workspace_does_not_have_is_told_with_the_variable_to_set(
    launch: Launch, azure: AzureEmulator, flow: Path, documents: Path
) -> None:
    for name in ("open_ai_connection", "weather service"):
        azure.ask("DELETE", f"connections/{name}")
    launched = launch(
        flow, packages="azure", connections=documents, PROMPTFLOW_WORKER_NUM="x", **azure.deployment_variables("chat")
    )
    assert launched.ended() == 1
    assert launched.said.splitlines() == [
        "cannot start: 3 settings are missing, 3 are wrong",
        "  OPEN_AI_CONNECTION_API_BASE  (connection 'open_ai_connection', api_base)",
        "  OPEN_AI_CONNECTION_API_KEY   (connection 'open_ai_connection', api_key)",
        "  weather_service              (connection 'weather service' is not in the image: its JSON, or the name of "
        "one that is)",
        "  PROMPTFLOW_WORKER_NUM        ('x' is not a whole number from 1 on)",
        "  workspace 'prod'             (has no connection for 'open_ai_connection')",
        "  workspace 'prod'             (has no connection for 'weather service')",
        "Set what is missing in the environment, for instance: docker run --env OPEN_AI_CONNECTION_API_BASE=... IMAGE",
    ]


def test_an_identity_that_may_not_read_them_is_named_with_the_role_it_needs(
    launch: Launch, azure: AzureEmulator, flow: Path
) -> None:
    launched = launch(flow, packages="azure", **azure.deployment_variables("stranger"))
    assert launched.ended() == 1
    [line] = [line for line in launched.said.splitlines() if "workspace 'prod'" in line]
    stranger = azure.endpoint("stranger")
    assert stranger
    assert f"identity {stranger['identity']['principalId']}" in line
    assert "role 'Azure Machine Learning Workspace Connection Secrets Reader'" in line


def test_variables_alone_do_where_the_workspace_gives_nothing(
    launch: Launch, azure: AzureEmulator, flow: Path, documents: Path
) -> None:
    launched = launch(
        flow,
        packages="azure",
        connections=documents,
        OPEN_AI_CONNECTION_API_BASE="b",
        OPEN_AI_CONNECTION_API_KEY="k",
        weather_service=json.dumps({"type": "custom", "configs": {"endpoint": "e", "region": "r", "key": "s"}}),
        **azure.deployment_variables("stranger"),
    ).healthy()
    assert launched.score({}) == {"seen": "b k 2024-02-01 e s r"}
    assert "its connections may not be read" in launched.said


def test_a_workspace_that_is_not_there(launch: Launch, azure: AzureEmulator, flow: Path) -> None:
    variables = azure.deployment_variables("chat")
    gone = {"PRT_CONFIG_OVERRIDE": variables["PRT_CONFIG_OVERRIDE"].replace("=prod", "=gone")}
    launched = launch(flow, packages="azure", **{**variables, **gone})
    assert launched.ended() == 1
    assert "workspace 'gone'" in launched.said
    assert "was not found" in launched.said, "Azure's own words"


def test_telemetry_goes_to_application_insights_with_the_deployments_name(
    launch: Launch, azure: AzureEmulator, flow: Path
) -> None:
    """promptflow's own extension for Azure ML stays in charge of all but the connections."""
    insights = {"APPLICATIONINSIGHTS_CONNECTION_STRING": azure.insights_connection, "PF_DISABLE_TRACING": "false"}
    launched = launch(flow, packages="azure", **insights, **azure.deployment_variables("chat")).healthy()
    launched.score({})
    assert launched.terminate() == 0
    sent = [item["data"] for item in azure.insights.telemetry]
    metrics = [data["baseData"] for data in sent if data["baseType"] == "MetricData"]
    seen = {(each["metrics"][0]["name"], each["properties"].get("deployment")) for each in metrics}
    assert ("flow_request", "blue") in seen
    assert "show" in {data["baseData"].get("name") for data in sent}, "a span of the node"


def test_an_image_without_azure_identity_says_so_and_takes_variables(
    launch: Launch, azure: AzureEmulator, flow: Path, documents: Path
) -> None:
    launched = launch(flow, connections=documents, **azure.deployment_variables("chat"))
    assert launched.ended() == 1
    assert "the image has no azure-identity" in launched.said
    assert "OPEN_AI_CONNECTION_API_KEY" in launched.said
    assert not asked(azure)
