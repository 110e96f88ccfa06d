"""The fixtures, made standalone by both: the same files and bytes but for named differences, and the same answers."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from flowpack.flows.reader import read_flow
from flowpack.flows.resolve import find_flow_file
from flowpack.running.scoring import sample_input
from tests.differential.differences import compare
from tests.differential.oracle import Oracle
from tests.differential.trials import attempt, by_flowpack
from tests.integration.pf_serve import PromptFlow
from tests.paths import FLOWS

pytestmark = pytest.mark.network

FIXTURES = sorted(path.name for path in FLOWS.iterdir() if path.is_dir())
VARIANTS = {"llm-variants": ["summarize.plain", "summarize.pirate"]}
INIT = {"flex-class-without-values": {"greeting": "Hello"}}
_ASKS_A_MODEL = re.compile(rb"type: llm|^model:", re.MULTILINE)


def asks_a_model(flow: Path) -> bool:
    return any(_ASKS_A_MODEL.search(path.read_bytes()) for path in flow.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the fixtures as they were checked out, since promptflow writes into the flows that it reads."""
    copy = tmp_path_factory.mktemp("fixtures") / "fixtures"
    for name in ("flows", "shared"):
        ignored = shutil.ignore_patterns("__pycache__", ".promptflow")
        shutil.copytree(FLOWS.parent / name, copy / name, symlinks=True, ignore=ignored)
    (copy / ".git").mkdir()  # as in a checkout, includes may reach all of it
    return copy / "flows"


@pytest.fixture(scope="module")
def connections(promptflow: PromptFlow) -> None:
    fields = {"configs": {"endpoint": "https://weather.example", "region": "EU"}, "secrets": {"api_key": "k"}}
    promptflow.create_connection("weather service", {"type": "custom", **fields})


@pytest.mark.parametrize(
    ("name", "variant"), [(name, variant) for name in FIXTURES for variant in [None, *VARIANTS.get(name, [])]]
)
def test_the_folders_are_the_same(name: str, variant: str | None, flows: Path, oracle: Oracle, tmp_path: Path) -> None:
    trial = attempt(find_flow_file(flows / name), tmp_path, oracle, variant, describe_tools=True)
    assert trial.theirs.refused is None
    assert trial.ours.refused is None
    assert compare(trial, oracle).unnamed == []


@pytest.mark.parametrize("name", FIXTURES)
def test_promptflow_loads_the_folder(name: str, flows: Path, oracle: Oracle, tmp_path: Path) -> None:
    source = find_flow_file(flows / name)
    made = by_flowpack(source, tmp_path / "flow")
    assert oracle.load(made.folder / made.flow_file) == oracle.load(source)


@pytest.mark.parametrize("name", [name for name in FIXTURES if not asks_a_model(FLOWS / name)])
@pytest.mark.usefixtures("connections")
def test_the_folder_answers_as_the_flow_does_in_place(name: str, flows: Path, oracle: Oracle, tmp_path: Path) -> None:
    source = find_flow_file(flows / name)
    flow = read_flow(source)
    made = by_flowpack(source, tmp_path / "flow")
    inputs, init = sample_input(flow), flow.sample_init or INIT.get(name, {})
    answer = oracle.run(source, inputs, init)
    assert answer
    assert oracle.run(made.folder / made.flow_file, inputs, init) == answer
