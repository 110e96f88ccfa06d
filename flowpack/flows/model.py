"""The values that describe a prompt flow. ``read_flow`` creates them, and nothing changes them afterwards."""

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
"""Marks an input without a default. None cannot mark it, because null is a valid default."""


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
    """Where a node's tool comes from: a ``code`` source has a path in the flow folder, ``package`` a dotted name."""

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
    """An item of ``additional_includes``, with its path as written: relative to the flow file, or absolute."""

    path: str
    location: Location


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A file that the flow names and that does not exist; ``path`` as written."""

    path: str
    location: Location


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """The flow's ``environment``. Paths are relative to the standalone flow folder."""

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
    """A flow as its file defines it, with one variant chosen for each node."""

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
    """The flow file for the standalone folder: chosen variants inlined, no ``additional_includes``."""
    entry: str | None = None
    """A flex flow's ``module:function`` or ``module:Class``."""
    init: Mapping[str, FlowInput] = field(default_factory=dict)
    """The constructor parameters of a flex flow's class."""
    sample: Mapping[str, Any] = field(default_factory=dict)
    """The inputs of the sample request in a flex flow or a prompty."""
    sample_init: Mapping[str, Any] = field(default_factory=dict)
    """The constructor arguments that promptflow uses if ``PF_FLOW_INIT_CONFIG`` is not set."""
    missing_sample: MissingFile | None = None
    """The file that ``sample`` names and that does not exist; serving does not need it."""
    environment_files: tuple[Include, ...] = ()
    """Those of ``additional_includes`` that ``environment`` names and the flow file does not list."""
    roots: tuple[Path, ...] = ()
    """The only folders from which files of the flow are read, with links resolved."""

    @property
    def folder(self) -> Path:
        return self.file.parent

    @property
    def standalone_name(self) -> str:
        """The flow file's name in the standalone folder, by which promptflow's server finds it."""
        expected = f"flow.{self.kind.value}.yaml"
        known = self.kind is FlowKind.PROMPTY or self.file.name in {expected, expected.replace(".yaml", ".yml")}
        return self.file.name if known else expected

    @property
    def is_evaluation(self) -> bool:
        return any(node.aggregation for node in self.nodes)

    @property
    def chat(self) -> ChatInterface | None:
        """None unless the flow has what promptflow requires: one chat input, one chat output and a chat history."""
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
        """Inputs with ``is_chat_history``, else an input named ``chat_history`` that does not set it to false."""
        marked = [each.name for each in self.inputs.values() if each.is_chat_history]
        named = self.inputs.get("chat_history")
        return marked or ([named.name] if named and named.is_chat_history is not False else [])
