"""A prompty is read as promptflow reads it, and what it cannot serve is said with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.errors import FlowpackError, InputError
from flowpack.flows.model import REQUIRED, FlowKind
from flowpack.flows.reader import read_flow
from flowpack.flows.variables import flow_variables
from tests.paths import FLOWS, write_tree

FRONT = """\
---
model:
  api: chat
  configuration:
    type: azure_openai
    azure_deployment: gpt-4o
  parameters: {}
"""
TEMPLATE = "---\nuser:\n{{question}}\n"


def prompty(folder: Path, more: str = "", front: str = FRONT, template: str = TEMPLATE) -> Path:
    return write_tree(folder, {"ask.prompty": front + more + template})


@pytest.mark.parametrize("source", ["prompty-chat", "prompty-chat/chat.prompty"])
def test_a_folder_and_a_file(source: str) -> None:
    flow = read_flow(FLOWS / source)
    assert (flow.kind, flow.name, flow.standalone_name) == (FlowKind.PROMPTY, "prompty-chat", "chat.prompty")
    assert {name: (each.type, each.default) for name, each in flow.inputs.items()} == {
        "question": ("string", REQUIRED),
        "language": ("string", "Dutch"),
    }
    assert flow.sample == {"question": "May I renew a book twice?"}
    assert flow.text == flow.file.read_text()
    assert flow.chat is None


@pytest.mark.parametrize("reference", ["${file:sample.json}", "sample.json", "file:sample.json", "{question: Who?}"])
def test_a_sample_may_be_a_file(tmp_path: Path, reference: str) -> None:
    write_tree(prompty(tmp_path, f"sample: {reference}\n"), {"sample.json": '{"question": "Who?"}'})
    assert read_flow(tmp_path).sample == {"question": "Who?"}


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_line_endings_and_a_byte_order_mark(tmp_path: Path, newline: str) -> None:
    text = ("\ufeff" + FRONT + "name: é\n" + TEMPLATE).replace("\n", newline)
    assert read_flow(write_tree(tmp_path, {"ask.prompty": text})).kind is FlowKind.PROMPTY


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (
            "{type: azure_openai, azure_deployment: gpt, api_key: '${env:KEY}', azure_endpoint: '${env:URL}'}",
            ("KEY", "URL"),
        ),
        ("{type: azure_openai, azure_deployment: gpt}", ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT")),
        ("{type: openai, model: gpt}", ("OPENAI_API_KEY",)),
        ("{connection: mine, azure_deployment: gpt}", ()),
        ("${file:model.json}", ("FROM_A_FILE",)),
    ],
)
def test_the_variables_that_it_asks_for(tmp_path: Path, configuration: str, expected: tuple[str, ...]) -> None:
    front = f"---\nmodel:\n  configuration: {configuration}\n  parameters: {{}}\n"
    write_tree(prompty(tmp_path, front=front), {"model.json": '{"type": "openai", "api_key": "${env:FROM_A_FILE}"}'})
    flow = read_flow(tmp_path)
    assert flow_variables(flow, {"ask.prompty": flow.file}) == expected


@pytest.mark.parametrize(
    ("front", "place", "words"),
    [
        ("---\n- a\n", "2:1", "expected a front matter"),
        ("---\nname: a\n", "2:1", "the model is missing"),
        ("---\nmodel:\n  configuration: {type: openai}\n", "3:3", "promptflow needs model.parameters"),
        ("---\nmodel:\n  parameters: {}\n", "3:3", "promptflow needs model.configuration"),
        (FRONT + "  parameter: 1\n", "8:14", "promptflow does not know this key"),
        (FRONT.replace("    type: azure_openai\n", ""), "5:5", "the configuration has neither a type nor a connection"),
        (FRONT + "inputs:\n  question: Who?\n", "9:13", "expected a mapping with a type"),
        (FRONT + "inputs:\n  question: {type: number}\n", "9:20", "promptflow does not serve the type 'number'"),
        (FRONT + "sample: [1]\n", "8:9", "expected a mapping of inputs"),
        (FRONT + "name: [\n", None, "broken YAML"),
        (FRONT + "model: {}\n", "8:1", "'model' appears twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, front: str, place: str | None, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_flow(prompty(tmp_path, front=front))
    assert words in caught.value.message
    if place:
        assert str(caught.value.location).endswith(f"ask.prompty:{place}")


@pytest.mark.parametrize("content", [b"", b"---", b"---\n---\n", b"---\n\xff\n---\n", b"a: b\n", b"---\n\t\n---\n"])
def test_a_file_that_is_no_prompty(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FlowpackError) as caught:
        read_flow(write_tree(tmp_path, {"ask.prompty": content}))
    assert caught.value.location is not None
