"""What the flow's own file asks of the environment, read without promptflow, which takes half a second to load."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .flex_class import INIT_CONFIG, problems_of_init
from .problems import Problem

_FILES = ("flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml")
_FRONT_MATTER = re.compile(r"-{3,}\n(.*)-{3,}\n", re.DOTALL)  # promptflow's own
_CONNECTION_FIELD = re.compile(r"^\$\{([^.]+)\.([^.]+)}$")
_OF_MODELS = {"azure_openai": ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"), "openai": ("OPENAI_API_KEY",)}
_REFERENCE = re.compile(r"^\$\{env:(.*)}$")


def used_connections(flow: Path, environ: Mapping[str, str]) -> set[str]:
    """Those that the file names: LLM nodes, variables that take a connection's field, a flex flow's ``init``, a model.

    Those that show only in the code are in the documents that the build wrote, or come up when the flow is loaded.
    """
    data = _flow_file(flow)
    return {*_of_nodes(data), *_of_variables(data, environ), *_of_init(data, environ), *_of_model(data, environ)}


def problems_of_variables(flow: Path, environ: Mapping[str, str]) -> list[Problem]:
    """What of the flow's own variables keeps it from starting, or a prompty from answering."""
    data = _flow_file(flow)
    problems = [Problem(name, reason) for name, reason in _of_prompty(_model(data, environ)) if name not in environ]
    given = _given(environ)
    if given is None:
        problems.append(Problem(INIT_CONFIG, "no JSON object", missing=False))
    elif data.get("entry"):
        problems += problems_of_init(flow, data, given)
    return problems


def _of_prompty(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """References, which promptflow leaves as they stand where the variable is not set; for a model that names neither
    a connection nor a value, the variables that promptflow takes it from."""
    for key, value in model.items():
        match = _REFERENCE.match(value) if isinstance(value, str) else None
        if match:
            yield match[1], f"the prompty's model.configuration.{key}"
    if model and not any(value for key, value in model.items() if key not in ("type", "azure_deployment", "model")):
        for name in _OF_MODELS.get(str(model.get("type")), ()):
            yield name, "the prompty's model.configuration names no connection"


def _of_nodes(data: Mapping[str, Any]) -> Iterator[str]:
    for node in data.get("nodes") or ():
        if isinstance(node, dict) and node.get("connection"):
            yield str(node["connection"])


def _of_variables(data: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[str]:
    for key, default in _mapping(data, "environment_variables").items():
        match = _CONNECTION_FIELD.match(str(environ.get(key, default)))
        if match:
            yield match[1]


def _of_init(data: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[str]:
    """What a flex flow's class is made with: a model's configuration, or a connection's name where one is declared."""
    declared = _mapping(data, "init")
    defaults = {key: each.get("default") for key, each in declared.items() if isinstance(each, dict)}
    for key, value in {**defaults, **(_given(environ) or _mapping(data, "sample", "init"))}.items():
        if isinstance(value, dict) and value.get("connection"):
            yield str(value["connection"])
        elif isinstance(value, str) and value and str(_mapping(declared, key).get("type")).endswith("Connection"):
            yield value


def _of_model(data: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[str]:
    connection = _model(data, environ).get("connection")
    if isinstance(connection, str) and not _REFERENCE.match(connection):
        yield connection


def _model(data: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    path = ("model", "configuration")
    return {**_mapping(data, *path), **_mapping(_given(environ) or {}, *path)}


def _given(environ: Mapping[str, str]) -> Mapping[str, Any] | None:
    try:
        given = json.loads(environ.get(INIT_CONFIG) or "{}")
    except ValueError:
        return None
    return given if isinstance(given, dict) else None


def _mapping(data: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    for key in path:
        inside = data.get(key)
        data = inside if isinstance(inside, dict) else {}
    return data


def _flow_file(folder: Path) -> Mapping[str, Any]:
    """Empty where it cannot be read: promptflow says what is wrong with a flow, when it loads it."""
    from ruamel.yaml import YAML  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415 - the core brings it

    def load(text: str) -> dict[str, Any]:
        data = YAML(typ="safe", pure=True).load(text)
        return data if isinstance(data, dict) else {}

    try:
        if (folder / "MLmodel").is_file():
            entry = _mapping(load((folder / "MLmodel").read_text(encoding="utf-8")), "flavors", "promptflow")["entry"]
            folder = (folder / entry).parent
        for name in _FILES:
            if (folder / name).is_file():
                return load((folder / name).read_text(encoding="utf-8"))
        [prompty] = folder.glob("*.prompty")
        front = _FRONT_MATTER.search(prompty.read_text(encoding="utf-8"))
        return load(front[1]) if front else {}
    except Exception:  # ruamel's errors share no public base
        return {}
