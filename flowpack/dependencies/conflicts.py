"""Turns a resolver's output into an error at the line of the requirements file that caused it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from packaging.utils import canonicalize_name

from flowpack.dependencies.known_good import Bound
from flowpack.dependencies.requirements import RequirementLine
from flowpack.dependencies.resolvers import NO_WHEEL, REFUSED, REQUIREMENTS, Question, UnresolvedError
from flowpack.errors import FlowpackError, Location, RequirementsError, ToolError

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
# uv's and pip's phrases for a requested package, which come before those for its dependencies.
_ASKED_FOR = re.compile(
    rf"(?:you require|The user requested(?: \(constraint\))?|satisfies the requirement"
    rf"|No matching distribution found for|Failed to (?:build|download|download and build)|Cannot install)"
    rf" [`'\"]?({_NAME})"
)
_ANY_NAME = re.compile(_NAME)
_PLACE = re.compile(rf"-r {re.escape(REQUIREMENTS)} \(line (\d+)\)")
_REFUSED_PROJECT = re.compile(rf"{re.escape(REFUSED)}Could not fetch URL \S*?/({_NAME})/?: ")
_UNREACHABLE = re.compile(
    r"Request failed after|error sending request|dns error|tcp connect error|operation timed out"
    r"|HTTP status server error|HTTP status client error \((?:401|403|407|429)"
    r"|lack of valid authentication credentials|returned a 403|invalid peer certificate|network was disabled"
    r"|(?:401|403|407|429) Client Error|50\d Server Error"
    r"|Max retries exceeded|CERTIFICATE_VERIFY_FAILED"
)
# uv's messages about a package that has only a source distribution, and flowpack's own message for pip.
_WITHOUT_A_WHEEL = re.compile(
    rf"Wheels are required for `({_NAME})`|Building source distributions for `({_NAME})` is disabled"
    rf"|{re.escape(NO_WHEEL)}({_NAME})"
)
_NO_ANSWER_OF_A_RESOLVER = re.compile(r"Traceback \(most recent call last\)|error: (?:unexpected|invalid) ", re.M)


def blames_known_good(unresolved: UnresolvedError, question: Question) -> bool:
    """Whether bounds that were only tested take part in the conflict, so that the flow may resolve without them."""
    ours = {bound.name for bound in question.bounds if not bound.is_needed}
    return not _is_unreachable(unresolved.words) and not ours.isdisjoint(_names(_ANY_NAME, unresolved.words))


def explain(unresolved: UnresolvedError, question: Question, resolver: str) -> FlowpackError:
    words = _with_own_places(unresolved.words, question)
    if _is_unreachable(words):
        return ToolError(
            f"{resolver} cannot reach a package index, or the index refused access",
            detail=words,
            hint="check the index in pip's configuration and PIP_* variables (index-url, cert, proxy)",
        )
    without_wheel = packages_without_a_wheel(words)
    if without_wheel:
        return no_wheel_error(without_wheel[0], question, words)
    line = _line_at_fault(words, question)
    broken = unresolved.completed.returncode != 1 and line is None
    if broken or not words or _NO_ANSWER_OF_A_RESOLVER.search(words):
        return ToolError(f"{resolver} failed", detail=words or f"exit status {unresolved.completed.returncode}")
    return RequirementsError(
        f"'{line.text}' does not resolve for {question.target}"
        if line
        else f"the requirements do not resolve for {question.target}",
        location=line.location if line else _first_line(question),
        detail=words,
        hint=_serving_hint(words, question),
    )


def packages_without_a_wheel(words: str) -> list[str]:
    found = (next(filter(None, match.groups())) for match in _WITHOUT_A_WHEEL.finditer(words))
    return list(dict.fromkeys(canonicalize_name(name) for name in found))


def no_wheel_error(name: str, question: Question, words: str | None = None) -> RequirementsError:
    lines = question.requirements.named(name)
    return RequirementsError(
        f"'{name}' has no wheel for {question.target}, and building its source distribution runs its author's code",
        location=lines[0].location if lines else _first_line(question),
        detail=words,
        hint=f"choose a version that has a wheel, or build one in a separate container: --allow-source {name}",
    )


def _is_unreachable(words: str) -> bool:
    """An index may refuse one project and serve others. A refusal only matters if the failure is about that project."""
    plain = [line for line in words.splitlines() if not line.startswith(REFUSED)]
    refused = {canonicalize_name(found[1]) for found in _REFUSED_PROJECT.finditer(words)}
    about = set(_names(_ANY_NAME, "\n".join(plain)))
    others = [line for line in words.splitlines() if line.startswith(REFUSED) and not _REFUSED_PROJECT.match(line)]
    return bool(refused & about or others or _UNREACHABLE.search("\n".join(plain)))


def _line_at_fault(words: str, question: Question) -> RequirementLine | None:
    lines = (*question.requirements.lines, *question.requirements.constraints)
    for pattern in (_ASKED_FOR, _ANY_NAME):
        for name in _names(pattern, words):
            for line in lines:
                if line.name == name:
                    return line
    return None


def _first_line(question: Question) -> Location | None:
    lines = (*question.requirements.lines, *question.requirements.constraints)
    return lines[0].location if lines else question.requirements.location


def _serving_hint(words: str, question: Question) -> str | None:
    named = set(_names(_ANY_NAME, words))
    needed = [bound for bound in question.bounds if bound.is_needed and not bound.where and bound.name in named]
    reasons = "; ".join(f"flowpack needs {bound.requirement}: {bound.because}" for bound in _telling(needed, words))
    if reasons:
        return reasons
    added = [each for each in question.serving if each.name in named]
    if not added:
        return None
    texts = ", ".join(f"{each.text} ({each.because})" for each in added)
    return f"add your own line for the package to replace what flowpack adds: {texts}"


def _telling(bounds: Iterable[Bound], words: str) -> Iterator[Bound]:
    """Those that the resolver names with their limit; any name may be in its words."""
    plain = words.replace(" ", "")
    return (bound for bound in bounds if f"{bound.name}{bound.allows}" in plain)


def _names(pattern: re.Pattern[str], words: str) -> Iterator[str]:
    for found in pattern.finditer(words):
        yield canonicalize_name(found[found.re.groups])


def _with_own_places(words: str, question: Question) -> str:
    """Replaces line numbers of the file that pip was given with lines of the user's file."""
    places = [*_own_places(question.requirements.lines), *("flowpack, for serving" for _ in question.serving)]

    def place(found: re.Match[str]) -> str:
        number = int(found[1])
        return places[number - 1] if number <= len(places) else found[0]

    return _PLACE.sub(place, words)


def _own_places(lines: Iterable[RequirementLine]) -> Iterator[str]:
    for line in lines:
        yield f"{line.text} ({line.source} line {line.location.line})"
