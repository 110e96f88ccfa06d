"""Decides which of promptflow's packages a flow needs, from its nodes and the imports of its sources."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flowpack.flows.connection_types import AZURE_OPEN_AI, PROMPTY_TYPES
from flowpack.flows.model import Flow
from flowpack.flows.model_connections import prompty_configurations
from flowpack.flows.python_source import PythonSource, last_name, read_source
from flowpack.flows.resolve import module_files
from flowpack.flows.tool_packages import is_of_promptflow_tools
from flowpack.flows.tool_sources import ToolSource

# Modules that promptflow-core and promptflow-tracing install below `promptflow`. Only the full SDK has the others, and
# promptflow/__init__.py, so `from promptflow import tool` needs the SDK. Source: their RECORD files, 1.18.5.
_IN_CORE = {
    *("_constants", "_core", "_utils", "connections", "constants", "contracts", "core", "exceptions"),
    *("executor", "integrations", "storage", "tracing"),
}
_DISTRIBUTIONS_OF_THEIR_OWN = {"azure", "evals", "parallel", "rag", "tools"}
# Names of the SDK that the launcher provides without the SDK; see serving/light_sdk.py.
_GIVEN_BY_THE_LAUNCHER = {"tool", "ToolProvider", "log_metric", "_internal"}
_AZURE_MODEL = "AzureOpenAIModelConfiguration"
_INSTALLERS = {"pip": "pip", "pkg_resources": "setuptools", "setuptools": "setuptools"}
_AN_INSTALLER = re.compile(rb"\b(?:pip|pkg_resources|setuptools)\b")
_NODES_OF_TOOLS = {"llm", "prompt", "custom_llm"}


def needs_tools(flow: Flow, files: Mapping[str, Path]) -> bool:
    """Whether promptflow-tools is needed: it renders prompts, calls models, and has tools of its own."""
    for node in flow.nodes:
        tool = node.source.tool if node.source else None
        if node.type in _NODES_OF_TOOLS or is_of_promptflow_tools(tool):
            return True
    return any(module.startswith("promptflow.tools") for _, module in _promptflow_imports(flow, files))


def needs_sdk(flow: Flow, files: Mapping[str, Path]) -> bool:
    """Whether a source imports a module that promptflow-core does not have."""
    return any(_is_of_the_sdk(module) for _, module in _promptflow_imports(flow, files))


def needs_identity(flow: Flow, files: Mapping[str, Path]) -> bool:
    """Whether a model of Azure OpenAI has an endpoint and no key, in a prompty, ``init`` or a source: it signs in."""
    of_init = [
        flow.sample_init.get(each.name, each.default) for each in flow.init.values() if each.type == _AZURE_MODEL
    ]
    return (
        any(_signs_in(each) for each in prompty_configurations(flow, files).values())
        or any(isinstance(each, dict) and _has_no_key(each) for each in of_init)
        or any(_has_no_key(each) for each in _models_in_sources(flow, files))
    )


def needed_installers(flow: Flow, files: Mapping[str, Path]) -> tuple[str, ...]:
    """The packages among pip and setuptools that a source imports: a virtual environment of the image has neither."""
    found = set()
    for target in files:
        if not target.endswith(".py") or not _AN_INSTALLER.search(read_source(files[target], flow.roots) or b""):
            continue
        source = ToolSource.read(files[target], flow.roots)
        tops = {module.partition(".")[0] for module in source.imported_modules} if source else set()
        own = {top for top in tops if any(file in files for file in module_files(top))}
        found |= {_INSTALLERS[top] for top in tops - own if top in _INSTALLERS}
    return tuple(sorted(found))


def why_not_slim(flow: Flow, files: Mapping[str, Path]) -> str | None:
    """Why promptflow-core may not be enough, as a message; None if the sources prove that it is."""
    for node in flow.nodes:
        tool = node.source.tool if node.source else None
        if tool and not is_of_promptflow_tools(tool):
            return f"node '{node.name}' uses the tool '{tool}' of a package that flowpack does not read"
    for target, module in _promptflow_imports(flow, files):
        if _is_of_the_sdk(module) and module.partition(".")[2].partition(".")[0] not in _GIVEN_BY_THE_LAUNCHER:
            return f"'{target}' imports {module}"
    return None


def _signs_in(configuration: Mapping[str, Any]) -> bool:
    return PROMPTY_TYPES.get(str(configuration.get("type"))) is AZURE_OPEN_AI and _has_no_key(configuration)


def _has_no_key(model: Mapping[str, Any]) -> bool:
    """With neither a key nor an endpoint, promptflow takes both from variables."""
    keyed = model.get("connection") or model.get("api_key")
    return not keyed and bool(model.get("azure_endpoint") or model.get("api_base"))


def _models_in_sources(flow: Flow, files: Mapping[str, Path]) -> Iterator[Mapping[str, Any]]:
    """The arguments by name of each ``AzureOpenAIModelConfiguration(...)``; a key that is not None is one."""
    for target in files:
        if not target.endswith(".py") or _AZURE_MODEL.encode() not in (read_source(files[target], flow.roots) or b""):
            continue
        source = PythonSource.read(files[target], flow.roots)
        for node in ast.walk(source.tree) if source else ():
            if isinstance(node, ast.Call) and last_name(node.func) == _AZURE_MODEL:
                yield {
                    each.arg: not (isinstance(each.value, ast.Constant) and not each.value.value)
                    for each in node.keywords
                    if each.arg
                }


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
