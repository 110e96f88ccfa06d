"""Whether a reader's time grows in proportion to the length of what it reads."""

from __future__ import annotations

from tests.hostile.measuring import Measured, measure
from tests.hostile.readers import Reader
from tests.hostile.shapes import Frame, Shape

SMALL, LARGE = 64 * 1024, 256 * 1024
QUICK = 0.3
"""Seconds of the processor for the larger text that say nothing about growth."""
RATIO = 7
"""Four is proportion, sixteen the square; noise and caches lie in between."""


def problem(reader: Reader, frame: Frame, shape: Shape) -> str | None:
    """What is wrong with how the reader takes the shape; None where it reads or refuses it in time."""
    large = measure(reader, frame.around(shape.text(LARGE)))
    if large.problem:
        return large.problem
    if large.seconds < QUICK:
        return None
    small = measure(reader, frame.around(shape.text(SMALL)))
    return _grown(small, large)


def _grown(small: Measured, large: Measured) -> str | None:
    if large.seconds > RATIO * max(small.seconds, QUICK / 8):
        return f"{small.seconds:.2f} s for 64 KB and {large.seconds:.2f} s for 256 KB"
    return None
