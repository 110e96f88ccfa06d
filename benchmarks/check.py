"""``flowpack check`` on 300 flows, cold and cached, against ``pf flow validate`` on a sample of them.

``python -m benchmarks.check``. The flows are copies of fixtures/flows that differ in their text, so that no two have
the same content. *Cold* has an empty cache, *cached* the one that the run before left. The peer takes one flow a
process, and checks less: references and fields, no includes, requirements, secrets or documents of Azure ML.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Timed
from benchmarks.peer import RELEASE, promptflow

FIXTURES = Path(__file__).parents[1] / "fixtures"
KINDS = ("chat-with-includes", "custom-connection", "llm-chat", "llm-variants", "flex-function", "python-only")
FLOWPACK = str(Path(sys.executable).with_name("flowpack"))
FLOWS = 300
ROUNDS = 5
SAMPLE = 6  # flows of the peer: each takes seconds


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        flows = list(repository(work / "repository"))
        os.environ["FLOWPACK_CACHE_DIR"] = str(work / "cache")
        command = [FLOWPACK, "check", str(work / "repository"), "--quiet"]
        cold, cached = [], []
        for _ in range(ROUNDS + 1):  # the first does not count
            shutil.rmtree(work / "cache", ignore_errors=True)
            cold.append(seconds(command))
            cached.append(seconds(command))
        alone = [seconds([FLOWPACK, "check", str(flows[0]), "--quiet", "--no-cache"]) for _ in range(ROUNDS)]
        pf = str(promptflow() / "pf")
        peer = [seconds([pf, "flow", "validate", "--source", str(flow)]) for flow in flows[:SAMPLE]]
    print(f"| flowpack check | {FLOWS} flows | a flow |\n|---|---|---|")
    for what, taken in (("cold", cold[1:]), ("cached", cached[1:])):
        print(f"| {what} | {Timed(tuple(taken))} | {Timed(tuple(each / FLOWS for each in taken))} |")
    print(f"| one flow alone, cold | | {Timed(tuple(alone))} |")
    print(f"| pf flow validate ({RELEASE}) | | {Timed(tuple(peer))} |")


def repository(root: Path) -> Iterator[Path]:
    """In the order in which the kinds come, so that a sample of the first has one of each."""
    (root / ".git").mkdir(parents=True)
    shutil.copytree(FIXTURES / "shared", root / "shared")
    for number in range(FLOWS):
        kind = KINDS[number % len(KINDS)]
        flow = root / "flows" / f"{kind}-{number}"
        shutil.copytree(FIXTURES / "flows" / kind, flow, ignore=shutil.ignore_patterns("__pycache__"))
        for path in sorted(flow.rglob("*")):
            if path.suffix in {".py", ".yaml", ".txt"}:
                path.write_text(path.read_text() + f"# flow {number}\n")
        yield flow


def seconds(command: list[str]) -> float:
    """Whatever it finds: the peer fails where a flow's file names a package that it does not have."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
