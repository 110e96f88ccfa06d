"""What loads when: the library without click and SDKs, help without anything heavy, rooms without their neighbours."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import FLOWS, ROOT

HEAVY = {"click", "cyclonedx", "docker", "azure", "requests", "rich", "promptflow", "piptools", "pip", "uv"}

# A room may import the rooms named here, and the modules at the top. The picture: docs/explanation/architecture.md.
MAY_IMPORT = {
    "flows": set(),
    "assembly": {"flows", "dependencies"},
    "ci": {"assembly", "azureml", "checks", "dependencies", "flows", "images", "running"},
    "checks": {"assembly", "azureml", "dependencies", "flows", "images"},
    "dependencies": set(),
    "images": {"assembly", "dependencies", "flows"},
    "serving": set(),
    "running": {"images", "dependencies", "flows", "assembly"},
    "azureml": {"images", "flows", "assembly", "dependencies", "running"},
}
STORIES = {"pipeline", "builds", "locking", "source_builds"}
BELOW_EVERY_ROOM = {path.stem for path in (ROOT / "flowpack").glob("*.py")} - STORIES


def loaded_by(statement: str) -> set[str]:
    code = f"import sys, json\n{statement}\nprint(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["flowpack.pipeline.build", "flowpack.pipeline.serve", "flowpack.pipeline.deploy"])
def test_the_library_loads_without_click_and_the_sdks(module: str) -> None:
    assert loaded_by(f"import {module}") & HEAVY == set()


def test_help_loads_click_and_nothing_heavy() -> None:
    statement = "from flowpack.cli.main import cli; cli.main(['--help'], standalone_mode=False)"
    loaded = loaded_by(statement)
    assert loaded & HEAVY == {"click"}
    assert "yaml" not in loaded


@pytest.mark.parametrize("name", ["register", "models", "deploy", "endpoint"])
def test_help_of_what_talks_to_azure_loads_nothing_of_it(name: str) -> None:
    loaded = loaded_by(f"from flowpack.cli.main import cli; cli.main(['{name}', '--help'], standalone_mode=False)")
    assert loaded & HEAVY == {"click"}


def test_a_local_registration_loads_nothing_of_azure(tmp_path: Path) -> None:
    arguments = ["register", str(FLOWS / "python-only"), "--registry", f"local:{tmp_path}", "--quiet"]
    loaded = loaded_by(f"from flowpack.cli.main import cli; cli.main({arguments!r}, standalone_mode=False)")
    assert (tmp_path / "python-only" / "1" / "model.yaml").is_file()
    assert loaded & HEAVY == {"click"}


def test_what_writes_to_azure_alone_imports_azure_ai_ml() -> None:
    importing = {
        path.name
        for path in (ROOT / "flowpack").rglob("*.py")
        if re.search(r"^\s*(from|import) azure\.ai\.ml", path.read_text("utf-8"), re.M)
    }
    assert importing == {"ml_client.py", "workspace_registry.py", "workspace_endpoints.py"}


def rooms_imported_by(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        rooms |= {module.split(".")[1] for module in modules if module.startswith("flowpack.")}
    return rooms


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_what_the_picture_allows(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room} | BELOW_EVERY_ROOM
    allowed |= {"builds", "pipeline"} if room in {"ci", "running"} else set()
    for path in (ROOT / "flowpack" / room).rglob("*.py"):
        assert rooms_imported_by(path) <= allowed, path
