"""``flowpack deploy``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowpack.azureml.endpoints.folder import without_secrets
from flowpack.azureml.endpoints.plan import DeployRequest
from flowpack.azureml.endpoints.scoring import with_sample
from flowpack.azureml.models.plan import ModelRequest
from flowpack.cli.inputs import given_inputs, input_options
from flowpack.cli.options import answer_options, build_request, flow_options, source_argument, together
from flowpack.cli.output import answer
from flowpack.cli.register import image_with_digest
from flowpack.cli.registry_options import workspace_of, workspace_options
from flowpack.cli.reporters import reporter_for
from flowpack.cli.serving_options import variable_options, variables_of
from flowpack.pipeline.deploy import deploy, plan_deployment, preview_steps

if TYPE_CHECKING:
    from flowpack.azureml.endpoints.plan import DeployRequest, PlannedDeployment
    from flowpack.azureml.workspace import Workspace

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

_TAKEN = (
    *("endpoint", "deployment", "endpoint_file", "deployment_file", "compute", "auth_mode", "identity"),
    *("instance_type", "instance_count", "traffic", "keep_old", "keep_failed", "seconds", "output"),
)

deployment_options = together(
    click.option("--endpoint-file", type=_FILE, help="An endpoint.yaml to start from."),
    click.option("--deployment-file", type=_FILE, help="A deployment.yaml to start from; model and image are set."),
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


@click.command("deploy")
@source_argument
@click.option(
    "--endpoint", metavar="NAME", help="The endpoint; it is created if it does not exist. Default: the flow's name."
)
@click.option("--deployment", metavar="NAME", help="Create or update this deployment in place, instead of blue-green.")
@click.option(
    "--image", metavar="REF@DIGEST", help="The image that serves the flow. Default: the one that the build pushed."
)
@click.option("--model-name", "name", metavar="NAME", help="The model's name. Default: the flow's name.")
@deployment_options
@click.option(
    "--auth-mode", type=click.Choice(["key", "aml_token", "aad_token"]), help="How clients sign in. Default: key."
)
@click.option("--identity", metavar="ID", help="The resource ID of a user-assigned identity. Default: system-assigned.")
@click.option("--compute", metavar="NAME", help="An attached Kubernetes cluster, instead of a managed endpoint.")
@variable_options
@click.option(
    "--traffic",
    type=click.IntRange(0, 100),
    default=100,
    show_default=True,
    metavar="PERCENT",
    help="The new deployment's percentage of traffic once it has answered.",
)
@click.option("--keep-old", is_flag=True, help="Keep the replaced deployment, without traffic.")
@click.option("--keep-failed", is_flag=True, help="Keep a new deployment that does not start or answer.")
@click.option("--no-test", is_flag=True, help="Do not score the sample before the traffic moves.")
@click.option("--no-preflight", is_flag=True, help="Do not check for missing connections, roles and quota first.")
@input_options
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds to wait for the answer to the sample.",
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="A folder for the three documents.")
@click.option("--dry-run", is_flag=True, help="Print the documents; do not contact the workspace, write nothing.")
@click.option("--show-steps", is_flag=True, help="Compare with the workspace and print the steps; change nothing.")
@workspace_options
@flow_options
@answer_options
def command(source: Path, *, dry_run: bool, show_steps: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Deploy the flow at SOURCE to an online endpoint. Traffic moves once the new deployment answers.

    SOURCE is what `flowpack build --push` wrote, or a flow with --image. A new deployment is made beside the one that
    serves, scored with the flow's sample, and then gets the traffic; the old one goes away. Where the endpoint has
    this model, image and settings already, nothing is done. Prints the scoring URI on stdout.
    """

    reporter = reporter_for(quiet)
    workspace = workspace_of(options)
    image = image_with_digest(options.pop("image"))
    wanted = _deploy_request(options, image)
    model = ModelRequest(name=options.pop("name"), image=image, output=wanted.output)
    given, test = given_inputs(options.pop("file"), options.pop("inputs")), not options.pop("no_test")
    request = build_request(source, **options)
    planned = plan_deployment(request, model, wanted, workspace, reporter)
    if dry_run:
        _show(planned, workspace, as_json)
        return
    planned = with_sample(planned, given, reporter) if test else planned
    if show_steps:
        steps = [str(step) for step in preview_steps(planned, workspace)]
        answer({"steps": steps}, "\n".join(steps) or "nothing to do", as_json)
        return
    registered, done = deploy(planned, workspace, reporter)
    version, endpoint = registered.version, done.endpoint
    reporter.info(f"{done.state}: deployment {done.deployment.name} of endpoint {endpoint.name} in {workspace}")
    document = {
        "endpoint": endpoint.name,
        "deployment": done.deployment.name,
        "state": done.state,
        "scoring_uri": endpoint.scoring_uri,
        "traffic": dict(done.traffic),
        "model": f"{version.name}:{version.version}",
        "image": done.deployment.fields["environment"]["image"],
        "instance_type": done.deployment.instance_type,
        "instance_count": done.deployment.instance_count,
        "removed": list(done.removed),
        "answer": done.answer,
    }
    answer(document, endpoint.scoring_uri, as_json)


def _deploy_request(options: dict[str, Any], image: str | None) -> DeployRequest:
    """Takes its own options out of ``options``."""

    variables = variables_of(options)
    for name in ("variables", "env_file"):
        options.pop(name)
    return DeployRequest(
        image=image,
        variables=variables,
        preflight=not options.pop("no_preflight"),
        **{name: options.pop(name) for name in _TAKEN},
    )


def _show(planned: PlannedDeployment, workspace: Workspace, as_json: bool) -> None:
    deployment = without_secrets(planned.as_far_as_known(workspace))
    model, endpoint = planned.model.document, planned.endpoint
    texts = (f"# {name}\n{text}" for name, text in _texts(model.text(), endpoint.text(), deployment.text()))
    documents = {"model": model.to_dict(), "endpoint": endpoint.to_dict(), "deployment": dict(deployment.fields)}
    answer(documents, "---\n".join(texts).rstrip(), as_json)


def _texts(*texts: str) -> list[tuple[str, str]]:
    return list(zip(("model.yaml", "endpoint.yaml", "deployment.yaml"), texts, strict=True))
