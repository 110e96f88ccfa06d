"""What a builder says, turned into steps that a person can read: a line in, ended steps out, no clock and no output.

Three kinds are read: buildx's ``--progress=rawjson``, BuildKit's ``--progress=plain`` (of clients with BuildKit inside,
which offer no JSON), and the classic builder's text. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

KEPT_OUTPUT = 40
_SHOWN = 100
_TRIVIAL = 1.0  # an internal step that took less is nobody's concern


@dataclass(frozen=True, slots=True)
class StepEnded:
    step: str
    seconds: float | None = None
    """None: the step came from the cache."""

    def __str__(self) -> str:
        return f"{'cached' if self.seconds is None else f'{self.seconds:.1f} s':>8}  {shown_step(self.step)}"


@dataclass(frozen=True, slots=True)
class BuildFailure:
    """Why a build stopped: the step (None: before any), its last lines, the builder's verdict, the line it names."""

    step: str | None
    output: tuple[str, ...]
    verdict: str
    line: int | None = None


class BuildProgress(Protocol):
    def line(self, text: str, now: float) -> list[StepEnded]: ...

    @property
    def doing(self) -> str:
        """The step that runs, and its last output; empty between steps."""

    def failure(self) -> BuildFailure:
        """What is known of the failure, once the builder has ended with an error."""


@dataclass(slots=True)
class _Step:
    name: str
    started: float
    output: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_OUTPUT))
    last_output: str | None = None
    running: bool = True
    ended_before: bool = False
    error: str | None = None

    def __str__(self) -> str:
        said = f": {_shortened(self.last_output, 60)}" if self.last_output else ""
        return f"{shown_step(self.name)}{said}"

    def say(self, text: str) -> None:
        self.output.append(text)
        self.last_output = text.strip() or self.last_output

    def end(self, seconds: float | None) -> list[StepEnded]:
        """BuildKit ends some steps twice, such as a base that is found first and unpacked later."""
        internal = self.name.startswith(("[internal]", "[auth]"))
        quiet = (internal or self.ended_before) and (seconds or 0.0) < _TRIVIAL
        self.running, self.ended_before = False, True
        return [] if quiet else [StepEnded(self.name, seconds)]


class _Steps:
    """BuildKit's steps by their number or digest, and what the client said besides."""

    def __init__(self) -> None:
        self._steps: dict[str, _Step] = {}
        self._trailer: deque[str] = deque(maxlen=200)

    @property
    def doing(self) -> str:
        running = [step for step in self._steps.values() if step.running]
        return str(running[-1]) if running else ""

    def failure(self) -> BuildFailure:
        words = [line for line in self._trailer if not _RULE.match(line)]
        places = [int(match["line"]) for match in map(_PLACE.match, words) if match]
        places += [int(match["line"]) for match in map(_PARSE_ERROR.search, words) if match]
        line = places[0] if places else None
        broken = [step for step in self._steps.values() if step.error]
        failed = next((step for step in broken if "context canceled" not in (step.error or "")), None)
        if failed and failed.error:
            return BuildFailure(failed.name, tuple(failed.output), failed.error, line)
        said = [each for each in words if not _PLACE.match(each) and not _QUOTED_LINE.match(each)]
        return BuildFailure(None, (), "\n".join(said[-KEPT_OUTPUT:]), line)


_NUMBERED = re.compile(r"#(?P<number>\d+) (?P<rest>.*)")
_DONE = re.compile(r"DONE (?P<seconds>\d+(?:\.\d+)?)s")
_OUTPUT = re.compile(r"\d+\.\d+ ?(?P<text>.*)")
_SAID_BY_BUILDKIT = re.compile(r"sha256:[0-9a-f]{64}|\.\.\.")
_PLACE = re.compile(r"\S*Dockerfile\S*:(?P<line>\d+)$")
_PARSE_ERROR = re.compile(r"parse error(?: on)? line (?P<line>\d+)", re.I)
_RULE = re.compile(r"-{6,}$")
_QUOTED_LINE = re.compile(r"\s*\d+ \|")


class BuildKitProgress(_Steps):
    """Reads ``--progress=plain``: ``#7 name`` opens a step, ``#7 0.5 text`` is its output, ``#7 DONE 3.4s`` ends it."""

    def line(self, text: str, now: float) -> list[StepEnded]:
        text = _without_colours(text).rstrip()
        numbered = _NUMBERED.match(text)
        if numbered is None:
            if text:
                self._trailer.append(text)
            return []
        number, rest = numbered["number"], numbered["rest"]
        if number == "0":  # the client's own words on which builder it uses
            return []
        step = self._steps.get(number)
        if step is None:
            self._steps[number] = _Step(rest, started=now)
            return []
        return self._in_step(step, rest)

    def _in_step(self, step: _Step, rest: str) -> list[StepEnded]:
        done = _DONE.fullmatch(rest)
        if done or rest == "CACHED":
            return step.end(float(done["seconds"]) if done else None)
        if rest == "CANCELED" or rest.startswith("ERROR: "):
            step.running, step.error = False, rest.removeprefix("ERROR: ") if rest != "CANCELED" else None
            return []
        if rest == step.name or _SAID_BY_BUILDKIT.fullmatch(rest):  # it comes back to a step that it had left
            return []
        step.running = True
        output = _OUTPUT.fullmatch(rest)
        if output:
            step.say(output["text"])
        else:
            step.last_output = rest.strip() or step.last_output
        return []


class BuildKitEvents(_Steps):
    """Reads ``--progress=rawjson``: objects with vertexes and logs, each on one line or on several.

    What is not JSON are the client's own words, on why the build failed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._object: list[str] = []

    def line(self, text: str, now: float) -> list[StepEnded]:
        text = text.rstrip()
        if not self._object and not text.startswith("{"):
            if text:
                self._trailer.append(_without_colours(text))
            return []
        self._object.append(text)
        if not text.endswith("}") or (len(self._object) > 1 and text != "}"):
            return []
        whole, self._object = "\n".join(self._object), []
        try:
            event = json.loads(whole)
        except ValueError:
            self._trailer.append(whole)
            return []
        for log in event.get("logs") or ():
            step = self._steps.get(log["vertex"])
            for line in base64.b64decode(log["data"]).decode("utf-8", errors="replace").splitlines() if step else ():
                step.say(_without_colours(line))  # type: ignore[union-attr]
        return [ended for vertex in event.get("vertexes") or () for ended in self._vertex(vertex, now)]

    def _vertex(self, vertex: Mapping[str, Any], now: float) -> list[StepEnded]:
        if not vertex.get("started"):
            return []
        step = self._steps.setdefault(vertex["digest"], _Step(vertex["name"], started=now))
        if vertex.get("error"):
            step.running, step.error = False, str(vertex["error"])
            return []
        if not vertex.get("completed"):
            step.running = True
            return []
        if not step.running:
            return []
        taken = None if vertex.get("cached") else _seconds(vertex["started"], vertex["completed"])
        return step.end(taken)


def _seconds(started: str, completed: str) -> float:
    return _moment(completed) - _moment(started)


def _moment(text: str) -> float:
    """Seconds, of one of Go's times, whose fraction may have nine digits or none."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


_CLASSIC_STEP = re.compile(r"Step (?P<step>\d+/\d+) : (?P<instruction>.*)")
_CLASSIC_NOISE = re.compile(
    r"Sending build context|Removing intermediate container|DEPRECATED: |Successfully |WARNING: "
)


class ClassicProgress:
    """Reads the builder from before BuildKit, which runs one step after the other and tells no times."""

    def __init__(self) -> None:
        self._step: _Step | None = None
        self._before: deque[str] = deque(maxlen=KEPT_OUTPUT)

    @property
    def doing(self) -> str:
        return str(self._step) if self._step and self._step.running else ""

    def line(self, text: str, now: float) -> list[StepEnded]:
        text = _without_colours(text).rstrip()
        opened = _CLASSIC_STEP.match(text)
        if opened:
            ended = self._end(now)
            self._step = _Step(f"[{opened['step']}] {opened['instruction']}", started=now)
            return ended
        if text.startswith("Successfully built"):
            return self._end(now)
        if text == " ---> Using cache" and self._step:
            self._step.running = False
            return [StepEnded(self._step.name)]
        if not text.startswith(" ---> ") and not _CLASSIC_NOISE.match(text) and text:
            self._say(text)
        return []

    def failure(self) -> BuildFailure:
        words = list(self._step.output if self._step else self._before)
        parse_error = next(filter(None, map(_PARSE_ERROR.search, words)), None)
        line = int(parse_error["line"]) if parse_error else None
        verdict = words.pop() if words else ""
        return BuildFailure(self._step.name if self._step else None, tuple(words), verdict, line)

    def _say(self, text: str) -> None:
        if self._step is not None:
            self._step.say(text)
        elif not text.startswith(" "):  # else a notice that goes on
            self._before.append(text)

    def _end(self, now: float) -> list[StepEnded]:
        step = self._step
        if step is None or not step.running:
            return []
        step.running = False
        return [StepEnded(step.name, now - step.started)]


# A step of flowpack's own Dockerfile, and what it does for the user.
_OWN_STEPS = (
    (re.compile(r"RUN .*/download_packages\.py "), "fetching the packages of the lock"),
    (re.compile(r"RUN .*/install_packages\.py "), "installing the packages"),
    (re.compile(r"RUN python3 -I -c \"import sys; found = "), "preparing the environment of the packages"),
    (re.compile(r"RUN \{ python3 -I -S -m compileall "), "compiling the flow"),
)


def shown_step(name: str) -> str:
    """A step in words for a person: its purpose, or its command without mounts, on one line of a terminal."""
    own = next((told for pattern, told in _OWN_STEPS if pattern.search(name)), None)
    if own:
        return own
    name = re.sub(r"--mount=\S+\s+", "", name)
    return _shortened(re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}", r"\1…", name), _SHOWN)


def _shortened(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
