"""The peer: promptflow 1.18.5 in a virtual environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

RELEASE = "1.18.5"
_CACHE = Path(__file__).parents[1] / ".cache" / "benchmarks"

# Releases of opentelemetry-sdk from 1.39 on break promptflow-tracing 1.18.5.
REPAIRS = ("opentelemetry-sdk<1.39", "httpx")


def promptflow() -> Path:
    """The environment's folder of programs; made once."""
    return _environment(f"promptflow-{RELEASE}")


def promptflow_with_tools() -> Path:
    """One that builds LLM flows too: pf imports what their nodes use, and keeps their connections in a keyring."""
    return _environment(f"promptflow-{RELEASE}-tools", "promptflow-tools", "keyrings.alt")


def _environment(name: str, *more: str) -> Path:
    folder = _CACHE / name
    programs = folder / "bin"
    if not (folder / "ready").exists():
        print(f"installing promptflow {RELEASE} for the comparison", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        wanted = [f"promptflow=={RELEASE}", *REPAIRS, *more]
        subprocess.run([str(programs / "pip"), "install", "--quiet", *wanted], check=True)
        (folder / "ready").touch()
    return programs
