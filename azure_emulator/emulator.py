"""The emulator as one object: start it, tell programs of it, look into it, spoil it."""

from __future__ import annotations

import json
import tempfile
import threading
import time
import uuid
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple
from urllib.parse import quote

from azure_emulator.arm import CLOUD, ResourceManager
from azure_emulator.blobs import BlobService
from azure_emulator.certificates import issue
from azure_emulator.containers import LABEL, ContainerRuntime
from azure_emulator.control import Control
from azure_emulator.echo import EchoRuntime
from azure_emulator.faults import Faults
from azure_emulator.identity import Identity
from azure_emulator.insights import PATH as TRACK
from azure_emulator.insights import Insights
from azure_emulator.instances import Instances, Runtime
from azure_emulator.journal import Journal
from azure_emulator.messages import Answer, Refusal, Request
from azure_emulator.msi import PATH as MSI
from azure_emulator.msi import ManagedIdentities
from azure_emulator.operations import Operations
from azure_emulator.resources import ROUTES, provision
from azure_emulator.resources.workspaces import MADE
from azure_emulator.roles import Roles, assignment
from azure_emulator.scoring import Scoring
from azure_emulator.server import OWN, Listener, Site
from azure_emulator.services import Services
from azure_emulator.setup import LOGIN, MANAGEMENT, PUBLIC_LOGIN, PUBLIC_MANAGEMENT, Setup
from azure_emulator.store import Document, Store

LOOPBACK = ("localhost", "127.0.0.1")


class AccessToken(NamedTuple):
    token: str
    expires_on: int


class StaticCredential:
    """A credential for ``MLClient`` in the emulator's own process: a token without a sign-in."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        # An hour, whatever the token says: a client that sees it end would ask for another before Azure refuses it.
        return AccessToken(self._token, int(time.time()) + 3600)


class AzureEmulator:
    """Made with a folder it keeps its resources and blobs there; else in memory. A context manager."""

    def __init__(
        self, *, setup: Setup | None = None, folder: Path | None = None, port: int = 0, azurite: Path | None = None
    ) -> None:
        self.setup = setup or Setup()
        self.label = f"{LABEL}={uuid.uuid4().hex[:12]}"
        """Of its containers, for ``docker ps --filter label=…``."""
        self.journal = Journal()
        self.faults = Faults()
        self.insights = Insights()
        self.identity = Identity(self.setup)
        self._stack = ExitStack()
        self._folder = folder or Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="azure-emulator-")))
        self.store = Store(folder / "resources" if folder else None)
        self.roles = Roles(self.store)
        provision(self.setup, self.store)
        self.certificates = issue(self._folder / "tls", *self._names())
        self._keeps = folder is not None
        self._azurite = azurite
        self._blobs: BlobService | None = None
        self.services = Services(
            self.identity,
            self.roles,
            Operations(self.setup),
            Instances(self._runtime()),
            ManagedIdentities(self.setup, self.store, self.identity),
            lambda: self.address,
        )
        self._arm = ResourceManager(self.setup, self.store, self.services, ROUTES).site
        self._scoring = Scoring(self.setup, self.store, self.services)
        self._sites = self._hosts()
        self._listener = Listener(port, self.certificates.of_server(), self._site_of, self.journal, self.faults)

    def _names(self) -> list[str]:
        fixed = [MANAGEMENT, PUBLIC_MANAGEMENT, LOGIN, PUBLIC_LOGIN, *LOOPBACK]
        return [*fixed, self.setup.blob_host, f"*.{self.setup.scoring_domain}"]

    def _runtime(self) -> Runtime:
        if not self.setup.runs_containers:
            return EchoRuntime()
        return ContainerRuntime(
            self._folder / "models",
            self.certificates.bundle,
            self._blobs_under,
            self.network_variables,
            self.setup.docker_config,
            self.label,
        )

    def _hosts(self) -> dict[str, Site]:
        arm = self._arm
        control = Control(self.store, self.journal, self.faults, self._blob_names).site

        def local(request: Request) -> Answer:
            if request.path.startswith(OWN):
                return control(request)
            if request.path == MSI:
                return self.services.managed.site(request)
            return (self.insights.site if request.path.endswith(TRACK) else arm)(request)

        return {
            MANAGEMENT: arm,
            PUBLIC_MANAGEMENT: arm,
            LOGIN: self.identity.site,
            PUBLIC_LOGIN: self.identity.site,
            **dict.fromkeys(LOOPBACK, local),
        }

    def _site_of(self, host: str) -> Site | None:
        return self._scoring.site if self._scoring.serves(host) else self._sites.get(host)

    def __enter__(self) -> AzureEmulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        if self._azurite:
            folder = self._folder / "blobs"
            folder.mkdir(exist_ok=True)
            self._blobs = BlobService(
                self._azurite, self.setup, self.identity, self.roles, self.certificates, folder, keep=self._keeps
            )
            self._stack.callback(self._blobs.close)
            self._blobs.wait()
            self._sites[self.setup.blob_host] = self._blobs.site
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._stack.callback(self._listener.close)

    def stop(self) -> None:
        self.faults.clear()
        self.end_deployments()
        self._stack.close()

    def end_deployments(self) -> None:
        """Of what runs, nothing stays behind; the documents stay."""
        operations, instances = self.services.operations, self.services.instances
        operations.abandon(instances.clear)
        instances.clear()

    def _blob_names(self) -> list[str]:
        return self.blobs.names()

    def _blobs_under(self, path: str) -> dict[str, bytes]:
        return self._blobs.folder(path) if self._blobs else {}

    def reset(self) -> None:
        """As it was after its start, without another start."""
        self.faults.clear()
        self.end_deployments()
        self.store.clear()
        provision(self.setup, self.store)
        if self._blobs:
            self._blobs.clear()
        self.journal.clear()
        self.insights.telemetry.clear()

    @property
    def port(self) -> int:
        return self._listener.port

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def blobs(self) -> BlobService:
        if self._blobs is None:
            raise RuntimeError("this emulator was started without Azurite")
        return self._blobs

    def variables(self, principal: str = "contributor") -> dict[str, str]:
        """What a program needs in its environment to find the emulator, and to sign in to it."""
        who = self.setup.principal(principal)
        return {
            **self.network_variables(),
            "AZURE_AUTHORITY_HOST": f"https://{LOGIN}",
            "AZURE_TENANT_ID": self.setup.tenant_id,
            "AZURE_CLIENT_ID": who.client_id,
            "AZURE_CLIENT_SECRET": who.secret,
        }

    def network_variables(self) -> dict[str, str]:
        """The way there and whom to trust, without anybody's secret."""
        proxy, bundle = self.address, str(self.certificates.bundle)
        both = {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy, "NO_PROXY": ",".join(LOOPBACK)}
        return {
            **both,
            # Which spelling counts, and whether the other is looked at, differs from program to program.
            **{name.lower(): value for name, value in both.items()},
            "REQUESTS_CA_BUNDLE": bundle,
            "CURL_CA_BUNDLE": bundle,
            "SSL_CERT_FILE": bundle,
            "ARM_CLOUD_METADATA_URL": f"https://{MANAGEMENT}/metadata/endpoints?api-version=2022-09-01",
        }

    def workspace_variables(self) -> dict[str, str]:
        """Which workspace, as the az command line and Azure Machine Learning's own jobs are told of it."""
        setup = self.setup
        return {
            "AZURE_SUBSCRIPTION_ID": setup.subscription_id,
            "AZURE_DEFAULTS_GROUP": setup.resource_group,
            "AZURE_DEFAULTS_WORKSPACE": setup.workspace,
            "AZUREML_ARM_SUBSCRIPTION": setup.subscription_id,
            "AZUREML_ARM_RESOURCEGROUP": setup.resource_group,
            "AZUREML_ARM_WORKSPACE_NAME": setup.workspace,
        }

    def config_json(self) -> dict[str, str]:
        """What the studio's «Download config file» gives."""
        setup = self.setup
        return {
            "subscription_id": setup.subscription_id,
            "resource_group": setup.resource_group,
            "workspace_name": setup.workspace,
        }

    @property
    def cloud(self) -> str:
        """The name of the cloud that the metadata document has."""
        return CLOUD

    def credential(self, principal: str = "contributor", *, seconds: float | None = None) -> StaticCredential:
        return StaticCredential(self.identity.issue(self.setup.principal(principal), seconds=seconds))

    def model(self, name: str) -> Document | None:
        """A model's container as the service holds it."""
        return self.store.get(f"{self.setup.workspace_id}/models/{name}")

    def model_versions(self, name: str) -> dict[str, Document]:
        """A model's versions as the service holds them, the first made first."""
        found = self.store.children(f"{self.setup.workspace_id}/models/{name}/versions")
        return {one["name"]: one for one in found}

    def model_files(self, name: str, version: str) -> dict[str, bytes]:
        """The bytes that a version's ``modelUri`` leads to, by their paths in its folder."""
        uri: str = self.model_versions(name)[version]["properties"]["modelUri"]
        return self.blobs.folder(uri.partition("/paths/")[2])

    def ask(self, method: str, path: str, body: Any = None, *, principal: str = "contributor") -> tuple[int, Any]:
        """A request without a client and without a trace in the journal; a path without a "/" is the workspace's."""
        token = self.identity.issue(self.setup.principal(principal))
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        whole = path if path.startswith("/") else f"{self.setup.workspace_id}/{path}"
        target = f"{quote(whole)}?api-version=2024-04-01"
        try:
            answer = self._arm(Request(method, MANAGEMENT, target, headers, json.dumps(body).encode()))
        except Refusal as refusal:
            answer = refusal.answer
        return answer.status, json.loads(answer.body or b"null")

    def wait(self) -> None:
        """Until no operation runs on an endpoint or a deployment."""
        self.services.operations.wait()

    def endpoint(self, name: str) -> Document | None:
        return self.store.get(f"{self.setup.workspace_id}/onlineEndpoints/{name}")

    def deployments(self, endpoint: str) -> dict[str, Document]:
        """An endpoint's deployments as the service holds them, the first made first."""
        found = self.store.children(f"{self.setup.workspace_id}/onlineEndpoints/{endpoint}/deployments")
        return {one["name"]: one for one in found}

    def make_endpoint(self, name: str, *, identity: str | None = None, **properties: str) -> Document:
        """With a system-assigned identity, or with the user-assigned one of this name."""
        identities: Document = {"userAssignedIdentities": {self.setup.identity_id(identity): {}}} if identity else {}
        body = {
            "location": self.setup.location,
            "identity": {"type": "UserAssigned" if identity else "SystemAssigned", **identities},
            "properties": {"authMode": "Key", "properties": properties},
        }
        status, answer = self.ask("PUT", f"onlineEndpoints/{name}", body)
        if status != 201:
            raise ValueError(answer)
        self.wait()
        made = self.endpoint(name)
        assert made
        return made

    def connect(self, name: str, properties: dict[str, Any]) -> None:
        """A connection of the workspace, by the properties that Azure's API gives one."""
        status, answer = self.ask("PUT", f"connections/{name}", {"properties": properties})
        if status != 200:
            raise ValueError(answer)

    def user_assigned(self, name: str) -> dict[str, str]:
        """``clientId`` and ``principalId`` of an identity."""
        found: dict[str, str] = (self.store.get(self.setup.identity_id(name)) or {})["properties"]
        return found

    def assign(self, principal_id: str, role: str, scope: str | None = None) -> None:
        """A role by its name; on the workspace where nothing else is said."""
        self.store.put(assignment(self.setup, principal_id, role, scope or self.setup.workspace_id, made=MADE))

    def deployment_variables(self, endpoint: str, deployment: str = "blue") -> dict[str, str]:
        """What a server gets to be in the place of a deployment, without a container around it."""
        setup, found = self.setup, self.endpoint(endpoint)
        assert found
        told = {
            "subscription_id": setup.subscription_id,
            "resource_group": setup.resource_group,
            "workspace_name": setup.workspace,
            "endpoint_name": endpoint,
            "deployment_name": deployment,
        }
        network = self.network_variables()
        del network["ARM_CLOUD_METADATA_URL"]
        override = ",".join(f"deployment.{name}={value}" for name, value in told.items())
        return {**network, **self.services.variables(found), "PRT_CONFIG_OVERRIDE": override}

    @property
    def insights_connection(self) -> str:
        """A connection string for Application Insights; what comes in is in ``insights.telemetry``."""
        key = self.setup.workspace_guid
        return f"InstrumentationKey={key};IngestionEndpoint={self.address}/;LiveEndpoint={self.address}/"
