"""What the benchmarks of images ask of the engine: its client, the network of a build, a container and its memory."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowpack import process
from flowpack.images.engine.builders import Builder, docker_programs, find_builder
from flowpack.images.engine.endpoint import find_endpoint

BASE = os.environ.get("FLOWPACK_TEST_BASE", "flowpack-test-base:bookworm")
HOST, PORT = "127.0.0.1", 8080
PATIENCE = 120.0

# Of a shared page each process counts its part: the sum is what all of them take. Run inside the container, as its
# own user, since outside only root may read it. A process that comes and goes, as a health check, is not counted.
_PROBE = """
import glob, os
memory, ticks = 0, 0
for folder in glob.glob("/proc/[0-9]*"):
    if folder != f"/proc/{os.getpid()}":
        try:
            lines = open(f"{folder}/smaps_rollup").readlines()
            times = open(f"{folder}/stat").read().rpartition(")")[2].split()
        except OSError:
            continue
        memory += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        ticks += int(times[11]) + int(times[12])
print(memory * 1024, ticks / os.sysconf("SC_CLK_TCK"))
"""


@functools.cache
def client_and_builder() -> tuple[str, Builder]:
    return docker_programs()[0], find_builder(process.run, find_endpoint())


def docker(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    return _checked([client_and_builder()[0], *arguments], env or {}).strip()


def build(context: Path, tag: str, *more: str) -> None:
    """With what reaches a package index from a build on this machine, as the Dockerfiles of both peers take it."""
    builder = client_and_builder()[1]
    options = [*more, f"--tag={tag}"]
    if network := os.environ.get("FLOWPACK_BUILD_NETWORK"):
        options.append(f"--network={network}")
    if bundle := os.environ.get("FLOWPACK_CA_BUNDLE"):
        options.append(f"--secret=id=ca-bundle,src={bundle}")
    _checked([*builder.command, *options, str(context)], builder.environment)


def has_image(tag: str) -> bool:
    program = client_and_builder()[0]
    return subprocess.run([program, "image", "inspect", tag], capture_output=True, check=False).returncode == 0


def image_size(tag: str) -> int:
    return int(docker("image", "inspect", "--format={{.Size}}", tag))


def remove_images(reference: str) -> None:
    """By name, so that an image which has another name as well stays; a push leaves a name with a digest behind."""
    shown = "--format={{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}"
    names = docker("image", "ls", "--all", "--digests", f"--filter=reference={reference}", shown).split()
    # Digests first: where a repository's last tag goes, the engine takes its digests along.
    if names := sorted({name for name in names if "<none>" not in name}, key=lambda name: "@" not in name):
        docker("image", "rm", *names)


@dataclass(frozen=True)
class Container:
    name: str
    started: float

    def wait_until_healthy(self) -> float:
        """Seconds from ``docker run`` to the first 200 on ``/health``."""
        return self._until_200("GET", "/health", None)[0]

    def first_answer(self, body: str) -> tuple[float, Any]:
        """Seconds from ``docker run`` to the first 200 on ``/score``, and what it said."""
        seconds, said = self._until_200("POST", "/score", body)
        return seconds, json.loads(said)

    def memory_and_cpu(self) -> tuple[int, float]:
        """The proportional set sizes of its processes in bytes, and the processor seconds they have used."""
        memory, cpu = docker("exec", self.name, "python3", "-c", _PROBE).split()
        return int(memory), float(cpu)

    def _until_200(self, method: str, path: str, body: str | None) -> tuple[float, bytes]:
        while time.perf_counter() - self.started < PATIENCE:
            connection = http.client.HTTPConnection(HOST, PORT, timeout=30)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
                connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
                response = connection.getresponse()
                said = response.read()
                if response.status == 200:
                    return time.perf_counter() - self.started, said
            time.sleep(0.01)
        raise SystemExit(f"{method} {path} gave no 200 within {PATIENCE:g} s\n{self.logs()}")

    def logs(self) -> str:
        done = subprocess.run(
            [client_and_builder()[0], "logs", "--tail=40", self.name], capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr


@contextlib.contextmanager
def running(image: str, environment: Mapping[str, str]) -> Iterator[Container]:
    """On the host's network: the engine's bridge may take another address whenever any container comes or goes, and
    then loses what the others send for seconds; a published port would measure the engine's proxy as well."""
    _check_free()
    name = f"flowpack-benchmark-{secrets.token_hex(6)}"
    options = [f"--name={name}", "--network=host", *(f"--env={key}={value}" for key, value in environment.items())]
    started = time.perf_counter()
    try:
        docker("run", "--detach", *options, image)
        yield Container(name, started)
    finally:
        subprocess.run(
            [client_and_builder()[0], "rm", "--force", "--volumes", name], capture_output=True, check=False, timeout=120
        )


def _check_free() -> None:
    """pf's image listens on one port alone, so both do."""
    with socket.socket() as probe:
        probe.settimeout(5)
        if probe.connect_ex((HOST, PORT)) == 0:
            raise SystemExit(f"something else listens on port {PORT}, which the images need")


def _checked(command: list[str], env: Mapping[str, str]) -> str:
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout
