"""An endpoint and its deployments: as the workspace has them, and as a person states them in documents of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from flowpack.documents.yaml_documents import Value, read_document
from flowpack.errors import nearest

State = Literal["Creating", "Updating", "Scaling", "Deleting", "Succeeded", "Failed", "Canceled", ""]
"""Azure's provisioningState; empty where Azure states none that is known."""
SUCCEEDED: State = "Succeeded"
FAILED: State = "Failed"

AuthMode = Literal["key", "aml_token", "aad_token"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """``traffic`` and ``mirror_traffic`` are percentages by deployment; ``auth_mode`` is key, aml_token or aad_token.

    ``principal`` is the object id of its system-assigned identity.
    """

    name: str
    id: str
    state: State
    auth_mode: AuthMode
    scoring_uri: str
    traffic: Mapping[str, int]
    mirror_traffic: Mapping[str, int]
    tags: Mapping[str, str]
    identity: str | None = None
    principal: str | None = None
    compute: str | None = None

    @classmethod
    def of(cls, resource: Mapping[str, Any]) -> Endpoint:
        stated, identity = resource["properties"], resource.get("identity") or {}
        return cls(
            name=resource["name"],
            id=resource["id"],
            state=_state(stated.get("provisioningState")),
            auth_mode=AUTH_MODES.get(str(stated.get("authMode")).lower(), "key"),
            scoring_uri=stated.get("scoringUri") or "",
            traffic=_shares(stated.get("traffic")),
            mirror_traffic=_shares(stated.get("mirrorTraffic")),
            tags=resource.get("tags") or {},
            identity=identity.get("type"),
            principal=identity.get("principalId"),
            compute=stated.get("compute"),
        )


AUTH_MODES: dict[str, AuthMode] = {"key": "key", "amltoken": "aml_token", "aadtoken": "aad_token"}
"""As azure-ai-ml writes them, by Azure's own names in lower case."""


def _state(stated: Any) -> State:
    return next((state for state in get_args(State) if state == stated), "")


def _shares(stated: Mapping[str, int] | None) -> dict[str, int]:
    """Azure names those that get nothing as well, or not, as it was told."""
    return {name: percent for name, percent in (stated or {}).items() if percent}


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    name: str
    state: State
    model: str
    environment: str
    instance_type: str | None
    instance_count: int | None
    tags: Mapping[str, str]

    @classmethod
    def of(cls, resource: Mapping[str, Any]) -> Deployment:
        stated = resource["properties"]
        return cls(
            name=resource["name"],
            state=_state(stated.get("provisioningState")),
            model=_short(stated.get("model") or ""),
            environment=stated.get("environmentId") or "",
            instance_type=stated.get("instanceType"),
            instance_count=(resource.get("sku") or {}).get("capacity"),
            tags=resource.get("tags") or {},
        )


def _short(identifier: str) -> str:
    """NAME:VERSION of a model's id."""
    parts = identifier.rsplit("/", 3)
    return f"{parts[1]}:{parts[3]}" if len(parts) == 4 and parts[2] == "versions" else identifier


_OF_AN_ENVIRONMENT = ("image", "inference_config", "name", "version", "description", "tags", "$schema")
_AN_IMAGE = "name it, environment.image, or deploy what `flowpack build --tag … --push` wrote"
_TEXTS = {"name", "endpoint_name", "compute", "type", "instance_type"}
_MAPPINGS = {"properties", "tags", "identity", "request_settings", "environment_variables"}


def read_deployment(path: Path | None) -> dict[str, Any]:
    """A deployment's document. What would make another image or model than flowpack's is refused.

    A registered model or environment that it names gives way to the flow's, so that one document serves several flows.
    """
    if path is None:
        return {}
    fields = read_document(path, within=None).root.mapping("a document: a mapping with a name")
    for key, check in (("environment", _check_environment), ("model", _check_model)):
        if key in fields and not fields[key].is_null:
            check(fields[key])
    return read_stated(path)


def _check_environment(value: Value) -> None:
    for key, each in value.mapping().items() if value.is_mapping else ():
        if each.is_null or key in _OF_AN_ENVIRONMENT:
            continue
        if key in {"build", "conda_file"}:
            raise each.error("flowpack deploys a built image and has Azure ML build none", _AN_IMAGE)
        near = nearest(key, _OF_AN_ENVIRONMENT)
        hint = f"did you mean '{near}'?" if near else f"take it out; there are: {', '.join(_OF_AN_ENVIRONMENT)}"
        raise each.error("has no effect on a deployment", hint)


def _check_model(value: Value) -> None:
    if value.is_mapping or not value.string("azureml:NAME:VERSION").startswith("azureml:"):
        hint = "take it out; --model-name NAME says which model the flow becomes a version of"
        raise value.error("flowpack deploys the flow that it registers, and no model from a document", hint)


def read_stated(path: Path | None) -> dict[str, Any]:
    """Nothing where there is no path; keys that have no value are left out."""
    if path is None:
        return {}
    root = read_document(path, within=None).root
    fields = {key: each for key, each in root.mapping("a document: a mapping with a name").items() if not each.is_null}
    for key, value in fields.items():
        _check(key, value)
    # Keys become text, as they are for Azure, and so does what YAML takes for a date.
    stated: dict[str, Any] = json.loads(json.dumps({key: each.data for key, each in fields.items()}, default=str))
    if "auth_mode" in fields:
        stated["auth_mode"] = _auth_mode(fields["auth_mode"])
    return stated


def _check(key: str, value: Value) -> None:
    if key in _TEXTS:
        value.string("text")
    elif key in _MAPPINGS:
        inner = value.mapping()
        if key == "environment_variables":
            for each in inner.values():
                each.string("text", hint="Azure ML takes strings alone: quote it")
        identities = inner.get("user_assigned_identities") if key == "identity" else None
        if identities and not identities.is_null:
            for each in identities.sequence():
                each.mapping("resource_id and an id")
    elif key == "instance_count" and type(value.data) is not int:
        raise value.error(f"expected a whole number, found {value.kind}")


def _auth_mode(value: Value) -> str:
    """azure-ai-ml takes the spelling of its API as well."""
    known = AUTH_MODES.get(str(value.data).replace("_", "").lower())
    if known is None:
        raise value.error(f"expected {', '.join(AUTH_MODES.values())}, found {value.kind}")
    return known
