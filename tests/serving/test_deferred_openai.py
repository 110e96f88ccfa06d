"""``openai`` loads when something uses it, and is traced as if it had been there from the start."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.openai_stub import OpenAIStub
from tests.paths import write_tree
from tests.serving.conftest import Launch

pytestmark = [pytest.mark.network, pytest.mark.skipif(sys.platform != "linux", reason="images are Linux")]

ASKS_OPENAI = {
    "flow.dag.yaml": """\
inputs:
  question: {type: string}
outputs:
  spans: {type: list, reference: "${spans.output}"}
nodes:
- name: ask
  type: python
  source: {type: code, path: ask.py}
  inputs: {question: "${inputs.question}"}
- name: spans
  type: python
  source: {type: code, path: spans.py}
  inputs: {answer: "${ask.output}"}
""",
    "ask.py": """\
import os

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from promptflow.core import tool

provider = TracerProvider()
provider.exporter = InMemorySpanExporter()
provider.add_span_processor(SimpleSpanProcessor(provider.exporter))
trace.set_tracer_provider(provider)


@tool
def ask(question: str) -> str:
    from openai import OpenAI

    client = OpenAI(base_url=os.environ["STUB"], api_key="k")
    messages = [{"role": "user", "content": question}]
    return client.chat.completions.create(model="m", messages=messages).choices[0].message.content
""",
    "spans.py": """\
from opentelemetry import trace
from promptflow.core import tool


@tool
def spans(answer: str) -> list:
    finished = trace.get_tracer_provider().exporter.get_finished_spans()
    return [[span.name, span.attributes.get("llm.usage.total_tokens")] for span in finished]
""",
}


@pytest.mark.parametrize("engine", ["flask", "fastapi"])
def test_calls_of_openai_are_traced_as_ever_from_the_first_one_on(launch: Launch, tmp_path: Path, engine: str) -> None:
    """Also where the flow's code imports it in the middle of a request: spans, tokens and headers of promptflow."""
    flow = write_tree(tmp_path / "flow", ASKS_OPENAI)
    told = []
    for everything in ("", "1"):
        with OpenAIStub() as stub:
            launched = launch(
                flow,
                PROMPTFLOW_SERVING_ENGINE=engine,
                PROMPTFLOW_WORKER_NUM="1",
                PF_DISABLE_TRACING="false",
                FLOWPACK_FULL_SDK=everything,
                STUB=f"{stub.url}/v1",
            ).healthy()
            answers = [launched.score({"question": question}) for question in ("a", "b")]
            told.append((answers, [sorted(request.headers) for request in stub.requests]))
    deferred, loaded = told
    assert deferred == loaded
    [first, _], [headers, _] = deferred
    assert ["openai_chat", 12] in first["spans"]
    assert {"x-ms-useragent", "ms-azure-ai-promptflow"} <= set(headers)
