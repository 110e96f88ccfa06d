"""Which of promptflow's packages a flow's nodes and sources need, read from their imports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from flowpack.flows.model import Flow
from flowpack.flows.python_source import read_source
from flowpack.flows.tool_packages import is_of_promptflow_tools
from flowpack.flows.tool_sources import ToolSource

# What promptflow-core and promptflow-tracing install below `promptflow`; the rest comes with the full SDK, `from
# promptflow import tool` included, since only the SDK has a promptflow/__init__.py. Source: their RECORD files, 1.18.5.
_IN_CORE = {
    *("_constants", "_core", "_utils", "connections", "constants", "contracts", "core", "exceptions"),
    *("executor", "integrations", "storage", "tracing"),
}
_DISTRIBUTIONS_OF_THEIR_OWN = {"azure", "evals", "parallel", "rag", "tools"}
# What the launcher gives under the SDK's names without the SDK; see serving/light_sdk.py.
_GIVEN_BY_THE_LAUNCHER = {"tool", "ToolProvider", "log_metric", "_internal"}
_NODES_OF_TOOLS = {"llm", "prompt", "custom_llm"}


def needs_tools(flow: Flow, files: Mapping[str, Path]) -> bool:
    """Whether promptflow-tools is needed: it renders prompts, calls models, and has tools of its own."""
    for node in flow.nodes:
        tool = node.source.tool if node.source else None
        if node.type in _NODES_OF_TOOLS or is_of_promptflow_tools(tool):
            return True
    return any(module.startswith("promptflow.tools") for _, module in _promptflow_imports(flow, files))


def needs_sdk(flow: Flow, files: Mapping[str, Path]) -> bool:
    """Whether a source imports what promptflow-core does not have."""
    return any(_is_of_the_sdk(module) for _, module in _promptflow_imports(flow, files))


def why_not_slim(flow: Flow, files: Mapping[str, Path]) -> str | None:
    """What keeps the sources from proving that promptflow-core is enough, in words; None where it is."""
    for node in flow.nodes:
        tool = node.source.tool if node.source else None
        if tool and not is_of_promptflow_tools(tool):
            return f"node '{node.name}' uses the tool '{tool}' of a package that flowpack does not read"
    for target, module in _promptflow_imports(flow, files):
        if _is_of_the_sdk(module) and module.partition(".")[2].partition(".")[0] not in _GIVEN_BY_THE_LAUNCHER:
            return f"'{target}' imports {module}"
    return None


def _is_of_the_sdk(module: str) -> bool:
    parts = module.split(".")
    return len(parts) == 1 or parts[1] not in _IN_CORE | _DISTRIBUTIONS_OF_THEIR_OWN


def _promptflow_imports(flow: Flow, files: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Pairs of a source and a module of promptflow that it imports."""
    for target in files:
        if not target.endswith(".py") or b"promptflow" not in (read_source(files[target], flow.roots) or b""):
            continue
        source = ToolSource.read(files[target], flow.roots)
        for module in sorted(source.imported_modules) if source else ():
            if module.partition(".")[0] == "promptflow":
                yield target, module
