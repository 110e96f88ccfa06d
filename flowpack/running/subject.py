"""What ``flowpack run`` and ``flowpack test`` are given: a flow, what ``flowpack build`` wrote, or an image."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowpack.assembly.names import below
from flowpack.assembly.staging import MARKER
from flowpack.builds import BuildRequest
from flowpack.caches import cache_folder
from flowpack.dependencies.target import Target
from flowpack.errors import InputError, Location
from flowpack.images.reference import ImageReference
from flowpack.pipeline import build
from flowpack.reading import RECORD_BYTES, read_bytes
from flowpack.reporting import Reporter
from flowpack.valid_names import check_name


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """A build context on disk, with what its record says of it."""

    folder: Path
    name: str
    flow_file: str
    context_digest: str
    target: Target

    @classmethod
    def read(cls, folder: Path) -> BuildFolder:
        path = folder / MARKER
        content = read_bytes(path, limit=RECORD_BYTES, within=[folder.resolve()])
        try:
            record: dict[str, Any] = json.loads(content)
            flow = record["flow"]
            target = Target.parse(record["python"], record["platform"])
            name, file = str(flow["name"]), str(flow["file"])
            digest = str(record["context_digest"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                "the build's record cannot be read", location=Location(path), hint="build it again: flowpack build"
            ) from error
        check_name("flow", name, Location(path))
        below(folder / "flow", file)
        return cls(folder, name, file, digest, target)

    @property
    def image(self) -> ImageReference:
        """A name for the image of exactly this context."""
        name = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or "flow"
        return ImageReference.parse(f"flowpack/{name}:{self.context_digest.partition(':')[2][:16]}")


def resolve_subject(
    text: str, request: Callable[[Path], BuildRequest], reporter: Reporter
) -> BuildFolder | ImageReference:
    """A flow is built into the cache first; ``request`` says how. What is no path on this machine is an image."""
    path = Path(text)
    if (path / MARKER).is_file():
        return BuildFolder.read(path)
    if path.exists():
        output = cache_folder("builds") / hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
        build(replace(request(path), output=output), reporter=reporter)
        return BuildFolder.read(output)
    if text.startswith((".", "/")) or text.endswith(("/", ".yaml", ".yml", ".prompty")):
        raise InputError("does not exist", location=Location(path), hint="give a flow, a build's output, or an image")
    return ImageReference.parse(text)
