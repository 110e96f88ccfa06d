"""Resolves requirements to the pins of a lock. A fresh lock does not load this module."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Protocol
from urllib.parse import unquote, urlsplit

from flowpack.dependencies.conflicts import blames_known_good, explain, no_wheel_error
from flowpack.dependencies.index_options import public_url
from flowpack.dependencies.known_good import Bound, broken_bounds
from flowpack.dependencies.lock_format import LockInputs, Pin
from flowpack.dependencies.passed_variables import PassedVariable, hide_values
from flowpack.dependencies.pip_tools_resolver import find_pip_tools
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.resolvers import Question, Resolver, UnresolvedError
from flowpack.dependencies.serving_needs import ServingRequirement
from flowpack.dependencies.slim import what_needs_the_sdk, without_full_sdk
from flowpack.dependencies.target import Target
from flowpack.dependencies.uv_resolver import find_uv
from flowpack.dependencies.wheel_modules import with_modules
from flowpack.errors import FlowpackError, RequirementsError, ToolError, UsageError
from flowpack.process import Run
from flowpack.reporting import Reporter

_SERVING = "flowpack, for serving"


class Sources(Protocol):
    """Builds wheels of the packages that may be built from source."""

    def built(self, question: Question, resolver: Resolver, reporter: Reporter) -> AbstractContextManager[Question]:
        """The question with the wheels it needs, which exist only inside the block."""


def resolved_pins(
    requirements: Requirements,
    *,
    serving: tuple[ServingRequirement, ...],
    bounds: tuple[Bound, ...],
    inputs: LockInputs,
    resolver: str,
    preferred: tuple[Pin, ...],
    upgrade: bool,
    passed: Sequence[PassedVariable],
    sources: Callable[[], Sources] | None,
    slim: bool,
    list_modules: bool,
    run: Run,
    reporter: Reporter,
) -> tuple[tuple[Pin, ...], str]:
    """The pins, and a text with the resolver and its time in seconds. ``preferred`` pins are kept if they still fit."""
    target = inputs.target
    question = Question(
        requirements=requirements.expanded(passed),
        serving=serving,
        bounds=bounds,
        target=target,
        preferred=preferred,
        upgrade=upgrade,
    )
    chosen = choose_resolver(resolver, target, run, reporter)
    started = time.monotonic()
    with reporter.task(f"resolving the requirements for {target} with {chosen.name}") as task:
        try:
            with sources().built(question, chosen, reporter) if sources else nullcontext(question) as asked:
                pins = tuple(_finished(pin, asked) for pin in _answer(chosen, asked, reporter))
        except FlowpackError as error:
            hide_values(error, requirements.variables, os.environ)
            raise
        task.finish(f"resolved {len(pins)} packages for {target} with {chosen.name}")
    if slim:
        pins = _slimmed(pins, requirements, reporter)
    if list_modules:
        before = {(pin.name, pin.hashes): pin.provides for pin in preferred}
        pins = tuple(replace(pin, provides=before.get((pin.name, pin.hashes), ())) for pin in pins)
        pins = with_modules(pins, question.requirements, target, reporter, run)
    return pins, f"resolved by {chosen.name} in {time.monotonic() - started:.1f} s"


def _slimmed(pins: tuple[Pin, ...], requirements: Requirements, reporter: Reporter) -> tuple[Pin, ...]:
    reason = what_needs_the_sdk(requirements, pins)
    if reason is not None:
        reporter.warning(f"--slim keeps the full SDK, because {reason}")
        return pins
    fewer = without_full_sdk(pins)
    if len(fewer) == len(pins):
        reporter.info("slim: the full SDK is not among the packages")
        return pins
    reporter.info(f"slim: {len(fewer)} packages instead of {len(pins)}")
    return fewer


def _answer(resolver: Resolver, question: Question, reporter: Reporter) -> tuple[Pin, ...]:
    """Pins that go against no bound: one with a condition is asked for once the pins meet its condition."""
    while True:
        pins, question = _resolved(resolver, question, reporter)
        broken = set(broken_bounds(question.bounds, {pin.name: pin.version for pin in pins}))
        if not any(bound.where for bound in broken):  # what has none was asked for, and is left to a URL's version
            return pins
        for bound in question.bounds:
            if bound in broken:
                reporter.info(f"{bound.requirement} is needed: {bound.because}")
        met = (replace(bound, where="") if bound in broken else bound for bound in question.bounds)
        question = replace(question, bounds=tuple(met))


def _resolved(resolver: Resolver, question: Question, reporter: Reporter) -> tuple[tuple[Pin, ...], Question]:
    """The pins with the question that they answer, which may be without the bounds that were only tested."""
    try:
        return resolver.resolve(question), question
    except UnresolvedError as error:
        first = error
    if not blames_known_good(first, question):
        raise explain(first, question, resolver.name) from None
    reporter.info("the requirements conflict with flowpack's known good versions: resolving without them")
    freed = replace(question, bounds=tuple(bound for bound in question.bounds if bound.is_needed))
    try:
        return resolver.resolve(freed), freed
    except UnresolvedError as error:
        raise explain(error, freed, resolver.name) from None


def _finished(pin: Pin, question: Question) -> Pin:
    """Adds what the resolver does not know: the files that name it, the URL as written, the user's hashes."""
    requirements = question.requirements
    named = [line for line in requirements.lines if line.name == pin.name]
    via = {each for each in pin.via if not each.startswith("-")} | {f"-r {line.source}" for line in named}
    via |= {_SERVING for each in question.serving if each.name == pin.name}
    built = next((each for each in question.built if each.name == pin.name and each.version == pin.version), None)
    if built:
        return replace(pin, via=tuple(sorted(via)), hashes=(built.hash,), url=None, built_from=built.origin)
    if pin.url and not unquote(urlsplit(pin.url).path).endswith(".whl"):
        raise no_wheel_error(pin.name, question)
    stated = {each for line in requirements.named(pin.name) for each in line.hashes}
    hashes = tuple(each for each in pin.hashes if each in stated) if stated else pin.hashes
    if not hashes:
        line = next(line for line in requirements.named(pin.name) if line.hashes)
        raise RequirementsError(
            f"none of the hashes given for '{line.text}' belongs to {pin.requirement}",
            location=line.location,
            hint="run `pip hash` to print an archive's sha256",
        )
    written = next((line.public_url for line in named if line.public_url), None)
    url = written or (public_url(pin.url) if pin.url else None)
    return replace(pin, via=tuple(sorted(via)), hashes=hashes, url=url)


CHOICES = ("auto", "pip-tools", "uv")


def choose_resolver(choice: str, target: Target, run: Run, reporter: Reporter) -> Resolver:
    if choice not in CHOICES:
        raise UsageError(f"resolver '{choice}' is not known", hint=f"use one of {', '.join(CHOICES)}")
    if choice in {"auto", "uv"}:
        uv = find_uv(run)
        if uv is not None:
            return uv
        if choice == "uv":
            raise ToolError("uv is not installed", hint="pip install 'flowpack[fast]', or use --resolver pip-tools")
        reporter.info(
            "uv is not installed; pip-tools takes a minute where uv takes seconds (pip install 'flowpack[fast]')"
        )
    return find_pip_tools(target, run, reporter)
