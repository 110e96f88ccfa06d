"""Pushes an image through the engine's client, which finds the credentials in the Docker configuration.

The engine tries a broken layer again by itself; what it does not try again (a registry that is down or busy, a broken
manifest) is pushed again here: the layers that arrived are not sent twice.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from flowpack.errors import EngineError, FlowpackError, RegistryError, UsageError
from flowpack.images.narration import narrated
from flowpack.images.reference import DOCKER_HUB, Digest, ImageReference
from flowpack.process import Run
from flowpack.reporting import SILENT, Reporter

ATTEMPTS = 4
HEARTBEAT = 15.0
_LONGEST_WAIT = 60.0

_DIGEST = re.compile(r"(?:^|: )digest: (?P<digest>sha256:[0-9a-f]{64})")
_LAYER = re.compile(r"(?P<layer>[0-9a-f]{12}): (?P<state>\S.*)")
_RETRY_AFTER = re.compile(r"retry[- ]after:?\s*(?P<amount>\d+(?:\.\d+)?)\s*(?P<unit>ms|[µμu]s|m|s)?", re.I)
_SECONDS = {"ms": 0.001, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "m": 60.0, "s": 1.0}

# What the engine says of a registry, in the order of asking; a refusal may mention a status that looks passing.
_NOT_LOGGED_IN = re.compile(
    r"unauthorized|authentication required|no basic auth credentials|denied|forbidden|insufficient_scope|\b40[13]\b",
    re.I,
)
_CREDENTIALS_BROKEN = re.compile(r"error getting credentials|docker-credential-", re.I)
_NOT_HERE = re.compile(r"does not exist locally|No such image|tag does not exist", re.I)
_ENGINE_GONE = re.compile(r"Cannot connect to the Docker daemon|error during connect", re.I)
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


@dataclass(frozen=True, slots=True)
class PushedImage:
    """An image in its registry; of its ``layers`` the registry did not have ``new_layers`` before."""

    tag: ImageReference
    digest: Digest
    layers: int
    new_layers: int

    def __str__(self) -> str:
        """``registry/repository@sha256:…``: what names the image whatever its tag says later."""
        return self.tag.with_digest(self.digest)


def push_image(
    run: Run,
    program: str,
    reference: ImageReference,
    reporter: Reporter = SILENT,
    *,
    sleep: Callable[[float], None] = time.sleep,
    attempts: int = ATTEMPTS,
) -> PushedImage:
    """RegistryError in the registry's own words where it refuses or stays away."""
    if reference.digest:
        raise UsageError(f"'{reference}' names a digest, and a push needs a tag", hint=f"push {reference.name}:TAG")
    reference = reference.tagged()
    reporter.info(f"pushing {reference}")
    for attempt in range(1, attempts + 1):
        layers = PushProgress()
        with narrated(layers, reporter) as on_line:
            done = run((program, "push", str(reference)), on_line=on_line)
        if done.returncode == 0:
            reporter.info(f"pushed {reference}: {layers}")
            digest = layers.digest or _digest_in_engine(run, program, reference)
            return PushedImage(reference, digest, layers.count, layers.new)
        words = layers.words or done.stderr.strip() or f"the client ended with status {done.returncode}"
        wait = _wait(words, attempt)
        if wait is None:
            raise _refusal(reference, words)
        if attempt < attempts:
            reporter.info(
                f"the push broke ({_one_line(words)}); trying again in {wait:g} s ({attempt + 1} of {attempts})"
            )
            sleep(wait)
    raise RegistryError(
        f"the push of {reference} to {reference.registry} failed, {attempts} times in a row",
        detail=words,
        hint="the registry is down, busy or cut off; layers that arrived stay there, so push again later",
    )


class PushProgress:
    """Reads the client's lines: layers by their short name and state, the digest at the end, and its words besides."""

    def __init__(self, heartbeat: float = HEARTBEAT) -> None:
        self.digest: Digest | None = None
        self._heartbeat = heartbeat
        self._states: dict[str, str] = {}
        self._said: list[str] = []
        self._told: float | None = None

    def line(self, text: str, now: float) -> list[str]:
        self._told = now if self._told is None else self._told
        layer, digest = _LAYER.fullmatch(text), _DIGEST.search(text)
        if layer:
            return self._layer(layer["layer"], layer["state"], now)
        if digest:
            self.digest = Digest.parse(digest["digest"])
        elif text.strip() and not text.startswith(("The push refers to", "Using default tag")):
            self._said.append(text.strip())
        return []

    def tick(self, now: float) -> list[str]:
        if self._told is None or now - self._told < self._heartbeat:
            return []
        self._told = now
        return [f"  … {self._settled()} of {len(self._states)} layers are there"]

    @property
    def words(self) -> str:
        """What the client said beside its progress: the registry's own words, where the push failed."""
        return "\n".join(self._said)

    def _layer(self, layer: str, state: str, now: float) -> list[str]:
        before, self._states[layer] = self._states.get(layer, ""), state
        if state == "Pushed":
            self._told = now
            return [f"  layer {layer} pushed ({self._settled()} of {len(self._states)})"]
        if state.startswith("Retrying") and not before.startswith("Retrying"):
            self._told = now
            return [f"  layer {layer} broke off; the engine tries it again"]
        return []

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
    for final in (_CREDENTIALS_BROKEN, _NOT_HERE, _ENGINE_GONE, _NOT_HTTPS, _UNTRUSTED, _NO_SUCH_HOST):
        if final.search(words):
            return None
    if not _BUSY.search(words) and (_NOT_LOGGED_IN.search(words) or not _PASSING.search(words)):
        return None
    asked = _RETRY_AFTER.search(words)
    if asked:
        seconds = float(asked["amount"]) * _SECONDS[(asked["unit"] or "s").lower()]
        return round(min(max(seconds, 1.0), _LONGEST_WAIT), 1)
    return float(2 ** (attempt - 1))


def _refusal(reference: ImageReference, words: str) -> FlowpackError:
    registry = reference.registry
    if _ENGINE_GONE.search(words):
        return EngineError(
            f"the engine went away while it pushed {reference}", detail=words, hint="start the engine again"
        )
    if _NOT_HERE.search(words):
        return EngineError(f"the engine has no image {reference} to push", detail=words, hint="build it first")
    hint = None
    if _CREDENTIALS_BROKEN.search(words):
        hint = f"see credHelpers and credsStore in the Docker configuration's config.json, for {registry}"
    elif _NOT_HTTPS.search(words):
        hint = f"{registry} speaks plain HTTP: list it under insecure-registries in the engine's daemon.json"
    elif _UNTRUSTED.search(words):
        hint = f"put the registry's CA certificate into /etc/docker/certs.d/{registry}/ca.crt on the engine's machine"
    elif _NO_SUCH_HOST.search(words):
        hint = f"check the registry's name, '{registry}'"
    elif _NOT_LOGGED_IN.search(words):
        login = "docker login" if registry == DOCKER_HUB else f"docker login {registry}"
        hint = f"{login}, with an account that may push to {reference.repository}"
    return RegistryError(f"{registry} refused the push of {reference}", detail=words, hint=hint)


def _digest_in_engine(run: Run, program: str, reference: ImageReference) -> Digest:
    """Some clients do not print the digest; the engine then notes it beside the image."""
    done = run((program, "image", "inspect", "--format", "{{json .RepoDigests}}", str(reference)), timeout=60)
    noted: list[str] = (json.loads(done.stdout) or []) if done.returncode == 0 else []
    for each in noted:
        name = ImageReference.parse(each)
        if name.name == reference.name and name.digest:
            return name.digest
    raise EngineError(f"{reference} was pushed, but the client did not say under which digest")


def _one_line(words: str) -> str:
    return " ".join(words.split())[:160]
