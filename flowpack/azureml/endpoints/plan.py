"""Turns a flow, its image and a request into the endpoint's and the deployment's documents. Contacts no service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowpack.azureml.endpoints.documents import DeploymentDocument, EndpointDocument, schema
from flowpack.azureml.endpoints.identity import CLIENT_ID, check_identifier, lacks_client_id
from flowpack.azureml.endpoints.states import AuthMode, read_deployment, read_stated
from flowpack.azureml.limits import LONGEST_NAME, LONGEST_REQUEST, SHORTEST_NAME
from flowpack.azureml.models.document import FLOW_DIGEST, FLOWPACK_VERSION, IMAGE, LOCK_DIGEST, REVISION
from flowpack.azureml.models.plan import ModelSource, PlannedModel
from flowpack.azureml.skus import cores
from flowpack.azureml.workspace import Workspace
from flowpack.errors import InputError, Location
from flowpack.flows.connections import Connection, find_connections


@dataclass(frozen=True, kw_only=True, slots=True)
class DeployRequest:
    """What is None is taken from ``endpoint_file`` or ``deployment_file``, else from the flow and Azure ML's advice.

    With ``deployment`` that one is made or updated in place. Without it the deployment that serves stays until another,
    beside it, has answered; ``traffic`` is the percentage that the new one then gets. ``compute`` is an attached
    Kubernetes cluster, ``identity`` the id of a user-assigned identity. ``sample`` is what the new deployment is scored
    with, None where it is not; ``seconds`` how long that answer may take. ``preflight`` asks the workspace for what the
    deployment would fail for.
    """

    endpoint: str | None = None
    deployment: str | None = None
    endpoint_file: Path | None = None
    deployment_file: Path | None = None
    image: str | None = None
    compute: str | None = None
    auth_mode: AuthMode | None = None
    identity: str | None = None
    instance_type: str | None = None
    instance_count: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    traffic: int = 100
    keep_old: bool = False
    keep_failed: bool = False
    sample: Mapping[str, Any] | None = None
    seconds: float = 300.0
    preflight: bool = True
    output: Path | None = None


DEFAULT_INSTANCE_TYPE = "Standard_DS3_v2"
"""The smallest that Microsoft recommends for serving: 4 cores, 14 GB."""

COLORS = ("blue", "green")
"""The deployments that take turns."""

NEXT = "<next>"

_ROUTES = {
    "liveness_route": {"path": "/health", "port": 8080},
    "readiness_route": {"path": "/health", "port": 8080},
    "scoring_route": {"path": "/score", "port": 8080},
}
_ORIGINS = (FLOW_DIGEST, LOCK_DIGEST, IMAGE, REVISION, FLOWPACK_VERSION)


@dataclass(frozen=True, kw_only=True)
class PlannedDeployment:
    """``asks_workspace`` tells whether the image can take connections from the workspace; None where nobody knows.

    ``unused_name`` is a deployment's of a document: to change what serves in place has to be asked for.
    """

    model: PlannedModel
    endpoint: EndpointDocument
    deployment: DeploymentDocument
    connections: tuple[Connection, ...]
    asks_workspace: bool | None
    request: DeployRequest
    unused_name: str | None = None

    def as_far_as_known(self, workspace: Workspace) -> DeploymentDocument:
        """As a dry run shows it: which deployment is free and which model version is next, the workspace tells."""
        model = self.model.document
        known = self.deployment.with_model(f"{model.name}:{model.version or NEXT}")
        if lacks_client_id(self.endpoint, known):
            known = known.with_variables({CLIENT_ID: "<client id of the identity>"})
        return known.named(self.request.deployment or COLORS[0], workspace)

    @property
    def states_endpoint(self) -> bool:
        """Whether something was said about the endpoint, so that one that is there is to be brought in line."""
        asked = self.request
        return bool(asked.endpoint_file or asked.auth_mode or asked.identity)


def plan_deployment(source: ModelSource, model: PlannedModel, request: DeployRequest) -> PlannedDeployment:
    of_endpoint, of_deployment = (
        read_stated(request.endpoint_file),
        read_deployment(request.deployment_file),
    )
    if not request.endpoint:
        _check_one_endpoint(of_endpoint, of_deployment, request)
    endpoint = _endpoint(of_endpoint, of_deployment, request, source.flow.name)
    check_identifier(endpoint)
    environment = _mapping(of_deployment, "environment")
    image = request.image or source.image or environment.get("image")
    if not image:
        raise InputError(
            "no image given",
            location=Location(source.flow.file),
            hint="deploy what `flowpack build --tag … --push` wrote, or give --image REGISTRY/REPOSITORY@sha256:…",
        )
    fields = _deployment(of_deployment, endpoint, request)
    fields["environment"] = {"image": image, "inference_config": environment.get("inference_config") or _ROUTES}
    told = {name: value for name, value in model.document.tags.items() if name in _ORIGINS}
    fields["tags"] = {**told, IMAGE: image, **_mapping(of_deployment, "tags")}
    return PlannedDeployment(
        model=model,
        endpoint=endpoint,
        deployment=DeploymentDocument(fields),
        connections=find_connections(source.flow, source.folder.paths),
        asks_workspace=source.asks_workspace,
        request=request,
        unused_name=None if request.deployment else of_deployment.get("name"),
    )


def _check_one_endpoint(
    of_endpoint: Mapping[str, Any], of_deployment: Mapping[str, Any], request: DeployRequest
) -> None:
    one, other = of_endpoint.get("name"), of_deployment.get("endpoint_name")
    if one and other and one.lower() != other.lower() and request.deployment_file:
        raise InputError(
            f"endpoint_name is {other}, and the endpoint's document is of {one}",
            location=Location(request.deployment_file),
            hint="name the same endpoint in both, or say which with --endpoint",
        )


def _mapping(stated: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An environment may be a reference, and so no mapping."""
    value = stated.get(key)
    return value if isinstance(value, Mapping) else {}


def _endpoint(
    stated: Mapping[str, Any], of_deployment: Mapping[str, Any], request: DeployRequest, flow_name: str
) -> EndpointDocument:
    name = request.endpoint or stated.get("name") or of_deployment.get("endpoint_name") or endpoint_name(flow_name)
    compute = request.compute or stated.get("compute")
    if compute and ":" not in compute:
        compute = f"azureml:{compute}"
    identity = (
        {"type": "user_assigned", "user_assigned_identities": [{"resource_id": request.identity}]}
        if request.identity
        else stated.get("identity")
    )
    fields = {
        "$schema": schema("OnlineEndpoint", kubernetes=bool(compute)),
        **stated,
        "name": name.lower(),  # as azure-ai-ml writes it
        "auth_mode": request.auth_mode or stated.get("auth_mode") or "key",
        "compute": compute,
        "identity": identity,
    }
    if not identity or identity.get("type") != "user_assigned":
        # A system-assigned identity is not there before the endpoint is: this lets it read the connections at once.
        fields["properties"] = {"enforce_access_to_default_secret_stores": "enabled", **_mapping(stated, "properties")}
    for key in ("traffic", "mirror_traffic"):  # what a rollout is about
        fields.pop(key, None)
    return EndpointDocument({key: value for key, value in fields.items() if value is not None})


def _deployment(stated: Mapping[str, Any], endpoint: EndpointDocument, request: DeployRequest) -> dict[str, Any]:
    kubernetes = endpoint.is_kubernetes
    instance_type = request.instance_type or stated.get("instance_type")
    if not instance_type and not kubernetes:
        instance_type = DEFAULT_INSTANCE_TYPE
    variables = {**_mapping(stated, "environment_variables"), **request.variables}
    settings = {"request_timeout_ms": LONGEST_REQUEST, **_mapping(stated, "request_settings")}
    concurrent = _concurrent(variables, instance_type)
    if concurrent:
        settings.setdefault("max_concurrent_requests_per_instance", concurrent)
    fields = {
        "$schema": schema("OnlineDeployment", kubernetes=kubernetes),
        "app_insights_enabled": None,
        **stated,
        "type": "kubernetes" if kubernetes else stated.get("type"),
        "endpoint_name": endpoint.name,
        "instance_type": instance_type,
        "instance_count": request.instance_count or stated.get("instance_count") or 1,
        "request_settings": settings,
        "environment_variables": variables,
    }
    for key in ("name", "model"):  # the rollout gives them
        fields.pop(key, None)
    return {key: value for key, value in fields.items() if value is not None}


def _concurrent(variables: Mapping[str, Any], instance_type: str | None) -> int | None:
    """Workers times threads, as Microsoft advises for requests that take longer than 200 ms; workers are the cores."""
    workers = variables.get("PROMPTFLOW_WORKER_NUM") or (cores(instance_type) if instance_type else None)
    threads = variables.get("PROMPTFLOW_WORKER_THREADS") or 1
    try:
        return int(workers) * int(threads) if workers else None
    except ValueError:  # the checks tell
        return None


def endpoint_name(flow_name: str) -> str:
    """The flow's name as an endpoint's may be."""
    return valid_name(flow_name)[:LONGEST_NAME].rstrip("-")


def valid_name(flow_name: str) -> str:
    """In the letters that an endpoint's name may have, however long it is."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", flow_name).strip("-").lower()
    return name if name[:1].isalpha() and len(name) >= SHORTEST_NAME else f"flow-{name}".rstrip("-")
