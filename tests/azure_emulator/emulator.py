"""The emulator as one object: start it, tell programs of it, look into it, spoil it."""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from tests.azure_emulator.arm import CLOUD, ResourceManager
from tests.azure_emulator.blobs import BlobService
from tests.azure_emulator.certificates import issue
from tests.azure_emulator.control import Control
from tests.azure_emulator.faults import Faults
from tests.azure_emulator.identity import Identity
from tests.azure_emulator.journal import Journal
from tests.azure_emulator.messages import Answer, Request
from tests.azure_emulator.resources import ROUTES, provision
from tests.azure_emulator.server import OWN, Listener, Site
from tests.azure_emulator.setup import LOGIN, MANAGEMENT, PUBLIC_LOGIN, Setup
from tests.azure_emulator.store import Document, Store

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
        self.journal = Journal()
        self.faults = Faults()
        self.identity = Identity(self.setup)
        self._stack = ExitStack()
        self._folder = folder or Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="azure-emulator-")))
        self.store = Store(folder / "resources" if folder else None)
        provision(self.setup, self.store)
        self.certificates = issue(
            self._folder / "tls", MANAGEMENT, LOGIN, PUBLIC_LOGIN, self.setup.blob_host, *LOOPBACK
        )
        self._keeps = folder is not None
        self._azurite = azurite
        self._blobs: BlobService | None = None
        self._sites = self._hosts()
        self._listener = Listener(port, self.certificates.of_server(), self._sites.get, self.journal, self.faults)

    def _hosts(self) -> dict[str, Site]:
        arm = ResourceManager(self.setup, self.store, self.identity, ROUTES).site
        control = Control(self.store, self.journal, self.faults, self._blob_names).site

        def local(request: Request) -> Answer:
            return (control if request.path.startswith(OWN) else arm)(request)

        return {
            MANAGEMENT: arm,
            LOGIN: self.identity.site,
            PUBLIC_LOGIN: self.identity.site,
            **dict.fromkeys(LOOPBACK, local),
        }

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
                self._azurite, self.setup, self.identity, self.certificates, folder, keep=self._keeps
            )
            self._stack.callback(self._blobs.close)
            self._blobs.wait()
            self._sites[self.setup.blob_host] = self._blobs.site
        threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._stack.callback(self._listener.close)

    def stop(self) -> None:
        self.faults.clear()
        self._stack.close()

    def _blob_names(self) -> list[str]:
        return self.blobs.names()

    def reset(self) -> None:
        """As it was after its start, without another start."""
        self.faults.clear()
        self.store.clear()
        provision(self.setup, self.store)
        if self._blobs:
            self._blobs.clear()
        self.journal.clear()

    @property
    def port(self) -> int:
        return self._listener.port

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
        proxy, bundle = f"http://127.0.0.1:{self.port}", str(self.certificates.bundle)
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
