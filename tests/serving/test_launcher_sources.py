"""The launcher is copied into images: it must stand on its own, on each Python that promptflow serves on."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.running.builds import SERVING

SOURCES = sorted(SERVING.glob("*.py"))
# What the lock brings; each is imported where it is needed, not when a module of ours loads, server modules apart.
INSTALLED = {
    "azure",
    "filetype",
    "gunicorn",
    "promptflow",
    "requests",
    "ruamel",
    "starlette",
    "urllib3",
    "uvicorn",
    "werkzeug",
}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_it_is_python_3_9_and_imports_nothing_of_flowpack(source: Path) -> None:
    tree = ast.parse(source.read_text(), feature_version=(3, 9))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [] if node.level else [node.module or ""]
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names | INSTALLED, f"{source.name} imports {name}"
