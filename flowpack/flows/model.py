"""What a prompt flow is, as values: read once by ``read_flow``, handed from arrow to arrow, changed by none."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowpack.errors import Location


class FlowKind(enum.Enum):
    DAG = "dag"
    FLEX = "flex"
    PROMPTY = "prompty"


class _Required(enum.Enum):
    REQUIRED = "no default"


REQUIRED = _Required.REQUIRED
"""The default of an input that has none; None is a default that a flow may state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowInput:
    name: str
    type: str
    default: Any = REQUIRED
    is_chat_input: bool = False
    is_chat_history: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowOutput:
    name: str
    type: str | None = None
    reference: str | None = None
    is_chat_output: bool = False
    evaluation_only: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSource:
    """Where a node's tool comes from: ``code`` has a path in the flow folder, ``package`` a tool's dotted name."""

    type: str
    path: str | None
    tool: str | None
    location: Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    name: str
    type: str
    source: NodeSource | None
    inputs: Mapping[str, Any]
    location: Location
    connection: str | None = None
    provider: str | None = None
    api: str | None = None
    aggregation: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Include:
    """One item of ``additional_includes``, as written: relative to the flow file, or absolute."""

    path: str
    location: Location


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A file that the flow names and that does not exist; ``path`` as written."""

    path: str
    location: Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """The flow's ``environment``; each path is relative to the standalone flow folder."""

    image: str | None = None
    conda_file: str | None = None
    python_requirements_txt: str | None = None
    setup_sh: str | None = None
    locations: Mapping[str, Location] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatInterface:
    """The properties that make a model version a chat flow in Azure ML."""

    input: str
    output: str
    history: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """A flow as its file states it, with one variant chosen for each node."""

    kind: FlowKind
    file: Path
    name: str
    inputs: Mapping[str, FlowInput]
    outputs: Mapping[str, FlowOutput]
    nodes: tuple[Node, ...]
    environment: Environment
    environment_variables: Mapping[str, Any]
    additional_includes: tuple[Include, ...]
    text: str
    """The flow file as the standalone folder gets it: chosen variants inlined, no ``additional_includes``."""
    entry: str | None = None
    """A flex flow's ``module:function`` or ``module:Class``."""
    init: Mapping[str, FlowInput] = field(default_factory=dict)
    """What a flex flow's class is made with."""
    sample: Mapping[str, Any] = field(default_factory=dict)
    """The inputs of the request that a flex flow or a prompty states as its sample."""
    sample_init: Mapping[str, Any] = field(default_factory=dict)
    """What promptflow makes a flex flow's class with where ``PF_FLOW_INIT_CONFIG`` is not set."""
    missing_sample: MissingFile | None = None
    """The file that ``sample`` names and that does not exist; serving does not need it."""
    environment_files: tuple[Include, ...] = ()
    """Those of ``additional_includes`` that ``environment`` names and the flow file does not list."""
    roots: tuple[Path, ...] = ()
    """Folders, with their links resolved, outside of which nothing of the flow is read."""

    @property
    def folder(self) -> Path:
        return self.file.parent

    @property
    def standalone_name(self) -> str:
        """The flow file's name in the standalone folder, where promptflow's server looks for it by its name."""
        expected = f"flow.{self.kind.value}.yaml"
        known = self.kind is FlowKind.PROMPTY or self.file.name in {expected, expected.replace(".yaml", ".yml")}
        return self.file.name if known else expected

    @property
    def is_evaluation(self) -> bool:
        return any(node.aggregation for node in self.nodes)

    @property
    def chat(self) -> ChatInterface | None:
        """The chat interface, by promptflow's rule: one chat input, one chat output and a chat history."""
        inputs, outputs, histories = self.chat_inputs, self.chat_outputs, self.chat_histories
        if len(inputs) != 1 or len(outputs) != 1 or not histories:
            return None
        return ChatInterface(input=inputs[0], output=outputs[0], history=histories[0])

    @property
    def chat_inputs(self) -> list[str]:
        return [each.name for each in self.inputs.values() if each.is_chat_input]

    @property
    def chat_outputs(self) -> list[str]:
        return [each.name for each in self.outputs.values() if each.is_chat_output]

    @property
    def chat_histories(self) -> list[str]:
        """Those that are marked, else an input of the name ``chat_history`` that is not marked as none."""
        marked = [each.name for each in self.inputs.values() if each.is_chat_history]
        named = self.inputs.get("chat_history")
        return marked or ([named.name] if named and named.is_chat_history is not False else [])
