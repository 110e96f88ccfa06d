"""The story: a flow folder becomes a standalone folder, a lock, an image, a model version, a running endpoint."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack.assembly.flow_folder import FlowFolder, assemble, read_digests, write_flow_folder
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.staging import check_apart, check_replaceable, staged
from flowpack.builds import Assembled, BuildRequest, Built, ImageRequest, Planned
from flowpack.dependencies.lockfile import LOCK_NAME, Lockfile
from flowpack.dependencies.target import Target
from flowpack.errors import EngineError, LockError
from flowpack.flows.connections import find_connections
from flowpack.flows.local_imports import find_missing_imports
from flowpack.flows.reader import read_flow
from flowpack.flows.variables import flow_variables
from flowpack.flows.warnings import warnings_of
from flowpack.images.base import check_trusted, find_base
from flowpack.images.context import BuildContext, build_context, required_variables
from flowpack.images.dockerfile import render_dockerfile
from flowpack.images.plan import ImagePlan, plan_image
from flowpack.locking import built_wheels, lock_flow, requirements_of
from flowpack.reading import LOCK_BYTES, read_bytes
from flowpack.reporting import SILENT, Reporter
from flowpack.temporary import temporary_folder
from flowpack.writing import replace_file

if TYPE_CHECKING:
    from flowpack.azureml.endpoints.plan import PlannedDeployment
    from flowpack.azureml.endpoints.request import DeployRequest
    from flowpack.azureml.endpoints.rollout import RolledOut
    from flowpack.azureml.models.plan import ModelSource, PlannedModel
    from flowpack.azureml.models.registration import Registered
    from flowpack.azureml.models.registry import ModelRegistry
    from flowpack.azureml.models.request import ModelRequest
    from flowpack.azureml.workspace import Workspace
    from flowpack.images.engine import BuiltImage, Engine, ImageBuild
    from flowpack.images.push import PushedImage

FLOW = "flow"
"""The standalone folder's name in the build context."""


def build(
    request: BuildRequest,
    image: ImageRequest | None = None,
    *,
    engine: Callable[[], Engine] | None = None,
    reporter: Reporter = SILENT,
) -> Built:
    """From a flow folder to a build context and, where ``image`` asks for it, an image and its pushed digest."""
    assembled = assemble_flow(request, reporter)
    _refuse_secrets(assembled.folder)
    answering = engine() if image and engine else None  # an engine that does not answer is known before a resolver runs
    network = image.network if image else None
    lock = lock_flow(assembled, request, network=network, reporter=reporter)
    wheels = built_wheels(assembled, request, lock, network=network, reporter=reporter)
    with _staging(request.output) as folder:
        before = request.output / FLOW if request.output else None
        write_flow_folder(assembled.folder, folder / FLOW, before, reporter)
        plan = plan_flow(assembled, request.target, lock.digest, wheels=bool(wheels))
        context = context_of(assembled, plan, request, lock.text, wheels)
        context.write(folder)
        built = Built(assembled=assembled, lock=lock, plan=plan, context=context, output=request.output)
        if image and answering:
            wanted = _image_build(folder, assembled, request, image)
            built = replace(built, image=_built_image(answering, wanted, reporter))
            if image.push:
                built = replace(built, pushed=_pushed(answering, wanted, reporter))
    return built


def lock(request: BuildRequest, *, upgrade: bool = False, reporter: Reporter = SILENT) -> tuple[Path, Lockfile]:
    """Writes the lockfile beside the flow where it is stale or missing; ``request.locked`` refuses instead."""
    assembled = assemble_flow(request, reporter)
    lockfile = lock_flow(assembled, request, renew=not request.locked, upgrade=upgrade, reporter=reporter)
    path = assembled.flow.folder / LOCK_NAME
    if not path.is_file() or read_bytes(path, limit=LOCK_BYTES, within=assembled.flow.roots) != lockfile.text.encode():
        replace_file(path, lockfile.text)
    return path, lockfile


def register(
    request: BuildRequest, model: ModelRequest, registry: ModelRegistry, reporter: Reporter = SILENT
) -> Registered:
    """From a flow folder, or from what a build wrote, to a version of a model: one that is there, or the next."""
    return _register(plan_registration(request, model, reporter), model.output, registry, reporter)


def _register(planned: PlannedModel, output: Path | None, registry: ModelRegistry, reporter: Reporter) -> Registered:
    # A build does without the room of models.
    from flowpack.azureml.models.folder import model_place, write_document, write_flow  # noqa: PLC0415
    from flowpack.azureml.models.registration import register_model  # noqa: PLC0415

    place = model_place(planned.document, output)
    folder = write_flow(planned.folder, place, planned.document.folder_name)
    registered = register_model(registry, planned.document, folder, reporter)
    document = write_document(registered.version.as_held(planned.document), place)
    return replace(registered, document=document)


def plan_registration(request: BuildRequest, model: ModelRequest, reporter: Reporter = SILENT) -> PlannedModel:
    """Everything up to the edge: no registry is asked, nothing is written."""
    from flowpack.azureml.built_flow import is_build, read_build  # noqa: PLC0415
    from flowpack.azureml.models.folder import check_apart_from  # noqa: PLC0415
    from flowpack.azureml.models.plan import plan_model  # noqa: PLC0415

    source = read_build(request.source) if is_build(request.source) else _model_source(request, reporter)
    _refuse_secrets(source.folder)
    read_digests(source.folder, reporter)
    planned = plan_model(source, model)
    if model.output:
        check_apart_from(planned.folder.sources, model.output)
    if source.why_no_lock:
        reporter.info(f"the model gets no digest of a lock: {source.why_no_lock}")
    return planned


def deploy(
    planned: PlannedDeployment, workspace: Workspace, reporter: Reporter = SILENT
) -> tuple[Registered, RolledOut]:
    """From a flow and its image to a deployment that has answered and gets the traffic."""
    from flowpack.azureml.endpoints.folder import write_documents  # noqa: PLC0415
    from flowpack.azureml.endpoints.identity import with_client_id  # noqa: PLC0415
    from flowpack.azureml.endpoints.preflight import check_ready  # noqa: PLC0415
    from flowpack.azureml.endpoints.rollout import of_all_attempts, roll_out, standing_of  # noqa: PLC0415
    from flowpack.azureml.endpoints.scoring import scorer  # noqa: PLC0415
    from flowpack.azureml.endpoints.turns import in_turn  # noqa: PLC0415
    from flowpack.azureml.endpoints.workspace_endpoints import WorkspaceEndpoints  # noqa: PLC0415
    from flowpack.azureml.models.workspace_registry import WorkspaceRegistry  # noqa: PLC0415

    wanted = planned.request
    endpoints = WorkspaceEndpoints(workspace, reporter)
    registered = _register(planned.model, wanted.output, WorkspaceRegistry(workspace, endpoints.resources), reporter)
    reporter.info(f"model {registered.version.name}:{registered.version.version}: {registered.state}")
    model = planned.deployment.with_model(f"{registered.version.name}:{registered.version.version}")
    score = scorer(endpoints, wanted, reporter) if wanted.sample is not None else None
    attempts = []

    def attempt() -> RolledOut:
        standing = standing_of(endpoints, planned, model)
        attempts.append(standing)
        document = model.named(standing.name, workspace)
        if standing.same is None:
            document = with_client_id(endpoints.resources, planned.endpoint, document)
            if wanted.preflight:
                check_ready(endpoints.resources, planned, document, standing, reporter)
            endpoints.check_documents(planned.endpoint, document)
        if wanted.output:
            write_documents(planned.endpoint, document, wanted.output)
        return roll_out(endpoints, planned, document, standing, score=score, reporter=reporter)

    done = in_turn(attempt, reporter)
    return registered, of_all_attempts(attempts[0], done)


def plan_deployment(
    request: BuildRequest,
    model: ModelRequest,
    wanted: DeployRequest,
    workspace: Workspace,
    reporter: Reporter = SILENT,
) -> PlannedDeployment:
    """Everything up to the edge: no workspace is asked, nothing is written. Documents that break a rule are refused."""
    from flowpack.azureml.endpoints.plan import plan_deployment as planned_deployment  # noqa: PLC0415
    from flowpack.checks.planned_documents import refuse_broken  # noqa: PLC0415

    planned_model = plan_registration(request, model, reporter)
    planned = planned_deployment(planned_model.source, planned_model, wanted)
    if planned.unused_name:
        reporter.info(f"the rollout names the deployment; --deployment {planned.unused_name} changes that one in place")
    document = planned.as_far_as_known(workspace)
    refuse_broken(planned.endpoint.text(), document.text(), planned_model.source.flow, reporter)
    return planned


def _model_source(request: BuildRequest, reporter: Reporter) -> ModelSource:
    from flowpack.azureml.models.plan import ModelSource  # noqa: PLC0415
    from flowpack.images.source_labels import source_revision  # noqa: PLC0415

    assembled = assemble_flow(request, reporter)
    revision = source_revision(assembled.flow.folder)
    source = ModelSource(flow=assembled.flow, folder=assembled.folder, revision=revision)
    try:
        return replace(source, lock_digest=lock_flow(assembled, request, only_fresh=True).digest)
    except LockError as stale:
        if request.locked:
            raise
        return replace(source, why_no_lock=stale.message)


def plan_build(request: BuildRequest, reporter: Reporter = SILENT) -> Planned:
    """Everything up to the edge: no resolver runs, nothing is written."""
    assembled = assemble_flow(request, reporter)
    _refuse_secrets(assembled.folder)
    digest, wheels = "", False
    state = f"to be resolved for {request.target}"
    try:
        fresh = lock_flow(assembled, request, only_fresh=True)
        digest, state, wheels = fresh.digest, fresh.origin, bool(fresh.built)
    except LockError as stale:
        if request.locked:
            raise
        state += f" ({stale.message})"
    plan = plan_flow(assembled, request.target, digest, wheels=wheels)
    dockerfile = render_dockerfile(plan, buildkit=request.buildkit)
    return Planned(assembled=assembled, dockerfile=dockerfile, lock_state=state)


def assemble_flow(request: BuildRequest, reporter: Reporter = SILENT) -> Assembled:
    flow = read_flow(request.source, request.variant, include_roots=request.include_roots)
    for warning in warnings_of(flow):
        reporter.warning(f"{warning}")
    roots = IncludeRoots.of(flow.folder, request.include_roots)
    folder = assemble(flow, roots, reporter, strict=request.on_conflict == "error")
    if request.output is not None:
        check_replaceable(request.output)
        check_apart(request.output, flow.folder, folder.sources)
    for warning in _missing_from(folder, roots.folders[0], request.target):
        reporter.warning(f"{warning}")
    base = find_base(
        base_image=request.base_image,
        environment_image=flow.environment.image,
        flow_folder=flow.folder,
        root=roots.folders[0],
        image_location=flow.environment.locations.get("image"),
        trusted=request.trust_base,
    )
    if not request.trust_base:
        check_trusted(base, request.pip_config)
    return Assembled(flow=flow, folder=folder, connections=find_connections(flow, folder.paths), base=base)


def _refuse_secrets(folder: FlowFolder) -> None:
    from flowpack.checks.shipped_secrets import refuse_shipped_secrets  # noqa: PLC0415  (a lock ships nothing)

    refuse_shipped_secrets(folder)


def _missing_from(folder: FlowFolder, project: Path, target: Target) -> Iterator[str]:
    """What the flow's code finds on this machine and will not find in the image."""

    @functools.cache
    def required() -> frozenset[str]:
        return requirements_of(folder, target).names

    for missing in find_missing_imports(folder.flow, folder.paths, project, required):
        yield str(missing)
    if any(node.source and node.source.tool for node in folder.flow.nodes):
        from flowpack.flows.tool_packages import tools_without_a_requirement  # noqa: PLC0415  (few flows have one)

        yield from tools_without_a_requirement(folder.flow, required)


def plan_flow(assembled: Assembled, target: Target, lock_digest: str, *, wheels: bool = False) -> ImagePlan:
    return plan_image(
        assembled.folder,
        base=assembled.base,
        target=target,
        lock_digest=lock_digest,
        variables=(
            *required_variables(assembled.connections),
            *flow_variables(assembled.flow, assembled.folder.paths),
        ),
        wheels=wheels,
    )


def context_of(
    assembled: Assembled, plan: ImagePlan, request: BuildRequest, lock: str, wheels: Sequence[Path] = ()
) -> BuildContext:
    dockerfile = render_dockerfile(plan, buildkit=request.buildkit)
    return build_context(
        assembled.folder,
        connections=assembled.connections,
        plan=plan,
        dockerfile=dockerfile,
        lock=lock,
        wheels=wheels,
    )


@contextlib.contextmanager
def _staging(output: Path | None) -> Iterator[Path]:
    """A folder that becomes the output once all has gone well, or a passing one where no output is wanted."""
    if output:
        with staged(output) as folder:
            yield folder
        return
    with temporary_folder("context") as folder:
        yield folder


def _built_image(engine: Engine, wanted: ImageBuild, reporter: Reporter) -> BuiltImage:
    try:
        return engine.build(wanted, reporter)
    except EngineError as error:
        if error.location:  # in a folder that goes away now; the Dockerfile's own name is what stays
            error.location = replace(error.location, path=Path(error.location.path.name))
        raise


def _pushed(engine: Engine, wanted: ImageBuild, reporter: Reporter) -> PushedImage:
    from flowpack.images.image_record import write_image_record  # noqa: PLC0415  (only a push has one)

    pushed = engine.push(wanted.tag, reporter)
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
