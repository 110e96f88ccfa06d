"""``flowpack build``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowpack.cli.options import (
    answer_options,
    base_options,
    build_request,
    engine_options,
    flow_options,
    image_request,
    source_argument,
)
from flowpack.cli.output import answer, narrator
from flowpack.cli.tree import tree
from flowpack.errors import UsageError
from flowpack.pipeline import BuildRequest, Built, build

if TYPE_CHECKING:
    from flowpack.images.reference import ImageReference


@click.command("build")
@source_argument
@click.option(
    "--format", "format_", type=click.Choice(["docker"]), default="docker", show_default=True, help="What to write."
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The folder for the build context.")
@click.option("--tag", "-t", metavar="REF", help="Build the image under this name.")
@click.option("--push", is_flag=True, help="Push the image and print registry/repository@sha256:… on stdout.")
@click.option("--dry-run", is_flag=True, help="Show the plan and the Dockerfile; write nothing.")
@click.option("--no-buildkit", is_flag=True, help="A Dockerfile for engines without BuildKit.")
@flow_options
@base_options
@engine_options
@answer_options
def command(
    source: Path,
    *,
    format_: str,  # noqa: ARG001  (the one format there is)
    output: Path | None,
    tag: str | None,
    push: bool,
    dry_run: bool,
    no_buildkit: bool,
    locked: bool,
    base_image: str | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Write the build context of the flow at SOURCE: a standalone flow folder, connections, a lock, a Dockerfile.

    SOURCE is a flow folder or a flow file. With --tag the image is built too, with --push it is pushed.
    """
    engine = {name: options.pop(name) for name in ("network", "pip_config", "ca_bundle", "pull", "no_cache")}
    request = build_request(
        source, output=output, locked=locked, base_image=base_image, buildkit=not no_buildkit, **options
    )
    if push and not tag:
        raise UsageError("--push needs --tag", hint="--tag REGISTRY/REPOSITORY:TAG")
    if not (output or tag or dry_run):
        raise UsageError("nothing to do without --output, --tag or --dry-run")
    image = image_request(tag, push=push, **engine) if tag else None
    if dry_run:
        _show_plan(request, as_json)
        return
    built = build(request, image, engine=_engine, narrate=narrator(quiet))
    if built.output:
        narrator(quiet)(tree(built.output))
    narrator(quiet)(_summary(built))
    answer(_document(built), _text(built), as_json)


def _engine() -> Any:
    from flowpack.images.engine import find_engine  # noqa: PLC0415

    return find_engine()


def _show_plan(request: BuildRequest, as_json: bool) -> None:
    from flowpack.cli.plan_view import plan_document, plan_text  # noqa: PLC0415
    from flowpack.pipeline import plan_build  # noqa: PLC0415

    planned = plan_build(request)
    answer(plan_document(planned), plan_text(planned), as_json)


def _summary(built: Built) -> str:
    flow = built.assembled.flow
    left_out = sum(built.assembled.folder.left_out.values())
    parts = [
        f"{flow.name}: {len(built.assembled.folder.files)} files" + (f" ({left_out} left out)" if left_out else ""),
        f"{len(built.lock.pins)} packages ({built.lock.origin})",
    ]
    variables = built.plan.variables
    if variables:
        parts.append(f"to be set when it runs: {', '.join(variables)}")
    return "; ".join(parts)


def _text(built: Built) -> str:
    if built.pushed:
        return _pushed(built.pushed)
    return built.image.id if built.image else str(built.output)


def _document(built: Built) -> dict[str, Any]:
    flow = built.assembled.flow
    return {
        "flow": flow.name,
        "flow_digest": built.assembled.folder.digest,
        "lock_digest": built.lock.digest,
        "lock_origin": built.lock.origin,
        "context_digest": built.context.digest,
        "output": str(built.output) if built.output else None,
        "files": len(built.assembled.folder.files),
        "left_out": dict(built.assembled.folder.left_out),
        "packages": len(built.lock.pins),
        "variables": list(built.plan.variables),
        "image": {"id": built.image.id, "tag": str(built.image.reference), "size": built.image.size}
        if built.image
        else None,
        "pushed": _pushed(built.pushed) if built.pushed else None,
    }


def _pushed(reference: ImageReference) -> str:
    """``registry/repository@sha256:…``: what names the image whatever its tag says later."""
    assert reference.digest is not None  # noqa: S101  (a push gives it)
    return reference.with_digest(reference.digest)
