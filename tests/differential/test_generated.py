"""Several hundred projects that hypothesis makes up, the same ones at each run, made standalone by both.

One that fails is made smaller until nothing can be taken from it, and printed as code: ``Project(files={...})``.
"""

from __future__ import annotations

import collections
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from flowpack.documents.yaml_documents import read_document
from tests.differential.differences import compare
from tests.differential.oracle import Oracle
from tests.differential.projects import Link, Project, flow_file
from tests.differential.sources import includes_of
from tests.differential.strategies import projects
from tests.differential.trials import Trial, attempt

pytestmark = pytest.mark.network


# What was found here once: names that links give to what an include brings.
AN_INCLUDED_LINK = Project(
    {
        "flow/flow.dag.yaml": flow_file("{project}/link.txt", "../other.txt"),
        "link.txt": Link("a.txt"),
        "other.txt": Link("a.txt"),
        "a.txt": "",
    }
)
AN_ARCHIVE_OF_A_LINKED_FOLDER = Project(
    {"flow/flow.dag.yaml": flow_file("../link.zip"), "link": Link("shared"), "shared/a.txt": ""}
)


def test_both_make_the_same_folder(oracle: Oracle) -> None:
    seen: collections.Counter[str] = collections.Counter()

    @settings(
        max_examples=300,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(project=projects())
    @example(project=AN_INCLUDED_LINK)
    @example(project=AN_ARCHIVE_OF_A_LINKED_FOLDER)
    def check(project: Project) -> None:
        with tempfile.TemporaryDirectory(prefix="flowpack-") as folder:
            source = project.write(Path(folder).resolve() / "project")
            trial = attempt(source, Path(folder).resolve(), oracle, project.variant)
            check_folders(trial, oracle)
            check_data(trial, oracle)
            seen[kind_of(trial)] += 1

    check()
    # What is generated is of use: both make most projects standalone, and many of these have includes.
    assert seen["made by both"] + seen["made by both, with includes"] > 150, seen
    assert seen["made by both, with includes"] > 60, seen


def check_folders(trial: Trial, oracle: Oracle) -> None:
    assert compare(trial, oracle).unnamed == []


def check_data(trial: Trial, oracle: Oracle) -> None:
    """flowpack reads in the flow's file what promptflow reads, and writes what promptflow loads."""
    assert repr(read_document(trial.source, within=None).root.data) == oracle.data(trial.source)
    if not trial.ours.refused:
        made = trial.ours.folder / trial.ours.flow_file
        assert oracle.data(made) == oracle.standalone_data(trial.source, trial.variant)
        assert oracle.load(made) == "Flow"


def kind_of(trial: Trial) -> str:
    if trial.ours.refused or trial.theirs.refused:
        return "refused"
    return "made by both, with includes" if includes_of(trial.source) else "made by both"
