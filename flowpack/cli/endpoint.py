"""``flowpack endpoint``: what is there, its logs and keys, its traffic, a question to it, its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from flowpack.azureml.endpoints.busy import retry_while_busy
from flowpack.azureml.endpoints.documents import RETIRING
from flowpack.azureml.endpoints.scoring import ask, refuse_unknown_inputs_of
from flowpack.azureml.endpoints.workspace_endpoints import MODEL_DOWNLOAD, SERVER, WorkspaceEndpoints
from flowpack.azureml.models.document import FLOW_DIGEST, IMAGE
from flowpack.cli.inputs import InputOptions, input_options
from flowpack.cli.options import Console, console_options
from flowpack.cli.output import table
from flowpack.cli.registry_options import WorkspaceOptions, workspace_options
from flowpack.errors import UsageError, nearest
from flowpack.quoting import json_text, log_text

if TYPE_CHECKING:
    from flowpack.azureml.endpoints.states import Deployment, Endpoint
    from flowpack.azureml.endpoints.workspace_endpoints import WorkspaceEndpoints

_name = click.argument("endpoint", metavar="ENDPOINT")
_deployment_option = click.option(
    "--deployment", metavar="NAME", help="Call this deployment. Default: as the traffic is split."
)


@click.group("endpoint")
def command() -> None:
    """Look at the online endpoints of a workspace, ask them, move their traffic, delete them."""


@command.command("list")
@workspace_options
@console_options
def list_(*, workspace_options: WorkspaceOptions, console: Console) -> None:
    """List the workspace's endpoints."""
    found = _endpoints(workspace_options, console).endpoints()
    rows = [(each.name, each.state, _shown(each.traffic), each.scoring_uri) for each in found]
    titles = ("ENDPOINT", "STATE", "TRAFFIC", "SCORING URI")
    console.answer({"endpoints": [_document(each) for each in found]}, table(titles, rows) if rows else "no endpoints")


@command.command()
@_name
@workspace_options
@console_options
def status(endpoint: str, *, workspace_options: WorkspaceOptions, console: Console) -> None:
    """Show an endpoint and its deployments: state, traffic, model, image, instances."""

    endpoints = _endpoints(workspace_options, console)
    found = endpoints.existing(endpoint)
    deployments = endpoints.deployments(endpoint)
    rows = [
        (
            each.name,
            each.state,
            f"{found.traffic.get(each.name, 0)} %",
            each.model,
            f"{each.instance_count or '?'} × {each.instance_type or '?'}",
            each.tags.get(FLOW_DIGEST, "")[:19],
            each.tags.get(IMAGE, ""),
        )
        for each in deployments
    ]
    titles = ("DEPLOYMENT", "STATE", "TRAFFIC", "MODEL", "INSTANCES", "FLOW DIGEST", "IMAGE")
    head = f"{found.name}  {found.state}  {found.auth_mode}  {found.scoring_uri}"
    document = {**_document(found), "deployments": [_deployment_document(each) for each in deployments]}
    console.answer(document, "\n".join([head, *([table(titles, rows)] if rows else [])]))


@command.command()
@_name
@click.argument("deployment", required=False)
@click.option(
    "--lines",
    type=click.IntRange(1, 10_000),
    default=200,
    show_default=True,
    help="How many of the last lines to print.",
)
@click.option("--download", is_flag=True, help="The log of the model's download, instead of the server's.")
@workspace_options
@console_options
def logs(
    endpoint: str,
    deployment: str | None,
    *,
    lines: int,
    download: bool,
    workspace_options: WorkspaceOptions,
    console: Console,
) -> None:
    """Show the log of a deployment; by default of the one with the most traffic."""

    endpoints = _endpoints(workspace_options, console)
    chosen = _chosen(endpoints, endpoints.existing(endpoint), deployment)
    container = MODEL_DOWNLOAD if download else SERVER
    text = endpoints.logs(endpoint, chosen, lines=lines, container=container)
    console.answer({"deployment": chosen, "container": container, "log": text}, text.rstrip("\n"))


@command.command()
@_name
@click.argument("shares", metavar="DEPLOYMENT=PERCENT...", nargs=-1)
@workspace_options
@console_options
def traffic(endpoint: str, shares: tuple[str, ...], *, workspace_options: WorkspaceOptions, console: Console) -> None:
    """Show an endpoint's traffic, or set it: `blue=90 green=10`. A deployment that is not named gets none."""

    wanted = _shares(shares)
    endpoints = _endpoints(workspace_options, console)
    found = endpoints.existing(endpoint)
    if wanted:
        _check_deployments(wanted, [each.name for each in endpoints.deployments(endpoint)], endpoint)
        if {name: share for name, share in wanted.items() if share} != dict(found.traffic):
            # What a person gives traffic, and takes it from, is to stay.
            _retry_while_busy(lambda: endpoints.set_traffic(endpoint, wanted, {RETIRING: ""}), console)
        found = endpoints.existing(endpoint)
    console.answer({"endpoint": endpoint, "traffic": dict(found.traffic)}, _shown(found.traffic) or "no traffic")


@command.command()
@_name
@input_options
@_deployment_option
@click.option("--timeout", type=click.FloatRange(min=1), default=300.0, show_default=True, metavar="SECONDS")
@workspace_options
@console_options
def invoke(
    endpoint: str,
    *,
    input_options: InputOptions,
    deployment: str | None,
    timeout: float,
    workspace_options: WorkspaceOptions,
    console: Console,
) -> None:
    """Score inputs with an endpoint, and print the answer."""

    given = input_options.given()
    endpoints = _endpoints(workspace_options, console)
    found = endpoints.existing(endpoint)
    if deployment:
        _check_deployments([deployment], [each.name for each in endpoints.deployments(endpoint)], endpoint)
    bearer = endpoints.bearer(found)
    refuse_unknown_inputs_of(found, bearer, given, deployment=deployment)
    scored = ask(found, bearer, given, deployment=deployment, seconds=timeout)
    console.reporter().info(f"scored in {scored.seconds:.2f} s")
    document = {"score_seconds": round(scored.seconds, 3), "inputs": given, "answer": scored.answer}
    console.answer(document, json_text(scored.answer))


@command.command()
@_name
@click.option("--regenerate", type=click.Choice(["primary", "secondary"]), help="Regenerate this key first.")
@workspace_options
@console_options
def keys(endpoint: str, *, regenerate: str | None, workspace_options: WorkspaceOptions, console: Console) -> None:
    """Print what a request to an endpoint shows as its bearer: the primary key, or a token. With --json both keys."""
    endpoints = _endpoints(workspace_options, console)
    found = endpoints.existing(endpoint)
    if found.auth_mode != "key":
        if regenerate:
            raise UsageError(f"endpoint {endpoint} has no keys: its auth_mode is {found.auth_mode}")
        token = endpoints.bearer(found)
        console.answer({"auth_mode": found.auth_mode, "token": token}, token)
        return
    if regenerate:
        _retry_while_busy(lambda: endpoints.regenerate_key(endpoint, regenerate), console)
    both = endpoints.keys(endpoint)
    console.answer({"auth_mode": found.auth_mode, **both}, both[regenerate or "primary"])


@command.command()
@_name
@click.argument("deployment", required=False)
@click.option("--yes", "-y", is_flag=True, help="Do not ask first.")
@workspace_options
@console_options
def delete(
    endpoint: str, deployment: str | None, *, yes: bool, workspace_options: WorkspaceOptions, console: Console
) -> None:
    """Delete a deployment, or an endpoint with all of its own. A deployment with traffic is not deleted."""
    endpoints = _endpoints(workspace_options, console)
    found = endpoints.existing(endpoint)
    there = [each.name for each in endpoints.deployments(endpoint)]
    if deployment:
        _check_deployments([deployment], there, endpoint)
        if found.traffic.get(deployment):
            raise UsageError(
                f"deployment {deployment} has {found.traffic[deployment]} % of the traffic",
                hint=f"give it to another first: flowpack endpoint traffic {endpoint} OTHER=100",
            )
    what = f"deployment {deployment} of endpoint {endpoint}" if deployment else f"endpoint {endpoint}"
    if not yes:
        more = f" with {', '.join(there)}" if there and not deployment else ""
        click.confirm(log_text(f"delete {what}{more}?"), abort=True, err=True)
    if deployment:
        _retry_while_busy(lambda: endpoints.delete_deployment(endpoint, deployment), console)
    else:
        _retry_while_busy(lambda: endpoints.delete_endpoint(endpoint), console)
    console.answer({"endpoint": endpoint, "deployment": deployment, "state": "deleted"}, f"deleted {what}")


def _endpoints(options: WorkspaceOptions, console: Console) -> WorkspaceEndpoints:
    return WorkspaceEndpoints(options.workspace(), console.reporter())


def _retry_while_busy(change: Callable[[], None], console: Console) -> None:
    retry_while_busy(change, console.reporter())


def _chosen(endpoints: WorkspaceEndpoints, found: Endpoint, wanted: str | None) -> str:
    there = [each.name for each in endpoints.deployments(found.name)]
    if wanted:
        _check_deployments([wanted], there, found.name)
        return wanted
    if not there:
        raise UsageError(f"endpoint {found.name} has no deployments")
    return max(there, key=lambda each: found.traffic.get(each, 0))


def _check_deployments(wanted: dict[str, int] | list[str], there: list[str], endpoint: str) -> None:
    for name in wanted:
        if name not in there:
            near = nearest(name, there)
            known = f"it has {', '.join(there)}" if there else "it has none"
            raise UsageError(
                f"endpoint {endpoint} has no deployment '{name}'", hint=f"did you mean '{near}'?" if near else known
            )


def _shares(pairs: tuple[str, ...]) -> dict[str, int]:
    shares = {}
    for pair in pairs:
        name, _, percent = pair.partition("=")
        if not name or not percent.rstrip("%").isdecimal():
            raise UsageError(f"'{pair}' is no DEPLOYMENT=PERCENT", hint="blue=90 green=10")
        shares[name] = int(percent.rstrip("%"))
    if shares and sum(shares.values()) not in (0, 100):
        raise UsageError(f"the shares sum to {sum(shares.values())} %, and not to 100 %")
    return {name: share for name, share in shares.items() if share} if any(shares.values()) else shares


def _shown(shares: Any) -> str:
    return " ".join(f"{name}={share}" for name, share in shares.items() if share)


def _document(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "name": endpoint.name,
        "id": endpoint.id,
        "state": endpoint.state,
        "auth_mode": endpoint.auth_mode,
        "scoring_uri": endpoint.scoring_uri,
        "traffic": dict(endpoint.traffic),
        "mirror_traffic": dict(endpoint.mirror_traffic),
        "identity": endpoint.identity,
        "principal": endpoint.principal,
        "tags": dict(endpoint.tags),
    }


def _deployment_document(deployment: Deployment) -> dict[str, Any]:
    return {
        "name": deployment.name,
        "state": deployment.state,
        "model": deployment.model,
        "environment": deployment.environment,
        "instance_type": deployment.instance_type,
        "instance_count": deployment.instance_count,
        "tags": dict(deployment.tags),
    }
