from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from flowpack.serving.health import is_healthy


@pytest.fixture
def answers() -> Iterator[tuple[int, list[int]]]:
    """A port, and the statuses that it answers with, in turn."""
    statuses = [200]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses[0] if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server.server_address[1], statuses
        server.shutdown()


def test_only_200_is_healthy(answers: tuple[int, list[int]]) -> None:
    port, statuses = answers
    environ = {"FLOWPACK_PORT": str(port)}
    assert is_healthy(environ)
    statuses[0] = 503
    assert not is_healthy(environ)


def test_the_program_says_it_with_its_exit_status_and_loads_the_standard_library_alone(
    answers: tuple[int, list[int]],
) -> None:
    port, statuses = answers
    command = [sys.executable, "-X", "importtime", "-m", "flowpack.serving.health"]
    environ = {"FLOWPACK_PORT": str(port)}
    done = subprocess.run(command, check=False, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert not loaded & {"promptflow", "gunicorn", "flask", "ruamel", "yaml", "httpx"}
    statuses[0] = 500
    assert subprocess.run(command, check=False, env=environ, capture_output=True).returncode == 1


def test_nobody_there() -> None:
    assert not is_healthy({"FLOWPACK_PORT": "1"}, timeout=1)
