"""Reads what ``flowpack build`` wrote: the standalone folder and its records."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from flowpack.assembly.files import FileSource
from flowpack.assembly.flow_folder import FlowFolder
from flowpack.assembly.left_out import LeftOut
from flowpack.assembly.names import below
from flowpack.assembly.sources import file_at
from flowpack.azureml.models.plan import ModelSource
from flowpack.dependencies.lock_format import LOCK_NAME
from flowpack.errors import InputError, Location
from flowpack.flows.model import Flow
from flowpack.flows.reader import read_flow
from flowpack.images.build_record import read_build_record
from flowpack.images.image_record import read_image_record
from flowpack.reading import LOCK_BYTES, Roots, read_bytes


def read_build(build: Path) -> ModelSource:
    """InputError where the flow is not the one that the record is of."""
    within = (build.resolve(),)
    record = read_build_record(build)
    flow = replace(read_flow(below(build / "flow", record.flow_file), within=within), name=record.flow_name)
    folder = standalone_folder(flow, build / "flow")
    if folder.digest != record.flow_digest:
        raise InputError(
            "the flow was changed after the build: it is not what the record says",
            location=Location(build / "flow"),
            hint="build it again, so that the model and the image hold the same flow",
        )
    image = read_image_record(build)
    return ModelSource(
        flow=flow,
        folder=folder,
        lock_digest=record.lock_digest,
        image=image.reference if image else None,
        revision=image.revision if image else None,
        asks_workspace=_asks_workspace(build / LOCK_NAME, within),
    )


def _asks_workspace(lock: Path, within: Roots) -> bool | None:
    """By the package that signs the server in to the workspace."""
    try:
        return re.search(rb"^azure-identity==", read_bytes(lock, limit=LOCK_BYTES, within=within), re.M) is not None
    except InputError:
        return None


def standalone_folder(flow: Flow, path: Path) -> FlowFolder:
    """A folder that is a standalone folder already, so that no ignore rule is asked again."""
    return FlowFolder(
        flow=replace(flow, file=path / flow.standalone_name),
        files=dict(sorted(_files(str(path.resolve())))),
        included_by={},
        sources=(path,),
        left_out=LeftOut(),
    )


def _files(top: str) -> Iterator[tuple[str, FileSource]]:
    """flowpack writes no links, so every link was added later and is refused."""
    waiting = [""]
    roots = (Path(top),)
    while waiting:
        prefix = waiting.pop()
        with os.scandir(f"{top}/{prefix}") as entries:
            for entry in entries:
                if entry.name == "__pycache__":
                    continue  # running the flow from here leaves it
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{prefix}{entry.name}/")
                else:
                    yield prefix + entry.name, file_at(entry.path, roots, entry)
