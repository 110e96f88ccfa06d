"""A workspace's connections, a managed identity and Application Insights, for a server in an Azure ML of its own.

    with AzureStandIn(tmp_path, connections={...}) as azure:
        ...  # a process with azure.environment

Azure Resource Manager is reached under its own name and over TLS, through a proxy that ends here.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import ssl
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import trustme

WORKSPACE = "/subscriptions/sub-1/resourceGroups/group-1/providers/Microsoft.MachineLearningServices/workspaces/prod"
OVERRIDE = (
    "deployment.subscription_id=sub-1,deployment.resource_group=group-1,deployment.workspace_name=prod,"
    "deployment.endpoint_name=chat,deployment.deployment_name=blue"
)
PRINCIPAL = "11111111-2222-3333-4444-555555555555"
_HOST = "management.azure.com"
_LIST_SECRETS = re.compile(r"^(?P<workspace>/subscriptions/.+)/connections/(?P<name>[^/]+)/listsecrets$")


def _token(audience: str) -> str:
    """Not signed: promptflow looks for nothing but its audience."""
    parts = ({"alg": "none"}, {"aud": audience, "oid": PRINCIPAL})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def api_key(category: str, target: str, key: str, **metadata: str) -> dict[str, Any]:
    """A connection as the workspace answers with it."""
    return {
        "authType": "ApiKey",
        "category": category,
        "target": target,
        "credentials": {"key": key},
        "metadata": metadata,
    }


def custom_keys(secrets: dict[str, str], **metadata: str) -> dict[str, Any]:
    return {
        "authType": "CustomKeys",
        "category": "CustomKeys",
        "target": "_",
        "credentials": {"keys": secrets},
        "metadata": metadata,
    }


@dataclass
class AzureStandIn:
    """``client_id`` is the only user-assigned identity there is; None stands for a system-assigned one."""

    folder: Path
    connections: dict[str, dict[str, Any]] = field(default_factory=dict)
    client_id: str | None = None
    may_read: bool = True
    asked: list[str] = field(default_factory=list)
    telemetry: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> AzureStandIn:
        authority = trustme.CA()
        self._bundle = self.folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self._bundle))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(_HOST).configure_cert(context)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, context))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return {
            "HTTPS_PROXY": url,
            "NO_PROXY": "127.0.0.1",
            "REQUESTS_CA_BUNDLE": str(self._bundle),
            "MSI_ENDPOINT": f"{url}/msi",
            "MSI_SECRET": "secret-of-the-endpoint",
            "PRT_CONFIG_OVERRIDE": OVERRIDE,
        }

    @property
    def insights(self) -> str:
        """A connection string for Application Insights."""
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return f"InstrumentationKey={PRINCIPAL};IngestionEndpoint={url}/;LiveEndpoint={url}/"

    def token(self, query: dict[str, list[str]], secret: str | None) -> tuple[int, dict[str, Any]]:
        client = query.get("clientid", [None])[0]
        if secret != "secret-of-the-endpoint" or client != self.client_id:
            return 400, {"error": "invalid_request", "error_description": "Identity not found"}
        lasts = int(time.time()) + 3600
        token = _token(query["resource"][0])
        return 200, {"access_token": token, "expires_on": str(lasts), "token_type": "Bearer"}

    def secrets(self, path: str, authorization: str | None) -> tuple[int, dict[str, Any]]:
        match = _LIST_SECRETS.match(path)
        if match is None or match["workspace"].lower() != WORKSPACE.lower():  # Azure does not tell them apart
            message = "The Resource 'Microsoft.MachineLearningServices/workspaces/other' was not found."
            return 404, {"error": {"code": "ResourceNotFound", "message": message}}
        name = unquote(match["name"])
        self.asked.append(name)
        if authorization not in (f"Bearer {_token(f'https://{_HOST}{end}')}" for end in ("", "/")):
            return 401, {"error": {"code": "InvalidAuthenticationToken", "message": "The access token is invalid."}}
        if not self.may_read:
            message = (
                f"The client '{PRINCIPAL}' with object id '{PRINCIPAL}' does not have authorization to perform action "
                f"'.../connections/listsecrets/action' over scope '{path}' or the scope is invalid."
            )
            return 403, {"error": {"code": "AuthorizationFailed", "message": message}}
        if name not in self.connections:
            return 404, {
                "error": {"code": "UserError", "message": f"Connection {name} can't be found in the workspace"}
            }
        return 200, {"id": path, "name": name, "properties": self.connections[name]}


def _handler(azure: AzureStandIn, context: ssl.SSLContext) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_CONNECT(self) -> None:
            if self.path != f"{_HOST}:443":
                self._answer(502, {})
                return
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile = self.connection.makefile("rb")
            self.wfile = self.connection.makefile("wb", 0)
            self.close_connection = False

        def do_GET(self) -> None:
            self._answer(*azure.token(parse_qs(urlsplit(self.path).query), self.headers.get("secret")))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            path = urlsplit(self.path).path
            if path.endswith("/track"):
                items = json.loads(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
                azure.telemetry += items
                self._answer(200, {"itemsReceived": len(items), "itemsAccepted": len(items), "errors": []})
            else:
                self._answer(*azure.secrets(path, self.headers.get("authorization")))

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
