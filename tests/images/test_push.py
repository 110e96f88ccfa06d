"""The decisions of a push, on what engines and registries say; the pushes themselves are in tests/integration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from flowpack.errors import EngineError, FlowpackError, RegistryError
from flowpack.images.push import PushedImage, PushProgress, push_image
from flowpack.images.reference import ImageReference
from flowpack.process import Completed

REFERENCE = ImageReference.parse("registry.example/team/flow:1")
DIGEST = "sha256:" + "a1" * 32


class Client:
    """Answers each push with the next of these outputs; an output with a digest is a push that went well."""

    def __init__(self, *outputs: str) -> None:
        self.outputs = list(outputs)
        self.calls: list[tuple[str, ...]] = []

    def __call__(
        self,
        args: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str | None] | None = None,
        on_line: Callable[[str], None] | None = None,
        timeout: float | None = None,
    ) -> Completed:
        self.calls.append(tuple(args))
        output = self.outputs.pop(0)
        if on_line:
            for line in output.splitlines():
                on_line(line)
        return Completed(tuple(args), 0 if "sha256:" in output or "[]" in output else 1, output, "")


def push(*outputs: str) -> tuple[PushedImage | FlowpackError, list[float]]:
    waits: list[float] = []
    try:
        return push_image(Client(*outputs), "docker", REFERENCE, sleep=waits.append), waits
    except FlowpackError as error:
        return error, waits


DONE = f"The push refers to repository [registry.example/team/flow]\n1: digest: {DIGEST} size: 528"


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
    pushed, waits = push(words, words, DONE)
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
        ('error getting credentials - err: exec: "docker-credential-x": executable file not found', "credHelpers"),
        ("name invalid: invalid repository name", None),
        ("something that nobody has seen before", None),
    ],
)
def test_a_refusal_is_told_at_once_in_the_registrys_words(words: str, hint: str | None) -> None:
    error, waits = push(words)
    assert isinstance(error, RegistryError)
    assert error.detail == words
    assert (hint in (error.hint or "")) if hint else error.hint is None
    assert waits == []


def test_docker_hub_needs_no_name_at_login() -> None:
    with pytest.raises(RegistryError) as caught:
        push_image(Client("denied: requested access"), "docker", ImageReference.parse("team/flow:1"))
    assert (caught.value.hint or "").startswith("docker login, ")


@pytest.mark.parametrize(
    ("asked", "waited"), [("12", 12.0), ("152.63µs", 1.0), ("250ms", 1.0), ("10m", 60.0), ("3.5s", 3.5)]
)
def test_the_registrys_own_wait_is_kept_within_reason(asked: str, waited: float) -> None:
    _, waits = push(f"toomanyrequests: retry-after: {asked}, allowed: 44000/minute", DONE)
    assert waits == [waited]


def test_a_registry_that_stays_away_is_given_up_on_after_four_attempts() -> None:
    error, waits = push(*["unexpected EOF"] * 4)
    assert isinstance(error, RegistryError)
    assert "failed, 4 times in a row" in error.message
    assert error.detail == "unexpected EOF"
    assert waits == [1.0, 2.0, 4.0]


def test_an_engine_that_goes_away_is_an_error_of_the_engine() -> None:
    error, waits = push("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.")
    assert isinstance(error, EngineError)
    assert waits == []


def test_the_push_names_its_tag() -> None:
    client = Client(DONE)
    push_image(client, "docker", ImageReference.parse("registry.example/team/flow"))
    assert client.calls == [("docker", "push", "registry.example/team/flow:latest")]


def test_a_client_that_prints_no_digest_leaves_it_with_the_engine() -> None:
    noted = f'["other.example/x@sha256:{"b" * 64}","registry.example/team/flow@{DIGEST}"]'
    client = Client(f"Pushed by sha256:{'0' * 10}", noted)
    assert str(push_image(client, "docker", REFERENCE).digest) == DIGEST
    with pytest.raises(EngineError, match="did not say under which digest"):
        push_image(Client("sha256:", "[]"), "docker", REFERENCE)


def test_credentials_in_a_registrys_words_are_taken_out() -> None:
    error, _ = push('denied: Get "https://me:hunter2@registry.example/v2/": authorization: Basic bWU6aHVudGVyMg==')
    assert "hunter2" not in str(error)
    assert "bWU6aHVudGVyMg" not in str(error)


def test_layers_are_summed_up() -> None:
    progress = PushProgress(heartbeat=10)
    lines = [
        "The push refers to repository [registry.example/team/flow]",
        "ae653879841f: Preparing",
        "f1f4620c3d72: Preparing",
        "c8e284c78767: Waiting",
        "ae653879841f: Layer already exists",
        "f1f4620c3d72: Retrying in 5 seconds",
        "f1f4620c3d72: Retrying in 4 seconds",
        "c8e284c78767: Mounted from team/other",
    ]
    told = [event for at, line in enumerate(lines) for event in progress.line(line, now=float(at))]
    assert told == ["  layer f1f4620c3d72 broke off; the engine tries it again"]
    assert progress.tick(now=8.0) == []
    assert progress.tick(now=16.0) == ["  … 2 of 3 layers are there"]
    assert progress.line("f1f4620c3d72: Pushed", now=17.0) == ["  layer f1f4620c3d72 pushed (3 of 3)"]
    assert str(progress) == "3 layers, 1 of them new"
    assert progress.words == ""
