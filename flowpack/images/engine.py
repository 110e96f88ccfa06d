"""A container engine: builds an image from a context, looks an image up, pushes it.

The engine is driven through its own client and not through an SDK, for three reasons: an SDK speaks only the classic
builder (docker-py); the client knows contexts, TLS and SSH hosts, and every credential helper; and what was built and
what is pushed then go to one and the same engine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from flowpack import process
from flowpack.dependencies.target import Platform
from flowpack.errors import EngineError, UsageError
from flowpack.images.build_failure import build_error
from flowpack.images.build_progress import BuildKitProgress, BuildProgress, ClassicProgress
from flowpack.images.docker_clients import Builder, DockerClient, classic_builder, find_builder, find_clients
from flowpack.images.narration import narrated
from flowpack.images.push import PushedImage, push_image
from flowpack.images.reference import ImageReference
from flowpack.process import Run
from flowpack.reporting import SILENT, Reporter
from flowpack.temporary import temporary_folder


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


class Engine(Protocol):
    def build(self, build: ImageBuild, reporter: Reporter) -> BuiltImage: ...

    def inspect(self, reference: ImageReference) -> BuiltImage | None:
        """The image as the engine has it; None where it has none of that name."""

    def push(self, reference: ImageReference, reporter: Reporter) -> PushedImage:
        """Sends the image to its registry and gives the digest that the registry holds it under."""


def find_engine(run: Run = process.run) -> DockerEngine:
    """The engine that the ``docker`` on PATH reaches; EngineError says what was tried where none answers."""
    return DockerEngine(find_clients(run), run=run)


class DockerEngine:
    """A Docker engine behind its client. What the clients can do is asked once and kept."""

    def __init__(
        self, asked: tuple[DockerClient, ...], *, run: Run = process.run, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._asked = asked
        self._run = run
        self._sleep = sleep
        self._builder: Builder | None = None

    @property
    def client(self) -> DockerClient:
        """The client that reached the engine: the last one asked."""
        return self._asked[-1]

    def __str__(self) -> str:
        return f"Docker engine {self.client.engine_version}"

    def build(self, build: ImageBuild, reporter: Reporter = SILENT) -> BuiltImage:
        builder = self._builder_for(build)
        reporter.info(f"building {build.tag} with {builder.description}")
        progress: BuildProgress = BuildKitProgress() if builder.buildkit else ClassicProgress()
        with temporary_folder("build") as scratch:
            id_file = scratch / "id"
            command = (*builder.command, *_options(build, builder, id_file), str(build.context.absolute()))
            with narrated(progress, reporter) as on_line:
                done = self._run(command, env=builder.environment, on_line=on_line)
            if done.returncode != 0:
                raise build_error(progress.failure(), build.context / "Dockerfile")
            built_id = id_file.read_text("utf-8").strip() if id_file.exists() else None
        return self._built(build.tag, built_id)

    def inspect(self, reference: ImageReference) -> BuiltImage | None:
        return self._inspect(str(reference), reference)

    def push(self, reference: ImageReference, reporter: Reporter = SILENT) -> PushedImage:
        return push_image(self._run, self.client.program, reference, reporter, sleep=self._sleep)

    def _builder_for(self, build: ImageBuild) -> Builder:
        if not build.buildkit:
            if build.secrets:
                raise UsageError(
                    f"build secrets ({', '.join(sorted(build.secrets))}) need BuildKit",
                    hint="leave out --no-buildkit, or give the builder what it needs without a secret",
                )
            return classic_builder(self.client)
        if self._builder is None:
            self._builder = find_builder(self._run, self._asked)
        return self._builder

    def _built(self, tag: ImageReference, built_id: str | None) -> BuiltImage:
        # By its ID first: another build may have taken the tag in the meantime. A builder outside the engine may
        # know the image by another ID than the engine that it was loaded into.
        image = (self._inspect(built_id, tag) if built_id else None) or self._inspect(str(tag), tag)
        if image is None:
            raise EngineError(f"the builder ended well, but the engine has no image {tag}")
        return image

    def _inspect(self, name: str, reference: ImageReference) -> BuiltImage | None:
        done = self._run((self.client.program, "image", "inspect", "--format", "{{json .}}", name), timeout=60)
        if done.returncode != 0:
            if "no such image" in done.stderr.lower():
                return None
            raise EngineError(f"the engine did not tell about {reference}", detail=done.stderr)
        told = json.loads(done.stdout)
        return BuiltImage(id=told["Id"], reference=reference, size=int(told["Size"]))


def _options(build: ImageBuild, builder: Builder, id_file: Path) -> list[str]:
    options = [f"--tag={build.tag}", f"--platform={build.platform}", f"--iidfile={id_file}"]
    # The classic builder leaves the container of a failed step behind unless told otherwise.
    options.append("--progress=plain" if builder.buildkit else "--force-rm")
    options += [f"--secret={_secret(name, path)}" for name, path in sorted(build.secrets.items())]
    options += [f"--build-arg={name}={value}" for name, value in sorted(build.build_args.items())]
    options += [f"--label={name}={value}" for name, value in sorted(build.labels.items())]
    if build.network:
        options.append(f"--network={build.network}")
    return options + ["--pull"] * build.pull + ["--no-cache"] * build.no_cache


def _secret(name: str, path: Path) -> str:
    """The option's value is one line of CSV: a path with a comma or a quote in it is quoted."""
    source = f"src={path.absolute()}"
    if "," in source or '"' in source:
        source = '"' + source.replace('"', '""') + '"'
    return f"id={name},{source}"
