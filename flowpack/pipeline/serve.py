"""``flowpack run`` and ``flowpack test``: a flow, what ``flowpack build`` wrote, or an image is started and healthy."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from flowpack import process
from flowpack.caches import cache_folder
from flowpack.errors import EngineError, InputError, Location, UsageError
from flowpack.flows.model import Flow
from flowpack.flows.reader import read_flow
from flowpack.images.base import check_trusted_build
from flowpack.images.build_record import BuildRecord, is_build, read_build_record
from flowpack.images.dockerfile import PIP_CONFIG_SECRET
from flowpack.images.engine import find_engine
from flowpack.images.engine.model import Engine, ImageBuild
from flowpack.images.reference import ImageReference
from flowpack.pipeline.build import build
from flowpack.pipeline.builds import BuildRequest
from flowpack.process import Run
from flowpack.reporting import Reporter
from flowpack.running.containers import serve_in_container
from flowpack.running.processes import serve_in_environment
from flowpack.running.served import Served
from flowpack.running.variables import loopback_variables, missing_variables, server_variables
from flowpack.temporary import temporary_folder

EngineChoice = Literal["auto", "docker", "venv"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeRequest:
    """``secrets``, ``build_network``, ``pull`` and ``no_cache`` are for an image that is built first.

    ``environment`` is what the flow is given; ``passes_more`` adds this machine's variables that serving reads or the
    flow names.
    """

    engine: EngineChoice = "auto"
    environment: Mapping[str, str] = field(default_factory=dict)
    passes_more: bool = True
    port: int | None = None
    network: str | None = None
    timeout: float = 120.0
    secrets: Mapping[str, Path] = field(default_factory=dict)
    build_network: str | None = None
    pull: bool = False
    no_cache: bool = False
    trust_base: bool = False


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """What ``flowpack build`` wrote, with its record."""

    path: Path
    record: BuildRecord


def resolve_subject(
    text: str, request: Callable[[Path], BuildRequest], reporter: Reporter
) -> BuildFolder | ImageReference:
    """A flow is built into the cache first; ``request`` says how. A text that is not a path here names an image."""
    path = Path(text)
    if is_build(path):
        return BuildFolder(path, read_build_record(path))
    if path.exists():
        output = cache_folder("builds") / hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]
        build(replace(request(path), output=output), reporter=reporter)
        return BuildFolder(output, read_build_record(output))
    if text.startswith((".", "/")) or text.endswith(("/", ".yaml", ".yml", ".prompty")):
        raise InputError("does not exist", location=Location(path), hint="give a flow, a build's output, or an image")
    return ImageReference.parse(text)


@contextlib.contextmanager
def serve(
    subject: BuildFolder | ImageReference, request: ServeRequest, reporter: Reporter, run: Run = process.run
) -> Iterator[Served]:
    """Healthy when the block begins, stopped when it ends."""
    engine = _engine(subject, request.engine, reporter)
    variables = _variables(subject, request, reporter)
    if isinstance(subject, BuildFolder):
        _refuse_missing(subject, variables)
    if engine is not None and request.network != "host":
        _warn_of_loopback(variables, reporter)
    if engine is None:
        assert isinstance(subject, BuildFolder)  # noqa: S101  (_engine has refused an image)
        with serve_in_environment(
            subject.path,
            python=subject.record.target.python,
            environment=variables,
            port=request.port,
            timeout=request.timeout,
            run=run,
            reporter=reporter,
        ) as served:
            yield served
        return
    image = _built(subject, engine, request, reporter) if isinstance(subject, BuildFolder) else subject
    with serve_in_container(
        engine,
        str(image),
        environment=variables,
        port=request.port,
        network=request.network,
        timeout=request.timeout,
        reporter=reporter,
    ) as served:
        yield served


def built_flow(subject: BuildFolder) -> Flow:
    """The standalone flow of a build."""
    build_folder = subject.path.resolve()
    return read_flow(build_folder / "flow" / subject.record.flow_file, within=(build_folder,))


@contextlib.contextmanager
def flow_of_image(served: Served) -> Iterator[Flow]:
    """The standalone flow of an image that is served, copied out of its container."""
    with temporary_folder("flow") as folder:
        yield read_flow(served.server.copy_out("/flow", folder), within=(folder.resolve(),))


def _variables(subject: BuildFolder | ImageReference, request: ServeRequest, reporter: Reporter) -> Mapping[str, str]:
    """What the flow gets. What it names and does not get is reported, by names alone."""
    if not request.passes_more:
        return request.environment
    found = server_variables(subject.path if isinstance(subject, BuildFolder) else None, explicit=request.environment)
    if found.asked:
        reporter.info(f"passing the variables that the flow names: {', '.join(found.asked)}")
    if found.kept_back:
        names = ", ".join(found.kept_back)
        reporter.warning(f"the flow names credentials of this machine, and does not get them: {names}")
        options = " ".join(f"--env {name}" for name in found.kept_back)
        reporter.info(f"hint: pass what is meant for it with {options}")
    return found.values


def _refuse_missing(subject: BuildFolder, variables: Mapping[str, str]) -> None:
    """Before an image is built or packages are installed, for a server that would not start."""
    missing = missing_variables(subject.path, subject.record, variables)
    if missing:
        count = "a variable that the flow needs is" if len(missing) == 1 else f"{len(missing)} variables are"
        raise InputError(
            f"{count} not set", detail="\n".join(missing), hint="give them with --env NAME=VALUE or --env-file FILE"
        )


def _warn_of_loopback(variables: Mapping[str, str], reporter: Reporter) -> None:
    for name, address in loopback_variables(variables).items():
        reporter.warning(f"{name} names {address}, which is the container itself, not this machine")
        reporter.info("hint: use host.docker.internal, or --run-network host")


def _engine(subject: BuildFolder | ImageReference, choice: EngineChoice, reporter: Reporter) -> Engine | None:
    """None where a virtual environment serves."""
    if choice == "venv":
        if isinstance(subject, ImageReference):
            raise UsageError("an image needs an engine", hint="give the flow or the build's output for --engine venv")
        return None
    try:
        return find_engine()
    except EngineError as error:
        if choice == "docker" or isinstance(subject, ImageReference):
            raise
        reporter.info(f"no container engine: {error.message}; a virtual environment serves")
        return None


def _built(subject: BuildFolder, engine: Engine, request: ServeRequest, reporter: Reporter) -> ImageReference:
    """The build's image, built where the engine does not have it, or where it is to be built again."""
    image = subject.record.image
    if request.pull or request.no_cache or engine.inspect(image) is None:
        if not request.trust_base:
            check_trusted_build(subject.path / "Dockerfile", request.secrets.get(PIP_CONFIG_SECRET))
        wanted = ImageBuild(
            context=subject.path,
            tag=image,
            platform=subject.record.target.platform,
            secrets=request.secrets,
            network=request.build_network,
            pull=request.pull,
            no_cache=request.no_cache,
            buildkit=subject.record.buildkit,
        )
        engine.build(wanted, reporter)
    return image
