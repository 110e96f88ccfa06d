"""200 registrations of 20 flows from 8 processes, and what has to be true afterwards."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flowpack.azureml.models.registry import ModelRegistry
from tests.azureml.models.examples import flow_folder
from tests.paths import ROOT

PROCESSES = 8
REGISTRATIONS = 200
FLOWS = 20
MODELS = 4


@dataclass(frozen=True)
class Writers:
    """``flows`` maps each flow's folder to its model's name: five contents contend for the versions of a model."""

    place: Path
    flows: Mapping[str, str]

    @classmethod
    def prepare(cls, place: Path) -> Writers:
        flows = {
            str(flow_folder(place / f"flow-{number:02}", f"text {number}")): f"model-{number % MODELS}"
            for number in range(FLOWS)
        }
        return cls(place, flows)

    def start(self, registry: Path | None, environment: Mapping[str, str] | None = None) -> list[subprocess.Popen[str]]:
        each = [(flow, name) for flow, name in self.flows.items()] * (REGISTRATIONS // FLOWS)
        random.Random(7).shuffle(each)
        return [self.started(number, each[number::PROCESSES], registry, environment) for number in range(PROCESSES)]

    def started(
        self,
        number: int,
        flows: list[tuple[str, str]],
        registry: Path | None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        plan = self.place / f"plan-{number}.json"
        plan.write_text(json.dumps({"registry": str(registry) if registry else None, "flows": flows}))
        command = [sys.executable, "-m", "tests.azureml.models.writer", str(plan), str(self.place / f"out-{number}")]
        log = (self.place / f"log-{number}").open("a")
        variables = {**(os.environ if environment is None else environment)}
        variables["FLOWPACK_CACHE_DIR"] = str(self.place / "cache")
        return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log, text=True)

    def registrations(self) -> list[tuple[str, str, str, str]]:
        lines = [line for out in self.place.glob("out-*") for line in out.read_text().splitlines()]
        return [tuple(json.loads(line)) for line in lines]  # type: ignore[misc]

    def logs(self) -> str:
        return "\n".join(log.read_text() for log in sorted(self.place.glob("log-*")))

    def check(self, registry: ModelRegistry) -> None:
        """No version is lost, none is doubled, and each registration was given the version of its own flow."""
        of_flow = {}
        for flow, name, version, _ in self.registrations():
            assert self.flows[flow] == name
            assert of_flow.setdefault(flow, (name, version)) == (name, version)
        assert len(of_flow) == FLOWS
        for model in sorted(set(self.flows.values())):
            versions = registry.versions(model)
            assert [each.version for each in versions] == ["1", "2", "3", "4", "5"]
            assert len({each.tags["flowpack.flow.digest"] for each in versions}) == len(versions)
            named = {each.properties["azureml.promptflow.source_flow_id"]: each.version for each in versions}
            assert named == {Path(flow).name: version for flow, (name, version) in of_flow.items() if name == model}
