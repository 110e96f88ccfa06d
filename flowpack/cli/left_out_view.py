"""What was left out of the standalone folder, for a person and for a machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flowpack.assembly.left_out import Count, LeftOut
from flowpack.cli.output import readable

_SHOWN = 10


def left_out_lines(left_out: LeftOut, counts: Sequence[Count]) -> Iterator[str]:
    for count in counts[:_SHOWN]:
        at_least = "" if count.whole else "at least "
        yield f"left out    {at_least}{files_and_bytes(count.files, count.size)}, {count.rule}"
    rest = counts[_SHOWN:]
    if rest:
        sums = files_and_bytes(sum(each.files for each in rest), sum(each.size for each in rest))
        yield f"left out    {sums}, by {len(rest)} more rules (--json has them all)"
    for kept in left_out.kept:
        yield f"taken in    {kept.target}, which {kept.include.location} names, against a rule ({kept.rule})"


def left_out_document(counts: Sequence[Count]) -> list[dict[str, Any]]:
    return [
        {"rule": str(count.rule), "files": count.files, "bytes": count.size, "complete": count.whole}
        for count in counts
    ]


def files_and_bytes(files: int, size: int) -> str:
    return f"{files:,} file{'s' * (files != 1)}, {readable(size)}"
