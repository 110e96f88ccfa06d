"""Azure Resource Manager: what it asks of every request before a resource's own rules are asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import unquote

from azure_emulator import schema
from azure_emulator.messages import Answer, Refusal, Request
from azure_emulator.roles import ML
from azure_emulator.services import Services
from azure_emulator.setup import LOGIN, MANAGEMENT, STORAGE_SUFFIX, Principal, Setup
from azure_emulator.store import Document, Store

CLOUD = "FlowpackTests"

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
WORKSPACES = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces"
WORKSPACE = f"{WORKSPACES}/{{workspace}}"

ANY = "*"

# azure-ai-ml pins one for each kind of resource.
API_VERSION = re.compile(r"20\d\d-(0[1-9]|1[0-2])-\d\d(-preview)?")


@dataclass(frozen=True)
class Call:
    """One allowed, well-formed request to a resource."""

    request: Request
    setup: Setup
    store: Store
    services: Services
    caller: Principal
    names: Mapping[str, str]
    """What the route's template took out of the path; the levels down to the workspace as they are really spelled,
    endpoints and deployments in lower case: Azure takes no notice of theirs."""
    identifier: str
    body: Any = None

    def stamp(self, before: Document | None = None) -> Document:
        now = {"By": self.caller.name, "ByType": "Application", "At": datetime.now(timezone.utc).isoformat()}
        modified = {f"lastModified{name}": value for name, value in now.items()}
        created = before["systemData"] if before else {f"created{name}": value for name, value in now.items()}
        return {**created, **modified}


@dataclass(frozen=True)
class Route:
    """A request that is understood: ``action`` is what a role has to allow, ``body`` a model of azure-ai-ml.

    A body that azure-ai-ml has no model of is ANY.
    """

    method: str
    template: str
    action: str
    handle: Callable[[Call], Answer]
    body: str = ""

    def names(self, method: str, path: str) -> dict[str, str] | None:
        if method != self.method:
            return None
        pattern = re.sub(
            r"\{(\w+)\}", r"(?P<\1>[^/]+)", re.escape(self.template).replace(r"\{", "{").replace(r"\}", "}")
        )
        fits = re.fullmatch(pattern, path.rstrip("/"), re.IGNORECASE)
        return {name: unquote(value) for name, value in fits.groupdict().items()} if fits else None


class ResourceManager:
    def __init__(self, setup: Setup, store: Store, services: Services, routes: list[Route]) -> None:
        self._setup = setup
        self._store = store
        self._services = services
        self._routes = routes

    def site(self, request: Request) -> Answer:
        if request.path == "/metadata/endpoints":
            return Answer.of([_cloud()])
        caller = self._services.identity.caller(request)
        _check_api_version(request)
        for route in self._routes:
            names = route.names(request.method, request.path)
            if names is not None:
                return self._call(request, caller, route, names)
        raise Refusal(
            404, "NotFound", f"The emulator has no answer to {request.method} {request.path}: azure_emulator."
        )

    def _call(self, request: Request, caller: Principal, route: Route, names: dict[str, str]) -> Answer:
        self._check_subscription(names)
        # Azure does not say what there is to one who has no role there.
        if route.action and not self._services.roles.allow(caller, route.action, request.path):
            raise not_authorized(caller, route.action, request.path)
        self._check_levels(names)
        setup = self._setup
        levels = {"subscription": setup.subscription_id, "group": setup.resource_group, "workspace": setup.workspace}
        names = names | {name: value for name, value in levels.items() if name in names}
        names = names | {name: names[name].lower() for name in ("endpoint", "deployment") if name in names}
        identifier = route.template.format(**names)
        body = _body(request, route.body)
        return route.handle(Call(request, setup, self._store, self._services, caller, names, identifier, body))

    def _check_subscription(self, names: Mapping[str, str]) -> None:
        named = names["subscription"]
        if named.lower() != self._setup.subscription_id:
            raise Refusal(404, "SubscriptionNotFound", f"The subscription '{named}' could not be found.")

    def _check_levels(self, names: Mapping[str, str]) -> None:
        group, workspace = names.get("group", self._setup.resource_group), names.get("workspace", self._setup.workspace)
        if group.lower() != self._setup.resource_group.lower():
            raise Refusal(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        if workspace.lower() != self._setup.workspace.lower():
            raise Refusal(
                404,
                "ResourceNotFound",
                f"The Resource '{ML}/{workspace}' under resource group '{group}' was not found. For more details "
                "please go to https://aka.ms/ARMResourceNotFoundFix",
            )


def not_authorized(caller: Principal, action: str, scope: str) -> Refusal:
    return Refusal(
        403,
        "AuthorizationFailed",
        f"The client '{caller.client_id}' with object id '{caller.object_id}' does not have authorization to "
        f"perform action '{action}' over scope '{scope}' or the scope is invalid. If access was "
        "recently granted, please refresh your credentials.",
    )


def _check_api_version(request: Request) -> None:
    version = request.query.get("api-version")
    if not version:
        raise Refusal(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if not API_VERSION.fullmatch(version):
        raise Refusal(400, "InvalidApiVersionParameter", f"The api-version '{version}' is invalid.")


def _body(request: Request, model: str) -> Any:
    if not model:
        return None
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refusal(
            415, "UnsupportedMediaType", "The content media type is not supported. Only 'application/json' is."
        )
    try:
        body = json.loads(request.body)
    except ValueError as error:
        raise _unreadable([str(error)]) from None
    wrong = schema.problems(body, model) if model != ANY else []
    if wrong:
        raise _unreadable(wrong)
    return body


def _unreadable(problems: list[str]) -> Refusal:
    code = "InvalidRequestContent"
    return Refusal(
        400,
        code,
        f"The request content was invalid and could not be deserialized: '{problems[0]}'.",
        details=[{"code": code, "message": one} for one in problems],
    )


def _cloud() -> Document:
    """Azure's own document of its clouds, with one cloud in it."""
    return {
        "name": CLOUD,
        # azure-ai-ml makes ``https://ml.azure.<suffix>`` of what follows the second full stop.
        "portal": "https://portal.azure.test/",
        "authentication": {
            "loginEndpoint": f"https://{LOGIN}/",
            "audiences": [f"https://{MANAGEMENT}/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "resourceManager": f"https://{MANAGEMENT}/",
        "suffixes": {"storage": STORAGE_SUFFIX},
    }
