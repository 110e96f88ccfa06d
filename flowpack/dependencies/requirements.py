"""A flow's requirements, read as pip would read them in the standalone flow folder."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from flowpack.dependencies.index_options import IndexOptions
from flowpack.dependencies.requirement_lines import RequirementLine, cannot_be_pinned, parse_requirement
from flowpack.dependencies.requirement_text import (
    LogicalLine,
    Option,
    decode,
    expand_variables,
    logical_lines,
    split_options,
)
from flowpack.errors import Location, RequirementsError, nearest, scrub

__all__ = ["RequirementLine", "Requirements", "read_requirements"]

# pip reads hashes of these algorithms; a lock is written with sha256 alone.
_HASH = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_OF_ONE_REQUIREMENT = {"--hash", "--global-option", "--config-settings"}
_WITHOUT_EFFECT_ON_A_LOCK = {"--require-hashes", "--use-feature"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """Every requirement and constraint of the requirements file and of the files it names, in their order."""

    name: str | None = None
    lines: tuple[RequirementLine, ...] = ()
    constraints: tuple[RequirementLine, ...] = ()
    options: IndexOptions = field(default_factory=IndexOptions)
    location: Location | None = None
    """The requirements file itself: what an error about no line in particular points to."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset(line.name for line in (*self.lines, *self.constraints) if line.name)

    @property
    def allowed_sources(self) -> frozenset[str]:
        return frozenset(line.name for line in (*self.lines, *self.constraints) if line.name and line.allows_source)

    def named(self, name: str) -> tuple[RequirementLine, ...]:
        return tuple(line for line in (*self.lines, *self.constraints) if line.name == name)


def read_requirements(name: str | None, files: Mapping[str, Path]) -> Requirements:
    """Reads ``name`` and the files it names; ``files`` maps the standalone folder's paths to the files on disk."""
    if name is None:
        return Requirements()
    path = posixpath.normpath(name)
    if path not in files:
        raise RequirementsError(f"there is no '{name}' in the flow", hint=_near(path, files))
    reader = _Reader(files)
    reader.read(path, constraints=False)
    return Requirements(
        name=path,
        lines=tuple(reader.lines),
        constraints=tuple(reader.constraints),
        options=reader.options,
        location=Location(files[path]),
    )


class _Reader:
    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = files
        self.lines: list[RequirementLine] = []
        self.constraints: list[RequirementLine] = []
        self.options = IndexOptions()
        self._open: list[str] = []

    def read(self, path: str, *, constraints: bool) -> None:
        real = self.files[path]
        try:
            data = real.read_bytes()
        except OSError as error:
            raise RequirementsError(f"the file cannot be read: {error.strerror}", location=Location(real)) from None
        self._open.append(path)
        for line in logical_lines(decode(data, real)):
            self._take(line, path, constraints=constraints)
        self._open.pop()

    def _take(self, line: LogicalLine, path: str, *, constraints: bool) -> None:
        location = Location(self.files[path], line.number)
        text, options = split_options(line, self.files[path])
        if not text:
            if line.allows_source:
                raise RequirementsError(
                    "'flowpack: allow-source' belongs to no requirement",
                    location=location,
                    hint="write it behind a requirement or a constraint",
                )
            for option in options:
                self._take_option(option, path, location)
            return
        into = self.constraints if constraints else self.lines
        parsed = parse_requirement(text, location=location, source=path, hashes=_hashes(options, location))
        into.append(replace(parsed, allows_source=line.allows_source))

    def _take_option(self, option: Option, path: str, location: Location) -> None:
        if option.name in {"--requirement", "--constraint"}:
            nested = self._nested(option, path, location)
            self.read(nested, constraints=option.name == "--constraint")
        elif option.name == "--editable":
            raise cannot_be_pinned("an editable installation", option.value, location)
        elif option.name in _OF_ONE_REQUIREMENT:
            raise RequirementsError(f"{option.name} stands without a requirement in front of it", location=location)
        elif option.name == "--find-links":
            self._take_find_links(option, path, location)
        elif option.name not in _WITHOUT_EFFECT_ON_A_LOCK:
            self.options = self.options.adding(option)

    def _nested(self, option: Option, path: str, location: Location) -> str:
        written = expand_variables(option.value)
        if "://" in written:
            raise RequirementsError(
                f"'{scrub(option.value)}' is a URL, whose content no lock can cover",
                location=location,
                hint="keep a copy of that file in the flow folder",
            )
        nested = posixpath.normpath(posixpath.join(posixpath.dirname(path), written))
        if nested in self._open:
            raise RequirementsError(f"'{option.value}' includes itself", location=location)
        if nested not in self.files:
            raise RequirementsError(
                f"'{option.value}' is not in the flow",
                location=location,
                hint=_near(nested, self.files) or "put it in the flow folder or name it in additional_includes",
            )
        return nested

    def _take_find_links(self, option: Option, path: str, location: Location) -> None:
        written = expand_variables(option.value)
        if "://" in written and not written.startswith("file://"):
            self.options = self.options.adding(option)
            return
        local = unquote(written.removeprefix("file://")) if written.startswith("file://") else written
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), local))
        beside = {file.parent for name, file in self.files.items() if posixpath.dirname(name) == inside}
        outside = Path(local).expanduser()
        if beside:
            self.options = self.options.in_folders(inside, tuple(sorted(beside)))
        elif outside.is_absolute() and outside.is_dir():
            self.options = self.options.in_folders(None, (outside,))
        else:
            raise RequirementsError(
                f"there is no folder '{option.value}' in the flow",
                location=location,
                hint="find-links names a folder of the flow, or a URL",
            )


def _hashes(options: tuple[Option, ...], location: Location) -> tuple[str, ...]:
    hashes = []
    for option in options:
        if option.name != "--hash":
            raise RequirementsError(
                f"{option.name} after a requirement is not supported",
                location=location,
                hint="a lock installs the files of an index as they are",
            )
        if not _HASH.fullmatch(option.value):
            raise RequirementsError(
                f"'{option.value}' is no hash that pip knows", location=location, hint="write --hash=sha256:<64 digits>"
            )
        hashes.append(option.value)
    return tuple(hashes)


def _near(path: str, files: Mapping[str, Path]) -> str | None:
    texts = [name for name in files if name.endswith((".txt", ".in"))]
    same = (name for name in texts if posixpath.basename(name) == posixpath.basename(path))
    found = nearest(path, texts) or next(same, None)
    return f"did you mean '{found}'?" if found else None
