"""Writes a lock as a CycloneDX document. It loads the library for that: import it where a document must be written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from uuid import UUID

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.bom_ref import BomRef
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.dependency import Dependency
from cyclonedx.model.tool import ToolRepository
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from flowpack import __version__
from flowpack.dependencies.lock_format import LOCK_NAME, Pin, read_pins
from flowpack.images.plan import SERVING_PACKAGE


def render_document(
    *, flow_name: str, flow_version: str, lock: str, properties: Mapping[str, str], serial_number: UUID
) -> str:
    pins = list(read_pins(lock.splitlines(), Path(LOCK_NAME)))
    flow = Component(
        type=ComponentType.APPLICATION,
        name=flow_name,
        version=flow_version,
        bom_ref=f"flow:{flow_name}",
        properties=[Property(name=name, value=value) for name, value in properties.items()],
    )
    launcher = Component(name=SERVING_PACKAGE, version=__version__, bom_ref=SERVING_PACKAGE)
    packages = {pin.name: _package(pin) for pin in pins}
    document = Bom(
        serial_number=serial_number,
        metadata=_metadata(flow),
        components=[launcher, *packages.values()],
        dependencies=_dependencies(
            flow.bom_ref, launcher.bom_ref, {name: package.bom_ref for name, package in packages.items()}, pins
        ),
    )
    # 1.7 is there as well, but few readers know it yet.
    return JsonV1Dot6(document).output_as_string(indent=2) + "\n"


def _metadata(flow: Component) -> BomMetaData:
    # The library's own version is left out: it says nothing of the image, and would make equal builds differ.
    flowpack = Component(type=ComponentType.APPLICATION, name="flowpack", version=__version__, bom_ref="flowpack")
    metadata = BomMetaData(
        tools=ToolRepository(components=[flowpack]),
        component=flow,
        properties=[Property(name="cdx:reproducible", value="true")],
    )
    metadata.timestamp = None  # type: ignore[assignment]  # optional in the format; else the library takes now
    return metadata


def _package(pin: Pin) -> Component:
    version = pin.version or _version_of_archive(pin.url or "")
    purl = PackageURL("pypi", None, pin.name, version, {"download_url": pin.url} if pin.url else None)
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=each.removeprefix("sha256:")) for each in pin.hashes]
    return Component(
        name=pin.name,
        version=version,
        purl=purl,
        bom_ref=str(purl),
        # A component's hashes are of one artifact. A lock allows any of a version's archives, so its hashes are
        # those of the distribution, which has no address of its own where an index serves it.
        hashes=hashes if len(hashes) == 1 else None,
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(pin.url or str(purl)),
                comment=f"the archives that {LOCK_NAME} allows",
                hashes=hashes,
            )
        ],
    )


def _version_of_archive(url: str) -> str | None:
    """What an archive's name says of its version; a lock does not say more of a package that comes from a URL."""
    file = unquote(PurePosixPath(urlsplit(url).path).name)
    try:
        parsed = parse_wheel_filename(file) if file.endswith(".whl") else parse_sdist_filename(file)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return None
    return str(parsed[1])


def _dependencies(
    flow: BomRef, launcher: BomRef, packages: Mapping[str, BomRef], pins: Iterable[Pin]
) -> Iterator[Dependency]:
    """Who requires whom, from the lock's ``via``: a package, a requirements file of the flow, or else the launcher."""
    required: defaultdict[BomRef, set[BomRef]] = defaultdict(set)
    required[flow].add(launcher)
    for pin in pins:
        for each in pin.via or ("-r",):
            owner = flow if each.startswith("-r") else packages.get(each, launcher)
            required[owner].add(packages[pin.name])
    for owner, needed in required.items():
        yield Dependency(owner, [Dependency(each) for each in needed])
