"""The rules by code. A rule is a generator of problems, which become findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from flowpack.checks.findings import Edit, Finding, Rule, Severity
from flowpack.errors import FlowpackError, Location, scrub
from flowpack.quoting import one_line

if TYPE_CHECKING:
    from flowpack.checks.subject import Subject

_MODULES = ("flow", "templates", "files", "requirements", "connections", "azureml", "deployments", "instances")


class Problem(NamedTuple):
    message: str
    location: Location
    hint: str | None = None
    fix: Edit | None = None

    @classmethod
    def of(cls, error: FlowpackError, otherwise: Location) -> Problem:
        return cls(error.message, error.location or otherwise, error.hint)


Look = Callable[["Subject"], Iterator[Problem]]


@dataclass(frozen=True, slots=True)
class Check:
    rule: Rule
    look: Look

    def findings(self, subject: Subject) -> Iterator[Finding]:
        """If a rule fails, its error becomes a finding, and the other rules still run."""
        try:
            for each in self.look(subject):
                yield self._finding(each)
        except FlowpackError as error:
            yield self._finding(Problem.of(error, subject.location))
        except OSError as error:
            message = f"'{error.filename}' cannot be read: {error.strerror}"
            yield self._finding(Problem(message, subject.location))

    def _finding(self, problem: Problem) -> Finding:
        """The only place where text of a flow enters a finding: credentials are removed, a message becomes one line.

        A fix is shown and cached, so a fix with a secret in its lines is dropped.
        """
        fix = problem.fix
        if fix and any(scrub(line) != line for line in fix.lines):
            fix = None
        return Finding(
            rule=self.rule,
            message=one_line(scrub(problem.message)),
            location=problem.location,
            hint=scrub(problem.hint) if problem.hint else None,
            fix=fix,
        )


_checks: list[Check] = []


def rule(
    code: str, name: str, severity: Severity, summary: str, *, about_secrets: bool = False
) -> Callable[[Look], Look]:
    def register(look: Look) -> Look:
        _checks.append(Check(Rule(code, name, severity, summary, about_secrets), look))
        return look

    return register


@cache
def all_checks() -> tuple[Check, ...]:
    for name in _MODULES:
        import_module(f"flowpack.checks.rules.{name}")
    return tuple(sorted(_checks, key=lambda check: check.rule.code))


def checks_of(module: str) -> tuple[Check, ...]:
    """Those of one module of rules; the others are not loaded for them."""
    name = f"flowpack.checks.rules.{module}"
    import_module(name)
    return tuple(sorted((each for each in _checks if each.look.__module__ == name), key=lambda each: each.rule.code))


def all_rules() -> tuple[Rule, ...]:
    return tuple(check.rule for check in all_checks())
