"""The registry that a command reads or writes: a workspace, or a folder of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowpack.azureml.models.local_registry import LocalRegistry
from flowpack.azureml.models.workspace_registry import WorkspaceRegistry
from flowpack.azureml.workspace import find_workspace
from flowpack.cli.options import together
from flowpack.errors import UsageError
from flowpack.reporting import Reporter

if TYPE_CHECKING:
    from flowpack.azureml.models.registry import ModelRegistry
    from flowpack.azureml.workspace import Workspace

workspace_options = together(
    click.option("--subscription", metavar="ID", help="The workspace's subscription."),
    click.option("--resource-group", metavar="NAME", help="The workspace's resource group."),
    click.option("--workspace-name", metavar="NAME", help="The workspace."),
)

registry_options = together(
    click.option(
        "--registry",
        metavar="azure|local[:PATH]",
        envvar="FLOWPACK_REGISTRY",
        help="The workspace, or a folder on this machine. Default: the workspace if one is configured.",
    ),
    workspace_options,
)


def registry_of(options: dict[str, Any], reporter: Reporter) -> ModelRegistry:
    """Takes its own options out of ``options``. Without a workspace the local registry is taken, and said so."""
    registry = options.pop("registry")
    named = _named(options)
    kind, _, place = (registry or "").partition(":")
    if kind not in {"", "azure", "local"} or (place and kind != "local"):
        raise UsageError(
            f"'{registry}' is not a valid registry", hint="--registry azure, --registry local or local:PATH"
        )
    if kind == "local":
        if any(named.values()):
            raise UsageError("a local registry has no workspace", hint="leave out one of the two")
        return _local(Path(place).expanduser() if place else default_folder())
    workspace = _workspace(named)
    if workspace:
        return _in_azure(workspace)
    if kind == "azure":
        raise _no_workspace()
    local = _local(default_folder())
    reporter.warning(f"no workspace is configured: this is {local}")
    return local


def workspace_of(options: dict[str, Any]) -> Workspace:
    """Takes its own options out of ``options``."""
    workspace = _workspace(_named(options))
    if workspace is None:
        raise _no_workspace()
    return workspace


def _named(options: dict[str, Any]) -> dict[str, str | None]:
    return {
        "subscription": options.pop("subscription"),
        "resource group": options.pop("resource_group"),
        "workspace name": options.pop("workspace_name"),
    }


def _no_workspace() -> UsageError:
    return UsageError(
        "no workspace is configured",
        hint="give --subscription, --resource-group and --workspace-name, or set defaults with `az configure`",
    )


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Among the user's data, one for all projects: a registry is no part of a checkout, and no cache."""
    shared = environ.get("XDG_DATA_HOME", "")
    return (Path(shared) if Path(shared).is_absolute() else Path.home() / ".local" / "share") / "flowpack" / "registry"


def _workspace(named: Mapping[str, str | None]) -> Workspace | None:
    return find_workspace(named)


def _in_azure(workspace: Workspace) -> ModelRegistry:
    return WorkspaceRegistry(workspace)


def _local(root: Path) -> ModelRegistry:
    return LocalRegistry(root)
