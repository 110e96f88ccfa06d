"""The image that a flow's image starts from: an image by name, or the stages of a ``Dockerfile.base``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from flowpack.errors import InputError, Location
from flowpack.reading import DOCUMENT_BYTES, Roots, read_text

BASE_FILE = "Dockerfile.base"
_FROM = re.compile(r"^(?P<head>\s*FROM\s+(?:--\S+\s+)*\S+)(?P<name>\s+AS\s+\S+)?\s*$", re.I)


@dataclass(frozen=True, slots=True)
class Base:
    """Dockerfile lines whose last stage is named ``base``; ``origin`` names their source alike on any machine."""

    lines: tuple[str, ...]
    origin: str

    @classmethod
    def of_image(cls, image: str, origin: str) -> Base:
        return cls((f"FROM {image} AS base",), origin)

    @classmethod
    def of_file(cls, path: Path, origin: str, *, within: Roots | None = None) -> Base:
        lines = read_text(path, limit=DOCUMENT_BYTES, within=within).splitlines()
        stages = [number for number, line in enumerate(lines) if _FROM.match(line)]
        if not stages:
            raise InputError("has no FROM instruction", location=Location(path))
        last = stages[-1]
        match = _FROM.match(lines[last])
        assert match is not None  # noqa: S101  (it is one of those that match)
        if match["name"]:
            raise InputError(
                "the last stage has a name of its own",
                location=Location(path, last + 1),
                hint="flowpack names it 'base'",
            )
        lines[last] = match["head"] + " AS base"
        return cls(tuple(lines), origin)


def find_base(*, base_image: str | None, environment_image: str | None, flow_folder: Path, root: Path) -> Base:
    """``--base-image``, else the flow's ``environment.image``, else the nearest Dockerfile.base up to ``root``."""
    if base_image:
        return Base.of_image(base_image, "--base-image")
    if environment_image:
        return Base.of_image(environment_image, "the flow's environment.image")
    for folder in (flow_folder, *flow_folder.parents):
        if (folder / BASE_FILE).is_file():
            path = folder / BASE_FILE
            origin = path.relative_to(root).as_posix() if folder.is_relative_to(root) else BASE_FILE
            return Base.of_file(path, origin, within=(root.resolve(),))
        if folder == root:
            break
    return Base.of_file(_own_base_file(), f"flowpack's own {BASE_FILE}")


def _own_base_file() -> Path:
    """In an installed flowpack the file lies in this package, in a checkout at its top level."""
    packaged = Path(__file__).parent / BASE_FILE
    return packaged if packaged.is_file() else Path(__file__).parents[2] / BASE_FILE
