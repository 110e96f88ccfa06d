"""Environments and their versions."""

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
    "image": None,
    "build": None,
    "condaFile": None,
    "inferenceConfig": None,
    "osType": "Linux",
    "autoRebuild": None,
    "stage": None,
}


def _check(call: Call) -> None:
    wanted = call.body["properties"]
    if bool(wanted.get("image")) == bool(wanted.get("build")):
        raise user_error("An environment has either an image or a build context.")


ENVIRONMENTS = AssetKind(
    plural="environments",
    title="Environment",
    container_model="EnvironmentContainer",
    version_model="EnvironmentVersion",
    defaults=DEFAULTS,
    content="image",
    fixed=("build", "condaFile", "inferenceConfig", "osType"),
    check=_check,
)

ROUTES = ENVIRONMENTS.routes()
