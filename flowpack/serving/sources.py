"""Where connections come from besides the image and the environment: an Azure ML workspace, or an HTTP store.

A workspace is asked with azure-identity alone: promptflow's own provider loads azure-ai-ml, which takes a second.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

from .problems import CannotStartError, Problem

READER = "Azure Machine Learning Workspace Connection Secrets Reader"

_PROVIDERS = ("PROMPTFLOW_CONNECTION_PROVIDER", "PF_CONNECTION_PROVIDER")
_PROVIDER = re.compile(
    r"^azureml:/{1,2}subscriptions/([^/]+)/resourcegroups/([^/]+)"
    r"(?:/providers/Microsoft\.MachineLearningServices)?/workspaces/([^/]+)$",
    re.I,
)
_DEPLOYMENT = re.compile(
    r"^/subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/Microsoft\.MachineLearningServices/workspaces/([^/]+)/",
    re.I,
)
_OVERRIDES = ("deployment.subscription_id", "deployment.resource_group", "deployment.workspace_name")

# Azure Resource Manager by azure-ai-ml's names of the clouds other than the public one.
_MANAGERS = {
    "AzureChinaCloud": "https://management.chinacloudapi.cn",
    "AzureUSGovernment": "https://management.usgovcloudapi.net",
}
_API_VERSION = "2024-04-01"
_NO_SUCH_WORKSPACE = ("SubscriptionNotFound", "ResourceGroupNotFound", "ResourceNotFound")
_TIMEOUT = (10, 30)


@dataclass(frozen=True)
class Answer:
    """``found`` holds what was given for a name, as it was given; ``absent`` are names that nothing is known by."""

    found: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()


class Source(Protocol):
    def ask(self, names: Sequence[str]) -> Answer: ...


def source_named_by(environ: Mapping[str, str]) -> Source | None:
    """The store that promptflow's variables name; CannotStartError where one of them cannot be read."""
    endpoint = environ.get("PF_HTTP_CONNECTION_PROVIDER_ENDPOINT")
    if endpoint and not is_deployment(environ):
        return HttpStore(endpoint)
    for variable in _PROVIDERS:
        provider = environ.get(variable)
        if provider:
            return None if provider == "local" else _workspace(variable, _PROVIDER.match(provider))
    if environ.get("PRT_CONFIG_OVERRIDE"):
        return _of_overrides(environ["PRT_CONFIG_OVERRIDE"])
    deployment = environ.get("AML_DEPLOYMENT_RESOURCE_ID")
    return _workspace("AML_DEPLOYMENT_RESOURCE_ID", _DEPLOYMENT.match(deployment)) if deployment else None


def can_sign_in() -> bool:
    """Whether this image has what asks a workspace; another one takes its connections from the environment."""
    try:
        return importlib.util.find_spec("azure.identity") is not None
    except ModuleNotFoundError:  # of the package above it
        return False


def is_deployment(environ: Mapping[str, str]) -> bool:
    """Whether a variable is set that tells a server which Azure ML deployment it is part of."""
    told = any(environ.get(name) for name in ("PRT_CONFIG_OVERRIDE", "AML_DEPLOYMENT_RESOURCE_ID"))
    return told or environ.get("PROMPTFLOW_CONNECTION_PROVIDER", "").startswith("azureml:")


def _workspace(variable: str, match: re.Match[str] | None) -> Workspace | None:
    if match is None:
        raise CannotStartError([Problem(variable, "does not have the form that names a workspace", missing=False)])
    return Workspace(*match.groups()) if can_sign_in() else None


def _of_overrides(text: str) -> Workspace | None:
    pairs = (setting.partition("=") for setting in text.split(","))
    settings = {key.strip(): value.strip() for key, _, value in pairs}
    lacking = [key for key in _OVERRIDES if not settings.get(key)]
    if lacking:
        raise CannotStartError([Problem("PRT_CONFIG_OVERRIDE", f"has no {', '.join(lacking)}", missing=False)])
    return Workspace(*(settings[key] for key in _OVERRIDES)) if can_sign_in() else None


@dataclass(frozen=True)
class Workspace:
    subscription: str
    resource_group: str
    name: str

    def __str__(self) -> str:
        return f"workspace '{self.name}'"

    def ask(self, names: Sequence[str]) -> Answer:
        manager = _MANAGERS.get(os.environ.get("AZUREML_CURRENT_CLOUD", ""), "https://management.azure.com")
        try:
            token = _token(manager)
        except Exception as error:  # azure-identity's and the network's, which share no base
            words = str(error).strip().partition("\n")[0].rstrip(".")
            hint = "it takes an identity, and AZURE_CLIENT_ID where that is user-assigned"
            return Answer(problems=(self._problem(f"no token to ask it with: {words}; {hint}"),))
        workspace = (
            f"{manager}/subscriptions/{quote(self.subscription, '')}/resourceGroups/{quote(self.resource_group, '')}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{quote(self.name, '')}"
        )

        def one(session: Any, name: str) -> Answer:
            url = f"{workspace}/connections/{quote(name, '')}/listsecrets?api-version={_API_VERSION}"
            response = session.post(url, headers={"Authorization": f"Bearer {token}"}, timeout=_TIMEOUT)
            return self._answer(name, response.status_code, _json(response))

        return _ask_at_once(str(self), names, one)

    def _answer(self, name: str, status: int, data: dict[str, Any]) -> Answer:
        if status == 200:
            return Answer(found={name: data})
        error = data["error"] if isinstance(data.get("error"), dict) else {}
        code, words = error.get("code", ""), str(error.get("message", "")).strip().partition("\n")[0]
        if status == 404 and code not in _NO_SUCH_WORKSPACE:
            return Answer(absent=frozenset([name]))
        if status == 403:
            told = re.search(r"object id '([^']+)'", words)
            identity = f"identity {told[1]}" if told else "deployment's identity"
            reason = f"its connections may not be read: give the {identity} the role '{READER}' on it"
            return Answer(problems=(self._problem(reason),))
        return Answer(problems=(self._problem(f"status {status} for connection '{name}': {words or code}"),))

    def _problem(self, reason: str) -> Problem:
        return Problem(str(self), reason, missing=False)


def _token(manager: str) -> str:
    """A deployment's managed identity alone gives it, as with promptflow; elsewhere whoever is signed in."""
    from azure.identity import (  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415
        DefaultAzureCredential,
        ManagedIdentityCredential,
    )

    chosen: Any
    if is_deployment(os.environ):
        chosen = ManagedIdentityCredential(client_id=os.environ.get("AZURE_CLIENT_ID") or None)
    else:
        chosen = DefaultAzureCredential(exclude_interactive_browser_credential=True)
    with chosen as credential:
        return str(credential.get_token(f"{manager}/.default").token)


@dataclass(frozen=True)
class HttpStore:
    """Answers ``GET /connections/<name>`` with what promptflow's executor takes."""

    endpoint: str

    def __str__(self) -> str:
        return "PF_HTTP_CONNECTION_PROVIDER_ENDPOINT"

    def ask(self, names: Sequence[str]) -> Answer:
        return _ask_at_once(str(self), names, self._one)

    def _one(self, session: Any, name: str) -> Answer:
        response = session.get(f"{self.endpoint.rstrip('/')}/connections/{quote(name, '')}", timeout=_TIMEOUT)
        if response.status_code == 200:
            return Answer(found={name: _json(response)})
        if response.status_code == 404:
            return Answer(absent=frozenset([name]))
        reason = f"status {response.status_code} for connection '{name}'"
        return Answer(problems=(Problem(str(self), reason, missing=False),))


def _ask_at_once(source: str, names: Sequence[str], one: Callable[[Any, str], Answer]) -> Answer:
    import requests  # type: ignore[import-untyped,unused-ignore]  # noqa: PLC0415 - promptflow-tracing brings it

    def guarded(name: str) -> Answer:
        try:
            return one(session, name)
        except requests.RequestException as error:
            cause = getattr(error.args[0] if error.args else None, "reason", error)
            words = str(cause).rpartition(": ")[2] or type(error).__name__
            return Answer(problems=(Problem(source, f"cannot be reached: {words}", missing=False),))

    again = requests.adapters.Retry(
        3, backoff_factor=0.5, status_forcelist=(408, 429, 500, 502, 503, 504), allowed_methods=None
    )
    again.raise_on_status = False
    with requests.Session() as session, ThreadPoolExecutor(8) as pool:
        for scheme in ("http://", "https://"):
            session.mount(scheme, requests.adapters.HTTPAdapter(max_retries=again))
        answers = list(pool.map(guarded, names))
    return Answer(
        found={name: data for answer in answers for name, data in answer.found.items()},
        absent=frozenset(name for answer in answers for name in answer.absent),
        problems=tuple(problem for answer in answers for problem in answer.problems),
    )


def _json(response: Any) -> dict[str, Any]:
    try:
        data = response.json()
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
