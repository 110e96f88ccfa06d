"""What a flow is given of this machine, by who starts it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flowpack.ci.results import FlowResult
from flowpack.ci.run_flows import CiRequest, _FlowRun
from flowpack.errors import InputError
from flowpack.flows.reader import read_flow
from flowpack.images.reference import ImageReference
from flowpack.pipeline import serve as serving
from flowpack.pipeline.builds import Built
from flowpack.pipeline.serve import BuildFolder, ServeRequest, serve
from flowpack.reporting import SILENT
from flowpack.running.served import Served
from tests.images.records import build_record
from tests.paths import write_tree
from tests.recording import Recording

BUILD = {
    "flow/flow.dag.yaml": "environment_variables: {GREETING: a, GITHUB_TOKEN: ''}\nnodes: []\n",
    "settings.json": '{"ASKED": ""}',
}
MACHINE = {"GREETING": "hi", "GITHUB_TOKEN": "secret", "ASKED": "k", "PF_LOGGING_LEVEL": "DEBUG", "OTHER": "secret"}


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, str]]:
    """The variables of each container that would have been started."""
    started: list[Mapping[str, str]] = []

    @contextlib.contextmanager
    def start(engine: object, image: str, *, environment: Mapping[str, str], **_: object) -> Iterator[Served]:
        started.append(environment)
        yield Served("http://127.0.0.1:1", "docker", 0.1, cast(Any, None))

    monkeypatch.setattr(serving, "serve_in_container", start)
    monkeypatch.setattr(serving, "_engine", lambda *_: object())
    monkeypatch.setattr(serving, "_built", lambda *_: "image")
    for name, value in MACHINE.items():
        monkeypatch.setenv(name, value)
    return started


@pytest.mark.attack("run: variables")
def test_a_person_s_run_passes_what_the_flow_names_and_says_so(given: list[Mapping[str, str]], tmp_path: Path) -> None:
    build = BuildFolder(write_tree(tmp_path, BUILD), build_record())
    said = Recording()
    with serve(build, ServeRequest(environment={"EXTRA": "1"}), said):
        pass
    [environment] = given
    ours = {name: value for name, value in environment.items() if name in {*MACHINE, "EXTRA"}}
    assert ours == {"GREETING": "hi", "ASKED": "k", "PF_LOGGING_LEVEL": "DEBUG", "EXTRA": "1"}
    assert said[0] == "passing the variables that the flow names: ASKED, GREETING"
    assert said[1].startswith("warning: the flow names credentials of this machine")
    assert said[1].endswith("does not get them: GITHUB_TOKEN")
    assert said[2].endswith("--env GITHUB_TOKEN")
    assert not any("secret" in line for line in said)


def test_missing_variables_are_reported_before_anything_is_built(
    given: list[Mapping[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ASKED")
    build = BuildFolder(write_tree(tmp_path, BUILD), build_record())
    with (
        pytest.raises(InputError, match="a variable that the flow needs is not set") as caught,
        serve(build, ServeRequest(), SILENT),
    ):
        pass
    assert caught.value.detail == "ASKED"
    assert caught.value.exit_code == 1
    assert given == []


@pytest.mark.parametrize(("network", "warned"), [(None, True), ("host", False)])
def test_a_loopback_address_is_the_containers_own(
    given: list[Mapping[str, str]], network: str | None, warned: bool, tmp_path: Path
) -> None:
    build = BuildFolder(write_tree(tmp_path, BUILD), build_record())
    said = Recording()
    url = "http://user:hush@127.0.0.1:8080/v1"
    with serve(build, ServeRequest(environment={"BASE_URL": url}, network=network), said):
        pass
    lines = [line for line in said if "127.0.0.1" in line]
    assert bool(lines) is warned
    assert not any("hush" in line for line in said)


@pytest.mark.attack("run: variables")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ASKED": "k"}, "passed"),
        ({"ASKED": ""}, "not tested: ASKED not given with --env"),
        ({}, "not tested: ASKED not given with --env"),
    ],
)
def test_ci_passes_what_it_was_given_and_nothing_else(
    given: list[Mapping[str, str]],
    options: Mapping[str, str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flowpack.ci.run_flows.score", lambda *_: SimpleNamespace(seconds=0.1))
    flow = read_flow(write_tree(tmp_path, BUILD) / "flow")
    built = SimpleNamespace(
        plan=SimpleNamespace(variables=("ASKED",)),
        assembled=SimpleNamespace(flow=flow),
        image=SimpleNamespace(reference=ImageReference.parse("registry.example/f:1")),
    )
    request = CiRequest(sources=(), build=cast(Any, None), image=cast(Any, None), environment=options)
    run = _FlowRun(request, cast(Any, None), SILENT, FlowResult(flow="f", source="f"))
    assert run._test(cast(Built, built)).startswith(told)
    assert given == ([options] if told == "passed" else [])
