from __future__ import annotations

import pytest

from flowpack.checks.selection import Selection
from flowpack.errors import UsageError

CODES = ("FP101", "FP102", "FP201", "FP301")


@pytest.mark.parametrize(
    ("select", "ignore", "taken"),
    [
        ([], [], "FP101 FP102 FP201 FP301"),
        (["FP1"], [], "FP101 FP102"),
        (["FP101,FP301"], [], "FP101 FP301"),
        (["fp101", "FP301"], [], "FP101 FP301"),
        ([], ["FP1,FP2"], "FP301"),
        (["FP1"], ["FP101"], "FP102"),
        (["FP101"], ["FP1"], "FP101"),
        (["FP101"], ["FP101"], ""),
    ],
)
def test_what_is_taken(select: list[str], ignore: list[str], taken: str) -> None:
    selection = Selection.parse(select, ignore, CODES)
    assert " ".join(code for code in CODES if selection.takes(code)) == taken


def test_a_code_that_no_rule_has_is_refused() -> None:
    with pytest.raises(UsageError, match="--ignore 'FP110'") as caught:
        Selection.parse([], ["FP110"], CODES)
    assert caught.value.hint == "did you mean 'FP101'?" or "FP10" in (caught.value.hint or "")
