"""Reads model, endpoint and deployment documents of Azure ML, as far as the rules need them."""

from __future__ import annotations

import enum
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flowpack.checks.values import at, fields_of, text_of
from flowpack.documents.yaml_documents import Value, read_document
from flowpack.errors import FlowpackError, Location, YamlError
from flowpack.reading import DOCUMENT_BYTES, Roots, lies_within, read_text

_SCHEMA = re.compile(
    rb"""^["']?\$schema["']?:\s*\S*/(?:\w*?)(model|OnlineEndpoint|OnlineDeployment)\.schema\.json""", re.M
)
_ENDPOINT_NAME = re.compile(rb"^endpoint_name:", re.M)
_AUTH_MODE = re.compile(rb"^auth_mode:", re.M)
_PROMPTFLOW_PROPERTY = re.compile(rb"^\s+azureml\.promptflow\.", re.M)
_OF_PROMPTFLOW = "azureml.promptflow."
_VARIABLES = ("PRT_CONFIG_OVERRIDE", "PROMPTFLOW_")
_REMOTE = re.compile(r"^(?:azureml|https?|wasbs?|abfss?|runs|mlflow-model|git(?:\+\w+)?|ssh):", re.I)


class Kind(enum.Enum):
    MODEL = "model"
    ENDPOINT = "endpoint"
    DEPLOYMENT = "deployment"


_BY_SCHEMA = {b"model": Kind.MODEL, b"OnlineEndpoint": Kind.ENDPOINT, b"OnlineDeployment": Kind.DEPLOYMENT}


def kind_of(name: str, text: bytes) -> Kind | None:
    """The kind by the document's ``$schema``, else by its file name and a key that only such a document has."""
    schema = _SCHEMA.search(text)
    if schema:
        return _BY_SCHEMA[schema[1]]
    if "deployment" in name and _ENDPOINT_NAME.search(text):
        return Kind.DEPLOYMENT
    if "endpoint" in name and _AUTH_MODE.search(text):
        return Kind.ENDPOINT
    return Kind.MODEL if "model" in name and _PROMPTFLOW_PROPERTY.search(text) else None


def is_filled_in(text: str) -> bool:
    """Whether a pipeline fills in the value before the document is used."""
    return any(mark in text for mark in ("${", "{{", "$(", "<", "#{", "__"))


@dataclass(frozen=True)
class AzureDocument:
    path: Path
    kind: Kind
    root: Value | None
    """None if the file cannot be read; ``error`` says why."""
    error: FlowpackError | None = None
    within: Roots = ()
    """The only folders that are read, even if the document contains other paths."""

    @classmethod
    def read(cls, path: Path, within: Roots) -> AzureDocument:
        kind = Kind.MODEL
        try:
            text = read_text(path, limit=DOCUMENT_BYTES, within=within, error=YamlError)
            kind = kind_of(path.name, text.encode()) or Kind.MODEL
            root = read_document(path, text, within=within).root
            root.mapping("a document: a mapping with a name")
        except FlowpackError as error:
            return cls(path, kind, None, error, within)
        return cls(path, kind, root, within=within)

    @property
    def location(self) -> Location:
        return Location(self.path)

    @cached_property
    def fields(self) -> dict[str, Value]:
        return fields_of(self.root)

    def get(self, *keys: str) -> Value | None:
        return at(self.root, *keys)

    @property
    def name(self) -> str | None:
        return text_of(self.get("name"))

    @cached_property
    def is_kubernetes(self) -> bool:
        schema, kind = text_of(self.get("$schema")) or "", text_of(self.get("type")) or ""
        return "kubernetes" in schema.lower() or kind.lower() == "kubernetes"

    @cached_property
    def variables(self) -> dict[str, Value]:
        return fields_of(self.get("environment_variables"))

    @cached_property
    def properties(self) -> dict[str, Any]:
        """The properties of a model document, or of a deployment's inline model."""
        value = self.get("properties") if self.kind is Kind.MODEL else self.get("model", "properties")
        return {key: each.data for key, each in fields_of(value).items()}

    @property
    def model_path(self) -> Value | None:
        """The path of a model document, or of a deployment's inline model."""
        return self.get("path") if self.kind is Kind.MODEL else self.get("model", "path")

    @property
    def build_context(self) -> Value | None:
        """The folder that Azure ML builds a deployment's image from."""
        return self.get("environment", "build", "path")

    def local_path(self, value: Value | None) -> Path | None:
        """The file for a path in the document; None if it is remote, outside the project, or not filled in yet."""
        path = self._stated_path(value)
        return None if path is None or self._is_outside(path) else path

    def leads_out(self, value: Value | None) -> bool:
        """Whether a path in the document leads out of the project, by itself or through a link."""
        path = self._stated_path(value)
        return path is not None and self._is_outside(path)

    def _stated_path(self, value: Value | None) -> Path | None:
        text = text_of(value)
        unknown = not text or "\0" in text or _REMOTE.match(text) or is_filled_in(text)
        return None if unknown or not text else self.path.parent / text

    def _is_outside(self, path: Path) -> bool:
        return not lies_within(os.path.realpath(path), self.within)

    @cached_property
    def serves_a_flow(self) -> bool:
        """Whether the document itself shows it. Models that are not flows have such documents too."""
        stated = any(key.startswith(_OF_PROMPTFLOW) for key in self.properties)
        return stated or any(name.startswith(_VARIABLES) for name in self.variables)
