"""The ``docker`` programs of this machine, and which of them builds with BuildKit on the engine that was found.

A machine often has more than one: a distribution's (BuildKit inside, up to 22.x), a vendor's (BuildKit in the buildx
plugin), one that a workplace put first on PATH without the plugin. Each is asked, in PATH's order, what it can do.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from flowpack.errors import EngineError, FlowpackError
from flowpack.images.engine.endpoint import Endpoint
from flowpack.images.plan import FILE_TIME
from flowpack.process import Run, find_programs

PATIENCE = 10.0
"""Seconds that a program may take to answer."""

_BUILDKIT_INSIDE = ((18, 9), (23, 0))
_RAWJSON = (0, 13)
"""The first buildx that offers ``--progress=rawjson``."""
_WITHOUT_GIT = {"BUILDX_GIT_INFO": "0", "BUILDX_GIT_LABELS": "0"}
"""buildx would ask git about the context's repository, in the repository's own way; flowpack.git has the labels."""


@dataclass(frozen=True, slots=True)
class Builder:
    """How to start a BuildKit build: the command up to its options, and what its environment needs."""

    description: str
    command: tuple[str, ...]
    environment: Mapping[str, str | None] = field(default_factory=dict)
    tells_json: bool = False


@dataclass(frozen=True, slots=True)
class _Program:
    """A ``docker`` program; ``trouble`` says in its own words why it does not reach the engine."""

    path: str
    version: str | None
    trouble: str | None

    def __str__(self) -> str:
        return f"{self.path} ({self.version})" if self.version else self.path

    @property
    def has_buildkit_inside(self) -> bool:
        since, until = _BUILDKIT_INSIDE
        return self.version is not None and since <= _numbers(self.version) < until


def docker_programs() -> tuple[str, ...]:
    """Every ``docker`` on PATH, in order. One that appears twice or under two names is listed once."""
    found: dict[str, str] = {}
    for program in find_programs("docker"):
        found.setdefault(os.path.realpath(program), program)
    return tuple(found.values())


def find_builder(run: Run, endpoint: Endpoint, patience: float = PATIENCE) -> Builder:
    """The first program on PATH that builds with BuildKit; EngineError says how each one falls short."""
    programs = docker_programs()
    if not programs:
        raise EngineError(
            "no 'docker' program is on PATH, and builds with BuildKit need one",
            hint="install Docker's client with buildx (Debian and Ubuntu: apt-get install docker.io), or build with"
            " --no-buildkit",
        )
    shortfalls = []
    for path in programs:
        program = _ask(run, path, endpoint, patience)
        if program.trouble:
            shortfalls.append(f"{program}: {program.trouble}")
            continue
        buildx = _buildx_version(run, path, patience)
        if buildx is not None:
            # Attestations would turn the image into an index of two, which Azure ML and others do not take.
            return Builder(
                f"docker buildx ({path})",
                (path, "buildx", "build", "--load", *_time_of_the_image()),
                {**endpoint.environment, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1", **_WITHOUT_GIT},
                tells_json=_numbers(buildx) >= _RAWJSON,
            )
        if program.has_buildkit_inside:
            return Builder(
                f"docker {program.version} with BuildKit inside ({path})",
                (path, "build"),
                {**endpoint.environment, "DOCKER_BUILDKIT": "1"},
            )
        shortfalls.append(f"{program}: has no buildx plugin, and this version has no BuildKit inside")
    raise EngineError(
        "no docker program on PATH offers BuildKit",
        detail="\n".join(shortfalls),
        hint="install the buildx plugin (docker-buildx or docker-buildx-plugin), or build with --no-buildkit",
    )


def _ask(run: Run, path: str, endpoint: Endpoint, patience: float) -> _Program:
    """The versions of both sides, by one process: a program may be too old or too new for the engine."""
    try:
        done = run((path, "version", "--format", "{{json .}}"), env=endpoint.environment, timeout=patience)
    except FlowpackError as error:
        return _Program(path, None, error.message)
    try:
        told = json.loads(done.stdout)
        client, server = told.get("Client") or {}, told.get("Server") or {}
    except (ValueError, AttributeError):
        client, server = {}, {}
    trouble = None if server.get("Version") else done.stderr.strip() or "names no engine"
    return _Program(path, client.get("Version"), trouble)


def _time_of_the_image() -> tuple[str, ...]:
    """With it equal inputs give an equal image ID and digest; buildx takes a user's own from the environment.

    The files have their times already. ``rewrite-timestamp`` would add those that a flow's setup script makes, but
    engines refuse it (containerd's store) or leave it undone (Docker's own).
    """
    return () if os.environ.get("SOURCE_DATE_EPOCH") else (f"--build-arg=SOURCE_DATE_EPOCH={FILE_TIME}",)


def _buildx_version(run: Run, path: str, patience: float) -> str | None:
    """The plugin's version, ``0`` where it does not say; None where there is no plugin."""
    try:
        done = run((path, "buildx", "version"), timeout=patience)
    except FlowpackError:
        return None
    if done.returncode != 0:
        return None
    found = re.search(r"\bv?(\d+\.\d+)", done.stdout.partition("buildx")[2])
    return found[1] if found else "0.0"


def _numbers(version: str) -> tuple[int, int]:
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2])) if match else (0, 0)
