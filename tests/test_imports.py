"""What loads when: the library without click and SDKs, help without anything heavy, rooms without their neighbours."""

from __future__ import annotations

import ast
import graphlib
import json
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from tests.paths import FLOWS, ROOT

HEAVY = {"click", "cyclonedx", "docker", "azure", "requests", "rich", "promptflow", "piptools", "pip", "uv"}

# From the top down: each may import what is below it, and a group's modules do not know each other. The picture:
# docs/explanation/architecture.md. What runs inside the image, serving/, imports nothing of the rest.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"ci"},
    {"pipeline"},
    {"checks"},
    {"azureml"},
    {"running"},
    {"images"},
    {"assembly"},
    {"dependencies", "flows"},
    {"documents", "kept_environments"},
    {"caches", "git", "uv_program"},
    {"process", "reading", "temporary", "valid_names", "writing"},
    {"errors"},
    {"quoting", "reporting", "secret_forms"},
)
BESIDE = {"__init__", "serving"}


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
    assert importing == {"ml_client.py"}


def rooms_imported_by(path: Path) -> set[str]:
    """Rooms, and modules at the top; imports inside functions and for types alone count as all others."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        rooms |= {module.split(".")[1] for module in modules if module.startswith("flowpack.")}
    return rooms


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "flowpack").parts[0].removesuffix(".py")


def test_every_arrow_goes_down() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    paths = list((ROOT / "flowpack").rglob("*.py"))
    assert {room_of(path) for path in paths} == floor.keys() | BESIDE
    upwards = [
        f"{path.relative_to(ROOT)} imports {imported}"
        for path in paths
        for imported in rooms_imported_by(path) - {room_of(path)}
        if room_of(path) in BESIDE or imported in BESIDE or floor[imported] <= floor[room_of(path)]
    ]
    assert upwards == []


def test_modules_of_a_room_import_each_other_in_no_circle() -> None:
    """By module, over all of flowpack: what imports a module is never imported by it, however long the way."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "flowpack").rglob("*.py")
    }
    imports = {name: modules_imported_by(path, modules.keys()) for name, path in modules.items()}
    sorter = graphlib.TopologicalSorter(imports)
    sorter.prepare()  # CycleError names the circle


def modules_imported_by(path: Path, modules: Collection[str]) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in modules and name != "flowpack"}


def test_few_imports_hide_in_functions() -> None:
    """Only where something large is needed seldom, and where an SDK is loaded. Serving has promptflow to start with."""
    hidden = [
        f"{path.relative_to(ROOT)}:{inner.lineno}"
        for path in (ROOT / "flowpack").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert len(hidden) < 40, "\n".join(hidden)
