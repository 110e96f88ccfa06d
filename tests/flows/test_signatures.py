"""Signatures are read with their places and without the code; tests/differential compares them to promptflow's."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.flows.annotations import COMPUTED
from flowpack.flows.model import REQUIRED
from flowpack.flows.python_source import PythonSource
from flowpack.flows.signatures import read_entry, read_tools
from flowpack.flows.tool_sources import ToolSource

IMPORTS = "from promptflow.core import tool\n"


def test_a_tools_parameters_have_types_defaults_and_places() -> None:
    text = IMPORTS + "@tool\ndef größe(text: str, *, length: int = 10, mode=MODE, end=make()): ...\nMODE = 'soft'\n"
    (found,) = read_tools(ToolSource(text, Path("cut.py")))
    assert found.name == "größe"
    assert {each.name: (each.types, each.default) for each in found.inputs.values()} == {
        "text": (("string",), REQUIRED),
        "length": (("int",), 10),
        "mode": (("string",), "soft"),
        "end": (("object",), COMPUTED),
    }
    assert str(found.inputs["length"].location) == "cut.py:3:25"


def test_a_method_is_named_with_its_class_and_takes_what_the_class_takes() -> None:
    text = (
        "from promptflow.core import ToolProvider, tool\nclass Shelf(ToolProvider):\n"
        "    def __init__(self, room: str): ...\n    @tool\n    def find(self, title: str): ...\n"
    )
    (found,) = read_tools(ToolSource(text))
    assert (found.name, list(found.inputs)) == ("Shelf.find", ["room", "title"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def ask(a: list[str]): ...", "has a type that promptflow does not serve"),
        ("def ask(a: 'str'): ...", "has a string as its annotation"),
        ("from __future__ import annotations\ndef ask(a: str): ...", "'from __future__ import annotations'"),
    ],
)
def test_an_input_that_keeps_a_flex_flow_from_starting_says_why(text: str, words: str) -> None:
    entry = read_entry(PythonSource(text), "ask")
    assert entry is not None
    assert words in (entry.inputs["a"].why_not_served or "")


@pytest.mark.parametrize("annotation", ["Answer", "models.Answer", "Answer | None", "list[Answer]"])
def test_a_type_whose_source_is_not_read_is_given_the_benefit_of_the_doubt(annotation: str) -> None:
    entry = read_entry(PythonSource(f"from answers import Answer, models\ndef ask(a: {annotation}): ..."), "ask")
    assert entry is not None
    is_read = annotation.startswith(("list", "Answer |"))
    assert (entry.inputs["a"].why_not_served is not None) is is_read


@pytest.mark.parametrize("name", ["missing", "constant", "imported", "NotCallable"])
def test_what_is_no_function_or_callable_class_of_the_file_has_no_signature(name: str) -> None:
    text = "from elsewhere import imported\nconstant = 1\nclass NotCallable: ...\n"
    assert read_entry(PythonSource(text), name) is None


def test_a_file_is_read_in_the_encoding_that_it_states(tmp_path: Path) -> None:
    path = tmp_path / "tool.py"
    path.write_bytes(b"# -*- coding: latin-1 -*-\n" + "GRÜSSE = 'schön'\n".encode("latin-1"))
    source = PythonSource.read(path, None)
    assert source is not None
    assert list(source.definitions) == ["GRÜSSE"]


@pytest.mark.parametrize("content", [b"def (:\n", b"\x00", b"\xff\xfe", b"(" * 100_000, b"# coding: nonsense\n"])
def test_what_is_no_python_is_not_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tool.py"
    path.write_bytes(content)
    assert PythonSource.read(path, None) is None


@pytest.mark.attack("super-linear: parameters")
def test_a_function_with_thousands_of_parameters_is_left_alone(tmp_path: Path) -> None:
    many = ", ".join(f"a{number}=1" for number in range(2_000))
    source = PythonSource(f"def f({many}): pass\nclass G:\n    def __call__(self, {many}): pass\n")
    assert read_entry(source, "f") is None
    assert read_entry(source, "G") is None


def test_a_typed_dict_may_be_made_by_a_call() -> None:
    text = (
        "from typing import TypedDict\n"
        "def ask(question: str) -> TypedDict('Answer', {'output': str, 'score': float}): ...\n"
    )
    entry = read_entry(PythonSource(text), "ask")
    assert entry is not None
    assert entry.why_not_served is None
    assert {name: each.types for name, each in (entry.outputs or {}).items()} == {
        "output": ("string",),
        "score": ("double",),
    }


def test_what_another_call_makes_of_an_answer_is_not_known() -> None:
    entry = read_entry(PythonSource("def ask(question: str) -> answer_type(): ...\n"), "ask")
    assert entry is not None
    assert entry.why_not_served is None
