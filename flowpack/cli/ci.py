"""``flowpack ci``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowpack.azureml.endpoints.plan import DeployRequest
from flowpack.ci.results import outputs, summary
from flowpack.ci.run_flows import CiDeployment, CiRequest, run_flows
from flowpack.cli.deploy import deployment_options
from flowpack.cli.options import (
    answer_options,
    base_options,
    build_request,
    engine_options,
    flow_options,
    image_request,
    package_options,
)
from flowpack.cli.output import answer
from flowpack.cli.registry_options import registry_of, registry_options, workspace_of
from flowpack.cli.reporters import reporter_for
from flowpack.cli.serving_options import variables_of
from flowpack.errors import UsageError
from flowpack.images.engine import find_engine
from flowpack.quoting import output_lines
from flowpack.writing import append_to_file

if TYPE_CHECKING:
    from flowpack.ci.run_flows import CiDeployment
    from flowpack.images.engine.model import Engine

_OF_A_DEPLOYMENT = ("endpoint_file", "deployment_file", "instance_type", "instance_count")
_FILE = click.Path(dir_okay=False, path_type=Path)
_READ = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("ci")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--changed-since", metavar="REV", help="Take only flows whose files or lock changed since this revision.")
@click.option(
    "--image",
    "image_pattern",
    metavar="PATTERN",
    default="{flow}:{revision}",
    show_default=True,
    envvar="FLOWPACK_IMAGE",
    help="Each image's name: REGISTRY/TEAM/{flow}:{revision}.",
)
@click.option("--push", is_flag=True, help="Push each image.")
@click.option("--register", is_flag=True, help="Register each flow as a version of a model.")
@click.option("--deploy", is_flag=True, help="Push and register each flow, and deploy it to an online endpoint.")
@click.option(
    "--endpoint",
    "endpoint_pattern",
    metavar="PATTERN",
    default="{flow}",
    show_default=True,
    envvar="FLOWPACK_ENDPOINT",
    help="Each endpoint's name: {flow}-prod.",
)
@deployment_options
@click.option("--no-test", is_flag=True, help="Do not start the images.")
@click.option(
    *("--env", "-e", "variables"),
    multiple=True,
    metavar="NAME[=VALUE]",
    help="Pass or set a variable for the flows under test, which get no others. Repeatable.",
)
@click.option("--env-file", type=_READ, help="A file of variables for the flows under test, one NAME=VALUE per line.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Keep the builds in this folder, one per flow.")
@click.option("--summary", "summary_file", type=_FILE, help="Append a summary in Markdown to this file.")
@click.option("--outputs", "outputs_file", type=_FILE, help="Append NAME=VALUE lines for the next job to this file.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds to wait for an image to start, and for its answer.",
)
@registry_options
@flow_options
@package_options
@base_options
@engine_options
@answer_options
def command(
    sources: tuple[str, ...],
    *,
    changed_since: str | None,
    image_pattern: str,
    push: bool,
    register: bool,
    deploy: bool,
    endpoint_pattern: str,
    no_test: bool,
    output: Path | None,
    summary_file: Path | None,
    outputs_file: Path | None,
    timeout: float,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """What a CI job does with the flows below each SOURCE: build the image, test it, push it, register it, deploy it.

    A flow under test gets the variables of --env and --env-file and none of this machine's. One that needs a variable
    which is not given, or has no sample, is not tested, and the summary says so. Where one flow fails the others go on;
    the exit code is the worst of theirs. Prints a line a flow on stdout.
    """

    _check_pattern("--image", image_pattern, "--image REGISTRY/TEAM/{flow}:{revision}")
    _check_pattern("--endpoint", endpoint_pattern, "--endpoint {flow}-prod")
    reporter = reporter_for(quiet)
    engine = {name: options.pop(name) for name in ("network", "pip_config", "ca_bundle", "pull", "no_cache")}
    place = {name: options.pop(name) for name in ("registry", "subscription", "resource_group", "workspace_name")}
    files = {name: options.pop(name) for name in _OF_A_DEPLOYMENT}
    given = {name: options.pop(name) for name in ("variables", "env_file")}
    if no_test and any(given.values()):
        raise UsageError("--env and --env-file are for the test", hint="leave out --no-test, or the variables")
    deployment = _deployment(endpoint_pattern, files, place) if deploy else None
    request = CiRequest(
        sources=sources,
        build=lambda source: build_request(source, pip_config=engine["pip_config"], **options),
        image=lambda tag: image_request(tag, push=False, **engine),
        pattern=image_pattern,
        changed_since=changed_since,
        test=not no_test,
        environment=variables_of(given, lambda name: reporter.warning(f"--env {name}: this machine has no {name}")),
        push=push or deploy,
        registry=registry_of(place, reporter) if register and not deploy else None,
        deployment=deployment,
        output=output,
        timeout=timeout,
    )
    for file in filter(None, (summary_file, outputs_file)):
        append_to_file(file, "")  # known before flows are built, pushed and deployed
    results = run_flows(request, _engine, reporter)
    if summary_file:
        append_to_file(summary_file, summary(results) + "\n")
    if outputs_file:
        append_to_file(outputs_file, output_lines(outputs(results)))
    text = "\n".join(
        "\t".join(part or "-" for part in (r.flow, r.state, r.reference or r.image, r.model, r.scoring_uri))
        for r in results
    )
    answer({"flows": [asdict(result) for result in results]}, text, as_json)
    sys.exit(max((result.exit_code for result in results), default=0))


def _check_pattern(option: str, pattern: str, example: str) -> None:
    if "{flow}" not in pattern:
        raise UsageError(f"{option} '{pattern}' has no {{flow}}", hint=example)


def _deployment(pattern: str, files: dict[str, Any], place: dict[str, Any]) -> CiDeployment:
    if (place.pop("registry") or "azure") != "azure":
        raise UsageError("--deploy needs a workspace", hint="--registry azure, or leave --deploy out")
    return CiDeployment(workspace=workspace_of(place), pattern=pattern, request=DeployRequest(**files))


@cache
def _engine() -> Engine:
    """One for all flows: what the clients can do is asked once."""

    return find_engine()
