"""Carries out the steps of a rollout. What serves goes on serving until the new deployment has answered.

Others may change the endpoint between the snapshot and a step, so that each step looks again at what it depends on.
EndpointBusy means: take a new snapshot and compare again. What was reached stays, and the next comparison finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from flowpack.azureml.endpoints.busy import EndpointBusy
from flowpack.azureml.endpoints.documents import DEPLOYMENT_DIGEST, RETIRING, DeploymentDocument, EndpointDocument
from flowpack.azureml.endpoints.states import Deployment, Endpoint
from flowpack.azureml.endpoints.steps import (
    CreateDeployment,
    CreateEndpoint,
    Outcome,
    RemoveIdleDeployment,
    RemoveRetiredDeployment,
    ScoreSample,
    SetTraffic,
    Snapshot,
    Step,
    UpdateDeployment,
    UpdateEndpoint,
    Wanted,
    has_traffic,
    mark_deployment,
    outcome_of,
    runs_document,
    share_traffic,
)
from flowpack.errors import AzureError, FlowpackError
from flowpack.reporting import Reporter

Score = Callable[[Endpoint, str], Any]
"""Scores the sample with one deployment of an endpoint. Raises a FlowpackError if it does not answer."""


class Endpoints(Protocol):
    """What a rollout needs of a workspace."""

    def endpoint(self, name: str) -> Endpoint | None: ...
    def deployments(self, endpoint: str) -> list[Deployment]: ...
    def write_endpoint(self, document: EndpointDocument) -> Endpoint: ...
    def write_deployment(self, document: DeploymentDocument) -> None: ...
    def set_traffic(self, name: str, traffic: Mapping[str, int], tags: Mapping[str, str]) -> None: ...
    def delete_deployment(self, endpoint: str, name: str) -> None: ...
    def delete_endpoint(self, name: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class RolledOut:
    """``answer`` is the deployment's answer to the sample, None if none was sent."""

    endpoint: Endpoint
    deployment: DeploymentDocument
    state: Outcome
    traffic: Mapping[str, int]
    answer: Any = None
    removed: tuple[str, ...] = ()

    def since(self, first: tuple[Step, ...]) -> RolledOut:
        """With the state that the user sees, who asked once: ``first`` are the steps of the first attempt."""
        return self if self.state != "unchanged" else replace(self, state=outcome_of(first))


def take_snapshot(endpoints: Endpoints, name: str) -> Snapshot:
    endpoint = endpoints.endpoint(name)
    if endpoint is None:
        return Snapshot(endpoint=None)
    return Snapshot(endpoint=endpoint, deployments=tuple(endpoints.deployments(endpoint.name)))


def apply(
    steps: tuple[Step, ...],
    endpoints: Endpoints,
    snapshot: Snapshot,
    wanted: Wanted,
    *,
    score: Score | None,
    reporter: Reporter,
) -> RolledOut:
    """``steps`` are those of ``compare(snapshot, wanted)``; ``score`` is needed for a ScoreSample."""
    rollout = _Rollout(endpoints, snapshot.endpoint, wanted.document, score, reporter)
    if snapshot.is_up_to_date(wanted.document):
        reporter.info(f"deployment {rollout.name} of endpoint {wanted.document.endpoint_name} is up to date")
    for step in steps:
        try:
            rollout.carry_out(step)
        except FlowpackError:
            if isinstance(step, (RemoveIdleDeployment, CreateDeployment, UpdateDeployment, ScoreSample)):
                reporter.info(f"the traffic of endpoint {wanted.document.endpoint_name} stays as it was")
                if any(isinstance(each, CreateDeployment) and not each.keep_failed for each in steps):
                    rollout.remove_failed()
                    if snapshot.endpoint is None:
                        rollout.remove_empty_endpoint()
            raise
    assert rollout.endpoint is not None  # noqa: S101  (the first step creates one that does not exist)
    before = snapshot.endpoint.traffic if snapshot.endpoint else {}
    return RolledOut(
        endpoint=rollout.endpoint,
        deployment=wanted.document,
        state=outcome_of(steps),
        traffic=share_traffic(before, rollout.name, wanted.planned.request.traffic),
        answer=rollout.answer,
        removed=tuple(rollout.removed),
    )


class _Rollout:
    def __init__(
        self,
        endpoints: Endpoints,
        endpoint: Endpoint | None,
        document: DeploymentDocument,
        score: Score | None,
        reporter: Reporter,
    ) -> None:
        self.endpoint = endpoint
        self.name = document.name
        self.answer: Any = None
        self.removed: list[str] = []
        self._endpoints, self._document, self._score, self._reporter = endpoints, document, score, reporter

    def carry_out(self, step: Step) -> None:
        if isinstance(step, (CreateEndpoint, UpdateEndpoint)):
            self._reporter.info(str(step))
            self.endpoint = self._endpoints.write_endpoint(step.document)
        elif isinstance(step, RemoveIdleDeployment):
            self._reporter.info(str(step))
            self._remove_idle(step.deployment.name)
        elif isinstance(step, CreateDeployment):
            if self._current_deployment(self.name):
                raise EndpointBusy(f"deployment {self.name}")  # another rollout created it after the snapshot
            self._write_deployment(step)
        elif isinstance(step, UpdateDeployment):
            self._write_deployment(step)
        elif isinstance(step, ScoreSample):
            assert self._score is not None and self.endpoint is not None  # noqa: S101
            self.answer = self._score(self.endpoint, self.name)
        elif isinstance(step, SetTraffic):
            self._set_traffic(step)
        else:
            self._remove_retired(step)

    def remove_failed(self) -> None:
        """Removes the new deployment, unless others have changed it or given it traffic. Hides no earlier error."""
        try:
            current = self._current_deployment(self.name)
            if current and current.tags.get(DEPLOYMENT_DIGEST) != self._document.digest:
                self._reporter.warning(f"deployment {self.name} stays: another rollout has changed it")
            elif current and not has_traffic(self._current_endpoint(), self.name):
                self._reporter.info(f"remove deployment {self.name}, which failed")
                self._endpoints.delete_deployment(self._document.endpoint_name, self.name)
        except (FlowpackError, EndpointBusy) as error:
            self._reporter.warning(f"deployment {self.name} could not be removed: {error}")

    def remove_empty_endpoint(self) -> None:
        """Removes the endpoint that this rollout created, unless it has a deployment. Hides no earlier error."""
        name = self._document.endpoint_name
        try:
            if self._current_endpoint() and not self._endpoints.deployments(name):
                self._reporter.info(f"remove endpoint {name}, which has no deployment; --keep-failed keeps both")
                self._endpoints.delete_endpoint(name)
        except (FlowpackError, EndpointBusy) as error:
            self._reporter.warning(f"endpoint {name} could not be removed: {error}")

    def _write_deployment(self, step: CreateDeployment | UpdateDeployment) -> None:
        self._reporter.info(f"{step}: this takes some minutes")
        self._endpoints.write_deployment(step.document)

    def _remove_idle(self, name: str) -> None:
        """Azure refuses to delete a deployment with traffic: that is how a rollout which tests it now is noticed."""
        try:
            self._endpoints.delete_deployment(self._document.endpoint_name, name)
        except FlowpackError:
            if has_traffic(self._current_endpoint(), name):
                raise EndpointBusy(f"deployment {name}") from None
            raise

    def _set_traffic(self, step: SetTraffic) -> None:
        """Looks before and after: another rollout may replace the deployment as the traffic moves, and its content
        has not answered this rollout's sample."""
        endpoint = self._document.endpoint_name
        changed = AzureError(
            f"deployment {self.name} of endpoint {endpoint} was changed by another meanwhile: it gets no traffic",
            hint="let one job at a time deploy to an endpoint, and run this one again",
        )
        if not self._is_unchanged():
            raise changed
        self._reporter.info(str(step))
        self._endpoints.set_traffic(endpoint, step.shares, step.tags)
        if not self._is_unchanged():
            current = self._current_endpoint()
            if current and dict(current.traffic) == dict(step.shares):  # otherwise somebody has moved it since
                self._reporter.warning(f"another rollout has changed deployment {self.name}: the traffic moves back")
                self._endpoints.set_traffic(endpoint, step.before, {RETIRING: ""})
            raise changed

    def _remove_retired(self, step: RemoveRetiredDeployment) -> None:
        """Leaves it if another rollout has created it again or given it traffic."""
        name, current = step.deployment.name, self._current_deployment(step.deployment.name)
        if current is None or mark_deployment(current) != mark_deployment(step.deployment):
            return
        if has_traffic(self._current_endpoint(), name):
            return
        self._reporter.info(str(step))
        self._endpoints.delete_deployment(self._document.endpoint_name, name)
        self.removed.append(name)

    def _is_unchanged(self) -> bool:
        current = self._current_deployment(self.name)
        return current is not None and runs_document(current, self._document)

    def _current_endpoint(self) -> Endpoint | None:
        return self._endpoints.endpoint(self._document.endpoint_name)

    def _current_deployment(self, name: str) -> Deployment | None:
        found = self._endpoints.deployments(self._document.endpoint_name)
        return next((each for each in found if each.name == name), None)
