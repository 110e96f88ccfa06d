"""Load on ``/score`` from wrk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.docker import HOST, PORT

CONNECTIONS = 8

_SCRIPT = """
wrk.method = "POST"
wrk.body = os.getenv("BODY")
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format(
    '{"answers": %d, "microseconds": %d, "refused": %d, "broken": %d, "median": %d}',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout, latency:percentile(50)))
end
"""


@dataclass(frozen=True)
class Load:
    """``errors``: answers that are not 2xx or 3xx, and connections that failed or gave no answer in time."""

    answers: int
    per_second: float
    errors: int
    median_seconds: float


def load(body: str, seconds: int, scratch: Path) -> Load:
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("there is no 'wrk' program; Debian has it as a package (apt-get install wrk)")
    script = scratch / "score.lua"
    script.write_text(_SCRIPT)
    command = [program, "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout=30s", "-s", str(script)]
    done = subprocess.run(
        [*command, f"http://{HOST}:{PORT}/score"],
        env={**os.environ, "BODY": body},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {done.returncode}\n{done.stdout}{done.stderr}")
    told = json.loads(done.stderr)
    answers = told["answers"] - told["refused"]
    return Load(
        answers=answers,
        per_second=answers / told["microseconds"] * 1e6,
        errors=told["refused"] + told["broken"],
        median_seconds=told["median"] / 1e6,
    )
