"""One requirement of a requirements file as a value; what cannot be pinned with a hash is refused here."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from flowpack.dependencies.index_options import public_url
from flowpack.dependencies.requirement_text import expand_variables
from flowpack.errors import Location, RequirementsError, scrub

_VERSION_CONTROL = re.compile(r"^(?:[^@]+@\s*)?(?:git|hg|svn|bzr)\+", re.I)
_URL = re.compile(r"(?:^|@\s*)([a-z][a-z0-9+.-]*://\S+|\$\{[A-Z0-9_]+\}\S*|file:\S+)", re.I)
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar|tar\.gz|tgz|tar\.bz2|tar\.xz)$", re.I)

_PUBLISH = (
    "the flow's own code and its additional includes need no requirement; other code comes from an index, or as"
    " 'name @ https://.../name-1.0-py3-none-any.whl'"
)


@dataclass(frozen=True, slots=True)
class RequirementLine:
    """A requirement; ``text`` is in one canonical form, without credentials, hashes or the file's own spacing."""

    text: str
    name: str | None
    location: Location
    source: str = ""
    """The requirements file as the standalone flow folder names it."""
    hashes: tuple[str, ...] = ()
    marker: str | None = None
    pinned: str | None = None
    """The version, where the requirement allows exactly one."""
    public_url: str | None = None
    allows_source: bool = False
    """Whether its comment allows that a wheel is built from its source distribution."""
    resolvable: str = field(default="", repr=False)
    """What a resolver gets: the text with variables expanded and any credentials of its URL."""


def parse_requirement(text: str, *, location: Location, source: str, hashes: tuple[str, ...] = ()) -> RequirementLine:
    expanded = expand_variables(text)
    if _VERSION_CONTROL.match(expanded):
        raise cannot_be_pinned("a version control URL", text, location)
    if expanded.startswith((".", "/", "~", "\\")) or _is_local_archive(expanded):
        raise cannot_be_pinned("a local path", text, location)
    requirement = _parsed(expanded, text, location)
    written = _URL.search(text)
    url = public_url(written[1]) if requirement.url and written else None
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
    )


def cannot_be_pinned(what: str, text: str, location: Location) -> RequirementsError:
    return RequirementsError(f"'{scrub(text)}' is {what}, which no hash can pin", location=location, hint=_PUBLISH)


def _is_local_archive(text: str) -> bool:
    path = re.split(r"[;\[\s]", text, maxsplit=1)[0]
    return "://" not in path and _ARCHIVE.search(path) is not None


def _parsed(expanded: str, text: str, location: Location) -> Requirement:
    first = expanded.split(maxsplit=1)[0]
    url = urlsplit(first) if "://" in first else None
    if url is not None and url.scheme in {"http", "https"}:
        expanded = f"{_wheel_name(url.path, text, location)} @ {expanded}"
    try:
        requirement = Requirement(expanded)
    except InvalidRequirement as error:
        if "/" in first:
            raise cannot_be_pinned("a local path", text, location) from None
        # The lines below the first quote the requirement, with its variables expanded.
        why = str(error) if expanded == text else str(error).splitlines()[0]
        raise RequirementsError(f"'{scrub(text)}' is no requirement", location=location, detail=why) from None
    if requirement.url and urlsplit(requirement.url).scheme not in {"http", "https"}:
        raise cannot_be_pinned("a local path", text, location)
    return requirement


def _wheel_name(path: str, text: str, location: Location) -> str:
    try:
        return parse_wheel_filename(unquote(path.rsplit("/", 1)[-1]))[0]
    except (InvalidWheelFilename, InvalidVersion):
        raise RequirementsError(
            f"'{scrub(text)}' does not say which package it is", location=location, hint=f"write 'name @ {scrub(text)}'"
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
