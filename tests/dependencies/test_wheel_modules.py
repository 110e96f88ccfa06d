"""Which modules a lock's packages provide: read from the wheels' listings, kept, and written into the lock."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from flowpack.dependencies.list_modules import modules
from flowpack.dependencies.lock_format import LockInputs, Pin, parse_lock, render_lock
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.target import Target
from flowpack.dependencies.wheel_modules import with_modules
from flowpack.process import Completed

HASH = "sha256:" + "ab" * 32
TARGET = Target.parse("3.11", "linux/amd64")
PIN = Pin("beautifulsoup4", "4.12.3", (HASH,), ("-r requirements.txt",))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"bs4/__init__.py": 9000, "bs4/dammit.py": 1}, ["bs4"]),
        ({"six.py": 9000}, ["six"]),
        ({"_cffi_backend.cpython-311-x86_64-linux-gnu.so": 1, "cffi/__init__.py": 900}, ["_cffi_backend", "cffi"]),
        ({"azure/core/__init__.py": 900, "azure/core/rest/__init__.py": 900}, ["azure.core"]),
        ({"azure/__init__.py": 65, "azure/core/__init__.py": 900}, ["azure.core"]),
        ({"google/cloud/storage/__init__.py": 900}, ["google.cloud.storage"]),
        ({"empty/__init__.py": 0}, ["empty"]),
        ({"a-1.data/purelib/a/__init__.py": 900, "a-1.data/scripts/b.py": 1, "a-1.dist-info/c.py": 1}, ["a"]),
        ({"typed/py.typed": 0, "typed/__init__.py": 900}, ["typed"]),
    ],
)
def test_the_modules_of_a_wheel(files: dict[str, int], expected: list[str]) -> None:
    assert modules(files) == expected


@dataclass
class Asked:
    answer: str
    pins: list[list[str]] = field(default_factory=list)

    def __call__(self, arguments: Sequence[str], **_: Any) -> Completed:
        wanted = json.loads(Path(arguments[-1]).read_text())
        self.pins.append([each["name"] for each in wanted["pins"]])
        return Completed(tuple(arguments), 0, self.answer, "")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWPACK_CACHE_DIR", str(tmp_path / "cache"))


def test_what_is_known_of_a_wheel_is_not_asked_again() -> None:
    asked = Asked('{"beautifulsoup4": ["bs4"]}')
    for _ in range(2):
        (pin,) = with_modules((PIN,), Requirements(), TARGET, run=asked)
        assert pin.provides == ("bs4",)
    assert asked.pins == [["beautifulsoup4"]]


@pytest.mark.parametrize("answer", ["", "Traceback", "{}"])
def test_an_index_that_does_not_tell_stops_no_lock(answer: str) -> None:
    (pin,) = with_modules((PIN,), Requirements(), TARGET, run=Asked(answer))
    assert (pin, pin.provides) == (PIN, ())


def test_the_listing_of_a_wheel_is_read_where_pip_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "acme_words-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("words/__init__.py", "import nothing\n")
        archive.writestr("acme_words-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: acme-words\nVersion: 1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    of_another = Pin("acme-words", "1.0", (HASH,))
    right = Pin("acme-words", "1.0", (f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}",))
    assert [pin.provides for pin in with_modules((right,), Requirements(), TARGET)] == [("words",)]
    assert [pin.provides for pin in with_modules((of_another,), Requirements(), TARGET)] == [()]


def test_a_lock_says_them_and_says_the_same_when_it_is_read() -> None:
    pin = Pin("azure-core", "1.36.0", (HASH,), ("-r requirements.txt",), provides=("azure.core", "azure.more"))
    inputs = LockInputs(
        target=TARGET, requirements=("azure-core",), constraints=(), serving=(), options=(), known_good=()
    )
    text = render_lock(inputs, [pin])
    assert "    # provides azure.core, azure.more\n" in text
    (read,) = parse_lock(text).pins
    assert read.provides == pin.provides
    assert read.via == pin.via
