"""Connections, identities and roles of the tests' own Azure, as a deployment and who makes it meet them."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from azure_emulator import AzureEmulator, Setup
from azure_emulator.connections import api_key
from azure_emulator.setup import BLOB_READER, READER, SECRETS_READER
from tests.integration.azure_client import ENDPOINT, LOCATION, Azure, put_model

# Of azure-ai-ml's own schemas, as it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def azure(quick_azure: AzureEmulator, quick_azure_environment: dict[str, str], tmp_path: Path) -> Azure:
    put_model(quick_azure)
    return Azure(quick_azure, tmp_path)


def test_connections_and_their_secrets(azure: Azure) -> None:
    azure.emulator.connect("open_ai_connection", api_key("AzureOpenAI", "https://a.example", "k-1", ApiVersion="v"))
    connection = azure.client.connections.get("open_ai_connection")
    assert (connection.type, connection.target) == ("azure_open_ai", "https://a.example")
    path = "connections/open_ai_connection"
    for who, status in (("data-scientist", 200), ("contributor", 200), ("reader", 403)):
        answered, answer = azure.emulator.ask("POST", f"{path}/listsecrets", principal=who)
        assert answered == status
        assert (answer["properties"]["credentials"] == {"key": "k-1"}) if status == 200 else "k-1" not in str(answer)
    assert azure.emulator.ask("GET", path)[1]["properties"]["credentials"] is None


def test_the_identity_of_an_endpoint_signs_in(azure: Azure) -> None:
    """As in a deployment: with MSI_ENDPOINT and MSI_SECRET, and with a role or without."""
    emulator = azure.emulator
    emulator.connect("open_ai_connection", api_key("AzureOpenAI", "https://a.example", "k-1"))
    emulator.make_endpoint("may", enforce_access_to_default_secret_stores="enabled")
    emulator.make_endpoint("may-not")
    emulator.make_endpoint("user", identity="flow-identity")
    identity = emulator.user_assigned("flow-identity")
    assert _secrets_by(emulator, "may") == 200
    assert _secrets_by(emulator, "may-not") == 403
    assert _secrets_by(emulator, "user", identity["clientId"]) == 403
    emulator.assign(identity["principalId"], SECRETS_READER)
    assert _secrets_by(emulator, "user", identity["clientId"]) == 200
    for endpoint, client in (("user", None), ("may", identity["clientId"])):
        with pytest.raises(ClientAuthenticationError, match="Identity not found"):
            _secrets_by(emulator, endpoint, client)


def _secrets_by(emulator: AzureEmulator, endpoint: str, client_id: str | None = None) -> int:
    from azure.identity import ManagedIdentityCredential  # noqa: PLC0415

    with pytest.MonkeyPatch.context() as patch:
        for name, value in emulator.deployment_variables(endpoint).items():
            patch.setenv(name, value)
        with ManagedIdentityCredential(client_id=client_id) as credential:
            token = credential.get_token("https://management.azure.com/.default").token
        host = "https://management.azure.com"
        url = f"{host}{emulator.setup.workspace_id}/connections/open_ai_connection/listsecrets?api-version=2024-04-01"
        request = urllib.request.Request(url, b"", {"Authorization": f"Bearer {token}"}, method="POST")
        context = urllib.request.HTTPSHandler(context=ssl.create_default_context())
        try:
            with urllib.request.build_opener(context).open(request, timeout=30) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code


def test_a_reference_to_a_connection_becomes_its_value(azure: Azure) -> None:
    azure.emulator.connect("weather service", api_key("Serp", "https://a.example", "k-1"))
    reference = "${{azureml://connections/weather service%s}}"
    variables = {
        "EMULATOR_ANSWER": reference % "",
        "KEY": reference % "/credentials/key",
        "TARGET": reference % "/target",
    }
    azure.endpoint()
    azure.deployment(environment_variables=variables)
    assert azure.ask(deployment="blue").json["properties"]["credentials"] == {"key": "k-1"}
    held = azure.emulator.deployments("basic-chat")["blue"]["properties"]["environmentVariables"]
    assert held == variables, "what is asked for stays a reference"
    with pytest.raises(HttpResponseError, match="the connection gone of KEY was not found"):
        azure.deployment(environment_variables={"KEY": "${{azureml://connections/gone}}"})


def test_a_user_assigned_identity_needs_its_roles_first(azure: Azure) -> None:
    emulator, setup = azure.emulator, azure.emulator.setup
    identity = emulator.user_assigned("flow-identity")
    resource = setup.identity_id("flow-identity")
    named = f"{{type: user_assigned, user_assigned_identities: [{{resource_id: {resource}}}]}}"
    azure.endpoint(f"{ENDPOINT}identity: {named}\n")
    held = emulator.endpoint("basic-chat")
    assert held and held["identity"]["userAssignedIdentities"][resource]["clientId"] == identity["clientId"]
    with pytest.raises(HttpResponseError, match="not authorized to read the storage account"):
        azure.deployment()
    assert "AuthorizationPermissionMismatch" in azure.client.online_deployments.get_logs(
        "blue", "basic-chat", 50, container_type="storage-initializer"
    )
    emulator.assign(identity["principalId"], BLOB_READER, setup.storage_id)
    azure.deployment()


def test_roles_are_given_by_who_may(azure: Azure) -> None:
    emulator = azure.emulator
    thing = emulator.user_assigned("flow-identity")["principalId"]
    reader = "/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    body = {"properties": {"roleDefinitionId": reader, "principalId": thing, "principalType": "ServicePrincipal"}}
    path = "providers/Microsoft.Authorization/roleAssignments"
    assert emulator.ask("PUT", f"{path}/1", body)[0] == 403
    assert emulator.ask("PUT", f"{path}/1", body, principal="owner")[0] == 201
    assert emulator.ask("PUT", f"{path}/2", body, principal="owner")[0] == 409
    assert emulator.roles.of(thing, f"{emulator.setup.workspace_id}/models") == {READER}
    mine = [one for one in emulator.ask("GET", path)[1]["value"] if one["properties"]["principalId"] == thing]
    assert [one["name"] for one in mine] == ["1"]


def test_roles_on_the_resource_group_alone(another_azure: Callable[..., AzureEmulator]) -> None:
    emulator = another_azure(setup=Setup(roles_on_group=True, runs_containers=False))
    assert emulator.ask("GET", "onlineEndpoints")[0] == 200
    status, answer = emulator.ask("GET", f"{LOCATION}/usages")
    assert (status, answer["error"]["code"]) == (403, "AuthorizationFailed")
