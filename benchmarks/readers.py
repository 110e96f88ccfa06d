"""How the time of every reader grows with the length of what it reads, for the worst shape of each.

``python -m benchmarks.readers [READER ...]``. Every shape of ``tests/hostile/shapes.py`` is tried at 64 KB in each
frame; the one that takes longest is then read at 16 KB to 4 MB. The exponent is that of the last two lengths that took
more than a tenth of a second: 1 is proportion, 2 the square. A length that is refused says so.
"""

from __future__ import annotations

import math
import sys
from itertools import pairwise

import jinja2  # noqa: F401  (loaded once here, not in each measured process)

import flowpack.checks.run  # noqa: F401
from flowpack.checks.registry import all_checks
from tests.hostile.measuring import Measured, measure
from tests.hostile.readers import READERS, Reader
from tests.hostile.shapes import Frame, Shape, all_shapes

LENGTHS = {"16 KB": 2**14, "64 KB": 2**16, "256 KB": 2**18, "1 MB": 2**20, "4 MB": 2**22 - 200}
LIMIT = 60.0


def main() -> None:
    all_checks()
    wanted = [each for each in READERS if not sys.argv[1:] or each.name in sys.argv[1:]]
    print(f"| Reader | Worst shape | {' | '.join(LENGTHS)} | Exponent |\n|---|---|{'---|' * len(LENGTHS)}---|")
    for each in wanted:
        frame, shape = worst(each)
        measured = [measure(each, frame.around(shape.text(length)), limit=LIMIT) for length in LENGTHS.values()]
        cells = [_cell(one) for one in measured]
        named = f"{frame} with {shape.name}".replace("|", "\\|").replace("\n", "⏎")
        print(f"| {each.name} | `{named[:70]}` | {' | '.join(cells)} | {_exponent(measured)} |", flush=True)


def worst(each: Reader) -> tuple[Frame, Shape]:
    """Of those that are read in whole at 64 KB, if there are any."""
    tried = [
        (measure(each, frame.around(shape.text(LENGTHS["64 KB"])), limit=LIMIT).seconds, number, frame, shape)
        for frame in each.frames
        for number, shape in enumerate(all_shapes())
    ]
    return max(tried, key=lambda one: one[:2])[2:]


def _cell(one: Measured) -> str:
    if one.problem:
        return one.problem.splitlines()[-1][:40]
    return f"{one.seconds:.3f} s{' refused' if one.refusal else ''}"


def _exponent(measured: list[Measured]) -> str:
    long_enough = [one for one in measured if one.seconds > 0.1 and not one.problem]
    exponents = [math.log(later.seconds / earlier.seconds, 4) for earlier, later in pairwise(long_enough)]
    return f"{exponents[-1]:.2f}" if exponents else "–"


if __name__ == "__main__":
    main()
