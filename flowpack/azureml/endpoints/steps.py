"""Decides what a rollout does: compares a snapshot of an endpoint with what is wanted. Asks and changes nothing.

snapshot = take_snapshot(endpoints, "chat")                  # rollout.py reads the workspace
name = choose_name(snapshot, planned, document)              # blue or green, or what --deployment says
steps = compare(snapshot, Wanted(planned, document.named(name, workspace)))
apply(steps, ...)                                            # rollout.py carries them out
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flowpack.azureml.endpoints.documents import (
    DEPLOYMENT_DIGEST,
    ENDPOINT_DIGEST,
    RETIRING,
    DeploymentDocument,
    EndpointDocument,
)
from flowpack.azureml.endpoints.plan import COLORS, PlannedDeployment
from flowpack.azureml.endpoints.states import FAILED, SUCCEEDED, Deployment, Endpoint
from flowpack.azureml.limits import MOST_DEPLOYMENTS
from flowpack.errors import AzureError, InputError

Outcome = Literal["created", "updated", "unchanged"]

_DIGITS = 16  # of a digest in a mark: one tag's value, of 256 characters, holds the marks of all that retire


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """An endpoint and its deployments at one moment. ``endpoint`` is None if it does not exist yet."""

    endpoint: Endpoint | None
    deployments: tuple[Deployment, ...] = ()

    def deployment(self, name: str) -> Deployment | None:
        return next((each for each in self.deployments if each.name == name), None)

    def is_up_to_date(self, document: DeploymentDocument) -> bool:
        """Whether the deployment of the document's name already runs what the document asks for."""
        existing = self.deployment(document.name)
        return existing is not None and runs_document(existing, document)

    def is_replaceable(self, name: str) -> bool:
        """Whether the name is free, or taken by a deployment of flowpack's own that serves nobody."""
        existing = self.deployment(name)
        return existing is None or (is_flowpacks(existing) and not has_traffic(self.endpoint, name))


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """``document`` is the plan's deployment with its model and its name."""

    planned: PlannedDeployment
    document: DeploymentDocument
    test: bool
    """Whether there is a sample to score."""


@dataclass(frozen=True, slots=True)
class CreateEndpoint:
    document: EndpointDocument

    def __str__(self) -> str:
        return f"create endpoint {self.document.name}"


@dataclass(frozen=True, slots=True)
class UpdateEndpoint:
    document: EndpointDocument

    def __str__(self) -> str:
        return f"update endpoint {self.document.name}"


@dataclass(frozen=True, slots=True)
class RemoveIdleDeployment:
    """Frees the name for the new deployment. An idle one is not updated in place: another rollout may be testing it."""

    deployment: Deployment

    def __str__(self) -> str:
        why = "never started" if self.deployment.state == FAILED else "serves nobody"
        return f"remove deployment {self.deployment.name}, which {why}"


@dataclass(frozen=True, slots=True)
class CreateDeployment:
    document: DeploymentDocument
    keep_failed: bool

    def __str__(self) -> str:
        return f"create deployment {_describe(self.document)}"


@dataclass(frozen=True, slots=True)
class UpdateDeployment:
    document: DeploymentDocument

    def __str__(self) -> str:
        return f"update deployment {_describe(self.document)}"


@dataclass(frozen=True, slots=True)
class ScoreSample:
    document: DeploymentDocument

    def __str__(self) -> str:
        return f"score the sample with deployment {self.document.name}"


@dataclass(frozen=True, slots=True)
class SetTraffic:
    """``before`` is what the shares return to if another rollout changes the deployment as they move."""

    document: DeploymentDocument
    before: Mapping[str, int]
    shares: Mapping[str, int]
    tags: Mapping[str, str] = field(repr=False)

    def __str__(self) -> str:
        return f"set the traffic: {', '.join(f'{name} {share} %' for name, share in self.shares.items()) or 'none'}"


@dataclass(frozen=True, slots=True)
class RemoveRetiredDeployment:
    deployment: Deployment

    def __str__(self) -> str:
        return f"remove deployment {self.deployment.name}, which has been replaced"


Step = (
    CreateEndpoint
    | UpdateEndpoint
    | RemoveIdleDeployment
    | CreateDeployment
    | UpdateDeployment
    | ScoreSample
    | SetTraffic
    | RemoveRetiredDeployment
)


def choose_name(snapshot: Snapshot, planned: PlannedDeployment, document: DeploymentDocument) -> str:
    """The name of the deployment to reuse, update or create. Refuses endpoints that cannot become what is wanted."""
    requested, endpoint = planned.request.deployment, snapshot.endpoint
    if endpoint is None:
        return requested.lower() if requested else COLORS[0]
    _check_endpoint(endpoint, planned)
    if requested:
        name = _existing_spelling(requested, snapshot)
    else:
        up_to_date = [each for each in snapshot.deployments if runs_document(each, document)]
        most_used = max(up_to_date, key=lambda each: endpoint.traffic.get(each.name, 0), default=None)
        name = most_used.name if most_used else _choose_color(snapshot, endpoint)
    count = len(snapshot.deployments)
    if snapshot.deployment(name) is None and count >= MOST_DEPLOYMENTS:
        raise InputError(
            f"endpoint {endpoint.name} has {count} deployments, and Azure allows {MOST_DEPLOYMENTS}",
            hint=f"remove one: flowpack endpoint delete {endpoint.name} {snapshot.deployments[0].name}",
        )
    return name


def compare(snapshot: Snapshot, wanted: Wanted) -> tuple[Step, ...]:
    """What leads from the snapshot to what is wanted, in order. Empty if nothing has to change."""
    planned, document, request = wanted.planned, wanted.document, wanted.planned.request
    endpoint, existing = snapshot.endpoint, snapshot.deployment(document.name)
    steps: list[Step] = []
    if endpoint is None:
        steps.append(CreateEndpoint(planned.endpoint))
    elif planned.states_endpoint and endpoint.tags.get(ENDPOINT_DIGEST) != planned.endpoint.digest:
        steps.append(UpdateEndpoint(planned.endpoint))

    writes = not snapshot.is_up_to_date(document)
    if writes and snapshot.is_replaceable(document.name):
        if existing:
            steps.append(RemoveIdleDeployment(existing))
        steps.append(CreateDeployment(document, keep_failed=request.keep_failed))
    elif writes:
        steps.append(UpdateDeployment(document))

    before = dict(endpoint.traffic) if endpoint else {}
    shares = share_traffic(before, document.name, request.traffic)
    moves = shares != before
    # One that has its traffic has answered before it got it, unless it was updated in place.
    if wanted.test and (writes or moves or request.deployment):
        steps.append(ScoreSample(document))

    retired = () if request.keep_old or request.deployment else _find_retired(snapshot, document.name, shares)
    if moves:
        tags = {RETIRING: " ".join(mark_deployment(each) for each in retired)}
        steps.append(SetTraffic(document, before, shares, tags))
    steps.extend(RemoveRetiredDeployment(each) for each in retired)
    return tuple(steps)


def outcome_of(steps: tuple[Step, ...]) -> Outcome:
    if any(isinstance(step, CreateDeployment) for step in steps):
        return "created"
    return "updated" if any(isinstance(step, (UpdateDeployment, SetTraffic)) for step in steps) else "unchanged"


def share_traffic(before: Mapping[str, int], name: str, percent: int) -> dict[str, int]:
    """``percent`` for ``name``. The others share the rest in proportion, in whole numbers that add up to 100."""
    others = {other: share for other, share in before.items() if other != name and share}
    total, rest = sum(others.values()), 100 - percent
    if not others:
        return {name: 100} if percent else {}  # nobody else can serve the rest
    shares = {other: rest * share // total for other, share in others.items()}
    largest = max(others, key=lambda other: others[other])
    shares[largest] += rest - sum(shares.values())
    return {each: share for each, share in {**shares, name: percent}.items() if share}


def mark_deployment(deployment: Deployment) -> str:
    """Name and content: a later deployment with this name has another mark."""
    return f"{deployment.name}={deployment.tags.get(DEPLOYMENT_DIGEST, '')[-_DIGITS:]}"


def runs_document(deployment: Deployment, document: DeploymentDocument) -> bool:
    return deployment.state == SUCCEEDED and deployment.tags.get(DEPLOYMENT_DIGEST) == document.digest


def is_flowpacks(deployment: Deployment) -> bool:
    return DEPLOYMENT_DIGEST in deployment.tags


def has_traffic(endpoint: Endpoint | None, name: str) -> bool:
    """Mirrored traffic is traffic too."""
    return endpoint is not None and bool(endpoint.traffic.get(name) or endpoint.mirror_traffic.get(name))


def _describe(document: DeploymentDocument) -> str:
    model = str(document.fields["model"]).removeprefix("azureml:")
    return f"{document.name} of endpoint {document.endpoint_name} with {model}"


def _check_endpoint(endpoint: Endpoint, planned: PlannedDeployment) -> None:
    wanted = planned.endpoint
    if endpoint.state == FAILED:
        raise AzureError(
            f"endpoint {wanted.name} is in the state {endpoint.state}",
            hint=f"remove it with `flowpack endpoint delete {wanted.name}`, then deploy again",
        )
    if planned.states_endpoint and endpoint.auth_mode != wanted.fields["auth_mode"]:
        raise InputError(
            f"endpoint {wanted.name} has the auth_mode {endpoint.auth_mode}, which cannot become "
            f"{wanted.fields['auth_mode']}",
            hint="deploy to an endpoint of another name, or leave its auth_mode as it is",
        )
    if bool(endpoint.compute) != wanted.is_kubernetes:
        kind = f"on the Kubernetes cluster {endpoint.compute.rsplit('/', 1)[-1]}" if endpoint.compute else "managed"
        raise InputError(
            f"endpoint {wanted.name} is {kind}, but the deployment is {'managed' if endpoint.compute else 'not'}",
            hint="pass --compute CLUSTER for a Kubernetes endpoint, and no --compute for a managed one",
        )


def _choose_color(snapshot: Snapshot, endpoint: Endpoint) -> str:
    """First a replaceable deployment, such as an interrupted rollout leaves; then a name that is not in use."""
    replaceable = [color for color in COLORS if snapshot.is_replaceable(color)]
    in_use = [color for color in replaceable if snapshot.deployment(color)]
    if replaceable:
        return (in_use or replaceable)[0]
    raise InputError(
        f"endpoint {endpoint.name} has the deployments {' and '.join(COLORS)}, and none of them is free",
        hint="name another with --deployment, or end the rollout first: "
        f"flowpack endpoint traffic {endpoint.name} {COLORS[1]}=100",
    )


def _find_retired(snapshot: Snapshot, name: str, shares: Mapping[str, int]) -> tuple[Deployment, ...]:
    """flowpack's own that lose their traffic now, and those that an interrupted rollout marked and left."""
    endpoint = snapshot.endpoint
    if endpoint is None:
        return ()
    marked = set(endpoint.tags.get(RETIRING, "").split())
    return tuple(
        each
        for each in snapshot.deployments
        if is_flowpacks(each)
        and (endpoint.traffic.get(each.name) or mark_deployment(each) in marked)
        and each.name != name
        and not shares.get(each.name)
        and not endpoint.mirror_traffic.get(each.name)
    )


def _existing_spelling(name: str, snapshot: Snapshot) -> str:
    """Azure ignores the case of a name."""
    return next((each.name for each in snapshot.deployments if each.name.lower() == name.lower()), name.lower())
