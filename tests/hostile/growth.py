"""Whether a reader's time grows in proportion to the length of what it reads."""

from __future__ import annotations

from tests.hostile.measuring import Measured, measure
from tests.hostile.readers import Reader
from tests.hostile.shapes import Frame, Shape

SMALL, LARGE = 64 * 1024, 256 * 1024
QUICK = 0.3
"""Seconds of the processor for the larger text that say nothing about growth."""
ATTEMPTS = 3
RATIO = 7
"""Four is proportion, sixteen the square; noise and caches lie in between."""


def problem(reader: Reader, frame: Frame, shape: Shape) -> str | None:
    """What is wrong with how the reader takes the shape; None where it reads or refuses it in time."""
    small = large = None
    for _ in range(ATTEMPTS):  # the quickest counts: what else the machine does only adds to it
        large = _quicker(large, measure(reader, frame.around(shape.text(LARGE))))
        if large.problem or large.seconds < QUICK:
            return large.problem
        small = _quicker(small, measure(reader, frame.around(shape.text(SMALL))))
        if not _grown(small, large):
            return None
    return _grown(small, large) if small and large else None


def _quicker(one: Measured | None, other: Measured) -> Measured:
    return other if one is None or other.problem or other.seconds < one.seconds else one


def _grown(small: Measured, large: Measured) -> str | None:
    if large.seconds > RATIO * max(small.seconds, QUICK / 8):
        return f"{small.seconds:.2f} s for 64 KB and {large.seconds:.2f} s for 256 KB"
    return None
