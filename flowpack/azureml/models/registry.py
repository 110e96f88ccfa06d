"""A registry of models, as few verbs: a workspace is one, a folder of this machine is another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from flowpack.azureml.models.document import FLOW_DIGEST, PROMPTFLOW, ModelDocument


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelVersion:
    """A version in its registry. ``path`` is the place of its content, ``id`` the registry's identifier."""

    name: str
    version: str
    id: str
    path: str
    properties: Mapping[str, str]
    tags: Mapping[str, str]
    description: str | None = None
    archived: bool = False

    @property
    def number(self) -> int:
        return int(self.version) if self.version.isdecimal() else 0

    @property
    def promptflow_properties(self) -> dict[str, str]:
        return {name: value for name, value in self.properties.items() if name.startswith(PROMPTFLOW)}

    def as_held(self, document: ModelDocument) -> ModelDocument:
        """The document as the registry holds it, so that azure-ai-ml with it changes nothing of the version."""
        return replace(document, version=self.version, tags=self.tags, description=self.description)

    def holds(self, document: ModelDocument) -> bool:
        """Whether it is what the document asks for: the same content, and the same properties.

        A version's properties never change, and Azure adds its own to them.
        """
        promptflow = {name: value for name, value in document.properties.items() if name.startswith(PROMPTFLOW)}
        return (
            self.tags.get(FLOW_DIGEST) == document.flow_digest
            and self.promptflow_properties == promptflow
            and document.properties.items() <= self.properties.items()
        )


class VersionTaken(Exception):  # noqa: N818  (an answer of a registry, not a fault)
    """Another writer made this version, with another content."""


class ModelRegistry(Protocol):
    def names(self) -> list[str]:
        """Each model's, sorted."""

    def versions(self, name: str) -> list[ModelVersion]:
        """Archived ones too; none where there is no such model."""

    def next_number(self, name: str) -> int:
        """The number after the highest that was ever given."""

    def create(self, document: ModelDocument, folder: Path) -> ModelVersion:
        """Makes the version that the document names, with the content of ``folder``, or raises VersionTaken.

        Where it is there already with this content, made at the same time by another, it is given as it is.
        """

    def update(self, version: ModelVersion) -> None:
        """Writes the version's tags and description; the content stays."""
