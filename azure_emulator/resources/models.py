"""Models and their versions."""

from __future__ import annotations

import re

from azure_emulator.arm import Call
from azure_emulator.messages import user_error
from azure_emulator.resources.versioned_assets import AssetKind
from azure_emulator.store import Document

TYPES = ("custom_model", "mlflow_model", "triton_model")

URI = re.compile(
    r"azureml://(subscriptions/[^/]+/resourcegroups/[^/]+/workspaces/[^/]+/)?datastores/[^/]+/paths/.+"
    r"|azureml://jobs/[^/]+/outputs/.+|runs:/.+|https://.+",
    re.IGNORECASE,
)

DEFAULTS: Document = {
    "description": None,
    "tags": {},
    "properties": {},
    "isArchived": False,
    "isAnonymous": False,
    # azure-ai-ml cannot read an answer that is without it.
    "flavors": {},
    "modelType": "custom_model",
    "modelUri": None,
    "jobName": None,
    "stage": None,
    "datasets": None,
}


def _check(call: Call) -> None:
    wanted = call.body["properties"]
    uri, kind = wanted.get("modelUri"), wanted.get("modelType") or DEFAULTS["modelType"]
    if not uri or not URI.fullmatch(uri):
        raise user_error(f"The model's path '{uri}' is no path of a datastore, a job's output or a run.")
    if kind not in TYPES:
        raise user_error(f"The model's type '{kind}' is none of {', '.join(TYPES)}.")


MODELS = AssetKind(
    plural="models",
    title="Model",
    container_model="ModelContainer",
    version_model="ModelVersion",
    defaults=DEFAULTS,
    content="modelUri",
    fixed=("modelType",),
    check=_check,
)

ROUTES = MODELS.routes()
