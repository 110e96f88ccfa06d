"""Each folder of fixtures/broken is one defect: the command says what, where and what next, and touches no output."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.paths import BROKEN, ROOT, write_tree


@pytest.mark.parametrize("defect", sorted(path.name for path in BROKEN.iterdir()))
def test_the_defect_is_reported_as_expected(defect: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(BROKEN / defect, project)
    (project / ".git").mkdir()
    write_tree(project / "out", {"flowpack.json": "{}", "Dockerfile": "FROM before"})
    expected = yaml.safe_load((project / "expected.yaml").read_text())
    before = listing(project)

    done = subprocess.run(
        [sys.executable, "-m", "flowpack", *expected["arguments"]],
        cwd=project,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr.replace(str(tmp_path), "<tmp>") == expected["stderr"]
    assert done.returncode == expected["exit_code"]
    assert done.stdout == ""
    assert listing(project) == before


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
