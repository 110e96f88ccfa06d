"""The fixtures of the rules, ``fixtures/checks/<rule>/{fails,passes}``, as projects with nothing around them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

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


def _grow(path: Path, how: dict[str, Any]) -> None:
    if "copies" in how:  # of an Azure ML document, each with a name of its own
        document = (path.parent / how["of"]).read_text()
        path.mkdir()
        for number in range(how["copies"]):
            (path / f"{number}.yaml").write_text(document.replace("\nname: ", f"\nname: n{number}-"))
    elif "files" in how:
        path.mkdir()
        for number in range(how["files"]):
            (path / f"{number}.txt").touch()
    else:
        with path.open("wb") as file:
            file.truncate(how["bytes"])
