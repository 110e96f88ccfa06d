"""From a flow and what was asked for to the model document: nothing is written, no registry is asked."""

from __future__ import annotations

from dataclasses import dataclass

from flowpack import __version__
from flowpack.assembly.flow_folder import FlowFolder
from flowpack.azureml.models.document import (
    FLOW_DIGEST,
    FLOWPACK_VERSION,
    IMAGE,
    LOCK_DIGEST,
    REVISION,
    ModelDocument,
)
from flowpack.azureml.models.request import ModelRequest, promptflow_properties
from flowpack.azureml.models.rules import check_flow, check_model, check_tags
from flowpack.flows.model import Flow


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """The flow that is registered, and what is known of where it comes from and of what was built from it.

    ``asks_workspace`` tells whether the image can take connections from a workspace; None where nobody knows.
    """

    flow: Flow
    folder: FlowFolder
    lock_digest: str | None = None
    why_no_lock: str | None = None
    image: str | None = None
    revision: str | None = None
    asks_workspace: bool | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedModel:
    document: ModelDocument
    source: ModelSource

    @property
    def folder(self) -> FlowFolder:
        return self.source.folder


def plan_model(source: ModelSource, request: ModelRequest) -> PlannedModel:
    check_flow(source.flow)
    check_tags(request.tags)
    origins = {
        FLOW_DIGEST: source.folder.digest,
        LOCK_DIGEST: source.lock_digest,
        IMAGE: request.image or source.image,
        REVISION: source.revision,
        FLOWPACK_VERSION: __version__,
    }
    document = ModelDocument(
        name=request.name or source.flow.name,
        version=request.version,
        description=request.description,
        properties={**promptflow_properties(source.flow, request), **request.properties},
        tags={**{name: value for name, value in origins.items() if value}, **request.tags},
    )
    check_model(document, source.flow, source.folder, request.maximum_megabytes)
    return PlannedModel(document=document, source=source)
