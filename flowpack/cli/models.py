"""``flowpack models``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from flowpack.azureml.models.document import CHAT_INPUT, CHAT_OUTPUT, FLOW_DIGEST, IMAGE, LOCK_DIGEST, SOURCE_FLOW_ID
from flowpack.azureml.models.listing import flow_versions
from flowpack.cli.options import Console, console_options
from flowpack.cli.output import table
from flowpack.cli.registry_options import WorkspaceOptions, find_registry, registry_option, workspace_options

if TYPE_CHECKING:
    from flowpack.azureml.models.registry import ModelVersion

_TITLES = ("MODEL", "SOURCE FLOW", "CHAT", "FLOW DIGEST", "LOCK DIGEST", "IMAGE")


@click.command("models")
@click.argument("name", required=False)
@registry_option
@workspace_options
@console_options
def command(name: str | None, *, registry: str | None, workspace_options: WorkspaceOptions, console: Console) -> None:
    """List the versions of the model NAME, or of every model that holds a prompt flow, the newest first."""
    models = find_registry(registry, workspace_options, console.reporter())
    found = flow_versions(models, name)
    document = {"registry": str(models), "models": [_document(each) for each in found]}
    console.answer(document, table(_TITLES, [_row(each) for each in found]) if found else "no models")


def _document(version: ModelVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "id": version.id,
        "path": version.path,
        "description": version.description,
        "properties": dict(version.properties),
        "tags": dict(version.tags),
        "archived": version.archived,
    }


def _row(version: ModelVersion) -> tuple[str, ...]:
    stated, tags = version.properties, version.tags
    chat = f"{stated[CHAT_INPUT]} → {stated.get(CHAT_OUTPUT, '')}" if CHAT_INPUT in stated else ""
    return (
        f"{version.name}:{version.version}" + " (archived)" * version.archived,
        stated.get(SOURCE_FLOW_ID, ""),
        chat,
        _short(tags.get(FLOW_DIGEST, "")),
        _short(tags.get(LOCK_DIGEST, "")),
        tags.get(IMAGE, ""),
    )


def _short(digest: str) -> str:
    algorithm, _, digits = digest.partition(":")
    return f"{algorithm}:{digits[:12]}" if digits else ""
