"""The errors of a flow file that ``flowpack check`` finds: commands that build the flow stop at them."""

from __future__ import annotations

from collections.abc import Iterator

from flowpack.assembly.flow_folder import FlowFolder
from flowpack.assembly.roots import IncludeRoots
from flowpack.checks.discovery import Place
from flowpack.checks.findings import Finding, Severity
from flowpack.checks.nodes import NodeView, nodes_of
from flowpack.checks.registry import checks_of
from flowpack.checks.subject import Attempt, Subject
from flowpack.checks.suppressions import is_suppressed
from flowpack.checks.values import at, fields_of
from flowpack.errors import InputError
from flowpack.flows.model import FlowKind
from flowpack.flows.variants import VariantChoice
from flowpack.reporting import SILENT, Reporter

_SHOWN = 20


def refuse_broken_flow(
    folder: FlowFolder, roots: IncludeRoots, choice: VariantChoice | None, reporter: Reporter = SILENT
) -> None:
    """An InputError with the first error that no comment suppresses; its detail lists the others.

    Variants that are not chosen are not in the standalone folder, so they are not checked. A default of the wrong type
    is a warning: promptflow serves the flow and answers each request that gives the input.
    """
    if folder.flow.kind is not FlowKind.DAG:
        return  # the readers of the other kinds refuse what these rules find
    subject = _Assembled(folder, roots, choice)
    defaults = {
        value.location
        for port in fields_of(subject.root.get("inputs")).values()
        if (value := at(port, "default")) is not None
    }
    found = []
    for each in _errors(subject):
        if each.location in defaults:
            reporter.warning(f"{each.location}: {each.message}")
        else:
            found.append(each)
    if not found:
        return
    first, *others = found
    lines = [f"also {each.location}: {each.message}" for each in others[:_SHOWN]]
    if len(others) > _SHOWN:
        lines.append(f"and {len(others) - _SHOWN} more")
    raise InputError(first.message, location=first.location, hint=first.hint, detail="\n".join(lines) or None)


def _errors(subject: Subject) -> Iterator[Finding]:
    checks = (each for each in checks_of("flow") if each.rule.severity is Severity.ERROR)
    found = (finding for each in checks for finding in each.findings(subject))
    yield from (finding for finding in found if not is_suppressed(finding.rule.code, finding.location))


class _Assembled(Subject):
    """A flow whose folder is known, with one variant of each node."""

    def __init__(self, folder: FlowFolder, roots: IncludeRoots, choice: VariantChoice | None) -> None:
        super().__init__(Place(folder.flow.file))
        self.roots = roots
        self.attempt = Attempt(folder.flow, None)
        self._folder = folder
        self._choice = choice

    @property
    def folder(self) -> FlowFolder:
        return self._folder

    @property
    def nodes(self) -> tuple[NodeView, ...]:
        return self.once("chosen nodes", lambda: tuple(n for n in nodes_of(self.root, self._choice) if n.chosen))
