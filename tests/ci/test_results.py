from __future__ import annotations

import dataclasses
import json
import re

import pytest

from flowpack.ci.results import FlowResult, outputs, summary
from tests.test_quoting import HOSTILE

DONE = FlowResult(
    flow="chat",
    source="flows/chat",
    reference="localhost:5000/chat@sha256:1",
    size=123_400_000,
    layers=9,
    layers_reused=7,
    test="passed",
    model="chat:3",
    endpoint="chat-prod",
    deployment="green",
    scoring_uri="https://chat-prod.example/score",
)
FAILED = FlowResult(
    flow="a|b <i>", source="flows/a", state="failed", error="flow.dag.yaml:1: broken\nhint: mend it", exit_code=1
)
UNTESTED = FlowResult(flow="b", source="flows/b", state="not tested", test="not tested: KEY not given with --env")
UNCHANGED = FlowResult(flow="c", source="flows/c", state="unchanged")


def test_the_summary_shows_what_was_done() -> None:
    lines = summary([DONE, FAILED, UNCHANGED]).splitlines()
    assert lines[0] == "## flowpack: 3 flows, 1 done, 1 failed, 1 unchanged"
    assert lines[4:6] == [
        "| chat | done | localhost:5000/chat@sha256:1 | 123 MB | 7 of 9 | passed | chat:3 | chat-prod / green |",
        "| a\\|b &lt;i> | failed | – | – | – | – | – | – |",
    ]
    assert "    hint: mend it" in lines


def test_a_flow_that_was_not_tested_is_not_done() -> None:
    lines = summary([DONE, UNTESTED]).splitlines()
    assert lines[0] == "## flowpack: 2 flows, 1 done, 1 not tested"
    assert lines[5].startswith("| b | not tested |")


def test_a_summary_of_nothing_but_unchanged_flows_has_no_table() -> None:
    assert summary([UNCHANGED]) == "## flowpack: 1 flow, 1 unchanged\n"


def test_each_output_is_one_line_of_json() -> None:
    told = outputs([DONE, FAILED])
    assert all("\n" not in value for value in told.values())
    assert json.loads(told["images"]) == {"chat": "localhost:5000/chat@sha256:1"}
    assert json.loads(told["models"]) == {"chat": "chat:3"}
    assert json.loads(told["endpoints"]) == {"chat": "https://chat-prod.example/score"}
    assert [flow["state"] for flow in json.loads(told["flows"])] == ["done", "failed"]


@pytest.mark.attack("held: no injection into $GITHUB_OUTPUT, Markdown, HTML, SARIF URIs")
@pytest.mark.parametrize("text", HOSTILE)
def test_no_name_adds_a_row_markup_or_an_output(text: str) -> None:
    result = dataclasses.replace(FAILED, flow=text, reference=text, test=text, error=f"x\n{text}")
    plain = summary([dataclasses.replace(FAILED, error="x")]).splitlines()
    told = summary([result])
    assert told.splitlines()[:4] == plain[:4]
    assert [line[:1] for line in told.splitlines()[4:8]] == ["|", "", "#", ""]
    assert len(re.findall(r"(?<!\\)\|", told.splitlines()[4].replace("\\\\", ""))) == 9
    assert all(line.startswith("    ") for line in told.splitlines()[8:] if line)
    assert "<" not in "".join(line for line in told.splitlines() if not line.startswith("    "))
    assert all(len(value.splitlines()) == 1 for value in outputs([result]).values())
