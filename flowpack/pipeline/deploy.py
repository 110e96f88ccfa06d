"""``flowpack deploy``: a flow and its image become a deployment that has answered and gets the traffic."""

from __future__ import annotations

from flowpack.azureml.endpoints.folder import write_documents
from flowpack.azureml.endpoints.identity import with_client_id
from flowpack.azureml.endpoints.plan import DeployRequest, PlannedDeployment
from flowpack.azureml.endpoints.plan import plan_deployment as planned_deployment
from flowpack.azureml.endpoints.preflight import check_ready
from flowpack.azureml.endpoints.rollout import RolledOut, of_all_attempts, roll_out, standing_of
from flowpack.azureml.endpoints.scoring import scorer
from flowpack.azureml.endpoints.turns import in_turn
from flowpack.azureml.endpoints.workspace_endpoints import WorkspaceEndpoints
from flowpack.azureml.models.plan import ModelRequest
from flowpack.azureml.models.registration import Registered
from flowpack.azureml.models.workspace_registry import WorkspaceRegistry
from flowpack.azureml.workspace import Workspace
from flowpack.checks.planned_documents import refuse_broken
from flowpack.pipeline.builds import BuildRequest
from flowpack.pipeline.register import plan_registration, register_planned
from flowpack.reporting import SILENT, Reporter


def deploy(
    planned: PlannedDeployment, workspace: Workspace, reporter: Reporter = SILENT
) -> tuple[Registered, RolledOut]:
    """From a flow and its image to a deployment that has answered and gets the traffic."""

    wanted = planned.request
    endpoints = WorkspaceEndpoints(workspace, reporter)
    registered = register_planned(
        planned.model, wanted.output, WorkspaceRegistry(workspace, endpoints.resources), reporter
    )
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

    planned_model = plan_registration(request, model, reporter)
    planned = planned_deployment(planned_model.source, planned_model, wanted)
    if planned.unused_name:
        reporter.info(f"the rollout names the deployment; --deployment {planned.unused_name} changes that one in place")
    document = planned.as_far_as_known(workspace)
    refuse_broken(planned.endpoint.text(), document.text(), planned_model.source.flow, reporter)
    return planned
