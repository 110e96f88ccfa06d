"""gitignore's patterns, equal to git's own matching: ``git check-ignore`` is the oracle of the tests.

Each pattern becomes a regular expression, after git's dir.c and wildmatch.c, and a file's patterns become two: one over
names and one over paths. git matches bytes, so a name that is not ASCII is matched as its bytes, each read as one
character. pathspec, made for the same, differs from git in classes, in escapes and in ``?`` over non-ASCII names, and
stops at patterns that git passes over.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

_FOLDER = "\0"
"""Ends a folder's path where it is matched: no name can hold it, so only a pattern for folders asks for it."""

_SPECIAL = re.compile(r"[*?\[\\]")
_NEVER = "(?!)"
_NAMED_CLASS = re.compile(r"\[:([^\]]*):\]")
_UP_TO_SPACES = re.compile(r"(?:\\.|[^\\])*?(?= *\Z)", re.DOTALL)
_CLASSES = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "blank": " \t",
    "cntrl": "".join(map(chr, (*range(32), 127))),
    "digit": string.digits,
    "graph": string.ascii_letters + string.digits + string.punctuation,
    "lower": string.ascii_lowercase,
    "print": string.ascii_letters + string.digits + string.punctuation + " ",
    "punct": string.punctuation,
    "space": " \t\r\n",
    "upper": string.ascii_uppercase,
    "xdigit": string.hexdigits,
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file; ``text`` is the line as written, ``keeps`` that it begins with ``!``."""

    line: int
    text: str
    keeps: bool


class Patterns:
    """The patterns of one ignore file. Of those that match a path the last decides."""

    def __init__(self, content: bytes) -> None:
        names: list[tuple[Pattern, str]] = []
        paths: list[tuple[Pattern, str]] = []
        lines = content.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n")
        for number, whole in enumerate(lines, start=1):
            line = _trimmed(whole.removesuffix("\r").partition("\0")[0])
            if not line or line.startswith("#"):
                continue
            pattern = Pattern(number, os.fsdecode(line.encode("latin-1")), line.startswith("!"))
            text = line.removeprefix("!") if pattern.keeps else line
            inner = text.removesuffix("/")
            ending = _FOLDER if inner != text else f"{_FOLDER}?"
            (paths if "/" in inner else names).append((pattern, _regex(inner) + ending))
        self._names = _Alternatives(names)
        self._paths = _Alternatives(paths)

    def last_match(self, relative: str, name: str, is_folder: bool) -> Pattern | None:
        """The pattern that decides on a path, whose parents are known to be in: git never looks below what is out."""
        ending = _FOLDER if is_folder else ""
        by_name = self._names.last_match(_as_bytes(name) + ending)
        by_path = self._paths.last_match(_as_bytes(relative) + ending)
        if by_name and by_path:
            return max(by_name, by_path, key=lambda pattern: pattern.line)
        return by_name or by_path


class _Alternatives:
    """Patterns as one expression, the last first: what matches first is the last of the file."""

    def __init__(self, patterns: Sequence[tuple[Pattern, str]]) -> None:
        self._patterns = [pattern for pattern, _ in reversed(patterns)]
        expression = "|".join(f"({regex})" for _, regex in reversed(patterns))
        self._match = re.compile(expression, re.DOTALL).fullmatch if patterns else None

    def last_match(self, text: str) -> Pattern | None:
        found = self._match(text) if self._match else None
        return self._patterns[found.lastindex - 1] if found and found.lastindex else None


def _as_bytes(text: str) -> str:
    return text if text.isascii() else os.fsencode(text).decode("latin-1")


def _trimmed(line: str) -> str:
    """Without the spaces at the end, but for one that a backslash keeps."""
    found = _UP_TO_SPACES.match(line)
    return found.group() if found else line


def _regex(pattern: str) -> str:
    """A regular expression for a pattern without its ``!`` and without a slash at its end."""
    is_path = "/" in pattern
    pattern = pattern.removeprefix("/")
    special = _SPECIAL.search(pattern)
    start = special.start() if special else len(pattern)
    parts = [re.escape(pattern[:start])]
    position = start
    while position < len(pattern):
        # git compares what stands before the first special character by itself: `**` after it counts as at the start.
        after_slash = position == start or pattern[position - 1] == "/"
        part, position = _part(pattern, position, is_path and after_slash)
        if part is None:
            return _NEVER
        parts.append(part)
    return "".join(parts) or _NEVER


def _part(pattern: str, position: int, may_span: bool) -> tuple[str | None, int]:
    """The expression for what stands at ``position``, None where it can match nothing; and where the next begins."""
    character = pattern[position]
    if character == "*":
        return _stars(pattern, position, may_span)
    if character == "?":
        return f"[^/{_FOLDER}]", position + 1
    if character == "[":
        return _class(pattern, position + 1)
    escaped = character == "\\"
    literal = pattern[position + escaped : position + escaped + 1]
    return (re.escape(literal) or None), position + escaped + 1


def _stars(pattern: str, position: int, may_span: bool) -> tuple[str, int]:
    end = position
    while pattern.startswith("*", end):
        end += 1
    if may_span and end - position > 1:
        if pattern.startswith("/", end):
            return f"(?:[^{_FOLDER}]*/)?", end + 1
        if end == len(pattern) or pattern.startswith("\\/", end):
            return f"[^{_FOLDER}]*", end
    return f"[^/{_FOLDER}]*", end


def _class(pattern: str, position: int) -> tuple[str | None, int]:
    """A bracket expression, from after its ``[``."""
    negated = pattern[position : position + 1] in {"!", "^"}
    position += negated
    members: set[int] = set()
    previous = ""  # where a range may begin
    first = position  # a `]` here is a member
    while position == first or pattern[position : position + 1] != "]":
        following = pattern[position + 1 : position + 2]
        named = _NAMED_CLASS.match(pattern, position)
        if pattern.startswith("-", position) and previous and following not in {"", "]"}:
            last, position = _member(pattern, position + 1)
            members.update(range(ord(previous), ord(last) + 1) if last else ())
            found, previous = last, ""
        elif named:
            found = _CLASSES.get(named[1], "")
            members.update(map(ord, found))
            position, previous = named.end(), ""
        else:
            previous, position = _member(pattern, position)
            members.update(map(ord, previous))
            found = previous
        if not found:  # the pattern ends within the brackets, or names a class that there is not
            return None, position
    allowed = (set(range(256)) - members if negated else members) - {0, ord("/")}
    codes = "".join(f"\\x{code:02x}" for code in sorted(allowed))
    return (f"[{codes}]" if codes else _NEVER), position + 1


def _member(pattern: str, position: int) -> tuple[str, int]:
    """One character within brackets, without a backslash before it; nothing at the pattern's end."""
    position += pattern.startswith("\\", position)
    return pattern[position : position + 1], position + 1
