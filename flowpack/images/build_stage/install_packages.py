"""Installs the wheels that download_packages.py fetched: ``install_packages.py FOLDER PYTHON``.

A step of its own, without secrets, cache or need of a network. uv installs in a tenth of pip's time; where it is not
to be had, or fails, pip installs the same files, and its words are those that the build fails with.

Written for Python 3.9: it runs in the image's base.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGES = "packages.txt"
INSTALLER = "installer"

_PIP = (sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "--isolated")
_FROM_HERE = ("--no-index", "--no-deps", "--only-binary", ":all:")


def main(folder: str, python: str) -> int:
    wheels = Path(folder)
    if _uv_installs(wheels, python):
        return 0
    print("uv did not install the packages: pip does", flush=True)
    _empty(Path(python).parent.parent)
    install = [*_PIP, "--python", python, "install", *_FROM_HERE, "--require-hashes", "--no-compile", "--no-cache-dir"]
    return subprocess.call([*install, "--find-links", str(wheels), "-r", str(wheels / PACKAGES)], cwd=wheels)


def _uv_installs(wheels: Path, python: str) -> bool:
    uv = sorted((wheels / INSTALLER).glob("uv-*.whl"))
    if not uv:
        return False
    install = [*_PIP, "install", *_FROM_HERE, "--no-compile", "--no-cache-dir", "--quiet", str(uv[0])]
    if subprocess.call(install, cwd=wheels) != 0:
        return False
    command = [sys.executable, "-I", "-m", "uv", "pip", "install", "--python", python]
    command += [
        "--no-index",
        "--no-deps",
        "--no-build",
        "--require-hashes",
        "--no-config",
        "--no-cache",
        "--no-progress",
    ]
    command += ["--find-links", str(wheels), "-r", str(wheels / PACKAGES)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    if subprocess.call(command, env=environment, cwd=wheels) != 0:
        return False
    _forget_files(Path(python).parent.parent)
    return True


def _forget_files(environment: Path) -> None:
    """uv notes when it found the file of a wheel, which is different in each build."""
    for note in environment.glob("lib/python*/site-packages/*.dist-info/uv_cache.json"):
        record = note.with_name("RECORD")
        entry = f"{note.parent.name}/uv_cache.json,".encode()
        lines = record.read_bytes().splitlines(keepends=True)
        record.write_bytes(b"".join(line for line in lines if not line.startswith(entry)))
        note.unlink()


def _empty(environment: Path) -> None:
    """What uv left half done could run, as a `.pth` file, in the interpreter that pip starts."""
    for packages in environment.glob("lib/python*/site-packages"):
        for path in packages.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
