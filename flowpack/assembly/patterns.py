"""The patterns of one ignore file, matched by pathspec with RE2, whose time is linear in the path and in the pattern.

Python's own ``re`` tries every way to share a name among several ``*``, which takes years for ``a*a*a*a*b`` and a long
name. Where RE2 is not installed, patterns with so many are refused. RE2 in turn takes a limited number of patterns at a
time, so a long file is matched in batches, the last first.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from flowpack.errors import InputError, Location

try:
    import re2
except ImportError:  # no wheel for this platform: pyproject.toml asks for one wherever there is
    re2 = None

_FAULTS = (ValueError, RuntimeError, re.error, *((re2.error,) if re2 else ()))

MOST_PATTERNS = 2_000
LONGEST_PATTERN = 500
_IN_A_BATCH = 200
_WILDCARDS_IN_A_BATCH = 200
_CHARACTERS_IN_A_BATCH = 4_000
_STARS_WITHOUT_RE2 = 3
_WILDCARDS = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file; ``text`` is the line as written, ``keeps`` that it begins with ``!``."""

    line: int
    text: str
    keeps: bool


class Patterns:
    """Of the patterns that match a path the last decides. A pattern that pathspec cannot take is an InputError."""

    def __init__(self, content: bytes, file: Path) -> None:
        lines = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").split("\n")
        patterns = [
            _pattern(number, line.removesuffix("\r").partition("\0")[0], file) for number, line in enumerate(lines, 1)
        ]
        kept = [pattern for pattern in patterns if pattern]
        if len(kept) > MOST_PATTERNS:
            raise InputError(f"has more than {MOST_PATTERNS} patterns", location=Location(file, kept[-1].line))
        self._batches = [_Batch(batch, file) for batch in reversed(list(_batches(kept)))]

    def last_match(self, relative: str, is_folder: bool) -> Pattern | None:
        """The pattern that decides on a path, whose parents are known to be in: git never looks below what is out."""
        path = relative if relative.isascii() else os.fsencode(relative).decode("utf-8", "replace")
        if is_folder:
            path += "/"
        for batch in self._batches:
            found = batch.last_match(path)
            if found:
                return found
        return None


class _Batch:
    def __init__(self, patterns: Sequence[Pattern], file: Path) -> None:
        self._patterns = patterns
        self._file = file

    @cached_property
    def _spec(self) -> GitIgnoreSpec:
        try:
            return GitIgnoreSpec.from_lines([pattern.text for pattern in self._patterns], backend="re2" if re2 else "simple")
        except _FAULTS as error:
            raise InputError(
                f"the patterns from here to line {self._patterns[-1].line} cannot be matched: {error}",
                location=Location(self._file, self._patterns[0].line),
                hint="write fewer or shorter patterns",
            ) from error

    def last_match(self, path: str) -> Pattern | None:
        index = self._spec.check_file(path).index
        return None if index is None else self._patterns[index]


def _pattern(number: int, line: str, file: Path) -> Pattern | None:
    """None for what is no pattern: an empty line, a comment."""
    text = line.rstrip(" ") if not line.endswith("\\ ") else line
    if not text or text.startswith("#"):
        return None
    place = Location(file, number)
    if len(text) > LONGEST_PATTERN:
        raise InputError(f"the pattern is longer than {LONGEST_PATTERN} characters", location=place)
    if re2 is None and text.count("*") - 2 * text.count("**/") > _STARS_WITHOUT_RE2:
        raise InputError(
            f"the pattern has more than {_STARS_WITHOUT_RE2} wildcards '*', which takes long to match without RE2",
            location=place,
            hint="install google-re2 beside flowpack, or write several patterns",
        )
    try:
        made = GitIgnoreSpecPattern(text)
    except (ValueError, re.error) as error:
        raise InputError(
            "the pattern cannot be read", location=place, hint="write it as `git help gitignore` has it"
        ) from error
    return None if made.include is None else Pattern(number, text, text.startswith("!"))


def _batches(patterns: Sequence[Pattern]) -> Iterator[list[Pattern]]:
    batch: list[Pattern] = []
    characters = wildcards = 0
    for pattern in patterns:
        more = len(_WILDCARDS.findall(pattern.text))
        full = len(batch) == _IN_A_BATCH or characters + len(pattern.text) > _CHARACTERS_IN_A_BATCH
        if batch and (full or wildcards + more > _WILDCARDS_IN_A_BATCH):
            yield batch
            batch, characters, wildcards = [], 0, 0
        batch.append(pattern)
        characters += len(pattern.text)
        wildcards += more
    if batch:
        yield batch


