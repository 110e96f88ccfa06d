"""The peer: promptflow 1.18.5 in a virtual environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RELEASE = "1.18.5"
_FOLDER = Path(__file__).parents[1] / ".cache" / "benchmarks" / f"promptflow-{RELEASE}"


def promptflow() -> Path:
    """The environment's folder of programs; made once."""
    programs = _FOLDER / "bin"
    if not (_FOLDER / "ready").exists():
        print(f"installing promptflow {RELEASE} for the comparison", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_FOLDER)], check=True)
        # Releases of opentelemetry-sdk from 1.39 on break promptflow-tracing 1.18.5.
        wanted = [f"promptflow=={RELEASE}", "opentelemetry-sdk<1.39"]
        subprocess.run([str(programs / "pip"), "install", "--quiet", *wanted], check=True)
        (_FOLDER / "ready").touch()
    return programs
