"""Microsoft's own client of the tests' own Azure, with the documents of an endpoint and a deployment."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from azure_emulator import AzureEmulator, Setup

ENDPOINT = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: basic-chat
auth_mode: key
properties:
  enforce_access_to_default_secret_stores: enabled
tags: {team: a}
"""
DEPLOYMENT = """\
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: basic-chat
model: azureml:chat:1
environment:
  image: registry.example/team/flow@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  inference_config:
    liveness_route:  {path: /health, port: 8080}
    readiness_route: {path: /health, port: 8080}
    scoring_route:   {path: /score,  port: 8080}
instance_type: Standard_E16s_v3
instance_count: 1
app_insights_enabled: true
request_settings: {request_timeout_ms: 300000, max_concurrent_requests_per_instance: 10}
environment_variables: {PROMPTFLOW_WORKER_NUM: "4"}
"""
FLOW = {"azureml.promptflow.source_flow_id": "basic-chat"}
LOCATION = f"{Setup().subscription_path}/providers/Microsoft.MachineLearningServices/locations/westeurope"
URI = "azureml://datastores/workspaceblobstore/paths/LocalUpload/0123/flow"


class Answered(NamedTuple):
    status: int
    body: str
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Azure:
    """The emulator, and the client that a user of it has."""

    def __init__(self, emulator: AzureEmulator, folder: Path) -> None:
        from azure.ai.ml import MLClient  # noqa: PLC0415  (seconds: for those who only collect the tests)

        self.emulator = emulator
        self.folder = folder
        setup = emulator.setup
        names = (setup.subscription_id, setup.resource_group, setup.workspace)
        self.client = MLClient(emulator.credential(), *names, enable_telemetry=False, show_progress=False)

    def endpoint(self, text: str = ENDPOINT, **changes: Any) -> Any:
        from azure.ai.ml import load_online_endpoint  # noqa: PLC0415

        made = self._loaded(load_online_endpoint, text, changes)
        return self.client.online_endpoints.begin_create_or_update(made).result()

    def deployment(self, text: str = DEPLOYMENT, *, begin: bool = False, **changes: Any) -> Any:
        from azure.ai.ml import load_online_deployment  # noqa: PLC0415

        made = self._loaded(load_online_deployment, text, changes)
        poller = self.client.online_deployments.begin_create_or_update(made)
        return poller if begin else poller.result()

    def _loaded(self, load: Callable[..., Any], text: str, changes: dict[str, Any]) -> Any:
        file = self.folder / "document.yaml"
        file.write_text(text)
        return load(file, params_override=[{name: value} for name, value in changes.items()])

    def traffic(self, **percentages: int) -> None:
        endpoint = self.client.online_endpoints.get("basic-chat")
        endpoint.traffic = percentages
        self.client.online_endpoints.begin_create_or_update(endpoint).result()

    def ask(self, token: str | None = None, deployment: str = "", body: Any = "hello") -> Answered:
        """A request as any program sends it, with the primary key where no other token is given."""
        if token is None:
            token = self.client.online_endpoints.get_keys("basic-chat").primary_key
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        named = {"azureml-model-deployment": deployment} if deployment else {}
        url = f"https://basic-chat.{self.emulator.setup.scoring_domain}/score"
        request = urllib.request.Request(url, json.dumps(body).encode(), {**headers, **named})
        context = ssl.create_default_context(cafile=str(self.emulator.certificates.bundle))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({"https": self.emulator.address}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(request, timeout=60) as answer:
                return Answered(answer.status, answer.read().decode(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            return Answered(error.code, error.read().decode(), dict(error.headers))


def put_model(emulator: AzureEmulator, properties: dict[str, str] | None = None, version: str = "1") -> None:
    wanted = {"modelUri": URI, "properties": FLOW if properties is None else properties}
    status, answer = emulator.ask("PUT", f"models/chat/versions/{version}", {"properties": wanted})
    assert status == 201, answer
