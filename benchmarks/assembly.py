"""From a flow folder of many files, or of a large one, to a standalone folder: against ``cp -r`` and ``pf flow build``.

``python -m benchmarks.assembly``. All peers run in turn on the same folder. *Assembly* is flowpack's library alone:
includes, ignore rules, digest, copy. *Build* is the whole command, which also makes the rest of the build context;
*again* is the same command when nothing has changed. What cp is said to need is the memory of this process.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import timed
from benchmarks.peer import RELEASE, promptflow

FLOW = Path(__file__).parents[1] / "fixtures" / "flows" / "python-only"
FLOWPACK = str(Path(sys.executable).with_name("flowpack"))
ROUNDS = 5
PATIENCE = 600  # seconds for one run of a peer
RECORDS_WAIT = 2.5  # flowpack's records trust no file that changed in the last two seconds
SIZES = (200, 2_000, 8_000)
LARGE = 2 * 1024**3

_ASSEMBLY = """
import sys
from pathlib import Path
from flowpack.assembly.flow_folder import assemble, write_flow_folder
from flowpack.assembly.roots import IncludeRoots
from flowpack.flows.reader import read_flow
flow = read_flow(Path(sys.argv[1]))
folder = assemble(flow, IncludeRoots.of(flow.folder))
write_flow_folder(folder, Path(sys.argv[2]))
folder.digest
"""


@dataclass(frozen=True)
class Run:
    seconds: float
    peak: int
    """Bytes of memory that the process had at most."""


@dataclass(frozen=True)
class Peer:
    name: str
    command: Sequence[str]
    before: Callable[[], None] = lambda: None
    rounds: int = ROUNDS


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        (work / ".git").mkdir()
        os.environ["FLOWPACK_CACHE_DIR"] = str(work / "cache")
        print(
            f"| Flow | | cp -r | assembly | build | again | pf flow build ({RELEASE}) |\n|---|---|---|---|---|---|---|"
        )
        for files in (10, 1_000, 20_000):
            show(f"{files:,} files", work, lambda folder, count=files: many_files(folder, count))
        show(f"a file of {LARGE // 1024**3} GB", work, large_file)


def show(title: str, work: Path, fill: Callable[[Path], None]) -> None:
    flow = work / "flow"
    shutil.copytree(FLOW, flow)
    fill(flow / "data")
    timed([FLOWPACK, "lock", str(flow), "--quiet"])
    time.sleep(RECORDS_WAIT)
    taken = in_rounds(list(peers(flow, work)))
    for what, shown in (("time", seconds), ("peak memory", memory)):
        print(f"| {title} | {what} | " + " | ".join(shown(runs) for runs in taken) + " |", flush=True)
    for each in (flow, *work.glob("to-*")):
        shutil.rmtree(each)


def peers(flow: Path, work: Path) -> Iterator[Peer]:
    def gone(*paths: Path) -> Callable[[], None]:
        def remove() -> None:
            for path in paths:
                shutil.rmtree(path, ignore_errors=True)

        return remove

    records = [work / "cache" / kind for kind in ("digests", "outputs")]
    build = [FLOWPACK, "build", str(flow), "--locked", "--quiet", "--output", str(work / "to-build")]
    yield Peer("cp -r", ["cp", "-r", str(flow), str(work / "to-copy")], gone(work / "to-copy"))
    assembly = [sys.executable, "-c", _ASSEMBLY, str(flow), str(work / "to-assembly")]
    yield Peer("assembly", assembly, gone(work / "to-assembly", *records))
    yield Peer("build", build, gone(work / "to-build", *records))
    yield Peer("again", build)
    pf = [str(promptflow() / "pf"), "flow", "build", "--source", str(flow), "--format", "docker", "--output"]
    yield Peer("pf flow build", [*pf, str(work / "to-pf")], gone(work / "to-pf"), rounds=1)


def in_rounds(peers: Sequence[Peer]) -> list[list[Run | None]]:
    """Each peer once a round, in turn, so that a disk whose speed drifts is fair to all; the first does not count."""
    taken: list[list[Run | None]] = [[] for _ in peers]
    for number in range(-1, ROUNDS):
        for peer, runs in zip(peers, taken, strict=True):
            if number < peer.rounds:
                peer.before()
                run = measured(peer.command)
                if number >= 0:
                    runs.append(run)
    return taken


def measured(command: Sequence[str]) -> Run | None:
    """None where it fails or takes longer than PATIENCE."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - start
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(elapsed, usage.ru_maxrss * unit) if process.returncode == 0 else None


def seconds(runs: Sequence[Run | None]) -> str:
    good = [run.seconds for run in runs if run]
    if not good:
        return "fails, or takes too long"
    median = statistics.median(good)
    return f"{median * 1000:.0f} ms" if median < 1 else f"{median:.2f} s"


def memory(runs: Sequence[Run | None]) -> str:
    good = [run.peak for run in runs if run]
    return f"{statistics.median(good) / 1e6:.0f} MB" if good else ""


def many_files(folder: Path, count: int) -> None:
    drawn = random.Random(count)
    for number in range(count):
        path = folder / f"{number // 100:03d}" / f"{number:05d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn.randbytes(drawn.choice(SIZES)))


def large_file(folder: Path) -> None:
    folder.mkdir()
    drawn = random.Random(0)
    with contextlib.closing((folder / "model.bin").open("wb")) as file:
        for _ in range(LARGE // 2**20):
            file.write(drawn.randbytes(2**20))


if __name__ == "__main__":
    main()
