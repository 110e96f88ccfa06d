"""A model version as it is asked for: what goes into ``model.yaml``, and the tags that say what is in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowpack.documents.yaml_documents import dump

SCHEMA = "https://azuremlschemas.azureedge.net/latest/model.schema.json"
MODEL_FILE = "model.yaml"

PROMPTFLOW = "azureml.promptflow."
SOURCE_FLOW_ID = PROMPTFLOW + "source_flow_id"
MODE = PROMPTFLOW + "mode"
CHAT_INPUT = PROMPTFLOW + "chat_input"
CHAT_OUTPUT = PROMPTFLOW + "chat_output"

FLOW_DIGEST = "flowpack.flow.digest"
LOCK_DIGEST = "flowpack.lock.digest"
IMAGE = "flowpack.image"
REVISION = "flowpack.revision"
FLOWPACK_VERSION = "flowpack.version"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDocument:
    """``version`` is None until the registry has assigned one."""

    name: str
    properties: Mapping[str, str]
    tags: Mapping[str, str]
    version: str | None = None
    description: str | None = None

    @property
    def flow_digest(self) -> str:
        return self.tags[FLOW_DIGEST]

    @property
    def folder_name(self) -> str:
        """The name of the folder that is uploaded, one for each content and its properties.

        azure-ai-ml uploads below a hash that runs over names and contents without a boundary between them: a file
        moved from the end of a folder to beside it has the hash that it had, and would be taken for uploaded. It also
        tells two requests for one version apart by this path alone.
        """
        stated = "".join(f"{name}={value}\n" for name, value in sorted(self.properties.items()))
        return "flow-" + hashlib.sha256(f"{self.flow_digest}\n{stated}".encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        fields = {
            "$schema": SCHEMA,
            "name": self.name,
            "version": self.version,
            "type": "custom_model",
            "path": self.folder_name,
            "description": self.description,
            "properties": dict(self.properties),
            "tags": dict(sorted(self.tags.items())),
        }
        return {name: value for name, value in fields.items() if value}

    def text(self) -> str:
        return dump(self.to_dict())
