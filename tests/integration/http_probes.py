"""Requests that tell one server of a flow from another, and what of the answers a client can rely on."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# How the bytes travel is the server's business; the rest is the application's.
_OF_THE_SERVER = {"server", "date", "connection", "keep-alive", "content-length", "transfer-encoding"}
_JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Probe:
    name: str
    method: str = "POST"
    path: str = "/score"
    body: bytes | Iterable[bytes] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str


def ask(url: str, probe: Probe) -> Answer:
    """The server's own address reads ``HOST``."""
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request(probe.method, probe.path, probe.body, dict(probe.headers))
        response = connection.getresponse()
        body = response.read().decode().replace(host, "HOST")
        headers = {name.lower(): value.replace(host, "HOST") for name, value in response.getheaders()}
    finally:
        connection.close()
    if "allow" in headers:  # Werkzeug writes a set, in another order at each start
        headers["allow"] = ", ".join(sorted(headers["allow"].split(", ")))
    return Answer(response.status, {key: headers[key] for key in sorted(headers.keys() - _OF_THE_SERVER)}, body)


def scores(good: Mapping[str, Any], wrong: Mapping[str, Any]) -> list[Probe]:
    """``good`` is a whole input, ``wrong`` one with a value of a type that its field does not take."""

    def post(name: str, body: bytes | Iterable[bytes] | None, **headers: str) -> Probe:
        return Probe(
            name, body=body, headers={**_JSON, **{key.replace("_", "-"): each for key, each in headers.items()}}
        )

    text = json.dumps(good).encode()
    return [
        post("good input", text),
        post("no input", b"{}"),
        post("wrong type", json.dumps({**good, **wrong}).encode()),
        post("null", json.dumps(dict.fromkeys(good)).encode()),
        post("one more field", json.dumps({**good, "unknown": [1, {"a": "b"}]}).encode()),
        post("empty body", b""),
        post("no body", None),
        post("no JSON", b"question=hello"),
        post("half a JSON", text[:-1]),
        post("a list", json.dumps([good]).encode()),
        post("a string", b'"hello"'),
        post("no UTF-8", b'{"question": "\xff"}'),
        post("text that is not ASCII", json.dumps(good | {"more": "né 你好"}, ensure_ascii=False).encode()),
        replace(post("wrong content type", text), headers={"content-type": "text/plain"}),
        replace(post("no content type", text), headers={}),
        replace(post("a form", b"question=a"), headers={"content-type": "application/x-www-form-urlencoded"}),
        post("in chunks", [text[:5], text[5:]]),
        post("asks for HTML", text, accept="text/html"),
        post("asks for JSON", text, accept="application/json"),
        post("asks for a stream", text, accept="text/event-stream"),
        post("asks for a stream or JSON", text, accept="text/event-stream, application/json"),
        post("from another origin", text, origin="https://app.example"),
        post("wrong input from another origin", b"x", origin="https://app.example"),
        post("with identities", text, x_request_id="r-1", x_ms_client_request_id="c-1"),
    ]


def routes() -> list[Probe]:
    origin = {"origin": "https://app.example"}
    preflight = {
        **origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type, authorization",
    }
    return [
        Probe("health", "GET", "/health"),
        Probe("health from another origin", "GET", "/health", headers=origin),
        Probe("health, head alone", "HEAD", "/health"),
        Probe("health, wrong method", "POST", "/health", b""),
        Probe("version", "GET", "/version"),
        Probe("swagger", "GET", "/swagger.json"),
        Probe("feedback", "POST", "/feedback", b'{"liked": true}', _JSON),
        Probe("feedback in parts", "POST", "/feedback?flatten=true", b'{"liked": true}', _JSON),
        Probe("feedback that is no JSON", "POST", "/feedback?flatten=true", b"well done", _JSON),
        Probe("feedback, wrong method", "GET", "/feedback"),
        Probe("score, wrong method", "GET", "/score"),
        Probe("score, deleted", "DELETE", "/score"),
        Probe("score, put", "PUT", "/score", b"{}", _JSON),
        Probe("score, with a slash", "POST", "/score/", b"{}", _JSON),
        Probe("score, with a query", "POST", "/score?a=b", b"{}", _JSON),
        Probe("options", "OPTIONS", "/score"),
        Probe("preflight", "OPTIONS", "/score", headers=preflight),
        Probe("unknown route", "GET", "/no/such/route"),
        Probe("unknown route, posted", "POST", "/no-such-route", b"{}", _JSON),
        Probe("a file of the flow", "GET", "/flow.dag.yaml"),
        Probe("a path that climbs", "GET", "/static/..%2f..%2fapp.py"),
        Probe("home", "GET", "/"),
        Probe("home, posted", "POST", "/", b""),
    ]
