"""What an engine is asked for, and what it gives. Nothing here loads the Docker SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from flowpack.dependencies.target import Platform
from flowpack.images.reference import Digest, ImageReference
from flowpack.reporting import Reporter


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageBuild:
    """What to build: ``context`` holds the ``Dockerfile``; ``secrets`` maps BuildKit's secret ids to files."""

    context: Path
    tag: ImageReference
    platform: Platform
    secrets: Mapping[str, Path] = field(default_factory=dict)
    network: str | None = None
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    pull: bool = False
    no_cache: bool = False
    buildkit: bool = True


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image in the engine's own store; ``id`` is the digest of its configuration, ``size`` is unpacked bytes."""

    id: str
    reference: ImageReference
    size: int


@dataclass(frozen=True, slots=True)
class PushedImage:
    """An image in its registry; of its ``layers`` the registry did not have ``new_layers`` before."""

    tag: ImageReference
    digest: Digest
    layers: int
    new_layers: int

    def __str__(self) -> str:
        """``registry/repository@sha256:…``: names this image even if its tag moves."""
        return self.tag.with_digest(self.digest)


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerRequest:
    """A container to make. ``host`` has the fields of the SDK's ``create_host_config`` and ``settings`` those of
    ``create_container``; ``proxies`` of the Docker configuration are set in it where asked for, as `docker run` does.
    """

    image: str
    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    proxies: bool = True


class Container(Protocol):
    name: str

    def start(self) -> None: ...

    def is_running(self) -> bool: ...

    def wait(self, timeout: int | None = None) -> int:
        """Its exit status; EngineError after so many seconds."""

    def logs(self, tail: int | None = None) -> str:
        """Both its streams in their order."""

    def follow(self, on_line: Callable[[str], None]) -> int:
        """Gives each line as it comes, from the first on, until the container ends; its exit status."""

    def published_port(self, port: int) -> int | None:
        """The port of the engine's machine that leads to this TCP port of the container."""

    def copy_out(self, path: str, folder: Path) -> Path:
        """Copies a file or a folder into ``folder``, and gives its place there."""

    def copy_in(self, folder: Path, path: str) -> None:
        """Copies what is in ``folder`` to ``path``, as root's."""

    def stop(self, patience: int) -> None:
        """Ends it by SIGTERM, and by SIGKILL after so many seconds."""

    def remove(self) -> None:
        """Takes it away with its anonymous volumes, whether it runs or not, is there or not."""


class Engine(Protocol):
    @property
    def hostname(self) -> str | None:
        """The host that a container's published ports are reached at; None for this machine."""

    def build(self, build: ImageBuild, reporter: Reporter = ...) -> BuiltImage: ...

    def inspect(self, reference: ImageReference) -> BuiltImage | None:
        """The image as the engine has it; None where it has none of that name."""

    def tag(self, image: BuiltImage, reference: ImageReference) -> None:
        """Gives the image another name in the engine."""

    def push(self, reference: ImageReference, reporter: Reporter = ...) -> PushedImage:
        """Sends the image to its registry and gives the digest that the registry holds it under."""

    def create(self, request: ContainerRequest, reporter: Reporter = ...) -> Container:
        """A container that has not started. An image that the engine does not have is pulled first."""
