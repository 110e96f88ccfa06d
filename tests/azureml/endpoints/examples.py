"""A planned deployment of the smallest chat flow, and an Azure of one endpoint that is a few dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flowpack.assembly.flow_folder import assemble
from flowpack.assembly.roots import IncludeRoots
from flowpack.azureml.endpoints.documents import DeploymentDocument, EndpointDocument
from flowpack.azureml.endpoints.plan import DeployRequest, PlannedDeployment, plan_deployment
from flowpack.azureml.endpoints.rollout import RolledOut, apply, take_snapshot
from flowpack.azureml.endpoints.states import FAILED, SUCCEEDED, Deployment, Endpoint
from flowpack.azureml.endpoints.steps import Snapshot, Wanted, choose_name, compare
from flowpack.azureml.models.plan import ModelRequest, ModelSource, plan_model
from flowpack.azureml.workspace import Workspace
from flowpack.errors import AzureError, ServingError
from flowpack.flows.reader import read_flow
from flowpack.reporting import SILENT
from tests.paths import FLOWS

_NO_TAGS: Mapping[str, str] = MappingProxyType({})
IMAGE = "example.azurecr.io/library/chat@sha256:" + "5" * 64
WORKSPACE = Workspace("sub", "group", "prod", "from the test")


def planned(flow: Path, *, image: str | None = IMAGE, **asked: Any) -> PlannedDeployment:
    read = read_flow(flow)
    folder = assemble(read, IncludeRoots.of(read.folder, (FLOWS.parent,)))
    source = ModelSource(flow=read, folder=folder, image=image, revision="abc")
    return plan_deployment(source, plan_model(source, ModelRequest()), DeployRequest(**asked))


class Killed(BaseException):
    """The process is no more."""


class OneEndpoint:
    """Every change is done at once. ``broken`` are images that do not start, ``mute`` those that do not answer.

    ``ends_before`` is the change, by its beginning, before which a rollout ends as if it were killed.
    """

    def __init__(self) -> None:
        self.there: Endpoint | None = None
        self.by_name: dict[str, Deployment] = {}
        self.changes: list[str] = []
        self.broken: set[str] = set()
        self.mute: set[str] = set()
        self.ends_before = "nothing"

    def endpoint(self, name: str) -> Endpoint | None:
        return self.there

    def deployments(self, endpoint: str) -> list[Deployment]:
        return list(self.by_name.values())

    def write_endpoint(self, document: EndpointDocument) -> Endpoint:
        self._change(f"endpoint {document.name}")
        before = self.there
        self.there = Endpoint(
            name=document.name,
            id=document.name,
            state=SUCCEEDED,
            auth_mode=document.fields["auth_mode"],
            scoring_uri=f"https://{document.name}.example/score",
            traffic=before.traffic if before else {},
            mirror_traffic={},
            tags=document.tags,
        )
        return self.there

    def write_deployment(self, document: DeploymentDocument) -> None:
        self._change(f"write {document.name}")
        image = document.fields["environment"]["image"]
        self.by_name[document.name] = Deployment(
            name=document.name,
            state=FAILED if image in self.broken else SUCCEEDED,
            model=document.fields["model"],
            environment=image,
            instance_type=document.instance_type,
            instance_count=document.instance_count,
            tags=document.fields["tags"],
        )
        if image in self.broken:
            raise AzureError("it does not start")

    def set_traffic(self, name: str, traffic: Mapping[str, int], tags: Mapping[str, str] = _NO_TAGS) -> None:
        assert sum(traffic.values()) == 100
        assert set(traffic) <= set(self.by_name)
        self._change("traffic " + " ".join(f"{each}={share}" for each, share in sorted(traffic.items())))
        assert self.there
        self.there = replace(self.there, traffic=dict(traffic), tags={**self.there.tags, **tags})

    def delete_deployment(self, endpoint: str, name: str) -> None:
        assert self.there
        if self.there.traffic.get(name):
            raise AzureError("it has traffic")
        self._change(f"delete {name}")
        del self.by_name[name]

    def delete_endpoint(self, name: str) -> None:
        assert not self.by_name
        self._change(f"delete endpoint {name}")
        self.there = None

    def _change(self, what: str) -> None:
        if what.startswith(self.ends_before):
            self.ends_before = "nothing"
            raise Killed
        self.changes.append(what)

    def score(self, endpoint: Endpoint, name: str) -> str:
        self._change(f"score {name}")
        if self.by_name[name].environment in self.mute:
            raise ServingError("it does not answer")
        return f"{name} answers"

    def roll_out(self, plan: PlannedDeployment, model: str = "chat:1") -> RolledOut:
        """The steps of ``pipeline.deploy`` that are about the endpoint; ``changes`` holds those of this time."""
        self.changes.clear()
        document = plan.deployment.with_model(model)
        snapshot = take_snapshot(self, plan.endpoint.name)
        named = document.named(choose_name(snapshot, plan, document), WORKSPACE)
        return self.roll_out_from(snapshot, plan, named)

    def roll_out_from(self, snapshot: Snapshot, plan: PlannedDeployment, document: DeploymentDocument) -> RolledOut:
        wanted = Wanted(planned=plan, document=document, test=True)
        return apply(compare(snapshot, wanted), self, snapshot, wanted, score=self.score, reporter=SILENT)
