"""Which of this machine's variables a served flow sees: what serving reads and what the flow asks for, no more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from flowpack.errors import FlowpackError, InputError, Location
from flowpack.flows.reader import read_flow
from flowpack.json_documents import parse_json
from flowpack.yaml_documents import read_document

_PREFIXES = ("PROMPTFLOW_", "PF_", "OTEL_", "APPLICATIONINSIGHTS_", "APPINSIGHTS_")
_NAMES = {"GUNICORN_CMD_ARGS", "FLOWPACK_TIMEOUT", "FLOWPACK_PRELOAD", "FLOWPACK_FULL_SDK"}
# Places on this machine, which say nothing about where the flow is served.
_LOCAL = {"PROMPTFLOW_PROJECT_PATH", "PF_PROJECT_PATH", "PF_HOME_DIRECTORY"}


def server_environment(
    build: Path | None = None, *, explicit: Mapping[str, str] | None = None, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """For a build: also the variables of its settings, of its connections, and of the flow's own environment.

    ``explicit`` wins over all.
    """
    names = {name for name in environ if name.startswith(_PREFIXES) or name in _NAMES} - _LOCAL
    if build is not None:
        wanted = {*_settings(build), *_flow_variables(build)}
        whole = {name.replace(" ", "_") for name in _connections(build)}
        fields = tuple(f"{name.upper()}_" for name in whole)
        names |= {name for name in environ if name in wanted or name in whole or name.startswith(fields)}
    return {**{name: environ[name] for name in sorted(names)}, **(explicit or {})}


def _settings(build: Path) -> set[str]:
    path = build / "settings.json"
    if not path.is_file():
        return set()
    try:
        return set(parse_json(path.read_text(encoding="utf-8"), path))
    except (UnicodeDecodeError, TypeError) as error:
        raise InputError("settings.json cannot be read", location=Location(path), detail=str(error)) from error


def _connections(build: Path) -> set[str]:
    documents = (read_document(path).root.mapping() for path in sorted((build / "connections").glob("*.yaml")))
    return {document["name"].string() for document in documents if "name" in document}


def _flow_variables(build: Path) -> set[str]:
    """promptflow lets a variable that is set stand over the default that the flow file gives it."""
    try:
        return set(read_flow(build / "flow").environment_variables)
    except FlowpackError:  # the server itself will explain
        return set()
