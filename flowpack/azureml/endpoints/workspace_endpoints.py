"""The online endpoints of a workspace: read from Azure Resource Manager, written through azure-ai-ml."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

from flowpack.azureml.endpoints.busy import EndpointBusy
from flowpack.azureml.endpoints.documents import DeploymentDocument, EndpointDocument
from flowpack.azureml.endpoints.states import FAILED, Deployment, Endpoint
from flowpack.azureml.resource_manager import ResourceManager
from flowpack.azureml.sdk import quiet, sdk
from flowpack.azureml.service_errors import translated, words_of
from flowpack.azureml.workspace import Workspace
from flowpack.errors import AzureError, FlowpackError, InputError
from flowpack.reporting import SILENT, Reporter, Task

SERVER, MODEL_DOWNLOAD = "InferenceServer", "StorageInitializer"
"""The containers of a deployment that keep a log."""

_ENDPOINTS, _DEPLOYMENTS = "onlineEndpoints", "deployments"
_AUDIENCE = "https://ml.azure.com/.default"
_POLL = 1.0  # seconds
_LINES = 60

_NO_TAGS: Mapping[str, str] = MappingProxyType({})
_CONFLICT = 409
_RUNNING = re.compile(r"already running|in progress|another operation|currently being", re.I)


class WorkspaceEndpoints:
    def __init__(self, workspace: Workspace, reporter: Reporter = SILENT) -> None:
        self.workspace = workspace
        self.resources = ResourceManager(workspace)  # for what is looked at before something is written, too
        self._reporter = reporter

    def __str__(self) -> str:
        return str(self.workspace)

    def endpoints(self) -> list[Endpoint]:
        return sorted(map(Endpoint.of, self.resources.listed(_ENDPOINTS)), key=lambda each: each.name)

    def endpoint(self, name: str) -> Endpoint | None:
        found = self.resources.get(_ENDPOINTS, name)
        return Endpoint.of(found) if found else None

    def existing(self, name: str) -> Endpoint:
        endpoint = self.endpoint(name)
        if endpoint is None:
            raise InputError(f"there is no endpoint '{name}' in {self}", hint="`flowpack endpoint list` names them")
        return endpoint

    def deployments(self, endpoint: str) -> list[Deployment]:
        found = self.resources.listed(_ENDPOINTS, endpoint, _DEPLOYMENTS)
        return sorted(map(Deployment.of, found), key=lambda each: each.name)

    def check_documents(self, endpoint: EndpointDocument, deployment: DeploymentDocument) -> None:
        """An InputError where azure-ai-ml does not take one of the two, before anything is made."""
        _endpoint_entity(endpoint)
        _deployment_entity(deployment)

    def write_endpoint(self, document: EndpointDocument) -> Endpoint:
        """Makes it, or brings one that is there in line; what the document does not say stays."""

        def begin() -> Any:
            entity = _endpoint_entity(document)
            if self.endpoint(document.name):
                _complete(entity, self._client.online_endpoints.get(document.name))
            return self._client.online_endpoints.begin_create_or_update(entity)

        self._carry_out(f"endpoint {document.name}", "writing", begin)
        return self.existing(document.name)

    def set_traffic(self, name: str, traffic: Mapping[str, int], tags: Mapping[str, str] = _NO_TAGS) -> None:
        """``tags`` come to those that there are, and take their place; of an empty value they take it away."""

        def begin() -> Any:
            entity = self._client.online_endpoints.get(name)
            entity.traffic = dict(traffic)
            entity.tags = {key: value for key, value in {**(entity.tags or {}), **tags}.items() if value}
            # A deployment that gets traffic cannot be mirrored to as well.
            mirrored = {each: share for each, share in entity.mirror_traffic.items() if not traffic.get(each)}
            entity.mirror_traffic = mirrored
            return self._client.online_endpoints.begin_create_or_update(entity)

        self._carry_out(f"endpoint {name}", "setting the traffic of", begin)

    def write_deployment(self, document: DeploymentDocument) -> None:
        """Until it serves; else an AzureError with the last lines of its log."""

        def begin() -> Any:
            # A new one each time, as azure-ai-ml writes into it.
            return self._client.online_deployments.begin_create_or_update(_deployment_entity(document))

        try:
            self._carry_out(f"deployment {document.name}", "starting", begin)
        except AzureError as error:
            found = self.resources.get(_ENDPOINTS, document.endpoint_name, _DEPLOYMENTS, document.name)
            if found is None or Deployment.of(found).state != FAILED:
                raise
            logs = self._last_words(document.endpoint_name, document.name)
            raise AzureError(
                f"deployment {document.name} of endpoint {document.endpoint_name} does not start",
                detail="\n".join(filter(None, (error.detail, logs))),
                hint=error.hint,
            ) from error

    def delete_deployment(self, endpoint: str, name: str) -> None:
        deployments = self._client.online_deployments
        self._carry_out(f"deployment {name}", "removing", lambda: deployments.begin_delete(name, endpoint))

    def delete_endpoint(self, name: str) -> None:
        self._carry_out(f"endpoint {name}", "removing", lambda: self._client.online_endpoints.begin_delete(name))

    def logs(self, endpoint: str, deployment: str, *, lines: int, container: str = SERVER) -> str:
        body = {"containerType": container, "tail": lines}
        answer = self.resources.post(_ENDPOINTS, endpoint, _DEPLOYMENTS, deployment, "getLogs", body=body)
        return str(answer.get("content") or "")

    def keys(self, endpoint: str) -> dict[str, str]:
        """``primary`` and ``secondary``."""
        answer = self.resources.post(_ENDPOINTS, endpoint, "listKeys")
        return {"primary": answer["primaryKey"], "secondary": answer["secondaryKey"]}

    def regenerate_key(self, endpoint: str, which: str) -> None:
        endpoints = self._client.online_endpoints
        self._carry_out(
            f"endpoint {endpoint}",
            "regenerating a key of",
            lambda: endpoints.begin_regenerate_keys(endpoint, key_type=which),
        )

    def bearer(self, endpoint: Endpoint) -> str:
        """What a request to it shows: a key, or a token of its kind."""
        if endpoint.auth_mode == "key":
            return self.keys(endpoint.name)["primary"]
        if endpoint.auth_mode == "aml_token":
            return str(self.resources.post(_ENDPOINTS, endpoint.name, "token")["accessToken"])
        try:
            return str(self.resources.credential.get_token(_AUDIENCE).token)
        except Exception as error:
            raise translated(error, self.workspace) from error

    @cached_property
    def _client(self) -> Any:
        with quiet():
            return sdk().ml_client(self.workspace, self.resources.credential)

    def _carry_out(self, what: str, doing: str, begin: Callable[[], Any]) -> None:
        """Begins a long-running operation and waits for its end. EndpointBusy if another one is under way.

        ``doing`` what is the task that the user waits for: "starting" "deployment blue".
        """
        try:
            # azure-ai-ml prints a full stop each time it asks, from a thread of its own.
            with contextlib.redirect_stdout(io.StringIO()), self._reporter.task(f"{doing} {what}") as task:
                poller = self._begun(what, begin)
                wait_for(poller, task)
                poller.result()
        except KeyboardInterrupt:
            self._reporter.warning(f"{what}: Azure goes on with it")
            raise
        except (FlowpackError, EndpointBusy):
            raise
        except Exception as error:
            raise self._failed(what, error) from error

    def _begun(self, what: str, begin: Callable[[], Any]) -> Any:
        try:
            with quiet():
                return begin()
        except Exception as error:
            if getattr(error, "status_code", None) == _CONFLICT and _RUNNING.search(words_of(error)):
                raise EndpointBusy(what) from error
            raise

    def _failed(self, what: str, error: Exception) -> FlowpackError:
        """An operation that was taken and then failed answers 200, with its own error inside."""
        if getattr(error, "status_code", None) in (200, 201, 202):
            return AzureError(f"{what}: Azure could not do it", detail=words_of(error))
        return translated(error, self.workspace)

    def _last_words(self, endpoint: str, deployment: str) -> str:
        for container in (SERVER, MODEL_DOWNLOAD):
            with contextlib.suppress(AzureError):
                found = self.logs(endpoint, deployment, lines=_LINES, container=container).strip()
                if found:
                    return f"the last lines of its log ({container}):\n{found}"
        return ""


def wait_for(poller: Any, task: Task) -> None:
    """Until Azure has ended the operation. The task shows Azure's own word for its state."""
    while not poller.done():
        task.detail(str(poller.status()))
        poller.wait(_POLL)


def _complete(entity: Any, present: Any) -> None:
    """A PUT takes away what it does not say."""
    entity.traffic, entity.mirror_traffic = present.traffic, present.mirror_traffic
    entity.tags = {**(present.tags or {}), **entity.tags}
    entity.properties = {**(present.properties or {}), **(entity.properties or {})}
    for field in ("description", "identity", "public_network_access"):
        if getattr(entity, field, None) is None and getattr(present, field, None) is not None:
            setattr(entity, field, getattr(present, field))


def _endpoint_entity(document: EndpointDocument) -> Any:
    with quiet():
        return _loaded(sdk().load_online_endpoint, document.text())


def _deployment_entity(document: DeploymentDocument) -> Any:
    with quiet():
        return _loaded(sdk().load_online_deployment, document.text())


def _loaded(load: Callable[..., Any], text: str) -> Any:
    """The entity; azure-ai-ml says which field it does not take."""
    try:
        return load(io.StringIO(text), relative_origin=".")
    except Exception as error:
        said = str(error).partition("Visit this link")[0].strip()
        raise InputError("azure-ai-ml does not take this document", detail=said) from error
