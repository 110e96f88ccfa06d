"""Secrets of the kinds that are handed out today are found, taken out of messages, and looked for in linear time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowpack.secret_forms import MASK, find_secrets, scrub
from tests.planted_secrets import own_part, planted

KINDS = pytest.mark.parametrize("kind", planted())


@KINDS
@pytest.mark.attack("M5")
def test_a_secret_of_each_kind_is_found_at_its_place(kind: str) -> None:
    before = b"# a line\nvalue: "
    found = list(find_secrets(before + planted()[kind].encode() + b"\n"))
    assert kind in [each for _, each in found]
    assert all(start >= len(before) for start, _ in found)


@KINDS
@pytest.mark.attack("M5")
@given(seed=st.integers(0, 10_000))
@settings(max_examples=20)
def test_a_secret_of_each_kind_is_in_no_message(kind: str, seed: int) -> None:
    line = planted(seed)[kind]
    text = scrub(f"the tool said: {line} and went on")
    assert own_part(line) not in text
    assert MASK in text
    assert text.endswith("and went on")


@pytest.mark.attack("M5")
@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/x?sv=1&sig=short",
        "Authorization: Basic dXNlcjpwYXNz",
        "password=hunter2-of-mine",
        "https://user:p@ss@host/simple",
        "git+https://TOKEN@host/x.git",
        "AZURE_OPENAI_API_KEY=abcd1234abcd1234",
        "client_secret: abc123def456",
    ],
)
def test_what_names_itself_a_secret_is_in_no_message_whatever_its_form(text: str) -> None:
    assert MASK in scrub(text)
    for word in ("short", "dXNlcjpwYXNz", "hunter2", "ss@", "TOKEN", "abcd1234", "abc123"):
        assert word not in scrub(text)


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://${USER}:${PASSWORD}@packages.example/simple",
        "--index-url https://user:password@packages.example/simple",
        "--index-url https://<user>:<your key>@packages.example/simple",
        "x @ git+https://git@github.com/x/y",
        'f"https://{user}:{password}@host"',
        "api_key: ${azure.api_key}",
        'api_key: "<your key>"',
        "api_key: your-api-key-here",
        "AKIA" + "IOSFODNN7EXAMPLE",
        "gh" + "p_" + "x" * 36,
        "class='sk-folding-cube sk-circle-fade-dot-of-the-spinner'",
        "InstrumentationKey=00000000-0000-0000-0000-000000000000",
        "https://example.com/@scope/package",
        "def sig(x): return sig=x",
    ],
)
def test_placeholders_and_variables_are_no_secrets(line: str) -> None:
    assert list(find_secrets(line.encode(), names_indexes=True)) == []


def test_messages_keep_what_is_no_secret() -> None:
    for text in (
        "connection 'weather service' needs WEATHER_SERVICE_API_KEY",
        "environment_variables.password: expected a string, found a list",
        "flow.dag.yaml:3:1: api_key: expected something else",
        "pushed localhost:5000/chat@sha256:1234",
        "https://example.com/path?x=1",
        "password: {{ password }}, secret=${env:X}",
    ):
        assert scrub(text) == text


def test_a_user_alone_is_a_token_where_indexes_are_named() -> None:
    line = b"--extra-index-url https://" + b"t0ken-of-mine" + b"@packages.example/simple"
    assert [kind for _, kind in find_secrets(line, names_indexes=True)] == ["credentials of a package index"]
    assert list(find_secrets(line)) == []


SHAPES = [
    "a://",
    "http://:",
    "http://a:b",
    "https://a@",
    "sk-",
    "eyJ",
    "eyJaaaaaaaaaaaa.",
    "-----BEGIN ",
    "-----BEGIN RSA PRIVATE KEY-----",
    "glpat-",
    "xoxb-12345678-",
    "AKIA",
    "sig=",
    "?sig=a&",
    "8Q~",
    "api_key:",
    "api_key = ",
    "secret_",
    "a-secret=",
    "password: ",
    "authorization: ",
    "AccountKey=",
    "InstrumentationKey=1234",
    "aaaa-",
    "pypi-AgE",
]


@pytest.mark.attack("super-linear: secrets")
@pytest.mark.parametrize("look", [scrub, lambda text: list(find_secrets(text.encode(), names_indexes=True))])
@pytest.mark.parametrize("shape", SHAPES)
def test_time_grows_with_length_alone(look: Callable[[str], object], shape: str) -> None:
    began = time.monotonic()
    look(shape * (512 * 1024 // len(shape)))
    assert time.monotonic() - began < 10
