"""The managed identity of an endpoint, for the servers of its deployments: Azure's MSI_ENDPOINT and MSI_SECRET."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time

from azure_emulator.identity import Identity
from azure_emulator.messages import Answer, Request
from azure_emulator.setup import Principal, Setup
from azure_emulator.store import Document, Store

PATH = "/msi/token"


class ManagedIdentities:
    def __init__(self, setup: Setup, store: Store, identity: Identity) -> None:
        self._setup = setup
        self._store = store
        self._identity = identity
        self._key = secrets.token_bytes(32)

    def secret(self, endpoint: Document) -> str:
        return hmac.digest(self._key, endpoint["id"].encode(), hashlib.sha256).hex()

    def site(self, request: Request) -> Answer:
        asked = request.query
        who = self._principal(request.headers.get("secret", ""), asked.get("clientid") or asked.get("client_id"))
        if who is None:
            return Answer.of({"error": "invalid_request", "error_description": "Identity not found"}, 400)
        token = self._identity.issue(who, audience=asked["resource"])
        ends = int(time.time()) + self._setup.token_seconds
        return Answer.of({"access_token": token, "expires_on": str(ends), "token_type": "Bearer"})

    def _principal(self, secret: str, client_id: str | None) -> Principal | None:
        for endpoint in self._store.children(f"{self._setup.workspace_id}/onlineEndpoints"):
            if hmac.compare_digest(self.secret(endpoint), secret):
                return _of(endpoint, client_id)
        return None


def _of(endpoint: Document, client_id: str | None) -> Principal | None:
    """A user-assigned identity has to be named, the system-assigned one must not be."""
    identity = endpoint["identity"]
    if identity["type"] == "SystemAssigned":
        thing = identity["principalId"]
        return None if client_id else Principal(endpoint["name"], thing, "", thing, ())
    for name, one in identity["userAssignedIdentities"].items():
        if one["clientId"] == client_id:
            return Principal(name.rpartition("/")[2], one["clientId"], "", one["principalId"], ())
    return None
