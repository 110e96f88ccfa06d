"""What a flow asks of the environment beside its connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.flows.reader import read_flow
from flowpack.flows.variables import flow_variables
from tests.paths import FLOWS, write_tree

CHAT = """\
class Chat:
    def __init__(self, greeting: str, mark: str = "!") -> None:
        self.greeting = greeting + mark

    def __call__(self, question: str) -> str:
        return self.greeting
"""


def variables_of(folder: Path) -> tuple[str, ...]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return flow_variables(read_flow(folder), files)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [("", ("PF_FLOW_INIT_CONFIG",)), ("sample: {init: {greeting: Hello}}\n", ())],
)
def test_a_class_whose_init_nothing_fills(tmp_path: Path, sample: str, expected: tuple[str, ...]) -> None:
    write_tree(tmp_path, {"flow.flex.yaml": f"entry: chat:Chat\n{sample}", "chat.py": CHAT})
    assert variables_of(tmp_path) == expected


@pytest.mark.parametrize("flow", ["flex-function", "flex-class-with-init", "prompty-chat", "python-only"])
def test_flows_that_ask_for_none(flow: str) -> None:
    assert variables_of(FLOWS / flow) == ()


def test_a_prompty_that_a_source_loads(tmp_path: Path) -> None:
    files = {
        "flow.flex.yaml": "entry: chat:answer\n",
        "chat.py": "from promptflow.core import Prompty\n\ndef answer(question: str) -> str:\n    return ''\n",
        "prompts/a.prompty": "---\nmodel: {configuration: {type: openai, api_key: '${env:KEY}'}}\n---\n",
        "prompts/broken.prompty": "user:\n",
    }
    assert variables_of(write_tree(tmp_path, files)) == ("KEY",)
    (tmp_path / "chat.py").write_text("def answer(question: str) -> str:\n    return ''\n")
    assert variables_of(tmp_path) == (), "nothing loads it"
