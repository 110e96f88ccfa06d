"""Asking an endpoint: which deployment, with which key, and what happens while its route is not there yet."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from flowpack.azureml.endpoints import scoring
from flowpack.azureml.endpoints.scoring import ask, refuse_unknown_inputs_of
from flowpack.azureml.endpoints.states import SUCCEEDED, Endpoint
from flowpack.errors import InputError, ServingError


class Route(HTTPServer):
    """Answers with the statuses of ``statuses``, one a request, then with 200."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.swagger: object = None


class _Handler(BaseHTTPRequestHandler):
    server: Route

    def do_POST(self) -> None:
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"answer": "hi"}'
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        body = json.dumps(self.server.swagger).encode()
        self.send_response(200 if self.server.swagger and self.path == "/swagger.json" else 404)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def route(monkeypatch: pytest.MonkeyPatch) -> Iterator[Route]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(scoring, "_PAUSE", 0.01)
    with Route() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def endpoint_at(route: Route) -> Endpoint:
    return Endpoint(
        name="chat",
        id="chat",
        state=SUCCEEDED,
        auth_mode="key",
        scoring_uri=f"http://127.0.0.1:{route.server_port}/score",
        traffic={},
        mirror_traffic={},
        tags={},
    )


def test_the_request_names_the_deployment_and_carries_the_key(route: Route) -> None:
    assert ask(endpoint_at(route), "secret", {"question": "hi"}, deployment="green").answer == {"answer": "hi"}
    (headers,) = route.headers
    assert (headers["authorization"], headers["azureml-model-deployment"]) == ("Bearer secret", "green")


def test_without_a_deployment_the_traffic_decides(route: Route) -> None:
    ask(endpoint_at(route), "secret", {})
    assert "azureml-model-deployment" not in route.headers[0]


def test_a_route_that_is_not_there_yet_is_asked_again(route: Route) -> None:
    route.statuses = [503, 502, 429]
    assert ask(endpoint_at(route), "secret", {}).status == 200
    assert len(route.headers) == 4


@pytest.mark.parametrize("status", [400, 401, 424, 500])
def test_a_refusal_is_not_asked_again(route: Route, status: int) -> None:
    route.statuses = [status]
    with pytest.raises(ServingError, match=f"answered {status}"):
        ask(endpoint_at(route), "secret", {})
    assert len(route.headers) == 1


def test_patience_with_a_route_has_an_end(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_PATIENCE", 0.05)
    route.statuses = [503] * 1000
    with pytest.raises(ServingError, match="answered 503"):
        ask(endpoint_at(route), "secret", {})


def test_an_endpoint_without_an_address_is_refused(route: Route) -> None:
    with pytest.raises(InputError, match="no scoring URI yet"):
        ask(replace(endpoint_at(route), scoring_uri=""), "secret", {})


def swagger(**properties: object) -> object:
    schema = {"type": "object", "properties": properties}
    return {"paths": {"/score": {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}}}


def test_an_input_that_the_served_flow_does_not_have_is_refused_with_the_nearest(route: Route) -> None:
    route.swagger = swagger(question={"type": "string"})
    with pytest.raises(InputError, match="the flow has no input 'questoin'") as caught:
        refuse_unknown_inputs_of(endpoint_at(route), "key", {"questoin": "hi"})
    assert caught.value.hint == "did you mean 'question'?"
    refuse_unknown_inputs_of(endpoint_at(route), "key", {"question": "hi"})


def test_a_server_that_does_not_say_which_inputs_it_takes_answers_for_itself(route: Route) -> None:
    refuse_unknown_inputs_of(endpoint_at(route), "key", {"questoin": "hi"})
    route.swagger = {"paths": []}
    refuse_unknown_inputs_of(endpoint_at(route), "key", {"questoin": "hi"})
