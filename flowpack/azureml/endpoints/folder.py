"""``endpoint.yaml`` and ``deployment.yaml`` on disk, for people and for ``az ml``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowpack.azureml.endpoints.documents import (
    DEPLOYMENT_FILE,
    ENDPOINT_FILE,
    DeploymentDocument,
    EndpointDocument,
)
from flowpack.writing import make_folder, replace_file

_SECRET_NAME = re.compile(
    r"(?:key|token|secrets?|passw(?:or)?d|passphrase|pwd|credentials?|conn(?:ection)?_?str(?:ing)?"
    r"|(?:^|_)(?:pat|sas))(?:_|$)",
    re.I,
)
_SECRET_VALUE = re.compile(
    r"://[^/@\s]*:[^/@\s]+@|(?:account|access|instrumentation|api)_?key=|sharedaccesssignature=|password=|pwd=|[?&;]sig=",
    re.I,
)
_REFERENCE = "${{azureml://"


def write_documents(endpoint: EndpointDocument, deployment: DeploymentDocument, folder: Path) -> None:
    """Values that look like secrets are left out, as the folder is one that people commit."""
    make_folder(folder)
    replace_file(folder / ENDPOINT_FILE, endpoint.text())
    replace_file(folder / DEPLOYMENT_FILE, without_secrets(deployment).text())


def without_secrets(document: DeploymentDocument) -> DeploymentDocument:
    return document.with_variables(_masked(document.variables))


def _masked(variables: Mapping[str, Any]) -> dict[str, str]:
    """References to the workspace's connections are not secrets."""
    return {name: "****" for name, value in variables.items() if _is_secret(name, str(value))}


def _is_secret(name: str, value: str) -> bool:
    return not value.startswith(_REFERENCE) and bool(_SECRET_NAME.search(name) or _SECRET_VALUE.search(value))
