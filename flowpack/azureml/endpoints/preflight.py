"""What would make a deployment fail after a quarter of an hour, asked of the workspace in a second before it."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flowpack.azureml.endpoints.documents import DeploymentDocument
from flowpack.azureml.endpoints.identity import identity_at
from flowpack.azureml.endpoints.plan import PlannedDeployment
from flowpack.azureml.endpoints.roles import missing_roles
from flowpack.azureml.endpoints.states import Deployment
from flowpack.azureml.limits import UPGRADE_RESERVE
from flowpack.azureml.resource_manager import ResourceManager
from flowpack.azureml.skus import quota_exempt
from flowpack.errors import AzureError, nearest
from flowpack.flows.connections import Connection, shell_name
from flowpack.reporting import Reporter

_UNAUTHORIZED, _FORBIDDEN = 401, 403
_FAMILY_USAGE = "Microsoft.MachineLearningServices/vmFamily/usages"
_REFERENCE = re.compile(r"\$\{\{\s*azureml://connections/([^/}\s]+)\s*\}\}")
_PART = re.compile(r"\s*\$\{\{\s*azureml://connections/([^/}\s]+)")
_REGION_USAGE = "Microsoft.MachineLearningServices/dedicatedCores/usages"


def check_ready(
    resources: ResourceManager,
    planned: PlannedDeployment,
    document: DeploymentDocument,
    existing: Deployment | None,
    reporter: Reporter,
) -> None:
    """Raises AzureError with everything that is missing; what may be missing is a warning."""
    workspace = resources.get()
    assert workspace is not None  # noqa: S101  (one that is not there is an error)
    problems: list[str] = []
    identity = planned.endpoint.user_assigned_identity
    if identity:
        with _allowed("the identity's roles", reporter):
            for role in _roles(resources, identity_at(resources, identity), workspace, planned, document):
                reporter.warning(f"the identity lacks the role {role}")
    with _allowed("the connections", reporter):
        problems += _connections(resources, planned, document)
    if not planned.endpoint.is_kubernetes:
        with _allowed("the quota", reporter):
            problems += _quota(resources, workspace["location"], document, existing)
    if problems:
        raise AzureError(
            f"deployment {document.name} of endpoint {document.endpoint_name} would fail",
            detail="\n".join(problems),
            hint="neither the endpoint nor a deployment was changed; fix this, or deploy with --no-preflight",
        )


@contextlib.contextmanager
def _allowed(what: str, reporter: Reporter) -> Iterator[None]:
    """Who may deploy need not be allowed to look at everything: quota is the subscription's.

    A service that does not tell keeps nobody from deploying either.
    """
    try:
        yield
    except AzureError as error:
        if error.status in (None, _UNAUTHORIZED):
            raise
        why = "this account may not read it" if error.status == _FORBIDDEN else error.message
        reporter.warning(f"{what} could not be looked at before the deployment: {why}")


def _roles(
    resources: ResourceManager, identity: Any, workspace: Any, planned: PlannedDeployment, document: DeploymentDocument
) -> list[str]:
    return missing_roles(
        resources,
        identity["properties"]["principalId"],
        workspace,
        image=str(document.fields["environment"]["image"]),
        asks_workspace=bool(planned.connections) and planned.asks_workspace is not False,
    )


def _connections(resources: ResourceManager, planned: PlannedDeployment, document: DeploymentDocument) -> Iterator[str]:
    """Each has to be in the workspace, or to be given whole by the deployment's variables."""
    wanted = [each for each in (_wanted(each, document) for each in planned.connections) if each]
    if planned.asks_workspace is False:
        yield from _not_in_image(planned.connections, wanted, document)
        wanted = [each for each in wanted if each.by_azure]
    overrides = {each.connection.override for each in wanted}
    referred = [
        (variable, found[1])
        for variable, value in document.variables.items()
        if (found := _PART.match(str(value))) and shell_name(variable) not in overrides
    ]
    if not (wanted or referred):
        return
    existing = [each["name"] for each in resources.listed("connections")]
    for variable, name in referred:
        if name not in existing:
            yield f"variable {variable}: the workspace has no connection '{name}'{_meant(name, existing)}"
    for each in wanted:
        if each.name not in existing:
            yield f"{each}: the workspace has no connection '{each.name}'{_meant(each.name, existing)}"


def _meant(name: str, existing: Sequence[str]) -> str:
    near = nearest(name, existing)
    return f": did you mean '{near}'?" if near else ""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A connection of the workspace that one of the flow's stands for, or that an override names in its place.

    ``by_azure``: Azure puts the connection's content into the variable; the image asks for nothing.
    """

    connection: Connection
    name: str
    by_azure: bool = False

    def __str__(self) -> str:
        if self.name == self.connection.name:
            return f"connection '{self.connection.name}'"
        return f"connection '{self.connection.name}', which {self.connection.override} replaces"


def _wanted(connection: Connection, document: DeploymentDocument) -> _Wanted | None:
    """None where the deployment's variables give the whole connection."""
    given = {shell_name(name): value for name, value in document.variables.items()}
    override = str(given.get(connection.override, "")).strip()
    reference = _REFERENCE.fullmatch(override)
    if reference:
        return _Wanted(connection, reference[1], by_azure=True)
    try:
        content = json.loads(override) if override else None
    except ValueError:
        return _Wanted(connection, override)
    if isinstance(content, dict) and {"type", "properties"} & content.keys():
        return None
    if all(name in given for name in connection.variables):
        return None
    return _Wanted(connection, connection.name)


def _not_in_image(
    connections: Sequence[Connection], wanted: Sequence[_Wanted], document: DeploymentDocument
) -> Iterator[str]:
    """For an image that takes connections from variables alone."""
    names = [each.name for each in connections]
    given = {shell_name(name) for name in document.variables}
    for each in wanted:
        if each.by_azure:
            continue
        if each.name != each.connection.name:
            if each.name not in names:
                yield (
                    f"{each}: this image takes connections from variables alone, and knows {', '.join(names)}; "
                    f"give its JSON, or ${{{{azureml://connections/{each.name}}}}}"
                )
            continue
        unset = ", ".join(name for name in each.connection.variables if name not in given)
        yield (
            f"{each}: this image takes connections from variables alone, and {unset} is not "
            "set: -e NAME=VALUE, or build with --azureml"
        )


def _quota(
    resources: ResourceManager, location: str, document: DeploymentDocument, existing: Deployment | None
) -> Iterator[str]:
    """``ceil(1.2 x instances) x cores`` of the instance type's family and of the region have to be free."""
    subscription = resources.workspace.subscription
    at = f"/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/{location}"
    sizes = {each["name"].lower(): each for each in (resources.get_at(f"{at}/vmSizes") or {}).get("value", [])}
    wanted = document.instance_type or ""
    size = sizes.get(wanted.lower())
    if not sizes:
        return
    if size is None:
        near = nearest(wanted, (each["name"] for each in sizes.values()))
        yield f"instance type '{wanted}': {location} has none of that name" + (f": '{near}'?" if near else "")
        return
    needed = _reserved(document.instance_count, wanted) - _held(existing, wanted)
    cores = needed * int(size["vCPUs"])
    if cores <= 0:
        return
    family = _plain(size["family"])
    for usage in resources.listed_at(f"{at}/usages"):
        name = usage["name"]["value"]
        of_family = usage["type"] == _FAMILY_USAGE and _plain(name) == family
        if not of_family and usage["type"] != _REGION_USAGE:
            continue
        free = usage["limit"] - usage["currentValue"]
        if usage["limit"] >= 0 and free < cores:
            yield (
                f"quota: {document.instance_count} × {wanted} takes {cores} cores of '{name}' in {location}"
                f"{'' if quota_exempt(wanted) else ', a fifth kept for upgrades'}, and {max(free, 0)} of "
                f"{usage['limit']} are free: ask for more, or take fewer or smaller instances"
            )


def _reserved(instances: int, sku: str) -> int:
    return instances if quota_exempt(sku) else math.ceil(round(UPGRADE_RESERVE * instances, 6))


def _held(existing: Deployment | None, sku: str) -> int:
    """What the deployment has already, where it is updated in place."""
    if existing is None or (existing.instance_type or "").lower() != sku.lower():
        return 0
    return _reserved(existing.instance_count or 0, sku)


def _plain(family: str) -> str:
    """``standardDSv2Family`` and ``Standard DSv2 Family Cluster Dedicated vCPUs`` are one."""
    return re.sub(r"[^a-z0-9]|cluster dedicated vcpus", "", family.lower())
