"""Files that a flow names and serving does not need: a warning, where promptflow serves the flow without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.assembly.flow_folder import FlowFolder, assemble
from flowpack.assembly.roots import IncludeRoots
from flowpack.errors import InputError
from flowpack.flows.model import Flow
from flowpack.flows.reader import read_flow
from flowpack.flows.warnings import warnings_of
from tests.commands import flowpack
from tests.paths import write_tree
from tests.recording import Recording

PROMPTY = """---
model:
  api: chat
  configuration:
    type: azure_openai
    connection: open_ai_connection
    azure_deployment: gpt-4o
  parameters: {}
inputs:
  question:
    type: string
sample: ${file:sample.json}
---
user:
{{question}}
"""
FLEX = {
    "flow.flex.yaml": "entry: answer:main\nsample: ${file:sample.json}\n",
    "answer.py": "def main(question: str) -> str:\n    return question\n",
}
DAG = """environment:
  # what serving installs
  python_requirements_txt: {}   # kept
inputs:
  text: {{type: string}}
outputs:
  text: {{type: string, reference: "${{inputs.text}}"}}
nodes: []
"""


def project(folder: Path, files: dict[str, str]) -> Path:
    (folder / ".git").mkdir(parents=True)
    return write_tree(folder, files)


@pytest.mark.parametrize(
    ("file", "files"),
    [
        ("ask.prompty", {"ask.prompty": PROMPTY}),
        ("ask.prompty", {"ask.prompty": PROMPTY.replace("${file:sample.json}", "sample.json")}),
        ("flow.flex.yaml", FLEX),
    ],
    ids=["prompty", "prompty with a name", "flex"],
)
def test_a_sample_file_that_is_missing_is_a_warning(file: str, files: dict[str, str], tmp_path: Path) -> None:
    project(tmp_path, files)
    flow = read_flow(tmp_path / file)
    assert flow.sample == {}
    (warning,) = warnings_of(flow)
    assert f"{file}:" in warning
    assert "the sample 'sample.json' does not exist" in warning
    done = flowpack("check", ".", "--json", "--no-cache", cwd=tmp_path)
    assert [each["code"] for each in done.json["findings"] if each["code"] != "FP302"] == ["FP212"]


def test_the_standalone_flex_flow_has_no_sample_that_its_server_would_stop_at(tmp_path: Path) -> None:
    project(tmp_path, FLEX)
    assert read_flow(tmp_path).text == "entry: answer:main\n"


def assembled(flow: Flow, reporter: Recording) -> FlowFolder:
    return assemble(flow, IncludeRoots.of(flow.folder), reporter)


def test_a_requirements_file_that_is_missing_is_a_warning(tmp_path: Path) -> None:
    project(tmp_path, {"flow.dag.yaml": DAG.format("conda/serving.txt")})
    reporter = Recording()
    folder = assembled(read_flow(tmp_path), reporter)
    assert folder.requirements is None
    (warning,) = reporter
    assert "flow.dag.yaml:3:28: environment.python_requirements_txt: 'conda/serving.txt'" in warning


def test_a_requirements_file_with_a_similar_name_is_probably_meant(tmp_path: Path) -> None:
    project(tmp_path, {"flow.dag.yaml": DAG.format("requirement.txt"), "requirements.txt": "flask\n"})
    with pytest.raises(InputError) as error:
        assembled(read_flow(tmp_path), Recording())
    assert error.value.hint == "did you mean 'requirements.txt'?"


def test_a_requirements_file_of_the_project_is_taken_along(tmp_path: Path) -> None:
    files = {"flow/flow.dag.yaml": DAG.format("../serving.txt"), "serving.txt": "flask==3.1.3\n"}
    project(tmp_path, files)
    reporter = Recording()
    folder = assembled(read_flow(tmp_path / "flow"), reporter)
    assert folder.requirements == "serving.txt"
    assert folder.paths["serving.txt"] == (tmp_path / "serving.txt").resolve()
    assert folder.flow.text == DAG.format("serving.txt")
    (note,) = reporter
    assert note.endswith(
        "flow.dag.yaml:3:28: '../serving.txt' is taken along, as 'serving.txt' in the standalone folder"
    )


def test_a_requirements_file_outside_of_the_project_is_not_looked_at(tmp_path: Path) -> None:
    write_tree(tmp_path, {"serving.txt": "flask==3.1.3\n"})
    project(tmp_path / "project", {"flow/flow.dag.yaml": DAG.format("../../serving.txt")})
    reporter = Recording()
    folder = assembled(read_flow(tmp_path / "project" / "flow"), reporter)
    assert "serving.txt" not in folder.paths
    assert len(reporter) == 1


@pytest.mark.parametrize("path", ["../sample.json", "/etc/hostname"])
def test_a_sample_outside_of_the_flow_is_not_read(path: str, tmp_path: Path) -> None:
    files = {f"flow/{name}": text.replace("sample.json", path) for name, text in FLEX.items()}
    project(tmp_path, {**files, "sample.json": "{}"})
    flow = read_flow(tmp_path / "flow")
    assert flow.missing_sample is not None
    assert flow.missing_sample.path == path
