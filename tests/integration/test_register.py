"""``flowpack register`` with the real azure-ai-ml and the real Azurite, in the Azure of azure_emulator."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from azure_emulator import AzureEmulator
from azure_emulator.setup import Setup
from flowpack.azureml.models.registration import register_model
from flowpack.azureml.models.registry import ModelRegistry
from flowpack.azureml.models.workspace_registry import WorkspaceRegistry
from flowpack.azureml.workspace import find_workspace
from tests.azureml.models.examples import build_folder, content_folder, document, flow_folder
from tests.azureml.models.many_writers import PROCESSES, REGISTRATIONS, Writers
from tests.azureml.models.registry_contract import RegistryContract
from tests.commands import Done
from tests.integration.azure_parts import use_azure
from tests.paths import FLOWS, write_tree
from tests.warm_commands import flowpack

IMAGE = "example.azurecr.io/library/chat@sha256:" + "5" * 64

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # azure-ai-ml's use of marshmallow

Environment = Mapping[str, str]


@pytest.fixture
def environment(azure: AzureEmulator, azure_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    return {**azure_environment, **azure.workspace_variables(), "FLOWPACK_CACHE_DIR": str(tmp_path / "cache")}


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    return flow_folder(tmp_path / "basic-chat")


def listing(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def uploads(azure: AzureEmulator) -> int:
    return len(azure.journal.asked("PUT", r"\.blob\."))


class TestWorkspaceRegistry(RegistryContract):
    @pytest.fixture
    def registry(self, azure: AzureEmulator, azure_environment: dict[str, str]) -> ModelRegistry:
        workspace = find_workspace({}, azure.workspace_variables())
        assert workspace
        return WorkspaceRegistry(workspace)

    def test_an_archived_version_is_not_given_again_and_keeps_its_number(
        self, azure: AzureEmulator, registry: ModelRegistry
    ) -> None:
        self.register(registry, document("a"))
        identifier = f"{azure.setup.workspace_id}/models/chat/versions/1"
        archived = azure.store.get(identifier)
        assert archived
        azure.store.put({**archived, "properties": {**archived["properties"], "isArchived": True}})
        again = self.register(registry, document("a"))
        assert (again.state, again.version.version) == ("created", "2")

    def test_the_number_of_a_deleted_version_is_not_given_again(
        self, azure: AzureEmulator, registry: ModelRegistry
    ) -> None:
        for content in "ab":
            self.register(registry, document(content))
        azure.store.delete(f"{azure.setup.workspace_id}/models/chat/versions/2")
        assert self.register(registry, document("c")).version.version == "3"

    def test_versions_of_several_pages(
        self, another_azure: Callable[..., AzureEmulator], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        paged = another_azure(setup=Setup(page_size=2))
        use_azure(paged, monkeypatch, tmp_path)
        workspace = find_workspace({}, paged.workspace_variables())
        assert workspace
        registry = WorkspaceRegistry(workspace)
        for content in "abcde":
            self.register(registry, document(content))
        assert [each.version for each in registry.versions("chat")] == ["1", "2", "3", "4", "5"]
        assert self.register(registry, document("a")).state == "unchanged"


def test_the_workspace_holds_the_flow_s_bytes_with_the_properties_of_microsoft_s_article(
    azure: AzureEmulator, environment: Environment, chat: Path, tmp_path: Path
) -> None:
    description = "register basic chat flow folder as a custom model"
    done = flowpack(
        *("register", chat, "--name", "basic-chat-model", "--description", description, "--output", tmp_path / "out"),
        *("--tag", "stage=dev", "--image", IMAGE, "--json"),
        env=environment,
    )
    held = azure.model_versions("basic-chat-model")["1"]["properties"]
    assert held["properties"] == {
        "azureml.promptflow.source_flow_id": "basic-chat",
        "azureml.promptflow.mode": "chat",
        "azureml.promptflow.chat_input": "question",
        "azureml.promptflow.chat_output": "answer",
    }
    assert held["description"] == description
    assert held["modelType"] == "custom_model"
    assert held["tags"] == done.json["tags"]
    assert held["tags"].keys() == {"flowpack.flow.digest", "flowpack.image", "flowpack.version", "stage"}
    assert held["tags"]["flowpack.image"] == IMAGE
    assert azure.model_files("basic-chat-model", "1") == listing(chat)
    assert done.json["path"] == held["modelUri"]


def test_what_a_build_wrote_is_uploaded_byte_for_byte_with_the_lock_s_and_the_image_s_digests(
    azure: AzureEmulator, environment: Environment, tmp_path: Path
) -> None:
    out = build_folder(tmp_path / "build", FLOWS / "chat-with-includes")
    (out / "image.json").write_text(json.dumps({"reference": IMAGE, "revision": "abc"}))
    done = flowpack("register", out, env=environment)
    assert done.stdout == "chat-with-includes:1\n"
    assert azure.model_files("chat-with-includes", "1") == listing(out / "flow")
    record = json.loads((out / "flowpack.json").read_text())
    assert azure.model_versions("chat-with-includes")["1"]["properties"]["tags"] == {
        "flowpack.flow.digest": record["flow"]["digest"],
        "flowpack.lock.digest": record["lock_digest"],
        "flowpack.image": IMAGE,
        "flowpack.revision": "abc",
        "flowpack.version": record["flowpack"],
    }


def test_the_same_content_uploads_nothing_and_imports_no_azure_ai_ml(
    azure: AzureEmulator, environment: Environment, chat: Path
) -> None:
    flowpack("register", chat, env=environment)
    before = uploads(azure)
    azure.journal.clear()
    done = flowpack("register", chat, "--json", env=environment)
    assert (done.json["state"], done.json["version"]) == ("unchanged", "1")
    assert (before, uploads(azure)) == (3, 0)  # two files and the mark that they are complete
    assert [entry.method for entry in azure.journal.asked(pattern="/models/")] == ["GET"]
    assert not azure.journal.asked("POST", "listSecrets")


def test_azure_ai_ml_with_the_written_document_gives_the_same_version(
    azure: AzureEmulator, environment: Environment, chat: Path, tmp_path: Path
) -> None:
    flowpack("register", chat, "--output", tmp_path / "out", "--description", "by hand: yes", env=environment)
    before = azure.model_versions("basic-chat")["1"]
    from azure.ai.ml import MLClient, load_model  # noqa: PLC0415  (takes seconds: no other test waits for it)

    setup = azure.setup
    client = MLClient(azure.credential(), setup.subscription_id, setup.resource_group, setup.workspace)
    azure.journal.clear()
    made = client.models.create_or_update(load_model(tmp_path / "out" / "model.yaml"))
    assert (made.version, made.path) == ("1", before["properties"]["modelUri"])
    assert uploads(azure) == 0
    [after] = azure.model_versions("basic-chat").values()
    assert after["properties"] == before["properties"]
    assert flowpack("register", chat, env=environment).stdout == "basic-chat:1\n"


def test_a_file_moved_to_another_folder_is_another_upload(
    azure: AzureEmulator, environment: Environment, tmp_path: Path
) -> None:
    """azure-ai-ml's own hash is the same for both, and its upload would be passed over."""
    flow = write_tree(flow_folder(tmp_path / "moved"), {"tools/a.py": "A = 1\n", "tools/z.py": "Z = 1\n"})
    flowpack("register", flow, env=environment)
    (flow / "tools/z.py").rename(flow / "z.py")
    flowpack("register", flow, env=environment)
    assert azure.model_files("moved", "2") == listing(flow)
    one, other = (each["properties"]["modelUri"].split("/")[-2] for each in azure.model_versions("moved").values())
    assert one == other, "azure-ai-ml can tell the two apart now: the folder needs no name of its own"


def test_a_dry_run_asks_nobody(azure: AzureEmulator, environment: Environment, chat: Path) -> None:
    done = flowpack("register", chat, "--dry-run", env=environment)
    assert "azureml.promptflow.chat_input: question" in done.stdout
    assert "would be registered in workspace 'flowpack-workspace'" in done.stderr
    assert len(azure.journal) == 0


def test_models_lists_the_workspace(azure: AzureEmulator, environment: Environment, chat: Path) -> None:
    flowpack("register", chat, "--image", IMAGE, env=environment)
    done = flowpack("models", env=environment)
    assert "basic-chat:1  basic-chat   question → answer" in done.stdout
    assert IMAGE in done.stdout
    [listed] = flowpack("models", "basic-chat", "--json", env=environment).json["models"]
    assert listed["properties"]["azureml.promptflow.mode"] == "chat"


# Faults: what Azure does now and then, and what is wrong for good.


@pytest.mark.parametrize(
    "fault",
    [
        "throttle GET /versions times=2 retry_after=1",
        "throttle PUT /versions/1 times=3 retry_after=1",
        "error PUT /versions/1 status=503 times=2",
        "cut PUT /versions/1 moment=answer",
        "cut PUT /versions/1 moment=request",
        "cut POST listSecrets moment=answer",
        "slow PUT /versions/1 seconds=1",
    ],
)
def test_what_passes_is_waited_for(
    azure: AzureEmulator, azure_environment: Environment, tmp_path: Path, fault: str
) -> None:
    """In this process, which loads azure-ai-ml once for all of the faults."""
    workspace = find_workspace({}, azure.workspace_variables())
    assert workspace
    content = content_folder(tmp_path / "content", document())
    azure.faults.add(fault)
    began = time.monotonic()
    registered = register_model(WorkspaceRegistry(workspace), document(), content)
    assert (registered.state, registered.version.version) == ("created", "1")
    assert azure.faults.met > 0
    assert list(azure.model_versions("chat")) == ["1"]
    assert azure.model_files("chat", "1") == listing(content)
    if "retry_after=1" in fault:
        assert time.monotonic() - began >= azure.faults.met


def test_an_upload_that_is_cut_leaves_no_version_and_the_next_run_completes_it(
    azure: AzureEmulator, environment: Environment, tmp_path: Path
) -> None:
    flow = write_tree(flow_folder(tmp_path / "cut"), {f"data/{number}.txt": f"{number}\n" * 50 for number in range(40)})
    # The first file in azure-ai-ml's order does not arrive, however often it is sent; some of the others do.
    azure.faults.add("error PUT /data/0.txt status=403 times=0")
    done = flowpack("register", flow, env=environment, expect=3)
    assert "Storage Blob Data Contributor" in done.stderr
    assert azure.model_versions("cut") == {}
    assert 0 < len(azure.blobs.names()) < 42
    azure.faults.clear()
    assert flowpack("register", flow, env=environment).stdout == "cut:1\n"
    assert azure.model_files("cut", "1") == listing(flow)


def refused(azure: AzureEmulator, environment: Environment, chat: Path, *options: str) -> Done:
    done = flowpack("register", chat, *options, "--json", env=environment, expect=3)
    assert done.json["error"] == "AzureError"
    assert azure.model_versions("basic-chat") == {}
    return done


def test_a_reader_is_told_the_role_and_the_service_s_own_words(
    azure: AzureEmulator, environment: Environment, chat: Path
) -> None:
    done = refused(azure, {**environment, **azure.variables("reader")}, chat)
    assert "the storage of workspace 'flowpack-workspace'" in done.json["message"]
    assert "AuthorizationPermissionMismatch" in done.json["detail"]
    assert "AzureML Data Scientist" in done.json["hint"]
    done = refused(azure, {**environment, **azure.variables("nobody")}, chat)
    assert "this account may not do this" in done.json["message"]
    assert "AuthorizationFailed: The client" in done.json["detail"]
    assert "Microsoft.MachineLearningServices/workspaces/" in done.json["hint"]


def test_a_wrong_workspace_is_named_with_where_it_came_from(
    azure: AzureEmulator, environment: Environment, chat: Path
) -> None:
    done = refused(azure, environment, chat, "--workspace-name", "no-such")
    assert done.json["message"].startswith("there is no workspace 'no-such'")
    assert "was not found" in done.json["detail"]
    done = refused(azure, environment, chat, "--resource-group", "no-such")
    assert "Resource group 'no-such' could not be found" in done.json["detail"]


def test_a_wrong_secret_and_no_credential_at_all(
    azure: AzureEmulator, environment: Environment, chat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = refused(azure, {**environment, "AZURE_CLIENT_SECRET": "wrong"}, chat)
    assert done.json["message"] == "Microsoft Entra ID refuses the credential"
    assert "Invalid client secret provided" in done.json["detail"]
    assert "az login" in done.json["hint"]
    for name in ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name)
    nobody = {name: value for name, value in environment.items() if name in os.environ}
    done = refused(azure, {**nobody, **azure.workspace_variables(), "PATH": ""}, chat)
    assert done.json["message"] == "no credential for Azure was found"
    assert "az login" in done.json["hint"]


def test_a_token_that_expired_is_told_apart(azure: AzureEmulator, environment: Environment, chat: Path) -> None:
    azure.faults.add("error GET /models/ status=401 times=0")
    done = refused(azure, environment, chat)
    assert done.json["message"] == "Azure does not accept the credential, or it has expired"
    assert "ExpiredAuthenticationToken" in done.json["detail"]


def test_no_way_to_azure(azure: AzureEmulator, environment: Environment, chat: Path) -> None:
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:9")
    cloud = {"AZUREML_CURRENT_CLOUD": "AzureCloud"}
    done = refused(azure, {**environment, **nowhere, **cloud}, chat)
    assert "az login" in done.json["hint"] or "HTTPS_PROXY" in done.json["hint"]


def test_two_jobs_at_once_make_one_version(azure: AzureEmulator, environment: Environment, tmp_path: Path) -> None:
    """Both stand before the same PUT at the same time."""
    writers = Writers(tmp_path, {str(flow_folder(tmp_path / "same")): "same"})
    azure.faults.add("meet PUT /versions/1 parties=2 seconds=60")
    flows = list(writers.flows.items())
    running = [writers.started(number, flows, None, environment) for number in range(2)]
    assert [process.wait(300) for process in running] == [0, 0], writers.logs()
    assert list(azure.model_versions("same")) == ["1"]
    assert azure.model_files("same", "1") == listing(tmp_path / "same")


def test_200_registrations_of_20_flows_from_8_processes_with_faults(
    azure: AzureEmulator, environment: Environment, tmp_path: Path
) -> None:
    azure.faults.add(
        "throttle /models/ every=17 times=40 retry_after=0.2",
        "error PUT /versions/ every=5 times=10 status=500",
        "error GET /models/ every=31 times=20 status=503",
        "cut PUT /versions/ every=4 times=10 moment=answer",
        "cut PUT /versions/ every=7 times=10 moment=request",
        "cut POST listSecrets every=6 times=6 moment=answer",
        "slow PUT /versions/ every=3 times=20 seconds=0.3",
    )
    writers = Writers.prepare(tmp_path)
    running = writers.start(None, environment)
    assert [process.wait(600) for process in running] == [0] * PROCESSES, writers.logs()
    assert azure.faults.met > 40
    assert len(writers.registrations()) == REGISTRATIONS
    workspace = find_workspace({}, azure.workspace_variables())
    assert workspace
    writers.check(WorkspaceRegistry(workspace))
    for flow, name, version, _ in writers.registrations():
        assert azure.model_files(name, version) == listing(Path(flow))
