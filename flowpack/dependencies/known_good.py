"""Which releases of promptflow flowpack serves, and which versions of other packages keep them from starting.

One table, ``BOUNDS``, each line with its reason. promptflow leaves most of its dependencies open, so that an old
release meets packages that are years younger. ``scripts/test-releases`` locks and serves every release with the table.

There are two kinds. A bound that is needed holds whatever else is asked for: without it the server does not start, so a
requirement that rules it out is refused. A bound that was only tested gives a resolver a first try that fits; it leaves
alone what the user names, and where a flow resolves only without such bounds it is resolved without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from flowpack.dependencies.requirements import RequirementLine, Requirements
from flowpack.dependencies.serving_needs import promptflow_release
from flowpack.errors import RequirementsError

RELEASES = (
    *("1.11.0", "1.12.0", "1.13.0", "1.14.0", "1.15.0", "1.15.0.post1", "1.15.1", "1.16.0", "1.16.1", "1.16.2"),
    *("1.17.0", "1.17.1", "1.17.2", "1.18.0", "1.18.1", "1.18.2", "1.18.3", "1.18.4", "1.18.5"),
)
"""Every release of promptflow that flowpack serves; development ended with the last."""

# Each release of these requires the others at its own version.
_OF_ONE_RELEASE = ("promptflow", "promptflow-core", "promptflow-devkit", "promptflow-tracing")

_EQUAL = re.compile(r"(?P<release>\d+(?:\.\d+)*)\.\*")


@dataclass(frozen=True, kw_only=True)
class Bound:
    """``where`` names the versions of another package that need the bound; empty: it holds for every lock."""

    requirement: str
    because: str
    where: str = ""
    is_needed: bool = True

    @cached_property
    def name(self) -> str:
        return canonicalize_name(Requirement(self.requirement).name)

    @cached_property
    def allows(self) -> SpecifierSet:
        return Requirement(self.requirement).specifier

    @property
    def text(self) -> str:
        return f"{self.requirement} where {self.where}" if self.where else self.requirement

    @property
    def hint(self) -> str:
        if self.name in _OF_ONE_RELEASE:
            return f"the nearest release that serves is {self.name}=={RELEASES[0]}; the last one is {RELEASES[-1]}"
        return (
            f"change it to {self.requirement}, or do without {self.where}" if self.where else f"use {self.requirement}"
        )

    def is_broken_by(self, versions: Mapping[str, str | None]) -> bool:
        return _holds(self.where, versions) and not _contains(self.allows, versions.get(self.name))


def _floor(name: str) -> Bound:
    return Bound(
        requirement=f"{name}>={RELEASES[0]}",
        because="promptflow 1.10.1 and older cannot serve prompties and do not start with the image's server",
    )


BOUNDS = (
    *map(_floor, _OF_ONE_RELEASE),
    Bound(
        requirement="promptflow-tools>=1.0.0",
        because="promptflow-tools before 1.0.0 calls openai 0.x, with which promptflow-core does not load",
    ),
    Bound(
        requirement="openai>=1.0.0",
        because="promptflow-core imports names that openai has since 1.0.0",
    ),
    Bound(
        requirement="opentelemetry-sdk<1.39",
        because="promptflow-tracing imports code that opentelemetry-sdk removed in 1.39",
    ),
    Bound(
        requirement="opentelemetry-api<1.39",
        because="promptflow-tracing needs opentelemetry-sdk below 1.39, which requires the API below 1.39",
    ),
    Bound(
        requirement="httpx<0.28",
        where="openai<1.55.3",
        because="openai before 1.55.3 gives httpx an argument that httpx 0.28 removed: every call of a model fails",
    ),
    Bound(
        requirement="marshmallow<3.24",
        where="promptflow-devkit<1.17.1",
        because="promptflow before 1.17.1 imports a name that marshmallow 3.24 removed: the SDK does not load",
    ),
    Bound(
        requirement="fastapi<0.137",
        where="opentelemetry-instrumentation-fastapi<0.64b0",
        because="the instrumentation before 0.64b0 does not know the routers of fastapi 0.137: a request for a path"
        " or method without a route ends in an error",
    ),
    # Tested: promptflow 1.18.5 with promptflow-tools 1.6.1, as `uv pip compile` found them for Python 3.11.
    *(
        Bound(requirement=requirement, because="the newest that was seen to serve", is_needed=False)
        for requirement in (
            "azure-monitor-opentelemetry-exporter<=1.0.0b45",
            "fastapi<=0.141.1",
            "flask<=3.1.3",
            "gunicorn<=27.0.1",
            "httpx<=0.28.1",
            "importlib-metadata<=8.7.1",
            "openai<=3.54.0",
            "opentelemetry-exporter-otlp-proto-common<=1.38.0",
            "opentelemetry-exporter-otlp-proto-http<=1.38.0",
            "opentelemetry-proto<=1.38.0",
            "opentelemetry-semantic-conventions<=0.59b0",
            "protobuf<=6.33.6",
            "pydantic<=2.14.3",
            "pydantic-core<=2.50.4",
            "starlette<=0.49.3",
            "uvicorn<=0.54.0",
            "werkzeug<=3.1.9",
        )
    ),
)


def bounds_of(requirements: Requirements) -> tuple[Bound, ...]:
    """The bounds that the requirements leave in force. One whose condition is met already has none any more."""
    check_served(requirements)
    release = promptflow_release(requirements)
    taken = requirements.names
    asked = [
        Bound(requirement=f"{name}=={release}", because="the requirements pin this release", is_needed=False)
        for name in _OF_ONE_RELEASE
        if release
    ]
    known = _known_versions(requirements)
    found = [
        replace(bound, where="") if bound.where and _holds(bound.where, known) else bound for bound in (*asked, *BOUNDS)
    ]
    return tuple(bound for bound in found if bound.is_needed or bound.name not in taken)


def check_served(requirements: Requirements) -> None:
    """Refuses at its line what allows no version that serves; a resolver would find it out late, or go around it."""
    for line, bound in lines_that_cannot_serve(requirements):
        raise RequirementsError(
            f"'{line.text}' cannot be served: {bound.because}", location=line.location, hint=bound.hint
        )


def lines_that_cannot_serve(requirements: Requirements) -> Iterator[tuple[RequirementLine, Bound]]:
    """As far as they tell before a resolver runs, each with the bound that it leaves no version of."""
    known = _known_versions(requirements)
    for bound in BOUNDS:
        if not bound.is_needed or not _holds(bound.where, known):
            continue
        for line in requirements.named(bound.name):
            if line.marker is None and _is_apart(line, bound):
                yield line, bound


def broken_bounds(bounds: Iterable[Bound], versions: Mapping[str, str | None]) -> Iterator[Bound]:
    """Those needed bounds that a resolver's pins go against, as they come true with the pins themselves."""
    for bound in bounds:
        if bound.is_needed and bound.is_broken_by(versions):
            yield bound


def _known_versions(requirements: Requirements) -> dict[str, str | None]:
    """Those that are settled before a resolver runs."""
    known: dict[str, str | None] = {}
    release = promptflow_release(requirements)
    if release:
        known = dict.fromkeys(_OF_ONE_RELEASE, release)
    for line in (*requirements.lines, *requirements.constraints):
        if line.name and line.marker is None and line.pinned:
            known.setdefault(line.name, line.pinned)
    return known


def _holds(where: str, versions: Mapping[str, str | None]) -> bool:
    if not where:
        return True
    condition = Requirement(where)
    version = versions.get(canonicalize_name(condition.name))
    return version is not None and _contains(condition.specifier, version)


def _contains(allowed: SpecifierSet, version: str | None) -> bool:
    """A package that is not there, or comes from a URL, goes against nothing."""
    try:
        return version is None or allowed.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return True


def _is_apart(line: RequirementLine, bound: Bound) -> bool:
    """Whether no version fits both, as far as their limits tell."""
    if line.url is not None:
        return False
    if line.pinned:
        return not _contains(bound.allows, line.pinned)
    low, high = _limits(Requirement(line.text).specifier)
    least, most = _limits(bound.allows)
    return (high is not None and least is not None and high <= least) or (
        low is not None and most is not None and most <= low
    )


def _limits(specifiers: SpecifierSet) -> tuple[Version | None, Version | None]:
    """The lowest version that is allowed, and the first one above all that are; None without such a limit."""
    lows: list[Version] = []
    highs: list[Version] = []
    for each in specifiers:
        try:
            if each.operator == "==" and (found := _EQUAL.fullmatch(each.version)):
                lows.append(Version(found["release"]))
                highs.append(_next(found["release"]))
            elif each.operator == "~=":
                lows.append(Version(each.version))
                highs.append(_next(".".join(str(part) for part in Version(each.version).release[:-1])))
            elif each.operator in (">=", ">"):
                lows.append(Version(each.version))
            elif each.operator == "<":
                highs.append(Version(each.version))
            elif each.operator == "<=":
                highs.append(_next(f"{each.version}.0"))
        except InvalidVersion:
            continue
    return max(lows, default=None), min(highs, default=None)


def _next(release: str) -> Version:
    *front, last = Version(release).release
    return Version(".".join(str(part) for part in (*front, last + 1)))
