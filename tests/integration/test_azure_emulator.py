"""The tests' own Azure, seen by Microsoft's own clients: what they need is there, what Azure refuses is refused."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import DefaultAzureCredential
from azure.storage.blob import ContainerClient

from azure_emulator import AzureEmulator, Fault, Setup
from azure_emulator.setup import MANAGEMENT
from tests.integration.azure_parts import use_azure
from tests.paths import ROOT, write_tree

# Of azure-ai-ml's own schemas, as it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

URI = "azureml://datastores/workspaceblobstore/paths/LocalUpload/0123/flow"
CHAT = {
    "azureml.promptflow.source_flow_id": "basic-chat",
    "azureml.promptflow.mode": "chat",
    "azureml.promptflow.chat_input": "question",
    "azureml.promptflow.chat_output": "answer",
}

Ask = Callable[..., tuple[int, Any]]


def client(azure: AzureEmulator, credential: Any = None, **other: str) -> Any:
    from azure.ai.ml import MLClient  # noqa: PLC0415  (seconds: for those who only collect the tests)

    setup = azure.setup
    names = {one: getattr(setup, one) for one in ("subscription_id", "resource_group", "workspace")} | other
    return MLClient(credential or azure.credential(), *names.values(), enable_telemetry=False, show_progress=False)


def register(models: Any, name: str, folder: Path, **more: Any) -> Any:
    from azure.ai.ml.entities import Model  # noqa: PLC0415

    return models.create_or_update(Model(name=name, path=folder, **more))


def flow_folder(folder: Path, **more: bytes) -> dict[str, bytes]:
    files = {
        "flow.dag.yaml": b"inputs: {}\n",
        "src/lines.py": b"a = 1\r\n",
        "data.bin": bytes(range(256)) * 400,
        **more,
    }
    write_tree(folder, files)
    return files


@pytest.fixture
def ask(azure: AzureEmulator) -> Ask:
    return lambda *given, **more: asking(azure, *given, **more)


def asking(
    azure: AzureEmulator,
    method: str,
    path: str,
    properties: Any = None,
    *,
    body: Any = None,
    token: str | None = None,
    principal: str = "contributor",
    version: str = "api-version=2024-04-01",
    query: str = "",
) -> tuple[int, Any]:
    """A request as no client would send it: its status, and what was answered."""
    content = body if body is not None else {"properties": properties}
    request = urllib.request.Request(
        f"https://{MANAGEMENT}{azure.setup.workspace_id}/{path}?{version}&{query}",
        method=method,
        data=json.dumps(content).encode() if method in ("PUT", "POST") else None,
        headers={"Content-Type": "application/json"},
    )
    token = token if token is not None else azure.identity.issue(azure.setup.principal(principal))
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    proxy = urllib.request.ProxyHandler({"https": f"http://127.0.0.1:{azure.port}"})
    opener = urllib.request.build_opener(proxy, urllib.request.HTTPSHandler(context=azure.certificates.of_client()))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())["error"]


def test_a_folder_is_registered_by_the_real_client(
    azure: AzureEmulator, azure_environment: dict[str, str], tmp_path: Path
) -> None:
    files = flow_folder(tmp_path / "flow")
    models = client(azure, DefaultAzureCredential()).models

    made = register(models, "chat", tmp_path / "flow", properties=CHAT, tags={"team": "a"})

    assert (made.name, made.version, made.type) == ("chat", "1", "custom_model")
    assert azure.model_files("chat", "1") == files
    held = azure.model_versions("chat")["1"]
    assert (held["properties"]["properties"], held["properties"]["tags"]) == (CHAT, {"team": "a"})
    assert held["properties"]["modelUri"] == made.path
    assert held["systemData"]["createdBy"] == "contributor"
    assert {entry.status for entry in azure.journal} <= {200, 201, 404}, "no telemetry, nothing refused"


def test_versions_are_counted_listed_and_found(
    azure: AzureEmulator, azure_environment: dict[str, str], tmp_path: Path
) -> None:
    models = client(azure).models
    for round_ in (b"1", b"2", b"3"):
        flow_folder(tmp_path / "flow", changed=round_)
        register(models, "chat", tmp_path / "flow", tags={"round": round_.decode()})

    assert [one.version for one in models.list("chat")] == ["3", "2", "1"]
    assert [(one.name, one.latest_version) for one in models.list()] == [("chat", "3")]
    assert models.get("chat", "2").tags == {"round": "2"}
    assert models.get("chat", label="latest").version == "3"
    assert azure.model_files("chat", "2")["changed"] == b"2"
    with pytest.raises(ResourceNotFoundError, match=r"Model chat with version 9 not found\."):
        models.get("chat", "9")


def test_a_list_comes_in_pages(
    another_azure: Callable[..., AzureEmulator], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    azure = another_azure(setup=Setup(page_size=2))
    use_azure(azure, monkeypatch, tmp_path)
    for version in "12345":
        asking(
            azure, "PUT", f"models/chat/versions/{version}", {"modelUri": URI, "tags": {"odd": str(int(version) % 2)}}
        )
    models = client(azure).models

    assert [one.version for one in models.list("chat")] == ["5", "4", "3", "2", "1"]
    assert len(azure.journal.asked("GET", "/versions")) == 3
    query = "$top=3&tags=odd%3D1&$orderBy=createdtime%20asc"
    _, first = asking(azure, "GET", "models/chat/versions", query=query)
    assert [one["name"] for one in first["value"]] == ["1", "3"]
    assert "$top=1" in first["nextLink"]
    assert "$skip=2" in first["nextLink"]


def test_an_existing_version_keeps_its_path_and_its_properties(ask: Ask, azure: AzureEmulator) -> None:
    version = "models/chat/versions/1"
    assert ask("PUT", version, {"modelUri": URI, "properties": {"a": "1"}, "tags": {"t": "1"}})[0] == 201
    assert ask("PUT", version, {"modelUri": URI, "properties": {"b": "2"}, "tags": {"u": "2"}})[0] == 200
    held = azure.model_versions("chat")["1"]["properties"]
    assert (held["properties"], held["tags"]) == ({"a": "1", "b": "2"}, {"u": "2"})

    status, error = ask("PUT", version, {"modelUri": f"{URI}-2"})
    assert (status, error["code"], error["message"]) == (400, "UserError", "Asset paths cannot be updated.")
    status, error = ask("PUT", version, {"modelUri": URI, "properties": {"a": "2"}})
    assert (status, error["message"]) == (400, "The value of property a cannot be changed: properties are immutable.")
    status, error = ask("PUT", version, {"modelUri": URI, "modelType": "mlflow_model"})
    assert (status, error["message"]) == (400, "The property modelType of an asset cannot be updated.")
    assert azure.model_versions("chat")["1"]["properties"] == held


def test_archived_versions_are_not_listed_and_deleted_ones_do_not_come_back(
    ask: Ask, azure: AzureEmulator, azure_environment: dict[str, str]
) -> None:
    for version in "123":
        ask("PUT", f"models/chat/versions/{version}", {"modelUri": URI})
    models = client(azure).models
    models.archive("chat", "2")
    assert [one.version for one in models.list("chat")] == ["3", "1"]
    models.restore("chat", "2")
    assert [one.version for one in models.list("chat")] == ["3", "2", "1"]

    assert ask("DELETE", "models/chat/versions/3")[0] == 200
    container = azure.model("chat")
    assert container and container["properties"]["nextVersion"] == "4"
    assert models.get("chat", label="latest").version == "2"
    status, error = ask("PUT", "models/chat/versions/3", {"modelUri": URI})
    assert status == 400
    assert "/models/chat/versions/3 was deleted at " in error["message"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"body": {}}, "$: Required property 'properties' not found on object of type 'ModelVersion'"),
        ({"properties": []}, "$.properties: not an object"),
        (
            {"properties": {"modelUrl": URI}},
            "$.properties: Could not find member 'modelUrl' on object of type 'ModelVersionProperties'",
        ),
        ({"properties": {"modelUri": URI, "tags": {"n": 1}}}, "$.properties.tags.n: 1 is not a string"),
        ({"properties": {"modelUri": URI, "isArchived": "no"}}, "$.properties.isArchived: 'no' is not a boolean"),
        (
            {"properties": {"modelUri": URI, "datasets": [{"x": ""}]}},
            "$.properties.datasets[0]: Could not find member 'x' on object of type 'DatasetReference'",
        ),
    ],
)
def test_a_body_that_is_not_the_clients_model_is_refused(ask: Ask, given: dict[str, Any], told: str) -> None:
    status, error = ask("PUT", "models/chat/versions/1", **given)
    assert (status, error["code"]) == (400, "InvalidRequestContent")
    assert error["message"] == f"The request content was invalid and could not be deserialized: '{told}'."
    assert error["details"][0]["message"] == told


@pytest.mark.parametrize(
    ("path", "given", "status", "code", "told"),
    [
        ("models/-chat/versions/1", {}, 400, "BadRequest", "The request is invalid."),
        ("models/ch.at/versions/1", {}, 400, "BadRequest", "The request is invalid."),
        (f"models/{'c' * 256}/versions/1", {}, 400, "BadRequest", "The request is invalid."),
        ("models/chat/versions/a:b", {}, 400, "BadRequest", "The request is invalid."),
        ("models/chat/versions/1", {"properties": {}}, 400, "UserError", "The model's path 'None' is no path"),
        ("models/chat/versions/1", {"version": ""}, 400, "MissingApiVersionParameter", "The api-version query"),
        (
            "models/chat/versions/1",
            {"version": "api-version=1"},
            400,
            "InvalidApiVersionParameter",
            "The api-version '1'",
        ),
        ("models/chat/versions/1", {"principal": "nobody"}, 403, "AuthorizationFailed", "The client '11111111-"),
        ("models/chat/versions/1", {"principal": "reader"}, 403, "AuthorizationFailed", "The client '11111111-"),
        ("models/chat/versions/1", {"token": ""}, 401, "AuthenticationFailed", "Authentication failed."),
        ("models/chat/versions/1", {"token": "a.b.c"}, 401, "InvalidAuthenticationToken", "The access token is"),
        ("nothing/there", {}, 404, "NotFound", "The emulator has no answer to PUT"),
    ],
)
def test_a_request_that_azure_refuses_is_refused(
    ask: Ask, azure: AzureEmulator, path: str, given: dict[str, Any], status: int, code: str, told: str
) -> None:
    answered, error = ask("PUT", path, **{"properties": {"modelUri": URI}, **given})
    assert (answered, error["code"], error["message"][: len(told)]) == (status, code, told)
    assert azure.model("chat") is None


@pytest.mark.parametrize(
    ("wrong", "code", "told"),
    [
        ("subscription_id", "SubscriptionNotFound", "The subscription 'other' could not be found."),
        ("resource_group", "ResourceGroupNotFound", "Resource group 'other' could not be found."),
        ("workspace", "ResourceNotFound", "The Resource 'Microsoft.MachineLearningServices/workspaces/other' under "),
    ],
)
def test_a_workspace_that_is_not_there(
    azure: AzureEmulator, azure_environment: dict[str, str], wrong: str, code: str, told: str
) -> None:
    with pytest.raises(ResourceNotFoundError) as caught:
        client(azure, **{wrong: "other"}).models.get("chat", "1")
    assert caught.value.error and caught.value.error.code == code
    assert str(caught.value).startswith(f"({code}) {told}")


def test_tokens_end_and_are_for_one_audience(ask: Ask, azure: AzureEmulator, azure_environment: dict[str, str]) -> None:
    who = azure.setup.principal("contributor")
    status, error = ask("GET", "models", token=azure.identity.issue(who, seconds=-5))
    assert (status, error["code"]) == (401, "ExpiredAuthenticationToken")
    status, error = ask("GET", "models", token=azure.identity.issue(who, audience="https://storage.azure.com"))
    assert (status, error["code"]) == (401, "InvalidAuthenticationTokenAudience")
    with pytest.raises(ClientAuthenticationError, match="ExpiredAuthenticationToken"):
        list(client(azure, azure.credential(seconds=-5)).models.list("chat"))


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("AZURE_CLIENT_SECRET", "wrong", "AADSTS7000215"),
        ("AZURE_CLIENT_ID", "99999999-0000-4000-8000-000000000000", "AADSTS700016"),
        ("AZURE_TENANT_ID", "99999999-0000-4000-8000-000000000000", "Unable to get authority configuration"),
    ],
)
def test_a_sign_in_that_fails(
    azure: AzureEmulator,
    azure_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    told: str,
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ClientAuthenticationError, match=told):
        list(client(azure, DefaultAzureCredential()).models.list("chat"))


def test_a_datastore_without_a_key_asks_for_a_role_on_the_storage(
    another_azure: Callable[..., AzureEmulator], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    azure = another_azure(setup=Setup(identity_based_datastore=True))
    files = flow_folder(tmp_path / "flow")
    use_azure(azure, monkeypatch, tmp_path, "data-scientist")
    with pytest.raises(Exception, match="You don't have permission to alter this storage account"):
        register(client(azure, DefaultAzureCredential()).models, "chat", tmp_path / "flow")
    assert azure.blobs.names() == []

    use_azure(azure, monkeypatch, tmp_path, "contributor")
    register(client(azure, DefaultAzureCredential()).models, "chat", tmp_path / "flow")
    assert azure.model_files("chat", "1") == files


def test_throttling_and_errors_end_when_they_are_meant_to(
    azure: AzureEmulator, azure_environment: dict[str, str], tmp_path: Path
) -> None:
    flow_folder(tmp_path / "flow")
    azure.faults.add(
        "throttle PUT /models/ times=2 retry_after=0.1", "error GET /models/chat\\? status=503 retry_after=0.1"
    )
    made = register(client(azure).models, "chat", tmp_path / "flow")
    assert made.version == "1"
    assert [one.status for one in azure.journal.asked("PUT", "/models/")] == [429, 429, 201]
    assert [one.status for one in azure.journal.asked("GET", "/models/chat\\?")] == [503, 404]
    assert azure.faults.met == 3


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("error status=500", "ServiceError"),
        ("error status=401", "ExpiredAuthenticationToken"),
        ("throttle", "TooManyRequests"),
        ("error status=503", "ServiceUnavailable"),
    ],
)
def test_a_fault_says_what_azure_says(ask: Ask, azure: AzureEmulator, fault: str, code: str) -> None:
    azure.faults.add(fault)
    assert ask("GET", "models")[1]["code"] == code
    assert ask("GET", "models") == (200, {"value": []})


@contextmanager
def uploads(azure: AzureEmulator) -> Iterator[ContainerClient]:
    """A client of the storage that tries once."""
    setup = azure.setup
    account = {"account_name": setup.storage_account, "account_key": setup.storage_key}
    with ContainerClient(f"https://{setup.blob_host}", setup.container, credential=account, retry_total=0) as container:
        yield container


def test_an_upload_is_cut_in_the_middle(azure: AzureEmulator, azure_environment: dict[str, str]) -> None:
    azure.faults.add("cut PUT \\.blob\\. bytes=100000 skip=1", "error PUT \\.blob\\. status=503")
    with uploads(azure) as container:
        with pytest.raises(HttpResponseError) as caught:
            container.upload_blob("first", b"1")
        assert caught.value.error_code == "ServerBusy"  # type: ignore[attr-defined]
        with pytest.raises((ServiceRequestError, ServiceResponseError)):
            container.upload_blob("second", b"2" * 1_000_000)
        container.upload_blob("third", b"3" * 1_000_000)
    assert azure.blobs.names() == ["third"]
    assert [one.status for one in azure.journal.asked("PUT", r"\.blob\.")] == [503, 0, 201]


def test_an_answer_is_lost(azure: AzureEmulator, azure_environment: dict[str, str], tmp_path: Path) -> None:
    """The client does not know that its version is there, and asks again."""
    flow_folder(tmp_path / "flow")
    azure.faults.add("cut PUT /models/ moment=answer")
    assert register(client(azure).models, "chat", tmp_path / "flow").version == "1"
    assert [one.status for one in azure.journal.asked("PUT", "/models/")] == [0, 200]
    assert azure.journal.asked("PUT", "/models/")[0].fault == "cut at answer of a 201"


def test_two_writers_meet(ask: Ask, azure: AzureEmulator) -> None:
    azure.faults.add("meet PUT /versions/1")
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, "PUT", "models/chat/versions/1", {"modelUri": f"{URI}-{one}"}) for one in "ab"]
    assert sorted(one.result()[0] for one in asked) == [201, 400]
    assert list(azure.model_versions("chat")) == ["1"]


def test_somebody_else_is_faster(ask: Ask, azure: AzureEmulator) -> None:
    theirs = {"modelUri": f"{URI}-b"}
    azure.faults.add(Fault("call", "PUT", "/versions/1", do=lambda: ask("PUT", "models/chat/versions/1", theirs)))
    assert ask("PUT", "models/chat/versions/1", {"modelUri": URI})[0] == 400
    assert azure.model_versions("chat")["1"]["properties"]["modelUri"] == f"{URI}-b"


def test_a_slow_answer_and_every_third(ask: Ask, azure: AzureEmulator) -> None:
    azure.faults.add("slow seconds=0.3 times=0 every=3")
    started = time.monotonic()
    assert [ask("GET", "models")[0] for _ in range(6)] == [200] * 6
    assert time.monotonic() - started >= 0.6
    assert [one.fault for one in azure.journal] == ["", "", "slow"] * 2


def test_a_fault_that_is_none(azure: AzureEmulator) -> None:
    with pytest.raises(ValueError, match="'burn' is none of the faults throttle, error"):
        azure.faults.add("burn PUT")


def test_no_other_host_is_reached(azure: AzureEmulator, azure_environment: dict[str, str]) -> None:
    with pytest.raises(urllib.error.URLError, match="403"):
        # urlopen keeps the proxies of its first use in this process.
        urllib.request.build_opener().open("https://example.com", timeout=30)
    assert [(one.method, one.url, one.status) for one in azure.journal] == [("CONNECT", "https://example.com", 403)]


def test_as_a_program_with_its_state_in_a_folder(azurite: Path, tmp_path: Path) -> None:
    files = flow_folder(tmp_path / "flow")
    script = (
        "import os, sys; from azure.ai.ml import MLClient; from azure.ai.ml.entities import Model\n"
        "from azure.identity import DefaultAzureCredential as Credential\n"
        "names = [os.environ[f'AZUREML_ARM_{one}'] for one in ('SUBSCRIPTION', 'RESOURCEGROUP', 'WORKSPACE_NAME')]\n"
        "models = MLClient(Credential(), *names, enable_telemetry=False, show_progress=False).models\n"
        "print(models.create_or_update(Model(name='chat', path=sys.argv[1])).version)\n"
    )
    with program("--state", tmp_path / "state") as (variables, own):
        told = subprocess.run(
            [sys.executable, "-c", script, tmp_path / "flow"],
            check=False,
            env=variables,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert told.stdout.strip() == "1", told.stderr
        assert any(one.endswith("/models/chat/versions/1") for one in own("state"))
        assert len(own("blobs")) == len(files)
        own("faults", b"throttle GET /models times=0\nslow seconds=1")
        assert [one["action"] for one in own("faults")] == ["throttle", "slow"]
        assert any(one["status"] == 201 and "/models/chat/" in one["url"] for one in own("journal"))

    with program("--state", tmp_path / "state") as (_, own):
        assert any(one.endswith("/models/chat/versions/1") for one in own("state"))
        assert len(own("blobs")) == len(files)


@contextmanager
def program(*options: str | Path) -> Iterator[tuple[dict[str, str], Callable[..., Any]]]:
    """``python -m azure_emulator``: the variables that it writes, and its own routes."""
    command = [sys.executable, "-m", "azure_emulator", "--json", *map(str, options)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout
            variables: dict[str, str] = json.loads(running.stdout.readline())

            def own(what: str, body: bytes | None = None) -> Any:
                direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                with direct.open(f"{variables['HTTPS_PROXY']}/_emulator/{what}", body, timeout=30) as answer:
                    return json.load(answer)

            yield variables, own
        finally:
            running.send_signal(signal.SIGINT)
    assert running.returncode == 0


def test_tls_is_by_the_tests_own_authority_alone(azure: AzureEmulator) -> None:
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl.create_default_context())
        ).open(f"https://localhost:{azure.port}/_emulator/state", timeout=30)
