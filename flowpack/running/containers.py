"""Serves an image in a container of this machine's engine, through the engine's own client.

The client, not the engine's API: it knows contexts, credential helpers and rootless engines as the user set them up.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from flowpack import process
from flowpack.errors import EngineError
from flowpack.images.docker_clients import find_clients
from flowpack.process import Run
from flowpack.reporting import SILENT, Reporter
from flowpack.running.health import wait_for_health
from flowpack.running.processes import checked_free, free_port
from flowpack.running.served import Served, stopped_at_the_end

PORT = 8080
_PATIENCE_AT_THE_END = 10
# What the client itself reads: given to the container by value, so that the client keeps its own.
_OF_THE_CLIENT = ("PATH", "HOME", "DOCKER_", "BUILDKIT_", "BUILDX_", "HTTP_PROXY", "HTTPS_PROXY", "SSH_", "XDG_")


@contextlib.contextmanager
def serve_in_container(
    image: str,
    *,
    environment: Mapping[str, str],
    port: int | None = None,
    network: str | None = None,
    options: Sequence[str] = (),
    timeout: float = 120.0,
    program: str | None = None,
    run: Run = process.run,
    reporter: Reporter = SILENT,
) -> Iterator[Served]:
    """Healthy when the block begins, stopped and removed when it ends; ``options`` go to ``docker run`` as they are.

    The container reaches this machine as ``host.docker.internal``, and is published on the loopback address alone.
    """
    program = program or find_clients(run)[-1].program
    name = f"flowpack-{secrets.token_hex(6)}"
    publishing, host = _publishing(port, network)
    if network == "host":
        port = checked_free(port) if port else free_port()
        environment = {**environment, "FLOWPACK_HOST": "127.0.0.1", "FLOWPACK_PORT": str(port)}
    command = [program, "run", "--detach", f"--name={name}", "--label=flowpack.run=1", *publishing]
    if network != "host":
        command.append("--add-host=host.docker.internal:host-gateway")
    if network:
        command.append(f"--network={network}")
    for key, value in environment.items():  # by name alone, so that no value shows in the list of processes
        command.append(f"--env={key}={value}" if key.startswith(_OF_THE_CLIENT) else f"--env={key}")
    server = ContainerServer(program, name, run)
    with stopped_at_the_end(server):
        kept = {key: value for key, value in environment.items() if not key.startswith(_OF_THE_CLIENT)}
        with reporter.task(f"starting {image}"):
            started = run([*command, *options, image], env=kept)
            if started.returncode != 0:
                raise EngineError(f"{image} does not start", detail=started.stderr, hint=_hint(started.stderr))
            url = f"http://{host}:{port}" if network == "host" else f"http://{host}:{server.published_port()}"
            seconds = wait_for_health(url, alive=server.alive, timeout=timeout, logs=server.logs)
        yield Served(url, "docker", seconds, server)


class ContainerServer:
    def __init__(self, program: str, name: str, run: Run) -> None:
        self.name = name
        self._program = program
        self._run = run

    def alive(self) -> bool:
        done = self._run((self._program, "inspect", "--format={{.State.Running}}", self.name))
        return done.returncode == 0 and done.stdout.strip() == "true"

    def logs(self) -> str:
        return self._run((self._program, "logs", self.name), on_line=lambda _: None).stdout

    def follow(self, on_line: Callable[[str], None]) -> int:
        self._run((self._program, "logs", "--follow", self.name), on_line=on_line)
        done = self._run((self._program, "wait", self.name))
        return int(done.stdout.strip() or 0) if done.returncode == 0 else 0

    def published_port(self) -> int:
        """The port that the engine chose; a container that has already ended has none, and health will tell why."""
        done = self._run((self._program, "port", self.name, f"{PORT}/tcp"))
        first = done.stdout.split("\n", 1)[0]
        return int(first.rpartition(":")[2]) if done.returncode == 0 and first else 1

    def copy_out(self, path: str, folder: Path) -> Path:
        done = self._run((self._program, "cp", f"{self.name}:{path}", str(folder)))
        if done.returncode != 0:
            raise EngineError(f"{path} cannot be copied out of the container", detail=done.stderr)
        return folder / Path(path).name

    def stop(self) -> None:
        self._run((self._program, "stop", f"--time={_PATIENCE_AT_THE_END}", self.name))
        self._run((self._program, "rm", "--force", "--volumes", self.name))


def _publishing(port: int | None, network: str | None) -> tuple[list[str], str]:
    """The options that publish the port, and the host that it is then reached at."""
    if network == "host":
        return [], "127.0.0.1"
    engine = urlsplit(os.environ.get("DOCKER_HOST", ""))
    if engine.scheme == "tcp" and engine.hostname:  # an engine elsewhere, as in CI: its loopback is not ours
        return [f"--publish={port or ''}:{PORT}"], engine.hostname
    return [f"--publish=127.0.0.1:{port or ''}:{PORT}"], "127.0.0.1"


def _hint(words: str) -> str | None:
    if "port is already allocated" in words or "address already in use" in words:
        return "choose another port with --port"
    if "Unable to find image" in words or "pull access denied" in words:
        return "build it first: flowpack build SOURCE --format docker --output DIR --tag IMAGE"
    return None
