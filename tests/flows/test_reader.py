"""What a flow file says is what the Flow holds, and what is wrong with it is said with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.errors import InputError
from flowpack.flows.model import REQUIRED, ChatInterface, FlowKind
from flowpack.flows.reader import read_flow
from flowpack.flows.resolve import in_the_way
from tests.paths import FLOWS, write_tree


def test_a_chat_flow_is_read_whole() -> None:
    flow = read_flow(FLOWS / "chat-with-includes")
    assert flow.kind is FlowKind.DAG
    assert flow.name == "chat-with-includes"
    assert flow.chat == ChatInterface(input="question", output="answer", history="chat_history")
    assert flow.inputs["question"].default == "When is the library open on Saturdays?"
    assert [include.path for include in flow.additional_includes] == [
        "../../shared/knowledge",
        "../../shared/search",
        "../../shared/reply.jinja2",
    ]
    assert flow.additional_includes[1].location.line == 8
    assert flow.environment.python_requirements_txt == "requirements.txt"
    assert [node.name for node in flow.nodes] == ["find", "reply"]


@pytest.mark.parametrize("name", ["flow.dag.yaml", "flow.dag.yml", "my_flow.yaml"])
def test_a_flow_file_may_be_given_itself(tmp_path: Path, name: str) -> None:
    write_tree(tmp_path, {name: "nodes: []\n"})
    assert read_flow(tmp_path / name).file == tmp_path / name


@pytest.mark.parametrize(
    ("name", "text", "standalone", "in_its_way"),
    [
        ("my_flow.yaml", "nodes: []\n", "flow.dag.yaml", {"flow.flex.yaml"}),
        ("flow.dag.yml", "nodes: []\n", "flow.dag.yml", {"flow.dag.yaml", "flow.flex.yaml"}),
        (
            "b.prompty",
            "---\nmodel: {configuration: {connection: c}, parameters: {}}\n---\n",
            "b.prompty",
            {"flow.dag.yaml", "flow.flex.yaml", "a.prompty"},
        ),
    ],
)
def test_a_standalone_folder_holds_one_flow(
    tmp_path: Path, name: str, text: str, standalone: str, in_its_way: set[str]
) -> None:
    flow = read_flow(write_tree(tmp_path, {name: text}) / name)
    assert flow.standalone_name == standalone
    files = {"flow.dag.yaml", "flow.flex.yaml", "a.prompty", "other.yaml", "inner/flow.dag.yaml", "inner/a.prompty"}
    assert {each for each in files if in_the_way(flow, each)} == in_its_way


def test_an_input_without_a_default_is_told_from_a_null_default(tmp_path: Path) -> None:
    write_tree(tmp_path, {"flow.dag.yaml": "inputs: {a: {type: string}, b: {type: string, default: }}\nnodes: []\n"})
    inputs = read_flow(tmp_path).inputs
    assert inputs["a"].default is REQUIRED
    assert inputs["b"].default is None


@pytest.mark.parametrize(
    ("inputs", "outputs", "is_chat"),
    [
        ("q: {type: string, is_chat_input: true}, chat_history: {type: list}", "a: {is_chat_output: true}", True),
        (
            "q: {type: string, is_chat_input: true}, h: {type: list, is_chat_history: true}",
            "a: {is_chat_output: true}",
            True,
        ),
        (
            "q: {type: string, is_chat_input: true}, chat_history: {type: list, is_chat_history: false}",
            "a: {is_chat_output: true}",
            False,
        ),
        ("q: {type: string, is_chat_input: true}", "a: {is_chat_output: true}", False),
        ("q: {type: string, is_chat_input: true}, chat_history: {type: list}", "a: {type: string}", False),
        (
            "q: {type: string, is_chat_input: true}, r: {type: text, is_chat_input: true}, chat_history: {type: list}",
            "a: {is_chat_output: true}",
            False,
        ),
    ],
)
def test_the_chat_interface_follows_promptflows_rule(tmp_path: Path, inputs: str, outputs: str, is_chat: bool) -> None:
    text = f"inputs: {{{inputs}}}\noutputs: {{{outputs}}}\nnodes: []\n"
    write_tree(tmp_path, {"flow.dag.yaml": text})
    assert (read_flow(tmp_path).chat is not None) is is_chat


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (
            "additional_includes: ../shared\nnodes: []\n",
            "1:22",
            "expected a list of paths, found the string '../shared'",
        ),
        ("additional_includes: [{a: b}]\nnodes: []\n", "1:23", "expected a path, found a mapping"),
        ("nodes: {a: b}\n", "1:8", "nodes: expected a list"),
        ("inputs: {}\n", "1:1", "the flow has no nodes"),
        ("- a\n", "1:1", "expected a flow"),
        ("nodes:\n- type: python\n", "2:3", "the node has no name"),
        ("nodes:\n- name: a\n", "2:3", "the node has no type"),
        ("inputs:\n  a: string\nnodes: []\n", "2:6", "inputs.a: expected a mapping with a type"),
        ("environment:\n  python_requirements_txt: [a]\nnodes: []\n", "2:28", "expected a string, found a list"),
        ("language: csharp\nnodes: []\n", "1:11", "flows in 'csharp' are not supported"),
        ("nodes:\n- {name: a, use_variants: true}\n", "2:27", "node_variants has none"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, place: str, words: str) -> None:
    write_tree(tmp_path, {"flow.dag.yaml": text})
    with pytest.raises(InputError) as caught:
        read_flow(tmp_path)
    location = caught.value.location
    assert location is not None
    assert f"{location.line}:{location.column}" == place
    assert words in caught.value.message


def test_several_flow_files_are_not_guessed_at(tmp_path: Path) -> None:
    write_tree(tmp_path, {"flow.dag.yaml": "nodes: []\n", "flow.flex.yaml": "entry: a:b\n"})
    with pytest.raises(InputError, match=r"flow\.dag\.yaml, flow\.flex\.yaml"):
        read_flow(tmp_path)


def test_a_folder_without_a_flow_says_where_one_is(tmp_path: Path) -> None:
    write_tree(tmp_path, {"chat/flow.dag.yaml": "nodes: []\n"})
    with pytest.raises(InputError) as caught:
        read_flow(tmp_path)
    assert caught.value.hint == "give the path of the flow in 'chat' below it"


def test_a_folder_of_a_csharp_project_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_flow(write_tree(tmp_path, {"Library.csproj": ""}))
    assert "pf flow build for C#" in (caught.value.hint or "")


def test_a_mistyped_source_is_guessed(tmp_path: Path) -> None:
    write_tree(tmp_path, {"chat/flow.dag.yaml": "nodes: []\n"})
    with pytest.raises(InputError) as caught:
        read_flow(tmp_path / "chatt")
    assert caught.value.hint == f"did you mean '{tmp_path / 'chat'}'?"
