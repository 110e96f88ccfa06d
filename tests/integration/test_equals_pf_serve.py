"""A container of flowpack answers as ``pf flow serve`` does: whoever moves from one to the other changes no client.

Both engines, request by request. Answers are compared whole: status, body byte for byte, and headers but for those
that say how the bytes travel (``http_probes``), where gunicorn differs from promptflow's development server on purpose:
it names itself otherwise and keeps connections open, for the proxies in front of it.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowpack.images.engine import find_engine
from flowpack.running.containers import serve_in_container
from tests.commands import flowpack
from tests.integration.conftest import BuiltImage
from tests.integration.http_probes import Answer, Probe, ask, routes, scores
from tests.integration.pf_serve import PromptFlow
from tests.openai_stub import OpenAIStub
from tests.paths import FLOWS

pytestmark = [pytest.mark.engine, pytest.mark.network]

engines = pytest.mark.parametrize("serving_engine", ["flask", "fastapi"])

# Answers of promptflow 1.18.5 that look like mistakes, and are kept: clients may have come to rely on them.
KEPT_AS_THEY_ARE = {
    "flask": {
        "home": 400,  # its page is never rendered: an import is missing
        "score, wrong method": 404,
    },
    "fastapi": {"home": 200, "score, wrong method": 405},
}

# What promptflow takes for a fault of its own, 500, and flowpack for the caller's: docs/reference/serving.md.
REFUSED_AS_THE_CALLERS = ("a list", "a string", "no UTF-8", "a path that climbs")

# With these promptflow fails, says that inputs are missing, or runs the flow with inputs that the client did not give.
# flowpack says what is wrong with the body.
NOT_AN_OBJECT = ("a list", "a string")


@pytest.fixture(scope="module")
def stub() -> Iterator[OpenAIStub]:
    with OpenAIStub(key="test-key", host="0.0.0.0") as running:
        yield running


@pytest.fixture(scope="module")
def pf(tmp_path_factory: pytest.TempPathFactory, stub: OpenAIStub) -> PromptFlow:
    oracle = PromptFlow(tmp_path_factory.mktemp("promptflow"))
    fields = {"type": "azure_open_ai", "api_base": stub.url, "api_key": "test-key", "api_version": "2024-02-01"}
    oracle.create_connection("open_ai_connection", fields)
    oracle.create_connection("front desk", {"type": "custom", "configs": {"name": "desk 3"}, "secrets": {"key": "k"}})
    return oracle


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """What ``flowpack build`` writes for a fixture; written once."""

    @functools.cache
    def build(name: str) -> Path:
        output = tmp_path_factory.mktemp(name) / "out"
        flowpack("build", FLOWS / name, "--output", output)
        return output

    return build


def standalone(flow: Path, folder: Path) -> Path:
    """Named as the folder of an image is, since promptflow names a flow after its folder."""
    return Path(shutil.copytree(flow, folder / "flow"))


def answers(url: str, probes: Sequence[Probe]) -> dict[str, Answer]:
    return {probe.name: ask(url, probe) for probe in probes}


def assert_equal(ours: Mapping[str, Answer], theirs: Mapping[str, Answer]) -> None:
    """But for the refusals that have a name."""
    refused = {name for name in REFUSED_AS_THE_CALLERS if name in theirs and theirs[name].status == 500}
    refused |= set(NOT_AN_OBJECT) & set(theirs)
    assert {name: ours[name] for name in ours if name not in refused} == {
        name: theirs[name] for name in theirs if name not in refused
    }
    for name in refused:
        assert 400 <= ours[name].status < 500
        assert json.loads(ours[name].body)["error"]["code"] == "UserError"
        assert ours[name].headers == theirs[name].headers
    for name in set(NOT_AN_OBJECT) & refused:
        assert "send an object with the flow's inputs as keys" in json.loads(ours[name].body)["error"]["message"]


def compared(theirs: str, ours: str, probes: Sequence[Probe], stub: OpenAIStub) -> dict[str, Answer]:
    """promptflow's answers, once flowpack's equal them and the model was asked the same, in the same order."""
    objects = [probe for probe in probes if probe.name not in NOT_AN_OBJECT]
    others = [probe for probe in probes if probe.name in NOT_AN_OBJECT]  # promptflow may make something of them
    stub.requests.clear()
    expected, asked = answers(theirs, objects), taken(stub)
    assert_equal(answers(ours, objects), expected)
    assert taken(stub) == asked, "the model is asked the same, in the same order"
    assert_equal(answers(ours, others), answers(theirs, others))
    stub.requests.clear()
    return expected


@engines
def test_a_python_flow(serving_engine: str, pf: PromptFlow, chat_image: BuiltImage, tmp_path: Path) -> None:
    """In an image that has promptflow-core alone, with the flow mounted over the one it was built with."""
    flow = standalone(FLOWS / "python-only", tmp_path)
    probes = [*scores({"text": "to be or not"}, {"text": [1, 2]}), *routes()]
    mounted = [f"{flow}:/flow:ro"]
    with pf.serve(flow, serving_engine) as theirs, serve(chat_image, serving_engine, binds=mounted) as ours:
        expected = answers(theirs, probes)
        assert_equal(answers(ours, probes), expected)
    assert expected["good input"].body.strip() == '{"word_count":4}'
    assert expected["a string"].status == 500
    kept = KEPT_AS_THEY_ARE[serving_engine]
    assert {name: expected[name].status for name in kept} == kept


@engines
def test_a_chat_flow_of_several_files(
    serving_engine: str, pf: PromptFlow, chat_image: BuiltImage, tmp_path: Path
) -> None:
    flow = standalone(chat_image.context / "flow", tmp_path)
    good = {"question": "Is membership free?", "chat_history": []}
    probes = [*scores(good, {"chat_history": "none"}), *routes(), a_failing_tool(good)]
    with pf.serve(flow, serving_engine) as theirs, serve(chat_image, serving_engine) as ours:
        expected = answers(theirs, probes)
        assert_equal(answers(ours, probes), expected)
    assert '"source":"membership"' in expected["good input"].body
    assert "KeyError" in expected["a tool fails"].body


@engines
def test_an_llm_flow_that_streams(
    serving_engine: str, pf: PromptFlow, llm_image: BuiltImage, stub: OpenAIStub, tmp_path: Path
) -> None:
    flow = standalone(llm_image.context / "flow", tmp_path)
    given = {"OPEN_AI_CONNECTION_API_KEY": "test-key", "OPEN_AI_CONNECTION_API_BASE": stub.container_url}
    probes = [*scores({"question": "Who are you?", "chat_history": []}, {"chat_history": 7}), *routes()]
    with pf.serve(flow, serving_engine) as theirs, serve(llm_image, serving_engine, given) as ours:
        expected = compared(theirs, ours, probes, stub)
        assert first_event(ours, stub) == first_event(theirs, stub) == b'data: {"answer": "echo: "}\n'
    streamed = expected["asks for a stream"]
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert streamed.body.startswith('data: {"answer": "echo: "}\n\ndata: {"answer": "Who "}\n\n')


GREETED = {
    "model_config": {"connection": "open_ai_connection", "azure_deployment": "gpt-4o"},
    "desk": "front desk",
    "greeting": "Good day.",
}


@pytest.mark.parametrize(("serving_engine", "init"), [("flask", None), ("fastapi", GREETED)])
def test_a_flex_class(
    serving_engine: str,
    init: Mapping[str, Any] | None,
    pf: PromptFlow,
    chat_image: BuiltImage,
    built: Callable[[str], Path],
    stub: OpenAIStub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Made with its sample's init, or with what the variable for it holds."""
    given = {"PF_FLOW_INIT_CONFIG": json.dumps(init)} if init else {}
    for name, value in given.items():
        monkeypatch.setitem(pf.environment, name, value)
    kind = Kind(built("flex-class-with-init"), tmp_path, stub, given)
    probes = [*scores({"question": "Who wrote it?", "chat_history": []}, {"chat_history": 7}), *routes()]
    with pf.serve(kind.flow, serving_engine) as theirs, kind.serve(chat_image, serving_engine) as ours:
        expected = compared(theirs, ours, probes, stub)
    greeting = "Good day." if init else "Hello."
    assert f'"answer":"{greeting} echo: Who wrote it?"' in expected["good input"].body


@engines
def test_a_flex_function(
    serving_engine: str,
    pf: PromptFlow,
    chat_image: BuiltImage,
    built: Callable[[str], Path],
    stub: OpenAIStub,
    tmp_path: Path,
) -> None:
    kind = Kind(built("flex-function"), tmp_path, stub)
    probes = [*scores({"days_late": 3, "items": ["book", "map"]}, {"items": 4}), *routes()]
    with pf.serve(kind.flow, serving_engine) as theirs, kind.serve(chat_image, serving_engine) as ours:
        expected = answers(theirs, probes)
        assert_equal(answers(ours, probes), expected)
    assert expected["good input"].body.strip() == '{"amount":1.5,"currency":"EUR"}'


def test_a_prompty(
    pf: PromptFlow, chat_image: BuiltImage, built: Callable[[str], Path], stub: OpenAIStub, tmp_path: Path
) -> None:
    kind = Kind(built("prompty-chat"), tmp_path, stub)
    good = scores({"question": "Who wrote it?"}, {"question": 7})
    probes = [*good, *routes()]
    with pf.serve(kind.flow, "flask") as theirs, kind.serve(chat_image, "flask") as ours:
        expected = compared(theirs, ours, probes, stub)
    assert expected["good input"].body.strip() == '"echo: Who wrote it?"'
    # promptflow's own FastAPI engine fails at every request to a prompty.
    with pf.serve(kind.flow, "fastapi") as theirs, kind.serve(chat_image, "fastapi") as ours:
        assert ask(theirs, good[0]).status == 500
        assert ask(ours, good[0]).body == expected["good input"].body.strip()
        assert answers(ours, routes()) == answers(theirs, routes())


class Kind:
    """A fixture as ``flowpack build`` writes it, to be mounted into an image that has promptflow-core alone."""

    def __init__(
        self, built: Path, folder: Path, stub: OpenAIStub, environment: Mapping[str, str] | None = None
    ) -> None:
        self.flow = standalone(built / "flow", folder)
        self._connections = built / "connections"
        self._environment = {
            "OPEN_AI_CONNECTION_API_KEY": "test-key",
            "OPEN_AI_CONNECTION_API_BASE": stub.container_url,
            "FRONT_DESK_NAME": "desk 3",
            **(environment or {}),
        }

    def serve(self, image: BuiltImage, engine: str) -> contextlib.AbstractContextManager[str]:
        mounted = [f"{self.flow}:/flow:ro", f"{self._connections}:/connections:ro"]
        return serve(image, engine, self._environment, mounted)


@contextlib.contextmanager
def serve(
    image: BuiltImage, engine: str, environment: Mapping[str, str] | None = None, binds: Sequence[str] = ()
) -> Iterator[str]:
    given = {**(environment or {}), "PROMPTFLOW_SERVING_ENGINE": engine}
    with serve_in_container(find_engine(), image.tag, environment=given, host={"binds": list(binds)}) as served:
        yield served.url


def a_failing_tool(good: Mapping[str, Any]) -> Probe:
    """A history without the question that the flow's code looks for in it."""
    return replace(scores({**good, "chat_history": [{"inputs": {}}]}, {})[0], name="a tool fails")


def first_event(url: str, stub: OpenAIStub) -> bytes:
    """The one that comes while the model still holds back the end of its answer."""
    stub.hold = threading.Event()
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    headers = {"content-type": "application/json", "accept": "text/event-stream"}
    try:
        connection.request("POST", "/score", json.dumps({"question": "one two three"}), headers)
        response = connection.getresponse()
        first = response.readline()
        stub.hold.set()
        assert b"three" in response.read()
    finally:
        stub.hold.set()
        stub.hold = None
        connection.close()
    return first


def taken(stub: OpenAIStub) -> list[tuple[str, Any]]:
    """What the stub was asked since the last look."""
    asked = [(request.path, request.body) for request in stub.requests]
    stub.requests.clear()
    return asked
