"""What a builder prints, turned into events that a person can read: a line in, events out, no clock and no output.

Two builders are read: BuildKit with ``--progress=plain`` (Docker 20.10's, about 0.8, and today's) and the classic one.
Each step is told once, when it ends; one that runs long gives a sign of life. Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

HEARTBEAT = 10.0
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
class StepRunning:
    step: str
    seconds: float
    last_output: str | None = None

    def __str__(self) -> str:
        said = f": {_shortened(self.last_output, 60)}" if self.last_output else ""
        return f"{f'{self.seconds:.0f} s …':>8}  {shown_step(self.step)}{said}"


Event = StepEnded | StepRunning


@dataclass(frozen=True, slots=True)
class BuildFailure:
    """Why a build stopped: the step (None: before any), its last lines, the builder's verdict, the line it names."""

    step: str | None
    output: tuple[str, ...]
    verdict: str
    line: int | None = None


class BuildProgress(Protocol):
    def line(self, text: str, now: float) -> list[Event]: ...

    def tick(self, now: float) -> list[Event]:
        """Signs of life of the steps that have said nothing of themselves for a while."""

    def failure(self) -> BuildFailure:
        """What is known of the failure, once the builder has ended with an error."""


@dataclass(slots=True)
class _Step:
    name: str
    started: float
    told: float
    """When the step was last spoken of."""
    output: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_OUTPUT))
    last_output: str | None = None
    running: bool = True
    ended_before: bool = False
    error: str | None = None

    def sign_of_life(self, now: float, heartbeat: float) -> StepRunning | None:
        if not self.running or now - self.told < heartbeat:
            return None
        self.told = now
        return StepRunning(self.name, now - self.started, self.last_output)


_NUMBERED = re.compile(r"#(?P<number>\d+) (?P<rest>.*)")
_DONE = re.compile(r"DONE (?P<seconds>\d+(?:\.\d+)?)s")
_OUTPUT = re.compile(r"\d+\.\d+ ?(?P<text>.*)")
_SAID_BY_BUILDKIT = re.compile(r"sha256:[0-9a-f]{64}|\.\.\.")
_PLACE = re.compile(r"\S*Dockerfile\S*:(?P<line>\d+)$")
_PARSE_ERROR = re.compile(r"parse error(?: on)? line (?P<line>\d+)", re.I)
_RULE = re.compile(r"-{6,}$")
_QUOTED_LINE = re.compile(r"\s*\d+ \|")


class BuildKitProgress:
    """Reads ``--progress=plain``: ``#7 name`` opens a step, ``#7 0.5 text`` is its output, ``#7 DONE 3.4s`` ends it."""

    def __init__(self, heartbeat: float = HEARTBEAT) -> None:
        self._heartbeat = heartbeat
        self._steps: dict[str, _Step] = {}
        self._trailer: deque[str] = deque(maxlen=200)

    def line(self, text: str, now: float) -> list[Event]:
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
            self._steps[number] = _Step(rest, started=now, told=now)
            return []
        return self._in_step(step, rest)

    def tick(self, now: float) -> list[Event]:
        signs = (step.sign_of_life(now, self._heartbeat) for step in self._steps.values())
        return [sign for sign in signs if sign]

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

    def _in_step(self, step: _Step, rest: str) -> list[Event]:
        done = _DONE.fullmatch(rest)
        if done or rest == "CACHED":
            return self._ended(step, float(done["seconds"]) if done else None)
        if rest == "CANCELED" or rest.startswith("ERROR: "):
            step.running, step.error = False, rest.removeprefix("ERROR: ") if rest != "CANCELED" else None
            return []
        if rest == step.name or _SAID_BY_BUILDKIT.fullmatch(rest):  # it comes back to a step that it had left
            return []
        step.running = True
        output = _OUTPUT.fullmatch(rest)
        if output:
            step.output.append(output["text"])
        step.last_output = (output["text"] if output else rest).strip() or step.last_output
        return []

    def _ended(self, step: _Step, seconds: float | None) -> list[Event]:
        """BuildKit ends some steps twice, such as a base that is found first and unpacked later."""
        internal = step.name.startswith(("[internal]", "[auth]"))
        quiet = (internal or step.ended_before) and (seconds or 0.0) < _TRIVIAL
        step.running, step.ended_before = False, True
        return [] if quiet else [StepEnded(step.name, seconds)]


_CLASSIC_STEP = re.compile(r"Step (?P<step>\d+/\d+) : (?P<instruction>.*)")
_CLASSIC_NOISE = re.compile(
    r"Sending build context|Removing intermediate container|DEPRECATED: |Successfully |WARNING: "
)


class ClassicProgress:
    """Reads the builder from before BuildKit, which runs one step after the other and tells no times."""

    def __init__(self, heartbeat: float = HEARTBEAT) -> None:
        self._heartbeat = heartbeat
        self._step: _Step | None = None
        self._before: deque[str] = deque(maxlen=KEPT_OUTPUT)
        self._built: bool = False

    def line(self, text: str, now: float) -> list[Event]:
        text = _without_colours(text).rstrip()
        opened = _CLASSIC_STEP.match(text)
        if opened:
            events = self._end(now)
            self._step = _Step(f"[{opened['step']}] {opened['instruction']}", started=now, told=now)
            return events
        if text.startswith("Successfully built"):
            return self._end(now)
        if text == " ---> Using cache" and self._step:
            self._step.running = False
            return [StepEnded(self._step.name)]
        if not text.startswith(" ---> ") and not _CLASSIC_NOISE.match(text) and text:
            self._say(text)
        return []

    def tick(self, now: float) -> list[Event]:
        sign = self._step.sign_of_life(now, self._heartbeat) if self._step else None
        return [sign] if sign else []

    def failure(self) -> BuildFailure:
        words = list(self._step.output if self._step else self._before)
        parse_error = next(filter(None, map(_PARSE_ERROR.search, words)), None)
        line = int(parse_error["line"]) if parse_error else None
        verdict = words.pop() if words else ""
        return BuildFailure(self._step.name if self._step else None, tuple(words), verdict, line)

    def _say(self, text: str) -> None:
        if self._step is None:
            if not text.startswith(" "):  # a notice that goes on
                self._before.append(text)
            return
        self._step.output.append(text)
        self._step.last_output = text.strip()

    def _end(self, now: float) -> list[Event]:
        step = self._step
        if step is None or not step.running:
            return []
        step.running = False
        return [StepEnded(step.name, now - step.started)]


def shown_step(name: str) -> str:
    """A step as a person wants it: without its mounts, which are plumbing, and on one line of a terminal."""
    name = re.sub(r"--mount=\S+\s+", "", name)
    return _shortened(re.sub(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}", r"\1…", name), _SHOWN)


def _shortened(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"


def _without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
