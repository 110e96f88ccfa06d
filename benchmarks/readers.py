"""How the time of every reader grows with the length of what it reads, for the worst shape of each.

``python -m benchmarks.readers [--seconds 240] [READER ...]``. The shapes of ``tests/hostile/shapes.py`` are tried at
16 KB in each frame, those of the seed's order that there is time for; the one that takes longest is then read at 16 KB
to 4 MB. The exponent is that of the last two lengths that were read alike and took more than a twentieth of a second: 1
is proportion, 2 the square. A length that is refused says so.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from itertools import pairwise

import jinja2  # noqa: F401  (loaded once here, not in each measured process)

import flowpack.checks.run  # noqa: F401
from flowpack.checks.registry import all_checks
from tests.hostile.measuring import Measured, measure
from tests.hostile.readers import READERS, Reader
from tests.hostile.shapes import SPECIAL, Frame, Shape, all_shapes

LENGTHS = {"16 KB": 2**14, "64 KB": 2**16, "256 KB": 2**18, "1 MB": 2**20, "4 MB": 2**22 - 200}
LIMIT = 15.0
_SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readers")
    parser.add_argument("--seconds", type=float, default=240, help="for the whole run (default: 240)")
    parser.add_argument("readers", nargs="*", metavar="READER", help="these alone (default: all)")
    options = parser.parse_args()
    all_checks()
    until = time.monotonic() + options.seconds
    wanted = [each for each in READERS if not options.readers or each.name in options.readers]
    print(f"| Reader | Worst shape | {' | '.join(LENGTHS)} | Exponent |\n|---|---|{'---|' * len(LENGTHS)}---|")
    for number, each in enumerate(wanted):
        share = (until - time.monotonic()) / (len(wanted) - number)
        ends = time.monotonic() + share
        frame, shape = worst(each, time.monotonic() + share / 2)
        measured: list[Measured | None] = []
        for length in LENGTHS.values():
            left = ends - time.monotonic()
            measured.append(
                measure(each, frame.around(shape.text(length)), limit=min(LIMIT, left)) if left > 1 else None
            )
        cells = [_cell(one) for one in measured]
        named = f"{frame} with {shape.name}".replace("|", "\\|").replace("\n", "⏎").replace("`", "'")
        print(f"| {each.name} | `{named[:70]}` | {' | '.join(cells)} | {_exponent(measured)} |", flush=True)


def worst(each: Reader, until: float) -> tuple[Frame, Shape]:
    """Of those that there is time for: the special ones first, and the others in an order that a seed gives."""
    shapes = [shape for shape in all_shapes() if shape not in SPECIAL]
    random.Random(_SEED).shuffle(shapes)
    slowest, found = -1.0, (each.frames[0], SPECIAL[0])
    for shape in (*SPECIAL, *shapes):
        for frame in each.frames:
            if time.monotonic() > until:
                return found
            seconds = measure(each, frame.around(shape.text(LENGTHS["16 KB"])), limit=LIMIT).seconds
            if seconds > slowest:
                slowest, found = seconds, (frame, shape)
    return found


def _cell(one: Measured | None) -> str:
    if one is None:
        return "not measured"
    if one.problem:
        return one.problem.splitlines()[-1][:40]
    return f"{one.seconds:.3f} s{' refused' if one.refusal else ''}"


def _exponent(measured: list[Measured | None]) -> str:
    exponents = [
        math.log(later.seconds / earlier.seconds, 4)
        for earlier, later in pairwise(measured)
        if earlier and later and not earlier.problem and not later.problem
        if min(earlier.seconds, later.seconds) > 0.05 and bool(earlier.refusal) == bool(later.refusal)
    ]
    return f"{exponents[-1]:.2f}" if exponents else "–"


if __name__ == "__main__":
    main()
