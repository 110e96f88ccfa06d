"""What ``flowpack deploy`` was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
    auth_mode: str | None = None
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
