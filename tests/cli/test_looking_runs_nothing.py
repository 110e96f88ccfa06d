"""What only looks at a flow runs none of its code, of its packages or of its repository."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.paths import write_tree

PLANTED = 'import os\nopen(os.environ["MARK"], "a").write(__file__ + "\\n")\n'
TOOL = f"""{PLANTED}
from promptflow.core import tool

DEFAULT = __import__("os").system("touch $MARK")


@__import__("importlib").import_module("helper").decorate
@tool
def ask(q: str, size: int = __import__("os").system("touch $MARK")) -> __import__("os").system("touch $MARK"):
    return q
"""
ENTRY = TOOL.replace("@tool\n", "")
TEMPLATE = "system:\n{{ ''.__class__.__mro__[1].__subclasses__() }}{% import 'helper.py' as h %}{{ q }}\n"
DAG = """\
inputs: {q: {type: string, default: a}}
outputs: {o: {type: string, reference: "${ask.output}"}}
nodes:
- {name: ask, type: python, source: {type: code, path: ask.py}, inputs: {q: "${inputs.q}"}}
- {name: text, type: prompt, source: {type: code, path: text.jinja2}, inputs: {q: "${inputs.q}"}}
environment: {python_requirements_txt: requirements.txt, setup_sh: setup.sh}
"""
PROMPTY = f"""\
---
name: p
model: {{api: chat, configuration: {{type: open_ai, model: m}}}}
inputs: {{q: {{type: string}}}}
sample: {{q: a}}
---
{TEMPLATE}"""
ALL = {
    **dict.fromkeys(
        ("helper.py", "__init__.py", "conftest.py", "sitecustomize.py", "setup.py", "promptflow.py", "click.py"),
        PLANTED,
    ),
    "pkg/setup.py": PLANTED,
    "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "helper"\nbackend-path = ["."]\n',
    "setup.sh": "#!/bin/sh\ntouch $MARK\n",
    "requirements.txt": "",
    "text.jinja2": TEMPLATE,
}
FLOWS: Mapping[str, Mapping[str, str]] = {
    "dag": {**ALL, "flow.dag.yaml": DAG, "ask.py": TOOL},
    "flex": {**ALL, "flow.flex.yaml": "entry: entry:ask\n", "entry.py": ENTRY},
    "prompty": {**ALL, "p.prompty": PROMPTY},
}
COMMANDS = {
    "check": ("check", "."),
    "check with fixes": ("check", ".", "--fix"),
    "dry build": ("build", ".", "--dry-run"),
    "dry registration": ("register", ".", "--dry-run", "--registry", "local"),
    "dry deployment": (
        *("deploy", ".", "--dry-run", "--image", f"registry.example/flow@sha256:{'0' * 64}"),
        *("--subscription", "s", "--resource-group", "g", "--workspace-name", "w"),
    ),
}


@pytest.mark.attack("held: no flow code runs in check or --dry-run")
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_code_of_the_flow_runs(command: str, flow: str, tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "flow", FLOWS[flow])
    mark = tmp_path / "mark"
    own = {"MARK": str(mark), "HOME": str(tmp_path), "FLOWPACK_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": "."}
    done = subprocess.run(
        (sys.executable, "-I", "-m", "flowpack", *COMMANDS[command]),
        cwd=folder,
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert not mark.exists(), mark.read_text()
    assert "Traceback" not in done.stderr
    expected = "checked: 1 flow" if command.startswith("check") else flow_file(flow)
    assert expected in done.stdout + done.stderr or done.returncode == 0, done.stderr


def flow_file(flow: str) -> str:
    return next(name for name in FLOWS[flow] if name.startswith("flow.") or name.endswith(".prompty"))


def test_the_code_would_leave_its_mark(tmp_path: Path) -> None:
    folder = write_tree(tmp_path / "flow", FLOWS["dag"])
    environment = {**os.environ, "MARK": str(tmp_path / "mark")}
    subprocess.run((sys.executable, "-c", "import helper"), cwd=folder, env=environment, check=True)
    assert (tmp_path / "mark").exists()
