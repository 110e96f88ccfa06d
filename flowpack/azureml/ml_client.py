"""azure-ai-ml's client, made as flowpack needs it, and kept from the streams of a command."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

from flowpack.azureml.clouds import RETRIES
from flowpack.azureml.workspace import Workspace


def ml_client(workspace: Workspace, credential: Any) -> Any:
    from azure.ai.ml import MLClient  # noqa: PLC0415  (takes seconds, and only what writes needs it)

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


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """azure-ai-ml draws its progress and its advice on both streams; stdout is for the answer alone."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
