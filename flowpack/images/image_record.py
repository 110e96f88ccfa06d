"""The image that was pushed from a build, noted beside it: ``image.json``. The build's own record knows no image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowpack.errors import InputError, Location, UsageError
from flowpack.images.engine.model import PushedImage
from flowpack.images.reference import ImageReference
from flowpack.images.source_labels import REVISION
from flowpack.quoting import one_line
from flowpack.reading import RECORD_BYTES, read_bytes
from flowpack.writing import replace_file

IMAGE_RECORD = "image.json"


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """``reference`` names the image by its digest; ``revision`` is that of the flow's sources when it was built."""

    reference: str
    revision: str | None


def write_image_record(folder: Path, pushed: PushedImage, labels: Mapping[str, str]) -> None:
    record = {"reference": str(pushed), "revision": labels.get(REVISION)}
    replace_file(folder / IMAGE_RECORD, json.dumps(record, indent=2) + "\n")


def read_image_record(folder: Path) -> ImageRecord | None:
    path = folder / IMAGE_RECORD
    if not path.is_file():
        return None
    try:
        record = json.loads(read_bytes(path, limit=RECORD_BYTES, within=[folder.resolve()]))
        ImageReference.parse(record["reference"])
        return ImageRecord(record["reference"], record["revision"] and one_line(str(record["revision"])))
    except (ValueError, KeyError, TypeError, RecursionError, UsageError) as error:
        raise InputError(
            "the image's record cannot be read", location=Location(path), hint="push the image again"
        ) from error
