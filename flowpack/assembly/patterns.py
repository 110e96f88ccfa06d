"""The patterns of one ignore file: read by pathspec, matched by RE2, whose time is linear in pattern and path.

Python's own ``re`` tries every way to share a name among several ``*``, which takes years for ``a*a*a*a*b`` and a long
name. Where RE2 is not installed, patterns with so many are refused.

pathspec's ``GitIgnoreSpec`` decides on files alone: asked for a folder it takes a rule for what is below as one for the
folder, so that ``*``, ``!*/``, ``!*.py`` would leave out every folder. Here its expressions are matched with the path
itself, as git does, the parents being known to be in. What pathspec reads otherwise than git is refused, with its line.
git matches bytes, so that is what names and patterns are here, each read as one character of Latin-1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from flowpack.errors import InputError, Location

try:
    import re2
except ImportError:  # no wheel for this platform: pyproject.toml asks for one wherever there is
    re2 = None

MOST_PATTERNS = 2_000
LONGEST_PATTERN = 500
# RE2 matches many patterns at once, in a limited memory; a long file is matched in parts, the last first.
_PATTERNS_AT_ONCE = 200
_WILDCARDS_AT_ONCE = 200
_CHARACTERS_AT_ONCE = 4_000
_STARS_WITHOUT_RE2 = 3

_OF_A_FOLDER = "(?P<ps_d>/)"  # how pathspec's expressions for folders end
_WILDCARD = re.compile(r"[*?\[]")
_TOKEN = re.compile(r"\\.|\[(?P<not>[!^]?)(?P<members>[A-Za-z0-9_.,+@#$%&~=;{}() -]+)\]|[^\\\[]+", re.DOTALL)
_RANGE = re.compile(r"(.)-(.)")
_STARS_AFTER_TEXT = re.compile(r"[^*?\[\\]*[^*?\[\\/]\*\*+/")


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file; ``text`` is the line as written, ``keeps`` that it begins with ``!``."""

    line: int
    text: str
    keeps: bool
    expression: bytes
    folders_only: bool


class Patterns:
    """Of the patterns that match a path the last decides."""

    def __init__(self, content: bytes, file: Path) -> None:
        lines = content.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n")
        found = (
            _pattern(_trimmed(line.removesuffix("\r").partition("\0")[0]), Location(file, number))
            for number, line in enumerate(lines, start=1)
        )
        patterns: list[Pattern] = []
        for pattern in filter(None, found):
            if len(patterns) == MOST_PATTERNS:
                raise InputError(
                    f"has more than {MOST_PATTERNS} patterns",
                    location=Location(file, pattern.line),
                    hint="write patterns that cover more names",
                )
            patterns.append(pattern)
        self._parts = [_Matcher(part, file) for part in reversed(list(_in_parts(patterns)))]

    def last_match(self, relative: str, is_folder: bool) -> Pattern | None:
        """The pattern that decides on a path, whose parents are known to be in: git never looks below what is out."""
        path = os.fsencode(relative)
        for part in self._parts:
            pattern = part.last_match(path, is_folder)
            if pattern:
                return pattern
        return None


class _Matcher:
    def __init__(self, patterns: Sequence[Pattern], file: Path) -> None:
        self._patterns = patterns
        self._file = file

    def last_match(self, path: bytes, is_folder: bool) -> Pattern | None:
        found = self._match(path)
        if not found:  # the last expression matches all: RE2 ran out of memory, and says so in no other way
            raise self._too_many()
        best = -1
        for index in found:
            if best < index < len(self._patterns) and (is_folder or not self._patterns[index].folders_only):
                best = index
        return self._patterns[best] if best >= 0 else None

    @cached_property
    def _match(self) -> Callable[[bytes], Sequence[int] | None]:
        """Gives the indices of all expressions that match: those of the patterns, and one that always does."""
        expressions = [*(pattern.expression for pattern in self._patterns), b""]
        if re2 is None:
            compiled = [re.compile(expression, re.DOTALL) for expression in expressions]
            return lambda path: [index for index, each in enumerate(compiled) if each.search(path)]
        options = re2.Options()
        options.log_errors, options.never_capture, options.dot_nl = False, True, True
        options.encoding = re2.Options.Encoding.LATIN1
        together = re2.Set.SearchSet(options)
        try:
            for expression in expressions:
                together.Add(expression)
            together.Compile()
        except re2.error as error:
            raise self._too_many() from error
        match: Callable[[bytes], Sequence[int] | None] = together.Match
        return match

    def _too_many(self) -> InputError:
        return InputError(
            "the patterns from here on are more than can be matched at once",
            location=Location(self._file, self._patterns[0].line),
            hint="write shorter patterns",
        )


def _trimmed(line: str) -> str:
    """Without the spaces at the end, but for one that a backslash keeps."""
    text = line.rstrip(" ")
    backslashes = len(text) - len(text.rstrip("\\"))
    return f"{text} " if backslashes % 2 and len(text) < len(line) else text


def _pattern(text: str, place: Location) -> Pattern | None:
    """None for what git matches with nothing: an empty line, a comment, half an escape, brackets that do not end."""
    keeps = text.startswith("!")
    inner = text.removeprefix("!") if keeps else text
    if not inner or text.startswith("#") or _ends_in_half_an_escape(inner.removesuffix("/")):
        return None
    if len(text) > LONGEST_PATTERN:
        raise InputError(f"the pattern is longer than {LONGEST_PATTERN} characters", location=place)
    tokens = _tokens(inner, place)
    if tokens is None:
        return None
    if re2 is None and inner.count("*") - 2 * inner.count("**") > _STARS_WITHOUT_RE2:
        raise InputError(
            f"the pattern has more than {_STARS_WITHOUT_RE2} '*', which take too long to match without RE2",
            location=place,
            hint="install google-re2 beside flowpack, or write several patterns",
        )
    body = re.sub(r"\*{3,}", "**", inner).removesuffix("/")
    if "\\/" in tokens or ("/" in body and _STARS_AFTER_TEXT.match(body)):
        raise _unlike_git(place, "write '*' or '/**/'")
    if body.endswith("/**"):
        body += "/*"  # pathspec takes it for the folder as well, git for what is below
    try:
        # As a folder's, so that pathspec takes away no space at the end, and the expression's end is known.
        expression, _ = GitIgnoreSpecPattern.pattern_to_regex(f"{body}/")
    except ValueError:
        return None
    if expression is None:
        return None
    # Nothing but a slash matches a slash; pathspec forgets it of brackets that say what is not meant.
    expression = re.sub(r"\[\^(?!/\])", "[^/", expression.removesuffix(_OF_A_FOLDER) + "$")
    shown = os.fsdecode(text.encode("latin-1"))
    return Pattern(place.line or 0, shown, keeps, expression.encode("latin-1"), folders_only=inner.endswith("/"))


def _ends_in_half_an_escape(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _tokens(text: str, place: Location) -> list[str] | None:
    """The pattern's texts, escapes and brackets; None where brackets do not end."""
    tokens = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            if "]" not in text[position + 2 :]:
                return None
            raise _unlike_git(place, "write plain letters, digits and ranges of them between the brackets")
        if match["members"] and not all(_is_plain_range(*each) for each in _RANGE.findall(match["members"])):
            raise _unlike_git(place, "write ranges of letters or of digits between the brackets")
        tokens.append(match[0])
        position = match.end()
    return tokens


def _is_plain_range(first: str, last: str) -> bool:
    same_kind = (str.isdigit, str.islower, str.isupper)
    return first <= last and any(kind(first) and kind(last) for kind in same_kind)


def _unlike_git(place: Location, hint: str) -> InputError:
    return InputError("the pattern cannot be read as git reads it", location=place, hint=hint)


def _in_parts(patterns: Sequence[Pattern]) -> Iterator[list[Pattern]]:
    part: list[Pattern] = []
    characters = wildcards = 0
    for pattern in patterns:
        more = len(_WILDCARD.findall(pattern.text))
        full = len(part) == _PATTERNS_AT_ONCE or characters + len(pattern.text) > _CHARACTERS_AT_ONCE
        if part and (full or wildcards + more > _WILDCARDS_AT_ONCE):
            yield part
            part, characters, wildcards = [], 0, 0
        part.append(pattern)
        characters += len(pattern.text)
        wildcards += more
    if part:
        yield part
