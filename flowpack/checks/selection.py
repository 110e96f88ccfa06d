"""``--select`` and ``--ignore``: the rules to apply, by their codes or the beginning of codes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from flowpack.errors import UsageError, nearest


@dataclass(frozen=True, slots=True)
class Selection:
    """An empty ``select`` selects all. If both lists have a prefix of a code, the longer wins, on a tie ``ignore``."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    @classmethod
    def parse(cls, select: Sequence[str], ignore: Sequence[str], codes: Collection[str]) -> Selection:
        """An item may name several, separated by commas. Raises UsageError for one that no code begins with."""
        return cls(_prefixes("--select", select, codes), _prefixes("--ignore", ignore, codes))

    def takes(self, code: str) -> bool:
        selected = _longest(self.select, code) if self.select else 0
        return selected is not None and selected > (_longest(self.ignore, code) or -1)


def _longest(prefixes: Sequence[str], code: str) -> int | None:
    return max((len(prefix) for prefix in prefixes if code.startswith(prefix)), default=None)


def _prefixes(option: str, items: Sequence[str], codes: Collection[str]) -> tuple[str, ...]:
    prefixes = [part.strip().upper() for item in items for part in item.split(",") if part.strip()]
    for prefix in prefixes:
        if not any(code.startswith(prefix) for code in codes):
            near = nearest(prefix, codes)
            hint = f"did you mean '{near}'?" if near else "give a code, such as FP101, or its beginning, such as FP1"
            raise UsageError(f"{option} '{prefix}': no rule's code begins with it", hint=hint)
    return tuple(prefixes)
