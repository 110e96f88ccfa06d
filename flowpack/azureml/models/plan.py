"""Turns a flow and a request into the model document. Writes nothing and contacts no registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flowpack import __version__
from flowpack.assembly.flow_folder import FlowFolder
from flowpack.azureml.models.document import (
    CHAT_INPUT,
    CHAT_OUTPUT,
    FLOW_DIGEST,
    FLOWPACK_VERSION,
    IMAGE,
    LOCK_DIGEST,
    MODE,
    REVISION,
    SOURCE_FLOW_ID,
    ModelDocument,
)
from flowpack.azureml.models.rules import check_flow, check_model, check_tags
from flowpack.errors import InputError, Location, UsageError
from flowpack.flows.model import Flow

Mode = Literal["chat", "none"]
CHAT: Mode = "chat"
NO_CHAT: Mode = "none"
DEFAULT_MAXIMUM_MEGABYTES = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelRequest:
    """``mode``, ``chat_input``, ``chat_output`` and ``source_flow_id`` override what the flow says.

    ``image`` is the reference, with a digest, of the image that serves this flow; ``output`` the folder for
    ``model.yaml`` and the flow folder that it names.
    """

    name: str | None = None
    version: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    mode: Mode | None = None
    chat_input: str | None = None
    chat_output: str | None = None
    source_flow_id: str | None = None
    image: str | None = None
    output: Path | None = None
    maximum_megabytes: int = DEFAULT_MAXIMUM_MEGABYTES


def promptflow_properties(flow: Flow, request: ModelRequest) -> dict[str, str]:
    """The source flow's id for every flow; the mode, the input and the output for a chat flow alone."""
    return {SOURCE_FLOW_ID: request.source_flow_id or flow.name, **_chat_properties(flow, request)}


def _chat_properties(flow: Flow, request: ModelRequest) -> dict[str, str]:
    named = {"--chat-input": request.chat_input, "--chat-output": request.chat_output}
    if request.mode == NO_CHAT:
        given = next((option for option, value in named.items() if value), None)
        if given:
            raise UsageError(f"{given} does not go with --mode {NO_CHAT}")
        return {}
    found = flow.chat
    chat_input = request.chat_input or (found.input if found else None)
    chat_output = request.chat_output or (found.output if found else None)
    if chat_input and chat_output:
        return {MODE: CHAT, CHAT_INPUT: chat_input, CHAT_OUTPUT: chat_output}
    if request.mode == CHAT or chat_input or chat_output:
        raise InputError(
            "the flow does not say its chat interface: it has no single chat input, chat output and chat history",
            location=Location(flow.file),
            hint="give --chat-input and --chat-output, or mark them in the flow: is_chat_input, is_chat_output",
        )
    return {}


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
