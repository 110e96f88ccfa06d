"""Where the engine is: DOCKER_HOST, else the Docker context that is chosen, as the ``docker`` program has it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import docker
from docker.context import ContextAPI
from docker.context.config import get_current_context_name
from docker.errors import DockerException
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env

from flowpack.errors import EngineError
from flowpack.process import merged_environment

PATIENCE = 10
"""Seconds to wait for an engine's version. A slow engine answers in this time; one that hangs does not."""
ANSWER = 120
"""Seconds that it may take for anything that is not a stream."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """``environment`` makes a ``docker`` program use this engine, even if the current context changes."""

    host: str
    origin: str
    tls: TLSConfig | bool = False
    environment: Mapping[str, str | None] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.host} ({self.origin})"

    @property
    def hostname(self) -> str | None:
        """None for an engine of this machine, whose loopback is ours."""
        parts = urlsplit(self.host)
        return parts.hostname if parts.scheme in {"tcp", "http", "https", "ssh"} else None


def find_endpoint(environ: Mapping[str, str] = os.environ) -> Endpoint:
    host = environ.get("DOCKER_HOST")
    if host:
        tls = kwargs_from_env(environment=dict(environ)).get("tls", False)
        return Endpoint(host=host, origin="DOCKER_HOST", tls=tls)
    name = environ.get("DOCKER_CONTEXT") or get_current_context_name()
    try:
        context = ContextAPI.get_context(name)
    except Exception as error:  # the SDK raises Exception itself for a file that it cannot read
        raise EngineError(f"the Docker context '{name}' cannot be read", detail=str(error)) from error
    if context is None or not context.Host:
        raise EngineError(
            f"there is no Docker context '{name}'",
            hint="choose one that exists (docker context ls), or unset DOCKER_CONTEXT",
        )
    return Endpoint(
        host=context.Host,
        origin=f"context {name}",
        tls=context.TLSConfig or False,
        environment={"DOCKER_CONTEXT": name, "DOCKER_HOST": None},
    )


def connect(endpoint: Endpoint, patience: int = PATIENCE) -> docker.APIClient:
    """A client that the engine has answered. EngineError in the SDK's words, with what to do."""
    # The SDK starts `ssh` and credential helpers by PATH, which must not lead to programs of the working directory.
    os.environ["PATH"] = merged_environment(None).get("PATH", os.defpath)
    try:
        client = docker.APIClient(
            base_url=endpoint.host,
            tls=endpoint.tls,
            version="auto",
            timeout=patience,
            use_ssh_client=True,
        )
    except (DockerException, OSError, ValueError) as error:
        words = _words(error)
        message = f"no container engine answers at {endpoint}"
        raise EngineError(message, detail=words, hint=_hint_for(words)) from error
    client.timeout = ANSWER
    return client


def streaming(client: docker.APIClient, endpoint: Endpoint) -> docker.APIClient:
    """A client of this engine without a timeout: a stream may be silent for minutes."""
    return docker.APIClient(
        base_url=endpoint.host,
        tls=endpoint.tls,
        version=client.api_version,
        timeout=None,  # type: ignore[arg-type]  # requests takes it
        use_ssh_client=True,
    )


def _words(error: BaseException) -> str:
    return str(error).removeprefix("Error while fetching server API version: ")


def _hint_for(words: str) -> str:
    lower = words.lower()
    if "permission denied" in lower or "permissionerror" in lower:
        return "let your user reach the engine: sudo usermod -aG docker $USER, then log in again"
    if "timed out" in lower or "timeout" in lower:
        return "restart the engine, or set DOCKER_HOST to one that answers"
    if "api version" in lower:
        return "install a newer engine: it speaks an API that the Docker SDK no longer knows"
    return "start the engine (sudo systemctl start docker, or Docker Desktop), or set DOCKER_HOST to one that answers"


def explanation(error: BaseException) -> str:
    """The engine's own words, from an error of the SDK."""
    told: Any = getattr(error, "explanation", None)
    return str(told or error)
