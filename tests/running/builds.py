"""Build folders as `flowpack build` writes them, put together by hand, with real locks: what the launcher runs from.

Resolving takes some seconds, so each session does it once for each set of requirements.
"""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest

import flowpack.serving
from flowpack.dependencies.lockfile import lock_dependencies
from flowpack.dependencies.requirements import read_requirements
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.target import Platform, Target
from flowpack.errors import EngineError
from flowpack.images.base import Base
from flowpack.pipeline.source_builds import SourceBuilds
from flowpack.reporting import SILENT
from flowpack.uv_program import find_uv_program
from tests.paths import FLOWS

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SERVING = Path(flowpack.serving.__file__).parent

CORE = ("promptflow-core==1.18.5", "httpx", "gunicorn", "uvicorn")
WITH_AZURE = ("promptflow-core[azureml-serving]==1.18.5", *CORE[1:])
WITH_TOOLS = (*CORE, "promptflow==1.18.5", "promptflow-tools==1.6.1")

AZURE_OPEN_AI = """\
$schema: https://azuremlschemas.azureedge.net/promptflow/latest/AzureOpenAIConnection.schema.json
type: azure_open_ai
name: open_ai_connection
module: promptflow.connections
api_base: ${env:OPEN_AI_CONNECTION_API_BASE}
api_key: ${env:OPEN_AI_CONNECTION_API_KEY}
api_type: azure
api_version: '2024-02-01'
auth_mode: key
"""

SLOW = """\
import time
from promptflow.core import tool


@tool
def count(text: str) -> int:
    if text == "slow":
        time.sleep(1)
    return len(text.split())
"""


@functools.cache
def lock_of_a_build(requirements: tuple[str, ...]) -> tuple[str, Mapping[str, bytes]]:
    """The lock and the wheels beside it, of the packages that no index has wheels of."""
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setenv("FLOWPACK_CACHE_DIR", str(folder / "cache"))
        file = folder / "requirements.txt"
        file.write_text("\n".join(requirements))
        asked = read_requirements(file.name, {file.name: file})
        target = Target(PYTHON, Platform.of_this_machine())
        base = Base.of_image("base", "--base-image")
        sources = SourceBuilds(options=frozenset(), base=base, flow_folder=folder, engine=_no_engine)
        made = lock_dependencies(asked, needs=ServingNeeds(), target=target, sources=lambda: sources)
        wheels = sources.wheels_of(made.built, asked, target, "auto", SILENT)
        return made.text, {path.name: path.read_bytes() for path in wheels}


def _no_engine() -> NoReturn:
    raise EngineError("a wheel is copied, and nothing builds it")


@functools.cache
def lock(requirements: tuple[str, ...]) -> str:
    """Of these packages alone."""
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "requirements.in"
        asked.write_text("\n".join(requirements))
        answer = Path(folder) / "requirements.lock"
        uv = find_uv_program()
        command = (
            [uv, "pip", "compile", "--python-version", PYTHON]
            if uv
            else [sys.executable, "-m", "piptools", "compile", "--strip-extras", "--allow-unsafe"]
        )
        subprocess.run([*command, "--quiet", "--generate-hashes", str(asked), "-o", str(answer)], check=True)
        return answer.read_text()


def build_folder(
    folder: Path,
    flow: str | Path,
    requirements: tuple[str, ...] = CORE,
    connections: Mapping[str, str] | None = None,
    settings: tuple[str, ...] = (),
) -> Path:
    """``flow`` is a folder, or the name of one of the fixtures."""
    shutil.copytree(FLOWS / flow if isinstance(flow, str) else flow, folder / "flow")
    (folder / "connections").mkdir()
    for name, text in (connections or {}).items():
        (folder / "connections" / f"{name}.yaml").write_text(text)
    (folder / "settings.json").write_text(json.dumps(dict.fromkeys(settings, "")))
    text, wheels = lock_of_a_build(requirements) if requirements else ("", {})
    (folder / "requirements.lock").write_text(text)
    for name, content in wheels.items():
        (folder / "wheels").mkdir(exist_ok=True)
        (folder / "wheels" / name).write_bytes(content)
    shutil.copytree(SERVING, folder / "flowpack_serving", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def llm_build(folder: Path) -> Path:
    settings = ("OPEN_AI_CONNECTION_API_KEY", "OPEN_AI_CONNECTION_API_BASE")
    return build_folder(folder, "llm-chat", WITH_TOOLS, {"open_ai_connection": AZURE_OPEN_AI}, settings)
