"""Removes the full SDK from a lock's pins, for a flow that needs only promptflow-core.

The full SDK brings a database layer, a web service and exporters that serving does not use. promptflow-tools requires
it, but uses nothing in it that the launcher does not provide. Packages that only the SDK requires are removed too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from flowpack.dependencies.lock_format import Pin
from flowpack.dependencies.requirements import Requirements

MARK = "promptflow-core in place of the full SDK"
"""One of a slim lock's inputs, so that a lock of the other kind is stale."""

FULL_SDK = frozenset({"promptflow", "promptflow-devkit"})
_MAY_ASK_FOR_IT = {*FULL_SDK, "promptflow-tools"}


def what_needs_the_sdk(requirements: Requirements, pins: Sequence[Pin]) -> str | None:
    """Says which requirement or package requires the SDK and may use more than promptflow-core; None if none does."""
    for line in requirements.named("promptflow"):
        if "[" in line.text:
            return f"'{line.text}' asks for extras"
    for pin in pins:
        others = {each for each in pin.via if not each.startswith(("-", "flowpack"))} - _MAY_ASK_FOR_IT
        if pin.name in FULL_SDK and others:
            return f"{min(others)} requires {pin.name}"
    return None


def without_full_sdk(pins: Sequence[Pin]) -> tuple[Pin, ...]:
    """The pins without the SDK and without packages that only the SDK requires."""
    left = [pin for pin in pins if pin.name not in FULL_SDK]
    brings: dict[str, list[str]] = {}
    for pin in left:
        for each in pin.via:
            brings.setdefault(each, []).append(pin.name)
    kept = {pin.name for pin in left if not pin.via or any(each.startswith(("-", "flowpack")) for each in pin.via)}
    waiting = [*kept]
    while waiting:
        more = {name for name in brings.get(waiting.pop(), ()) if name not in kept}
        kept |= more
        waiting += more
    gone = {pin.name for pin in pins} - kept
    return tuple(replace(pin, via=_others(pin.via, gone)) for pin in left if pin.name in kept)


def _others(via: Iterable[str], gone: set[str]) -> tuple[str, ...]:
    return tuple(each for each in via if each not in gone)
