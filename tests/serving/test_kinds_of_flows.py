"""Flex flows and prompties with promptflow-core alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.openai_stub import OpenAIStub
from tests.paths import write_tree
from tests.running.builds import AZURE_OPEN_AI
from tests.serving.conftest import Launch

pytestmark = [pytest.mark.network, pytest.mark.skipif(sys.platform != "linux", reason="images are Linux")]

PROMPTY = """\
---
name: chat
model:
  api: chat
  configuration:
    type: azure_openai
    connection: open_ai_connection
    azure_deployment: gpt-4o
  parameters:
    max_tokens: 64
inputs:
  question:
    type: string
---
user:
{{question}}
"""
FLEX = {
    "flow.flex.yaml": (
        "entry: chat:Chat\nsample:\n  init:\n    model: {connection: open_ai_connection, azure_deployment: gpt-4o}\n"
        "    tone: kindly\n"
    ),
    "chat.py": """\
from dataclasses import dataclass
from pathlib import Path

from promptflow.core import AzureOpenAIModelConfiguration, Prompty


@dataclass
class Answer:
    answer: str


class Chat:
    def __init__(self, model: AzureOpenAIModelConfiguration, tone: str = "") -> None:
        file = Path(__file__).with_name("chat.prompty")
        self.prompty, self.tone = Prompty.load(source=file, model={"configuration": model}), tone

    def __call__(self, question: str = "") -> Answer:
        return Answer(f"{self.prompty(question=question)} ({self.tone})")
""",
    "chat.prompty": PROMPTY.replace("    connection: open_ai_connection\n", ""),
}


@pytest.mark.parametrize("engine", ["flask", "fastapi"])
@pytest.mark.parametrize(
    ("files", "answer"), [({"chat.prompty": PROMPTY}, "echo: Who?"), (FLEX, {"answer": "echo: Who? (kindly)"})]
)
def test_it_answers_with_its_connection_from_variables_alone(
    launch: Launch, tmp_path: Path, engine: str, files: dict[str, str], answer: object
) -> None:
    """Their connections come from the same place; promptflow's own way leads to the full SDK's local store."""
    flow = write_tree(tmp_path / "flow", files)
    connections = write_tree(tmp_path / "connections", {"open_ai_connection.yaml": AZURE_OPEN_AI})
    given = {"connections": connections, "PROMPTFLOW_SERVING_ENGINE": engine}
    launched = launch(flow, **given)
    assert launched.ended() == 1
    assert "cannot start: 2 settings are missing\n  OPEN_AI_CONNECTION_API_BASE" in launched.said
    with OpenAIStub(key="the-key") as stub:
        key = {"OPEN_AI_CONNECTION_API_BASE": stub.url, "OPEN_AI_CONNECTION_API_KEY": "the-key"}
        launched = launch(flow, PROMPTFLOW_WORKER_NUM="2", **given, **key).healthy()
        assert launched.score({"question": "Who?"}) == answer
        assert "cannot share" not in launched.said
        assert launched.terminate() == 0


LOADED = 'print("the module is loaded", flush=True)\n'
TWO_NODES = {
    "flow.dag.yaml": (
        "inputs: {text: {type: string}}\noutputs: {text: {type: string, reference: '${second.output}'}}\nnodes:\n"
        "- {name: first, type: python, source: {type: code, path: echo.py}, inputs: {text: '${inputs.text}'}}\n"
        "- {name: second, type: python, source: {type: code, path: echo.py}, inputs: {text: '${first.output}'}}\n"
    ),
    "echo.py": f"from promptflow.core import tool\n{LOADED}@tool\ndef echo(text: str) -> str:\n    return text\n",
}
FLEX_CLASS = {
    "flow.flex.yaml": "entry: echo:Echo\n",
    "echo.py": f"{LOADED}class Echo:\n    def __init__(self) -> None:\n        pass\n\n"
    "    def __call__(self, text: str) -> str:\n        return text\n",
}


@pytest.mark.parametrize("engine", ["flask", "fastapi"])
@pytest.mark.parametrize("files", [TWO_NODES, FLEX_CLASS], ids=["dag", "flex"])
def test_the_flows_code_is_loaded_once_for_all_workers(
    launch: Launch, tmp_path: Path, engine: str, files: dict[str, str]
) -> None:
    """promptflow loads it for each node twice, and for a flex flow in two more processes."""
    flow = write_tree(tmp_path / "flow", files)
    launched = launch(flow, PROMPTFLOW_SERVING_ENGINE=engine, PROMPTFLOW_WORKER_NUM="2").healthy()
    assert launched.score({"text": "a"}) in ({"text": "a"}, "a")
    assert launched.said.count("the module is loaded") == 1
