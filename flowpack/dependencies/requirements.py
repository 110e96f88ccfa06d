"""Reads a flow's requirements as pip would in the standalone flow folder."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from flowpack.dependencies.index_options import IndexOptions, check_option, is_on_this_machine
from flowpack.dependencies.passed_variables import VARIABLE, PassedVariable, expand, host_of, variables_in
from flowpack.dependencies.requirement_lines import RequirementLine, cannot_be_pinned, parse_requirement, shortened
from flowpack.dependencies.requirement_text import LogicalLine, Option, decode, logical_lines, split_options
from flowpack.errors import Location, RequirementsError, nearest, scrub
from flowpack.reading import DOCUMENT_BYTES, Roots, read_bytes

__all__ = ["RequirementLine", "Requirements", "read_requirements"]

# pip reads hashes of these algorithms; a lock has only sha256.
_HASH = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_OF_ONE_REQUIREMENT = {"--hash", "--global-option", "--config-settings"}
_WITHOUT_EFFECT_ON_A_LOCK = {"--require-hashes", "--use-feature"}

MOST_REQUIREMENTS = 10_000
_MOST_INDEX_OPTIONS = 200
_DEEPEST_FILE = 20
_CONTINUED = 100
"""Lines of an entry that are searched for a variable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirements:
    """Every requirement and constraint of the requirements file and of the files it names, in order."""

    name: str | None = None
    lines: tuple[RequirementLine, ...] = ()
    constraints: tuple[RequirementLine, ...] = ()
    options: IndexOptions = field(default_factory=IndexOptions)
    location: Location | None = None
    """The requirements file itself, for errors that are not about one line."""
    places: Mapping[str, Location] = field(default_factory=dict, repr=False)
    """The location of each URL that has a variable."""

    @property
    def names(self) -> frozenset[str]:
        return frozenset(line.name for line in (*self.lines, *self.constraints) if line.name)

    @property
    def allowed_sources(self) -> frozenset[str]:
        return frozenset(line.name for line in (*self.lines, *self.constraints) if line.name and line.allows_source)

    def named(self, name: str) -> tuple[RequirementLine, ...]:
        return tuple(line for line in (*self.lines, *self.constraints) if line.name == name)

    @property
    def variables(self) -> frozenset[str]:
        """The names in all ``${NAME}`` that a resolver would find."""
        return variables_in(self.places)

    def expanded(self, passed: Sequence[PassedVariable], environ: Mapping[str, str] = os.environ) -> Requirements:
        """A copy with the passed variables expanded in its URLs, only for a resolver."""
        urls = {url: expand(url, passed, place, environ) for url, place in self.places.items()}
        if not urls:
            return self

        def resolvable(line: RequirementLine) -> RequirementLine:
            if line.url not in urls:
                return line
            return replace(line, resolvable=line.resolvable.replace(line.url or "", urls[line.url or ""]))

        return replace(
            self,
            lines=tuple(map(resolvable, self.lines)),
            constraints=tuple(map(resolvable, self.constraints)),
            options=self.options.with_urls(urls),
        )


def read_requirements(name: str | None, files: Mapping[str, Path], within: Roots | None = None) -> Requirements:
    """Reads ``name`` and the files it names; ``files`` maps the standalone folder's paths to files in ``within``."""
    if name is None:
        return Requirements()
    path = posixpath.normpath(name)
    if path not in files:
        raise RequirementsError(f"there is no '{name}' in the flow", hint=_near(path, files))
    reader = _Reader(files, within)
    reader.read(path, constraints=False)
    reader.check_trusted_hosts()
    return Requirements(
        name=path,
        lines=tuple(reader.lines),
        constraints=tuple(reader.constraints),
        options=reader.options,
        location=Location(files[path]),
        places=reader.places,
    )


class _Reader:
    def __init__(self, files: Mapping[str, Path], within: Roots | None) -> None:
        self.files = files
        self.within = within
        self.lines: list[RequirementLine] = []
        self.constraints: list[RequirementLine] = []
        self.options = IndexOptions()
        self.places: dict[str, Location] = {}
        self._trusted: list[tuple[str, Location]] = []
        self._options = 0
        self._open: list[str] = []
        self._done: set[tuple[str, bool]] = set()

    def read(self, path: str, *, constraints: bool) -> None:
        """Reads each file once, because reading it again adds nothing."""
        if (path, constraints) in self._done:
            return
        self._done.add((path, constraints))
        real = self.files[path]
        text = decode(read_bytes(real, limit=DOCUMENT_BYTES, within=self.within, error=RequirementsError), real)
        self._open.append(path)
        physical = text.splitlines() if "${" in text else []
        for line in logical_lines(text, real):
            self._take(line, path, physical, constraints=constraints)
        self._open.pop()

    def check_trusted_hosts(self) -> None:
        """Authors may turn off certificate checks for their own indexes, but not for those of this machine."""
        options = self.options
        urls = (options.index_url or "", *options.extra_index_urls, *options.find_links)
        own = {host_of(VARIABLE.sub("x", url)) for url in (*urls, *(line.url or "" for line in self.lines))}
        for value, location in self._trusted:
            host = host_of(f"https://{value}/")
            if host not in own and not any(VARIABLE.match(url) for url in urls):
                raise RequirementsError(
                    f"--trusted-host '{value}' is not a host that the requirements name as an index or in a URL",
                    location=location,
                    hint="remove it, or trust the host in pip's configuration: PIP_TRUSTED_HOST, pip.conf",
                )

    def _take(self, line: LogicalLine, path: str, physical: Sequence[str], *, constraints: bool) -> None:
        location = Location(self.files[path], line.number)
        text, options = split_options(line, self.files[path])
        if "${" in line.text:
            location = _variables_place(location, physical)
        if not text:
            if line.allows_source:
                raise RequirementsError(
                    "'flowpack: allow-source' has no requirement",
                    location=location,
                    hint="write it after a requirement or a constraint",
                )
            for option in options:
                self._take_option(option, path, location)
            return
        into = self.constraints if constraints else self.lines
        if len(into) >= MOST_REQUIREMENTS:
            raise RequirementsError(f"there are more than {MOST_REQUIREMENTS} requirements", location=location)
        hashes = _hashes(options, location)
        parsed = parse_requirement(text, location=location, source=path, hashes=hashes)
        if parsed.url and VARIABLE.search(parsed.url):
            self.places.setdefault(parsed.url, location)
        into.append(replace(parsed, allows_source=line.allows_source))

    def _take_option(self, option: Option, path: str, location: Location) -> None:
        if option.name in {"--requirement", "--constraint"}:
            nested = self._nested(option, path, location)
            self.read(nested, constraints=option.name == "--constraint")
        elif option.name == "--editable":
            raise cannot_be_pinned("an editable installation", option.value, location)
        elif option.name in _OF_ONE_REQUIREMENT:
            raise RequirementsError(f"{option.name} has no requirement before it", location=location)
        elif option.name not in _WITHOUT_EFFECT_ON_A_LOCK:
            self._take_index_option(option, path, location)

    def _take_index_option(self, option: Option, path: str, location: Location) -> None:
        self._options += 1
        if self._options > _MOST_INDEX_OPTIONS:
            raise RequirementsError(f"there are more than {_MOST_INDEX_OPTIONS} index options", location=location)
        check_option(option, location)
        if option.name == "--find-links" and is_on_this_machine(option.value) and not VARIABLE.match(option.value):
            self._take_folder(option, path, location)
            return
        if option.name == "--trusted-host":
            self._trusted.append((option.value, location))
        if VARIABLE.search(option.value):
            self.places.setdefault(option.value, location)
        self.options = self.options.adding(option)

    def _nested(self, option: Option, path: str, location: Location) -> str:
        if "://" in option.value:
            raise RequirementsError(
                f"'{scrub(option.value)}' is a URL, and a lock cannot cover its content",
                location=location,
                hint="keep a copy of the file in the flow folder",
            )
        if VARIABLE.search(option.value):
            raise RequirementsError(
                f"'{option.value}' has a variable, but only URLs may have one",
                location=location,
                hint="write out the file's name",
            )
        nested = posixpath.normpath(posixpath.join(posixpath.dirname(path), option.value))
        if nested in self._open:
            raise RequirementsError(f"'{option.value}' includes itself", location=location)
        if len(self._open) >= _DEEPEST_FILE:
            raise RequirementsError(
                f"'{option.value}' is nested deeper than {_DEEPEST_FILE} files",
                location=location,
                hint="name the files next to each other in one file",
            )
        if nested not in self.files:
            raise RequirementsError(
                f"'{option.value}' is not in the flow",
                location=location,
                hint=_near(nested, self.files) or "put it in the flow folder or add it to additional_includes",
            )
        return nested

    def _take_folder(self, option: Option, path: str, location: Location) -> None:
        local = unquote(option.value.removeprefix("file://")) if option.value.startswith("file://") else option.value
        inside = posixpath.normpath(posixpath.join(posixpath.dirname(path), local))
        beside = self._folders.get(inside)
        if beside is None or VARIABLE.search(local):
            raise RequirementsError(
                f"there is no folder '{option.value}' in the flow",
                location=location,
                hint="use a folder of the flow or a URL; put a folder on this machine into PIP_FIND_LINKS",
            )
        self.options = self.options.in_folders(inside, tuple(sorted(beside)))

    @cached_property
    def _folders(self) -> Mapping[str, Set[Path]]:
        """The real folders behind each folder of the standalone flow folder."""
        folders: dict[str, set[Path]] = {}
        for name, file in self.files.items():
            folders.setdefault(posixpath.dirname(name) or ".", set()).add(file.parent)
        return folders


def _variables_place(location: Location, physical: Sequence[str]) -> Location:
    """The location of an entry's first ``${NAME}``; the entry may span several lines."""
    number = location.line or 1
    for at, line in enumerate(physical[number - 1 :][:_CONTINUED], start=number):
        found = VARIABLE.search(line)
        if found:
            return Location(location.path, at, found.start() + 1)
    return location


def _hashes(options: tuple[Option, ...], location: Location) -> tuple[str, ...]:
    hashes = []
    for option in options:
        if option.name != "--hash":
            raise RequirementsError(
                f"{option.name} after a requirement is not supported",
                location=location,
                hint="remove it; a lock installs an index's files unchanged",
            )
        if not _HASH.fullmatch(option.value):
            raise RequirementsError(
                f"'{shortened(option.value)}' is not a hash that pip supports",
                location=location,
                hint="write --hash=sha256:<64 digits>",
            )
        hashes.append(option.value)
    return tuple(hashes)


def _near(path: str, files: Mapping[str, Path]) -> str | None:
    texts = [name for name in files if name.endswith((".txt", ".in"))]
    same = (name for name in texts if posixpath.basename(name) == posixpath.basename(path))
    found = nearest(path, texts) or next(same, None)
    return f"did you mean '{found}'?" if found else None
