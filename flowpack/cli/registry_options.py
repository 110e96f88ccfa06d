"""The registry that a command reads or writes: a workspace, or a folder of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowpack.azureml.models.local_registry import LocalRegistry
from flowpack.azureml.models.workspace_registry import WorkspaceRegistry
from flowpack.azureml.workspace import find_workspace
from flowpack.cli.options import option_group
from flowpack.errors import UsageError
from flowpack.reporting import Reporter

if TYPE_CHECKING:
    from flowpack.azureml.models.registry import ModelRegistry
    from flowpack.azureml.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceOptions:
    """What names a workspace; what is None is looked for where azure-ai-ml and az look."""

    subscription: str | None
    resource_group: str | None
    workspace_name: str | None

    def find(self) -> Workspace | None:
        return find_workspace(self._named())

    def workspace(self) -> Workspace:
        found = self.find()
        if found is None:
            raise UsageError(
                "no workspace is configured",
                hint="give --subscription, --resource-group and --workspace-name, or set defaults with `az configure`",
            )
        return found

    def is_given(self) -> bool:
        return any(self._named().values())

    def _named(self) -> dict[str, str | None]:
        return {
            "subscription": self.subscription,
            "resource group": self.resource_group,
            "workspace name": self.workspace_name,
        }


workspace_options = option_group(
    "workspace_options",
    WorkspaceOptions,
    click.option("--subscription", metavar="ID", help="The workspace's subscription."),
    click.option("--resource-group", metavar="NAME", help="The workspace's resource group."),
    click.option("--workspace-name", metavar="NAME", help="The workspace."),
)

registry_option = click.option(
    "--registry",
    metavar="azure|local[:PATH]",
    envvar="FLOWPACK_REGISTRY",
    help="The workspace, or a folder on this machine. Default: the workspace if one is configured.",
)


def find_registry(registry: str | None, options: WorkspaceOptions, reporter: Reporter) -> ModelRegistry:
    """Without a configured workspace the local registry is taken, with a warning."""
    kind, _, place = (registry or "").partition(":")
    if kind not in {"", "azure", "local"} or (place and kind != "local"):
        raise UsageError(
            f"'{registry}' is not a valid registry", hint="--registry azure, --registry local or local:PATH"
        )
    if kind == "local":
        if options.is_given():
            raise UsageError("a local registry has no workspace", hint="leave out one of the two")
        return LocalRegistry(Path(place).expanduser() if place else default_folder())
    workspace = options.workspace() if kind == "azure" else options.find()
    if workspace:
        return WorkspaceRegistry(workspace)
    local = LocalRegistry(default_folder())
    reporter.warning(f"no workspace is configured: this is {local}")
    return local


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """In the user's data folder, one for all projects: a registry is neither part of a checkout nor a cache."""
    shared = environ.get("XDG_DATA_HOME", "")
    return (Path(shared) if Path(shared).is_absolute() else Path.home() / ".local" / "share") / "flowpack" / "registry"
