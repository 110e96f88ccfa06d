"""The oracle: promptflow, kept running in an environment of its own and asked over a pipe."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.integration.pf_serve import PromptFlow

_WORKER = Path(__file__).with_name("oracle_worker.py")


class PromptFlowError(Exception):
    """promptflow raised an error: its kind and its message."""


class Oracle:
    def __init__(self, pf: PromptFlow, log: Path) -> None:
        self._log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                [pf.programs / "python", _WORKER],
                env=pf.environment,
                cwd=log.parent,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                encoding="utf-8",
            )

    def close(self) -> None:
        self._process.communicate()

    def build(self, source: Path, output: Path, variant: str | None = None, *, describe_tools: bool = False) -> None:
        """Writes promptflow's standalone folder; see the worker for ``describe_tools``."""
        named = f"${{{variant}}}" if variant else None
        self._ask("build", source=str(source), output=str(output), variant=named, describe_tools=describe_tools)

    def data(self, file: Path, without: Sequence[str] = ()) -> str:
        """What promptflow reads in a YAML file, as text that shows order and types."""
        return str(self._ask("data", source=str(file), without=without))

    def standalone_data(self, file: Path, variant: str | None = None) -> str:
        """What promptflow makes of the file of a DAG flow when it builds."""
        named = f"${{{variant}}}" if variant else None
        return str(self._ask("standalone_data", source=str(file), variant=named))

    def load(self, source: Path) -> str:
        """The kind of flow that promptflow loads."""
        return str(self._ask("load", source=str(source)))

    def run(self, source: Path, inputs: Mapping[str, Any], init: Mapping[str, Any] | None = None) -> Any:
        return self._ask("run", source=str(source), inputs=inputs, init=init)

    def _ask(self, do: str, **arguments: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"do": do, **arguments}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"promptflow's process ended:\n{self._log.read_text(errors='replace')[-4000:]}"
        answer = json.loads(line)
        if "error" in answer:
            raise PromptFlowError(answer["error"])
        return answer["result"]
