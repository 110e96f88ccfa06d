"""``endpoint.yaml`` and ``deployment.yaml`` on disk, for people and for ``az ml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowpack.assembly.staging import replace_file
from flowpack.azureml.endpoints.documents import (
    DEPLOYMENT_FILE,
    ENDPOINT_FILE,
    DeploymentDocument,
    EndpointDocument,
)

_SECRET = re.compile(r"(?:^|_)(?:key|token|secret|password|pwd|connection_?string)(?:_|$)", re.I)
_REFERENCE = "${{azureml://"


def write_documents(endpoint: EndpointDocument, deployment: DeploymentDocument, folder: Path) -> None:
    """Values that look like secrets are left out, as the folder is one that people commit."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / ENDPOINT_FILE, endpoint.text())
    replace_file(folder / DEPLOYMENT_FILE, without_secrets(deployment).text())


def without_secrets(document: DeploymentDocument) -> DeploymentDocument:
    return document.with_variables(_masked(document.variables))


def _masked(variables: Mapping[str, Any]) -> dict[str, str]:
    """References to connections of the workspace are no secrets."""
    return {
        name: "****"
        for name, value in variables.items()
        if _SECRET.search(name) and not str(value).startswith(_REFERENCE)
    }
