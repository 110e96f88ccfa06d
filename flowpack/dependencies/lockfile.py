"""Gets the lock for requirements: the one next to the flow if it is fresh, else a new one from a resolver.

A lock is fresh if the checksum in its header covers the same inputs: the requirements with the files they name, the
packages added for serving, the target, the index options, flowpack's own bounds and the format. flowpack looks for a
resolver only if the lock is not fresh.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack.dependencies.known_good import Bound, bounds_of
from flowpack.dependencies.lock_format import (
    FORMAT,
    LOCK_NAME,
    LockInputs,
    ParsedLock,
    Pin,
    parse_lock,
    read_header,
    read_pins,
    render_lock,
)
from flowpack.dependencies.lock_review import UnexplainedLockError, unexplained, unlike
from flowpack.dependencies.passed_variables import PassedVariable
from flowpack.dependencies.requirements import RequirementLine, Requirements
from flowpack.dependencies.serving_needs import ServingNeeds, ServingRequirement, serving_requirements
from flowpack.dependencies.slim import MARK
from flowpack.dependencies.target import Target
from flowpack.errors import Location, LockError, UsageError
from flowpack.process import Run, run
from flowpack.reading import LOCK_BYTES, Roots, read_text
from flowpack.reporting import SILENT, Reporter

if TYPE_CHECKING:
    from flowpack.dependencies.resolution import Sources

__all__ = ["LOCK_NAME", "Lockfile", "ParsedLock", "Pin", "lock_dependencies", "parse_lock"]

_BROKEN = "broken"
_MOST_CHANGES = 10
_SHOWN = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Lockfile:
    """``digest`` covers the text's bytes, ``inputs_digest`` the inputs that it was made from."""

    text: str
    digest: str
    inputs_digest: str
    pins: Mapping[str, str]
    origin: str
    built: tuple[Pin, ...] = ()
    """The pins whose wheels were built from source distributions."""


def lock_dependencies(
    requirements: Requirements,
    *,
    needs: ServingNeeds,
    target: Target,
    resolver: str = "auto",
    existing: Path | None = None,
    within: Roots | None = None,
    locked: bool = False,
    upgrade: bool = False,
    renew: bool = False,
    passed: Sequence[PassedVariable] = (),
    source: str = "SOURCE",
    sources: Callable[[], Sources] | None = None,
    list_modules: bool = False,
    run: Run = run,
    reporter: Reporter = SILENT,
) -> Lockfile:
    """The flow's lock; writes nothing.

    ``locked`` refuses a stale or missing lock. ``renew`` keeps what it can of a broken lock, as ``flowpack lock`` does;
    ``upgrade`` keeps nothing. ``list_modules`` adds to new pins which modules they provide. Of the variables that the
    requirements use, only those in ``passed`` are expanded, and only for a resolver.
    """
    if locked and (upgrade or renew):
        raise UsageError("a lock is either kept or renewed", hint="leave out --locked")
    bounds = bounds_of(requirements)
    serving = serving_requirements(needs, requirements)
    inputs = _inputs(requirements, serving, bounds, target, slim=needs.slim)
    command = f"flowpack lock {source}"
    old = None if upgrade else _existing_lock(existing, within, command, lenient=renew)
    if old is not None and existing is not None and old[1].inputs_digest == inputs.digest:
        wrong = unlike(old[1], inputs, existing) or next(unexplained(old[0], existing, None if renew else old[1]), None)
        if wrong is None:
            return _lockfile(old[0], inputs, old[1].pins, f"reused {LOCK_NAME}")
        if not renew:
            raise UnexplainedLockError(wrong.message, location=wrong.location, hint=_renewal(command))
        old = (old[0], replace(old[1], inputs_digest=_BROKEN))
    if locked:
        raise _refusal(existing, old[1] if old else None, inputs, command)
    if old is not None:
        reporter.info(f"{LOCK_NAME} is stale: {'; '.join(changes(old[1], inputs))}")

    # A fresh lock needs no resolver.
    from flowpack.dependencies.resolution import resolved_pins  # noqa: PLC0415

    pins, origin = resolved_pins(
        requirements,
        serving=serving,
        bounds=bounds,
        inputs=inputs,
        resolver=resolver,
        preferred=old[1].pins if old else (),
        upgrade=upgrade,
        passed=passed,
        sources=sources,
        slim=needs.slim,
        list_modules=list_modules,
        run=run,
        reporter=reporter,
    )
    return _lockfile(render_lock(inputs, pins), inputs, pins, origin)


def changes(old: ParsedLock, inputs: LockInputs) -> list[str]:
    """The changes since the lock was made, in words."""
    if old.inputs_digest == _BROKEN:
        return ["it was changed by hand"]
    if old.inputs_digest is None:
        return ["it was not made by flowpack"]
    if old.format != str(FORMAT):
        return [f"it has format {(old.format or '')[:_SHOWN]}, but this flowpack writes {FORMAT}"]
    told = []
    if old.target != str(inputs.target):
        told.append(f"it is for {(old.target or '')[:_SHOWN]}, but {inputs.target} is needed")
    for key, now in inputs.sections().items():
        before = dict.fromkeys(old.sections.get(key, ()))
        after = dict.fromkeys(now)
        told += [f"{key}: '{text[:_SHOWN]}' is new" for text in after if text not in before]
        told += [f"{key}: '{text[:_SHOWN]}' is gone" for text in before if text not in after]
    if len(told) > _MOST_CHANGES:
        told = [*told[:_MOST_CHANGES], f"{len(told) - _MOST_CHANGES} more changes"]
    return told or ["flowpack's known good versions changed"]


def _inputs(
    requirements: Requirements,
    serving: tuple[ServingRequirement, ...],
    bounds: tuple[Bound, ...],
    target: Target,
    *,
    slim: bool,
) -> LockInputs:
    def texts(lines: tuple[RequirementLine, ...]) -> tuple[str, ...]:
        return tuple(sorted({" ".join([line.text, *(f"--hash={each}" for each in line.hashes)]) for line in lines}))

    return LockInputs(
        target=target,
        requirements=texts(requirements.lines),
        constraints=texts(requirements.constraints),
        serving=(*(each.text for each in serving), *([MARK] if slim else [])),
        options=requirements.options.inputs(),
        known_good=tuple(bound.text for bound in bounds),
    )


def _existing_lock(
    path: Path | None, within: Roots | None, command: str, *, lenient: bool
) -> tuple[str, ParsedLock] | None:
    if path is None or not path.is_file():
        return None
    try:
        text = read_text(path, limit=LOCK_BYTES, within=within, error=LockError)
    except LockError as error:
        if lenient and isinstance(error.__cause__, UnicodeDecodeError):
            return None
        raise LockError(error.message, location=error.location, hint=_renewal(command)) from None
    try:
        return text, parse_lock(text, path)
    except LockError as error:
        if lenient:
            lines = text.splitlines()
            return text, replace(read_header(lines, read_pins(lines, path, lenient=True)), inputs_digest=_BROKEN)
        raise LockError(error.message, location=error.location, hint=_renewal(command)) from None


def _renewal(command: str) -> str:
    return f"run `{command}` to renew it; make changes in the requirements"


def _refusal(existing: Path | None, old: ParsedLock | None, inputs: LockInputs, command: str) -> LockError:
    if old is None:
        name = existing.name if existing else LOCK_NAME
        where = Location(existing) if existing else None
        return LockError(f"there is no {name} next to the flow", location=where, hint=f"run `{command}` to write it")
    return LockError(
        f"the lock is stale: {'; '.join(changes(old, inputs))}",
        location=Location(existing) if existing else None,
        hint=f"run `{command}` to renew it",
    )


def _lockfile(text: str, inputs: LockInputs, pins: tuple[Pin, ...], origin: str) -> Lockfile:
    return Lockfile(
        text=text,
        digest=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
        inputs_digest=inputs.digest,
        pins={pin.name: pin.version or f"@ {pin.url}" for pin in sorted(pins, key=lambda pin: pin.name)},
        origin=origin,
        built=tuple(pin for pin in pins if pin.built_from),
    )
