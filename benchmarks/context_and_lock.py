"""From a flow folder to a build context, against ``pf flow build``; and what a lock costs with each resolver."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Timed, in_turn
from benchmarks.peer import RELEASE, promptflow

FIXTURES = Path(__file__).parents[1] / "fixtures"
FLOWPACK = str(Path(sys.executable).with_name("flowpack"))


def main() -> None:
    pf = str(promptflow() / "pf")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        shutil.copytree(FIXTURES, work / "fixtures")
        (work / ".git").mkdir()
        rows = [
            *help_rows(pf),
            *context_rows(pf, work),
            *lock_rows(work, "chat-with-includes"),
            *lock_rows(work, "llm-chat"),
        ]
    print(f"| What | flowpack | pf (promptflow {RELEASE}) | ratio |\n|---|---|---|---|")
    for what, ours, theirs in rows:
        ratio = f"{theirs.median / ours.median:.1f}" if theirs else ""
        print(f"| {what} | {ours} | {theirs or ''} | {ratio} |")


Row = tuple[str, Timed, Timed | None]


def help_rows(pf: str) -> list[Row]:
    ours, theirs = in_turn(7, [FLOWPACK, "--help"], [pf, "--help"])
    return [("`--help`", ours, theirs)]


def context_rows(pf: str, work: Path) -> list[Row]:
    """The same flow, nothing to resolve for either: the lock beside it is fresh, and pf makes none."""
    flow = work / "fixtures" / "flows" / "chat-with-includes"
    in_turn(1, [FLOWPACK, "lock", str(flow)], warm=False)
    outputs = [work / "ours", work / "theirs"]

    def clear() -> None:
        for each in outputs:
            shutil.rmtree(each, ignore_errors=True)

    ours, theirs = in_turn(
        7,
        [FLOWPACK, "build", str(flow), "--locked", "--output", str(outputs[0])],
        [pf, "flow", "build", "--source", str(flow), "--format", "docker", "--output", str(outputs[1])],
        before=clear,
    )
    return [("build context, lock reused / no lock", ours, theirs)]


def lock_rows(work: Path, name: str) -> list[Row]:
    flow = work / "fixtures" / "flows" / name
    lock = flow / "requirements.lock"

    def without_lock() -> None:
        lock.unlink(missing_ok=True)

    rows: list[Row] = []
    for resolver, runs in (("uv", 3), ("pip-tools", 1)):
        [taken] = in_turn(
            runs, [FLOWPACK, "lock", str(flow), "--resolver", resolver], before=without_lock, warm=resolver == "uv"
        )
        rows.append((f"lock of {name}, {resolver}", taken, None))
    [reused] = in_turn(5, [FLOWPACK, "lock", str(flow), "--check"])
    return [*rows, (f"lock of {name}, reused", reused, None)]


if __name__ == "__main__":
    main()
