"""What keeps a flow from starting, collected and reported together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """``name`` is the variable to set, or the file to mend; ``reason`` never holds a value that may be secret."""

    name: str
    reason: str
    missing: bool = True


class CannotStartError(Exception):
    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda each: (not each.missing, each.name, each.reason)))
        super().__init__(explain(self.problems))


def explain(problems: Sequence[Problem]) -> str:
    missing = sum(each.missing for each in problems)
    counts = []
    if missing:
        counts.append("1 setting is missing" if missing == 1 else f"{missing} settings are missing")
    if len(problems) > missing:
        wrong = len(problems) - missing
        counts.append("1 is wrong" if wrong == 1 else f"{wrong} are wrong")
    width = max(len(each.name) for each in problems)
    lines = [f"cannot start: {', '.join(counts)}"]
    lines += [f"  {each.name:<{width}}  ({each.reason})" for each in problems]
    if missing:
        first = next(each.name for each in problems if each.missing)
        lines.append(f"Set what is missing in the environment, for instance: docker run --env {first}=... IMAGE")
    return "\n".join(lines)


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    import difflib  # noqa: PLC0415 - few starts need it

    near = difflib.get_close_matches(name[:100], [*known], n=1, cutoff=cutoff)
    return near[0] if near else None
