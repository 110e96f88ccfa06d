"""``flowpack build``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowpack.assembly.roots import IncludeRoots
from flowpack.cli.build_view import files_and_bytes, left_out_document, left_out_lines, plan_document, plan_text, tree
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
    source_argument,
)
from flowpack.errors import UsageError
from flowpack.flows.reader import read_flow
from flowpack.pipeline.build import build, plan_build
from flowpack.pipeline.builds import BuildRequest, Built
from flowpack.reporting import Reporter

if TYPE_CHECKING:
    from flowpack.assembly.left_out import Count


@click.command("build")
@source_argument
@click.option(
    "--format", "format_", type=click.Choice(["docker"]), default="docker", show_default=True, help="What to write."
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The folder for the build context.")
@click.option("--tag", "-t", metavar="REF", help="Build the image under this name.")
@click.option("--push", is_flag=True, help="Push the image and print registry/repository@sha256:… on stdout.")
@click.option("--dry-run", is_flag=True, help="Show the plan and the Dockerfile; write nothing.")
@click.option("--explain", metavar="PATH", help="Only explain why a path is in the standalone folder, or is left out.")
@click.option("--no-buildkit", is_flag=True, help="Write a Dockerfile for engines without BuildKit.")
@flow_options
@package_options
@base_options
@engine_options
@console_options
def command(
    source: Path,
    *,
    format_: str,  # noqa: ARG001  (the one format there is)
    output: Path | None,
    tag: str | None,
    push: bool,
    dry_run: bool,
    explain: str | None,
    no_buildkit: bool,
    flow_options: FlowOptions,
    package_options: PackageOptions,
    base_options: BaseOptions,
    engine_options: EngineOptions,
    console: Console,
) -> None:
    """Write the build context of the flow at SOURCE: a standalone flow folder, connections, a lock, a Dockerfile.

    SOURCE is a flow folder or a flow file. With --tag the image is built too, with --push it is pushed.
    Nothing of the flow runs on this machine; --dry-run and --explain only look.
    """
    request = build_request(
        source,
        flow_options,
        package_options,
        base_options,
        output=output,
        pip_config=engine_options.pip_config if tag else None,
        network=engine_options.network,
        buildkit=not no_buildkit,
    )
    if push and not tag:
        raise UsageError("--push needs --tag", hint="--tag REGISTRY/REPOSITORY:TAG")
    if explain:
        _explain(request, explain, console)
        return
    if not (output or tag or dry_run):
        raise UsageError("nothing to do without --output, --tag or --dry-run")
    if not tag:
        _refuse_image_options()
    image = engine_options.image_request(tag, push=push) if tag else None
    reporter = console.reporter()
    if dry_run:
        _show_plan(request, reporter, console)
        return
    built = build(request, image, reporter=reporter)
    counts = built.assembled.folder.left_out.counts()
    if built.output:
        reporter.info(tree(built.output))
    for line in left_out_lines(built.assembled.folder.left_out, counts):
        reporter.info(line)
    reporter.info(_summary(built))
    console.answer(_document(built, counts), _text(built))


def _refuse_image_options() -> None:
    option = given_option(("pip_config", "ca_bundle", "pull", "no_cache"))
    if option:
        raise UsageError(f"{option} has no effect without --tag: no image is built", hint="--tag NAME, or leave it out")


def _explain(request: BuildRequest, path: str, console: Console) -> None:
    flow = read_flow(request.source, request.variant, include_roots=request.include_roots)
    from flowpack.assembly.explain import explain  # noqa: PLC0415  (a build starts sooner)

    found = explain(flow, IncludeRoots.of(flow.folder, request.include_roots), path)
    document = {"path": path, "in": found.target is not None, "target": found.target, "why": found.why}
    console.answer({**document, "rule": str(found.rule) if found.rule else None}, str(found))


def _show_plan(request: BuildRequest, reporter: Reporter, console: Console) -> None:
    planned = plan_build(request, reporter)
    console.answer(plan_document(planned), plan_text(planned))


def _summary(built: Built) -> str:
    flow, folder = built.assembled.flow, built.assembled.folder
    parts = [
        f"{flow.name}: {files_and_bytes(len(folder.files), folder.size)}",
        f"{len(built.lock.pins)} packages ({built.lock.origin})",
    ]
    variables = built.plan.variables
    if variables:
        parts.append(f"to be set when it runs: {', '.join(variables)}")
    return "; ".join(parts)


def _text(built: Built) -> str:
    if built.pushed:
        return str(built.pushed)
    return built.image.id if built.image else str(built.output)


def _document(built: Built, counts: Sequence[Count]) -> dict[str, Any]:
    flow = built.assembled.flow
    return {
        "flow": flow.name,
        "flow_digest": built.assembled.folder.digest,
        "lock_digest": built.lock.digest,
        "lock_origin": built.lock.origin,
        "context_digest": built.context.digest,
        "output": str(built.output) if built.output else None,
        "files": len(built.assembled.folder.files),
        "bytes": built.assembled.folder.size,
        "left_out": left_out_document(counts),
        "packages": len(built.lock.pins),
        "variables": list(built.plan.variables),
        "image": {"id": built.image.id, "tag": str(built.image.reference), "size": built.image.size}
        if built.image
        else None,
        "pushed": str(built.pushed) if built.pushed else None,
    }
