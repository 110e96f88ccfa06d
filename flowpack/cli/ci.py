"""``flowpack ci``."""

from __future__ import annotations

import sys
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowpack.ci.results import outputs, summary
from flowpack.ci.run_flows import CiDeployment, CiRequest, run_flows
from flowpack.cli.deploy import DocumentOptions, document_options
from flowpack.cli.options import (
    BaseOptions,
    Console,
    EngineOptions,
    FlowOptions,
    PackageOptions,
    base_options,
    build_request,
    console_options,
    engine_options,
    flow_options,
    given_option,
    package_options,
)
from flowpack.cli.registry_options import WorkspaceOptions, find_registry, registry_option, workspace_options
from flowpack.cli.serving_options import VariableOptions, variable_options
from flowpack.errors import UsageError
from flowpack.images.engine import find_engine
from flowpack.quoting import output_lines
from flowpack.writing import append_to_file

if TYPE_CHECKING:
    from flowpack.ci.run_flows import CiDeployment
    from flowpack.images.engine.model import Engine

_FILE = click.Path(dir_okay=False, path_type=Path)


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
@document_options
@click.option("--no-test", is_flag=True, help="Do not start the images.")
@variable_options
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
@registry_option
@workspace_options
@flow_options
@package_options
@base_options
@engine_options
@console_options
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
    registry: str | None,
    document_options: DocumentOptions,
    variable_options: VariableOptions,
    workspace_options: WorkspaceOptions,
    flow_options: FlowOptions,
    package_options: PackageOptions,
    base_options: BaseOptions,
    engine_options: EngineOptions,
    console: Console,
) -> None:
    """What a CI job does with the flows below each SOURCE: build the image, test it, push it, register it, deploy it.

    A flow under test gets the variables of --env and --env-file and none of this machine's. One that needs a variable
    which is not given, or has no sample, is not tested, and the summary says so. Where one flow fails the others go on;
    the exit code is the worst of theirs. Prints a line a flow on stdout.
    """

    _check_pattern("--image", image_pattern, "--image REGISTRY/TEAM/{flow}:{revision}")
    _check_pattern("--endpoint", endpoint_pattern, "--endpoint {flow}-prod")
    reporter = console.reporter()
    if no_test and given_option(("variables", "env_file")):
        raise UsageError("--env and --env-file are for the test", hint="leave out --no-test, or the variables")
    if not deploy:
        _refuse(("endpoint_pattern", *(field.name for field in fields(DocumentOptions))), "--deploy")
    if not (register or deploy):
        _refuse(("registry", *(field.name for field in fields(WorkspaceOptions))), "--register or --deploy")
    deployment = _deployment(endpoint_pattern, document_options, registry, workspace_options) if deploy else None
    request = CiRequest(
        sources=sources,
        build=lambda source: build_request(
            source,
            flow_options,
            package_options,
            base_options,
            pip_config=engine_options.pip_config,
            network=engine_options.network,
        ),
        image=engine_options.image_request,
        pattern=image_pattern,
        changed_since=changed_since,
        test=not no_test,
        environment=variable_options.values(lambda name: reporter.warning(f"--env {name}: this machine has no {name}")),
        push=push or deploy,
        registry=find_registry(registry, workspace_options, reporter) if register and not deploy else None,
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
    console.answer({"flows": [asdict(result) for result in results]}, text)
    sys.exit(max((result.exit_code for result in results), default=0))


def _check_pattern(option: str, pattern: str, example: str) -> None:
    if "{flow}" not in pattern:
        raise UsageError(f"{option} '{pattern}' has no {{flow}}", hint=example)


def _refuse(names: tuple[str, ...], needed: str) -> None:
    option = given_option(names)
    if option:
        raise UsageError(f"{option} has no effect without {needed}", hint=f"give {needed}, or leave it out")


def _deployment(
    pattern: str, documents: DocumentOptions, registry: str | None, workspace: WorkspaceOptions
) -> CiDeployment:
    if (registry or "azure") != "azure":
        raise UsageError("--deploy needs a workspace", hint="--registry azure, or leave --deploy out")
    return CiDeployment(workspace=workspace.workspace(), pattern=pattern, request=documents.request())


@cache
def _engine() -> Engine:
    """One for all flows: what the clients can do is asked once."""

    return find_engine()
