"""Model, endpoint and deployment documents of Azure ML, as far as the rules look into them."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flowpack.checks.values import at, fields_of, text_of
from flowpack.errors import FlowpackError, Location
from flowpack.yaml_documents import Value, read_document

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
    """By the schema that the document names, else by its file's name and a key that only such a document has."""
    schema = _SCHEMA.search(text)
    if schema:
        return _BY_SCHEMA[schema[1]]
    if "deployment" in name and _ENDPOINT_NAME.search(text):
        return Kind.DEPLOYMENT
    if "endpoint" in name and _AUTH_MODE.search(text):
        return Kind.ENDPOINT
    return Kind.MODEL if "model" in name and _PROMPTFLOW_PROPERTY.search(text) else None


def is_filled_in(text: str) -> bool:
    """A pipeline puts the value there before the document is used."""
    return any(mark in text for mark in ("${", "{{", "$(", "<", "#{", "__"))


@dataclass(frozen=True)
class AzureDocument:
    path: Path
    kind: Kind
    root: Value | None
    """None where the file cannot be read; ``error`` says why."""
    error: FlowpackError | None = None

    @classmethod
    def read(cls, path: Path) -> AzureDocument:
        try:
            root = read_document(path).root
            root.mapping("a document: a mapping with a name")
        except FlowpackError as error:
            return cls(path, kind_of(path.name, path.read_bytes()) or Kind.MODEL, None, error)
        return cls(path, kind_of(path.name, path.read_bytes()) or Kind.MODEL, root)

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
        """A model's own, or those of the model that a deployment states inline."""
        value = self.get("properties") if self.kind is Kind.MODEL else self.get("model", "properties")
        return {key: each.data for key, each in fields_of(value).items()}

    @property
    def model_path(self) -> Value | None:
        """Where the model is, of a model document or of one that a deployment states inline."""
        return self.get("path") if self.kind is Kind.MODEL else self.get("model", "path")

    @property
    def build_context(self) -> Value | None:
        """The folder that Azure ML builds a deployment's image from."""
        return self.get("environment", "build", "path")

    def local_path(self, value: Value | None) -> Path | None:
        """Where a path that the document states leads; None where that is elsewhere, or not known yet."""
        text = text_of(value)
        return None if not text or _REMOTE.match(text) or is_filled_in(text) else self.path.parent / text

    @cached_property
    def serves_a_flow(self) -> bool:
        """Whether the document itself says so; other models are deployed with such documents too."""
        stated = any(key.startswith(_OF_PROMPTFLOW) for key in self.properties)
        return stated or any(name.startswith(_VARIABLES) for name in self.variables)
