"""Brings a deployment to an endpoint so that what serves goes on serving until the new one has answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from flowpack.azureml.endpoints.documents import (
    DEPLOYMENT_DIGEST,
    ENDPOINT_DIGEST,
    RETIRING,
    DeploymentDocument,
    EndpointDocument,
)
from flowpack.azureml.endpoints.plan import COLORS, PlannedDeployment
from flowpack.azureml.endpoints.states import FAILED, SUCCEEDED, Deployment, Endpoint
from flowpack.azureml.endpoints.turns import EndpointBusy
from flowpack.azureml.limits import MOST_DEPLOYMENTS
from flowpack.errors import AzureError, FlowpackError, InputError
from flowpack.reporting import Reporter

Score = Callable[[Endpoint, str], Any]
"""Scores the sample with one deployment of an endpoint; raises what went wrong."""

_TOLD = 16  # digits of a digest; a tag's value has at most 256 characters


class Endpoints(Protocol):
    """What a rollout asks of a workspace."""

    def endpoint(self, name: str) -> Endpoint | None: ...
    def deployments(self, endpoint: str) -> list[Deployment]: ...
    def write_endpoint(self, document: EndpointDocument) -> Endpoint: ...
    def write_deployment(self, document: DeploymentDocument) -> None: ...
    def set_traffic(self, name: str, traffic: Mapping[str, int], tags: Mapping[str, str]) -> None: ...
    def delete_deployment(self, endpoint: str, name: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What there is before a rollout, and where it leads: ``name`` is the deployment's.

    ``endpoint`` is None where it is still to be made; ``before`` is the deployment of that name as it is now, ``same``
    one that is what is asked for already.
    """

    endpoint: Endpoint | None
    there: tuple[Deployment, ...]
    name: str
    same: Deployment | None

    @property
    def before(self) -> Deployment | None:
        return next((each for each in self.there if each.name == self.name), None)

    @property
    def is_idle(self) -> bool:
        """Whether the deployment serves nobody and is no work of others, so that one that fails may go away."""
        before = self.before
        return not _serves(self.endpoint, self.name) and (before is None or DEPLOYMENT_DIGEST in before.tags)


@dataclass(frozen=True, kw_only=True, slots=True)
class RolledOut:
    """``state`` is created, updated (what it runs, or its traffic) or unchanged.

    ``answer`` is that to the sample, None where none was sent.
    """

    endpoint: Endpoint
    deployment: DeploymentDocument
    state: str
    traffic: Mapping[str, int]
    answer: Any = None
    removed: tuple[str, ...] = ()


def standing_of(endpoints: Endpoints, planned: PlannedDeployment, document: DeploymentDocument) -> Standing:
    """``document`` is the plan's with its model. Writes nothing."""
    wanted, request = planned.endpoint, planned.request
    endpoint = endpoints.endpoint(wanted.name)
    if endpoint is None:
        return Standing(endpoint=None, there=(), name=_spelled(request.deployment or COLORS[0], ()), same=None)
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
        is_there = f"on the Kubernetes cluster {endpoint.compute.rsplit('/', 1)[-1]}" if endpoint.compute else "managed"
        raise InputError(
            f"endpoint {wanted.name} is {is_there}, and what is asked for is {'not' if endpoint.compute else 'on one'}",
            hint="--compute names the cluster of a Kubernetes endpoint; a managed one goes without",
        )
    there = tuple(endpoints.deployments(endpoint.name))
    named = request.deployment and _spelled(request.deployment, there)
    same = _same(there, document, endpoint, named)
    name = same.name if same else named or _free_color(there, endpoint)
    found = Standing(endpoint=endpoint, there=there, name=name, same=same)
    if found.before is None and len(there) >= MOST_DEPLOYMENTS:
        raise InputError(
            f"endpoint {wanted.name} has {len(there)} deployments, and more than {MOST_DEPLOYMENTS} it cannot have",
            hint=f"remove one: flowpack endpoint delete {wanted.name} {there[0].name}",
        )
    return found


def roll_out(
    endpoints: Endpoints,
    planned: PlannedDeployment,
    document: DeploymentDocument,
    standing: Standing,
    *,
    score: Score | None,
    reporter: Reporter,
) -> RolledOut:
    """``score`` is None where no sample is to be sent.

    After an EndpointBusy the same is done again from a new standing: what was reached stays, and is found.
    """
    request, name = planned.request, standing.name
    endpoint = _endpoint(endpoints, planned, standing, reporter)
    traffic = _shares(endpoint.traffic, name, request.traffic)
    moves = traffic != dict(endpoint.traffic)
    removed = () if request.keep_old or request.deployment else _replaced(standing, traffic)
    state, answer = "unchanged", None
    try:
        if standing.same is None:
            state = _write(endpoints, standing, document, reporter)
        else:
            reporter.info(f"deployment {name} of endpoint {endpoint.name} is as it should be already")
        # One that is as it was, and has its traffic, has answered before it got that: unless it was changed in place.
        if score and (moves or state != "unchanged" or request.deployment):
            answer = score(endpoint, name)
    except FlowpackError:
        reporter.info(f"the traffic of endpoint {endpoint.name} stays as it was")
        if standing.same is None and standing.is_idle and not request.keep_failed:
            _remove_failed(endpoints, document, reporter)
        raise
    if moves:
        tags = _retiring(standing, removed)
        _move(endpoints, document, endpoint.traffic, traffic, tags=tags, reporter=reporter)
        state = "updated" if state == "unchanged" else state
    removed = tuple(old for old in removed if _retire(endpoints, standing, endpoint.name, old, reporter))
    return RolledOut(
        endpoint=endpoint, deployment=document, state=state, traffic=traffic, answer=answer, removed=removed
    )


def of_all_attempts(first: Standing, done: RolledOut) -> RolledOut:
    """What was reached before an EndpointBusy is no news to the attempt after it; to who asked it is."""
    if done.state != "unchanged":
        return done
    if first.same is None:
        there = any(each.name == done.deployment.name for each in first.there)
        return replace(done, state="updated" if there else "created")
    moved = first.endpoint is None or dict(first.endpoint.traffic) != dict(done.traffic)
    return replace(done, state="updated" if moved else "unchanged")


def _endpoint(endpoints: Endpoints, planned: PlannedDeployment, standing: Standing, reporter: Reporter) -> Endpoint:
    wanted, there = planned.endpoint, standing.endpoint
    if there is None:
        reporter.info(f"creating endpoint {wanted.name}")
        return endpoints.write_endpoint(wanted)
    if planned.states_endpoint and there.tags.get(ENDPOINT_DIGEST) != wanted.digest:
        reporter.info(f"updating endpoint {wanted.name}")
        return endpoints.write_endpoint(wanted)
    return there


def _same(
    there: Sequence[Deployment], document: DeploymentDocument, endpoint: Endpoint, wanted: str | None
) -> Deployment | None:
    """The deployment that does this already; of two the one that serves more."""
    same = [
        each
        for each in there
        if each.state == SUCCEEDED
        and each.tags.get(DEPLOYMENT_DIGEST) == document.digest
        and wanted in (None, each.name)
    ]
    return max(same, key=lambda each: endpoint.traffic.get(each.name, 0), default=None)


def _remove_failed(endpoints: Endpoints, document: DeploymentDocument, reporter: Reporter) -> None:
    """What went wrong before is what is to be told. One that another has changed or given traffic meanwhile stays."""
    endpoint, name = document.endpoint_name, document.name
    try:
        now = _now(endpoints, endpoint, name)
        if now and now.tags.get(DEPLOYMENT_DIGEST) != document.digest:
            reporter.warning(f"deployment {name} was changed by another meanwhile")
        elif now and not _serves(endpoints.endpoint(endpoint), name):
            reporter.info(f"removing deployment {name}")
            endpoints.delete_deployment(endpoint, name)
    except (FlowpackError, EndpointBusy) as error:
        reporter.warning(f"deployment {name} could not be removed: {error}")


def _move(
    endpoints: Endpoints,
    document: DeploymentDocument,
    before: Mapping[str, int],
    traffic: Mapping[str, int],
    *,
    tags: Mapping[str, str],
    reporter: Reporter,
) -> None:
    """Another rollout at the same time takes the same free deployment, and has not tested what this one did.

    It may do so while the traffic moves: that is seen after it, as what served before is still there.
    """
    endpoint = document.endpoint_name
    changed = AzureError(
        f"deployment {document.name} of endpoint {endpoint} was changed by another meanwhile: it gets no traffic",
        hint="let one job at a time deploy to an endpoint, and run this one again",
    )
    if not _is_ours(endpoints, document):
        raise changed
    reporter.info(f"traffic: {', '.join(f'{each} {share} %' for each, share in traffic.items()) or 'none'}")
    endpoints.set_traffic(endpoint, traffic, tags)
    if not _is_ours(endpoints, document):
        now = endpoints.endpoint(endpoint)
        if now and dict(now.traffic) == dict(traffic):  # else yet another has moved it since
            reporter.warning(f"deployment {document.name} was changed by another: the traffic goes back")
            endpoints.set_traffic(endpoint, before, {RETIRING: ""})
        raise changed


def _is_ours(endpoints: Endpoints, document: DeploymentDocument) -> bool:
    now = _now(endpoints, document.endpoint_name, document.name)
    return now is not None and now.state == SUCCEEDED and now.tags.get(DEPLOYMENT_DIGEST) == document.digest


def _retire(endpoints: Endpoints, standing: Standing, endpoint: str, old: str, reporter: Reporter) -> bool:
    """Whether it was removed; by now it may be what another rollout makes, or gives traffic."""
    before, now = next(each for each in standing.there if each.name == old), _now(endpoints, endpoint, old)
    if now is None or _told(now) != _told(before) or _serves(endpoints.endpoint(endpoint), old):
        return False
    reporter.info(f"removing deployment {old}, which serves no more")
    endpoints.delete_deployment(endpoint, old)
    return True


def _now(endpoints: Endpoints, endpoint: str, name: str) -> Deployment | None:
    return next((each for each in endpoints.deployments(endpoint) if each.name == name), None)


def _serves(endpoint: Endpoint | None, name: str) -> bool:
    return endpoint is not None and bool(endpoint.traffic.get(name) or endpoint.mirror_traffic.get(name))


def _free_color(there: Sequence[Deployment], endpoint: Endpoint) -> str:
    """One of flowpack's own that serves nobody, such as an interrupted rollout leaves; else one that is not there."""
    by_name = {each.name: each for each in there}
    for color in COLORS:
        if color in by_name and not _serves(endpoint, color) and DEPLOYMENT_DIGEST in by_name[color].tags:
            return color
    for color in COLORS:
        if color not in by_name:
            return color
    raise InputError(
        f"endpoint {endpoint.name} has the deployments {' and '.join(COLORS)}, and none of them is free",
        hint="name another with --deployment, or end the rollout first: "
        f"flowpack endpoint traffic {endpoint.name} {COLORS[1]}=100",
    )


def _write(endpoints: Endpoints, standing: Standing, document: DeploymentDocument, reporter: Reporter) -> str:
    before, name, endpoint = standing.before, document.name, document.endpoint_name
    if before is not None and standing.is_idle:
        reporter.info(
            f"removing deployment {name}, which {'never started' if before.state == FAILED else 'serves nobody'}"
        )
        _remove_idle(endpoints, endpoint, name)
        before = None
    if before is None and _now(endpoints, endpoint, name):
        raise EndpointBusy(f"deployment {name}")  # another rollout has made it since this one looked
    verb, state = ("creating", "created") if before is None else ("updating", "updated")
    model = str(document.fields["model"]).removeprefix("azureml:")
    reporter.info(f"{verb} deployment {name} of endpoint {endpoint} with {model}: this takes some minutes")
    endpoints.write_deployment(document)
    return state


def _remove_idle(endpoints: Endpoints, endpoint: str, name: str) -> None:
    """Not changed in place: by now it may be what another rollout tests or gives traffic.

    Azure deletes none with traffic, so that this one notices; and neither does the other give traffic to what is gone.
    """
    try:
        endpoints.delete_deployment(endpoint, name)
    except FlowpackError:
        if _serves(endpoints.endpoint(endpoint), name):
            raise EndpointBusy(f"deployment {name}") from None
        raise


def _shares(now: Mapping[str, int], name: str, percent: int) -> dict[str, int]:
    """``percent`` for this one; the others share the rest as they did, in whole numbers that sum up."""
    others = {each: share for each, share in now.items() if each != name and share}
    total, rest = sum(others.values()), 100 - percent
    if not others:
        return {name: 100} if percent else {}  # there is nobody else to serve
    shares = {each: rest * share // total for each, share in others.items()}
    largest = max(others, key=lambda each: others[each])
    shares[largest] += rest - sum(shares.values())
    return {each: share for each, share in {**shares, name: percent}.items() if share}


def _replaced(standing: Standing, after: Mapping[str, int]) -> tuple[str, ...]:
    """Those of flowpack's own that served before and serve no more, and those that a rollout before left so."""
    endpoint = standing.endpoint
    if endpoint is None:
        return ()
    left = set(endpoint.tags.get(RETIRING, "").split())
    return tuple(
        each.name
        for each in standing.there
        if DEPLOYMENT_DIGEST in each.tags
        and (endpoint.traffic.get(each.name) or _told(each) in left)
        and each.name != standing.name
        and not after.get(each.name)
        and not endpoint.mirror_traffic.get(each.name)
    )


def _retiring(standing: Standing, names: Sequence[str]) -> dict[str, str]:
    return {RETIRING: " ".join(_told(each) for each in standing.there if each.name in names)}


def _told(deployment: Deployment) -> str:
    """What it runs as well: the next one of the same name is another."""
    return f"{deployment.name}={deployment.tags.get(DEPLOYMENT_DIGEST, '')[-_TOLD:]}"


def _spelled(name: str, there: Sequence[Deployment]) -> str:
    """Azure takes no notice of the case of a name."""
    return next((each.name for each in there if each.name.lower() == name.lower()), name.lower())
