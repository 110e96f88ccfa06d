"""Renders and parses the text of a lock, which has the same form for every resolver."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from flowpack.dependencies.target import Target
from flowpack.errors import Location, LockError

LOCK_NAME = "requirements.lock"
FORMAT = 1

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*"
    r"(?:===?\s*(?P<version>[A-Za-z0-9][\w.!+-]*)(?=[\s;]|$)|@\s*(?P<url>\S+))",
    re.ASCII,
)
_HASH = re.compile(r"--hash[= ](sha256:[0-9a-f]{64})(?=\s|$)")
_BUILT_FROM = re.compile(r"# built from (?P<source>\S+ sha256:[0-9a-f]{64})$")
_PROVIDES = re.compile(r"# provides (?P<modules>[\w.]+(?:, [\w.]+)*)$")
_OPTION = re.compile(r"-")
_SECTION = re.compile(r"# (?P<key>[a-z ]+):$")
_FIELD = re.compile(r"# (?P<key>[a-z]+): (?P<value>\S.*)$")
_MERGE_CONFLICT = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock: its version, or the URL of its archive; ``name`` is canonical."""

    name: str
    version: str | None
    hashes: tuple[str, ...]
    via: tuple[str, ...] = ()
    url: str | None = None
    built_from: str | None = None
    """The source distribution that flowpack built its wheel from, and its hash."""
    provides: tuple[str, ...] = field(default=(), compare=False)
    """The modules of its wheel; empty where they are not known."""
    line: int | None = field(default=None, compare=False)
    """Its line in the lock that was read."""

    @property
    def requirement(self) -> str:
        return f"{self.name} @ {self.url}" if self.url else f"{self.name}=={self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class LockInputs:
    """Everything that a lock depends on, as texts that are the same on every machine."""

    target: Target
    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    serving: tuple[str, ...]
    options: tuple[str, ...]
    known_good: tuple[str, ...]

    @property
    def digest(self) -> str:
        return _digest(line + "\n" for line in self._all())

    def sections(self) -> dict[str, tuple[str, ...]]:
        """The inputs that the lock's header lists, so that a stale lock shows what changed."""
        return {
            "requirements": self.requirements,
            "constraints": self.constraints,
            "options": self.options,
            "added for serving": self.serving,
        }

    def _all(self) -> Iterator[str]:
        yield f"format {FORMAT}"
        yield f"target {self.target}"
        for key, lines in {**self.sections(), "known good": self.known_good}.items():
            yield f"{key}:"
            yield from lines


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedLock:
    """A parsed lock. Fields that a lock not made by flowpack lacks are None or empty."""

    pins: tuple[Pin, ...]
    format: str | None
    target: str | None
    inputs_digest: str | None
    sections: Mapping[str, tuple[str, ...]]


def render_lock(inputs: LockInputs, pins: Iterable[Pin]) -> str:
    """The whole text. It depends only on the arguments, and not on the order of the pins."""
    before = [
        "# Every package that serving this flow installs, with its hashes. Made by `flowpack lock`: change the",
        "# requirements and run it again, this file is not for editing.",
        "#",
        f"# format: {FORMAT}",
        f"# target: {inputs.target}",
        f"# inputs: {inputs.digest}",
    ]
    after = [*_header_sections(inputs), "", *inputs_options(inputs)]
    for pin in sorted(pins, key=lambda pin: pin.name):
        after += _pin_lines(pin)
    content = _content_digest([*before, *after])
    return "\n".join([*before, f"# content: {content}", *after]) + "\n"


def inputs_options(inputs: LockInputs) -> list[str]:
    needed = needed_options(inputs.options)
    return [*needed, ""] if needed else []


def needed_options(options: Iterable[str]) -> list[str]:
    """The options an installer needs: none that only chooses versions, names a folder of the flow or has a variable."""
    return [
        line
        for line in options
        if line not in {"--pre", "--prefer-binary"}
        and not line.startswith(("--no-binary", "--only-binary"))
        and not (line.startswith("--find-links ") and "://" not in line)
        and "${" not in line
    ]


def parse_lock(text: str, path: Path = Path(LOCK_NAME)) -> ParsedLock:
    """Raises LockError if a pin has no hash, a line does not belong in a lock, or flowpack's text was changed."""
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if line.startswith(_MERGE_CONFLICT):
            raise LockError("the lock has an unresolved merge conflict", location=Location(path, number))
    parsed = read_header(lines, read_pins(lines, path))
    stated = next(((number, line) for number, line in enumerate(lines) if line.startswith("# content: ")), None)
    if stated is None and parsed.inputs_digest is None:
        return parsed
    number, line = stated or (0, "")
    if line.removeprefix("# content: ") != _content_digest([*lines[:number], *lines[number + 1 :]]):
        raise LockError("the lock was changed by hand", location=Location(path, number + 1))
    return parsed


def read_header(lines: Sequence[str], pins: Iterable[Pin]) -> ParsedLock:
    fields: dict[str, str] = {}
    sections: dict[str, list[str]] = {}
    section: list[str] = []
    for line in lines:
        if not line.startswith("#"):
            break
        if line.startswith("#   "):
            section.append(line[4:])
        elif found := _SECTION.match(line):
            section = sections.setdefault(found["key"], [])
        elif found := _FIELD.match(line):
            fields[found["key"]] = found["value"]
    return ParsedLock(
        pins=tuple(pins),
        format=fields.get("format"),
        target=fields.get("target"),
        inputs_digest=fields.get("inputs"),
        sections={key: tuple(values) for key, values in sections.items()},
    )


def read_pins(lines: Sequence[str], path: Path, *, lenient: bool = False) -> Iterator[Pin]:
    """The pins of a lock or of a resolver's output. ``lenient`` skips entries that are not pins with hashes."""
    for number, block, comments in entries(lines):
        if _OPTION.match(block):
            continue
        found = _PIN.match(block)
        hashes = tuple(sorted(set(_HASH.findall(block))))
        if found is None or not hashes:
            if lenient:
                continue
            name = found["name"] if found else next(iter(block.split(maxsplit=1)), "\\")[:200]
            message = f"'{name}' has no hash" if found else f"'{name}' is not pinned to a version"
            raise LockError(message, location=Location(path, number))
        via = tuple(_via(comments))
        built = next((source["source"] for each in comments if (source := _BUILT_FROM.match(each))), None)
        stated = next((match["modules"] for each in comments if (match := _PROVIDES.match(each))), None)
        provides = tuple(stated.split(", ")) if stated else ()
        name = canonicalize_name(found["name"])
        yield Pin(name, found["version"], hashes, via, found["url"], built_from=built, provides=provides, line=number)


def entries(lines: Iterable[str]) -> Iterator[tuple[int, str, list[str]]]:
    """Each entry with the number of its first line, its continued lines joined, and the comments below it."""
    entry: tuple[int, list[str], list[str]] | None = None
    continued = False
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text.startswith("#"):
            if entry is not None:
                entry[2].append(text)
            continued = False
            continue
        if continued and entry is not None:
            entry[1].append(text.rstrip("\\").strip())
        else:
            if entry is not None:
                yield entry[0], " ".join(entry[1]), entry[2]
            entry = (number, [text.rstrip("\\").strip()], []) if text else None
        continued = text.endswith("\\")
    if entry is not None:
        yield entry[0], " ".join(entry[1]), entry[2]


def _via(comments: Sequence[str]) -> Iterator[str]:
    found = False
    for comment in comments:
        text = comment.removeprefix("#").strip()
        if text == "via" or text.startswith("via "):
            found = True
            text = text[4:].strip()
        if found and text:
            yield text


def installed_lines(pin: Pin) -> list[str]:
    """The lines of a pin that an installer reads."""
    hashes = [f"    --hash={each}" for each in sorted(pin.hashes)]
    return [f"{pin.requirement} \\", *(f"{line} \\" for line in hashes[:-1]), hashes[-1]]


def _pin_lines(pin: Pin) -> list[str]:
    lines = installed_lines(pin)
    if pin.built_from:
        lines.append(f"    # built from {pin.built_from}")
    if pin.provides:
        lines.append(f"    # provides {', '.join(pin.provides)}")
    if len(pin.via) == 1:
        lines.append(f"    # via {pin.via[0]}")
    elif pin.via:
        lines += ["    # via", *(f"    #   {each}" for each in sorted(pin.via))]
    return lines


def _header_sections(inputs: LockInputs) -> list[str]:
    lines = []
    for key, texts in inputs.sections().items():
        if texts:
            lines += ["#", f"# {key}:", *(f"#   {text}" for text in texts)]
    return lines


def _content_digest(lines: Iterable[str]) -> str:
    return _digest(line + "\n" for line in lines)


def _digest(lines: Iterable[str]) -> str:
    summed = hashlib.sha256()
    for line in lines:
        summed.update(line.encode())
    return f"sha256:{summed.hexdigest()}"
