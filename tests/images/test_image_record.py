from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.errors import InputError
from flowpack.images.engine.model import PushedImage
from flowpack.images.image_record import ImageRecord, read_image_record, write_image_record
from flowpack.images.reference import Digest, ImageReference

DIGEST = "sha256:" + "a" * 64


def test_a_pushed_image_is_found_again_by_its_digest(tmp_path: Path) -> None:
    pushed = PushedImage(ImageReference.parse("registry.example/team/chat:1"), Digest.parse(DIGEST), 4, 1)
    write_image_record(tmp_path, pushed, {"org.opencontainers.image.revision": "abc"})
    assert read_image_record(tmp_path) == ImageRecord(f"registry.example/team/chat@{DIGEST}", "abc")


def test_a_build_without_a_push_has_none(tmp_path: Path) -> None:
    assert read_image_record(tmp_path) is None


def test_a_broken_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "image.json").write_text("[]")
    with pytest.raises(InputError) as caught:
        read_image_record(tmp_path)
    assert caught.value.hint == "push the image again"
