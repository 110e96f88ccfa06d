"""Reads the text of a requirements file as pip does: encodings, comments, continued lines and options.

https://pip.pypa.io/en/stable/reference/requirements-file-format/

The file may be untrusted, so text that would take more than linear time is refused before it is parsed.
"""

from __future__ import annotations

import codecs
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
_DECLARED_ENCODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]{1,40})")
# Codecs of Python that are not encodings of a text file; punycode takes quadratic time.
_NO_TEXT_FILE = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
_A_COMMENT_ALONE = re.compile(r"\s*#")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$")
_ALLOW_SOURCE = re.compile(r"#\s*flowpack:\s*allow-source(?=\s|$)")
_QUOTED = re.compile(r"[\"'\\]")

LINE_CHARACTERS = 64 * 1024
"""Enough for a requirement with the hashes of 600 archives."""
_QUOTED_CHARACTERS = 4096

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
    """One entry of the file, with continued lines joined; ``number`` is its first line."""

    number: int
    text: str
    allows_source: bool = False
    """Whether `# flowpack: allow-source` follows it on its line, or is alone on the line before."""


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
            return _decoded(data, declared[1].decode("ascii", "replace"), path)
    return _decoded(data, "utf-8", path)


def _decoded(data: bytes, encoding: str, path: Path) -> str:
    try:
        if codecs.lookup(encoding).name.replace("_", "-") in _NO_TEXT_FILE:
            raise LookupError
        return data.decode(encoding)
    except LookupError:
        raise RequirementsError(f"'{encoding}' is not a known encoding", location=Location(path, 1)) from None
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = data[:start].count(b"\n") + 1
        raise RequirementsError(
            f"the file is not {encoding} text",
            location=Location(path, line),
            hint="save it as UTF-8, or declare its encoding in the first line: # -*- coding: latin-1 -*-",
        ) from None


def logical_lines(text: str, path: Path) -> Iterator[LogicalLine]:
    parts: list[str] = []
    first = 1
    length = 0
    allowed = False
    for number, line in enumerate(text.splitlines(), start=1):
        is_comment = _A_COMMENT_ALONE.match(line) is not None
        if not parts:
            first, length = number, 0
        length += len(line)
        if length > LINE_CHARACTERS and not is_comment:
            raise RequirementsError(
                f"the line has more than {LINE_CHARACTERS} characters",
                location=Location(path, first),
                hint="write each requirement on a line of its own",
            )
        if line.endswith("\\") and not is_comment:
            parts.append(line.strip("\\"))
            continue
        # A comment ends the continued line before it and is not part of it.
        parts.append(" " + line if is_comment else line)
        allowed = allowed or ("flowpack:" in line and _ALLOW_SOURCE.search(line) is not None)
        for entry in _entry(first, parts, allowed):
            allowed = False
            yield entry
        parts = []
    yield from _entry(first, parts, allowed)


def _entry(number: int, parts: Sequence[str], allows_source: bool) -> Iterator[LogicalLine]:
    whole = "".join(parts)
    comment = _COMMENT.search(whole)
    text = (whole[: comment.start()] if comment else whole).strip()
    if text:
        yield LogicalLine(number, text, allows_source)


def split_options(line: LogicalLine, path: Path) -> tuple[str, tuple[Option, ...]]:
    """The requirement (it may be empty) and the options after it."""
    found = re.search(r"(?:^|\s)-", line.text)
    if found is None:
        return line.text, ()
    requirement, rest = line.text[: found.start()].strip(), line.text[found.start() :]
    location = Location(path, line.number)
    return requirement, tuple(_options(_words(rest, location), location))


def _words(text: str, location: Location) -> list[str]:
    if not _QUOTED.search(text):
        return [word for word in re.split(r"[ \t\r\n]", text) if word]
    if len(text) > _QUOTED_CHARACTERS:  # the standard library's splitter takes quadratic time
        raise RequirementsError(
            f"options with quotation marks have more than {_QUOTED_CHARACTERS} characters",
            location=location,
            hint="write each option on a line of its own",
        )
    try:
        return shlex.split(text)
    except ValueError as error:
        raise RequirementsError(f"the options cannot be read: {error}", location=location) from None


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
                f"'{scrub(written)}' is not an option of a requirements file",
                location=location,
                hint="see pip's reference: https://pip.pypa.io/en/stable/reference/requirements-file-format/",
            )
