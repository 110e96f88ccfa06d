"""The story: a flow folder becomes a standalone folder, a lock, a build context, a pushed image, a model version."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack.assembly.flow_folder import FlowFolder, Progress, assemble
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.staging import check_apart, check_replaceable, replace_file, staged
from flowpack.dependencies.lockfile import LOCK_NAME, Lockfile, lock_dependencies
from flowpack.dependencies.requirements import Requirements, read_requirements
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.target import DEFAULT_PYTHON, Platform, Target
from flowpack.errors import EngineError, LockError
from flowpack.flows.connections import Connection, find_connections
from flowpack.flows.local_imports import find_missing_imports
from flowpack.flows.model import Flow
from flowpack.flows.package_needs import needs_sdk, needs_tools, why_not_slim
from flowpack.flows.reader import read_flow
from flowpack.flows.variables import flow_variables
from flowpack.flows.variants import VariantChoice
from flowpack.flows.warnings import warnings_of
from flowpack.images.base import Base, find_base
from flowpack.images.context import BuildContext, build_context, required_variables
from flowpack.images.dockerfile import render_dockerfile
from flowpack.images.plan import ImagePlan, plan_image

if TYPE_CHECKING:
    from flowpack.azureml.models.plan import ModelSource, PlannedModel
    from flowpack.azureml.models.registration import Registered
    from flowpack.azureml.models.registry import ModelRegistry
    from flowpack.azureml.models.request import ModelRequest
    from flowpack.images.engine import BuiltImage, Engine, ImageBuild
    from flowpack.images.push import PushedImage
    from flowpack.images.reference import ImageReference

Narrate = Callable[[str], None]

FLOW = "flow"
"""The standalone folder's name in the build context."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRequest:
    """What ``flowpack build`` was asked for; ``output`` is None where only an image is wanted."""

    source: Path
    target: Target
    output: Path | None = None
    variant: VariantChoice | None = None
    include_roots: tuple[Path, ...] = ()
    on_conflict: str = "warn"
    resolver: str = "auto"
    locked: bool = False
    slim: bool = False
    azureml: bool = False
    base_image: str | None = None
    buildkit: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRequest:
    """How the engine is to build; ``secrets`` maps BuildKit's secret ids to files."""

    tag: ImageReference
    push: bool = False
    secrets: Mapping[str, Path] = field(default_factory=dict)
    network: str | None = None
    pull: bool = False
    no_cache: bool = False


@dataclass(frozen=True, kw_only=True)
class Assembled:
    """Everything that is known before a resolver runs or a file is written."""

    flow: Flow
    folder: FlowFolder
    connections: tuple[Connection, ...]
    base: Base


@dataclass(frozen=True, kw_only=True)
class Built:
    assembled: Assembled
    lock: Lockfile
    plan: ImagePlan
    context: BuildContext
    output: Path | None
    image: BuiltImage | None = None
    pushed: PushedImage | None = None


@dataclass(frozen=True, kw_only=True)
class Planned:
    """What a dry run knows: no resolver ran, so without a fresh lock its digest in the Dockerfile is a blank."""

    assembled: Assembled
    dockerfile: str
    lock_state: str


def build(
    request: BuildRequest,
    image: ImageRequest | None = None,
    *,
    engine: Callable[[], Engine] | None = None,
    narrate: Narrate = lambda _: None,
    progress: Progress = lambda *_: None,
) -> Built:
    """From a flow folder to a build context and, where ``image`` asks for it, an image and its pushed digest."""
    assembled = assemble_flow(request, narrate, progress)
    answering = engine() if image and engine else None  # an engine that does not answer is known before a resolver runs
    lock = lock_flow(assembled, request, narrate=narrate)
    with _staging(request.output) as folder:
        assembled.folder.write(folder / FLOW, replaces=request.output / FLOW if request.output else None)
        plan = plan_flow(assembled, request.target, lock.digest)
        context = context_of(assembled, plan, request, lock.text)
        context.write(folder)
        built = Built(assembled=assembled, lock=lock, plan=plan, context=context, output=request.output)
        if image and answering:
            wanted = _image_build(folder, assembled, request, image)
            built = replace(built, image=_built_image(answering, wanted, narrate))
            if image.push:
                built = replace(built, pushed=_pushed(answering, wanted, narrate))
    return built


def lock(request: BuildRequest, *, upgrade: bool = False, narrate: Narrate = lambda _: None) -> tuple[Path, Lockfile]:
    """Writes the lockfile beside the flow where it is stale or missing; ``request.locked`` refuses instead."""
    assembled = assemble_flow(request, narrate)
    lockfile = lock_flow(assembled, request, renew=not request.locked, upgrade=upgrade, narrate=narrate)
    path = assembled.flow.folder / LOCK_NAME
    if not path.is_file() or path.read_bytes() != lockfile.text.encode():
        replace_file(path, lockfile.text)
    return path, lockfile


def register(
    request: BuildRequest, model: ModelRequest, registry: ModelRegistry, narrate: Narrate = lambda _: None
) -> Registered:
    """From a flow folder, or from what a build wrote, to a version of a model: one that is there, or the next."""
    # A build does without the room of models.
    from flowpack.azureml.models.folder import model_place, write_document, write_flow  # noqa: PLC0415
    from flowpack.azureml.models.registration import register_model  # noqa: PLC0415

    planned = plan_registration(request, model, narrate)
    place = model_place(planned.document, model.output)
    folder = write_flow(planned.folder, place, planned.document.folder_name)
    registered = register_model(registry, planned.document, folder, narrate)
    document = write_document(registered.version.as_held(planned.document), place)
    return replace(registered, document=document)


def plan_registration(request: BuildRequest, model: ModelRequest, narrate: Narrate = lambda _: None) -> PlannedModel:
    """Everything up to the edge: no registry is asked, nothing is written."""
    from flowpack.azureml.built_flow import is_build, read_build  # noqa: PLC0415
    from flowpack.azureml.models.folder import check_apart_from  # noqa: PLC0415
    from flowpack.azureml.models.plan import plan_model  # noqa: PLC0415

    source = read_build(request.source) if is_build(request.source) else _model_source(request, narrate)
    planned = plan_model(source, model)
    if model.output:
        check_apart_from(planned.folder.sources, model.output)
    if source.why_no_lock:
        narrate(f"the model gets no digest of a lock: {source.why_no_lock}")
    return planned


def _model_source(request: BuildRequest, narrate: Narrate) -> ModelSource:
    from flowpack.azureml.models.plan import ModelSource  # noqa: PLC0415
    from flowpack.images.source_labels import source_revision  # noqa: PLC0415

    assembled = assemble_flow(request, narrate)
    revision = source_revision(assembled.flow.folder)
    source = ModelSource(flow=assembled.flow, folder=assembled.folder, revision=revision)
    try:
        return replace(source, lock_digest=lock_flow(assembled, request, only_fresh=True).digest)
    except LockError as stale:
        if request.locked:
            raise
        return replace(source, why_no_lock=stale.message)


def plan_build(request: BuildRequest, narrate: Narrate = lambda _: None) -> Planned:
    """Everything up to the edge: no resolver runs, nothing is written."""
    assembled = assemble_flow(request, narrate)
    digest, state = "", f"to be resolved for {request.target}"
    try:
        fresh = lock_flow(assembled, request, only_fresh=True)
        digest, state = fresh.digest, fresh.origin
    except LockError as stale:
        if request.locked:
            raise
        state += f" ({stale.message})"
    plan = plan_flow(assembled, request.target, digest)
    dockerfile = render_dockerfile(plan, buildkit=request.buildkit)
    return Planned(assembled=assembled, dockerfile=dockerfile, lock_state=state)


def assemble_flow(
    request: BuildRequest, narrate: Narrate = lambda _: None, progress: Progress = lambda *_: None
) -> Assembled:
    flow = read_flow(request.source, request.variant)
    for warning in warnings_of(flow):
        narrate(f"warning: {warning}")
    roots = IncludeRoots.of(flow.folder, request.include_roots)
    folder = assemble(flow, roots, narrate, strict=request.on_conflict == "error", progress=progress)
    if request.output is not None:
        check_replaceable(request.output)
        check_apart(request.output, flow.folder, folder.sources)
    for warning in _missing_from(folder, roots.folders[0], request.target):
        narrate(f"warning: {warning}")
    base = find_base(
        base_image=request.base_image,
        environment_image=flow.environment.image,
        flow_folder=flow.folder,
        root=roots.folders[0],
    )
    return Assembled(flow=flow, folder=folder, connections=find_connections(flow, folder.paths), base=base)


def _missing_from(folder: FlowFolder, project: Path, target: Target) -> Iterator[str]:
    """What the flow's code finds on this machine and will not find in the image."""

    @functools.cache
    def required() -> frozenset[str]:
        return _requirements(folder, target).names

    for missing in find_missing_imports(folder.flow, folder.paths, project, required):
        yield str(missing)
    if any(node.source and node.source.tool for node in folder.flow.nodes):
        from flowpack.flows.tool_packages import tools_without_a_requirement  # noqa: PLC0415  (few flows have one)

        yield from tools_without_a_requirement(folder.flow, required)


def lock_flow(
    assembled: Assembled,
    request: BuildRequest,
    *,
    only_fresh: bool = False,
    renew: bool = False,
    upgrade: bool = False,
    narrate: Narrate = lambda _: None,
) -> Lockfile:
    """The lock beside the flow, else that of the output to be replaced, where it is fresh; else a new one.

    ``only_fresh`` raises LockError instead of making one. A broken lock is refused beside the flow, where it is the
    user's, unless ``renew`` makes it again; of a broken one in the output what can be kept is.
    """
    folder = assembled.folder
    beside = assembled.flow.folder / LOCK_NAME
    of_the_output = request.output / LOCK_NAME if request.output and not request.locked else None
    taken = of_the_output if of_the_output and not beside.is_file() else beside
    locked = request.locked or only_fresh
    return lock_dependencies(
        _requirements(folder, request.target),
        needs=_serving_needs(assembled, request, narrate),
        target=request.target,
        resolver=request.resolver,
        existing=taken,
        locked=locked,
        renew=(renew or taken is of_the_output) and not locked,
        upgrade=upgrade,
        source=_as_asked(request),
        narrate=narrate,
    )


def _as_asked(request: BuildRequest) -> str:
    """The source with the options that a lock depends on, as the command that renews it needs them."""
    options = [f"--python {request.target.python}"] if request.target.python != DEFAULT_PYTHON else []
    if request.target.platform != Platform.of_this_machine():
        options.append(f"--platform {request.target.platform}")
    options += ["--slim"] * request.slim + ["--azureml"] * request.azureml
    return " ".join([str(request.source), *options])


def _requirements(folder: FlowFolder, target: Target) -> Requirements:
    requirements = read_requirements(folder.requirements, folder.paths)
    if folder.conda_file is None:
        return requirements
    from flowpack.dependencies.conda_file import with_conda_file  # noqa: PLC0415  (few flows have one)

    return with_conda_file(requirements, folder.conda_file, folder.paths, target)


def _serving_needs(assembled: Assembled, request: BuildRequest, narrate: Narrate) -> ServingNeeds:
    flow, files = assembled.flow, assembled.folder.paths
    against = why_not_slim(flow, files) if request.slim else None
    if against:
        narrate(f"warning: --slim leaves the full SDK in, since {against}")
    return ServingNeeds(
        tools=needs_tools(flow, files),
        sdk=needs_sdk(files),
        slim=request.slim and against is None,
        azureml=request.azureml,
    )


def plan_flow(assembled: Assembled, target: Target, lock_digest: str) -> ImagePlan:
    return plan_image(
        assembled.folder,
        base=assembled.base,
        target=target,
        lock_digest=lock_digest,
        variables=(
            *required_variables(assembled.connections),
            *flow_variables(assembled.flow, assembled.folder.paths),
        ),
    )


def context_of(assembled: Assembled, plan: ImagePlan, request: BuildRequest, lock: str) -> BuildContext:
    dockerfile = render_dockerfile(plan, buildkit=request.buildkit)
    return build_context(
        assembled.folder, connections=assembled.connections, plan=plan, dockerfile=dockerfile, lock=lock
    )


@contextlib.contextmanager
def _staging(output: Path | None) -> Iterator[Path]:
    """A folder that becomes the output once all has gone well, or a passing one where no output is wanted."""
    if output:
        with staged(output) as folder:
            yield folder
        return
    import tempfile  # noqa: PLC0415  (an output does without)

    with tempfile.TemporaryDirectory(prefix="flowpack-") as name:
        yield Path(name)


def _built_image(engine: Engine, wanted: ImageBuild, narrate: Narrate) -> BuiltImage:
    try:
        return engine.build(wanted, narrate)
    except EngineError as error:
        if error.location:  # in a folder that goes away now; the Dockerfile's own name is what stays
            error.location = replace(error.location, path=Path(error.location.path.name))
        raise


def _pushed(engine: Engine, wanted: ImageBuild, narrate: Narrate) -> PushedImage:
    from flowpack.images.image_record import write_image_record  # noqa: PLC0415  (only a push has one)

    pushed = engine.push(wanted.tag, narrate)
    write_image_record(wanted.context, pushed, wanted.labels)
    return pushed


def _image_build(folder: Path, assembled: Assembled, request: BuildRequest, image: ImageRequest) -> ImageBuild:
    # Only an image build needs these; a context is written without them.
    from flowpack.images.engine import ImageBuild  # noqa: PLC0415
    from flowpack.images.source_labels import source_labels  # noqa: PLC0415

    return ImageBuild(
        context=folder,
        tag=image.tag,
        platform=request.target.platform,
        secrets=image.secrets,
        network=image.network,
        labels=source_labels(assembled.flow.folder),
        pull=image.pull,
        no_cache=image.no_cache,
        buildkit=request.buildkit,
    )
