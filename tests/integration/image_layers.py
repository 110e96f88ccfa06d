"""What the layers of an image hold, file by file, as ``docker save`` writes them out."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from tests.integration.real_parts import Docker

_KINDS = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "folder", tarfile.SYMTYPE: "link"}


@dataclass(frozen=True)
class Entry:
    """``digest`` and ``head`` (16 bytes) are of a file's content, ``target`` is a link's; ``pax`` says what the
    tar's own header could not."""

    path: PurePosixPath
    kind: str
    mode: int
    owner: tuple[int, int, str, str]
    time: float
    pax: tuple[tuple[str, str], ...]
    target: str
    digest: str
    head: bytes


@dataclass(frozen=True)
class Layer:
    diff_id: str
    entries: tuple[Entry, ...]

    def differences(self, other: Layer) -> list[str]:
        ours, theirs = ({str(entry.path): entry for entry in layer.entries} for layer in (self, other))
        return sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))


@dataclass(frozen=True)
class SavedImage:
    """``layers`` are those above the first ``below`` ones, which are the base's."""

    archive: Path
    config: dict[str, Any]
    layers: tuple[Layer, ...]
    below: int

    @property
    def entries(self) -> Iterator[Entry]:
        for layer in self.layers:
            yield from layer.entries

    def holders(self, *words: bytes) -> list[str]:
        """Where any of the words stands: a file of a layer, its name, or the image's own configuration and history."""
        found = [name for name, content in _documents(self.archive) if any(word in content for word in words)]
        for _, member, content in _members(self.archive, self.below):
            named = member.name.encode() + member.linkname.encode()
            found += [member.name] if any(word in content or word in named for word in words) else []
        return found


def saved_image(docker: Docker, image: str, base: str, folder: Path) -> SavedImage:
    archive = folder / "image.tar"
    docker("save", "--output", str(archive), image)
    below = len(json.loads(docker("image", "inspect", base))[0]["RootFS"]["Layers"])
    with tarfile.open(archive) as tar:
        config = json.loads(_content(tar, _manifest(tar)["Config"]))
    layers: list[list[Entry]] = [[] for _ in config["rootfs"]["diff_ids"]]
    for number, member, content in _members(archive, below):
        layers[number].append(_entry(member, content))
    made = [Layer(*each) for each in zip(config["rootfs"]["diff_ids"], map(tuple, layers), strict=True)]
    return SavedImage(archive, config, tuple(made[below:]), below)


def _entry(member: tarfile.TarInfo, content: bytes) -> Entry:
    return Entry(
        path=PurePosixPath("/", member.name),
        kind=_KINDS.get(member.type, repr(member.type)),
        mode=member.mode & 0o7777,
        owner=(member.uid, member.gid, member.uname, member.gname),
        time=member.mtime,
        pax=tuple(sorted(member.pax_headers.items())),
        target=member.linkname,
        digest=hashlib.sha256(content).hexdigest(),
        head=content[:16],
    )


def _members(archive: Path, below: int) -> Iterator[tuple[int, tarfile.TarInfo, bytes]]:
    with tarfile.open(archive) as tar:
        for number, name in enumerate(_manifest(tar)["Layers"]):
            if number >= below:
                with tarfile.open(fileobj=tar.extractfile(name), mode="r:*") as layer:
                    for member in layer:
                        file = layer.extractfile(member) if member.isfile() else None
                        yield number, member, file.read() if file else b""


def _documents(archive: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.size < 1_000_000 and not member.name.endswith(".tar"):
                yield member.name, _content(tar, member.name)


def _manifest(tar: tarfile.TarFile) -> dict[str, Any]:
    [manifest] = json.loads(_content(tar, "manifest.json"))
    return dict(manifest)


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, name
    return file.read()
