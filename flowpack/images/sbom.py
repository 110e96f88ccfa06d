"""The bill of materials of an image, and the cache that spares most builds the library that writes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from uuid import UUID, uuid5

from flowpack import __version__
from flowpack.caches import read_cached, write_cached

_NAMESPACE = UUID("39ae2aa4-ba12-46bc-a411-5b7b365e163b")  # drawn once, so that serial numbers are flowpack's own
_BLANK_SERIAL = UUID(int=0)
_BLANK_VERSION = "@flow.digest@"


def render_sbom(
    *, flow_name: str, flow_digest: str, lock: str, python: str, platform: str, properties: Mapping[str, str]
) -> str:
    """CycloneDX 1.6 as JSON: the flow with ``properties``, flowpack's launcher, and the packages of the lock's text.

    Equal arguments give equal bytes: it holds no time, and its serial number follows from its content.
    """
    told = {
        **properties,
        "flowpack:lock:digest": f"sha256:{hashlib.sha256(lock.encode()).hexdigest()}",
        "flowpack:platform": platform,
        "flowpack:python": python,
    }
    # An edit of the flow changes its digest alone, which is filled in here: no reason to load the library.
    text = _document(flow_name, lock, told).replace(_BLANK_VERSION, flow_digest)
    return text.replace(str(_BLANK_SERIAL), str(uuid5(_NAMESPACE, text)), 1)


def _document(flow_name: str, lock: str, properties: Mapping[str, str]) -> str:
    """The document with blanks for the flow's digest and the serial number, from the cache where it has it."""
    name = f"{_key(flow_name, lock, properties)}.json"
    cached = read_cached("sboms", name)
    if cached is not None:
        return cached.decode()
    # Importing it takes longer than all else in a build.
    from flowpack.images.cyclonedx_document import render_document  # noqa: PLC0415

    text = render_document(
        flow_name=flow_name,
        flow_version=_BLANK_VERSION,
        lock=lock,
        properties=properties,
        serial_number=_BLANK_SERIAL,
    )
    write_cached("sboms", name, text.encode())
    return text


def _key(flow_name: str, lock: str, properties: Mapping[str, str]) -> str:
    """A digest of all that the document follows from.

    The library is in it by its first module, which states its version: asking importlib.metadata takes 40 ms.
    """
    summed = hashlib.sha256(json.dumps([__version__, flow_name, lock, sorted(properties.items())]).encode())
    summed.update(Path(__file__).with_name("cyclonedx_document.py").read_bytes())
    library = find_spec("cyclonedx")
    if library and library.origin:
        summed.update(Path(library.origin).read_bytes())
    return summed.hexdigest()
