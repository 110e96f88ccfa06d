"""The text of a requirements file as pip reads it: encodings, comments, continued lines, variables and options.

https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import codecs
import os
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowpack.errors import Location, RequirementsError, scrub

# UTF-32's marks begin with UTF-16's, so they come first.
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
)
_DECLARED_ENCODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_ALLOW_SOURCE = re.compile(r"#\s*flowpack:\s*allow-source(?=\s|$)")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")

_OTHER_NAMES = {
    "-c": "--constraint",
    "-e": "--editable",
    "-f": "--find-links",
    "-i": "--index-url",
    "-r": "--requirement",
    "--pypi-url": "--index-url",
    "--config-setting": "--config-settings",
    "-C": "--config-settings",
}
_LONG_OPTIONS_WITH_VALUE = {
    "--config-settings",
    "--constraint",
    "--editable",
    "--extra-index-url",
    "--find-links",
    "--global-option",
    "--hash",
    "--index-url",
    "--no-binary",
    "--only-binary",
    "--requirement",
    "--trusted-host",
    "--use-feature",
}
_FLAGS = {"--no-index", "--pre", "--prefer-binary", "--require-hashes"}


@dataclass(frozen=True, slots=True)
class LogicalLine:
    """One entry of the file, with continued lines joined and its comment taken off; ``number`` is its first line."""

    number: int
    text: str
    allows_source: bool = False
    """Whether `# flowpack: allow-source` stands behind it, or alone on the line before."""


@dataclass(frozen=True, slots=True)
class Option:
    name: str
    value: str


def decode(data: bytes, path: Path) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], encoding, path)
    for line in data.splitlines()[:2]:
        declared = _DECLARED_ENCODING.match(line)
        if declared:
            return _decoded(data, declared[1].decode("ascii"), path)
    return _decoded(data, "utf-8", path)


def _decoded(data: bytes, encoding: str, path: Path) -> str:
    try:
        return data.decode(encoding)
    except LookupError:
        raise RequirementsError(f"'{encoding}' is not a known encoding", location=Location(path, 1)) from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RequirementsError(
            f"the file is not {encoding} text",
            location=Location(path, line),
            hint="save it as UTF-8, or declare its encoding in the first line: # -*- coding: latin-1 -*-",
        ) from None


def logical_lines(text: str) -> Iterator[LogicalLine]:
    parts: list[str] = []
    first = 1
    allowed = False
    for number, line in enumerate(text.splitlines(), start=1):
        is_comment = _COMMENT.match(line) is not None
        if not parts:
            first = number
        if line.endswith("\\") and not is_comment:
            parts.append(line.strip("\\"))
            continue
        # A comment ends the continued line that it follows and is no part of it.
        parts.append(" " + line if is_comment else line)
        allowed = allowed or ("flowpack:" in line and _ALLOW_SOURCE.search(line) is not None)
        for entry in _entry(first, parts, allowed):
            allowed = False
            yield entry
        parts = []
    yield from _entry(first, parts, allowed)


def _entry(number: int, parts: Sequence[str], allows_source: bool) -> Iterator[LogicalLine]:
    text = _COMMENT.sub("", "".join(parts)).strip()
    if text:
        yield LogicalLine(number, text, allows_source)


def expand_variables(text: str) -> str:
    """``${NAME}`` from the environment, as pip does it; a variable that is not set stays as it is written."""
    return _VARIABLE.sub(lambda match: os.environ.get(match[1]) or match[0], text)


def split_options(line: LogicalLine, path: Path) -> tuple[str, tuple[Option, ...]]:
    """The requirement in front (it may be empty) and the options after it."""
    found = re.search(r"(?:^|\s)-", line.text)
    if found is None:
        return line.text, ()
    requirement, rest = line.text[: found.start()].strip(), line.text[found.start() :]
    location = Location(path, line.number)
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise RequirementsError(f"the options cannot be read: {error}", location=location) from None
    return requirement, tuple(_options(words, location))


def _options(words: Sequence[str], location: Location) -> Iterator[Option]:
    rest = iter(words)
    for word in rest:
        written, equals, value = word.partition("=")
        if not word.startswith("--") and len(word) > 2:  # -rother.txt
            written, equals, value = word[:2], "=", word[2:].removeprefix("=")
        if written in _FLAGS:
            yield Option(written, "")
        elif (name := _OTHER_NAMES.get(written, written)) in _LONG_OPTIONS_WITH_VALUE:
            value = value if equals else next(rest, "")
            if not value:
                raise RequirementsError(f"{written} has no value", location=location)
            yield Option(name, value)
        else:
            raise RequirementsError(
                f"'{scrub(written)}' is no option of a requirements file",
                location=location,
                hint="pip's reference lists them: https://pip.pypa.io/en/stable/reference/requirements-file-format/",
            )
