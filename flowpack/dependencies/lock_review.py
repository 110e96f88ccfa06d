"""What a lock would install beyond what its header explains.

The checksum in a lock tells a change by hand from none, and whoever changes the lock can write a new one. So a lock is
taken only where each line that an installer reads is one that flowpack writes for the header's inputs: their options,
and pins with sha256 hashes that a requirement, or a package of the lock, asks for. Whether a package does ask for
another is known to an index alone: that a pin's ``via`` tells the truth is not checked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from flowpack.dependencies.lock_format import (
    LOCK_NAME,
    LockInputs,
    ParsedLock,
    Pin,
    entries,
    installed_lines,
    needed_options,
    parse_lock,
    read_header,
    read_pins,
)
from flowpack.dependencies.slim import FULL_SDK, MARK
from flowpack.errors import Location, LockError
from flowpack.reading import LOCK_BYTES, read_text

_MOST = 20
_SHOWN = 200
_LONGEST = 64 * 1024
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_STATED_HASH = re.compile(r"--hash=(\S+)")


class UnexplainedLockError(LockError):
    """The lock is whole, and says what its header does not explain."""


def unexplained(
    text: str, path: Path = Path(LOCK_NAME), parsed: ParsedLock | None = None
) -> Iterator[UnexplainedLockError]:
    """The first problems of a lock that ``parse_lock`` takes; none for one of another maker, which installs nothing.

    ``parsed`` is what ``parse_lock`` made of the text, where that is known already.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    for number, line in enumerate(lines, start=1):
        if not line.isprintable():  # readers of text differ in which characters end a line
            yield _problem("the line has a character that cannot be printed", path, number)
            return
    parsed = parsed or read_header(lines, read_pins(lines, path))
    if parsed.inputs_digest is None:
        return
    blocks = [(number, block) for number, block, _ in entries(lines)]
    found = list(islice(_problems(blocks, parsed, path), _MOST))
    yield from found or islice(_other_lines(lines, blocks, parsed, path), 1)


def check_installable(lock: Path) -> None:
    """For an installer on this machine, which would put this process's variables in for each ``${NAME}``."""
    text = read_text(lock, limit=LOCK_BYTES, within=None, error=LockError)
    parse_lock(text, lock)
    for number, line in enumerate(text.splitlines(), start=1):
        if "${" in line and not line.startswith("#"):
            raise _problem("the lock has a variable, and flowpack writes none", lock, number)
    for problem in unexplained(text, lock):
        raise problem


def unlike(parsed: ParsedLock, inputs: LockInputs, path: Path) -> UnexplainedLockError | None:
    """What a header says that has the inputs' checksum and not the inputs."""
    stated = {key: texts for key, texts in inputs.sections().items() if texts}
    if parsed.sections == stated and parsed.target == str(inputs.target):
        return None
    return _problem("the header does not list what its checksum is of", path, None)


def _problems(blocks: Sequence[tuple[int, str]], parsed: ParsedLock, path: Path) -> Iterator[UnexplainedLockError]:
    stated = _section(parsed, "options")
    times = Counter(stated)
    options: Counter[str] = Counter()
    for number, block in blocks:
        words = block.split()
        if block.startswith("-"):
            options[block] += 1
            if not _is_explained(block, stated):
                message = f"'{block[:_SHOWN]}' is an option that the requirements do not have"
                yield _problem(message, path, number)
            elif options[block] > times[block]:
                yield _problem(f"the option '{block[:_SHOWN]}' is repeated", path, number)
        elif ";" in words:
            yield _problem(f"'{words[0][:_SHOWN]}' has a marker, and is left out where it does not hold", path, number)
        elif any(word.startswith("--hash") and not _HASH.fullmatch(word) for word in words):
            yield _problem(f"'{words[0][:_SHOWN]}' has a hash that is not sha256", path, number)
    for option in dict.fromkeys(needed_options(stated)):
        if not options[option]:
            yield _problem(f"the lock leaves out the option '{option[:_SHOWN]}'", path, None)
    pins: dict[str, Pin] = {}
    for pin in parsed.pins:
        if pin.name in pins:
            yield _problem(f"'{pin.name[:_SHOWN]}' is pinned a second time", path, pin.line)
        pins[pin.name] = pin
    yield from _without_a_reason(parsed, path)
    yield from _against_the_requirements(parsed, pins, path)


def _without_a_reason(parsed: ParsedLock, path: Path) -> Iterator[UnexplainedLockError]:
    """Pins that no chain of ``via`` leads to from a requirement."""
    asked_for = {_name_of(text) for key in ("requirements", "added for serving") for text in _section(parsed, key)}
    brings: dict[str, list[str]] = {}
    for pin in parsed.pins:
        for each in pin.via:
            brings.setdefault(canonicalize_name(each.partition("[")[0]), []).append(pin.name)
    reached = {pin.name for pin in parsed.pins if pin.name in asked_for}
    waiting = [*reached]
    while waiting:
        more = {name for name in brings.get(waiting.pop(), ()) if name not in reached}
        reached |= more
        waiting += more
    for pin in parsed.pins:
        if not pin.via:
            yield _problem(f"'{pin.name[:_SHOWN]}' does not say what requires it", path, pin.line)
        elif pin.name not in reached:
            yield _problem(f"no requirement leads to '{pin.name[:_SHOWN]}'", path, pin.line)


def _against_the_requirements(
    parsed: ParsedLock, pins: Mapping[str, Pin], path: Path
) -> Iterator[UnexplainedLockError]:
    urls: set[tuple[str, str]] = set()
    may_lack = FULL_SDK if MARK in _section(parsed, "added for serving") else frozenset()
    for key in ("requirements", "constraints", "added for serving"):
        for text in _section(parsed, key):
            requirement = _requirement(text)
            if requirement is None:
                continue
            name = canonicalize_name(requirement.name)
            if requirement.url:
                urls.add((name, requirement.url))
            pin = pins.get(name)
            if requirement.marker is not None:
                continue
            if pin is None and key != "constraints" and name not in may_lack:
                yield _problem(f"'{text[:_SHOWN]}' is required and not in the lock", path, None)
            elif pin is not None and not _meets(pin, requirement, text):
                message = f"'{pin.requirement[:_SHOWN]}' is not what '{text[:_SHOWN]}' asks for"
                yield _problem(message, path, pin.line)
    for pin in pins.values():
        if pin.url and (pin.name, pin.url) not in urls:
            message = f"'{pin.requirement[:_SHOWN]}' comes from a URL that no requirement names"
            yield _problem(message, path, pin.line)


def _meets(pin: Pin, requirement: Requirement, text: str) -> bool:
    if pin.built_from:
        return _is_built_from(pin, requirement, text)
    stated = set(_STATED_HASH.findall(text))
    if stated and not stated.issuperset(pin.hashes):
        return False
    if requirement.url:
        return pin.url == requirement.url
    if pin.version is None:
        return True  # a URL of another requirement for the same package
    try:
        return any(each.operator == "===" for each in requirement.specifier) or requirement.specifier.contains(
            Version(pin.version), prereleases=True
        )
    except InvalidVersion:
        return False


def _is_built_from(pin: Pin, requirement: Requirement, text: str) -> bool:
    """The requirement's hashes are of the source distribution, and so is its URL."""
    stated = set(_STATED_HASH.findall(text))
    source_hash = (pin.built_from or "").rpartition(" ")[2]
    if (stated and source_hash not in stated) or pin.version is None:
        return False
    return bool(requirement.url) or requirement.specifier.contains(Version(pin.version), prereleases=True)


def _other_lines(
    lines: Sequence[str], blocks: Sequence[tuple[int, str]], parsed: ParsedLock, path: Path
) -> Iterator[UnexplainedLockError]:
    """Whatever else an installer would read: the lines without comments are exactly those that flowpack writes."""
    stated = _section(parsed, "options")
    wanted = [block for _, block in blocks if block.startswith("-") and _is_explained(block, stated)]
    for pin in parsed.pins:
        wanted += installed_lines(pin)
    there = []
    continued = False
    for number, line in enumerate(lines, start=1):
        is_comment = line.lstrip().startswith("#")
        if continued and (is_comment or not line.strip()):
            yield _problem("an entry ends where it is continued", path, number)
        if line.strip() and not is_comment:
            there.append((number, line.rstrip()))
        continued = line.endswith("\\") and not is_comment
    for (number, line), expected in zip(there, wanted, strict=False):
        if line != expected:
            yield _problem(f"'{line.strip()[:_SHOWN]}' is not a line that flowpack writes", path, number)
    if len(there) != len(wanted):
        yield _problem("the lock has more or fewer lines than flowpack writes", path, None)


def _is_explained(option: str, stated: Sequence[str]) -> bool:
    """Earlier releases wrote down which packages come as wheels."""
    return option in needed_options(stated) or (option in stated and option.startswith(("--no-bin", "--only-bin")))


def _section(parsed: ParsedLock, key: str) -> tuple[str, ...]:
    return parsed.sections.get(key, ())


def _name_of(text: str) -> str:
    found = _NAME.match(text)
    return canonicalize_name(found[0]) if found else ""


def _requirement(text: str) -> Requirement | None:
    """A line of the header; its hashes are no part of packaging's syntax, and slim's mark is no requirement."""
    try:
        return Requirement(text.partition(" --hash=")[0]) if len(text) <= _LONGEST else None
    except (InvalidRequirement, ValueError, RecursionError):
        return None


def _problem(message: str, path: Path, number: int | None) -> UnexplainedLockError:
    return UnexplainedLockError(message, location=Location(path, number))
