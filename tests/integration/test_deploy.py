"""``flowpack deploy`` and ``flowpack endpoint`` with the real azure-ai-ml, in the Azure of azure_emulator.

Deployments echo what they are asked: tests/integration/test_action.py runs the images.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from azure_emulator import AzureEmulator
from azure_emulator.setup import BLOB_READER, Setup
from flowpack.azureml.endpoints import busy
from flowpack.azureml.endpoints.plan import DeployRequest
from flowpack.azureml.endpoints.rollout import RolledOut
from flowpack.azureml.models.plan import ModelRequest
from flowpack.azureml.workspace import Workspace, find_workspace
from flowpack.dependencies.target import Target
from flowpack.errors import AzureError, FlowpackError, InputError, ServingError
from flowpack.pipeline.builds import BuildRequest
from flowpack.pipeline.deploy import deploy, plan_deployment
from tests.azureml.models.examples import build_folder, flow_folder
from tests.commands import Done
from tests.integration.azure_parts import use_azure
from tests.paths import FLOWS, write_tree
from tests.recording import Recording
from tests.warm_commands import flowpack

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # azure-ai-ml's use of marshmallow

IMAGE = "example.azurecr.io/library/chat@sha256:" + "5" * 64
OTHER = "example.azurecr.io/library/chat@sha256:" + "6" * 64
SAMPLE = {"question": "hello"}


@pytest.fixture
def azure(
    quick_azure: AzureEmulator,
    quick_azure_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> AzureEmulator:
    """This process and its subprocesses find it and no other."""
    for name, value in quick_azure.workspace_variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(busy, "BUSY_PAUSE", 0.2)
    return quick_azure


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    return flow_folder(tmp_path / "basic-chat")


class Deploys:
    """Deployments in this process; ``said`` is the narration of all of them."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.said = Recording()

    def __call__(self, image: str = IMAGE, *, sample: dict[str, Any] | None = None, **asked: Any) -> RolledOut:
        request = DeployRequest(image=image, sample=sample, **asked)
        build = BuildRequest(source=self.source, target=Target.parse("3.11", "linux/amd64"))
        planned = plan_deployment(build, ModelRequest(image=image), request, workspace())
        return deploy(planned, workspace(), self.said)[1]


def workspace() -> Workspace:
    found = find_workspace({})
    assert found
    return found


@pytest.fixture
def deploys(azure: AzureEmulator, chat: Path) -> Deploys:
    return Deploys(chat)


def traffic(azure: AzureEmulator, name: str = "basic-chat") -> dict[str, int]:
    endpoint = azure.endpoint(name)
    assert endpoint
    found: dict[str, int] = endpoint["properties"]["traffic"]
    return found


def variables(azure: AzureEmulator, name: str = "blue") -> dict[str, str]:
    found: dict[str, str] = azure.deployments("basic-chat")[name]["properties"]["environmentVariables"]
    return found


def test_an_endpoint_from_its_first_deployment_to_its_end(azure: AzureEmulator, chat: Path, tmp_path: Path) -> None:
    out = build_folder(tmp_path / "build", chat)
    write_tree(out, {"image.json": json.dumps({"reference": IMAGE, "revision": "abc"})})

    def endpoint(*arguments: str, **more: Any) -> Done:
        return flowpack("endpoint", *arguments, **more)

    documents = tmp_path / "documents"
    done = flowpack("deploy", out, "--output", documents, "--json")
    assert done.json["answer"]["request"] == {"question": "hello", "chat_history": []}
    uri = done.json.pop("scoring_uri")
    assert {name: done.json[name] for name in ("endpoint", "deployment", "state", "traffic", "model", "image")} == {
        "endpoint": "basic-chat",
        "deployment": "blue",
        "state": "created",
        "traffic": {"blue": 100},
        "model": "basic-chat:1",
        "image": IMAGE,
    }
    stated = yaml.safe_load((documents / "deployment.yaml").read_text())
    assert (stated["name"], stated["model"]) == ("blue", "azureml:basic-chat:1")
    assert {path.name for path in documents.iterdir()} >= {"model.yaml", "endpoint.yaml", "deployment.yaml"}

    again = flowpack("deploy", out)
    assert again.stdout.strip() == uri
    assert "unchanged: deployment blue" in again.stderr

    assert endpoint("list").stdout.splitlines()[1].split()[:3] == ["basic-chat", "Succeeded", "blue=100"]
    row = endpoint("status", "basic-chat").stdout.splitlines()[2]
    assert row.split()[:4] == ["blue", "Succeeded", "100", "%"]
    assert IMAGE in row
    answered = endpoint("invoke", "basic-chat", "--input", "question=hi", "--deployment", "blue").stdout
    assert json.loads(answered)["request"] == {"question": "hi"}
    assert "blue" in endpoint("logs", "basic-chat").stdout
    key = endpoint("keys", "basic-chat").stdout.strip()
    other = endpoint("keys", "basic-chat", "--regenerate", "primary", "--json").json
    assert other["primary"] != key
    assert "did you mean 'blue'?" in endpoint("traffic", "basic-chat", "bleu=100", expect=2).stderr
    assert "has 100 % of the traffic" in endpoint("delete", "basic-chat", "blue", "--yes", expect=2).stderr
    assert "stopped" in endpoint("delete", "basic-chat", expect=130).stderr
    endpoint("delete", "basic-chat", "--yes")
    assert azure.endpoint("basic-chat") is None
    assert "there is no endpoint 'basic-chat'" in endpoint("status", "basic-chat", expect=1).stderr


def test_a_dry_run_asks_nobody_and_shows_no_secret(azure: AzureEmulator, chat: Path) -> None:
    azure.journal.clear()
    done = flowpack("deploy", chat, "--image", IMAGE, "--dry-run", "-e", "SEARCH_API_KEY=hush")
    documents = list(yaml.safe_load_all(done.stdout))
    assert [document["name"] for document in documents] == ["basic-chat", "basic-chat", "blue"]
    assert "hush" not in done.stdout + done.stderr
    assert list(azure.journal) == []


def test_the_steps_are_shown_and_nothing_is_changed(azure: AzureEmulator, chat: Path) -> None:
    azure.journal.clear()
    shown = flowpack("deploy", chat, "--image", IMAGE, "--show-steps").stdout.splitlines()
    assert shown == [
        "create endpoint basic-chat",
        "create deployment blue of endpoint basic-chat with basic-chat:<next>",
        "score the sample with deployment blue",
        "set the traffic: blue 100 %",
    ]
    assert azure.endpoint("basic-chat") is None
    assert azure.model_versions("basic-chat") == {}


def test_a_document_that_breaks_a_rule_is_refused_before_anything_is_made(
    azure: AzureEmulator, chat: Path, tmp_path: Path
) -> None:
    document = tmp_path / "mine.yaml"
    document.write_text("endpoint_name: prod_1\nrequest_settings: {request_timeout_ms: 900000}\n")
    done = flowpack("deploy", chat, "--image", IMAGE, "--deployment-file", document, expect=1)
    assert "FP502 endpoint-name: 'prod_1' is not a valid name" in done.stderr
    assert "FP521 request-timeout" in done.stderr
    assert azure.model_versions("basic-chat") == {}


def test_what_azure_ai_ml_does_not_take_is_told_in_its_words_before_anything_is_made(
    azure: AzureEmulator, deploys: Deploys, tmp_path: Path
) -> None:
    document = tmp_path / "mine.yaml"
    document.write_text("scale: big\n")
    with pytest.raises(InputError, match="does not take this document") as caught:
        deploys(deployment_file=document)
    assert "scale" in (caught.value.detail or "")
    assert azure.endpoint("basic-chat") is None


def test_the_next_version_takes_over_and_the_old_one_goes(azure: AzureEmulator, deploys: Deploys) -> None:
    deploys(sample=SAMPLE)
    done = deploys(OTHER, sample=SAMPLE, traffic=20)
    assert traffic(azure) == {"blue": 80, "green": 20}
    assert done.answer["deployment"] == "green"
    done = deploys(OTHER, sample=SAMPLE)
    assert (traffic(azure), done.removed) == ({"green": 100}, ("blue",))
    assert list(azure.deployments("basic-chat")) == ["green"]


def test_one_that_does_not_start_tells_its_log_and_goes(azure: AzureEmulator, deploys: Deploys) -> None:
    deploys(sample=SAMPLE)
    with pytest.raises(AzureError, match="deployment green of endpoint basic-chat does not start") as caught:
        deploys(OTHER, variables={"EMULATOR_FAILS": "no connection 'open_ai'"})
    assert "no connection 'open_ai'" in (caught.value.detail or "")
    assert "ResourceNotReady" in (caught.value.detail or "")
    assert traffic(azure) == {"blue": 100}
    assert list(azure.deployments("basic-chat")) == ["blue"]


def test_one_that_answers_an_error_gets_no_traffic(azure: AzureEmulator, deploys: Deploys) -> None:
    deploys(sample=SAMPLE)
    answer = {"error": {"code": "UserError", "message": "the key is wrong"}}
    failing = {"EMULATOR_STATUS": "400", "EMULATOR_ANSWER": json.dumps(answer)}
    with pytest.raises(ServingError, match="the flow answered 4") as caught:
        deploys(OTHER, sample=SAMPLE, variables=failing)
    assert "the key is wrong" in (caught.value.detail or "")
    assert traffic(azure) == {"blue": 100}


def test_two_jobs_at_once_leave_one_of_the_two_serving(azure: AzureEmulator, chat: Path) -> None:
    Deploys(chat)(sample=SAMPLE)
    failed: list[FlowpackError] = []

    def job(number: int) -> None:
        try:
            Deploys(chat)(sample=SAMPLE, variables={"NUMBER": str(number), "EMULATOR_SECONDS": "0.5"})
        except FlowpackError as error:
            failed.append(error)

    jobs = [threading.Thread(target=job, args=(number,)) for number in range(2)]
    for each in jobs:
        each.start()
    for each in jobs:
        each.join(60)
    assert len(failed) < 2, failed
    assert all("another" in str(error) for error in failed)
    [(name, share)] = traffic(azure).items()
    assert share == 100
    assert variables(azure, name)["NUMBER"] in {"0", "1"}


def test_of_an_endpoint_that_others_made_the_rest_stays(azure: AzureEmulator, deploys: Deploys, tmp_path: Path) -> None:
    azure.make_endpoint("basic-chat", identity="flow-identity")
    azure.assign(azure.user_assigned("flow-identity")["principalId"], BLOB_READER, azure.setup.storage_id)
    made = azure.endpoint("basic-chat")
    assert made
    private = {"description": "behind a network", "publicNetworkAccess": "Disabled"}
    azure.store.put({**made, "tags": {"team": "library"}, "properties": {**made["properties"], **private}})
    document = tmp_path / "endpoint.yaml"
    document.write_text("tags: {cost: low}\n")
    deploys(endpoint_file=document)
    deploys(OTHER)
    found = azure.endpoint("basic-chat")
    assert found
    assert {name: found["properties"][name] for name in private} == private
    assert found["identity"] == made["identity"]
    assert found["tags"]["team"] == "library"
    assert found["tags"]["cost"] == "low"


def test_the_same_again_signs_in_once_and_asks_little(azure: AzureEmulator, chat: Path) -> None:
    flowpack("deploy", chat, "--image", IMAGE)
    azure.journal.clear()
    flowpack("deploy", chat, "--image", IMAGE)
    assert len(azure.journal.asked("POST", "/oauth2/v2.0/token")) == 1
    assert [each.method for each in azure.journal.asked(pattern="/workspaces/")] == ["GET"] * 3


def test_an_answer_that_is_lost_hides_no_rollout(azure: AzureEmulator, deploys: Deploys) -> None:
    """azure-core asks again and is told that it runs already."""
    deploys()
    azure.faults.add(r"cut PUT /onlineEndpoints/basic-chat\? moment=answer", "cut POST /listKeys")
    assert deploys(OTHER, sample=SAMPLE).state == "created"
    assert traffic(azure) == {"green": 100}
    assert list(azure.deployments("basic-chat")) == ["green"]


def test_the_tags_lead_back_to_the_flow(azure: AzureEmulator, deploys: Deploys) -> None:
    deploys()
    tags = azure.deployments("basic-chat")["blue"]["tags"]
    assert tags["flowpack.image"] == IMAGE
    assert tags["flowpack.flow.digest"].startswith("sha256:")
    override = f"deployment.workspace_name={azure.setup.workspace},deployment.endpoint_name=basic-chat"
    assert override in variables(azure)["PRT_CONFIG_OVERRIDE"]


@pytest.mark.parametrize("mode", ["aml_token", "aad_token"])
def test_tokens_instead_of_keys(azure: AzureEmulator, deploys: Deploys, mode: str) -> None:
    assert deploys(sample=SAMPLE, auth_mode=mode).answer["request"] == SAMPLE


class TestPreflight:
    """Each of these would fail after minutes; nothing is made before it is told."""

    @pytest.fixture
    def weather(self, azure: AzureEmulator) -> Deploys:
        return Deploys(FLOWS / "custom-connection")

    def test_a_connection_that_the_workspace_does_not_have(self, azure: AzureEmulator, weather: Deploys) -> None:
        azure.connect("weather-service", {"authType": "CustomKeys", "category": "CustomKeys", "target": "_"})
        with pytest.raises(AzureError, match="would fail") as caught:
            weather()
        assert "the workspace has no connection 'weather service'" in (caught.value.detail or "")
        assert "did you mean 'weather-service'?" in (caught.value.detail or "")
        assert azure.endpoint("custom-connection") is None
        assert azure.model_versions("custom-connection") == {}, "no version is registered that nothing can serve"

    def test_variables_that_tell_all_of_it_do_instead(self, azure: AzureEmulator, weather: Deploys) -> None:
        names = ("WEATHER_SERVICE_ENDPOINT", "WEATHER_SERVICE_REGION", "WEATHER_SERVICE_API_KEY")
        assert weather(variables=dict.fromkeys(names, "x")).state == "created"

    def test_an_image_that_cannot_ask_the_workspace(self, azure: AzureEmulator, tmp_path: Path) -> None:
        out = build_folder(tmp_path / "build", FLOWS / "custom-connection")
        write_tree(out, {"requirements.lock": "flask==3.0.0\n"})
        with pytest.raises(AzureError) as caught:
            Deploys(out)()
        assert "takes connections from variables alone" in (caught.value.detail or "")
        assert "build with --azureml" in (caught.value.detail or "")

    def test_an_instance_type_that_the_region_does_not_have(self, azure: AzureEmulator, deploys: Deploys) -> None:
        with pytest.raises(AzureError) as caught:
            deploys(instance_type="Standard_DS3_v3")
        assert "'Standard_DS3_v3': westeurope has none of that name" in (caught.value.detail or "")

    def test_quota(self, azure: AzureEmulator, deploys: Deploys) -> None:
        """100 cores of the family: 20 instances of 4 cores take 96 with the reserve, 21 take 104."""
        with pytest.raises(AzureError) as caught:
            deploys(instance_count=21)
        assert "takes 104 cores of 'Standard DSv2 Family" in (caught.value.detail or "")
        deploys(instance_count=20)
        with pytest.raises(AzureError, match="would fail") as caught:
            deploys(OTHER, instance_count=2)
        assert "takes 12 cores" in (caught.value.detail or "")
        assert "4 of 100 are free" in (caught.value.detail or "")
        assert deploys(OTHER, instance_count=20, deployment="blue").state == "updated"

    def test_without_it_azure_refuses_in_its_own_words(self, azure: AzureEmulator, deploys: Deploys) -> None:
        with pytest.raises(AzureError) as caught:
            deploys(instance_count=21, preflight=False)
        assert "Not enough quota available" in (caught.value.detail or "")

    def test_who_may_not_read_the_quota_may_deploy(
        self, another_azure: Callable[..., AzureEmulator], azure: AzureEmulator, deploys: Deploys, tmp_path: Path
    ) -> None:
        with pytest.MonkeyPatch.context() as patch:
            of_the_group = another_azure(setup=Setup(runs_containers=False, roles_on_group=True))
            use_azure(of_the_group, patch, tmp_path)
            for name, value in of_the_group.workspace_variables().items():
                patch.setenv(name, value)
            deploys()
        assert any("the quota could not be looked at" in line for line in deploys.said)

    def test_a_service_that_does_not_tell_the_quota_keeps_nobody_from_deploying(
        self, azure: AzureEmulator, deploys: Deploys
    ) -> None:
        azure.faults.add("error GET /usages status=400 times=0")
        deploys()
        assert any("the quota could not be looked at" in line for line in deploys.said)

    def test_a_user_assigned_identity(self, azure: AzureEmulator, deploys: Deploys) -> None:
        identity = azure.user_assigned("flow-identity")
        with pytest.raises(AzureError, match="does not start"):
            deploys(identity=azure.setup.identity_id("flow-identity"))
        warned = [line for line in deploys.said if "lacks the role" in line]
        assert len(warned) == 1
        assert "Storage Blob Data Reader, which loads the model: az role assignment create" in warned[0]
        azure.assign(identity["principalId"], "Storage Blob Data Reader", azure.setup.storage_id)
        deploys.said.clear()
        deploys(identity=azure.setup.identity_id("flow-identity"))
        assert variables(azure)["AZURE_CLIENT_ID"] == identity["clientId"]
        assert not [line for line in deploys.said if "lack" in line]

    def test_an_identity_that_is_not_there(self, azure: AzureEmulator, deploys: Deploys) -> None:
        with pytest.raises(InputError, match="there is no identity"):
            deploys(identity=azure.setup.identity_id("other"))
