"""Each difference that is there on purpose, shown by a project: what promptflow makes of it and what flowpack does."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.differential import differences
from tests.differential.differences import compare
from tests.differential.oracle import Oracle, PromptFlowError
from tests.differential.projects import Entry, Link, Pipe, Program, Project, flow_file
from tests.differential.trials import Outcome, attempt, by_flowpack
from tests.paths import ROOT

pytestmark = pytest.mark.network

PAGE = ROOT / "docs" / "explanation" / "differences-from-pf-flow-build.md"

ASK_IN_TWO_WAYS = """\
nodes:
- name: ask
  use_variants: true
node_variants:
  ask:
    default_variant_id: short
    variants:
      short:
        node: {type: python, inputs: {text: short}}
      kind:
        node: {type: python, inputs: {text: kind}}
"""

Made = list[str] | str
"""The files beside the flow's own, or words of the error where there is no folder."""


@dataclass(frozen=True)
class Example:
    name: str
    project: Project
    promptflow: Made
    flowpack: Made


def example(name: str, files: dict[str, Entry], *includes: str, promptflow: Made, flowpack: Made) -> Example:
    return Example(name, Project({"flow/flow.dag.yaml": flow_file(*includes), **files}), promptflow, flowpack)


PROMPTY = """\
---
model: {api: chat, configuration: {type: openai, model: gpt-4o}, parameters: {}}
additional_includes: [../a.txt]
---
user:
Hello
"""

TWO_VARIANTS = Project({"flow/flow.dag.yaml": flow_file(more=ASK_IN_TWO_WAYS)}, variant="ask.kind")
THE_SAME_WITH_AN_INCLUDE = Project(
    {"flow/flow.dag.yaml": flow_file("../a.txt", more=ASK_IN_TWO_WAYS), "a.txt": ""}, variant="ask.kind"
)

EXAMPLES = [
    example(
        "always-out",
        {
            "flow/.env": "KEY=secret",
            "flow/.venv/bin/python": "",
            "flow/my env/pyvenv.cfg": "",
            "flow/.promptflow/flow.detail.json": "{}",
            "flow/x.pyc": "",
        },
        promptflow=[".env", ".promptflow/flow.detail.json", ".venv/bin/python", "my env/pyvenv.cfg", "x.pyc"],
        flowpack=[],
    ),
    example("ignore-files", {"flow/.gitignore": "*.log\n"}, promptflow=[".gitignore"], flowpack=[]),
    example(
        "flowpackignore",
        {"flow/.flowpackignore": "a.txt\n", "flow/.gitignore": "b.txt\n", "flow/a.txt": "", "flow/b.txt": ""},
        promptflow=[".flowpackignore", ".gitignore", "a.txt"],
        flowpack=["b.txt"],
    ),
    example(
        "rules-of-an-included-folder",
        {"shared/.gitignore": "*.log\n", "shared/a.log": "", "shared/a.txt": ""},
        "../shared",
        promptflow=["shared/.gitignore", "shared/a.log", "shared/a.txt"],
        flowpack=["shared/a.txt"],
    ),
    example(
        "rules-that-an-include-brings",
        {"flow/a.txt": "", "shared/.gitignore": "a.txt\n"},
        "../shared/.gitignore",
        promptflow=[".gitignore"],
        flowpack=[".gitignore", "a.txt"],
    ),
    example(
        "rules-behind-a-link",
        {"flow/.gitignore": "/data/a.txt\n", "flow/data": Link("../shared"), "shared/a.txt": "", "shared/b.txt": ""},
        promptflow=[".gitignore", "data/a.txt", "data/b.txt"],
        flowpack=["data/b.txt"],
    ),
    example(
        "ignored-folder",
        {"flow/.gitignore": "data/\n!data/a.txt\n", "flow/data/a.txt": "", "flow/data/b.txt": ""},
        promptflow=[".gitignore", "data/a.txt"],
        flowpack=[],
    ),
    example(
        "included-yet-ignored",
        {"flow/.amlignore": "*.md\n", "shared/a.md": "", "shared/notes/b.md": "", "shared/.runs/c.txt": ""},
        *("../shared/a.md", "../shared/notes", "../shared/.runs"),
        promptflow=[".amlignore"],
        flowpack=[".runs/c.txt", "a.md", "notes/b.md"],
    ),
    example("lockfile", {"flow/requirements.lock": ""}, promptflow=["requirements.lock"], flowpack=[]),
    example(
        "file-or-folder",
        {"flow/data/a.txt": "", "shared/data": ""},
        "../shared/data",
        promptflow=["data/a.txt", "data/data"],
        flowpack="a path cannot be both a file and a folder",
    ),
    example(
        "file-or-folder",
        {"flow/data": "", "shared/data/.env": ""},
        "../shared/data",
        promptflow="FileExistsError",
        flowpack=["data"],
    ),
    example(
        "flow-in-an-include",
        {"a.txt": "", "flow/b.txt": ""},
        "..",
        promptflow=["b.txt", "project/a.txt", "project/flow/b.txt", "project/flow/flow.dag.yaml"],
        flowpack="'..' contains the flow itself",
    ),
    example(
        "flow-file-included",
        {"other/flow.dag.yaml": "nodes: []\ninputs: {}\n"},
        "../other/flow.dag.yaml",
        promptflow=[],
        flowpack="'../other/flow.dag.yaml' would replace the flow file itself",
    ),
    example(
        "broken-link",
        {"shared/a.txt": "", "shared/data": Link("nowhere")},
        "../shared",
        promptflow=["shared/a.txt"],
        flowpack="the symbolic link's target 'nowhere' does not exist",
    ),
    example(
        "out-of-the-project",
        {"../outside/a.txt": ""},
        "../../outside",
        promptflow=["outside/a.txt"],
        flowpack="is outside the project root",
    ),
    example(
        "out-of-the-project",
        {"../outside/a.txt": "", "flow/data": Link("../../outside")},
        promptflow=["data/a.txt"],
        flowpack="the symbolic link leads out of the project",
    ),
    example(
        "into-version-control",
        {"shared/.git/config": "", "flow/settings": Link("../shared/.git/config")},
        promptflow=["settings"],
        flowpack="the symbolic link leads into version control",
    ),
    example(
        "into-version-control",
        {"shared/.git/config": ""},
        "../shared/.git/config",
        promptflow=["config"],
        flowpack="'../shared/.git/config' leads into version control",
    ),
    example(
        "nested-zip",
        {"shared/a.txt": "", "shared/deep/b.txt": ""},
        "../shared.zip",
        promptflow="FileNotFoundError",
        flowpack=["shared.zip/shared/a.txt", "shared.zip/shared/deep/b.txt"],
    ),
    example(
        "nested-zip",
        {"shared/a.txt": "1", "shared/deep/a.txt": "2"},
        "../shared.zip",
        promptflow=["shared.zip/shared/a.txt"],  # twice, with the bytes of the first
        flowpack=["shared.zip/shared/a.txt", "shared.zip/shared/deep/a.txt"],
    ),
    Example(
        "another-file-name",
        Project({"flow/chat.yaml": flow_file("../a.txt"), "a.txt": ""}, source="flow/chat.yaml"),
        promptflow="No such file or directory",
        flowpack=["a.txt"],
    ),
    Example(
        "another-file-name",
        Project({"flow/chat.yaml": flow_file()}, source="flow/chat.yaml"),
        promptflow=[],  # its next step, and its server, look for flow.dag.yaml
        flowpack=[],
    ),
    example(
        "other-flow-file",
        {"flow/flow.flex.yaml": "entry: code:main\n"},
        promptflow=["flow.flex.yaml"],  # which its server then takes for the flow, or refuses as one of two
        flowpack=[],
    ),
    Example(
        "sample-in-place",
        Project(
            {
                "flow/flow.flex.yaml": "entry: code:main\nsample: ${file:sample.json}\n",
                "flow/sample.json": '{"inputs": {"text": "x"}}',
                "flow/code.py": "def main(text: str) -> str:\n    return text\n",
            },
            source="flow/flow.flex.yaml",
        ),
        promptflow=["code.py", "sample.json"],
        flowpack=["code.py", "sample.json"],
    ),
    Example(
        "signature",
        Project(
            {
                "flow/flow.flex.yaml": "entry: code:main\nadditional_includes: [../a.txt]\n",
                "flow/code.py": "def main(text: str) -> str:\n    return text\n",
                "a.txt": "",
            },
            source="flow/flow.flex.yaml",
        ),
        promptflow=["a.txt", "code.py"],
        flowpack=["a.txt", "code.py"],
    ),
    Example(
        "includes-of-a-prompty",
        Project({"flow/ask.prompty": PROMPTY, "a.txt": ""}, source="flow/ask.prompty"),
        promptflow=[],
        flowpack=["a.txt"],
    ),
    Example(
        "includes-as-text",
        Project({"flow/flow.dag.yaml": "nodes: []\nadditional_includes: ab\n", "flow/a": "", "flow/b": ""}),
        promptflow=["a", "b"],  # letter by letter: of '../a' it takes the flow itself, and '/'
        flowpack="expected a list of paths, found the string 'ab'",
    ),
    example(
        "special-file",
        {"shared/a.txt": "", "shared/queue": Pipe()},
        "../shared",
        promptflow=["shared/a.txt"],
        flowpack="is not a regular file",
    ),
    example(
        "broken-link",
        {"flow/.gitignore": "data\n", "flow/data": Link("nowhere"), "a.txt": ""},
        "../a.txt",
        promptflow="No such file or directory",
        flowpack=["a.txt"],
    ),
    example(
        "loop-of-links",
        {"shared/a.txt": "", "shared/again": Link(".")},
        "../shared",
        promptflow=["shared/" + "again/" * times + "a.txt" for times in range(41)],  # until the system has enough of it
        flowpack="symbolic link leads back to a folder that contains it",
    ),
    Example(
        "flow-file-as-written",
        Project({"flow/flow.dag.yaml": flow_file("../a.txt", more="nodes: []  # none\n"), "a.txt": ""}),
        promptflow=["a.txt"],
        flowpack=["a.txt"],
    ),
    Example("variants-without-includes", TWO_VARIANTS, promptflow=[], flowpack=[]),
    example(
        "archive-bytes",
        {"shared/a.txt": ""},
        "../shared.zip",
        promptflow=["shared.zip/shared/a.txt"],
        flowpack=["shared.zip/shared/a.txt"],
    ),
    example("flow-file-ignored", {"flow/.gitignore": "*.yaml\n"}, promptflow=[".gitignore"], flowpack=[]),
    example("file-modes", {"flow/a.txt": Program(b"", 0o777)}, promptflow=["a.txt"], flowpack=["a.txt"]),
]


@pytest.mark.parametrize("example", EXAMPLES, ids=[each.name for each in EXAMPLES])
def test_the_example_shows_the_difference(example: Example, oracle: Oracle, tmp_path: Path) -> None:
    trial = attempt(example.project.write(tmp_path / "project"), tmp_path, oracle, example.project.variant)
    check(trial.theirs, example.promptflow)
    check(trial.ours, example.flowpack)
    found = compare(trial, oracle)
    assert found.unnamed == []
    assert example.name in found.named


def check(made: Outcome, wanted: Made) -> None:
    if isinstance(wanted, str):
        assert wanted in (made.refused or "a folder was made")
    else:
        assert made.refused is None
        assert sorted(made.files.keys() - {made.flow_file}) == sorted(wanted)


def test_without_includes_promptflow_ignores_the_variant(oracle: Oracle, tmp_path: Path) -> None:
    """The default runs, whichever variant was asked for. With an include the variant is put in, as flowpack does."""
    alone = attempt(TWO_VARIANTS.write(tmp_path / "alone"), tmp_path / "1", oracle, "ask.kind")
    both = attempt(THE_SAME_WITH_AN_INCLUDE.write(tmp_path / "both"), tmp_path / "2", oracle, "ask.kind")
    chosen = "{'nodes': [{'name': 'ask', 'type': 'python', 'inputs': {'text': 'kind'}}]}"
    assert oracle.data(alone.theirs.folder / "flow.dag.yaml") == oracle.data(alone.source)
    for made in (alone.ours, both.theirs, both.ours):
        assert oracle.data(made.folder / "flow.dag.yaml") == chosen


def test_the_flow_file_keeps_comments_order_and_quotes(oracle: Oracle, tmp_path: Path) -> None:
    nodes = "# why\ninputs:\n    text: {type: string, default: 'no'}  # quoted\nnodes: []\n"
    project = Project({"flow/flow.dag.yaml": flow_file("../a.txt", more=nodes), "a.txt": ""})
    trial = attempt(project.write(tmp_path / "project"), tmp_path, oracle)
    assert trial.ours.files["flow.dag.yaml"].content.decode() == nodes
    assert "# why" not in trial.theirs.files["flow.dag.yaml"].content.decode()


def test_promptflow_cannot_build_a_flow_whose_file_is_ignored(oracle: Oracle, tmp_path: Path) -> None:
    source = Project({"flow/flow.dag.yaml": flow_file(), "flow/.gitignore": "*.yaml\n"}).write(tmp_path / "project")
    with pytest.raises(PromptFlowError, match="No such file or directory"):
        oracle.build(source, tmp_path / "theirs", describe_tools=True)
    assert by_flowpack(source, tmp_path / "ours").files.keys() == {"flow.dag.yaml"}


def test_an_archive_has_the_same_bytes_whenever_it_is_made(oracle: Oracle, tmp_path: Path) -> None:
    project = Project({"flow/flow.dag.yaml": flow_file("../shared.zip"), "shared/a.txt": "a"})
    source = project.write(tmp_path / "project")
    made = []
    for hour in (1, 2):
        os.utime(tmp_path / "project" / "shared" / "a.txt", (hour * 3600, 2_000_000_000 + hour * 3600))
        trial = attempt(source, tmp_path / str(hour), oracle)
        made.append([(each.folder / "shared.zip").read_bytes() for each in (trial.theirs, trial.ours)])
    (theirs, ours), (theirs_later, ours_later) = made
    assert ours == ours_later
    assert theirs != theirs_later


def test_each_difference_is_documented_and_shown() -> None:
    documented = re.findall(r"^\| `([a-z-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(differences.NAMES)
    assert {each.name for each in EXAMPLES} == differences.NAMES
