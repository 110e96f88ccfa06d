"""Which workspace is meant, found where azure-ai-ml and the az command line look for it. Asks no service.

The first whole workspace counts: that of the environment, the defaults of ``az configure``, then a ``config.json`` as
``MLClient.from_config`` finds it. An option goes before each of them. Subscription, group and name of two sources are
not mixed, but for what az itself completes: the subscription of ``az login`` and the default group.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from configparser import ConfigParser, Error
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from flowpack.errors import InputError, Location, UsageError, shown_path
from flowpack.reading import DOCUMENT_BYTES, Roots, project_root, read_text

SUBSCRIPTION, GROUP, NAME = "subscription", "resource group", "workspace name"
_OPTIONS = {SUBSCRIPTION: "--subscription", GROUP: "--resource-group", NAME: "--workspace-name"}

VARIABLES = {
    SUBSCRIPTION: ("AZUREML_ARM_SUBSCRIPTION", "AZURE_SUBSCRIPTION_ID"),
    GROUP: ("AZUREML_ARM_RESOURCEGROUP", "AZURE_RESOURCE_GROUP"),
    NAME: ("AZUREML_ARM_WORKSPACE_NAME", "AZUREML_WORKSPACE_NAME"),
}
"""Those of Azure ML's own jobs and compute, then those of Microsoft's samples."""

_AZ_VARIABLES = {GROUP: "AZURE_DEFAULTS_GROUP", NAME: "AZURE_DEFAULTS_WORKSPACE"}
_AZ_OPTIONS = {GROUP: "group", NAME: "workspace"}

_CONFIG_FOLDERS = (".azureml", "aml_config", "")
_CONFIG_FILES = ("config.json", "project.json")
_LEVELS = 20
_NAME_IN_SCOPE = 8
_PROFILE = "azureProfile.json"

_Found = dict[str, tuple[str, str]]
"""Each name with where it was found."""


@dataclass(frozen=True, slots=True)
class Workspace:
    subscription: str
    resource_group: str
    name: str
    origin: str
    """Where it was found, for a person."""

    def __str__(self) -> str:
        return f"workspace '{self.name}' (resource group '{self.resource_group}', {self.origin})"

    @property
    def path(self) -> str:
        """As Azure Resource Manager names it."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"
        )


def find_workspace(
    options: Mapping[str, str | None],
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> Workspace | None:
    """None where nothing names a workspace; a UsageError where something does, and not the whole of it."""
    start = folder or Path.cwd()
    given: _Found = {key: (value, "options") for key, value in options.items() if value}
    environment = _from_environment(environ)
    stated = {**environment, **given}
    if len(stated) == len(_OPTIONS):
        return _workspace(stated)
    az = _from_az(environ, start)
    if NAME in stated:
        found = {**az, **stated}
        if len(found) == len(_OPTIONS):
            return _workspace(found)
        if NAME in environment:
            raise _incomplete(found)
    for source in (az, *_from_config_json(start)):
        found = {**source, **given}
        if len(found) == len(_OPTIONS):
            return _workspace(found)
    if given:
        raise _incomplete(given)
    return None


def _workspace(found: _Found) -> Workspace:
    origins = dict.fromkeys(origin for _, origin in (found[NAME], found[GROUP], found[SUBSCRIPTION]))
    return Workspace(found[SUBSCRIPTION][0], found[GROUP][0], found[NAME][0], "from " + ", ".join(origins))


def _incomplete(found: _Found) -> UsageError:
    missing = [key for key in _OPTIONS if key not in found]
    return UsageError(
        f"which workspace is meant is not clear: no {' and no '.join(missing)} is given",
        hint="give " + " and ".join(_OPTIONS[key] for key in missing) + ", or set defaults with `az configure`",
    )


def _from_environment(environ: Mapping[str, str]) -> _Found:
    set_ = {key: next((name for name in names if environ.get(name)), None) for key, names in VARIABLES.items()}
    return {key: (environ[name], "the environment") for key, name in set_.items() if name}


def _from_az(environ: Mapping[str, str], start: Path) -> _Found:
    """A variable of az goes before its files, and of these the nearest before the user's own: az's order."""
    home = Path(environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure")
    found: _Found = {key: (environ[name], name) for key, name in _AZ_VARIABLES.items() if environ.get(name)}
    if (home / _PROFILE).is_file():
        subscription = _default_subscription(home / _PROFILE)
        if subscription:
            found[SUBSCRIPTION] = (subscription, "az login")
    for path in (*(each / home.name / "config" for each in (start, *start.parents)), home / "config"):
        if path.is_file():
            defaults = _defaults(path, None if path.parent == home else [project_root(path.parent)])
            for key, option in _AZ_OPTIONS.items():
                if defaults.get(option):
                    found.setdefault(key, (defaults[option], shown_path(path)))
    return found


def _defaults(path: Path, within: Roots | None) -> Mapping[str, str]:
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(read_text(path, limit=DOCUMENT_BYTES, within=within))
    except Error as error:
        raise InputError("az's configuration cannot be read", location=Location(path)) from error
    return parser["defaults"] if parser.has_section("defaults") else {}


def _default_subscription(path: Path) -> str | None:
    profile = _json(path, within=None)
    try:
        return next((str(each["id"]) for each in profile["subscriptions"] if each.get("isDefault")), None)
    except (KeyError, TypeError, AttributeError):
        return None


def _from_config_json(start: Path) -> Iterator[_Found]:
    """Any tool may have a ``config.json``: one that names no workspace is another's."""
    for folder, name in product(_CONFIG_FOLDERS, _CONFIG_FILES):
        for above in (start, *start.parents)[: _LEVELS + 1]:
            path = above / folder / name
            if path.is_file():
                with contextlib.suppress(InputError):
                    yield {
                        key: (value, shown_path(path))
                        for key, value in _of_config_json(_json(path, [project_root(path.parent)])).items()
                    }


def _of_config_json(document: Any) -> dict[str, str]:
    if not isinstance(document, dict):
        return {}
    scope = str(document.get("Scope") or "").split("/")
    if len(scope) > _NAME_IN_SCOPE:
        values = [scope[2], scope[4], scope[_NAME_IN_SCOPE]]
    else:
        values = [str(document.get(key) or "") for key in ("subscription_id", "resource_group", "workspace_name")]
    return {key: value for key, value in zip(_OPTIONS, values, strict=True) if value}


def _json(path: Path, within: Roots | None) -> Any:
    try:
        return json.loads(read_text(path, limit=DOCUMENT_BYTES, within=within))
    except (ValueError, RecursionError) as error:
        raise InputError("cannot be read as JSON", location=Location(path), detail=str(error)) from error
