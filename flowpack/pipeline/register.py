"""``flowpack register``: a flow, or what a build wrote, becomes a version of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flowpack.assembly.flow_folder import read_digests
from flowpack.azureml.built_flow import read_build
from flowpack.azureml.models.folder import check_apart_from, model_place, write_document, write_flow
from flowpack.azureml.models.plan import ModelRequest, ModelSource, PlannedModel, plan_model
from flowpack.azureml.models.registration import Registered, register_model
from flowpack.azureml.models.registry import ModelRegistry
from flowpack.checks.shipped_secrets import refuse_shipped_secrets
from flowpack.errors import LockError
from flowpack.images.build_record import is_build
from flowpack.images.source_labels import source_revision
from flowpack.pipeline.assemble import assemble_flow
from flowpack.pipeline.builds import BuildRequest
from flowpack.pipeline.lock import lock_flow
from flowpack.reporting import SILENT, Reporter


def register(
    request: BuildRequest, model: ModelRequest, registry: ModelRegistry, reporter: Reporter = SILENT
) -> Registered:
    """From a flow folder, or from what a build wrote, to a version of a model: one that is there, or the next."""
    return register_planned(plan_registration(request, model, reporter), model.output, registry, reporter)


def register_planned(
    planned: PlannedModel,
    output: Path | None,
    registry: ModelRegistry,
    reporter: Reporter,
    before_creating: Callable[[], None] = lambda: None,
) -> Registered:
    place = model_place(planned.document, output)
    folder = write_flow(planned.folder, place, planned.document.folder_name)
    registered = register_model(registry, planned.document, folder, reporter, before_creating=before_creating)
    document = write_document(registered.version.as_held(planned.document), place)
    return replace(registered, document=document)


def plan_registration(request: BuildRequest, model: ModelRequest, reporter: Reporter = SILENT) -> PlannedModel:
    """Everything up to the edge: no registry is asked, nothing is written."""
    source = read_build(request.source) if is_build(request.source) else _model_source(request, reporter)
    refuse_shipped_secrets(source.folder)
    read_digests(source.folder, reporter)
    planned = plan_model(source, model)
    if model.output:
        check_apart_from(planned.folder.sources, model.output)
    if source.why_no_lock:
        reporter.info(f"the model gets no digest of a lock: {source.why_no_lock}")
    return planned


def _model_source(request: BuildRequest, reporter: Reporter) -> ModelSource:

    assembled = assemble_flow(request, reporter)
    revision = source_revision(assembled.flow.folder)
    source = ModelSource(flow=assembled.flow, folder=assembled.folder, revision=revision)
    try:
        return replace(source, lock_digest=lock_flow(assembled, request, only_fresh=True).digest)
    except LockError as stale:
        if request.locked:
            raise
        return replace(source, why_no_lock=stale.message)
