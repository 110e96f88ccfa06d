"""Findings for the reports, on files that are there; whatever a rule may put into a message stands in one of them."""

from __future__ import annotations

from pathlib import Path

from flowpack.checks.findings import Edit, Finding, Rule, Severity
from flowpack.errors import Location
from tests.paths import write_tree

DANGLING = Rule("FP101", "dangling-reference", Severity.ERROR, "A reference names no node, input or output.")
UNPINNED = Rule("FP301", "requirement-unpinned", Severity.WARNING, "A requirement is not pinned, and there is no lock.")

FLOW = """\
inputs:
  question:
    type: string
nodes:
- name: answer
\tinputs: [${nodes.serch.output}]
"""


def repository(folder: Path) -> Path:
    return write_tree(
        folder,
        {
            "flows/my chat/flow.dag.yaml": FLOW,
            "flows/my chat/requirements.txt": "numpy\nrequests\n",
        },
    )


def samples(root: Path) -> list[Finding]:
    flow, requirements = root / "flows/my chat/flow.dag.yaml", root / "flows/my chat/requirements.txt"
    fix = Edit(path=requirements, first=2, last=2, lines=("requests==2.32.3",))
    return [
        Finding(
            rule=DANGLING,
            message="100%: '${nodes.serch.output}' names no node;\nsee [nodes], <a> & \"b\"",
            location=Location(flow, 6, 11),
            hint="did you mean 'search'?",
        ),
        Finding(rule=UNPINNED, message="'numpy' is not pinned", location=Location(requirements, 1)),
        Finding(rule=UNPINNED, message="'requests' is not pinned \x1b", location=Location(requirements, 2, 1), fix=fix),
        Finding(rule=DANGLING, message="the folder has no flow", location=Location(root / "flows/empty")),
    ]
