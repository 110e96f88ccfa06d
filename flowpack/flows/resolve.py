"""Finds the flow file that a path means, by promptflow's rules for a folder."""

from __future__ import annotations

from pathlib import Path

from flowpack.errors import InputError, Location, nearest

FLOW_FILE_NAMES = ("flow.dag.yaml", "flow.dag.yml", "flow.flex.yaml", "flow.flex.yml")
_SUFFIXES = (".yaml", ".yml", ".prompty")


def find_flow_file(source: Path) -> Path:
    """The flow file of a folder, or the file itself, as an absolute path with its folder's links resolved."""
    if source.is_file():
        if source.suffix.lower() not in _SUFFIXES:
            raise InputError(
                f"'{source.name}' is no flow file",
                location=Location(source),
                hint="a flow file ends in .yaml, .yml or .prompty",
            )
        return source.parent.resolve() / source.name
    if not source.is_dir():
        raise InputError("does not exist", location=Location(source), hint=_near_miss(source))
    folder = source.resolve()
    found = [name for name in FLOW_FILE_NAMES if (folder / name).is_file()]
    if not found:
        found = sorted(path.name for path in folder.glob("*.prompty"))
    if len(found) == 1:
        return folder / found[0]
    if found:
        raise InputError(
            f"more than one flow file: {', '.join(found)}", location=Location(source), hint="give the file's own path"
        )
    raise InputError("no flow file in this folder", location=Location(source), hint=_what_is_there(folder))


def _near_miss(source: Path) -> str | None:
    try:
        near = nearest(source.name, (each.name for each in source.parent.iterdir()))
    except OSError:
        return None
    return f"did you mean '{source.parent / near}'?" if near else None


def _what_is_there(folder: Path) -> str:
    below = sorted({path.parent for name in FLOW_FILE_NAMES for path in folder.glob(f"*/{name}")})
    if below:
        return f"there is one in '{below[0].relative_to(folder)}' below it"
    named = sorted(path.name for path in folder.iterdir() if path.suffix in _SUFFIXES)
    if named:
        return f"promptflow looks for flow.dag.yaml; if '{named[0]}' is the flow, give that path"
    return "promptflow looks for flow.dag.yaml"
