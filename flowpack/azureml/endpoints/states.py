"""An endpoint and its deployments as the workspace has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SUCCEEDED = "Succeeded"
FAILED = "Failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """``traffic`` and ``mirror_traffic`` are percentages by deployment; ``auth_mode`` is key, aml_token or aad_token.

    ``principal`` is the object id of its system-assigned identity.
    """

    name: str
    id: str
    state: str
    auth_mode: str
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
            state=stated.get("provisioningState") or "",
            auth_mode=AUTH_MODES.get(str(stated.get("authMode")).lower(), "key"),
            scoring_uri=stated.get("scoringUri") or "",
            traffic=_shares(stated.get("traffic")),
            mirror_traffic=_shares(stated.get("mirrorTraffic")),
            tags=resource.get("tags") or {},
            identity=identity.get("type"),
            principal=identity.get("principalId"),
            compute=stated.get("compute"),
        )


AUTH_MODES = {"key": "key", "amltoken": "aml_token", "aadtoken": "aad_token"}
"""As azure-ai-ml writes them, by Azure's own names in lower case."""


def _shares(stated: Mapping[str, int] | None) -> dict[str, int]:
    """Azure names those that get nothing as well, or not, as it was told."""
    return {name: percent for name, percent in (stated or {}).items() if percent}


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    name: str
    state: str
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
            state=stated.get("provisioningState") or "",
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
