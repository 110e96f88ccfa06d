"""YAML is read as promptflow reads it (1.2), with the place of each value, and hostile files cost little."""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flowpack.errors import FlowpackError, InputError, YamlError
from flowpack.yaml_documents import dump, read_document

FILE = Path("flow.dag.yaml")


def read(text: str) -> Any:
    return read_document(FILE, text).root.data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("1:30", "1:30"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", 5),
        ("1_000", 1000),
        ("-12", -12),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("TRUE", True),
        ("~", None),
        ("", None),
        ("2024-02-01", datetime.date(2024, 2, 1)),
        ("'2024-02-01'", "2024-02-01"),
        ("${inputs.question}", "${inputs.question}"),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    assert read(f"key: {text}\n") == {"key": value}


def test_merge_keys_anchors_and_block_scalars() -> None:
    assert read("base: &b {a: 1, c: 2}\nmore:\n  <<: *b\n  c: 3\ntext: |\n  one\n  two\n") == {
        "base": {"a": 1, "c": 2},
        "more": {"a": 1, "c": 3},
        "text": "one\ntwo\n",
    }


def test_byte_order_mark_and_crlf_are_read(tmp_path: Path) -> None:
    path = tmp_path / "flow.dag.yaml"
    path.write_bytes("\ufeffname: Übung\r\nnodes: []\r\n".encode())
    document = read_document(path)
    assert document.root.data == {"name": "Übung", "nodes": []}
    assert document.root.mapping()["nodes"].location.line == 2


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", None, None, "empty"),
        ("# only a comment\n", None, None, "empty"),
        ("a: [1,\n", 2, 1, "broken YAML"),
        ("a:\n\tb: 1\n", 2, 1, "broken YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "'a' stands twice"),
        ("a: 1\n---\nb: 2\n", 2, 1, "another document"),
        ("a: &x [*x]\n", 1, 4, "refers to what contains it"),
        ("a: *unknown\n", 1, 4, "undefined alias"),
        ("? [1]\n: 2\n", 1, 3, "a key must be a plain value"),
    ],
)
def test_unreadable_documents_say_where(text: str, line: int | None, column: int | None, words: str) -> None:
    with pytest.raises(YamlError) as caught:
        read(text)
    assert caught.value.location is not None
    assert (caught.value.location.line, caught.value.location.column) == (line, column)
    assert words in caught.value.message


def test_a_file_that_is_not_utf_8_says_on_which_line(tmp_path: Path) -> None:
    path = tmp_path / "flow.dag.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(YamlError) as caught:
        read_document(path)
    assert caught.value.location is not None
    assert caught.value.location.line == 2


def test_a_billion_laughs_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(YamlError, match="aliases"):
        read("\n".join(lines))


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(YamlError):
        read("[" * 20_000 + "]" * 20_000)


def test_a_wrong_type_names_the_value_and_what_it_should_be() -> None:
    root = read_document(FILE, "inputs:\n  question: [1]\n").root.mapping()
    with pytest.raises(InputError) as caught:
        root["inputs"].mapping()["question"].string()
    assert str(caught.value) == "flow.dag.yaml:2:13: inputs.question: expected a string, found a list"


_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_data = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner), max_leaves=20
)


@given(st.dictionaries(st.text(min_size=1), _data, min_size=1))
def test_what_is_dumped_reads_back_in_yaml_1_1_and_1_2(data: dict[str, Any]) -> None:
    text = dump(data)
    assert read(text) == data
    assert yaml.safe_load(text) == data


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_with_an_error_of_flowpack(text: str) -> None:
    with contextlib.suppress(FlowpackError):
        read_document(FILE, text).root.data  # noqa: B018
