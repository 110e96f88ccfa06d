"""Parses one requirement of a requirements file, and refuses it if a hash cannot pin it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from flowpack.dependencies.index_options import public_url
from flowpack.dependencies.passed_variables import VARIABLE, host_of
from flowpack.errors import Location, RequirementsError, scrub

_VERSION_CONTROL = re.compile(r"^(?:[^@]+@\s*)?(?:git|hg|svn|bzr)\+", re.I)
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar|tar\.gz|tgz|tar\.bz2|tar\.xz)$", re.I)

REQUIREMENT_CHARACTERS = 4096
"""Enough for a name, its versions and its marker, or a URL. packaging's parser takes quadratic time."""
_SPECIFIERS = 100
_NESTED_MARKERS = 20  # the parser is recursive
_SHOWN = 200
_DIGITS = 40  # in one number; Python refuses to read one of 4,300
LONG_NUMBER = re.compile(rf"[0-9]{{{_DIGITS + 1}}}")

_PUBLISH = (
    "take other code from an index, or from 'name @ https://.../name-1.0-py3-none-any.whl'; the flow's own code and its"
    " additional includes need no requirement"
)


@dataclass(frozen=True, slots=True)
class RequirementLine:
    """A requirement; ``text`` is its canonical form, without credentials, hashes or the file's own spacing."""

    text: str
    name: str | None
    location: Location
    source: str = ""
    """The requirements file's path in the standalone flow folder."""
    hashes: tuple[str, ...] = ()
    marker: str | None = None
    pinned: str | None = None
    """The version, if the requirement allows exactly one."""
    public_url: str | None = None
    allows_source: bool = False
    """Whether its comment allows building a wheel from its source distribution."""
    resolvable: str = field(default="", repr=False)
    """The text for a resolver, with the URL's credentials; ``${NAME}`` is expanded only for a resolver."""
    url: str | None = field(default=None, repr=False)


def parse_requirement(text: str, *, location: Location, source: str, hashes: tuple[str, ...] = ()) -> RequirementLine:
    _check_size(text, location)
    if _VERSION_CONTROL.match(text):
        raise cannot_be_pinned("a version control URL", text, location)
    if text.startswith((".", "/", "~", "\\")) or _is_local_archive(text):
        raise cannot_be_pinned("a local path", text, location)
    requirement = _parsed(text, location)
    _check_variables(text, requirement.url, location)
    url = public_url(requirement.url) if requirement.url else None
    return RequirementLine(
        text=_canonical(requirement, url),
        name=canonicalize_name(requirement.name),
        location=location,
        source=source,
        hashes=hashes,
        marker=str(requirement.marker) if requirement.marker else None,
        pinned=_pinned_version(requirement),
        public_url=url,
        resolvable=_canonical(requirement, requirement.url),
        url=requirement.url,
    )


def _check_size(text: str, location: Location) -> None:
    limits = (
        (len(text) > REQUIREMENT_CHARACTERS, f"has more than {REQUIREMENT_CHARACTERS} characters"),
        (text.count(",") > _SPECIFIERS, f"has more than {_SPECIFIERS} commas"),
        (_nesting(text) > _NESTED_MARKERS, f"has parentheses nested deeper than {_NESTED_MARKERS}"),
        (LONG_NUMBER.search(text) is not None, f"has a number of more than {_DIGITS} digits"),
        (not text.replace("\t", " ").isprintable(), "has a character that cannot be printed"),
    )
    for is_exceeded, what in limits:
        if is_exceeded:
            raise RequirementsError(f"the requirement '{shortened(text)}' {what}", location=location)


def shortened(text: str) -> str:
    """Shortens a text for a message, and removes characters that control a terminal."""
    scrubbed = scrub(text)
    shown = "".join(each if each.isprintable() else "?" for each in scrubbed[:_SHOWN])
    return shown if len(scrubbed) <= _SHOWN else f"{shown}…"


def _nesting(text: str) -> int:
    depth = deepest = 0
    for each in re.findall(r"[()]", text):
        depth += 1 if each == "(" else -1
        deepest = max(deepest, depth)
    return deepest


def _check_variables(text: str, url: str | None, location: Location) -> None:
    """Allows variables only before a URL's host: the rest of a requirement is written to the lock."""
    in_front_of_the_host = VARIABLE.findall(url.rpartition("@")[0]) if url else []
    others = len(VARIABLE.findall(text)) - len(in_front_of_the_host)
    if others:
        name = VARIABLE.findall(text)[-1]
        raise RequirementsError(
            f"'{shortened(text)}' has the variable {name} where its value would be written to the lock",
            location=location,
            hint=f"use it only for the credentials of a URL, https://${{{name}}}@HOST/..., and write out the rest",
        )


def cannot_be_pinned(what: str, text: str, location: Location) -> RequirementsError:
    return RequirementsError(f"'{shortened(text)}' is {what}, which no hash can pin", location=location, hint=_PUBLISH)


def _is_local_archive(text: str) -> bool:
    path = re.split(r"[;\[\s]", text, maxsplit=1)[0]
    return "://" not in path and _ARCHIVE.search(path) is not None


def _parsed(text: str, location: Location) -> Requirement:
    first = (text.split(maxsplit=1) or [""])[0]
    url = urlsplit(first) if host_of(first) else None
    written = f"{_wheel_name(url.path, text, location)} @ {text}" if url else text
    try:
        requirement = Requirement(written)
    except (InvalidRequirement, ValueError, RecursionError) as error:
        if "/" in first and not first.lower().startswith(("http://", "https://")):
            raise cannot_be_pinned("a local path", text, location) from None
        why = str(error) if len(text) <= 200 else None
        raise RequirementsError(
            f"'{shortened(text)}' is not a valid requirement", location=location, detail=why
        ) from None
    has_a_scheme = (requirement.url or "").lower().startswith(("http://", "https://"))
    if requirement.url and not has_a_scheme and not VARIABLE.match(requirement.url):
        raise cannot_be_pinned("a local path", text, location)
    if requirement.url and host_of(requirement.url) is None:
        raise RequirementsError(
            f"'{shortened(text)}' does not name a host",
            location=location,
            hint="write 'name @ https://HOST/.../name-1.0-py3-none-any.whl'",
        )
    return requirement


def _wheel_name(path: str, text: str, location: Location) -> str:
    try:
        return parse_wheel_filename(unquote(path.rsplit("/", 1)[-1]))[0]
    except (InvalidWheelFilename, InvalidVersion):
        raise RequirementsError(
            f"'{shortened(text)}' does not name a package",
            location=location,
            hint=f"write 'name @ {shortened(text)}'",
        ) from None


def _canonical(requirement: Requirement, url: str | None) -> str:
    extras = f"[{','.join(sorted(map(canonicalize_name, requirement.extras)))}]" if requirement.extras else ""
    where = f" @ {url}" if url else ",".join(sorted(str(specifier) for specifier in requirement.specifier))
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{canonicalize_name(requirement.name)}{extras}{where}{marker}"


def _pinned_version(requirement: Requirement) -> str | None:
    for specifier in requirement.specifier:
        if specifier.operator == "===" or (specifier.operator == "==" and not specifier.version.endswith(".*")):
            try:
                return str(Version(specifier.version))
            except InvalidVersion:  # === takes any text
                return None
    return None
