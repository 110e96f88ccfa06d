"""Builds a source distribution into a wheel: runs in a container of its own, as a user without rights.

``build_wheel.py SOURCE`` in /source-build: what it is built with comes as wheels, and the wheel goes into ``out``.
There is no network, no secret, no cache and nothing of the host. Written for Python 3.9: it runs in the image's base.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_WORK = Path("/source-build")
_PYTHON = _WORK / "tmp" / "environment" / "bin" / "python"
_OFFLINE = ("--no-index", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--no-input", "--quiet")


def main(source: str) -> int:
    os.umask(0o022)
    packages = _WORK / "in" / "build.txt"
    install = ["install", *_OFFLINE, "--require-hashes", "--only-binary", ":all:"]
    install += ["--find-links", str(_WORK / "in" / "wheels"), "-r", str(packages)]
    build = ["wheel", *_OFFLINE, "--no-build-isolation", "--use-pep517", "--wheel-dir", str(_WORK / "out")]
    steps = [[sys.executable, "-I", "-m", "venv", str(_PYTHON.parents[1])]]
    if packages.stat().st_size:
        steps.append([str(_PYTHON), "-I", "-m", "pip", *install])
    steps.append([str(_PYTHON), "-m", "pip", *build, str(_WORK / "in" / source)])
    for step in steps:
        status = subprocess.call(step, cwd=_WORK / "tmp")
        if status != 0:
            return status
    for wheel in sorted((_WORK / "out").iterdir()):
        print(f"flowpack: built {wheel.name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
