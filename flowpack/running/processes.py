"""Serves a build on this machine without a container engine: the same folder, the same launcher, the same contract."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from flowpack import process
from flowpack.errors import ServingError
from flowpack.process import Run
from flowpack.reporting import SILENT, Reporter
from flowpack.running.environments import virtual_environment
from flowpack.running.health import wait_for_health
from flowpack.running.served import Served, stopped_at_the_end
from flowpack.temporary import held_temporary_folder

_PATIENCE_AT_THE_END = 15.0
# What every process needs of its machine. The owner's home is not included, as it contains credentials.
_MACHINE = {"PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH"}
_NETWORK = {"SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
_PROXIES = {name for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY") for name in (proxy, proxy.lower())}


@contextlib.contextmanager
def serve_in_environment(
    build: Path,
    *,
    python: str,
    environment: Mapping[str, str],
    port: int | None = None,
    timeout: float = 120.0,
    run: Run = process.run,
    reporter: Reporter = SILENT,
) -> Iterator[Served]:
    """Healthy when the block begins, stopped when it ends; ``environment`` is what ``server_variables`` gives.

    The flow has this user's rights all the same, and could read what the user can: a container keeps it apart.
    """
    home = virtual_environment(
        build / "requirements.lock", build / "flowpack_serving", python=python, run=run, reporter=reporter
    )
    port = free_port() if port is None else checked_free(port)
    url = f"http://127.0.0.1:{port}"
    machine = process.merged_environment(None)
    variables = {
        **{name: value for name, value in machine.items() if _of_machine(name)},
        "USER": "flowpack",
        **environment,
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # the environment has its own, and stays as it was made
        "PROMPTFLOW_PROJECT_PATH": str((build / "flow").absolute()),
        "FLOWPACK_CONNECTIONS": str((build / "connections").absolute()),
        "FLOWPACK_HOST": "127.0.0.1",
        "FLOWPACK_PORT": str(port),
    }
    with held_temporary_folder("run") as folder:
        # What the server leaves among temporary files goes away with the folder, also where it is killed.
        variables["TMPDIR"] = str(folder.path)
        command = [str(home / "bin" / "python"), "-m", "flowpack_serving"]
        own = folder.path / "home"
        own.mkdir()
        server = ProcessServer(command, {"HOME": str(own), **variables}, folder.path / "log", held=folder.descriptor)
        with stopped_at_the_end(server):
            with reporter.task("starting the server"):
                seconds = wait_for_health(url, alive=server.alive, timeout=timeout, logs=server.logs)
            yield Served(url, "venv", seconds, server)


class ProcessServer:
    """A process with its own group, so that Ctrl-C at a terminal reaches flowpack alone, which then stops it."""

    def __init__(
        self, command: list[str], environment: Mapping[str, str], log: Path, *, held: int | None = None
    ) -> None:
        """``held`` is the lock of its folder: the server has it too, so the folder stays for as long as it runs."""
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[] if held is None else [held],
            )

    def alive(self) -> bool:
        return self._process.poll() is None

    def logs(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def follow(self, on_line: Callable[[str], None]) -> int:
        with self._log.open(encoding="utf-8", errors="replace") as lines:
            part = ""
            while True:
                ended = not self.alive()
                part += lines.read()
                *whole, part = part.split("\n")
                for line in whole:
                    on_line(line)
                if ended:
                    if part:
                        on_line(part)
                    return self._process.wait()
                time.sleep(0.1)

    def copy_out(self, path: str, folder: Path) -> Path:
        return Path(shutil.copytree(path, folder / Path(path).name))

    def stop(self) -> None:
        if self.alive():
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_AT_THE_END)
        if self._process.returncode != 0:  # it did not end in good order: its workers may still be there
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def checked_free(port: int) -> int:
    """Another server on the port would answer for ours."""
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServingError(
                f"port {port} cannot be used: {error.strerror}", hint="choose another with --port"
            ) from error
    return port


def _of_machine(name: str) -> bool:
    return name in _MACHINE | _NETWORK | _PROXIES or name.startswith("LC_")
