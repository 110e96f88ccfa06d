"""The documents: Microsoft's advice where nothing is said, a person's own documents, and options over both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flowpack.azureml.endpoints.folder import without_secrets
from flowpack.azureml.endpoints.plan import endpoint_name
from flowpack.errors import InputError
from tests.azureml.endpoints.examples import IMAGE, WORKSPACE, planned
from tests.azureml.models.examples import flow_folder

OVERRIDE = (
    "deployment.subscription_id=sub,deployment.resource_group=group,deployment.workspace_name=prod,"
    "deployment.endpoint_name=basic-chat,deployment.deployment_name=blue"
)


IDENTITY = "/subscriptions/sub/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/flow"


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    return flow_folder(tmp_path / "basic_chat")


def deployment(chat: Path, **asked: Any) -> Any:
    return yaml.safe_load(planned(chat, **asked).as_far_as_known(WORKSPACE).text())


def file(place: Path, **fields: Any) -> Path:
    place.write_text(yaml.safe_dump(fields))
    return place


def test_what_is_not_said_is_microsoft_s_advice(chat: Path) -> None:
    stated = deployment(chat)
    assert (stated["endpoint_name"], stated["name"]) == ("basic-chat", "blue")
    assert stated["environment"]["image"] == IMAGE
    assert stated["environment"]["inference_config"]["scoring_route"] == {"path": "/score", "port": 8080}
    assert (stated["instance_type"], stated["instance_count"]) == ("Standard_DS3_v2", 1)
    assert stated["request_settings"] == {
        "request_timeout_ms": 300_000,
        "max_concurrent_requests_per_instance": 4,
    }
    assert stated["environment_variables"] == {"PRT_CONFIG_OVERRIDE": OVERRIDE}
    assert planned(chat).endpoint.to_dict()["properties"] == {"enforce_access_to_default_secret_stores": "enabled"}


def test_requests_at_a_time_are_workers_times_threads(chat: Path) -> None:
    variables = {"PROMPTFLOW_WORKER_NUM": "3", "PROMPTFLOW_WORKER_THREADS": "2"}
    stated = deployment(chat, variables=variables, instance_type="Standard_E16s_v3")
    assert stated["request_settings"]["max_concurrent_requests_per_instance"] == 6
    stated = deployment(chat, instance_type="Standard_E16s_v3")
    assert stated["request_settings"]["max_concurrent_requests_per_instance"] == 16


def test_a_person_s_documents_stay_but_for_what_is_deployed(chat: Path, tmp_path: Path) -> None:
    mine = file(
        tmp_path / "mine.yaml",
        name="purple",
        endpoint_name="prod",
        model="azureml:old:1",
        environment={"image": "old@sha256:1", "inference_config": {"scoring_route": {"path": "/ask", "port": 80}}},
        instance_type="Standard_F4s_v2",
        instance_count=3,
        request_settings={"request_timeout_ms": 1000},
        environment_variables={"A": "1", "B": "2", "PRT_CONFIG_OVERRIDE": "storage=none,deployment.endpoint_name=x"},
        tags={"team": "library"},
        app_insights_enabled=True,
    )
    stated = deployment(chat, deployment_file=mine, variables={"B": "3"}, instance_count=2)
    assert (stated["name"], stated["endpoint_name"], stated["model"]) == ("blue", "prod", "azureml:basic_chat:<next>")
    assert stated["environment"]["image"] == IMAGE
    assert stated["environment"]["inference_config"]["scoring_route"] == {"path": "/ask", "port": 80}
    assert (stated["instance_type"], stated["instance_count"]) == ("Standard_F4s_v2", 2)
    assert stated["request_settings"] == {"request_timeout_ms": 1000, "max_concurrent_requests_per_instance": 4}
    variables = stated["environment_variables"]
    assert (variables["A"], variables["B"]) == ("1", "3")
    override = dict(part.split("=") for part in variables["PRT_CONFIG_OVERRIDE"].split(","))
    assert (override["storage"], override["deployment.endpoint_name"]) == ("none", "prod")
    assert stated["tags"]["team"] == "library"
    assert stated["app_insights_enabled"] is True


def test_the_endpoint_s_document_names_it_and_its_identity(chat: Path, tmp_path: Path) -> None:
    identity = {"type": "user_assigned", "user_assigned_identities": [{"resource_id": IDENTITY}]}
    mine = file(tmp_path / "endpoint.yaml", name="prod", auth_mode="aad_token", identity=identity, traffic={"x": 100})
    plan = planned(chat, endpoint_file=mine)
    assert plan.endpoint.user_assigned_identity == IDENTITY
    stated = plan.endpoint.to_dict()
    assert (stated["name"], stated["auth_mode"]) == ("prod", "aad_token")
    assert "properties" not in stated
    assert "traffic" not in stated
    assert plan.as_far_as_known(WORKSPACE).endpoint_name == "prod"
    other = f"{IDENTITY}-2"
    assert planned(chat, identity=other, endpoint_file=mine).endpoint.user_assigned_identity == other
    with pytest.raises(InputError, match="is not the resource ID of a user-assigned identity"):
        planned(chat, identity="@example.com/flow-identity")


def test_on_kubernetes(chat: Path) -> None:
    plan = planned(chat, compute="cluster")
    assert plan.endpoint.to_dict()["compute"] == "azureml:cluster"
    assert "kubernetesOnlineEndpoint" in plan.endpoint.to_dict()["$schema"]
    stated = yaml.safe_load(plan.as_far_as_known(WORKSPACE).text())
    assert stated["type"] == "kubernetes"
    assert "kubernetesOnlineDeployment" in stated["$schema"]
    assert "instance_type" not in stated


def test_without_an_image_it_says_how_to_get_one(chat: Path) -> None:
    with pytest.raises(InputError, match="no image given") as caught:
        planned(chat, image=None)
    assert "--image" in (caught.value.hint or "")


def test_the_digest_is_that_of_what_runs(chat: Path) -> None:
    """Neither the name nor the tags: the same flow at a later revision is no other deployment."""
    one = planned(chat).deployment.with_model("chat:1")
    other = planned(chat, deployment="green").deployment.with_model("chat:1")
    assert one.digest == other.digest
    assert one.named("blue", WORKSPACE).digest == one.named("green", WORKSPACE).digest
    assert planned(chat, variables={"A": "1"}).deployment.with_model("chat:1").digest != one.digest
    assert planned(chat).deployment.with_model("chat:2").digest != one.digest


def test_documents_for_people_have_no_secrets(chat: Path) -> None:
    reference = "${{azureml://connections/search/credentials/key}}"
    shown = {"SEARCH_KEY": reference, "KEYBOARD": "de", "MAX_TOKENS": "9", "DOCS": "https://a.example/b@c"}
    secrets = {
        "OPEN_AI_CONNECTION_API_KEY": "abc",
        "OPENAI_APIKEY": "abc",
        "A_TOKEN": "x",
        "DATABASE_URL": "postgres://user:hush@host/db",
        "STORAGE": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=hush",
        "DOCS_WITH_SAS": "https://a.example/b?sv=1&sig=hush",
    }
    found = without_secrets(planned(chat, variables={**shown, **secrets}).deployment).variables
    assert dict(found) == {**shown, **dict.fromkeys(secrets, "****")}


@pytest.mark.parametrize(
    ("flow", "endpoint"),
    [
        ("Basic_Chat", "basic-chat"),
        ("1st flow", "flow-1st-flow"),
        ("a" * 31 + "_b", "a" * 31),
        ("chat", "chat"),
        ("qa", "flow-qa"),
    ],
)
def test_an_endpoint_s_name_from_a_flow_s(flow: str, endpoint: str) -> None:
    assert endpoint_name(flow) == endpoint


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("tags: [a]", "1:7: tags: expected a mapping, found a list"),
        ("name: 5", "1:7: name: expected text, found the number '5'"),
        ("compute: [a]", "1:10: compute: expected text, found a list"),
        ("identity: system", "1:11: identity: expected a mapping, found the string 'system'"),
        ("identity: {user_assigned_identities: [id]}", "identity.user_assigned_identities[0]: expected resource_id"),
        ("auth_mode: secret", "1:12: auth_mode: expected key, aml_token, aad_token, found the string 'secret'"),
        ("instance_type: 5", "1:16: instance_type: expected text"),
        ("instance_count: two", "1:17: instance_count: expected a whole number, found the string 'two'"),
        ("request_settings: fast", "1:19: request_settings: expected a mapping"),
        ("environment_variables: {A: 1}", "1:28: environment_variables.A: expected text, found the number '1'"),
        ("environment_variables: [A=1]", "1:24: environment_variables: expected a mapping, found a list"),
    ],
)
@pytest.mark.parametrize("kind", ["endpoint_file", "deployment_file"])
def test_a_value_of_the_wrong_kind_is_told_where_it_is(
    chat: Path, tmp_path: Path, kind: str, text: str, problem: str
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"{text}\n")
    with pytest.raises(InputError) as caught:
        deployment(chat, **{kind: mine})
    assert problem in str(caught.value)


def test_two_documents_of_two_endpoints(chat: Path, tmp_path: Path) -> None:
    mine = {
        "endpoint_file": file(tmp_path / "endpoint.yaml", name="one"),
        "deployment_file": file(tmp_path / "deployment.yaml", endpoint_name="two"),
    }
    with pytest.raises(InputError, match="endpoint_name is two, and the endpoint's document is of one"):
        deployment(chat, **mine)
    assert deployment(chat, endpoint="three", **mine)["endpoint_name"] == "three"


def test_what_a_document_may_say_in_other_ways(chat: Path, tmp_path: Path) -> None:
    """Keys and dates as YAML reads them, an environment by its name, Azure's own spelling of an auth_mode."""
    mine = file(tmp_path / "mine.yaml", tags={1: "a", "b": "c"}, environment="azureml:mine:1", description=None)
    assert deployment(chat, deployment_file=mine)["environment"]["image"] == IMAGE
    identity = {"type": "system_assigned"}
    mine = file(tmp_path / "endpoint.yaml", auth_mode="AMLToken", identity=identity, mirror_traffic={"x": 10})
    stated = planned(chat, endpoint_file=mine).endpoint.to_dict()
    assert stated["auth_mode"] == "aml_token"
    assert stated["properties"] == {"enforce_access_to_default_secret_stores": "enabled"}
    assert "mirror_traffic" not in stated


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        (
            "environment:\n  build:\n    path: docker",
            "mine.yaml:3:5: environment.build: flowpack deploys a built image and has Azure ML build none",
            "name it, environment.image, or deploy what `flowpack build --tag … --push` wrote",
        ),
        (
            "environment:\n  image: a.example/b\n  conda_file: conda.yaml",
            "mine.yaml:3:15: environment.conda_file: flowpack deploys a built image",
            "name it, environment.image",
        ),
        ("environment:\n  imag: a.example/b", "environment.imag: has no effect", "did you mean 'image'?"),
        (
            "model:\n  path: ../flow",
            "mine.yaml:2:3: model: flowpack deploys the flow that it registers, and no model from a document",
            "take it out; --model-name NAME says which model the flow becomes a version of",
        ),
        ("model: ../flow", "mine.yaml:1:8: model: flowpack deploys the flow that it registers", "take it out"),
    ],
    ids=["build", "conda", "misspelt", "inline model", "model by path"],
)
def test_what_would_make_another_image_or_model_is_refused(
    chat: Path, tmp_path: Path, text: str, problem: str, hint: str
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"{text}\n")
    with pytest.raises(InputError) as caught:
        deployment(chat, deployment_file=mine)
    assert problem in str(caught.value)
    assert hint in (caught.value.hint or "")
