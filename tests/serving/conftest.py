from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowpack.running.environments import virtual_environment
from flowpack.running.health import wait_for_health
from flowpack.running.processes import free_port
from tests.running.builds import CORE, PYTHON, WITH_AZURE, WITH_TOOLS, build_folder
from tests.shared import alone


@dataclass
class Launched:
    """The launcher as a process of its own, as a container starts it."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def said(self) -> str:
        return self.log.read_text()

    def healthy(self) -> Launched:
        wait_for_health(self.url, alive=lambda: self.process.poll() is None, timeout=120, logs=lambda: self.said)
        return self

    def ended(self) -> int:
        return self.process.wait(120)

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def post(self, inputs: dict[str, Any], accept: str = "application/json") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"content-type": "application/json", "accept": accept}
        connection.request("POST", "/score", json.dumps(inputs), headers)
        return connection.getresponse()

    def score(self, inputs: dict[str, Any]) -> Any:
        response = self.post(inputs)
        body = response.read()
        assert response.status == 200, body
        return json.loads(body)


Launch = Callable[..., Launched]


PACKAGES = {"core": CORE, "tools": WITH_TOOLS, "azure": WITH_AZURE}


class Environments(dict[str, Path]):
    """Interpreters by what is installed beside them; each environment is made when it is first asked for."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self._folder = folder
        self._cache = cache

    def __missing__(self, name: str) -> Path:
        build = build_folder(self._folder / name / "build", "python-only", PACKAGES[name])
        with alone(self._cache / f"{name}.lock"):
            home = virtual_environment(build / "requirements.lock", build / "flowpack_serving", python=PYTHON)
        self[name] = home / "bin" / "python"
        return self[name]


@pytest.fixture(scope="session")
def environments(shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environments]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWPACK_CACHE_DIR", str(shared_cache))
        yield Environments(tmp_path_factory.mktemp("environments"), shared_cache)


@pytest.fixture
def launch(environments: Environments, tmp_path: Path) -> Iterator[Launch]:
    started: list[Launched] = []

    def start(flow: Path, *, packages: str = "core", connections: Path | None = None, **environ: str) -> Launched:
        port = free_port()
        log = tmp_path / f"log-{port}"
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        own = {
            "PROMPTFLOW_PROJECT_PATH": str(flow),
            "FLOWPACK_CONNECTIONS": str(connections or tmp_path / "no-connections"),
            "FLOWPACK_HOST": "127.0.0.1",
            "FLOWPACK_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(tmp_path),
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [str(environments[packages]), "-m", "flowpack_serving"],
                env={**kept, **own, **environ},
                cwd=tmp_path,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(Launched(process, port, log))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each.process.pid, signal.SIGKILL)
            each.process.wait()


def workers_of(launched: Launched, at_least: int = 1) -> list[int]:
    """gunicorn starts them one after the other, and the first one answers at once."""
    children = Path(f"/proc/{launched.process.pid}/task/{launched.process.pid}/children")
    for _ in range(100):
        found = [int(pid) for pid in children.read_text().split()]
        if len(found) >= at_least:
            return found
        time.sleep(0.05)
    raise AssertionError(f"fewer than {at_least} workers")
