"""``flowpack register``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flowpack.azureml.models.plan import DEFAULT_MAXIMUM_MEGABYTES, ModelRequest
from flowpack.cli.options import answer_options, assignments, build_request, flow_options, source_argument
from flowpack.cli.output import answer
from flowpack.cli.registry_options import registry_of, registry_options
from flowpack.cli.reporters import reporter_for
from flowpack.errors import UsageError
from flowpack.images.build_record import is_build
from flowpack.images.reference import ImageReference
from flowpack.pipeline.register import plan_registration, register


@click.command("register")
@source_argument
@click.option("--name", help="The model's name. Default: the flow's name.")
@click.option("--version", metavar="NUMBER", help="The version. Default: the next one.")
@click.option("--description", help="The version's description.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag of the version. Repeatable.")
@click.option("--property", "properties", multiple=True, metavar="NAME=VALUE", help="A property. Repeatable.")
@click.option("--source-flow-id", metavar="ID", help="azureml.promptflow.source_flow_id. Default: the flow's name.")
@click.option(
    "--mode", type=click.Choice(["chat", "none"]), help="Whether the model is a chat flow. Default: what the flow says."
)
@click.option("--chat-input", metavar="NAME", help="The input of the chat, if the flow does not mark it.")
@click.option("--chat-output", metavar="NAME", help="The output of the chat, if the flow does not mark it.")
@click.option(
    "--image", metavar="REF@DIGEST", help="The image that serves the flow. Default: the one that the build pushed."
)
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The folder for model.yaml and its flow folder.")
@click.option(
    "--max-size",
    "maximum_megabytes",
    type=click.IntRange(min=1),
    default=DEFAULT_MAXIMUM_MEGABYTES,
    show_default=True,
    metavar="MB",
    help="Refuse a flow folder larger than this.",
)
@click.option("--locked", is_flag=True, help="Refuse a flow whose lockfile is missing or stale.")
@click.option("--dry-run", is_flag=True, help="Print model.yaml; do not contact a registry, write nothing.")
@registry_options
@flow_options
@answer_options
def command(source: Path, *, locked: bool, dry_run: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Register the flow at SOURCE as a version of a model, with the properties that the studio goes by.

    SOURCE is a flow folder, a flow file, or what `flowpack build` wrote. The same content is registered once: again it
    gives the version that is there and uploads nothing. Prints NAME:VERSION on stdout.
    """
    reporter = reporter_for(quiet)
    registry = registry_of(options, reporter)
    model = _model_request(options)
    request = build_request(source, locked=locked, **options)
    if request.variant and is_build(source):
        raise UsageError("--variant is for a flow: what `flowpack build` wrote has its variants chosen")
    if dry_run:
        planned = plan_registration(request, model, reporter)
        reporter.info(f"would be registered in {registry}")
        answer(planned.document.to_dict(), planned.document.text().rstrip(), as_json)
        return
    registered = register(request, model, registry, reporter)
    version = registered.version
    reporter.info(f"{registered.state}: {version.name}:{version.version} in {registry}")
    reporter.info(f"model.yaml: {registered.document}")
    document = {
        "name": version.name,
        "version": version.version,
        "state": registered.state,
        "registry": str(registry),
        "id": version.id,
        "path": version.path,
        "description": version.description,
        "properties": dict(version.properties),
        "tags": dict(version.tags),
        "model_file": str(registered.document),
    }
    answer(document, f"{version.name}:{version.version}", as_json)


def _model_request(options: dict[str, Any]) -> ModelRequest:
    """Takes its own options out of ``options``."""
    tags, properties = options.pop("tags"), options.pop("properties")
    names = ("name", "version", "description", "mode", "chat_input", "chat_output", "source_flow_id", "output")
    return ModelRequest(
        tags=assignments(tags, "--tag"),
        properties=assignments(properties, "--property"),
        image=image_with_digest(options.pop("image")),
        maximum_megabytes=options.pop("maximum_megabytes"),
        **{name: options.pop(name) for name in names},
    )


def image_with_digest(text: str | None) -> str | None:
    """Without the tag, which may come to mean another image."""
    if text is None:
        return None

    reference = ImageReference.parse(text)
    if reference.digest is None:
        raise UsageError(f"'{text}' does not name the image by its digest", hint="--image REGISTRY/REPOSITORY@sha256:…")
    return reference.with_digest(reference.digest)
