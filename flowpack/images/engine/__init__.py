"""A container engine through its API, by the Docker SDK, which a command loads when it looks for the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowpack.images.engine.docker_engine import DockerEngine


def find_engine() -> DockerEngine:
    """The engine that DOCKER_HOST or the current Docker context names; EngineError says why it does not answer."""
    from flowpack.images.engine.docker_engine import DockerEngine  # noqa: PLC0415  (the Docker SDK)

    return DockerEngine.find()
