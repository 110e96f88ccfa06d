"""The hosts that requests for endpoints come to: who may ask, which deployment answers, what Azure makes of that."""

from __future__ import annotations

import contextlib
import hmac
import http.client
import random
import threading

from azure_emulator.instances import Instance, NotReady, Plan
from azure_emulator.messages import Answer, Refusal, Request
from azure_emulator.resources.deployment_plan import plan
from azure_emulator.resources.deployment_rules import seconds
from azure_emulator.resources.endpoints import KIND, audience
from azure_emulator.services import Services
from azure_emulator.setup import DOMAIN, Setup
from azure_emulator.store import Document, Store

HEADER = "azureml-model-deployment"
# azure-ai-ml asks for a token for the first of them, whatever its cloud is called.
AUDIENCES = ("https://ml.azure.com", f"https://ml.{DOMAIN}")
SCORE = f"{KIND}/score/action"
NO_DEPLOYMENT = (
    "No valid deployments to route to. Please check that the endpoint has at least one deployment with positive weight "
    "values or use a deployment specific header to route."
)


class Scoring:
    def __init__(self, setup: Setup, store: Store, services: Services) -> None:
        self._setup = setup
        self._store = store
        self._services = services

    def serves(self, host: str) -> bool:
        return host.endswith(f".{self._setup.scoring_domain}")

    def site(self, request: Request) -> Answer:
        name = request.host.removesuffix(f".{self._setup.scoring_domain}")
        endpoint = self._store.get(f"{self._setup.workspace_id}/onlineEndpoints/{name}")
        if endpoint is None:
            return _text(404, f"There is no endpoint {name}.")
        refused = self._refused(endpoint, request)
        if refused:
            return refused
        named = request.headers.get(HEADER, "").lower()
        chosen = named or _by_weight(endpoint["properties"]["traffic"])
        deployment = self._store.get(f"{endpoint['id']}/deployments/{chosen}") if chosen else None
        running = self._running(endpoint, deployment) if deployment else None
        if deployment is None or running is None:
            return _error(404, f"Specified deployment '{named}' could not be found." if named else NO_DEPLOYMENT)
        self._mirror(endpoint, request)
        return _ask(deployment, *running, request)

    def _running(self, endpoint: Document, deployment: Document) -> tuple[Plan, Instance] | None:
        """Also what an emulator before this one deployed, in a folder that both keep their resources in."""
        instances, identifier = self._services.instances, deployment["id"]
        running = instances.get(identifier)
        if running is None and deployment["properties"]["provisioningState"] == "Succeeded":
            with contextlib.suppress(NotReady):
                instances.ensure(identifier, plan(self._setup, self._store, self._services, endpoint, deployment))
        return running or instances.get(identifier)

    def _refused(self, endpoint: Document, request: Request) -> Answer | None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        mode = endpoint["properties"]["authMode"]
        if scheme.lower() != "bearer" or not given:
            return _text(401, f"{_MODES[mode]}_auth_bad_header_forbidden")
        if mode == "Key":
            keys = self._store.get(f"{endpoint['id']}/keys/keys") or {}
            fits = [hmac.compare_digest(keys[one], given) for one in ("primaryKey", "secondaryKey")]
            return None if any(fits) else _text(401, "key_auth_access_denied")
        try:
            audiences = AUDIENCES if mode == "AADToken" else (audience(endpoint["id"]),)
            caller = self._services.identity.caller(request, audiences)
        except Refusal:
            return _text(401, f"{_MODES[mode]}_auth_access_denied")
        if mode == "AADToken" and not self._services.roles.allow(caller, SCORE, endpoint["id"]):
            return _text(403, "aad_auth_access_denied")
        return None

    def _mirror(self, endpoint: Document, request: Request) -> None:
        """A copy of the request goes to one more deployment, and nobody waits for its answer."""
        for name, percent in endpoint["properties"]["mirrorTraffic"].items():
            deployment = self._store.get(f"{endpoint['id']}/deployments/{name}")
            running = self._running(endpoint, deployment) if deployment else None
            if deployment and running and random.random() * 100 < percent:
                threading.Thread(target=_ask, args=(deployment, *running, request), daemon=True).start()


_MODES = {"Key": "key", "AMLToken": "token", "AADToken": "aad"}


def _by_weight(traffic: dict[str, int]) -> str | None:
    """What is missing to 100 percent is shared out among those that get any."""
    names = [name for name, percent in traffic.items() if percent]
    return random.choices(names, [traffic[name] for name in names])[0] if names else None


def _ask(deployment: Document, running: Plan, instance: Instance, request: Request) -> Answer:
    limit = seconds(deployment["properties"]["requestSettings"]["requestTimeout"])
    own = {HEADER: deployment["name"]}
    # Azure's own name of the scoring route is /score; an image may have another.
    path = request.target.replace("/score", running.scoring.path, 1) if request.path == "/score" else request.target
    try:
        answer = instance.forward(request, path, limit)
    except TimeoutError:
        return _error(408, f"The model execution took longer than {limit:g} seconds.", own)
    except (OSError, http.client.HTTPException):
        return _error(502, "The model's server closed the connection without an answer.", own)
    if answer.status < 400:
        return Answer(answer.status, answer.body, {**answer.headers, **own})
    about = {"ms-azureml-model-error-statuscode": str(answer.status), "ms-azureml-model-error-reason": "model_error"}
    return Answer(424, answer.body, {**answer.headers, **own, **about})


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer.of({"error": {"code": "UserError", "message": message}}, status, headers)


def _text(status: int, words: str) -> Answer:
    return Answer(status, words.encode(), {"Content-Type": "text/plain"})
