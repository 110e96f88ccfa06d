"""A flex flow is what its file states and what the signature of its entry says; none of its code runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.documents.yaml_documents import read_document
from flowpack.errors import InputError, UsageError
from flowpack.flows.annotations import COMPUTED
from flowpack.flows.model import REQUIRED, ChatInterface, FlowKind
from flowpack.flows.reader import read_flow
from flowpack.flows.variants import VariantChoice
from tests.paths import FLOWS, write_tree

ANSWER = "def answer(question: str) -> str:\n    return question\n"


def flex(folder: Path, source: str = ANSWER, entry: str = "chat:answer", more: str = "") -> Path:
    return write_tree(folder, {"flow.flex.yaml": f"entry: {entry}\n{more}", "chat.py": source})


def test_a_function_of_a_package() -> None:
    flow = read_flow(FLOWS / "flex-function")
    assert (flow.kind, flow.entry, flow.name) == (FlowKind.FLEX, "fines.due:fine", "flex-function")
    assert {name: (each.type, each.default) for name, each in flow.inputs.items()} == {
        "days_late": ("int", REQUIRED),
        "items": ("list", ["book"]),
        "waived": ("bool", False),
    }
    assert {name: each.type for name, each in flow.outputs.items()} == {"amount": "double", "currency": "string"}
    assert flow.environment_variables == {"CURRENCY": "EUR"}
    assert flow.sample == {"days_late": 4, "items": ["book", "map"]}
    assert flow.init == {}


def test_a_class_with_init() -> None:
    flow = read_flow(FLOWS / "flex-class-with-init")
    assert {name: (each.type, each.default) for name, each in flow.init.items()} == {
        "model_config": ("AzureOpenAIModelConfiguration", REQUIRED),
        "desk": ("CustomConnection", REQUIRED),
        "greeting": ("string", "Hello."),
    }
    assert flow.sample == {"question": "Who wrote Max Havelaar?"}
    assert flow.sample_init["desk"] == "front desk"
    assert flow.chat == ChatInterface(input="question", output="answer", history="chat_history")


def test_a_flow_without_a_file_in_its_sample_keeps_its_text() -> None:
    flow = read_flow(FLOWS / "flex-class-with-init")
    assert flow.text == flow.file.read_text()


def test_the_standalone_text_has_no_includes_and_the_samples_files_in_their_place(tmp_path: Path) -> None:
    more = "# kept\nadditional_includes:\n- ../shared\nsample: ${file:sample.json}\nname: a  # kept too\n"
    write_tree(flex(tmp_path, more=more), {"sample.json": '{"inputs": {"question": "Who?"}}'})
    flow = read_flow(tmp_path)
    assert flow.text.startswith("entry: chat:answer\n# kept\nname: a  # kept too\n")
    assert read_document(flow.file, flow.text).root.data == {
        "entry": "chat:answer",
        "name": "a",
        "sample": {"inputs": {"question": "Who?"}},
    }


def test_a_reference_to_a_variable_stays_in_the_sample(tmp_path: Path) -> None:
    flow = read_flow(flex(tmp_path, more="sample:\n  inputs:\n    question: ${env:SECRET}\n"))
    assert flow.sample == {"question": "${env:SECRET}"}
    assert "${env:SECRET}" in flow.text


@pytest.mark.parametrize("name", ["flow.flex.yaml", "flow.flex.yml", "chat.yaml"])
def test_the_file_may_have_another_name(tmp_path: Path, name: str) -> None:
    flex(tmp_path)
    (tmp_path / "flow.flex.yaml").rename(tmp_path / name)
    flow = read_flow(tmp_path / name)
    assert flow.kind is FlowKind.FLEX
    assert flow.standalone_name == (name if name.startswith("flow.") else "flow.flex.yaml")


def test_a_default_that_only_running_tells(tmp_path: Path) -> None:
    source = "import os\n\ndef answer(question: str = os.getcwd()) -> str:\n    return question\n"
    assert read_flow(flex(tmp_path, source)).inputs["question"].default is COMPUTED


def test_a_default_that_the_file_alone_states_does_not_count(tmp_path: Path) -> None:
    """The server goes by the code: it refuses a request without the input."""
    flow = read_flow(flex(tmp_path, more="inputs:\n  question: {type: string, default: Who?}\n"))
    assert flow.inputs["question"].default is REQUIRED


@pytest.mark.parametrize("include", ["../shared/chat.py", "../shared/library"])
def test_the_entry_may_come_from_an_include(tmp_path: Path, include: str) -> None:
    entry = "chat:answer" if include.endswith(".py") else "library.chat:answer"
    files = {
        "flow/flow.flex.yaml": f"entry: {entry}\nadditional_includes: [{include}]\n",
        "shared/chat.py": ANSWER,
        "shared/library/chat.py": ANSWER,
    }
    assert list(read_flow(write_tree(tmp_path, files) / "flow").inputs) == ["question"]


@pytest.mark.parametrize(
    ("entry", "files"),
    [
        ("chat.main:answer", {"chat/main.py": ANSWER}),
        ("chat:answer", {"chat/__init__.py": "from .main import answer\n", "chat/main.py": ANSWER}),
        ("main:answer", {"src/main.py": ANSWER}),
    ],
)
def test_where_a_module_is_found(tmp_path: Path, entry: str, files: dict[str, str]) -> None:
    code = "code: ./src\n" if "src/main.py" in files else ""
    flow = read_flow(write_tree(tmp_path, {"flow.flex.yaml": f"entry: {entry}\n{code}", **files}))
    assert flow.entry == entry


@pytest.mark.parametrize("requirements", ["acme_flows==1.0\n", "-r ../all.txt\n"])
def test_an_entry_of_an_installed_package_is_believed(tmp_path: Path, requirements: str) -> None:
    files = {"flow.flex.yaml": "entry: acme_flows.chat:Chat\n", "requirements.txt": requirements}
    flow = read_flow(write_tree(tmp_path, files))
    assert (flow.inputs, flow.outputs) == ({}, {})


def test_what_a_decorator_may_change_is_not_refused(tmp_path: Path) -> None:
    source = "from acme import served\n\n@served\ndef answer(question: bytes) -> dict:\n    return {}\n"
    read_flow(flex(tmp_path, source))
    traced = "from promptflow.tracing import trace\n\n@trace\n" + source.split("@served\n")[1]
    with pytest.raises(InputError, match="must return"):
        read_flow(flex(tmp_path, traced))


def test_a_source_that_this_python_does_not_read_is_left_to_the_server(tmp_path: Path) -> None:
    assert read_flow(flex(tmp_path, "def answer(question: str) -> str\n")).inputs == {}


@pytest.mark.parametrize(
    ("source", "place", "words"),
    [
        (ANSWER.replace("str)", "bytes)"), "chat.py:1:12", "input 'question' of 'answer' has a type"),
        (
            "from promptflow.connections import OpenAIConnection\n" + ANSWER.replace("str)", "OpenAIConnection)"),
            "chat.py:2:12",
            "which a request cannot carry",
        ),
        (
            "from dataclasses import dataclass\n@dataclass\nclass A:\n    when: bytes\ndef answer() -> A: ...\n",
            "chat.py:4:5",
            "output 'when' of 'answer'",
        ),
    ],
)
def test_a_signature_that_the_server_stops_at(tmp_path: Path, source: str, place: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        read_flow(flex(tmp_path, source))
    assert str(caught.value.location).endswith(place)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("entry: [a]\n", "1:8", "expected module:function"),
        ("entry: answer\n", "1:8", "'answer' is not a valid entry"),
        ("entry: ..chat:answer\n", "1:8", "'..chat:answer' is not a valid entry"),
        ("entry: chat:answer\ncode: ../src\n", "2:7", "is outside the flow folder"),
        ("entry: chat:answer\ninputs:\n  question: {}\n", "3:13", "the type is missing"),
        ("entry: chat:answer\nsample: text\n", "2:9", "expected a mapping with inputs and init"),
        ("entry: chat:answer\nsample: {inputs: [1]}\n", "2:9", "expected 'inputs' to be a mapping"),
        ("language: csharp\nentry: chat:answer\n", "1:11", "flows in 'csharp' are not supported"),
    ],
)
def test_what_is_wrong_in_the_file(tmp_path: Path, text: str, place: str, words: str) -> None:
    write_tree(tmp_path, {"flow.flex.yaml": text, "chat.py": ANSWER})
    with pytest.raises(InputError) as caught:
        read_flow(tmp_path)
    assert str(caught.value.location).endswith(f"flow.flex.yaml:{place}")
    assert words in caught.value.message


def test_it_has_no_variants() -> None:
    with pytest.raises(UsageError, match="a flex flow has no nodes"):
        read_flow(FLOWS / "flex-function", VariantChoice("a", "b"))
