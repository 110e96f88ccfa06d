"""Data assets: a deployment's data collector has one for each of its collections."""

from __future__ import annotations

from azure_emulator.arm import Call
from azure_emulator.messages import user_error
from azure_emulator.resources.versioned_assets import AssetKind
from azure_emulator.store import Document

DEFAULTS: Document = {
    "description": None,
    "tags": {},
    "properties": {},
    "isArchived": False,
    "isAnonymous": False,
    "dataType": "uri_folder",
    "dataUri": None,
}


def _check(call: Call) -> None:
    if not call.body["properties"].get("dataUri"):
        raise user_error("A data asset has the path of what it names.")


DATA = AssetKind(
    plural="data",
    title="Data",
    container_model="DataContainer",
    version_model="DataVersionBase",
    defaults=DEFAULTS,
    content="dataUri",
    fixed=("dataType",),
    check=_check,
    of_container=("dataType",),
)

ROUTES = DATA.routes()
