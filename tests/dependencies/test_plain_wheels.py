"""Wheels made by copying: the same bytes everywhere, whole, and of nothing but the package."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from flowpack.dependencies.plain_wheels import PLAIN_WHEELS, PlainWheel, plain_wheel

SEARCH = PlainWheel(
    name="plain-search",
    version="1.2",
    package="searching",
    requires=("requests",),
    source_hash="sha256:source",
    wheel_hash="sha256:wheel",
)


def write_source(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            content = f"name = {name!r}\n".encode()
            info = tarfile.TarInfo(f"plain_search-1.2/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.attack("C3")
def test_a_plain_wheel_has_the_package_alone_and_nothing_of_its_source_runs(tmp_path: Path) -> None:
    source = write_source(
        tmp_path / "a.tar.gz", "setup.py", "searching/__init__.py", "tests/__init__.py", "searching.py"
    )
    (tmp_path / SEARCH.file).write_bytes(SEARCH.content(source))
    with zipfile.ZipFile(tmp_path / SEARCH.file) as wheel:
        names = wheel.namelist()
        record = list(csv.reader(wheel.read("plain_search-1.2.dist-info/RECORD").decode().splitlines()))
    assert [name for name in names if ".dist-info/" not in name] == ["searching/__init__.py"]
    assert [row[0] for row in record] == names


def test_the_same_files_in_another_order_give_the_same_wheel(tmp_path: Path) -> None:
    one = write_source(tmp_path / "1.tar.gz", "searching/a.py", "searching/b.py")
    other = write_source(tmp_path / "2.tar.gz", "searching/b.py", "searching/a.py")
    assert SEARCH.content(one) == SEARCH.content(other)


def test_pip_installs_a_plain_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / SEARCH.file
    wheel.write_bytes(SEARCH.content(write_source(tmp_path / "a.tar.gz", "searching/__init__.py")))
    target = tmp_path / "installed"
    pip = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, str(wheel)], check=True)
    assert (target / "searching" / "__init__.py").is_file()
    assert "Requires-Dist: requests" in (target / "plain_search-1.2.dist-info" / "METADATA").read_text()


def test_only_a_source_with_a_known_hash_is_copied() -> None:
    (search,) = PLAIN_WHEELS
    assert plain_wheel(search.source_hash) is search
    assert plain_wheel(search.source_hash[:-1] + "0") is None
