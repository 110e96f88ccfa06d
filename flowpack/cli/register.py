"""``flowpack register``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import click

from flowpack.azureml.models.plan import DEFAULT_MAXIMUM_MEGABYTES, Mode, ModelRequest
from flowpack.cli.options import (
    BaseOptions,
    Console,
    FlowOptions,
    assignments,
    build_request,
    console_options,
    flow_options,
    image_with_digest,
    option_group,
    source_argument,
)
from flowpack.cli.registry_options import WorkspaceOptions, find_registry, registry_option, workspace_options
from flowpack.errors import UsageError
from flowpack.images.build_record import is_build
from flowpack.pipeline.register import plan_registration, register


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelOptions:
    """What a model version is to say, where it differs from what the flow says."""

    name: str | None
    version: str | None
    description: str | None
    tags: tuple[str, ...]
    properties: tuple[str, ...]
    source_flow_id: str | None
    mode: Mode | None
    chat_input: str | None
    chat_output: str | None
    image: str | None
    output: Path | None
    maximum_megabytes: int

    def request(self) -> ModelRequest:
        return ModelRequest(
            name=self.name,
            version=self.version,
            description=self.description,
            tags=assignments(self.tags, "--tag"),
            properties=assignments(self.properties, "--property"),
            source_flow_id=self.source_flow_id,
            mode=self.mode,
            chat_input=self.chat_input,
            chat_output=self.chat_output,
            image=image_with_digest(self.image),
            output=self.output,
            maximum_megabytes=self.maximum_megabytes,
        )


model_options = option_group(
    "model_options",
    ModelOptions,
    click.option("--name", help="The model's name. Default: the flow's name."),
    click.option("--version", metavar="NUMBER", help="The version. Default: the next one."),
    click.option("--description", help="The version's description."),
    click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag of the version. Repeatable."),
    click.option("--property", "properties", multiple=True, metavar="NAME=VALUE", help="A property. Repeatable."),
    click.option("--source-flow-id", metavar="ID", help="azureml.promptflow.source_flow_id. Default: the flow's name."),
    click.option(
        "--mode",
        type=click.Choice(get_args(Mode)),
        help="Whether the model is a chat flow. Default: what the flow says.",
    ),
    click.option("--chat-input", metavar="NAME", help="The input of the chat, if the flow does not mark it."),
    click.option("--chat-output", metavar="NAME", help="The output of the chat, if the flow does not mark it."),
    click.option(
        "--image", metavar="REF@DIGEST", help="The image that serves the flow. Default: the one that the build pushed."
    ),
    click.option(
        "--output", "-o", type=click.Path(path_type=Path), help="The folder for model.yaml and its flow folder."
    ),
    click.option(
        "--max-size",
        "maximum_megabytes",
        type=click.IntRange(min=1),
        default=DEFAULT_MAXIMUM_MEGABYTES,
        show_default=True,
        metavar="MB",
        help="Refuse a flow folder larger than this.",
    ),
)


@click.command("register")
@source_argument
@model_options
@click.option("--locked", is_flag=True, help="Refuse a flow whose lockfile is missing or stale.")
@click.option("--dry-run", is_flag=True, help="Print model.yaml; do not contact a registry, write nothing.")
@registry_option
@workspace_options
@flow_options
@console_options
def command(
    source: Path,
    *,
    model_options: ModelOptions,
    locked: bool,
    dry_run: bool,
    registry: str | None,
    workspace_options: WorkspaceOptions,
    flow_options: FlowOptions,
    console: Console,
) -> None:
    """Register the flow at SOURCE as a version of a model, with the properties that the studio reads.

    SOURCE is a flow folder, a flow file, or what `flowpack build` wrote. The same content is registered once: again it
    gives the version that is there and uploads nothing. Prints NAME:VERSION on stdout.
    """
    reporter = console.reporter()
    models = find_registry(registry, workspace_options, reporter)
    model = model_options.request()
    request = build_request(source, flow_options, base=BaseOptions(locked=locked))
    if request.variant and is_build(source):
        raise UsageError("--variant is for a flow: what `flowpack build` wrote has its variants chosen")
    if dry_run:
        planned = plan_registration(request, model, reporter)
        reporter.info(f"would be registered in {models}")
        console.answer(planned.document.to_dict(), planned.document.text().rstrip())
        return
    registered = register(request, model, models, reporter)
    version = registered.version
    reporter.info(f"{registered.state}: {version.name}:{version.version} in {models}")
    reporter.info(f"model.yaml: {registered.document}")
    document = {
        "name": version.name,
        "version": version.version,
        "state": registered.state,
        "registry": str(models),
        "id": version.id,
        "path": version.path,
        "description": version.description,
        "properties": dict(version.properties),
        "tags": dict(version.tags),
        "model_file": str(registered.document),
    }
    console.answer(document, f"{version.name}:{version.version}")
