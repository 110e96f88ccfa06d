from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from flowpack.azureml.models.local_registry import LocalRegistry
from tests.azureml.models.many_writers import PROCESSES, REGISTRATIONS, Writers


@pytest.mark.attack("held: kill -9 at any moment")
def test_200_registrations_of_20_flows_from_8_processes_of_which_some_are_killed(tmp_path: Path) -> None:
    writers, root = Writers.prepare(tmp_path), tmp_path / "registry"
    chance = random.Random(11)
    running = writers.start(root)
    killed = 0
    while any(process.poll() is None for process in running):
        time.sleep(0.01)
        number = chance.randrange(PROCESSES)
        if killed < 12 and running[number].poll() is None and list(root.glob("*/[0-9]*")):
            running[number].kill()
            running[number].wait()
            killed += 1
            # The job is run again, from its first flow on.
            flows = _flows_of(tmp_path / f"plan-{number}.json")
            running[number] = writers.started(number, flows, root)
            time.sleep(chance.uniform(0, 0.2))
    assert [process.returncode for process in running] == [0] * PROCESSES, writers.logs()
    assert killed
    assert len(writers.registrations()) >= REGISTRATIONS
    writers.check(LocalRegistry(root))
    assert not list(root.glob("*/.unfinished-*"))


def _flows_of(plan: Path) -> list[tuple[str, str]]:

    return json.loads(plan.read_text())["flows"]
