"""The real blob service: Azurite, behind the emulator's own TLS so that requests to it can be seen and spoilt."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from azure.storage.blob import ContainerClient

from azure_emulator.certificates import Certificates
from azure_emulator.identity import Identity
from azure_emulator.messages import Answer, Refusal, Request, storage_refusal
from azure_emulator.roles import BLOBS, Roles
from azure_emulator.setup import Setup

STATE = Path(__file__).parents[1] / ".cache" / "real-parts"

AUDIENCE = "https://storage.azure.com"

# Ends the program when its own input ends: when it is told to, or when a killed test run leaves it behind.
WHILE_INPUT_IS_OPEN = 'exec 3<&0; "$@" & program=$!; (cat <&3 >/dev/null; kill $program 2>/dev/null) & wait $program'

# Of one connection, and Azurite's own to write.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade", "date"}


def find_azurite() -> Path | None:
    """What ``scripts/real-parts up`` installed, or an ``azurite-blob`` on the PATH."""
    installed = Path(os.environ.get("REAL_PARTS_STATE", STATE)) / "azurite" / "node_modules" / ".bin" / "azurite-blob"
    if installed.exists() and shutil.which("node"):
        return installed
    on_path = shutil.which("azurite-blob")
    return Path(on_path) if on_path else None


class BlobService:
    """``folder`` keeps the log, and the blobs too where ``keep`` is set."""

    def __init__(
        self,
        program: Path,
        setup: Setup,
        identity: Identity,
        roles: Roles,
        certificates: Certificates,
        folder: Path,
        *,
        keep: bool,
    ) -> None:
        self._setup = setup
        self._identity = identity
        self._roles = roles
        self._certificates = certificates
        self._log = folder / "azurite.log"
        self._context = certificates.of_client()
        self._local = threading.local()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = ["sh", "-c", WHILE_INPUT_IS_OPEN, "azurite", str(program)]
        command += ["--blobHost", "127.0.0.1", "--blobPort", str(self.port)]
        command += ["--cert", str(certificates.certificate), "--key", str(certificates.key), "--oauth", "basic"]
        command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        command += ["--location", str(folder)] if keep else ["--inMemoryPersistence"]
        accounts = {"AZURITE_ACCOUNTS": f"{setup.storage_account}:{setup.storage_key}"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env={**os.environ, **accounts}, stdin=subprocess.PIPE, stdout=log, stderr=log
            )

    def wait(self, seconds: float = 60) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                self._make_container()
                return
        self.close()
        raise RuntimeError(f"Azurite did not start:\n{self._log.read_text()}")

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=30)

    def site(self, request: Request) -> Answer:
        """Azurite believes every token; whose it is and what they may is asked here."""
        if request.headers.get("authorization", "").lower().startswith("bearer "):
            try:
                caller = self._identity.caller(request, (AUDIENCE,))
            except Refusal:
                return storage_refusal(401, "InvalidAuthenticationInfo", "Server failed to authenticate the request.")
            verb = "read" if request.method in ("GET", "HEAD") else "write"
            if not self._roles.allow_data(caller, f"{BLOBS}/{verb}", self._setup.storage_id):
                text = "This request is not authorized to perform this operation using this permission."
                return storage_refusal(403, "AuthorizationPermissionMismatch", text)
        return self._pass_on(request)

    def _pass_on(self, request: Request) -> Answer:
        """The request as it is: its signature is over the account's name, which is in ``Host``."""
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
        for again in (False, True):
            connection = self._connection()
            try:
                connection.request(request.method, request.target, request.body, {**headers, "host": request.host})
                answer = connection.getresponse()
                kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
                if request.method == "HEAD" and (length := answer.getheader("Content-Length")):
                    kept.append(("Content-Length", length))
                return Answer(answer.status, answer.read(), dict(kept))
            except (http.client.RemoteDisconnected, ConnectionError):
                # Azurite ends a connection that was quiet for five seconds.
                connection.close()
                if again:
                    raise
        raise AssertionError

    def _connection(self) -> http.client.HTTPSConnection:
        """One for each thread, that is for each connection of a client."""
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self._context)
        kept: http.client.HTTPSConnection = self._local.connection
        return kept

    def _container(self) -> ContainerClient:
        # By the address, so that no proxy of the test's environment comes between.
        return ContainerClient(
            f"https://127.0.0.1:{self.port}/{self._setup.storage_account}",
            self._setup.container,
            credential={"account_name": self._setup.storage_account, "account_key": self._setup.storage_key},
            connection_verify=str(self._certificates.bundle),
            proxies={"https": ""},
        )

    def _make_container(self) -> None:
        with self._container() as container:
            if not container.exists():
                container.create_container()

    def names(self, prefix: str = "") -> list[str]:
        with self._container() as container:
            return sorted(container.list_blob_names(name_starts_with=prefix or None))

    def read(self, name: str) -> bytes:
        with self._container() as container:
            content: bytes = container.download_blob(name).readall()
            return content

    def folder(self, prefix: str) -> dict[str, bytes]:
        """What is under a path of the container, by the rest of each name."""
        return {name[len(prefix) :].lstrip("/"): content for name, content in self._contents(prefix)}

    def _contents(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        with self._container() as container:
            for name in sorted(container.list_blob_names(name_starts_with=f"{prefix.rstrip('/')}/")):
                yield name, container.download_blob(name).readall()

    def clear(self) -> None:
        with self._container() as container:
            for name in list(container.list_blob_names()):
                container.delete_blob(name)
