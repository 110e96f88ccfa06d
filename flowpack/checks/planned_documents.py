"""Checks planned Azure ML documents with the same rules as those in a repository."""

from __future__ import annotations

from pathlib import Path

from flowpack.assembly.flow_folder import FlowFolder
from flowpack.checks.azure_documents import AzureDocument, Kind
from flowpack.checks.discovery import Place
from flowpack.checks.findings import Finding, Severity
from flowpack.checks.registry import all_checks
from flowpack.checks.subject import Subject
from flowpack.documents.yaml_documents import read_document
from flowpack.errors import InputError
from flowpack.flows.model import Flow
from flowpack.reporting import Reporter


def refuse_broken(endpoint: str, deployment: str, folder: FlowFolder, reporter: Reporter) -> None:
    """Raises InputError if a rule finds errors, and reports warnings. Places are those in the planned documents."""
    subject = _Planned([_read(Kind.ENDPOINT, endpoint), _read(Kind.DEPLOYMENT, deployment)], folder)
    rules = (each for each in all_checks() if each.rule.code.startswith("FP5"))
    found = [finding for each in rules for finding in each.findings(subject)]
    errors = [_told(finding) for finding in found if finding.rule.severity is Severity.ERROR]
    if errors:
        raise InputError(
            "Azure ML would refuse the planned documents",
            detail="\n".join(errors),
            hint="run `flowpack check --explain CODE` for the page of a rule; lines are those of the planned documents",
        )
    for finding in found:
        reporter.warning(f"{_told(finding)}")


def _told(finding: Finding) -> str:
    hint = f" ({finding.hint})" if finding.hint else ""
    return f"{finding.location}: {finding.rule.code} {finding.rule.name}: {finding.message}{hint}"


def _read(kind: Kind, text: str) -> AzureDocument:
    path = Path(f"{kind.value}.yaml")
    return AzureDocument(path, kind, read_document(path, text).root, within=[Path.cwd()])


class _Planned(Subject):
    def __init__(self, documents: list[AzureDocument], folder: FlowFolder) -> None:
        super().__init__(Place(None, tuple(each.path for each in documents)))
        self._folder = folder
        self.documents = tuple(documents)

    @property
    def flow(self) -> Flow:
        return self._folder.flow

    @property
    def folder(self) -> FlowFolder:
        return self._folder
