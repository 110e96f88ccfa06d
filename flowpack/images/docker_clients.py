"""The ``docker`` programs of this machine: which of them reaches the engine, and which offers BuildKit.

A machine often has more than one: a distribution's (BuildKit inside, up to 22.x), a vendor's (BuildKit in the buildx
plugin), one that a workplace put first on PATH without the plugin. Each is asked, in PATH's order, what it can do.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from flowpack.errors import EngineError, FlowpackError
from flowpack.images.plan import FILE_TIME
from flowpack.process import Run, find_programs

PATIENCE = 10.0
"""Seconds that a client may take to answer; an engine that hangs is told from a slow one."""

_BUILDKIT_INSIDE = ((18, 9), (23, 0))
_WAITED = "gave no answer within"
_WITHOUT_GIT = {"BUILDX_GIT_INFO": "0", "BUILDX_GIT_LABELS": "0"}
"""buildx would ask git about the context's repository, in the repository's own way; flowpack.git has the labels."""


@dataclass(frozen=True, slots=True)
class DockerClient:
    """A ``docker`` program and the engine that it reached, or its own words on why it reached none."""

    program: str
    version: str | None
    engine_version: str | None
    engine_platform: str | None
    trouble: str | None = None

    @property
    def reaches_engine(self) -> bool:
        return self.engine_version is not None

    @property
    def has_buildkit_inside(self) -> bool:
        since, until = _BUILDKIT_INSIDE
        return self.version is not None and since <= _numbers(self.version) < until

    def __str__(self) -> str:
        return f"{self.program} ({self.version})" if self.version else self.program


@dataclass(frozen=True, slots=True)
class Builder:
    """How to start a build: the command up to its options, and what its environment needs."""

    description: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)
    buildkit: bool = True


def docker_programs() -> tuple[str, ...]:
    """Every ``docker`` on PATH in its order; one that stands there twice, or under two names, counts once."""
    found: dict[str, str] = {}
    for program in find_programs("docker"):
        found.setdefault(os.path.realpath(program), program)
    return tuple(found.values())


def ask(run: Run, program: str, patience: float = PATIENCE) -> DockerClient:
    """One subprocess that tells the versions of both sides; ``trouble`` says why there is no engine."""
    try:
        done = run((program, "version", "--format", "{{json .}}"), timeout=patience)
    except FlowpackError as error:
        waited = "did not finish" in error.message
        return DockerClient(program, None, None, None, f"{_WAITED} {patience:g} s" if waited else error.message)
    try:
        told = json.loads(done.stdout)
        client, server = told.get("Client") or {}, told.get("Server") or {}
    except (ValueError, AttributeError):
        client, server = {}, {}
    platform = f"{server['Os']}/{server['Arch']}" if {"Os", "Arch"} <= set(server) else None
    version, engine_version = client.get("Version"), server.get("Version")
    trouble = None if engine_version else done.stderr.strip() or "names no engine"
    return DockerClient(program, version, engine_version, platform, trouble)


def find_clients(run: Run, patience: float = PATIENCE) -> tuple[DockerClient, ...]:
    """The clients up to the first that reaches the engine; EngineError with each one's words where none does."""
    programs = docker_programs()
    if not programs:
        raise EngineError(
            "no container engine: there is no 'docker' program on PATH",
            hint="install Docker Engine or Docker Desktop (Debian and Ubuntu: apt-get install docker.io)",
        )
    asked: list[DockerClient] = []
    for program in programs:
        asked.append(ask(run, program, patience))
        if asked[-1].reaches_engine:
            return tuple(asked)
        if _hangs(asked[-1]):
            break  # it is the engine that hangs: another client would wait as long
    raise EngineError(
        f"no container engine answers at {_endpoint(run, asked[0].program)}",
        detail="\n".join(f"{client}: {client.trouble}" for client in asked),
        hint=_hint_for(asked),
    )


def find_builder(run: Run, asked: Sequence[DockerClient], patience: float = PATIENCE) -> Builder:
    """The first client on PATH that builds with BuildKit; EngineError says how each one falls short."""
    known = {client.program: client for client in asked}
    shortfalls = []
    for program in docker_programs():
        client = known.get(program) or ask(run, program, patience)
        if not client.reaches_engine:
            shortfalls.append(f"{client}: {client.trouble}")
        elif _has_buildx(run, program, patience):
            # Attestations would turn the image into an index of two, which Azure ML and others do not take.
            return Builder(
                f"docker buildx ({program})",
                (program, "buildx", "build", "--load", *_time_of_the_image()),
                {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1", **_WITHOUT_GIT},
            )
        elif client.has_buildkit_inside:
            return Builder(
                f"docker {client.version} with BuildKit inside ({program})",
                (program, "build"),
                {"DOCKER_BUILDKIT": "1"},
            )
        else:
            shortfalls.append(f"{client}: has no buildx plugin, and this version has no BuildKit inside")
    raise EngineError(
        "no docker client on PATH offers BuildKit",
        detail="\n".join(shortfalls),
        hint="install the buildx plugin (docker-buildx or docker-buildx-plugin), or build with --no-buildkit",
    )


def classic_builder(client: DockerClient) -> Builder:
    """The builder from before BuildKit, which every client still has: no mounts, no secrets."""
    return Builder(
        f"docker's classic builder ({client.program})",
        (client.program, "build"),
        {"DOCKER_BUILDKIT": "0"},
        buildkit=False,
    )


def _time_of_the_image() -> tuple[str, ...]:
    """With it equal inputs give an equal image ID and digest; buildx takes a user's own from the environment.

    The files have their times already. ``rewrite-timestamp`` would add those that a flow's setup script makes, but
    engines refuse it (containerd's store) or leave it undone (Docker's own).
    """
    return () if os.environ.get("SOURCE_DATE_EPOCH") else (f"--build-arg=SOURCE_DATE_EPOCH={FILE_TIME}",)


def _has_buildx(run: Run, program: str, patience: float) -> bool:
    try:
        return run((program, "buildx", "version"), timeout=patience).returncode == 0
    except FlowpackError:
        return False


def _numbers(version: str) -> tuple[int, int]:
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _hangs(client: DockerClient) -> bool:
    return (client.trouble or "").startswith(_WAITED)


def _endpoint(run: Run, program: str) -> str:
    """Where the client looked: it knows its contexts and configuration best, so it is asked."""
    host = os.environ.get("DOCKER_HOST")
    if host:
        return f"{host} (DOCKER_HOST)"
    try:
        done = run(
            (program, "context", "inspect", "--format", "{{.Endpoints.docker.Host}} (context {{.Name}})"), timeout=5
        )
    except FlowpackError:
        return "the client's default address"
    named = os.environ.get("DOCKER_CONTEXT")
    return done.stdout.strip() or (f"context {named} (DOCKER_CONTEXT)" if named else "the client's default address")


def _hint_for(asked: Sequence[DockerClient]) -> str:
    words = " ".join(client.trouble or "" for client in asked)
    if "permission denied" in words.lower():
        return "let your user reach the engine: sudo usermod -aG docker $USER, then log in again"
    if "context not found" in words:
        return "choose a context that exists (docker context ls), or unset DOCKER_CONTEXT"
    if "API version" in words:
        return "install a docker client of the engine's age, or unset DOCKER_API_VERSION"
    if any(_hangs(client) for client in asked):
        return "restart the engine, or set DOCKER_HOST to one that answers"
    return "start the engine (sudo systemctl start docker, or Docker Desktop), or set DOCKER_HOST to one that answers"
