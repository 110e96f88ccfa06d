"""Starts a build or an image with the engine that was asked for, or the one that there is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack import process
from flowpack.errors import EngineError, UsageError
from flowpack.flows.model import Flow
from flowpack.flows.reader import read_flow
from flowpack.images.reference import ImageReference
from flowpack.process import Run
from flowpack.reading import DOCUMENT_BYTES, read_text
from flowpack.reporting import Reporter
from flowpack.running.containers import serve_in_container
from flowpack.running.processes import serve_in_environment
from flowpack.running.served import Served
from flowpack.running.subject import BuildFolder
from flowpack.running.variables import ServerVariables, server_variables
from flowpack.temporary import temporary_folder

if TYPE_CHECKING:
    from flowpack.images.engine import Engine


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeRequest:
    """``engine`` is auto, docker or venv; ``secrets`` and ``build_network`` are for an image that is built first.

    ``environment`` is what the flow is given; ``passes_more`` adds this machine's variables that serving reads or the
    flow names.
    """

    engine: str = "auto"
    environment: Mapping[str, str] = field(default_factory=dict)
    passes_more: bool = True
    port: int | None = None
    network: str | None = None
    timeout: float = 120.0
    secrets: Mapping[str, Path] = field(default_factory=dict)
    build_network: str | None = None
    trust_base: bool = False


@contextlib.contextmanager
def serve(
    subject: BuildFolder | ImageReference, request: ServeRequest, reporter: Reporter, run: Run = process.run
) -> Iterator[Served]:
    """Healthy when the block begins, stopped when it ends."""
    engine = _engine(subject, request.engine, reporter, run)
    build = subject.folder if isinstance(subject, BuildFolder) else None
    variables = ServerVariables(request.environment)
    if request.passes_more:
        variables = server_variables(build, explicit=request.environment)
    for line in variables.told():
        reporter.info(line)
    if engine is None:
        assert isinstance(subject, BuildFolder)  # noqa: S101  (_engine has refused an image)
        with serve_in_environment(
            subject.folder,
            python=subject.target.python,
            environment=variables.values,
            port=request.port,
            timeout=request.timeout,
            run=run,
            reporter=reporter,
        ) as served:
            yield served
        return
    image = _built(subject, engine, request, reporter) if isinstance(subject, BuildFolder) else subject
    with serve_in_container(
        str(image),
        environment=variables.values,
        port=request.port,
        network=request.network,
        timeout=request.timeout,
        run=run,
        reporter=reporter,
    ) as served:
        yield served


@contextlib.contextmanager
def served_flow(subject: BuildFolder | ImageReference, served: Served) -> Iterator[Flow]:
    """The standalone flow that is served; an image's is copied out of its container."""
    if isinstance(subject, BuildFolder):
        build = subject.folder.resolve()
        yield read_flow(build / "flow" / subject.flow_file, within=(build,))
        return
    with temporary_folder("flow") as folder:
        yield read_flow(served.server.copy_out("/flow", folder), within=(folder.resolve(),))


def _engine(subject: BuildFolder | ImageReference, asked: str, reporter: Reporter, run: Run) -> Engine | None:
    """None where a virtual environment serves."""
    from flowpack.images.engine import find_engine  # noqa: PLC0415  (a virtual environment needs none)

    if asked == "venv":
        if isinstance(subject, ImageReference):
            raise UsageError("an image needs an engine", hint="give the flow or the build's output for --engine venv")
        return None
    try:
        return find_engine(run)
    except EngineError as error:
        if asked == "docker" or isinstance(subject, ImageReference):
            raise
        reporter.info(f"no container engine: {error.message}; a virtual environment serves")
        return None


def _built(subject: BuildFolder, engine: Engine, request: ServeRequest, reporter: Reporter) -> ImageReference:
    """The build's image, built where the engine does not have it."""
    from flowpack.images.base import check_trusted_build  # noqa: PLC0415
    from flowpack.images.dockerfile import PIP_CONFIG_SECRET  # noqa: PLC0415
    from flowpack.images.engine import ImageBuild  # noqa: PLC0415

    image = subject.image
    if engine.inspect(image) is None:
        if not request.trust_base:
            check_trusted_build(subject.folder / "Dockerfile", request.secrets.get(PIP_CONFIG_SECRET))
        build = ImageBuild(
            context=subject.folder,
            tag=image,
            platform=subject.target.platform,
            secrets=request.secrets,
            network=request.build_network,
            buildkit="--mount=" in _dockerfile(subject.folder),
        )
        engine.build(build, reporter)
    return image


def _dockerfile(build: Path) -> str:
    return read_text(build / "Dockerfile", limit=DOCUMENT_BYTES, within=[build.resolve()])
