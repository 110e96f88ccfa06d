"""``flowpack.json``, the record of a build beside its context: the one place that writes it and reads it.

It has no times and no paths of this machine, so that equal builds are equal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowpack import __version__
from flowpack.assembly.names import below
from flowpack.assembly.staging import MARKER
from flowpack.dependencies.target import Target
from flowpack.errors import InputError, Location
from flowpack.images.reference import ImageReference, image_name
from flowpack.reading import RECORD_BYTES, read_bytes
from flowpack.valid_names import check_name


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRecord:
    """``flow_file`` is the flow file's path in the standalone folder; ``properties`` are promptflow's of the model;
    ``connections`` has the variables that each connection needs; ``buildkit`` tells whether the Dockerfile needs it.
    """

    flow_name: str
    flow_kind: str
    flow_file: str
    flow_digest: str
    files: int
    properties: Mapping[str, str]
    lock_digest: str
    context_digest: str
    target: Target
    connections: Mapping[str, tuple[str, ...]]
    buildkit: bool

    def text(self) -> str:
        document = {
            "flowpack": __version__,
            "context_digest": self.context_digest,
            "flow": {
                "name": self.flow_name,
                "kind": self.flow_kind,
                "file": self.flow_file,
                "digest": self.flow_digest,
                "files": self.files,
                "properties": dict(self.properties),
            },
            "lock_digest": self.lock_digest,
            "python": self.target.python,
            "platform": str(self.target.platform),
            "buildkit": self.buildkit,
            "connections": {name: list(variables) for name, variables in self.connections.items()},
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    @property
    def image(self) -> ImageReference:
        """A name for the image of exactly this context."""
        return context_image(self.flow_name, self.context_digest)


def context_image(flow_name: str, context_digest: str) -> ImageReference:
    """The name under which an engine has the image of a build context."""
    return ImageReference.parse(f"flowpack/{image_name(flow_name)}:{context_digest.partition(':')[2][:16]}")


def is_build(folder: Path) -> bool:
    return (folder / MARKER).is_file()


def read_build_record(build: Path) -> BuildRecord:
    path = build / MARKER
    content = read_bytes(path, limit=RECORD_BYTES, within=[build.resolve()])
    try:
        record: dict[str, Any] = json.loads(content)
        flow = record["flow"]
        read = BuildRecord(
            flow_name=str(flow["name"]),
            flow_kind=str(flow["kind"]),
            flow_file=str(flow["file"]),
            flow_digest=str(flow["digest"]),
            files=int(flow["files"]),
            properties={str(name): str(value) for name, value in flow["properties"].items()},
            lock_digest=str(record["lock_digest"]),
            context_digest=str(record["context_digest"]),
            target=Target.parse(record["python"], record["platform"]),
            connections={str(name): tuple(map(str, each)) for name, each in record["connections"].items()},
            buildkit=bool(record["buildkit"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            "the build's record cannot be read", location=Location(path), hint="build it again: flowpack build"
        ) from error
    check_name("flow", read.flow_name, Location(path))
    below(build / "flow", read.flow_file)
    return read
