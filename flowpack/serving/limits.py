"""What a client may cost a worker before its request is whole: time, memory and descriptors."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from .settings import Settings

LINGER = 2.0
"""Seconds that a kept connection stays open when its worker stops, for a request that is on its way already."""

_SMALL = 64 * 1024


@dataclass(frozen=True)
class Limits:
    body: int
    header_seconds: float
    body_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(settings.max_body_mb * 1_000_000, settings.header_timeout, settings.body_timeout)


def most_connections(configured: int) -> int:
    """Of one worker: half of the files it may open are the flow's own."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return configured if soft == resource.RLIM_INFINITY else max(8, min(configured, soft // 2))


class BodyMemory:
    """Two of the largest bodies fit into one worker; where more are on their way, they come one after the other.

    Small ones are never held back, and of the large ones the one that has come furthest always goes on, so that all
    of them end.
    """

    def __init__(self, largest: int) -> None:
        self._most = 2 * largest
        self._held: dict[object, int] = {}
        self._total = 0

    def hold(self, holder: object, size: int) -> None:
        before = self._held.get(holder, 0)
        if size <= _SMALL:
            self._held.pop(holder, None)
            size = 0
        else:
            self._held[holder] = size
        self._total += size - before

    def release(self, holder: object) -> None:
        self._total -= self._held.pop(holder, 0)

    def may_grow(self, holder: object) -> bool:
        if self._total <= self._most or holder not in self._held:
            return True
        return max(self._held, key=self._held.__getitem__) == holder  # one of them, also where several are as large
