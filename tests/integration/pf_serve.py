"""The oracle: ``pf flow serve`` of promptflow 1.18.5, with a home, connections and telemetry of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.peer import RELEASE, REPAIRS
from flowpack.running.health import wait_for_health
from flowpack.running.processes import free_port
from flowpack.uv_program import find_uv_program
from tests.paths import ROOT
from tests.shared import alone

_FOLDER = ROOT / ".cache" / "tests" / f"promptflow-{RELEASE}"
# LLM nodes need the tools, the FastAPI engine uvicorn, connections a keyring on a machine without a desktop.
_PACKAGES = (f"promptflow=={RELEASE}", *REPAIRS, "promptflow-tools==1.6.1", "uvicorn", "keyrings.alt")
_MACHINE = ("PATH", "LANG", "LC_ALL", "TZ")


def installed() -> Path:
    """The folder of programs of an environment of its own; made once."""
    with alone(_FOLDER.with_suffix(".lock")):
        if not (_FOLDER / "ready").exists():
            _install()
    return _FOLDER / "bin"


def _install() -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(_FOLDER)], check=True)
    programs = _FOLDER / "bin"
    uv = find_uv_program()
    install = [uv, "pip", "install", "--python", str(programs / "python")] if uv else [programs / "pip", "install"]
    subprocess.run([*install, "--quiet", *_PACKAGES], check=True)
    (_FOLDER / "ready").touch()


class PromptFlow:
    """``pf`` with everything that it keeps in ``home``; its connections there reach no one else."""

    def __init__(self, home: Path) -> None:
        self.programs = installed()
        self._home = home
        (home / "pf").mkdir(parents=True)
        (home / "pf" / "pf.yaml").write_text("telemetry:\n  enabled: false\ntrace:\n  destination: none\n")
        # A plain file in place of the desktop's secret store, which a server does not have.
        backend = {"PYTHON_KEYRING_BACKEND": "keyrings.alt.file.PlaintextKeyring"}
        self.environment = {
            **{name: os.environ[name] for name in _MACHINE if name in os.environ},
            **{"HOME": str(home), "PF_HOME_DIRECTORY": str(home / "pf"), "PF_DISABLE_TRACING": "true", **backend},
            "PYTHONUNBUFFERED": "1",
        }

    def create_connection(self, name: str, fields: Mapping[str, object]) -> None:
        document = self._home / f"{name}.yaml"
        document.write_text(json.dumps({"name": name, **fields}))  # JSON is YAML
        command = [self.programs / "pf", "connection", "create", "--file", document]
        done = subprocess.run(
            command, env=self.environment, cwd=self._home, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextlib.contextmanager
    def serve(self, flow: Path, engine: str) -> Iterator[str]:
        port = free_port()
        log = self._home / f"log-{port}"
        options = ("--port", str(port), "--host", "127.0.0.1", "--skip-open-browser", "--engine", engine)
        with log.open("wb") as out:
            process = subprocess.Popen(
                [self.programs / "pf", "flow", "serve", "--source", flow, *options],
                env=self.environment,
                cwd=self._home,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for_health(url, alive=lambda: process.poll() is None, timeout=120, logs=log.read_text)
            yield url
        finally:
            process.terminate()
            process.wait(30)
