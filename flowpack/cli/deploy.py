"""``flowpack deploy``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from flowpack.azureml.endpoints.folder import without_secrets
from flowpack.azureml.endpoints.plan import DeployRequest
from flowpack.azureml.endpoints.scoring import with_sample
from flowpack.azureml.endpoints.states import AuthMode
from flowpack.azureml.models.plan import ModelRequest
from flowpack.cli.inputs import InputOptions, input_options
from flowpack.cli.options import (
    EXISTING_FILE,
    Console,
    FlowOptions,
    build_request,
    console_options,
    flow_options,
    image_with_digest,
    option_group,
    source_argument,
)
from flowpack.cli.registry_options import WorkspaceOptions, workspace_options
from flowpack.cli.serving_options import VariableOptions, variable_options
from flowpack.errors import UsageError
from flowpack.pipeline.deploy import deploy, first_steps, plan_deployment, preview_steps

if TYPE_CHECKING:
    from flowpack.azureml.endpoints.plan import PlannedDeployment
    from flowpack.azureml.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentOptions:
    """What the endpoint's and the deployment's documents start from."""

    endpoint_file: Path | None
    deployment_file: Path | None
    instance_type: str | None
    instance_count: int | None

    def request(self) -> DeployRequest:
        return DeployRequest(**asdict(self))


document_options = option_group(
    "document_options",
    DocumentOptions,
    click.option("--endpoint-file", type=EXISTING_FILE, help="An endpoint.yaml to start from."),
    click.option(
        "--deployment-file", type=EXISTING_FILE, help="A deployment.yaml to start from; model and image are set."
    ),
    click.option(
        "--instance-type",
        metavar="SKU",
        envvar="FLOWPACK_INSTANCE_TYPE",
        help="The instance type. Default: Standard_DS3_v2.",
    ),
    click.option(
        "--instance-count",
        type=click.IntRange(min=1),
        help="The number of instances; 3 for high availability. Default: 1.",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class RolloutOptions:
    """The endpoint, and how the new deployment gets its traffic."""

    endpoint: str | None
    deployment: str | None
    auth_mode: AuthMode | None
    identity: str | None
    compute: str | None
    traffic: int
    keep_old: bool
    keep_failed: bool
    no_preflight: bool
    seconds: float
    output: Path | None


rollout_options = option_group(
    "rollout_options",
    RolloutOptions,
    click.option(
        "--endpoint", metavar="NAME", help="The endpoint; it is created if it does not exist. Default: the flow's name."
    ),
    click.option(
        "--deployment", metavar="NAME", help="Create or update this deployment in place, instead of blue-green."
    ),
    click.option("--auth-mode", type=click.Choice(get_args(AuthMode)), help="How clients sign in. Default: key."),
    click.option("--identity", metavar="ID", help="Resource ID of a user-assigned identity. Default: system-assigned."),
    click.option("--compute", metavar="NAME", help="An attached Kubernetes cluster, instead of a managed endpoint."),
    click.option(
        "--traffic",
        type=click.IntRange(0, 100),
        default=100,
        show_default=True,
        metavar="PERCENT",
        help="The new deployment's percentage of traffic once it has answered.",
    ),
    click.option("--keep-old", is_flag=True, help="Keep the replaced deployment, without traffic."),
    click.option("--keep-failed", is_flag=True, help="Keep a new deployment that does not start or answer."),
    click.option("--no-preflight", is_flag=True, help="Do not check for missing connections, roles and quota first."),
    click.option(
        "--timeout",
        "seconds",
        type=click.FloatRange(min=1),
        default=300.0,
        show_default=True,
        metavar="SECONDS",
        help="Seconds to wait for the answer to the sample.",
    ),
    click.option("--output", "-o", type=click.Path(path_type=Path), help="A folder for the three documents."),
)


@click.command("deploy")
@source_argument
@rollout_options
@document_options
@click.option(
    "--image", metavar="REF@DIGEST", help="The image that serves the flow. Default: the one that the build pushed."
)
@click.option("--model-name", "name", metavar="NAME", help="The model's name. Default: the flow's name.")
@click.option("--no-test", is_flag=True, help="Do not score the sample before the traffic moves.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the documents and the steps for a new endpoint; ask no workspace, write nothing.",
)
@click.option("--show-steps", is_flag=True, help="Compare with the workspace and print the steps; change nothing.")
@input_options
@variable_options
@workspace_options
@flow_options
@console_options
def command(
    source: Path,
    *,
    image: str | None,
    name: str | None,
    no_test: bool,
    dry_run: bool,
    show_steps: bool,
    rollout_options: RolloutOptions,
    document_options: DocumentOptions,
    input_options: InputOptions,
    variable_options: VariableOptions,
    workspace_options: WorkspaceOptions,
    flow_options: FlowOptions,
    console: Console,
) -> None:
    """Deploy the flow at SOURCE to an online endpoint. Traffic moves once the new deployment answers.

    SOURCE is what `flowpack build --push` wrote, or a flow with --image. A new deployment is made beside the one that
    serves, scored with the flow's sample, and then gets the traffic; the old one goes away. Where the endpoint has
    this model, image and settings already, nothing is done. Prints the scoring URI on stdout.
    """
    reporter = console.reporter()
    given = input_options.given()
    if no_test and given:
        raise UsageError("--input and --inputs are for the test", hint="leave out --no-test, or the inputs")
    workspace = workspace_options.workspace()
    served_by = image_with_digest(image)
    wanted = _deploy_request(rollout_options, document_options, variable_options, served_by)
    model = ModelRequest(name=name, image=served_by, output=wanted.output)
    planned = plan_deployment(build_request(source, flow_options), model, wanted, workspace, reporter)
    planned = planned if no_test else with_sample(planned, given, reporter)
    if dry_run:
        _show(planned, workspace, console)
        return
    if show_steps:
        steps = [str(step) for step in preview_steps(planned, workspace)]
        console.answer({"steps": steps}, "\n".join(steps) or "nothing to do")
        return
    registered, done = deploy(planned, workspace, reporter)
    version, endpoint = registered.version, done.endpoint
    tested = "" if done.answer is not None or done.state == "unchanged" else ", not tested"
    reporter.info(f"{done.state}{tested}: deployment {done.deployment.name} of endpoint {endpoint.name} in {workspace}")
    document = {
        "endpoint": endpoint.name,
        "deployment": done.deployment.name,
        "state": done.state,
        "tested": done.answer is not None,
        "scoring_uri": endpoint.scoring_uri,
        "traffic": dict(done.traffic),
        "model": f"{version.name}:{version.version}",
        "image": done.deployment.fields["environment"]["image"],
        "instance_type": done.deployment.instance_type,
        "instance_count": done.deployment.instance_count,
        "removed": list(done.removed),
        "answer": done.answer,
    }
    console.answer(document, endpoint.scoring_uri)


def _deploy_request(
    rollout: RolloutOptions, documents: DocumentOptions, variables: VariableOptions, image: str | None
) -> DeployRequest:
    return replace(
        documents.request(),
        endpoint=rollout.endpoint,
        deployment=rollout.deployment,
        auth_mode=rollout.auth_mode,
        identity=rollout.identity,
        compute=rollout.compute,
        traffic=rollout.traffic,
        keep_old=rollout.keep_old,
        keep_failed=rollout.keep_failed,
        preflight=not rollout.no_preflight,
        seconds=rollout.seconds,
        output=rollout.output,
        image=image,
        variables=variables.values(),
    )


def _show(planned: PlannedDeployment, workspace: Workspace, console: Console) -> None:
    deployment = without_secrets(planned.as_far_as_known(workspace))
    model, endpoint = planned.model.document, planned.endpoint
    steps = [str(step) for step in first_steps(planned, workspace)]
    texts = {"model.yaml": model.text(), "endpoint.yaml": endpoint.text(), "deployment.yaml": deployment.text()}
    shown = "---\n".join(f"# {name}\n{text}" for name, text in texts.items())
    comment = "\n".join(f"# {line}" for line in ("steps, if the endpoint does not exist yet:", *steps))
    documents = {"model": model.to_dict(), "endpoint": endpoint.to_dict(), "deployment": dict(deployment.fields)}
    console.answer({**documents, "steps": steps}, f"{shown}\n{comment}")
