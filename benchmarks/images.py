"""The image, against one of the same flow built the way ``pf flow build`` does.

``python -m benchmarks.images``; both images stand on the same base and are measured in turn. It needs Linux, an engine,
a base image with Python (``scripts/real-parts up`` makes one), ``docker-registry`` and ``wrk``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.docker import BASE, build, docker, has_image, image_size, remove_images, running
from benchmarks.load import CONNECTIONS, load
from benchmarks.measure import timed
from benchmarks.peer import RELEASE, REPAIRS
from benchmarks.peer_image import PromptFlow, clear, without_conda
from benchmarks.registry import Registry, registry

ROOT = Path(__file__).parents[1]
FLOWPACK = str(Path(sys.executable).with_name("flowpack"))
WORKERS = 2


@dataclass(frozen=True)
class Subject:
    """A flow and what both peers need to serve it; ``source`` is what a code-only change appends ``comment`` to."""

    flow: str
    title: str
    source: str
    comment: str
    body: str
    smaller: int
    """How many times smaller than pf's the image ought to be."""
    connection: str | None = None


SUBJECTS = (
    Subject("python-only", "a Python-only flow", "count.py", "# change {}", '{"text": "To be, or not to be"}', 4),
    Subject(
        *("llm-chat", "an LLM flow", "chat.jinja2", "{{# change {} #}}"),
        body='{"question": "Which flows does this serve?", "chat_history": []}',
        smaller=2,
        connection="type: azure_open_ai\nname: open_ai_connection\napi_type: azure\n"
        "api_base: https://example.invalid\napi_key: in-the-store-only\n",
    ),
)


@dataclass
class Measured:
    """Of one image: each list has one number a run."""

    size: int = 0
    compressed: int = 0
    healthy: list[float] = field(default_factory=list)
    answered: list[float] = field(default_factory=list)
    throughput: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    errors: int = 0
    change_whole: list[float] = field(default_factory=list)
    change_engine: list[float] = field(default_factory=list)
    change_bytes: list[float] = field(default_factory=list)


class Ours:
    name = "flowpack"

    def __init__(self, subject: Subject, work: Path) -> None:
        self.flow = work / "ours" / subject.flow
        self._output = work / "ours" / f"{subject.flow}-output"
        _copy(subject, self.flow)
        _run([FLOWPACK, "lock", str(self.flow)])

    def change(self, tag: str) -> tuple[float, float]:
        """Seconds from the changed source to the pushed image, and those of the engine alone: here, not told apart."""
        command = [FLOWPACK, "build", str(self.flow), "--locked", "--output", str(self._output), "--tag", tag, "--push"]
        seconds = timed(command)
        return seconds, seconds


class Theirs:
    name = f"pf (promptflow {RELEASE})"

    def __init__(self, subject: Subject, work: Path) -> None:
        self.flow = work / "theirs" / subject.flow
        self._context = work / "theirs" / f"{subject.flow}-output"
        self._pf = PromptFlow(work / "theirs" / f"{subject.flow}-home")
        _copy(subject, self.flow)
        if subject.connection:
            file = work / "theirs" / f"{subject.flow}-connection.yaml"
            file.write_text(subject.connection)
            self._pf.create_connection(file)

    def change(self, tag: str) -> tuple[float, float]:
        clear(self._context)
        start = time.perf_counter()
        self._pf.build(self.flow, self._context)
        built = time.perf_counter()
        without_conda(self._context)
        edited = time.perf_counter()
        build(self._context, tag)
        docker("push", "--quiet", tag)
        end = time.perf_counter()
        return (built - start) + (end - edited), end - edited


Peer = Ours | Theirs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each measurement (default: 7)")
    parser.add_argument("--seconds", type=int, default=5, help="how long each load lasts (default: 5)")
    options = parser.parse_args()
    if not has_image(BASE):
        raise SystemExit(f"the engine has no image {BASE}; 'scripts/real-parts up' makes it")
    os.environ |= network_of_builds()
    with tempfile.TemporaryDirectory(prefix="flowpack-benchmark-") as name:
        work = Path(name)
        (work / ".git").mkdir()
        for number, subject in enumerate(SUBJECTS):
            folder = work / subject.flow
            folder.mkdir()
            with registry(folder / "registry") as local:
                ours, theirs = measure(subject, folder, local, options.runs, options.seconds)
            print("\n" * bool(number) + table(subject, ours, theirs), flush=True)
    print(f"\n{notes(options.runs, options.seconds)}")


def network_of_builds() -> dict[str, str]:
    """As ``scripts/demo`` sets it: behind an inspecting proxy, the host's network and certificates."""
    variables = {"FLOWPACK_BASE_IMAGE": BASE, "FLOWPACK_PYTHON": _python_of_the_base()}
    bundle = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle:
        variables["FLOWPACK_CA_BUNDLE"] = os.environ.get("FLOWPACK_CA_BUNDLE", bundle)
        variables["FLOWPACK_BUILD_NETWORK"] = os.environ.get("FLOWPACK_BUILD_NETWORK", "host")
    return variables


def _python_of_the_base() -> str:
    return docker("run", "--rm", BASE, "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])")


def measure(subject: Subject, work: Path, local: Registry, runs: int, seconds: int) -> tuple[Measured, Measured]:
    peers: tuple[Peer, Peer] = Ours(subject, work), Theirs(subject, work)
    results = Measured(), Measured()
    tags = [f"{local.host}/{subject.flow}/{kind}:1" for kind in ("ours", "theirs")]
    try:
        for peer, tag, result in zip(peers, tags, results, strict=True):
            say(f"{subject.flow}: the image of {peer.name}")
            peer.change(tag)
            result.size = image_size(tag)
            result.compressed = local.compressed_size(tag.partition("/")[2].rpartition(":")[0], "1")
        with settings(subject) as environment:
            serve_in_turn(subject, tags, environment, results, runs=runs, seconds=seconds, scratch=work)
        change_in_turn(subject, peers, tags, results, local, runs)
    finally:
        remove_images(f"{local.host}/*/*")
    return results


def serve_in_turn(
    subject: Subject,
    tags: list[str],
    environment: Mapping[str, str],
    results: tuple[Measured, Measured],
    *,
    runs: int,
    seconds: int,
    scratch: Path,
) -> None:
    """The first start of each does not count: it brings the image's files into the machine's memory."""
    answers = []
    for run in range(runs + 1):
        say(f"{subject.flow}: start and load, " + (f"run {run} of {runs}" if run else "once without counting"))
        for tag, result in zip(tags, results, strict=True):
            with running(tag, environment) as container:
                healthy = container.wait_until_healthy()
                answered, answer = container.first_answer(subject.body)
                answers.append(answer)
                if not run:
                    continue
                load(subject.body, 1, scratch)
                _, before = container.memory_and_cpu()
                loaded = load(subject.body, seconds, scratch)
                memory, after = container.memory_and_cpu()
                result.healthy.append(healthy)
                result.answered.append(answered)
                result.throughput.append(loaded.per_second)
                result.latency.append(loaded.median_seconds)
                result.errors += loaded.errors
                result.memory.append(memory)
                result.cpu.append((after - before) / max(1, loaded.answers))
    if any(answer != answers[0] for answer in answers):
        raise SystemExit(f"the images do not answer alike: {answers}")


def change_in_turn(
    subject: Subject,
    peers: tuple[Peer, Peer],
    tags: list[str],
    results: tuple[Measured, Measured],
    local: Registry,
    runs: int,
) -> None:
    for run in range(runs + 1):
        say(f"{subject.flow}: a code-only change, " + (f"run {run} of {runs}" if run else "once without counting"))
        for peer, tag, result in zip(peers, tags, results, strict=True):
            with (peer.flow / subject.source).open("a", encoding="utf-8") as source:
                source.write(f"\n{subject.comment.format(time.time_ns())}\n")
            before = local.stored()
            whole, engine = peer.change(tag)
            if run:
                result.change_whole.append(whole)
                result.change_engine.append(engine)
                result.change_bytes.append(local.stored() - before)


@contextlib.contextmanager
def settings(subject: Subject) -> Iterator[dict[str, str]]:
    """What the containers get to know: the workers and, for an LLM flow, where the model is."""
    environment = {"PROMPTFLOW_WORKER_NUM": str(WORKERS), "PROMPTFLOW_SERVING_ENGINE": "flask"}
    if not subject.connection:
        yield environment
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.model", "--port", str(port)]
    # What it says of a client that hangs up is no news: containers are taken away with their connections open.
    stub = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        key, base = "OPEN_AI_CONNECTION_API_KEY", "OPEN_AI_CONNECTION_API_BASE"
        yield {**environment, key: "test-key", base: f"http://127.0.0.1:{port}"}
    finally:
        stub.terminate()
        stub.wait(timeout=30)


def table(subject: Subject, ours: Measured, theirs: Measured) -> str:
    rows = [
        f"| The image of {subject.title} | flowpack | {Theirs.name} | times better | aim |\n|---|---|---|---|---|",
        row("size", _bytes, [ours.size], [theirs.size], aim=subject.smaller),
        row("size in the registry, compressed", _bytes, [ours.compressed], [theirs.compressed]),
        row("`docker run` to the first 200 on `/health`", _seconds, ours.healthy, theirs.healthy, aim=2),
        row("`docker run` to the first scored answer", _seconds, ours.answered, theirs.answered, aim=2),
        row("requests per second", "{:.0f}".format, ours.throughput, theirs.throughput, aim=1, more_is_better=True),
        row("median latency under the load", _seconds, ours.latency, theirs.latency),
        row("processor time per request", _seconds, ours.cpu, theirs.cpu),
        f"| failed requests under all loads | {ours.errors} | {theirs.errors} | | |",
        row("memory after the load", _bytes, ours.memory, theirs.memory, aim=2),
        row("code-only change, source to pushed image", _seconds, ours.change_whole, theirs.change_whole),
        row("the same, for pf without `pf flow build` itself", _seconds, ours.change_engine, theirs.change_engine),
        row("bytes that are new to the registry", _bytes, ours.change_bytes, theirs.change_bytes),
    ]
    return "\n".join(rows)


def row(
    what: str,
    shown: Callable[[float], str],
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    aim: int | None = None,
    more_is_better: bool = False,
) -> str:
    """The ratio is the median of the ratios of runs made one after the other: a machine's drift is in both of them."""
    ratios = [a / b if more_is_better else b / a for a, b in zip(ours, theirs, strict=True)]
    ratio = statistics.median(ratios)
    better = f"{ratio:.2f}"
    if len(ratios) > 1:
        better += f" ({min(ratios):.2f} to {max(ratios):.2f})"
    reached = "" if aim is None else f"{aim}, {_verdict(ratios, aim)}"
    return f"| {what} | {shown(statistics.median(ours))} | {shown(statistics.median(theirs))} | {better} | {reached} |"


def _verdict(ratios: Sequence[float], aim: int) -> str:
    if min(ratios) >= aim:
        return "reached"
    return "**missed**" if max(ratios) < aim else "on both sides of it"


def notes(runs: int, seconds: int) -> str:
    return (
        f"Medians of {runs} runs, both images in turn, on {os.cpu_count()} cores; a ratio is the median of those of "
        f"neighbouring runs, with the smallest and the largest. Both on the base {BASE} "
        f"({_bytes(image_size(BASE))}), with {WORKERS} workers of one thread and the Flask engine, "
        "on the host's network; load is wrk with "
        f"{CONNECTIONS} connections for {seconds} s. Memory is the sum of the processes' proportional set sizes. "
        "The LLM flow's model is a stub on the same machine that answers at once, so its rates are the server's cost, "
        "not what a model allows. "
        "The peer's Dockerfile is that of `pf flow build`, its conda lines replaced by a virtual environment, and "
        f"`{' '.join(REPAIRS)}` added to what it installs, since it does not start with what it would get today."
    )


def _copy(subject: Subject, target: Path) -> None:
    shutil.copytree(
        ROOT / "fixtures" / "flows" / subject.flow, target, ignore=shutil.ignore_patterns("__pycache__", ".promptflow")
    )


def _run(command: list[str]) -> None:
    timed(command)


def _bytes(number: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f} B"


def _seconds(number: float) -> str:
    return f"{number * 1000:.3g} ms" if number < 1 else f"{number:.3g} s"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
