"""The image that ``pf flow build`` describes, on a base that can be had here.

Its own Dockerfile, with as little changed as makes it build:

- the conda base becomes the base of flowpack's image, so that both stand on the same bytes and the same Python;
- the conda environment becomes a virtual environment, made in the same place of the same step;
- two requirements are added, since what it installs without them no longer starts (see ``peer.REPAIRS``);
- pip gets the CA bundle that this machine's network may need, as a secret that stays in no layer.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from benchmarks.docker import BASE
from benchmarks.peer import REPAIRS, promptflow_with_tools

_CONDA = "/opt/conda"
_ENVIRONMENT = f"{_CONDA}/envs/promptflow-serve"
_BUNDLE = "/run/secrets/ca-bundle"

Edit = tuple[str, str]

_DOCKERFILE: tuple[Edit, ...] = (
    (r"\A# syntax=.*\n", ""),  # a frontend to be pulled; what the engine has knows all that stands here
    (r"^FROM .*$", f"FROM {BASE}"),
    (
        r"^RUN conda create .*? && \\$",
        "RUN --mount=type=secret,id=ca-bundle \\\\\n"
        f"    if [ -f {_BUNDLE} ]; then export PIP_CERT={_BUNDLE}; fi && \\\\\n"
        f"    python3 -m venv {_ENVIRONMENT} && \\\\",
    ),
    (r"conda run -n \S+ (?:\\\n *)?", f"{_ENVIRONMENT}/bin/"),
    (r"(pip install (?:-r \S+|promptflow==\S+))", r"\1 " + " ".join(f"'{each}'" for each in REPAIRS)),
    (r" && \\\n *conda clean .*$", ""),
)
_RUN_SCRIPT: tuple[Edit, ...] = ((r"\$\(conda info --base\)", _CONDA),)


class PromptFlow:
    """``pf`` with a home of its own: the connections that it wants in its store stay out of the user's."""

    def __init__(self, home: Path) -> None:
        self._environment = {**os.environ, "HOME": str(home), "PF_HOME_DIRECTORY": str(home / "pf")}
        (home / "pf").mkdir(parents=True)

    def create_connection(self, file: Path) -> None:
        self._run("connection", "create", "--file", str(file))

    def build(self, flow: Path, output: Path) -> None:
        self._run("flow", "build", "--source", str(flow), "--format", "docker", "--output", str(output))

    def _run(self, *arguments: str) -> None:
        command = [str(promptflow_with_tools() / "pf"), *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}{done.stderr}")


def without_conda(context: Path) -> None:
    _edit(context / "Dockerfile", _DOCKERFILE)
    _edit(context / "runit" / "promptflow-serve" / "run", _RUN_SCRIPT)


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _edit(path: Path, edits: tuple[Edit, ...]) -> None:
    text = path.read_text("utf-8")
    for pattern, replacement in edits:
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        if not count:
            raise SystemExit(f"{path}: pf writes another file than it did: nothing matches {pattern!r}\n{text}")
    if re.search(r"\bconda (?:run|create|info|clean)\b", text):
        raise SystemExit(f"{path}: a line of conda is left\n{text}")
    path.write_text(text, "utf-8")
