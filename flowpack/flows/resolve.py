"""Finds the flow file for a path, by promptflow's rules for folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from flowpack.errors import InputError, Location, nearest
from flowpack.flows.model import Flow, FlowKind, Include
from flowpack.reading import is_file, is_folder

FLOW_FILE_NAMES = ("flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml")
_SUFFIXES = (".yaml", ".yml", ".prompty")


def find_flow_file(source: Path) -> Path:
    """The flow file of a folder, or the file itself, as an absolute path with its folder's links resolved."""
    if os.path.lexists(source) and not is_folder(source):
        if source.suffix.lower() not in _SUFFIXES:
            raise InputError(
                f"'{source.name}' is not a flow file",
                location=Location(source),
                hint="give a file that ends in .yaml, .yml or .prompty",
            )
        return _named_in_utf8(source.parent.resolve()) / source.name
    if not is_folder(source):
        raise InputError("does not exist", location=Location(source), hint=_near_miss(source))
    folder = _named_in_utf8(source.resolve())
    try:
        names = set(os.listdir(folder))  # noqa: PTH208
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", location=Location(source)) from error
    found = [name for name in FLOW_FILE_NAMES if name in names and not is_folder(folder / name)]
    if not found:
        found = sorted(path.name for path in folder.glob("*.prompty"))
    if len(found) == 1:
        return folder / found[0]
    if found:
        raise InputError(
            f"more than one flow file: {', '.join(found)}",
            location=Location(source),
            hint="give the path of one file",
        )
    raise InputError("no flow file in this folder", location=Location(source), hint=_what_is_there(folder))


def _named_in_utf8(folder: Path) -> Path:
    """Images, models and documents contain the name of the flow's folder, and accept only UTF-8."""
    try:
        folder.name.encode()
    except UnicodeEncodeError as error:
        raise InputError("the folder's name is not UTF-8", location=Location(folder), hint="rename it") from error
    return folder


def standalone_source(folder: Path, includes: Iterable[Include], relative: str) -> Path | None:
    """The source of a file of the standalone folder, in an additional include or the flow's own folder."""
    if relative.startswith("/") or ".." in relative.split("/"):
        return None
    top, _, rest = relative.removeprefix("./").partition("/")
    for include in includes:
        path = folder / include.path
        if path.name == top and is_file(path / rest if rest else path):
            return path / rest if rest else path
    return folder / relative if is_file(folder / relative) else None


def in_the_way(flow: Flow, target: str) -> bool:
    """Whether a file belongs to another flow. promptflow does not serve a folder that contains two."""
    if target == flow.standalone_name:
        return False
    prompty = flow.kind is FlowKind.PROMPTY and "/" not in target and target.endswith(".prompty")
    return prompty or target in FLOW_FILE_NAMES


def _near_miss(source: Path) -> str | None:
    try:
        near = nearest(source.name, (each.name for each in source.parent.iterdir()))
    except OSError:
        return None
    return f"did you mean '{source.parent / near}'?" if near else None


def _what_is_there(folder: Path) -> str:
    below = sorted({path.parent for name in FLOW_FILE_NAMES for path in folder.glob(f"*/{name}")})
    if below:
        return f"give the path of the flow in '{below[0].relative_to(folder)}' below it"
    if any(folder.glob("*.csproj")):
        return "flowpack serves Python flows; use pf flow build for C#"
    named = sorted(path.name for path in folder.iterdir() if path.suffix in _SUFFIXES)
    if named:
        return f"promptflow looks for flow.dag.yaml; if '{named[0]}' is the flow, give that path"
    return "give a folder with a flow.dag.yaml"


def module_files(module: str) -> tuple[str, str]:
    """The paths in the standalone folder at which a module may be."""
    path = module.replace(".", "/")
    return f"{path}.py", f"{path}/__init__.py"
