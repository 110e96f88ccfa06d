"""azure-ai-ml, with what flowpack takes from it. It takes seconds to load, and only what writes needs it: ``sdk()``."""

from __future__ import annotations

from typing import Any

from azure.ai.ml import MLClient, load_online_deployment, load_online_endpoint
from azure.ai.ml.entities import Model

from flowpack.azureml.limits import RETRIES
from flowpack.azureml.workspace import Workspace

__all__ = ["Model", "load_online_deployment", "load_online_endpoint", "ml_client"]


def ml_client(workspace: Workspace, credential: Any) -> MLClient:
    # Without its progress bar azure-ai-ml waits for ever for a file whose upload failed.
    return MLClient(
        credential,
        workspace.subscription,
        workspace.resource_group,
        workspace.name,
        show_progress=True,
        enable_telemetry=False,
        **RETRIES,
    )
