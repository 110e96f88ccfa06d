"""Runs the ``flowpack`` command as a user does: a process of its own, its streams apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


def flowpack(
    *arguments: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None, expect: int = 0
) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "flowpack", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == expect, f"exit {done.returncode}, not {expect}\n{done.stdout}\n{done.stderr}"
    return Done(done.returncode, done.stdout, done.stderr)
