"""The steps of a rollout as a person reads them, and what waiting for Azure shows."""

from __future__ import annotations

from pathlib import Path

from flowpack.azureml.endpoints.rollout import take_snapshot
from flowpack.azureml.endpoints.steps import Wanted, choose_name, compare
from flowpack.azureml.endpoints.workspace_endpoints import wait_for
from tests.azureml.endpoints.examples import IMAGE, WORKSPACE, OneEndpoint, planned
from tests.azureml.models.examples import flow_folder
from tests.recording import RecordingTask

OTHER_IMAGE = IMAGE.replace("5", "6")


def steps_for(azure: OneEndpoint, flow: Path, image: str, *, test: bool = True, traffic: int = 100) -> list[str]:
    plan = planned(flow, image=image, traffic=traffic)
    document = plan.deployment.with_model("chat:1")
    snapshot = take_snapshot(azure, plan.endpoint.name)
    named = document.named(choose_name(snapshot, plan, document), WORKSPACE)
    return [str(step) for step in compare(snapshot, Wanted(planned=plan, document=named, test=test))]


def test_steps_read_as_sentences(tmp_path: Path) -> None:
    azure, chat = OneEndpoint(), flow_folder(tmp_path / "chat")
    assert steps_for(azure, chat, IMAGE, test=False) == [
        "create endpoint chat",
        "create deployment blue of endpoint chat with chat:1",
        "set the traffic: blue 100 %",
    ]
    azure.roll_out(planned(chat))
    assert steps_for(azure, chat, IMAGE) == []
    assert steps_for(azure, chat, OTHER_IMAGE) == [
        "create deployment green of endpoint chat with chat:1",
        "score the sample with deployment green",
        "set the traffic: green 100 %",
        "remove deployment blue, which has been replaced",
    ]
    assert "set the traffic: blue 90 %, green 10 %" in steps_for(azure, chat, OTHER_IMAGE, traffic=10)


def test_comparing_changes_nothing(tmp_path: Path) -> None:
    azure = OneEndpoint()
    steps_for(azure, flow_folder(tmp_path / "chat"), IMAGE)
    assert azure.changes == []


class ThreePolls:
    """An operation that Azure ends after three states."""

    def __init__(self) -> None:
        self._left = ["NotStarted", "InProgress", "Updating"]

    def done(self) -> bool:
        return not self._left

    def status(self) -> str:
        return self._left[0]

    def wait(self, seconds: float) -> None:
        del self._left[0]


def test_waiting_shows_the_state_that_azure_names() -> None:
    shown: list[str] = []

    class Shown(RecordingTask):
        def detail(self, text: str) -> None:
            shown.append(text)

    wait_for(ThreePolls(), Shown())
    assert shown == ["NotStarted", "InProgress", "Updating"]
