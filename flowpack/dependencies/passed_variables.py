"""Expands ``${NAME}`` in the URLs of requirements: only variables that the caller passes, and only for a resolver.

Untrusted requirements may send any variable of this process to their author's server, so naming one is not enough.
Locks, messages and everything else have the URL as written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from flowpack.errors import FlowpackError, Location, RequirementsError, UsageError, nearest

# The form that pip and uv read as a variable.
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_URL = re.compile(
    r"https?://(?:[^/\s\\?#]*@)?(?P<host>[\w.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?=[/?#]|$)[^\s\\]*", re.I
)


@dataclass(frozen=True, slots=True)
class PassedVariable:
    """``NAME``, for any URL, or ``NAME@HOST``, for URLs of one host."""

    name: str
    host: str | None = None

    @classmethod
    def parse(cls, text: str) -> PassedVariable:
        name, at, host = text.partition("@")
        if not re.fullmatch(r"[A-Z0-9_]+", name) or (at and not re.fullmatch(r"[\w.-]+|\[[0-9a-f:.]+\]", host, re.I)):
            raise UsageError(
                f"--pass-variable '{name}' is not the name of a variable that requirements can use",
                hint="write NAME or NAME@HOST, the name in capitals: --pass-variable FEED_TOKEN@packages.example.org",
            )
        return cls(name, host.lower() or None)


def host_of(url: str) -> str | None:
    """The host of an http or https URL that all tools read alike; None for any other text."""
    match = _URL.fullmatch(url)
    return match["host"].lower() if match and url.isprintable() else None


def expand(url: str, passed: Sequence[PassedVariable], location: Location, environ: Mapping[str, str]) -> str:
    for name in VARIABLE.findall(url):
        if not any(each.name == name for each in passed):
            raise _not_passed(name, passed, location)
        if not environ.get(name):
            raise RequirementsError(f"the variable {name} is passed but not set", location=location, hint=f"set {name}")
    expanded = VARIABLE.sub(lambda match: environ[match[1]], url)
    host = host_of(expanded)
    if host is None or VARIABLE.search(expanded):  # pip and uv would expand a variable in a value
        raise RequirementsError(
            f"'{url}' is not an http or https URL once the passed variables are expanded", location=location
        )
    for name in VARIABLE.findall(url):
        if not any(each.name == name and each.host in {None, host} for each in passed):
            allowed = " and ".join(sorted(str(each.host) for each in passed if each.name == name))
            raise RequirementsError(
                f"the variable {name} is passed only for {allowed}, but this URL has another host", location=location
            )
    return expanded


def _not_passed(name: str, passed: Iterable[PassedVariable], location: Location) -> RequirementsError:
    close = nearest(name, [each.name for each in passed])
    return RequirementsError(
        f"the requirements use the variable {name}, which is not passed",
        location=location,
        hint=f"add --pass-variable {name} if the servers in the requirements may see its value"
        + (f"; {close} is passed" if close else ""),
    )


def variables_in(urls: Iterable[str]) -> frozenset[str]:
    return frozenset(name for url in urls for name in VARIABLE.findall(url))


def hide_values(error: FlowpackError, names: Iterable[str], environ: Mapping[str, str] = os.environ) -> None:
    """Replaces the values in another tool's message with their names, in any case and any URL quoting."""
    for name in sorted(names, key=lambda name: -len(environ.get(name, ""))):
        value = environ.get(name)
        if not value:
            continue
        plain = unquote(value)
        forms = {form for each in (value, plain) for form in (each, quote(each), quote(each, safe=""))} - {""}
        pattern = re.compile("|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)), re.I)
        error.message = _hidden(pattern, name, error.message)
        error.detail = _hidden(pattern, name, error.detail) if error.detail else None
        error.hint = _hidden(pattern, name, error.hint) if error.hint else None
    error.args = (error.message,)


def _hidden(pattern: re.Pattern[str], name: str, text: str) -> str:
    return pattern.sub(lambda _: f"${{{name}}}", text)
