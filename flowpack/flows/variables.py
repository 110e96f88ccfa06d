"""The environment variables that a flow itself needs, apart from those of its connections."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flowpack.errors import Location
from flowpack.flows.connection_types import AZURE_OPEN_AI, PROMPTY_TYPES
from flowpack.flows.model import REQUIRED, Flow, FlowKind
from flowpack.flows.model_connections import prompty_configurations
from flowpack.flows.name_places import place_of
from flowpack.flows.references import environment_names
from flowpack.valid_names import check_name

INIT_CONFIG = "PF_FLOW_INIT_CONFIG"
"""JSON with the constructor arguments of a flex flow's class."""

_FOR_AZURE_OPEN_AI = ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT")
_FOR_OPEN_AI = ("OPENAI_API_KEY",)


def flow_variables(flow: Flow, files: Mapping[str, Path]) -> tuple[str, ...]:
    """The variables that must be set when the flow runs, sorted."""
    found = {INIT_CONFIG} if unfilled_init(flow, {}) else set()
    for configuration in prompty_configurations(flow, files).values():
        for name in environment_names(configuration):
            check_name("variable", name, functools.partial(_place, name, flow, files))
            found.add(name)
        if flow.kind is FlowKind.PROMPTY:
            found |= set(_of_an_empty_configuration(configuration))
    return tuple(sorted(found))


def unfilled_init(flow: Flow, given: Mapping[str, Any]) -> tuple[str, ...]:
    """The constructor parameters that neither a value nor a default fills.

    promptflow takes ``given``, what ``PF_FLOW_INIT_CONFIG`` holds, instead of the sample's ``init``, not beside it.
    """
    values = given or flow.sample_init
    return tuple(name for name, each in flow.init.items() if each.default is REQUIRED and name not in values)


def _place(name: str, flow: Flow, files: Mapping[str, Path]) -> Location:
    return place_of(name, flow, files) or Location(flow.file)


def _of_an_empty_configuration(configuration: Mapping[str, Any]) -> Iterator[str]:
    """If only the model's name is set, promptflow takes everything else from the environment."""
    if not any(value for key, value in configuration.items() if key not in {"type", "model", "azure_deployment"}):
        azure = PROMPTY_TYPES.get(configuration.get("type", "")) is AZURE_OPEN_AI
        yield from _FOR_AZURE_OPEN_AI if azure else _FOR_OPEN_AI
