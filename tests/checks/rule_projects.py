"""The fixtures of the rules, ``fixtures/checks/<rule>/{fails,passes}``, as projects with nothing around them."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from tests.paths import ROOT

CHECKS = ROOT / "fixtures" / "checks"


def project(rule: str, case: str, parent: Path) -> Path:
    """``grow.yaml`` beside the cases says what is too many or too large to lie there."""
    folder = parent / "project"
    shutil.copytree(CHECKS / rule / case, folder)
    (folder / ".git").mkdir()
    grow = CHECKS / rule / "grow.yaml"
    for path, how in yaml.safe_load(grow.read_text())[case].items() if grow.exists() else ():
        _grow(folder / path, how)
    return folder


def _grow(path: Path, how: dict[str, int]) -> None:
    if "files" in how:
        path.mkdir()
        for number in range(how["files"]):
            (path / f"{number}.txt").touch()
    else:
        with path.open("wb") as file:
            file.truncate(how["bytes"])
