"""Finds the package of a tool, and reads the tool's metadata without importing the package.

A package lists its tools in YAML files. Its entry point ``package_tools`` is a function that reads them; flowpack reads
the files itself. If the package is not installed beside flowpack, its name is guessed from the tool's module.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowpack.documents.yaml_documents import read_document
from flowpack.errors import FlowpackError, nearest
from flowpack.flows.connection_types import CONNECTION_TYPES
from flowpack.flows.model import Flow
from flowpack.flows.tool_sources import ConnectionKeys, ConnectionParameter, ToolSource
from flowpack.reading import DOCUMENT_BYTES, read_text

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_GIVEN_BY_FLOWPACK = "promptflow.tools."
"""flowpack adds promptflow-tools if a flow needs it; see ``package_needs``."""

PROMPTFLOW_TOOLS = (
    "promptflow.tools.aoai_gpt4v.AzureOpenAI.chat",
    "promptflow.tools.azure_content_safety.analyze_text",
    "promptflow.tools.embedding.embedding",
    "promptflow.tools.llm.llm",
    "promptflow.tools.llm_vision.llm_vision",
    "promptflow.tools.open_model_llm.OpenModelLLM.call",
    "promptflow.tools.openai_gpt4v.OpenAI.chat",
    "promptflow.tools.serpapi.SerpAPI.search",
)
"""What promptflow-tools 1.3.0 to 1.6.1 list in their YAML files."""

FORMER_NAMES = ("content_safety_text.tools.content_safety_text_tool.analyze_text",)
"""What those files list as ``deprecated_tools``: promptflow takes the tool of today for it."""


def is_of_promptflow_tools(tool: str | None) -> bool:
    return tool is not None and (tool.startswith(_GIVEN_BY_FLOWPACK) or tool in FORMER_NAMES)


@dataclass(frozen=True, slots=True)
class PackageTool:
    distribution: str
    connection_parameters: Mapping[str, ConnectionParameter]


def read_package_tool(tool: str) -> PackageTool | None:
    """The tool's metadata; None if no installed package lists the tool."""
    from importlib.metadata import entry_points  # noqa: PLC0415  (few flows have such a tool)

    for entry in entry_points(group="package_tools"):
        fields = _fields_of(tool, entry.dist, entry.module.partition(".")[0]) if entry.dist else None
        if fields is not None and entry.dist is not None:
            return PackageTool(_normal(entry.dist.name), _connection_parameters(fields, entry.dist))
    return None


def tools_without_a_requirement(flow: Flow, required: Callable[[], Collection[str]]) -> Iterator[str]:
    """A message for each node whose tool's package is not required. Calls ``required`` only if a node has a tool."""
    for node in flow.nodes:
        tool = node.source.tool if node.source and node.source.type.startswith("package") else None
        if not node.source or not tool or is_of_promptflow_tools(tool):
            continue
        known = read_package_tool(tool)
        package = known.distribution if known else _guessed(tool)
        # Without metadata only the module is known, and the package's name may differ slightly from it.
        if package not in required() and (known or not any(_alike(package, name) for name in required())):
            how = "comes from" if known else "seems to come from"
            yield (
                f"{node.source.location}: the tool '{tool}' {how} the package '{package}', which is not in the "
                f"requirements; add it"
            )


def _fields_of(tool: str, distribution: Distribution, top: str) -> Mapping[str, Any] | None:
    for file in distribution.files or ():
        if file.suffix in {".yaml", ".yml"} and file.parts[0] == top:
            path = Path(str(distribution.locate_file(file)))
            with contextlib.suppress(FlowpackError, OSError, ValueError):
                text = read_text(path, limit=DOCUMENT_BYTES, within=None)  # of a package installed beside flowpack
                if tool in text:
                    found = read_document(path, text).root.mapping().get(tool)
                    if found is not None and isinstance(found.data, dict):
                        return found.data
    return None


def _connection_parameters(fields: Mapping[str, Any], distribution: Distribution) -> dict[str, ConnectionParameter]:
    inputs = fields.get("inputs")
    found = {}
    for name, each in inputs.items() if isinstance(inputs, dict) else ():
        types = each.get("type") if isinstance(each, dict) else None
        names = [str(kind) for kind in (types if isinstance(types, list) else [types]) if kind in CONNECTION_TYPES]
        if names:
            keys = _keys(name, fields, distribution) if "CustomConnection" in names else ConnectionKeys()
            found[str(name)] = ConnectionParameter(str(name), tuple(names), keys)
    return found


def _keys(parameter: str, fields: Mapping[str, Any], distribution: Distribution) -> ConnectionKeys:
    """The keys of a custom connection that the tool's own source uses."""
    path = str(fields.get("module", "")).replace(".", "/") + ".py"
    source = ToolSource.read(Path(str(distribution.locate_file(path))), within=None)
    known = source.connection_parameters.get(parameter) if source else None
    return known.keys if known else ConnectionKeys()


def _guessed(tool: str) -> str:
    parts = tool.split(".")
    return _normal("-".join(parts[:2]) if parts[0] == "promptflow" else parts[0])


def _alike(package: str, name: str) -> bool:
    """For example ``my-tool-package`` and ``my-tools-package``."""
    return nearest(package, [name], likeness=0.8) is not None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
