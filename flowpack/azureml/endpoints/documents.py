"""``endpoint.yaml`` and ``deployment.yaml`` as they are asked for; azure-ai-ml and ``az ml`` take them as they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowpack.azureml.workspace import Workspace
from flowpack.documents.yaml_documents import dump

ENDPOINT_FILE = "endpoint.yaml"
DEPLOYMENT_FILE = "deployment.yaml"

DEPLOYMENT_DIGEST = "flowpack.deployment.digest"
"""A tag: what the deployment runs, so that the same asked for again is found."""

ENDPOINT_DIGEST = "flowpack.endpoint.digest"

RETIRING = "flowpack.retiring"
"""A tag of an endpoint, which comes with new traffic: the deployments that are to go away now that they have none.

A rollout that ends in between is found by it: ``name=digest``, separated by spaces.
"""

OVERRIDE = "PRT_CONFIG_OVERRIDE"
_SCHEMA = "https://azuremlschemas.azureedge.net/latest/{}.schema.json"


def schema(kind: str, *, kubernetes: bool) -> str:
    """``kind`` is OnlineEndpoint or OnlineDeployment."""
    return _SCHEMA.format(("kubernetes" if kubernetes else "managed") + kind)


@dataclass(frozen=True, slots=True)
class EndpointDocument:
    fields: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.fields["name"])

    @property
    def is_kubernetes(self) -> bool:
        return "compute" in self.fields

    @property
    def user_assigned_identity(self) -> str | None:
        """Its Azure Resource Manager id; the checks refuse a second one."""
        assigned = (self.fields.get("identity") or {}).get("user_assigned_identities") or []
        first = next((each.get("resource_id") for each in assigned), None)
        return None if first is None else str(first)

    @property
    def digest(self) -> str:
        return _digest({name: value for name, value in self.fields.items() if name != "tags"})

    @property
    def tags(self) -> dict[str, str]:
        return {**(self.fields.get("tags") or {}), ENDPOINT_DIGEST: self.digest}

    def to_dict(self) -> dict[str, Any]:
        return {**self.fields, "tags": self.tags}

    def text(self) -> str:
        return dump(self.to_dict())


@dataclass(frozen=True, slots=True)
class DeploymentDocument:
    """Without a model and a name until the rollout has found which: ``with_model``, then ``named``."""

    fields: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.fields["name"])

    @property
    def endpoint_name(self) -> str:
        return str(self.fields["endpoint_name"])

    @property
    def variables(self) -> Mapping[str, str]:
        return self.fields.get("environment_variables") or {}

    @property
    def instance_type(self) -> str | None:
        return self.fields.get("instance_type")

    @property
    def instance_count(self) -> int:
        return int(self.fields["instance_count"])

    @property
    def digest(self) -> str:
        """Of all but the name and the tags: two deployments with one digest do the same."""
        return str(self.fields["tags"][DEPLOYMENT_DIGEST])

    def with_model(self, model: str) -> DeploymentDocument:
        """``model`` is NAME:VERSION."""
        fields = {**self.fields, "model": f"azureml:{model}"}
        digest = _digest({name: value for name, value in fields.items() if name not in {"name", "tags"}})
        return DeploymentDocument({**fields, "tags": {**fields["tags"], DEPLOYMENT_DIGEST: digest}})

    def with_variables(self, variables: Mapping[str, str]) -> DeploymentDocument:
        return DeploymentDocument({**self.fields, "environment_variables": {**self.variables, **variables}})

    def named(self, name: str, workspace: Workspace) -> DeploymentDocument:
        """With the variable by which promptflow finds the workspace's connections and names its metrics."""
        override = _override(self.variables.get(OVERRIDE, ""), workspace, self.endpoint_name, name)
        variables = {OVERRIDE: override, **{key: value for key, value in self.variables.items() if key != OVERRIDE}}
        fields = {**self.fields, "name": name, "environment_variables": variables}
        return DeploymentDocument(dict(sorted(fields.items(), key=lambda each: _place(each[0]))))

    def text(self) -> str:
        return dump(self.fields)


def _digest(fields: Mapping[str, Any]) -> str:
    return "sha256:" + hashlib.sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()


def _override(stated: str, workspace: Workspace, endpoint: str, deployment: str) -> str:
    """What a person wrote there stays, but for what says where the deployment is."""
    ours = {
        "deployment.subscription_id": workspace.subscription,
        "deployment.resource_group": workspace.resource_group,
        "deployment.workspace_name": workspace.name,
        "deployment.endpoint_name": endpoint,
        "deployment.deployment_name": deployment,
    }
    pairs = (part.partition("=") for part in stated.split(",") if part.strip())
    theirs = {key.strip(): value.strip() for key, _, value in pairs}
    return ",".join(f"{key}={value}" for key, value in {**theirs, **ours}.items())


_ORDER = ("$schema", "name", "endpoint_name", "type", "model", "environment", "instance_type", "instance_count")


def _place(key: str) -> int:
    """In the order that a person reads it: names, model and image, instances, and tags last."""
    if key in _ORDER:
        return _ORDER.index(key)
    return len(_ORDER) + (key == "tags")
