"""Makes wheels by copying files, for plain Python packages whose needed release was published only as source.

promptflow-tools requires such a package, so no LLM flow would resolve with wheels only. The hashes of the source
distribution and of the wheel are fixed here: nothing of the package runs, no engine is needed, and the wheel has the
same bytes everywhere.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest time that the format can hold
_MODE = 0o100644 << 16
_UNIX = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainWheel:
    """``package`` is the folder to copy; hashes are ``sha256:…``."""

    name: str
    version: str
    package: str
    requires: tuple[str, ...]
    source_hash: str
    wheel_hash: str

    @property
    def _stem(self) -> str:
        return f"{self.name.replace('-', '_')}-{self.version}"

    @property
    def file(self) -> str:
        return f"{self._stem}-py3-none-any.whl"

    @property
    def source(self) -> str:
        return f"{self._stem}.tar.gz"

    def content(self, source: Path) -> bytes:
        """The wheel's bytes; ``source`` must have ``source_hash``."""
        with tarfile.open(source, "r:gz") as archive:
            top = f"{self._stem}/{self.package}/"
            files = {
                member.name.removeprefix(f"{self._stem}/"): _read(archive, member)
                for member in archive
                if member.isfile() and member.name.startswith(top)
            }
        return self._zipped(files)

    def _zipped(self, files: Mapping[str, bytes]) -> bytes:
        info = f"{self._stem}.dist-info"
        metadata = [
            f"Name: {self.name}",
            f"Version: {self.version}",
            *(f"Requires-Dist: {each}" for each in self.requires),
        ]
        wheel = ("Wheel-Version: 1.0", "Generator: flowpack", "Root-Is-Purelib: true", "Tag: py3-none-any")
        entries = {
            **dict(sorted(files.items())),
            f"{info}/METADATA": _lines("Metadata-Version: 2.1", *metadata),
            f"{info}/WHEEL": _lines(*wheel),
        }
        record = [f"{name},{_digest(content)},{len(content)}" for name, content in entries.items()]
        entries[f"{info}/RECORD"] = _lines(*record, f"{info}/RECORD,,")
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w") as archive:  # stored: each library compresses differently
            for name, content in entries.items():
                entry = zipfile.ZipInfo(name, _TIME)
                entry.create_system, entry.external_attr = _UNIX, _MODE
                archive.writestr(entry, content)
        return made.getvalue()


PLAIN_WHEELS = (
    PlainWheel(
        name="google-search-results",
        version="2.4.1",
        package="serpapi",
        requires=("requests",),
        source_hash="sha256:021746fc21c0b0786e61a2d103d93a08c5c84e204d3f93cd4d589e0e117614a7",
        wheel_hash="sha256:b64dfad7081ad51f78517f9ec2c463ecd5aea99c094fdf6a91239c4832c1e3d6",
    ),
)


def plain_wheel(source_hash: str) -> PlainWheel | None:
    return next((each for each in PLAIN_WHEELS if each.source_hash == source_hash), None)


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None  # noqa: S101  (it is a file)
    return file.read()


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


def _digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
