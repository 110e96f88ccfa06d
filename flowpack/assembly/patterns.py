"""The patterns of one ignore file: parsed by pathspec, matched by RE2 in time linear in pattern and path.

Python's own ``re`` tries every way to split a name among several ``*``, which takes years for ``a*a*a*a*b`` and a long
name. Without RE2, patterns with that many ``*`` are refused.

pathspec's ``GitIgnoreSpec`` decides only on files: it applies a rule for a folder's content to the folder itself, so
that ``*``, ``!*/``, ``!*.py`` would leave out every folder. Here its expressions are matched with the path itself, as
in git, and the parents are known to be in. A pattern that pathspec reads differently from git is refused, with its
line. git matches bytes, so names and patterns are bytes here, each read as one character of Latin-1.
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
except ImportError:  # no wheel for this platform: pyproject.toml requires it wherever there is one
    re2 = None

MOST_PATTERNS = 2_000
LONGEST_PATTERN = 500
# RE2 matches many patterns at once in limited memory, so a long file is matched in parts, the last part first.
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
    """One line of an ignore file. ``text`` is the line as written; ``keeps``: it starts with ``!``."""

    line: int
    text: str
    keeps: bool
    expression: bytes
    folders_only: bool


class Patterns:
    """The last pattern that matches a path decides."""

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
        """The pattern that decides on a path whose parents are in: git never looks inside a folder that is out."""
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
        if not found:  # RE2 ran out of memory: the last expression matches everything, and there is no other sign
            raise self._too_many()
        best = -1
        for index in found:
            if best < index < len(self._patterns) and (is_folder or not self._patterns[index].folders_only):
                best = index
        return self._patterns[best] if best >= 0 else None

    @cached_property
    def _match(self) -> Callable[[bytes], Sequence[int] | None]:
        """Returns the indices of all matching expressions: the patterns', and a last one that always matches."""
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
            "the patterns from this line on are too many to match at once",
            location=Location(self._file, self._patterns[0].line),
            hint="write shorter patterns",
        )


def _trimmed(line: str) -> str:
    """The line without trailing spaces, except one that a backslash escapes."""
    text = line.rstrip(" ")
    backslashes = len(text) - len(text.rstrip("\\"))
    return f"{text} " if backslashes % 2 and len(text) < len(line) else text


def _pattern(text: str, place: Location) -> Pattern | None:
    """None for a line that matches nothing in git: empty, a comment, with half an escape or unclosed brackets."""
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
            hint="install google-re2 in flowpack's environment, or write several patterns",
        )
    body = re.sub(r"\*{3,}", "**", inner).removesuffix("/")
    if "\\/" in tokens or ("/" in body and _STARS_AFTER_TEXT.match(body)):
        raise _unlike_git(place, "write '*' or '/**/'")
    if body.endswith("/**"):
        body += "/*"  # pathspec also matches the folder itself, git only its content
    try:
        # Parsed as a folder's, so that pathspec strips no trailing space and the expression's end is known.
        expression, _ = GitIgnoreSpecPattern.pattern_to_regex(f"{body}/")
    except ValueError:
        return None
    if expression is None:
        return None
    # Only a slash matches a slash; pathspec forgets this for negated brackets.
    expression = re.sub(r"\[\^(?!/\])", "[^/", expression.removesuffix(_OF_A_FOLDER) + "$")
    shown = os.fsdecode(text.encode("latin-1"))
    return Pattern(place.line or 0, shown, keeps, expression.encode("latin-1"), folders_only=inner.endswith("/"))


def _ends_in_half_an_escape(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def _tokens(text: str, place: Location) -> list[str] | None:
    """The pattern's texts, escapes and brackets; None if a bracket is not closed."""
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
