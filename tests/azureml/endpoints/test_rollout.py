"""What serves goes on serving until the new deployment has answered; what was asked for before is left as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowpack.azureml.endpoints.busy import EndpointBusy, retry_while_busy
from flowpack.azureml.endpoints.plan import PlannedDeployment
from flowpack.azureml.endpoints.rollout import take_snapshot
from flowpack.azureml.endpoints.states import FAILED, SUCCEEDED, Deployment, Endpoint
from flowpack.errors import AzureError, FlowpackError, InputError, ServingError
from flowpack.reporting import SILENT
from tests.azureml.endpoints.examples import WORKSPACE, Killed, OneEndpoint, planned
from tests.azureml.models.examples import flow_folder
from tests.recording import Recording


def image(number: int) -> str:
    return f"example.azurecr.io/library/chat@sha256:{number:064}"


@pytest.fixture
def azure() -> OneEndpoint:
    return OneEndpoint()


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    return flow_folder(tmp_path / "chat")


def plan(chat: Path, number: int = 1, **asked: Any) -> PlannedDeployment:
    return planned(chat, image=image(number), **asked)


def traffic(azure: OneEndpoint) -> dict[str, int]:
    assert azure.there
    return dict(azure.there.traffic)


def foreign(name: str) -> Deployment:
    return Deployment(
        name=name, state=SUCCEEDED, model="m:1", environment="e", instance_type="x", instance_count=1, tags={}
    )


def test_the_first_deployment_makes_the_endpoint_and_gets_all_traffic(azure: OneEndpoint, chat: Path) -> None:
    done = azure.roll_out(plan(chat))
    assert azure.changes == ["endpoint chat", "write blue", "score blue", "traffic blue=100"]
    assert (done.state, done.answer) == ("created", "blue answers")


def test_the_next_takes_over_after_it_has_answered_and_the_old_one_goes(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    done = azure.roll_out(plan(chat, 2))
    assert azure.changes == ["write green", "score green", "traffic green=100", "delete blue"]
    assert done.removed == ("blue",)
    azure.roll_out(plan(chat, 3))
    assert azure.changes == ["write blue", "score blue", "traffic blue=100", "delete green"]


def test_the_same_again_changes_nothing(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat))
    done = azure.roll_out(plan(chat))
    assert (done.state, azure.changes) == ("unchanged", [])


@pytest.mark.parametrize("asked", [{"instance_count": 3}, {"variables": {"A": "1"}}, {"instance_type": "Standard_F4s"}])
def test_other_settings_are_another_deployment(azure: OneEndpoint, chat: Path, asked: dict[str, Any]) -> None:
    azure.roll_out(plan(chat))
    assert azure.roll_out(plan(chat, **asked)).deployment.name == "green"


def test_another_model_version_is_another_deployment(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat), "chat:1")
    assert azure.roll_out(plan(chat), "chat:2").deployment.name == "green"


def test_a_part_of_the_traffic_then_all_of_it(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    azure.roll_out(plan(chat, 2, traffic=10))
    assert traffic(azure) == {"blue": 90, "green": 10}
    assert azure.roll_out(plan(chat, 2, traffic=10)).state == "unchanged"
    assert azure.changes == []
    assert azure.roll_out(plan(chat, 2)).state == "updated"
    assert azure.changes == ["score green", "traffic green=100", "delete blue"]


def test_a_third_one_does_not_push_away_what_serves(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    azure.roll_out(plan(chat, 2, traffic=10))
    with pytest.raises(InputError, match="none of them is free"):
        azure.roll_out(plan(chat, 3))
    assert azure.changes == []
    azure.roll_out(plan(chat, 3, deployment="red", traffic=20))
    assert traffic(azure) == {"blue": 72, "green": 8, "red": 20}


@pytest.mark.parametrize(("shares", "percent", "expected"), [((33, 67), 50, (16, 34)), ((1, 99), 99, (0, 1))])
def test_shares_are_whole_and_sum_up(
    azure: OneEndpoint, chat: Path, shares: tuple[int, int], percent: int, expected: tuple[int, int]
) -> None:
    azure.roll_out(plan(chat))
    azure.by_name |= {name: foreign(name) for name in ("a", "b")}
    azure.set_traffic("chat", dict(zip("ab", shares, strict=True)))
    azure.roll_out(plan(chat, 2, traffic=percent))
    wanted = {name: share for name, share in zip("ab", expected, strict=True) if share}
    assert {name: share for name, share in traffic(azure).items() if name in "ab"} == wanted


def test_one_that_does_not_answer_gets_no_traffic_and_goes(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    azure.mute.add(image(2))
    with pytest.raises(ServingError):
        azure.roll_out(plan(chat, 2))
    assert azure.changes == ["write green", "score green", "delete green"]
    assert traffic(azure) == {"blue": 100}


def test_one_that_does_not_start_goes_or_stays_to_be_looked_at(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    azure.broken.add(image(2))
    with pytest.raises(AzureError):
        azure.roll_out(plan(chat, 2))
    assert azure.changes == ["write green", "delete green"]
    with pytest.raises(AzureError):
        azure.roll_out(plan(chat, 2, keep_failed=True))
    assert azure.by_name["green"].state == FAILED
    azure.roll_out(plan(chat, 3))
    assert azure.changes == ["delete green", "write green", "score green", "traffic green=100", "delete blue"]


@pytest.mark.parametrize("fault", ["broken", "mute"])
def test_a_first_rollout_that_fails_leaves_no_empty_endpoint(azure: OneEndpoint, chat: Path, fault: str) -> None:
    getattr(azure, fault).add(image(1))
    with pytest.raises((AzureError, ServingError)):
        azure.roll_out(plan(chat, 1))
    assert azure.changes[-2:] == ["delete blue", "delete endpoint chat"]
    assert azure.there is None


def test_a_first_rollout_that_fails_leaves_both_where_the_failed_one_is_kept(azure: OneEndpoint, chat: Path) -> None:
    azure.broken.add(image(1))
    with pytest.raises(AzureError):
        azure.roll_out(plan(chat, 1, keep_failed=True))
    assert azure.there
    assert list(azure.by_name) == ["blue"]


def test_in_place_what_serves_is_not_removed_when_it_fails(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1, deployment="only"))
    azure.mute.add(image(2))
    with pytest.raises(ServingError):
        azure.roll_out(plan(chat, 2, deployment="only"))
    assert azure.changes == ["write only", "score only"]
    assert traffic(azure) == {"only": 100}


def test_in_place_what_did_not_answer_is_asked_again(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1, deployment="only"))
    azure.mute.add(image(2))
    for _ in range(2):
        with pytest.raises(ServingError):
            azure.roll_out(plan(chat, 2, deployment="only"))


def test_one_that_fails_stays_where_another_gave_it_traffic_meanwhile(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))

    def while_another_moves_traffic(endpoint: Any, name: str) -> str:
        azure.set_traffic("chat", {name: 100})
        raise ServingError("it does not answer")

    azure.score = while_another_moves_traffic  # type: ignore[method-assign]
    with pytest.raises(ServingError):
        azure.roll_out(plan(chat, 2))
    assert set(azure.by_name) == {"blue", "green"}


def test_the_case_of_a_name_makes_no_other_deployment(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1, deployment="Only"))
    assert set(azure.by_name) == {"only"}
    azure.by_name["Theirs"] = foreign("Theirs")
    assert azure.roll_out(plan(chat, 1, deployment="theirs")).deployment.name == "Theirs"


def test_a_managed_endpoint_is_none_on_kubernetes(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    with pytest.raises(InputError, match="is managed, but the deployment is not"):
        azure.roll_out(plan(chat, 2, compute="cluster"))
    assert azure.there
    azure.there = replace(azure.there, compute="/subscriptions/s/computes/cluster")
    with pytest.raises(InputError, match="on the Kubernetes cluster cluster, but the deployment is managed"):
        azure.roll_out(plan(chat, 2))


def test_azure_names_those_without_traffic_as_well() -> None:
    properties = {"traffic": {"blue": 0, "green": 100}, "mirrorTraffic": {"blue": 0}}
    endpoint = Endpoint.of({"name": "chat", "id": "chat", "properties": properties})
    assert (endpoint.traffic, endpoint.mirror_traffic) == ({"green": 100}, {})


def test_deployments_of_others_are_left_where_they_are(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1, deployment="x"))
    azure.by_name |= {"blue": foreign("blue"), "old": foreign("old")}
    azure.set_traffic("chat", {"old": 100})
    done = azure.roll_out(plan(chat, 2))
    assert done.deployment.name == "green"
    assert azure.changes == ["write green", "score green", "traffic green=100"]
    assert set(azure.by_name) == {"x", "blue", "old", "green"}


def test_what_an_interrupted_rollout_left_is_taken_up(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    azure.write_deployment(plan(chat, 2).deployment.with_model("chat:1").named("green", WORKSPACE))
    azure.by_name["green"] = replace(azure.by_name["green"], state="Creating")
    azure.roll_out(plan(chat, 3))
    assert azure.changes == ["delete green", "write green", "score green", "traffic green=100", "delete blue"]


@pytest.mark.parametrize("moment", ["write", "score", "traffic", "delete"])
def test_the_same_again_ends_what_a_killed_rollout_began(azure: OneEndpoint, chat: Path, moment: str) -> None:
    azure.roll_out(plan(chat, 1))
    azure.ends_before = moment
    with pytest.raises(Killed):
        azure.roll_out(plan(chat, 2))
    azure.roll_out(plan(chat, 2))
    assert traffic(azure) == {"green": 100}
    assert set(azure.by_name) == {"green"}


def test_a_kept_one_stays(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    azure.roll_out(plan(chat, 2, keep_old=True))
    assert azure.roll_out(plan(chat, 2)).state == "unchanged"
    assert set(azure.by_name) == {"blue", "green"}


def test_one_that_gets_mirrored_traffic_stays(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    azure.roll_out(plan(chat, 2, traffic=0))
    assert azure.there
    azure.there = replace(azure.there, mirror_traffic={"green": 10})
    azure.roll_out(plan(chat, 1))
    assert azure.changes == []


def test_without_traffic_the_first_one_gets_none_either(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1, traffic=0))
    assert azure.changes == ["endpoint chat", "write blue", "score blue"]
    assert traffic(azure) == {}


def test_a_kept_one_is_what_the_next_takes(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    azure.roll_out(plan(chat, 2, keep_old=True))
    assert set(azure.by_name) == {"blue", "green"}
    assert azure.roll_out(plan(chat, 1)).deployment.name == "blue"
    assert azure.changes == ["score blue", "traffic blue=100", "delete green"]


def test_what_got_traffic_meanwhile_is_not_changed_in_place(azure: OneEndpoint, chat: Path) -> None:
    """Another rollout made green, and gave it the traffic after this one had looked."""
    azure.roll_out(plan(chat, 1))
    azure.roll_out(plan(chat, 2, traffic=0))
    mine = plan(chat, 3)
    model = mine.deployment.with_model("chat:1")
    snapshot = take_snapshot(azure, mine.endpoint.name)
    azure.set_traffic("chat", {"green": 100})
    with pytest.raises(EndpointBusy):
        azure.roll_out_from(snapshot, mine, model.named("green", WORKSPACE))
    assert azure.by_name["green"].environment == image(2)
    assert azure.roll_out(mine).deployment.name == "blue"


def test_what_was_made_meanwhile_is_not_changed_in_place(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    mine = plan(chat, 3)
    model = mine.deployment.with_model("chat:1")
    snapshot = take_snapshot(azure, mine.endpoint.name)
    azure.roll_out(plan(chat, 2))
    with pytest.raises(EndpointBusy):
        azure.roll_out_from(snapshot, mine, model.named("green", WORKSPACE))
    assert azure.by_name["green"].environment == image(2)


def test_what_another_changed_meanwhile_gets_no_traffic(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    scored = azure.score

    def while_another_writes(endpoint: Any, name: str) -> str:
        answer = scored(endpoint, name)
        azure.write_deployment(plan(chat, 3).deployment.with_model("chat:1").named(name, WORKSPACE))
        return answer

    azure.score = while_another_writes  # type: ignore[method-assign]
    with pytest.raises(AzureError, match="changed by another meanwhile"):
        azure.roll_out(plan(chat, 2))
    assert traffic(azure) == {"blue": 100}


def test_the_traffic_goes_back_where_another_takes_the_deployment_away_as_it_moves(
    azure: OneEndpoint, chat: Path
) -> None:
    azure.roll_out(plan(chat, 1))
    moved = azure.set_traffic

    def as_another_deletes(name: str, traffic: Any, tags: Any) -> None:
        moved(name, traffic, tags)
        azure.by_name.pop("green", None)

    azure.set_traffic = as_another_deletes  # type: ignore[method-assign,assignment]
    with pytest.raises(AzureError, match="changed by another meanwhile"):
        azure.roll_out(plan(chat, 2))
    assert traffic(azure) == {"blue": 100}
    assert set(azure.by_name) == {"blue"}


def test_one_to_be_removed_that_another_made_anew_stays(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    moved = azure.set_traffic

    def as_another_writes(name: str, traffic: Any, tags: Any) -> None:
        moved(name, traffic, tags)
        azure.write_deployment(plan(chat, 3).deployment.with_model("chat:1").named("blue", WORKSPACE))

    azure.set_traffic = as_another_writes  # type: ignore[method-assign,assignment]
    assert azure.roll_out(plan(chat, 2)).removed == ()
    assert set(azure.by_name) == {"blue", "green"}


def test_twenty_deployments_are_the_most(azure: OneEndpoint, chat: Path) -> None:
    azure.roll_out(plan(chat, 1))
    azure.by_name |= {name: foreign(name) for name in (f"d{number}" for number in range(19))}
    with pytest.raises(InputError, match="has 20 deployments"):
        azure.roll_out(plan(chat, 2))
    assert azure.changes == []


def test_an_endpoint_is_brought_in_line_where_something_is_said_about_it(
    azure: OneEndpoint, chat: Path, tmp_path: Path
) -> None:
    azure.roll_out(plan(chat, 1))
    document = tmp_path / "endpoint.yaml"
    document.write_text("name: chat\ndescription: answers\n")
    azure.roll_out(plan(chat, 1, endpoint_file=document))
    assert azure.changes == ["endpoint chat"]
    azure.roll_out(plan(chat, 1, endpoint_file=document))
    assert azure.changes == []
    with pytest.raises(InputError, match="auth_mode key, which cannot become aad_token"):
        azure.roll_out(plan(chat, 1, auth_mode="aad_token"))


def test_an_attempt_is_made_again_when_the_endpoint_is_busy() -> None:
    answers = iter([EndpointBusy("endpoint chat"), EndpointBusy("endpoint chat"), "done"])
    said = Recording()

    def attempt() -> str:
        answer = next(answers)
        if isinstance(answer, EndpointBusy):
            raise answer
        return str(answer)

    assert retry_while_busy(attempt, said, sleep=lambda _: None) == "done"
    assert said == ["endpoint chat: waiting for another change of it to end"]


def test_patience_has_an_end() -> None:
    def busy() -> None:
        raise EndpointBusy("endpoint chat")

    slept: list[float] = []
    with pytest.raises(FlowpackError, match="did not end in 30 min"):
        retry_while_busy(busy, SILENT, sleep=slept.append)
    assert sum(slept) == 1800
