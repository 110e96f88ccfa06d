"""``flowpack deploy``: a flow and its image become a deployment that has answered and gets the traffic."""

from __future__ import annotations

from flowpack.azureml.endpoints.busy import retry_while_busy
from flowpack.azureml.endpoints.documents import DeploymentDocument
from flowpack.azureml.endpoints.folder import write_documents
from flowpack.azureml.endpoints.identity import with_client_id
from flowpack.azureml.endpoints.plan import NEXT, DeployRequest, PlannedDeployment
from flowpack.azureml.endpoints.plan import plan_deployment as planned_deployment
from flowpack.azureml.endpoints.preflight import check_ready
from flowpack.azureml.endpoints.rollout import RolledOut, apply, take_snapshot
from flowpack.azureml.endpoints.scoring import scorer
from flowpack.azureml.endpoints.steps import Snapshot, Step, Wanted, choose_name, compare
from flowpack.azureml.endpoints.workspace_endpoints import WorkspaceEndpoints
from flowpack.azureml.models.plan import ModelRequest
from flowpack.azureml.models.registration import Registered, find_version
from flowpack.azureml.models.workspace_registry import WorkspaceRegistry
from flowpack.azureml.workspace import Workspace
from flowpack.checks.planned_documents import refuse_broken
from flowpack.pipeline.builds import BuildRequest
from flowpack.pipeline.register import plan_registration, register_planned
from flowpack.reporting import SILENT, Reporter


def deploy(
    planned: PlannedDeployment, workspace: Workspace, reporter: Reporter = SILENT
) -> tuple[Registered, RolledOut]:
    """From a flow and its image to a deployment that has answered and gets the traffic.

    What would fail is found first: without it neither a model version nor an endpoint is created.
    """
    wanted = planned.request
    endpoints = WorkspaceEndpoints(workspace, reporter)

    def check(snapshot: Snapshot, document: DeploymentDocument) -> None:
        if wanted.preflight:
            check_ready(endpoints.resources, planned, document, snapshot.deployment(document.name), reporter)
        endpoints.check_documents(planned.endpoint, document)

    def check_before_creating() -> None:
        snapshot = take_snapshot(endpoints, planned.endpoint.name)
        model = planned.deployment.with_model(f"{planned.model.document.name}:{NEXT}")
        document = model.named(choose_name(snapshot, planned, model), workspace)
        check(snapshot, with_client_id(endpoints.resources, planned.endpoint, document))

    registry = WorkspaceRegistry(workspace, endpoints.resources)
    registered = register_planned(planned.model, wanted.output, registry, reporter, check_before_creating)
    reporter.info(f"model {registered.version.name}:{registered.version.version}: {registered.state}")
    model = planned.deployment.with_model(f"{registered.version.name}:{registered.version.version}")
    score = scorer(endpoints, wanted, reporter) if wanted.sample is not None else None
    attempts: list[tuple[Step, ...]] = []

    def attempt() -> RolledOut:
        snapshot = take_snapshot(endpoints, planned.endpoint.name)
        document = model.named(choose_name(snapshot, planned, model), workspace)
        if not snapshot.is_up_to_date(document):
            document = with_client_id(endpoints.resources, planned.endpoint, document)
            if registered.state != "created":
                check(snapshot, document)
        if wanted.output:
            write_documents(planned.endpoint, document, wanted.output)
        target = Wanted(planned=planned, document=document, test=score is not None)
        steps = compare(snapshot, target)
        attempts.append(steps)
        return apply(steps, endpoints, snapshot, target, score=score, reporter=reporter)

    return registered, retry_while_busy(attempt, reporter).since(attempts[0])


def preview_steps(planned: PlannedDeployment, workspace: Workspace) -> tuple[Step, ...]:
    """What ``deploy`` would do to the endpoint as it is now. Reads the workspace and changes nothing."""
    endpoints = WorkspaceEndpoints(workspace)
    document = planned.model.document
    held = find_version(WorkspaceRegistry(workspace, endpoints.resources).versions(document.name), document)
    model = planned.deployment.with_model(f"{document.name}:{held.version if held else NEXT}")
    snapshot = take_snapshot(endpoints, planned.endpoint.name)
    named = model.named(choose_name(snapshot, planned, model), workspace)
    return compare(snapshot, Wanted(planned=planned, document=named, test=planned.request.sample is not None))


def first_steps(planned: PlannedDeployment, workspace: Workspace) -> tuple[Step, ...]:
    """What ``deploy`` does where the endpoint does not exist yet. Asks nobody."""
    document = planned.as_far_as_known(workspace)
    test = planned.request.sample is not None
    return compare(Snapshot(endpoint=None), Wanted(planned=planned, document=document, test=test))


def plan_deployment(
    request: BuildRequest,
    model: ModelRequest,
    wanted: DeployRequest,
    workspace: Workspace,
    reporter: Reporter = SILENT,
) -> PlannedDeployment:
    """Everything up to the edge: no workspace is asked, nothing is written. Documents that break a rule are refused."""

    planned_model = plan_registration(request, model, reporter)
    planned = planned_deployment(planned_model.source, planned_model, wanted)
    if planned.unused_name:
        reporter.info(f"the rollout names the deployment; --deployment {planned.unused_name} changes that one in place")
    document = planned.as_far_as_known(workspace)
    refuse_broken(planned.endpoint.text(), document.text(), planned_model.source.folder, reporter)
    return planned
