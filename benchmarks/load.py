"""Load on ``/score`` from wrk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 8

_SCRIPT = """
wrk.method = "POST"
wrk.body = os.getenv("BODY")
wrk.headers["Content-Type"] = "application/json"
function done(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format(
    '{"requests": %d, "microseconds": %d, "errors": %d, "median": %d, "p99": %d}',
    summary.requests, summary.duration, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Load:
    """``errors``: connections that failed, answers that did not come and answers that are not 2xx or 3xx."""

    requests: int
    seconds: float
    errors: int
    median_seconds: float
    slowest_hundredth_seconds: float

    @property
    def per_second(self) -> float:
        return (self.requests - self.errors) / self.seconds


def load(address: str, body: str, seconds: int, scratch: Path) -> Load:
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("there is no 'wrk' program; Debian has it as a package (apt-get install wrk)")
    script = scratch / "score.lua"
    script.write_text(_SCRIPT)
    command = [program, "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout=30s", "-s", str(script)]
    done = subprocess.run(
        [*command, f"http://{address}/score"],
        env={**os.environ, "BODY": body},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stderr)
    return Load(
        requests=told["requests"],
        seconds=told["microseconds"] / 1e6,
        errors=told["errors"],
        median_seconds=told["median"] / 1e6,
        slowest_hundredth_seconds=told["p99"] / 1e6,
    )
