"""Checks all places with all rules. Unchanged places come from the cache, and processes share the others."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowpack.checks.discovery import Place, find_places
from flowpack.checks.findings import Finding
from flowpack.checks.registry import all_checks
from flowpack.checks.remembered import Records
from flowpack.checks.subject import Subject
from flowpack.errors import few_suggestions

_FEW = 24
"""Up to this many places, one process is done before others have started."""


@dataclass(frozen=True, slots=True)
class Checked:
    """``findings`` are sorted by file and place, without duplicates. ``recalled`` is the number of cached places."""

    places: tuple[Place, ...]
    findings: tuple[Finding, ...]
    recalled: int

    @property
    def flows(self) -> int:
        return sum(place.flow is not None for place in self.places)


def check(
    sources: Sequence[str], include_roots: Sequence[Path] = (), *, use_cache: bool = True, processes: int | None = None
) -> Checked:
    places = find_places(sources)
    roots = tuple(root.resolve() for root in include_roots)
    records = Records(roots) if use_cache else None
    found: list[Finding] = []
    left: list[Place] = []
    for place in places:
        known = records.recall(place) if records else None
        if known is None:
            left.append(place)
        else:
            found += known
    found += _look_at(left, roots, records, processes or _processors())
    unique = dict.fromkeys(found)
    return Checked(places, tuple(sorted(unique, key=_order)), len(places) - len(left))


def look(place: Place, roots: tuple[Path, ...], records: Records | None = None) -> list[Finding]:
    """The findings of all rules at one place."""
    subject = Subject(place, roots)
    with few_suggestions():
        found = [finding for each in all_checks() for finding in each.findings(subject)]
    if records:
        records.remember(place, subject, found)
    return found


def _look_at(
    places: Sequence[Place], roots: tuple[Path, ...], records: Records | None, processes: int
) -> Iterable[Finding]:
    if len(places) <= _FEW or processes == 1:
        return _look_at_batch((places, roots, records))
    from concurrent.futures import ProcessPoolExecutor  # noqa: PLC0415  (few flows do without)

    all_checks()  # loads the rules once, before the processes start
    with ProcessPoolExecutor(processes) as pool:
        some = -(-len(places) // (processes * 4))
        batches = [(places[start : start + some], roots, records) for start in range(0, len(places), some)]
        return [finding for batch in pool.map(_look_at_batch, batches) for finding in batch]


def _look_at_batch(batch: tuple[Sequence[Place], tuple[Path, ...], Records | None]) -> list[Finding]:
    places, roots, records = batch
    return [finding for place in places for finding in look(place, roots, records)]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _order(finding: Finding) -> tuple[str, int, int, str, str]:
    where = finding.location
    return str(where.path), where.line or 0, where.column or 0, finding.rule.code, finding.message
