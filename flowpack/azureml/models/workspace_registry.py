"""The models of a workspace: read from Azure Resource Manager, made through azure-ai-ml.

Azure's SDKs load when they are needed.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from flowpack.azureml.models.document import ModelDocument
from flowpack.azureml.models.registry import ModelVersion, VersionTaken
from flowpack.azureml.resource_manager import ResourceManager
from flowpack.azureml.sdk import quiet, sdk
from flowpack.azureml.service_errors import translated
from flowpack.azureml.workspace import Workspace

_TRIES = 4
_CONFLICT = 409
_REFUSALS = {400, _CONFLICT, 412}


class WorkspaceRegistry:
    def __init__(self, workspace: Workspace, resources: ResourceManager | None = None) -> None:
        self.workspace = workspace
        self._read = resources or ResourceManager(workspace)  # who has one has signed in already

    def __str__(self) -> str:
        return str(self.workspace)

    def names(self) -> list[str]:
        return sorted(each["name"] for each in self._read.listed("models"))

    def versions(self, name: str) -> list[ModelVersion]:
        found = [_version(name, each) for each in self._read.listed("models", name, "versions")]
        return sorted(found, key=lambda each: each.number)

    def next_number(self, name: str) -> int:
        model = self._read.get("models", name)
        stated = str(model["properties"].get("nextVersion") or "") if model else ""
        return int(stated) if stated.isdecimal() else 1

    def create(self, document: ModelDocument, folder: Path) -> ModelVersion:
        """azure-ai-ml uploads the folder, where it has not done so before, and then makes the version."""
        assert document.version is not None  # noqa: S101  (the registration gives one)
        tries = _TRIES
        while True:
            try:
                self._create_or_update(path=str(folder), **_fields(document))
                break
            except Exception as error:
                tries -= 1
                there = self._version(document.name, document.version) if _is_refusal(error) else None
                if there and not there.holds(document):
                    raise VersionTaken from error
                if there:
                    break
                if not tries or not _is_passing(error):
                    raise translated(error, self.workspace) from error
        made = self._version(document.name, document.version)
        assert made is not None  # noqa: S101  (the service has just said so)
        return made

    def update(self, version: ModelVersion) -> None:
        try:
            self._create_or_update(
                path=version.path,
                name=version.name,
                version=version.version,
                description=version.description,
                properties=dict(version.properties),
                tags=dict(version.tags),
            )
        except Exception as error:
            raise translated(error, self.workspace) from error

    def _create_or_update(self, **fields: Any) -> None:
        with quiet():
            # A new one each time, as an upload that fails leaves it half changed.
            self._client.models.create_or_update(sdk().Model(type="custom_model", **fields))

    @cached_property
    def _client(self) -> Any:
        return sdk().ml_client(self.workspace, self._read.credential)

    def _version(self, name: str, version: str) -> ModelVersion | None:
        found = self._read.get("models", name, "versions", version)
        return _version(name, found) if found else None


def _fields(document: ModelDocument) -> dict[str, Any]:
    return {
        "name": document.name,
        "version": document.version,
        "description": document.description,
        "properties": dict(document.properties),
        "tags": dict(document.tags),
    }


def _version(name: str, resource: Any) -> ModelVersion:
    stated = resource["properties"]
    return ModelVersion(
        name=name,
        version=resource["name"],
        id=resource["id"],
        path=stated.get("modelUri") or "",
        properties=stated.get("properties") or {},
        tags=stated.get("tags") or {},
        description=stated.get("description"),
        archived=bool(stated.get("isArchived")),
    )


def _is_refusal(error: Exception) -> bool:
    return getattr(error, "status_code", None) in _REFUSALS or type(error).__name__ == "AssetPathException"


def _is_passing(error: Exception) -> bool:
    """Whether another try can go well: files of an upload that was cut short, or of another's, are in the way once.

    azure-ai-ml overwrites nothing until the first file is there; after a conflict it is, and the rest is written over.
    """
    no_answer = type(error).__name__ in {"ServiceRequestError", "ServiceResponseError", "IncompleteReadError"}
    return no_answer or getattr(error, "status_code", None) == _CONFLICT
