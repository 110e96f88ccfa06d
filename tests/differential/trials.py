"""One flow, made standalone by promptflow and by flowpack."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from flowpack.assembly.flow_folder import assemble, write_flow_folder
from flowpack.assembly.roots import IncludeRoots
from flowpack.errors import FlowpackError
from flowpack.flows.reader import read_flow
from flowpack.flows.variants import VariantChoice
from tests.differential.oracle import Oracle, PromptFlowError


class File(NamedTuple):
    content: bytes
    mode: int


@dataclass(frozen=True)
class Outcome:
    """A folder that was made, or why there is none. An archive stands as its members: ``a.zip/a/b.txt``."""

    folder: Path
    flow_file: str
    files: Mapping[str, File]
    refused: str | None = None


@dataclass(frozen=True)
class Trial:
    """``source`` is the flow's file."""

    source: Path
    variant: str | None
    theirs: Outcome
    ours: Outcome


def attempt(
    source: Path, output: Path, oracle: Oracle, variant: str | None = None, *, describe_tools: bool = False
) -> Trial:
    ours = by_flowpack(source, output / "ours", variant)
    # Describing tools, where promptflow looks for the sources of nodes, takes ten times as long as all the rest.
    describe_tools = describe_tools or "is not in the standalone folder" in (ours.refused or "")
    return Trial(
        source=source,
        variant=variant,
        theirs=by_promptflow(oracle, source, output / "theirs", variant, describe_tools=describe_tools),
        ours=ours,
    )


def by_flowpack(source: Path, output: Path, variant: str | None = None) -> Outcome:
    choice = VariantChoice.parse(variant) if variant else None
    try:
        flow = read_flow(source, choice)
        folder = assemble(flow, IncludeRoots.of(flow.folder, ()))
    except FlowpackError as error:
        return Outcome(output, source.name, {}, str(error))
    output.mkdir(parents=True)
    write_flow_folder(folder, output)
    return Outcome(output, flow.standalone_name, _files(output))


def by_promptflow(
    oracle: Oracle, source: Path, output: Path, variant: str | None = None, *, describe_tools: bool = False
) -> Outcome:
    try:
        oracle.build(source, output, variant, describe_tools=describe_tools)
    except PromptFlowError as error:
        return Outcome(output, source.name, {}, str(error))
    return Outcome(output, source.name, _files(output))


def _files(folder: Path) -> dict[str, File]:
    files = {}
    for path in folder.rglob("*"):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            if zipfile.is_zipfile(path):
                files |= {f"{name}/{member}": File(content, 0o644) for member, content in _members(path).items()}
            else:
                files[name] = File(path.read_bytes(), path.stat().st_mode & 0o777)
    return files


def _members(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist() if not name.endswith("/")}
