"""Waits where another change of an endpoint is under way: Azure carries out one at a time and refuses the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from flowpack.errors import AzureError
from flowpack.reporting import Reporter

Done = TypeVar("Done")

_LONGEST = 1800.0  # seconds
_PAUSE = 10.0


class EndpointBusy(Exception):  # noqa: N818  (an answer of the service, not a fault)
    """Another change is under way. What was seen of the endpoint before it may not hold after it."""


def in_turn(
    attempt: Callable[[], Done],
    reporter: Reporter,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Done:
    """What ``attempt`` gives, which looks at the endpoint again each time."""
    waited = 0.0  # what an attempt does before it is in the way takes its own time
    while True:
        try:
            return attempt()
        except EndpointBusy as busy:
            if waited >= _LONGEST:
                raise AzureError(f"{busy}: another change of it did not end in {_LONGEST / 60:.0f} min") from busy
            if not waited:
                reporter.info(f"{busy}: another change of it is under way; waiting for its end")
        sleep(_PAUSE)
        waited += _PAUSE
