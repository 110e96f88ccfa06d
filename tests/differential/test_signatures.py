"""What flowpack reads in a source is what promptflow finds by importing it, for each file of fixtures/python."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from flowpack.flows.model import REQUIRED
from flowpack.flows.signatures import EntrySignature, Parameter, read_entry, read_tools
from flowpack.flows.tool_sources import ToolSource
from tests.integration.pf_serve import PromptFlow
from tests.paths import ROOT

SOURCES = ROOT / "fixtures" / "python"
TOOLS = sorted(path.name for path in (SOURCES / "tools").glob("*.py"))
ENTRIES = sorted(path.name for path in (SOURCES / "entries").glob("*.py"))


@pytest.fixture(scope="module")
def described(promptflow: PromptFlow) -> dict[str, Any]:
    worker = Path(__file__).with_name("signature_worker.py")
    command = [promptflow.programs / "python", "-B", worker, SOURCES]
    done = subprocess.run(command, env=promptflow.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def source_of(kind: str, name: str) -> ToolSource:
    source = ToolSource.read(SOURCES / kind / name, None)
    assert source is not None
    return source


@pytest.mark.parametrize("name", TOOLS)
def test_a_tools_inputs(described: dict[str, Any], name: str) -> None:
    expected = described[f"tools/{name}"]
    tools = read_tools(source_of("tools", name))
    if len(tools) != 1:  # promptflow wants exactly one in a file
        assert "error" in expected
        return
    # promptflow's description leaves out what is empty, and states a number of an enum as a number.
    found = [
        [each.name, list(each.types), as_text(each.default) or None, list(each.options) or None]
        for each in tools[0].inputs.values()
    ]
    stated = [
        [name, types, None if default is None else str(default), enum]
        for name, types, default, enum in expected["result"]
    ]
    assert found == stated


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entrys_ports(described: dict[str, Any], name: str) -> None:
    expected = described[f"entries/{name}"]
    entry = read_entry(source_of("entries", name), "ask")
    assert entry is not None
    if "error" in expected:
        assert why_not_served(entry), expected
        return
    assert not why_not_served(entry)
    assert {
        "inputs": [[each.name, each.types[0], as_text(each.default)] for each in entry.inputs.values()],
        "outputs": [[each.name, each.types[0], None] for each in (entry.outputs or {}).values()],
        "init": [[each.name, each.types[0], as_text(each.default)] for each in (entry.init or {}).values()],
    } == expected["result"]


def why_not_served(entry: EntrySignature) -> list[str]:
    groups: list[Any] = [entry.inputs, entry.outputs or {}, entry.init or {}]
    parameters: list[Parameter] = [each for group in groups for each in group.values()]
    return [why for why in (entry.why_not_served, *(each.why_not_served for each in parameters)) if why]


def as_text(default: Any) -> str | None:
    """As promptflow's description has it: None where there is no default, and '' for None."""
    if default is REQUIRED:
        return None
    return "" if default is None else str(default)
