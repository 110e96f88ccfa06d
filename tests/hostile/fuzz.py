"""Looks for texts that a reader takes too long for or ends with an exception for, and for requests that a server does.

``scripts/fuzz`` runs it. Three ways share the time: hypothesis puts shapes together and breaks the fixtures, atheris
follows the coverage of each reader, and malformed requests go to ``/score`` of both engines. What is found is written
to a file, with the command that repeats it.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import random
import re
import subprocess
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from flowpack.checks.registry import all_checks
from tests.hostile.measuring import measure
from tests.hostile.readers import READERS, Reader, reader
from tests.hostile.shapes import all_shapes, of_unit, units
from tests.paths import ROOT

SLOW = 1.0
"""Seconds of the processor that no text of up to 256 KB may take."""
LENGTHS = (200, 4096, 64 * 1024, 256 * 1024)

_UNITS = sorted(units())
_SAMPLES = sorted(
    path
    for path in (ROOT / "fixtures").rglob("*")
    if path.is_file()
    and path.stat().st_size < 20_000
    and path.suffix in {".yaml", ".prompty", ".py", ".jinja2", ".txt", ".json", ".md"}
)


class Findings:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.count = 0
        self._seen: set[str] = set()

    def add(self, name: str, content: bytes, problem: str, command: str) -> None:
        """One for each reader and last line of its problem: the rest are more of the same."""
        kind = f"{name}: {problem.strip().splitlines()[-1][:60]}"
        if kind in self._seen:
            return
        self._seen.add(kind)
        self.count += 1
        self._folder.mkdir(parents=True, exist_ok=True)
        named = re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-.")
        path = self._folder / f"{named}-{hashlib.sha256(content).hexdigest()[:12]}"
        path.write_bytes(content)
        print(
            f"fuzz: {name}: {problem.strip()}\n  the text: {path}\n  again:    {command.format(path=path)}\n",
            flush=True,
        )


def try_text(findings: Findings, each: Reader, content: bytes) -> None:
    found = measure(each, content)
    problem = found.problem or (f"{found.seconds:.1f} s for {len(content):,} bytes" if found.seconds > SLOW else None)
    if problem and not found.problem and measure(each, content).seconds <= SLOW:
        return  # once was another process's doing
    if problem:
        findings.add(each.name, content, problem, f"scripts/fuzz --replay '{each.name}' {{path}}")


@st.composite
def hostile_texts(draw: st.DrawFn, each: Reader) -> bytes:
    if draw(st.booleans()):
        unit = "".join(draw(st.lists(st.sampled_from(_UNITS), min_size=1, max_size=4)))
        text = draw(st.sampled_from(each.frames)).around(of_unit(unit).text(draw(st.sampled_from(LENGTHS))))
        return text.encode("utf-8", "surrogatepass")
    sample = draw(st.sampled_from(_SAMPLES)).read_bytes()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(sample)))
        cut = draw(st.integers(0, 40))
        unit = draw(st.sampled_from(_UNITS)).encode() * draw(st.sampled_from([1, 2, 100, 1000]))
        sample = sample[:at] + unit + sample[at + cut :]
    return sample[: LENGTHS[-1]]


def with_hypothesis(findings: Findings, until: float, number: int) -> int:
    tried = 0
    while time.monotonic() < until:
        for each in READERS:
            if time.monotonic() >= until:
                break
            _try_some(findings, each, until, number + tried)
            tried += 5
    return tried


def _try_some(findings: Findings, each: Reader, until: float, number: int) -> None:
    @seed(number)
    @settings(
        max_examples=5, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(hostile_texts(each))
    def trial(content: bytes) -> None:
        if time.monotonic() < until:
            try_text(findings, each, content)

    trial()


def with_atheris(findings: Findings, seconds: float, number: int, folder: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        print(f"fuzz: atheris is not installed (it has no wheel for each Python, and this is {version}): left out")
        return
    names = ["YAML", "prompty", "Jinja", "Python signatures", "requirements", "lock", "ignore file", "samples.json"]
    names = random.Random(number).sample(names, min(len(names), max(1, int(seconds // 10))))  # it starts slowly
    for name in names:
        corpus = folder / "corpus" / name.replace(" ", "-")
        corpus.mkdir(parents=True, exist_ok=True)
        for number_of_shape, shape in enumerate(all_shapes()):
            (corpus / str(number_of_shape)).write_bytes(shape.text(60).encode("utf-8", "surrogatepass"))
        share = max(5, int(seconds / len(names)))
        artifacts = folder / "atheris-"
        command = [sys.executable, "-m", "tests.hostile.follow_coverage", name, str(corpus), f"-max_total_time={share}"]
        command += [f"-seed={number % 2**32 or 1}", "-max_len=4096", "-timeout=10", f"-artifact_prefix={artifacts}"]
        print(f"fuzz: atheris on {name}", flush=True)
        done = _run(command, share + 60)
        for path in folder.glob("atheris-*"):
            problem = measure(reader(name), path.read_bytes()).problem or done.stderr[-1500:]
            findings.add(name, path.read_bytes(), problem, f"scripts/fuzz --replay '{name}' {{path}}")
            path.unlink()
        if done.returncode not in {0, 77} and not findings.count:
            print(f"fuzz: atheris on {name} ended with {done.returncode}:\n{done.stderr[-1500:]}")


def _run(command: list[str], limit: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False, timeout=limit
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode(errors="replace") if isinstance(error.stderr, bytes) else ""
        return subprocess.CompletedProcess(command, 70, "", f"{said}\nnot done after {limit:g} s")


def sweep(findings: Findings) -> None:
    """Each reader with each frame and each shape, once: some ten minutes."""
    for each in READERS:
        for frame in each.frames:
            for shape in all_shapes():
                try_text(findings, each, frame.around(shape.text(LENGTHS[-1])).encode("utf-8", "surrogatepass"))
        print(f"fuzz: {each.name} done", flush=True)


def replay(name: str, path: Path) -> int:
    found = measure(reader(name), path.read_bytes())
    print(found.problem or f"{found.seconds:.2f} s: {found.refusal or 'read'}")
    return int(bool(found.problem) or found.seconds > SLOW)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--seconds", type=int, default=120, help="for all ways together (default: 120)")
    parser.add_argument("--seed", type=int, default=None, help="of a run that is to be repeated")
    parser.add_argument("--findings", type=Path, default=ROOT / "build" / "fuzz", help="where findings go")
    parser.add_argument("--no-server", action="store_true", help="leave out /score")
    parser.add_argument("--sweep", action="store_true", help="each reader with each shape, once, however long it takes")
    parser.add_argument("--replay", nargs=2, metavar=("READER", "FILE"), help="one text that was found")
    options = parser.parse_args()
    all_checks()
    if options.replay:
        return replay(options.replay[0], Path(options.replay[1]))
    number = options.seed if options.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"fuzz: {options.seconds} s, --seed {number}", flush=True)
    findings = Findings(options.findings)
    if options.sweep:
        sweep(findings)
    else:
        server = 0 if options.no_server else options.seconds // 3
        for_atheris = (options.seconds - server) // 3
        began = time.monotonic()
        if server:
            from tests.hostile.fuzz_server import with_requests  # noqa: PLC0415  (it reports to this module's Findings)

            with_requests(findings, server, number)
        options.findings.mkdir(parents=True, exist_ok=True)
        with_atheris(findings, for_atheris, number, options.findings)
        left = max(5.0, options.seconds - (time.monotonic() - began))
        tried = with_hypothesis(findings, time.monotonic() + left, number)
        print(f"fuzz: {tried} texts of hypothesis")
    print(f"fuzz: {findings.count} found (--seed {number})")
    return int(findings.count > 0)


if __name__ == "__main__":
    sys.exit(main())
