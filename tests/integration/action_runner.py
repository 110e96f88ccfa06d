"""Runs a composite action's own steps as a GitHub runner does: each script by bash, in a process of its own.

Of the expressions it knows ``inputs`` and ``steps``, which is what action.yml has. Actions of others are left out.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

_EXPRESSION = re.compile(r"\$\{\{ *(?P<name>[\w.-]+) *\}\}")


@dataclass(frozen=True)
class ActionRun:
    """``failed`` is the name of the step that ended the run; ``log`` holds both streams."""

    failed: str | None
    log: str
    outputs: Mapping[str, str]
    summary: str


@dataclass(frozen=True)
class ActionRunner:
    action: Path
    checkout: Path
    scratch: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(self, inputs: Mapping[str, str], *, event: str, ref: str, without: frozenset[str]) -> ActionRun:
        """``without`` names steps that are left out."""
        action = yaml.safe_load(self.action.read_text(encoding="utf-8"))
        values = {
            f"inputs.{name}": inputs.get(name, each.get("default", "")) for name, each in action["inputs"].items()
        }
        summary = self._fresh("summary.md")
        log, failed = "", None
        for step in action["runs"]["steps"]:
            if "run" not in step or step["name"] in without:
                continue
            told = self._fresh("outputs")
            github = {"GITHUB_EVENT_NAME": event, "GITHUB_REF": ref, "GITHUB_ACTION_PATH": str(self.action.parent)}
            github |= {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(told)}
            code, said = self._bash(step, {**github, **_filled(step.get("env", {}), values)})
            log += said
            for line in told.read_text(encoding="utf-8").splitlines():
                name, _, value = line.partition("=")
                values[f"steps.{step['id']}.outputs.{name}"] = value
            if code != 0:
                failed = step["name"]
                break
        outputs = _filled({name: each["value"] for name, each in action["outputs"].items()}, values)
        return ActionRun(failed, log, outputs, summary.read_text(encoding="utf-8"))

    def _bash(self, step: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[int, str]:
        assert step["shell"] == "bash"
        script = self._fresh("script.sh")
        script.write_text(step["run"], encoding="utf-8")
        done = subprocess.run(
            ("bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)),
            cwd=self.checkout,
            env={**os.environ, **self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        return done.returncode, done.stdout

    def _fresh(self, name: str) -> Path:
        path = self.scratch / name
        path.write_text("")
        return path


def _filled(texts: Mapping[str, str], values: Mapping[str, str]) -> dict[str, str]:
    return {
        name: _EXPRESSION.sub(lambda match: values.get(match["name"], ""), str(text)) for name, text in texts.items()
    }
