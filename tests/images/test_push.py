"""The decisions of a push, on what engines and registries say; the pushes themselves are in tests/integration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import pytest
import requests

from flowpack.errors import EngineError, FlowpackError, RegistryError
from flowpack.images.engine.model import PushedImage
from flowpack.images.engine.push import push_image
from flowpack.images.reference import ImageReference
from tests.recording import Recording

REFERENCE = ImageReference.parse("registry.example/team/flow:1")
DIGEST = "sha256:" + "a1" * 32


class Api:
    """An engine that answers each push with the next of these streams."""

    def __init__(self, *streams: Sequence[Mapping[str, Any]], noted: Sequence[str] = ()) -> None:
        self.streams = list(streams)
        self.noted = noted
        self.calls: list[tuple[str, str, Mapping[str, str]]] = []

    def push(self, name: str, *, tag: str, auth_config: Mapping[str, str], **_: object) -> Iterator[Mapping[str, Any]]:
        self.calls.append((name, tag, auth_config))
        return iter(self.streams.pop(0))

    def inspect_image(self, _: str) -> Mapping[str, Any]:
        return {"RepoDigests": self.noted}


def refused(words: str) -> list[Mapping[str, Any]]:
    return [{"errorDetail": {"message": words}, "error": words}]


def push_by(api: Api, reference: ImageReference = REFERENCE, **options: Any) -> PushedImage:
    return push_image(cast(Any, api), reference, credentials=lambda _: {"username": "me"}, **options)


def push(*streams: Sequence[Mapping[str, Any]]) -> tuple[PushedImage | FlowpackError, list[float]]:
    waits: list[float] = []
    try:
        return push_by(Api(*streams), sleep=waits.append), waits
    except FlowpackError as error:
        return error, waits


DONE: list[Mapping[str, Any]] = [
    {"status": "The push refers to repository [registry.example/team/flow]"},
    {"status": f"1: digest: {DIGEST} size: 528"},
    {"progressDetail": {}, "aux": {"Tag": "1", "Digest": DIGEST, "Size": 528}},
]


@pytest.mark.parametrize(
    "words",
    [
        "received unexpected HTTP status: 503 Service Unavailable",
        "received unexpected HTTP status: 500 Internal Server Error",
        'Put "https://registry.example/v2/team/flow/manifests/1": EOF',
        "write tcp 10.0.0.2:40000->10.0.0.3:443: write: connection reset by peer",
        "write tcp 10.0.0.2:40000->10.0.0.3:443: write: broken pipe",
        "net/http: TLS handshake timeout",
        'Get "https://registry.example/v2/": dial tcp 10.0.0.3:443: connect: connection refused',
        "unexpected EOF",
        "toomanyrequests: Rate exceeded",
        "error parsing HTTP 429 response body: received unexpected HTTP status: 429 Too Many Requests",
        "unexpected status from PUT request to https://registry.example/v2/team/flow/manifests/1: 502 Bad Gateway",
    ],
)
def test_what_passes_is_tried_again(words: str) -> None:
    pushed, waits = push(refused(words), refused(words), DONE)
    assert isinstance(pushed, PushedImage)
    assert str(pushed) == f"registry.example/team/flow@{DIGEST}"
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("denied: requested access to the resource is denied", "docker login registry.example"),
        ("unauthorized: authentication required", "docker login registry.example"),
        ("no basic auth credentials", "docker login registry.example"),
        ("denied: the quota of 500 GB is used up, status 503", "docker login registry.example"),
        ("unexpected status from POST request to https://registry.example/v2/: 403 Forbidden", "docker login"),
        ("http: server gave HTTP response to HTTPS client", "insecure-registries"),
        ("x509: certificate signed by unknown authority", "/etc/docker/certs.d/registry.example/ca.crt"),
        ("dial tcp: lookup registry.example: no such host", "check the registry's name"),
        ("name invalid: invalid repository name", None),
        ("something that nobody has seen before", None),
    ],
)
def test_a_refusal_is_told_at_once_in_the_registrys_words(words: str, hint: str | None) -> None:
    error, waits = push(refused(words))
    assert isinstance(error, RegistryError)
    assert error.detail == words
    assert (hint in (error.hint or "")) if hint else error.hint is None
    assert waits == []


def test_docker_hub_needs_no_name_at_login() -> None:
    with pytest.raises(RegistryError) as caught:
        push_by(Api(refused("denied: requested access")), ImageReference.parse("team/flow:1"))
    assert (caught.value.hint or "").startswith("docker login, ")


@pytest.mark.parametrize(
    ("asked", "waited"), [("12", 12.0), ("152.63µs", 1.0), ("250ms", 1.0), ("10m", 60.0), ("3.5s", 3.5)]
)
def test_the_registrys_own_wait_is_kept_within_reason(asked: str, waited: float) -> None:
    _, waits = push(refused(f"toomanyrequests: retry-after: {asked}, allowed: 44000/minute"), DONE)
    assert waits == [waited]


def test_a_registry_that_stays_away_is_given_up_on_after_four_attempts() -> None:
    error, waits = push(*[refused("unexpected EOF")] * 4)
    assert isinstance(error, RegistryError)
    assert "failed, 4 times in a row" in error.message
    assert error.detail == "unexpected EOF"
    assert waits == [1.0, 2.0, 4.0]


def test_an_engine_that_goes_away_is_an_error_of_the_engine() -> None:
    class Gone(Api):
        def push(self, *_: object, **__: object) -> Iterator[Mapping[str, Any]]:
            raise requests.ConnectionError("Connection refused")

    with pytest.raises(EngineError, match="the engine went away"):
        push_by(Gone())


def test_the_push_names_its_tag_and_gives_the_login() -> None:
    api = Api(DONE)
    push_by(api, ImageReference.parse("registry.example/team/flow"))
    assert api.calls == [("registry.example/team/flow", "latest", {"username": "me"})]


def test_a_stream_without_the_digest_leaves_it_with_the_engine() -> None:
    noted = [f"other.example/x@sha256:{'b' * 64}", f"registry.example/team/flow@{DIGEST}"]
    assert str(push_by(Api([], noted=noted)).digest) == DIGEST
    with pytest.raises(EngineError, match="did not say under which digest"):
        push_by(Api([]))


def test_credentials_in_a_registrys_words_are_taken_out() -> None:
    words = 'denied: Get "https://me:hunter2@registry.example/v2/": authorization: Basic bWU6aHVudGVyMg=='
    error, _ = push(refused(words))
    assert "hunter2" not in str(error)
    assert "bWU6aHVudGVyMg" not in str(error)


def test_layers_and_bytes_are_summed_up() -> None:
    def layer(name: str, status: str, **progress: int) -> Mapping[str, Any]:
        return {"id": name, "status": status, "progressDetail": progress}

    stream = [
        layer("ae653879841f", "Preparing"),
        layer("f1f4620c3d72", "Preparing"),
        layer("c8e284c78767", "Waiting"),
        layer("ae653879841f", "Layer already exists"),
        layer("f1f4620c3d72", "Pushing", current=10, total=40),
        layer("f1f4620c3d72", "Retrying in 5 seconds"),
        layer("f1f4620c3d72", "Retrying in 4 seconds"),
        layer("f1f4620c3d72", "Pushing", current=30, total=40),
        layer("c8e284c78767", "Mounted from team/other"),
        layer("f1f4620c3d72", "Pushed"),
    ]
    told = Recording()
    pushed = push_by(Api([*stream, *DONE]), reporter=told)
    assert (pushed.layers, pushed.new_layers) == (3, 1)
    assert told == [
        "warning: layer f1f4620c3d72 broke off; the engine tries it again",
        f"pushed {REFERENCE}: 3 layers, 1 of them new",
    ]
    progress = told.tasks[f"pushing {REFERENCE}"].progress
    assert progress[0] == (10, 40)
    assert progress[-1] == (40, 40)
