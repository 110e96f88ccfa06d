"""The tests' own Azure, seen by Microsoft's own client: endpoints and deployments as Azure ML has them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from azure_emulator import AzureEmulator, Setup
from tests.integration.azure_client import DEPLOYMENT, ENDPOINT, FLOW, LOCATION, URI, Azure, put_model
from tests.integration.azure_parts import use_azure
from tests.integration.conftest import BuiltImage
from tests.integration.real_parts import Docker
from tests.paths import FLOWS

# Of azure-ai-ml's own schemas, as it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def azure(quick_azure: AzureEmulator, quick_azure_environment: dict[str, str], tmp_path: Path) -> Azure:
    put_model(quick_azure)
    return Azure(quick_azure, tmp_path)


def test_from_the_two_documents_to_an_answer_and_away_again(azure: Azure) -> None:
    made = azure.endpoint()
    assert (made.name, made.provisioning_state, made.auth_mode) == ("basic-chat", "Succeeded", "key")
    assert made.scoring_uri == "https://basic-chat.westeurope.inference.azure.test/score"
    assert (made.identity.type, len(made.identity.principal_id)) == ("system_assigned", 36)

    deployment = azure.deployment()
    assert (deployment.name, deployment.provisioning_state, deployment.instance_count) == ("blue", "Succeeded", 1)
    assert deployment.environment_variables == {"PROMPTFLOW_WORKER_NUM": "4"}
    assert (deployment.model.split("/")[-4:], deployment.request_settings.request_timeout_ms) == (
        ["models", "chat", "versions", "1"],
        300000,
    )
    held = azure.emulator.deployments("basic-chat")["blue"]["properties"]
    environment = azure.client.environments.get(*held["environmentId"].split("/")[-3::2])
    assert environment.image.startswith("registry.example/team/flow@sha256:")

    assert azure.client.online_endpoints.get("basic-chat").traffic == {"blue": 0}
    azure.traffic(blue=100)
    (azure.folder / "request.json").write_text('{"question": "Who?"}')
    answer = json.loads(azure.client.online_endpoints.invoke("basic-chat", request_file=azure.folder / "request.json"))
    assert (answer["deployment"], answer["request"], answer["path"]) == ("blue", {"question": "Who?"}, "/score")

    azure.client.online_endpoints.begin_delete("basic-chat").result()
    assert list(azure.client.online_endpoints.list()) == []
    assert azure.emulator.deployments("basic-chat") == {}
    with pytest.raises(ResourceNotFoundError, match="Endpoint basic-chat does not exist"):
        azure.client.online_endpoints.get("basic-chat")


def test_an_operation_is_followed_as_arm_says(azure: Azure) -> None:
    azure.endpoint()
    [put] = azure.emulator.journal.asked("PUT", "/onlineEndpoints/")
    polls = azure.emulator.journal.asked("GET", "/mfeOperationsStatus/oe:")
    assert put.status == 201
    assert len(polls) > 1
    document = azure.emulator.endpoint("basic-chat")
    assert document and document["properties"]["provisioningState"] == "Succeeded"
    azure.endpoint(**{"tags.team": "b"})
    assert [one.status for one in azure.emulator.journal.asked("PUT", "/onlineEndpoints/")] == [201, 200]
    assert azure.client.online_endpoints.get("basic-chat").tags == {"team": "b"}


def test_traffic_is_shared_out(azure: Azure) -> None:
    azure.endpoint()
    assert (azure.ask().status, azure.ask().json["error"]["message"][:31]) == (404, "No valid deployments to route t")
    for name in ("blue", "green"):
        azure.deployment(name=name)
    azure.traffic(blue=90, green=10)
    named = azure.ask(deployment="green")
    assert (named.json["deployment"], named.headers["azureml-model-deployment"]) == ("green", "green")
    assert azure.ask(deployment="red").status == 404
    key = azure.client.online_endpoints.get_keys("basic-chat").primary_key
    seen = [azure.ask(key).json["deployment"] for _ in range(60)]
    assert seen.count("blue") > 30

    with pytest.raises(HttpResponseError, match="has traffic assigned to it") as caught:
        azure.client.online_deployments.begin_delete("blue", "basic-chat")
    assert caught.value.status_code == 400
    azure.traffic(green=100)
    assert {azure.ask().json["deployment"] for _ in range(5)} == {"green"}
    azure.client.online_deployments.begin_delete("blue", "basic-chat").result()
    assert [one.name for one in azure.client.online_deployments.list("basic-chat")] == ["green"]


def test_mirrored_traffic(azure: Azure) -> None:
    azure.endpoint()
    for name in ("blue", "green"):
        azure.deployment(name=name)
    endpoint = azure.client.online_endpoints.get("basic-chat")
    endpoint.traffic, endpoint.mirror_traffic = {"blue": 100}, {"green": 50}
    azure.client.online_endpoints.begin_create_or_update(endpoint).result()
    key = azure.client.online_endpoints.get_keys("basic-chat").primary_key
    assert {azure.ask(key).json["deployment"] for _ in range(40)} == {"blue"}
    copies = azure.client.online_deployments.get_logs("green", "basic-chat", 100).count("POST /score")
    assert 0 < copies < 40


@pytest.mark.parametrize(
    ("properties", "told"),
    [
        ({"traffic": {"blue": 60, "green": 60}}, "Traffic must not exceed 100 percent; it is 120"),
        ({"traffic": {"red": 10}}, "the deployment 'red', which the endpoint does not have"),
        ({"traffic": {"blue": 100}, "mirrorTraffic": {"green": 51}}, "at most 50 percent"),
        ({"traffic": {"blue": 100}, "mirrorTraffic": {"blue": 10}}, "gets mirrored traffic gets no other"),
    ],
)
def test_traffic_that_azure_refuses(azure: Azure, properties: dict[str, Any], told: str) -> None:
    azure.endpoint()
    for name in ("blue", "green"):
        azure.deployment(name=name, instance_type="Standard_F2s_v2")
    before = azure.emulator.endpoint("basic-chat")
    body = {"location": "westeurope", "properties": {"authMode": "Key", **properties}}
    status, answer = azure.emulator.ask("PUT", "onlineEndpoints/basic-chat", body)
    assert status == 400
    assert told in answer["error"]["details"][0]["message"]
    assert azure.emulator.endpoint("basic-chat") == before


@pytest.mark.parametrize("name", ["ab", "a" * 33, "1-chat", "basic_chat", "chat-"])
def test_a_name_that_azure_refuses(azure: Azure, name: str) -> None:
    body = {"location": "westeurope", "properties": {"authMode": "Key"}}
    assert azure.emulator.ask("PUT", f"onlineEndpoints/{name}", body)[0] == 400
    azure.emulator.make_endpoint("basic-chat")
    deployment = {"location": "westeurope", "properties": {"endpointComputeType": "Managed"}}
    status, answer = azure.emulator.ask("PUT", f"onlineEndpoints/basic-chat/deployments/{name}", deployment)
    assert (status, "3 to 32 letters" in json.dumps(answer)) == (400, True)


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"model": "azureml:chat:9"}, 404, r"models/chat/versions/9 not found"),
        ({"environment": "azureml:nowhere:1"}, 404, r"environments/nowhere/versions/1 not found"),
        ({"instance_count": 0}, 400, "number of instances is 1 to 50, not 0"),
        ({"instance_count": 51}, 400, "number of instances is 1 to 50, not 51"),
        ({"instance_type": "Standard_Nothing_v9"}, 400, "Standard_Nothing_v9 is not supported in westeurope"),
        ({"request_settings.request_timeout_ms": 300001}, 400, "at most 300000 ms, not 300001"),
        ({"model": "azureml:plain:1"}, 400, "at most 180000 ms, not 300000"),
        ({"request_settings.max_concurrent_requests_per_instance": 0}, 400, "1 or more, not 0"),
        (
            {"instance_count": 6},
            400,
            r"Not enough quota available for Standard_E16s_v3 .*usage/limit: 0/100\. Additional needed: 128",
        ),
    ],
)
def test_a_deployment_that_azure_refuses(azure: Azure, changes: dict[str, Any], status: int, told: str) -> None:
    azure.emulator.ask("PUT", "models/plain/versions/1", {"properties": {"modelUri": URI}})
    azure.endpoint()
    with pytest.raises(HttpResponseError, match=told) as caught:
        azure.deployment(**changes)
    assert caught.value.status_code == status
    assert azure.emulator.deployments("basic-chat") == {}


def test_a_deployment_that_does_not_start(azure: Azure) -> None:
    azure.endpoint()
    with pytest.raises(HttpResponseError, match=r"ResourceNotReady: User container has crashed or terminated\."):
        azure.deployment(environment_variables={"EMULATOR_FAILS": "no such module: flow\nbye"})
    assert azure.client.online_deployments.get("blue", "basic-chat").provisioning_state == "Failed"
    logs = azure.client.online_deployments.get_logs
    assert logs("blue", "basic-chat", 50) == "no such module: flow\nbye"
    assert logs("blue", "basic-chat", 1) == "bye"
    assert "Downloaded" in logs("blue", "basic-chat", 50, container_type="storage-initializer")
    assert azure.ask(deployment="blue").status == 404

    assert azure.deployment().provisioning_state == "Succeeded"
    assert azure.ask(deployment="blue").status == 200


def test_an_update_that_does_not_start_leaves_what_ran(azure: Azure) -> None:
    azure.endpoint()
    azure.deployment(environment_variables={"EMULATOR_ANSWER": '"first"'})
    with pytest.raises(HttpResponseError, match="ResourceNotReady"):
        azure.deployment(environment_variables={"EMULATOR_FAILS": "second"})
    assert azure.ask(deployment="blue").json == "first"


def test_one_operation_at_a_time(azure: Azure) -> None:
    azure.endpoint()
    poller = azure.deployment(begin=True, environment_variables={"EMULATOR_SECONDS": "1"})
    assert azure.client.online_deployments.get("blue", "basic-chat").provisioning_state == "Creating"
    for again in (azure.deployment, lambda: azure.client.online_endpoints.begin_delete("basic-chat")):
        with pytest.raises(HttpResponseError, match=r"Already running method write on resource .*/blue") as caught:
            again()
        assert caught.value.status_code == 409
    assert poller.result().provisioning_state == "Succeeded"


def test_who_may_ask_a_key(azure: Azure) -> None:
    azure.endpoint()
    azure.deployment()
    azure.traffic(blue=100)
    endpoints = azure.client.online_endpoints
    keys = endpoints.get_keys("basic-chat")
    assert [azure.ask(one).status for one in (keys.primary_key, keys.secondary_key, "wrong", "")] == [
        200,
        200,
        401,
        401,
    ]
    endpoints.begin_regenerate_keys("basic-chat", key_type="secondary").result()
    assert [azure.ask(one).status for one in (keys.primary_key, keys.secondary_key)] == [200, 401]
    assert azure.ask(endpoints.get_keys("basic-chat").secondary_key).status == 200


def test_who_may_ask_with_tokens(azure: Azure) -> None:
    azure.endpoint(auth_mode="aml_token")
    azure.deployment()
    azure.traffic(blue=100)
    token = azure.client.online_endpoints.get_keys("basic-chat")
    assert azure.ask(token.access_token).status == 200
    identity, setup = azure.emulator.identity, azure.emulator.setup
    contributor, reader = setup.principal("contributor"), setup.principal("reader")
    assert azure.ask(identity.issue(contributor)).status == 401, "a token for Azure Resource Manager is none for this"

    azure.endpoint(auth_mode="aad_token")
    azure.traffic(blue=100)
    for who, seconds, status in ((contributor, 60, 200), (contributor, -60, 401), (reader, 60, 403)):
        assert azure.ask(identity.issue(who, audience="https://ml.azure.com", seconds=seconds)).status == status


def test_a_model_that_fails_and_one_that_is_slow(azure: Azure) -> None:
    azure.endpoint()
    answer = {"EMULATOR_STATUS": "500", "EMULATOR_ANSWER": '{"error": "boom"}'}
    azure.deployment(environment_variables=answer)
    failed = azure.ask(deployment="blue")
    assert (failed.status, failed.json) == (424, {"error": "boom"})
    assert failed.headers["ms-azureml-model-error-statuscode"] == "500"
    slow = {"environment_variables": {"EMULATOR_ANSWER_SECONDS": "2"}, "request_settings.request_timeout_ms": 200}
    azure.deployment(**slow)
    assert azure.ask(deployment="blue").status == 408


def test_a_data_collector_has_data_assets(azure: Azure) -> None:
    azure.endpoint()
    azure.deployment(f"{DEPLOYMENT}data_collector: {{collections: {{model_inputs: {{enabled: 'true'}}}}}}\n")
    assert azure.client.data.get("basic-chat-blue-model_inputs", "1").type == "uri_folder"
    assert [one.name for one in azure.client.data.list()] == ["basic-chat-blue-model_inputs"]


def test_kubernetes(azure: Azure) -> None:
    endpoint = ENDPOINT.replace("managedOnline", "kubernetesOnline") + "compute: azureml:flow-cluster\n"
    assert azure.endpoint(endpoint).compute.endswith("/computes/flow-cluster")
    with pytest.raises(HttpResponseError, match="runs on what its endpoint runs on"):
        azure.deployment()
    text = DEPLOYMENT.replace("managedOnline", "kubernetesOnline").replace("Standard_E16s_v3", "small")
    azure.deployment(f"{text}type: kubernetes\n")
    assert azure.ask(deployment="blue").status == 200
    with pytest.raises(HttpResponseError, match=r"Compute .*/other not found"):
        azure.endpoint(endpoint.replace("flow-cluster", "other"), name="another")


def test_quota_follows_the_deployments(azure: Azure) -> None:
    def used() -> dict[str, int]:
        usages = azure.emulator.ask("GET", f"{LOCATION}/usages")[1]["value"]
        return {one["name"]["value"]: one["currentValue"] for one in usages if one["currentValue"]}

    sizes = azure.emulator.ask("GET", f"{LOCATION}/vmSizes")[1]["value"]
    assert {"name": "Standard_DS3_v2", "family": "standardDSv2Family", "vCPUs": 4}.items() <= sizes[2].items()
    assert used() == {}
    azure.endpoint()
    azure.deployment(instance_type="Standard_DS3_v2", instance_count=5)
    total = "Total Cluster Dedicated Regional vCPUs"
    assert used() == {"Standard DSv2 Family Cluster Dedicated vCPUs": 24, total: 24}
    azure.deployment(instance_type="Standard_DS3_v2", instance_count=1)
    assert used()[total] == 8


def test_what_was_deployed_serves_after_another_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    setup = Setup(runs_containers=False)
    with AzureEmulator(setup=setup, folder=tmp_path / "state") as emulator:
        use_azure(emulator, monkeypatch, tmp_path)
        put_model(emulator)
        azure = Azure(emulator, tmp_path)
        azure.endpoint()
        azure.deployment()
        azure.traffic(blue=100)
    with AzureEmulator(setup=setup, folder=tmp_path / "state") as emulator:
        use_azure(emulator, monkeypatch, tmp_path)
        assert Azure(emulator, tmp_path).ask().json["deployment"] == "blue"


def test_many_ask_at_once(azure: Azure) -> None:
    azure.endpoint()
    azure.deployment(environment_variables={"EMULATOR_ANSWER_SECONDS": "0.2"})
    azure.traffic(blue=100)
    key = azure.client.online_endpoints.get_keys("basic-chat").primary_key
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert {one.status for one in pool.map(lambda _: azure.ask(key), range(24))} == {200}
    assert time.monotonic() - began < 4


@pytest.fixture
def real(
    docker: Docker,
    chat_image: BuiltImage,
    another_azure: Callable[..., AzureEmulator],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Azure]:
    """Its deployments are containers."""
    emulator = another_azure()
    use_azure(emulator, monkeypatch, tmp_path)
    yield Azure(emulator, tmp_path)
    emulator.stop()
    assert containers(docker, emulator) == []


def containers(docker: Docker, emulator: AzureEmulator) -> list[str]:
    return docker("ps", "--all", "--quiet", f"--filter=label={emulator.label}").split()


@pytest.mark.engine
@pytest.mark.network
def test_a_deployment_is_a_container_with_the_model(
    real: Azure, chat_image: BuiltImage, base_image: object, docker: Docker
) -> None:
    from azure.ai.ml.entities import Model  # noqa: PLC0415

    real.client.models.create_or_update(Model(name="chat", path=FLOWS / "python-only", properties=FLOW))
    real.endpoint()
    assert real.deployment(**{"environment.image": chat_image.tag}).provisioning_state == "Succeeded"
    answer = real.ask(deployment="blue", body={"text": "one two three"})
    assert (answer.status, answer.json) == (200, {"word_count": 3}), "by the model, not by the flow in the image"
    logs = real.client.online_deployments.get_logs
    assert "/var/azureml-app/azureml-models/chat/1/python-only" in logs("blue", "basic-chat", 50)

    with pytest.raises(HttpResponseError, match="ResourceNotReady: User container has crashed or terminated"):
        real.deployment(name="dead", **{"environment.image": str(base_image)})
    with pytest.raises(HttpResponseError, match="ImagePullFailure"):
        real.deployment(name="away", **{"environment.image": "127.0.0.1:1/nothing:1"})
    assert len(containers(docker, real.emulator)) == 1
    real.client.online_endpoints.begin_delete("basic-chat").result()
    assert containers(docker, real.emulator) == []
