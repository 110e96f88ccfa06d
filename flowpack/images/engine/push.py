"""Pushes an image through the engine's API, which answers with a stream of JSON.

The engine tries a broken layer again by itself; what it does not try again (a registry that is down or busy, a broken
manifest) is pushed again here: the layers that arrived are not sent twice.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import requests
from docker import APIClient
from docker.errors import APIError, DockerException

from flowpack.errors import EngineError, FlowpackError, RegistryError, UsageError, scrub
from flowpack.images.engine.credentials import credentials_for
from flowpack.images.engine.endpoint import explanation
from flowpack.images.engine.model import PushedImage
from flowpack.images.reference import DOCKER_HUB, Digest, ImageReference
from flowpack.reporting import SILENT, Reporter, Task

ATTEMPTS = 4
_LONGEST_WAIT = 60.0

_RETRY_AFTER = re.compile(r"retry[- ]after:?\s*(?P<amount>\d+(?:\.\d+)?)\s*(?P<unit>ms|[µμu]s|m|s)?", re.I)
_SECONDS = {"ms": 0.001, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "m": 60.0, "s": 1.0}

# What the engine says of a registry, in the order of asking; a refusal may mention a status that looks passing.
_NOT_LOGGED_IN = re.compile(
    r"unauthorized|authentication required|no basic auth credentials|denied|forbidden|insufficient_scope|\b40[13]\b",
    re.I,
)
_NOT_HERE = re.compile(r"does not exist locally|No such image|tag does not exist", re.I)
_NOT_HTTPS = re.compile(r"server gave HTTP response to HTTPS client", re.I)
_UNTRUSTED = re.compile(r"x509|certificate", re.I)
_NO_SUCH_HOST = re.compile(r"no such host", re.I)
_BUSY = re.compile(r"toomanyrequests|too many requests|rate exceeded|status[^0-9\n]{0,9}429\b", re.I)
_PASSING = re.compile(
    r"(?:status[^0-9\n]{0,9}|: )5\d\d\b|service unavailable|internal server error|bad gateway"
    r"|\bEOF\b|connection reset|broken pipe|connection refused|timeout|timed out|deadline exceeded"
    r"|closed network connection|server closed|transport connection broken|temporary failure|server misbehaving"
    r"|blob upload (?:invalid|unknown)|use of closed",
    re.I,
)


def push_image(
    api: APIClient,
    reference: ImageReference,
    reporter: Reporter = SILENT,
    *,
    credentials: Callable[[str], Mapping[str, str]] = credentials_for,
    sleep: Callable[[float], None] = time.sleep,
    attempts: int = ATTEMPTS,
) -> PushedImage:
    """RegistryError in the registry's own words where it refuses or stays away."""
    if reference.digest:
        raise UsageError(f"'{reference}' names a digest, and a push needs a tag", hint=f"push {reference.name}:TAG")
    reference = reference.tagged()
    login = credentials(reference.registry)
    for attempt in range(1, attempts + 1):
        with reporter.task(f"pushing {reference}", "bytes") as task:
            layers = _pushed(api, reference, login, PushedLayers(task, reporter))
            if layers.refusal is None:
                task.finish(f"pushed {reference}: {layers}")
                digest = layers.digest or _digest_in_engine(api, reference)
                return PushedImage(reference, digest, layers.count, layers.new)
        words = layers.refusal
        wait = _wait(words, attempt)
        if wait is None:
            raise _refused(reference, words)
        if attempt < attempts:
            reporter.warning(
                f"the push broke ({scrub(_one_line(words))}); trying again in {wait:g} s ({attempt + 1} of {attempts})"
            )
            sleep(wait)
    raise RegistryError(
        f"the push of {reference} to {reference.registry} failed, {attempts} times in a row",
        detail=words,
        hint="the registry is down, busy or cut off; layers that arrived stay there, so push again later",
    )


def _pushed(api: APIClient, reference: ImageReference, login: Mapping[str, str], layers: PushedLayers) -> PushedLayers:
    try:
        # An empty one as well: the SDK would look for another by its own rules.
        layers.take(api.push(reference.name, tag=reference.tag, stream=True, decode=True, auth_config=dict(login)))
    except APIError as error:
        layers.refusal = explanation(error)
    except (DockerException, requests.RequestException, OSError) as error:
        raise EngineError(
            f"the engine went away while it pushed {reference}", detail=str(error), hint="start the engine again"
        ) from error
    return layers


class PushedLayers:
    """What the engine's stream has said so far: each layer's state and bytes, the digest, the registry's refusal."""

    def __init__(self, task: Task, reporter: Reporter) -> None:
        self.digest: Digest | None = None
        self.refusal: str | None = None
        self._task = task
        self._reporter = reporter
        self._states: dict[str, str] = {}
        self._bytes: dict[str, tuple[int, int]] = {}

    def take(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            if "error" in event:
                self.refusal = str((event.get("errorDetail") or {}).get("message") or event["error"])
            elif (event.get("aux") or {}).get("Digest"):
                self.digest = Digest.parse(event["aux"]["Digest"])
            elif event.get("id") and event.get("status"):
                self._layer(str(event["id"]), str(event["status"]), event.get("progressDetail") or {})

    def _layer(self, layer: str, state: str, progress: Mapping[str, Any]) -> None:
        if "digest: " in state:  # the last line, whose id is the tag's
            return
        before, self._states[layer] = self._states.get(layer, ""), state
        if state.startswith("Retrying") and not before.startswith("Retrying"):
            self._reporter.warning(f"layer {layer} broke off; the engine tries it again")
        if progress.get("total"):
            self._bytes[layer] = (int(progress.get("current", 0)), int(progress["total"]))
        if state == "Pushed" and layer in self._bytes:
            self._bytes[layer] = (self._bytes[layer][1],) * 2
        self._task.detail(f"{self._settled} of {self.count} layers")
        if self._bytes:
            self._task.advance(
                sum(done for done, _ in self._bytes.values()), sum(size for _, size in self._bytes.values())
            )

    @property
    def _settled(self) -> int:
        return sum(state.startswith(("Pushed", "Layer already exists", "Mounted")) for state in self._states.values())

    @property
    def count(self) -> int:
        return len(self._states)

    @property
    def new(self) -> int:
        return sum(state == "Pushed" for state in self._states.values())

    def __str__(self) -> str:
        return f"{self.count} layer{'' if self.count == 1 else 's'}, {self.new} of them new"


def _wait(words: str, attempt: int) -> float | None:
    """Seconds until the next attempt; None where another attempt would get the same answer."""
    for final in (_NOT_HERE, _NOT_HTTPS, _UNTRUSTED, _NO_SUCH_HOST):
        if final.search(words):
            return None
    if not _BUSY.search(words) and (_NOT_LOGGED_IN.search(words) or not _PASSING.search(words)):
        return None
    asked = _RETRY_AFTER.search(words)
    if asked:
        seconds = float(asked["amount"]) * _SECONDS[(asked["unit"] or "s").lower()]
        return round(min(max(seconds, 1.0), _LONGEST_WAIT), 1)
    return float(2 ** (attempt - 1))


def _refused(reference: ImageReference, words: str) -> FlowpackError:
    registry = reference.registry
    if _NOT_HERE.search(words):
        return EngineError(f"the engine has no image {reference} to push", detail=words, hint="build it first")
    hint = None
    if _NOT_HTTPS.search(words):
        hint = f"{registry} speaks plain HTTP: list it under insecure-registries in the engine's daemon.json"
    elif _UNTRUSTED.search(words):
        hint = f"put the registry's CA certificate into /etc/docker/certs.d/{registry}/ca.crt on the engine's machine"
    elif _NO_SUCH_HOST.search(words):
        hint = f"check the registry's name, '{registry}'"
    elif _NOT_LOGGED_IN.search(words):
        login = "docker login" if registry == DOCKER_HUB else f"docker login {registry}"
        hint = f"{login}, with an account that may push to {reference.repository}"
    return RegistryError(f"{registry} refused the push of {reference}", detail=words, hint=hint)


def _digest_in_engine(api: Any, reference: ImageReference) -> Digest:
    """Where the stream did not have it, the engine has noted it beside the image."""
    for each in api.inspect_image(str(reference)).get("RepoDigests") or ():
        name = ImageReference.parse(each)
        if name.name == reference.name and name.digest:
            return name.digest
    raise EngineError(f"{reference} was pushed, but the engine did not say under which digest")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:160]
