"""JUnit XML: a test suite for each file, and a test case for each finding, which fails if it is an error.

A warning is a test case that passes, with its text in ``system-out``. Without findings there is one test case that
passes, because services treat a report without tests as broken.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from flowpack.checks.findings import Finding, Severity
from flowpack.checks.pages import page_url
from flowpack.checks.places import relative_path
from flowpack.quoting import xml_text

_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(findings: Sequence[Finding], *, root: Path) -> str:
    suites = ElementTree.Element("testsuites", {"name": "flowpack check", **_counts(findings, without=not findings)})
    by_path = sorted(findings, key=lambda finding: relative_path(finding.location.path, root))
    for path, group in groupby(by_path, key=lambda finding: relative_path(finding.location.path, root)):
        of_the_file = list(group)
        suite = ElementTree.SubElement(suites, "testsuite", {"name": _clean(path), **_counts(of_the_file)})
        for finding in of_the_file:
            _add_case(suite, path, finding)
    if not findings:
        suite = ElementTree.SubElement(suites, "testsuite", {"name": "flowpack check", **_counts((), without=True)})
        ElementTree.SubElement(suite, "testcase", classname="flowpack", name="nothing found", time="0")
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + xml_text(ElementTree.tostring(suites, encoding="unicode"))


def _counts(findings: Sequence[Finding], *, without: bool = False) -> dict[str, str]:
    failed = sum(finding.rule.severity is Severity.ERROR for finding in findings)
    return {"tests": "1" if without else str(len(findings)), "failures": str(failed), "errors": "0", "time": "0"}


def _add_case(suite: ElementTree.Element, path: str, finding: Finding) -> None:
    rule, where = finding.rule, finding.location
    place = ":".join(str(part) for part in (path, where.line, where.column) if part is not None)
    name = f"{rule.code} {rule.name}, {place}"
    case = ElementTree.SubElement(suite, "testcase", classname=_clean(path), name=_clean(name), time="0")
    parts = [f"{place}: {finding.message}", finding.hint and f"hint: {finding.hint}", page_url(rule.code)]
    text = _clean("\n".join(filter(None, parts)))
    if rule.severity is Severity.ERROR:
        failure = ElementTree.SubElement(case, "failure", message=_clean(finding.message), type=rule.code)
        failure.text = text
    else:
        ElementTree.SubElement(case, "system-out").text = text


def _clean(text: str) -> str:
    """Replaces characters that XML does not allow, even if they are escaped."""
    return _NOT_IN_XML.sub("\ufffd", text)
