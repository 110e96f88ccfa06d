"""Entra ID as far as a client-credential flow goes, and the tokens that it issues."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from azure_emulator.messages import Answer, Refusal, Request, entra_refusal
from azure_emulator.setup import LOGIN, MANAGEMENT, PUBLIC_LOGIN, PUBLIC_MANAGEMENT, Principal, Setup

ARM = (f"https://{MANAGEMENT}", f"https://{PUBLIC_MANAGEMENT}")


class Identity:
    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._applications = {one.client_id: one for one in setup.principals}
        self._signing = secrets.token_bytes(32)

    def site(self, request: Request) -> Answer:
        if request.path.endswith("/discovery/instance"):
            return _instance_discovery(request.query["authorization_endpoint"])
        parts = request.path.strip("/").split("/", 1)
        if request.host == PUBLIC_LOGIN or len(parts) < 2:
            raise Refusal(404, "NotFound", f"the emulator has nothing at {request.url}")
        tenant, what = parts
        if tenant != self._setup.tenant_id:
            return entra_refusal(
                400,
                "invalid_tenant",
                90002,
                f"Tenant '{tenant}' not found. Check to make sure you have the "
                "correct tenant ID and are signing into the correct cloud.",
            )
        if what == "v2.0/.well-known/openid-configuration":
            return self._configuration()
        if what == "oauth2/v2.0/token" and request.method == "POST":
            return self._token(request)
        raise Refusal(404, "NotFound", f"the emulator has nothing at {request.url}")

    def issue(self, who: Principal, *, audience: str = f"https://{MANAGEMENT}", seconds: float | None = None) -> str:
        """A token of the shape that Entra ID's have, signed with a key of this process. ``seconds`` may be negative."""
        now = int(time.time())
        claims = {
            "aud": audience,
            "iss": f"https://sts.windows.net/{self._setup.tenant_id}/",
            "iat": now - 7200,
            "nbf": now - 7200,
            "exp": int(now + (self._setup.token_seconds if seconds is None else seconds)),
            "appid": who.client_id,
            "idtyp": "app",
            "name": who.name,
            "oid": who.object_id,
            "tid": self._setup.tenant_id,
            "ver": "1.0",
        }
        text = f"{_encoded({'typ': 'JWT', 'alg': 'HS256'})}.{_encoded(claims)}"
        return f"{text}.{self._signature(text)}"

    def caller(self, request: Request, audiences: tuple[str, ...] = ARM) -> Principal:
        """Who asks, or 401 in Azure Resource Manager's words. Roles are not the token's to tell."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise self._challenge(
                "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing or invalid."
            )
        text, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature, self._signature(text)):
            raise self._challenge("InvalidAuthenticationToken", "The access token is invalid.", "invalid_token")
        claims = _decoded(text.split(".")[1])
        if claims["exp"] <= time.time():
            ended, now = (time.strftime("%m/%d/%Y %I:%M:%S %p", time.gmtime(at)) for at in (claims["exp"], time.time()))
            raise self._challenge(
                "ExpiredAuthenticationToken",
                f"The access token expiry UTC time '{ended}' is earlier than current UTC time '{now}'.",
                "invalid_token",
            )
        if claims["aud"].rstrip("/") not in audiences:
            raise self._challenge(
                "InvalidAuthenticationTokenAudience",
                "The access token has been obtained for wrong audience or resource "
                f"'{claims['aud']}'. It should exactly match with one of the allowed audiences '{audiences[0]}/'.",
                "invalid_token",
            )
        return Principal(claims["name"], claims["appid"], "", claims["oid"], ())

    def _challenge(self, code: str, message: str, error: str = "") -> Refusal:
        challenge = f'Bearer authorization_uri="https://{LOGIN}/{self._setup.tenant_id}"'
        if error:
            challenge += f', error="{error}", error_description="{message}"'
        return Refusal(401, code, message, headers={"WWW-Authenticate": challenge})

    def _signature(self, text: str) -> str:
        return base64.urlsafe_b64encode(hmac.digest(self._signing, text.encode(), hashlib.sha256)).rstrip(b"=").decode()

    def _configuration(self) -> Answer:
        base = f"https://{LOGIN}/{self._setup.tenant_id}"
        return Answer.of(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
            }
        )

    def _token(self, request: Request) -> Answer:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        client_id, scope = form.get("client_id", ""), form.get("scope", "")
        if form.get("grant_type") != "client_credentials":
            return entra_refusal(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
        known = self._applications.get(client_id)
        if known is None:
            return entra_refusal(
                400,
                "unauthorized_client",
                700016,
                f"Application with identifier '{client_id}' was not found in the directory '{self._setup.tenant_id}'.",
            )
        if form.get("client_secret") != known.secret:
            return entra_refusal(
                401,
                "invalid_client",
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{client_id}'.",
            )
        audience = scope.removesuffix("/.default")
        if audience == scope or not audience.startswith("https://"):
            return entra_refusal(400, "invalid_scope", 1002012, f"The provided value for scope {scope} is not valid.")
        return Answer.of(
            {
                "token_type": "Bearer",
                "expires_in": self._setup.token_seconds,
                "ext_expires_in": self._setup.token_seconds,
                "access_token": self.issue(known, audience=audience),
            }
        )


def _instance_discovery(endpoint: str) -> Answer:
    """That an authority is known, and where the tenant of this endpoint is told of."""
    tenant = urlsplit(endpoint).path.split("/")[1]
    return Answer.of(
        {
            "tenant_discovery_endpoint": f"https://{LOGIN}/{tenant}/v2.0/.well-known/openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": LOGIN, "preferred_cache": LOGIN, "aliases": [LOGIN]}],
        }
    )


def _encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _decoded(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return value
