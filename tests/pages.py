"""Runs the console blocks of a page of the documentation as its reader would, and compares what they print.

In a block ``console`` each line that begins with ``$`` is a command. The lines below it must be among those that the
command prints, on stdout or stderr, in their order; ``…`` stands for any text within a line, or alone for any lines. A
command must succeed, unless its lines end with ``[exit code 1]``. A block with ``title="path"`` is a file that the
reader saves. A comment before a block says what is special: ``<!-- test: skip, why -->``, or
``<!-- test: background, in the checkout -->``.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(
    r'^(?:<!-- test: (?P<how>.*?) -->\n)?```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^```$',
    re.M | re.S,
)
_EXIT = re.compile(r"\[exit code (\d+)\]")
_STATE = 'status=$?; env -0 > "$PAGE_STATE"; pwd > "$PAGE_STATE.pwd"; exit $status'
_PATIENCE = 600


@dataclass(frozen=True)
class Block:
    language: str
    title: str | None
    how: str
    text: str

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """Each command with the lines that are shown below it."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
        return found


def blocks(page: Path) -> list[Block]:
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(each["language"], each["title"], each["how"] or "", each["text"]) for each in found]


class Reader:
    """Follows pages in one folder, with one shell's variables. ``names`` are replaced in commands and shown lines."""

    def __init__(
        self, folder: Path, checkout: Path, environment: Mapping[str, str], names: Mapping[str, str] | None = None
    ) -> None:
        self._folder = folder
        self._checkout = checkout
        self._environment = dict(environment)
        self._names = dict(names or {})
        self._background: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._background:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=60)

    def follow(self, page: Path) -> int:
        """How many commands were run."""
        ran = 0
        for block in blocks(page):
            if block.title:
                path = self._folder / block.title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)
            elif block.language == "console" and not block.how.startswith("skip"):
                for command, shown in block.commands:
                    if block.how.startswith("background"):
                        self._start(self._renamed(command))
                    else:
                        self._run(self._renamed(command), [self._renamed(line) for line in shown])
                    ran += 1
        return ran

    def _renamed(self, text: str) -> str:
        for name, other in self._names.items():
            text = text.replace(name, other)
        return text

    def _run(self, command: str, shown: Sequence[str]) -> None:
        state = self._folder / ".state"
        done = subprocess.run(
            ["bash", "-c", f"{command}\n{_STATE}"],
            cwd=self._folder,
            env={**self._environment, "PAGE_STATE": str(state)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        named = _EXIT.fullmatch(shown[-1]) if shown else None
        expected = int(named[1]) if named else 0
        assert done.returncode == expected, f"$ {command}\n{done.stdout}\nexit code {done.returncode}, not {expected}"
        missing = first_missing(shown[:-1] if named else shown, done.stdout.splitlines())
        assert missing is None, f"$ {command}\n{done.stdout}\nnot printed, or not in this order: {missing}"
        lines = state.read_text().split("\0")
        self._environment = dict(line.split("=", 1) for line in lines if "=" in line)

    def _start(self, command: str) -> None:
        """In the checkout; its file for the reader is copied once it is written."""
        command, _, file = command.partition(" > ")
        target = self._folder / file
        with target.open("wb") as output, (self._folder / ".background").open("wb") as log:
            self._background.append(
                subprocess.Popen(
                    ["bash", "-c", command],
                    cwd=self._checkout,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=log,
                    start_new_session=True,
                )
            )
        for _ in range(600):
            if target.stat().st_size:
                return
            assert self._background[-1].poll() is None, (self._folder / ".background").read_text()
            time.sleep(0.1)
        raise AssertionError(f"{command} wrote nothing to {file}")


def first_missing(shown: Sequence[str], printed: Sequence[str]) -> str | None:
    """The first line that is shown and not printed after the ones before it."""
    left = iter(printed)
    for line in shown:
        if line.strip() in {"", "…"}:
            continue
        pattern = r"\s+".join(re.escape(part).replace("…", ".*") for part in line.split())
        if not any(re.fullmatch(pattern, each.strip()) for each in left):
            return line
    return None
