"""Requirements and conda files that ``environment`` names outside the flow folder: the standalone folder gets them."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Literal

from flowpack.documents.yaml_documents import dump, read_document
from flowpack.errors import YamlError
from flowpack.flows.model import Environment, Flow, FlowKind, Include
from flowpack.reading import is_file, lies_within

_Key = Literal["python_requirements_txt", "conda_file"]
_KEYS: tuple[_Key, ...] = ("python_requirements_txt", "conda_file")


def with_environment_files(flow: Flow) -> Flow:
    """The flow with an include for each such file of the project, and with its name in the standalone folder.

    promptflow reads no environment of a prompty.
    """
    if flow.kind is FlowKind.PROMPTY:
        return flow
    for key in _KEYS:
        path = getattr(flow.environment, key)
        if path is not None and _is_taken_along(path, flow):
            flow = _taken_along(flow, key, path)
    return flow


def _is_taken_along(path: str, flow: Flow) -> bool:
    inside = os.path.normpath(path.replace("\\", "/"))
    if Path(inside).is_absolute() or not inside.startswith("../"):
        return False
    real = os.path.realpath(flow.folder / inside)
    return lies_within(real, flow.roots) and is_file(Path(real))


def _taken_along(flow: Flow, key: _Key, path: str) -> Flow:
    include = Include(path=path.replace("\\", "/"), location=flow.environment.locations[key])
    name = PurePosixPath(include.path).name
    return replace(
        flow,
        environment=_with_name(flow.environment, key, name),
        additional_includes=(*flow.additional_includes, include),
        environment_files=(*flow.environment_files, include),
        text=_renamed(flow, key, path, name),
    )


def _with_name(environment: Environment, key: _Key, name: str) -> Environment:
    if key == "conda_file":
        return replace(environment, conda_file=name)
    return replace(environment, python_requirements_txt=name)


def _renamed(flow: Flow, key: _Key, path: str, name: str) -> str:
    """The standalone flow file with the file's new name: in place where that changes nothing else, else anew."""
    expected = deepcopy(read_document(flow.file, flow.text).root.data)
    expected["environment"][key] = name
    edited = flow.text.replace(path, name, 1)
    try:
        if read_document(flow.file, edited).root.data == expected:
            return edited
    except YamlError:
        pass
    return dump(expected)
