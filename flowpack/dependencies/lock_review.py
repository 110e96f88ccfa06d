"""Finds lines of a lock that its header does not explain.

A lock's checksum reveals an edit by hand, but its editor can also write a new checksum. So a lock is accepted only if
each line that an installer reads is one that flowpack writes for the header's inputs: their options, and pins with
sha256 hashes that a requirement, or a package of the lock, asks for. Only an index knows whether a package really
requires another, so a pin's ``via`` is not verified.
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
    """The lock is intact, but its header does not explain all of it."""


def unexplained(
    text: str, path: Path = Path(LOCK_NAME), parsed: ParsedLock | None = None
) -> Iterator[UnexplainedLockError]:
    """The first problems of a lock that ``parse_lock`` accepts; none if flowpack did not make it, as it is not used.

    ``parsed`` is the result of ``parse_lock`` for this text, if it is known.
    """
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    for number, line in enumerate(lines, start=1):
        if not line.isprintable():  # programs differ in which characters end a line
            yield _problem("the line has a character that cannot be printed", path, number)
            return
    parsed = parsed or read_header(lines, read_pins(lines, path))
    if parsed.inputs_digest is None:
        return
    blocks = [(number, block) for number, block, _ in entries(lines)]
    found = list(islice(_problems(blocks, parsed, path), _MOST))
    yield from found or islice(_other_lines(lines, blocks, parsed, path), 1)


def check_installable(lock: Path) -> None:
    """Checks a lock for an installer on this machine, which would expand ``${NAME}`` from this process's variables."""
    text = read_text(lock, limit=LOCK_BYTES, within=None, error=LockError)
    parse_lock(text, lock)
    for number, line in enumerate(text.splitlines(), start=1):
        if "${" in line and not line.startswith("#"):
            raise _problem("the lock has a variable, but flowpack writes none", lock, number)
    for problem in unexplained(text, lock):
        raise problem


def unlike(parsed: ParsedLock, inputs: LockInputs, path: Path) -> UnexplainedLockError | None:
    """The problem of a header that has the inputs' checksum but lists other inputs."""
    stated = {key: texts for key, texts in inputs.sections().items() if texts}
    if parsed.sections == stated and parsed.target == str(inputs.target):
        return None
    return _problem("the header does not list the inputs that its checksum covers", path, None)


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
            yield _problem(f"'{words[0][:_SHOWN]}' has a marker, and is left out where it is false", path, number)
        elif any(word.startswith("--hash") and not _HASH.fullmatch(word) for word in words):
            yield _problem(f"'{words[0][:_SHOWN]}' has a hash that is not sha256", path, number)
    for option in dict.fromkeys(needed_options(stated)):
        if not options[option]:
            yield _problem(f"the lock leaves out the option '{option[:_SHOWN]}'", path, None)
    pins: dict[str, Pin] = {}
    for pin in parsed.pins:
        if pin.name in pins:
            yield _problem(f"'{pin.name[:_SHOWN]}' is pinned twice", path, pin.line)
        pins[pin.name] = pin
    yield from _without_a_reason(parsed, path)
    yield from _against_the_requirements(parsed, pins, path)


def _without_a_reason(parsed: ParsedLock, path: Path) -> Iterator[UnexplainedLockError]:
    """Pins that no chain of ``via`` connects to a requirement."""
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
                yield _problem(f"'{text[:_SHOWN]}' is required but not in the lock", path, None)
            elif pin is not None and not _meets(pin, requirement, text):
                message = f"'{pin.requirement[:_SHOWN]}' does not satisfy '{text[:_SHOWN]}'"
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
    """The requirement's hashes and URL are those of the source distribution."""
    stated = set(_STATED_HASH.findall(text))
    source_hash = (pin.built_from or "").rpartition(" ")[2]
    if (stated and source_hash not in stated) or pin.version is None:
        return False
    return bool(requirement.url) or requirement.specifier.contains(Version(pin.version), prereleases=True)


def _other_lines(
    lines: Sequence[str], blocks: Sequence[tuple[int, str]], parsed: ParsedLock, path: Path
) -> Iterator[UnexplainedLockError]:
    """Other lines that an installer would read: without comments, a lock has exactly the lines that flowpack writes."""
    stated = _section(parsed, "options")
    wanted = [block for _, block in blocks if block.startswith("-") and _is_explained(block, stated)]
    for pin in parsed.pins:
        wanted += installed_lines(pin)
    there = []
    continued = False
    for number, line in enumerate(lines, start=1):
        is_comment = line.lstrip().startswith("#")
        if continued and (is_comment or not line.strip()):
            yield _problem("the line before this one continues an entry that ends here", path, number)
        if line.strip() and not is_comment:
            there.append((number, line.rstrip()))
        continued = line.endswith("\\") and not is_comment
    for (number, line), expected in zip(there, wanted, strict=False):
        if line != expected:
            yield _problem(f"'{line.strip()[:_SHOWN]}' is not a line that flowpack writes", path, number)
    if len(there) != len(wanted):
        yield _problem("the lock has more or fewer lines than flowpack writes", path, None)


def _is_explained(option: str, stated: Sequence[str]) -> bool:
    """Earlier releases of flowpack also wrote the options that choose wheels."""
    return option in needed_options(stated) or (option in stated and option.startswith(("--no-bin", "--only-bin")))


def _section(parsed: ParsedLock, key: str) -> tuple[str, ...]:
    return parsed.sections.get(key, ())


def _name_of(text: str) -> str:
    found = _NAME.match(text)
    return canonicalize_name(found[0]) if found else ""


def _requirement(text: str) -> Requirement | None:
    """Parses a header line without its hashes, which packaging does not accept. None for slim's mark."""
    try:
        return Requirement(text.partition(" --hash=")[0]) if len(text) <= _LONGEST else None
    except (InvalidRequirement, ValueError, RecursionError):
        return None


def _problem(message: str, path: Path, number: int | None) -> UnexplainedLockError:
    return UnexplainedLockError(message, location=Location(path, number))
