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

from flowpack.documents.yaml_documents import MAXIMUM_BYTES, dump, read_document
from flowpack.documents.yaml_parser import MAXIMUM_DEPTH, MAXIMUM_NODES
from flowpack.errors import FlowpackError, InputError, Location, YamlError

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
        ("2024-02-01T10:00:00Z", datetime.datetime(2024, 2, 1, 10, tzinfo=datetime.timezone.utc)),
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
    document = read_document(path, within=None)
    assert document.root.data == {"name": "Übung", "nodes": []}
    assert document.root.mapping()["nodes"].location.line == 2


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", None, None, "empty"),
        ("# only a comment\n", None, None, "empty"),
        ("a: [1,\n", 2, 1, "broken YAML"),
        ("a:\n\tb: 1\n", 2, 1, "a tab"),
        ("a: b\t# c\n", 1, 5, "a tab"),
        ("a: 1\r\rb: c\td\r", 3, 5, "a tab"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "'a' appears twice in one mapping, first on line 1"),
        ("1: x\n0x1: y\n", 2, 1, "'0x1' appears twice"),
        ("a: &x 1\nb: &x 2\n", 2, 4, "line 1 already has an anchor of this name"),
        ("a: 1\n---\nb: 2\n", 2, 1, "another document starts here"),
        ("a: 1\n...\n...\n", 3, 1, "the document has already ended"),
        ("a: &x [*x]\n", 1, 4, "refers to a value that contains it"),
        ("a: *unknown\n", 1, 4, "undefined alias"),
        ("? [1]\n: 2\n", 1, 3, "a key must be a plain value"),
        ("a: 1\nb: {<<: 3}\n", 2, 9, "'<<' takes a mapping"),
        ("a:\n- 2024-13-45\n", 2, 3, "'2024-13-45' is not a valid timestamp"),
        ("a: !!int twelve\n", 1, 4, "'twelve' is not a valid int"),
        ("a: =\n", 1, 4, "'=' has a special meaning"),
        (
            "a: !!python/object/apply:os.system [x]\n",
            1,
            4,
            "the tag !!python/object/apply:os.system is not allowed here",
        ),
        ("b: 1\na: !mine {x: 1}\n", 2, 4, "the tag !mine is not allowed here"),
        ("a: !!int [1]\n", 1, 4, "the tag !!int is not allowed here"),
        ("a: !!map x\n", 1, 4, "the tag !!map is not allowed here"),
        ("a: !!seq {}\n", 1, 4, "the tag !!seq is not allowed here"),
        ("a: ! 12\n", 1, 4, "the tag has no name"),
        ("%YAML 1.1\n---\na: yes\n", 1, 1, "promptflow reads YAML 1.2, but the file"),
        ("a: 1\nb: x\u2028c: 2\n", 2, 5, "U+2028"),
        ("a: 1\nü: \x01\n", 2, 4, "U+0001 is not allowed"),
        ("a: \ud800\n", 1, 4, "U+D800 is not allowed"),
        ("a: |\n  \n    x\n", 2, 1, "a blank line that is indented less"),
    ],
)
def test_unreadable_documents_say_where(text: str, line: int | None, column: int | None, words: str) -> None:
    with pytest.raises(YamlError) as caught:
        read(text)
    assert caught.value.location is not None
    assert (caught.value.location.line, caught.value.location.column) == (line, column)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("content", "line", "column", "words"),
    [
        (b"a: 1\nb: \xff\n", 2, 4, "the file is not UTF-8"),
        ("a: 1\n".encode("utf-16"), 1, 1, "the file is UTF-16, not UTF-8"),
        (b"a: " + b"x" * MAXIMUM_BYTES, None, None, "the file is larger than 4 MB"),
    ],
)
def test_content_that_is_no_text_of_a_flow(
    tmp_path: Path, content: bytes, line: int | None, column: int | None, words: str
) -> None:
    path = tmp_path / "flow.dag.yaml"
    path.write_bytes(content)
    with pytest.raises(YamlError) as caught:
        read_document(path, within=None)
    assert caught.value.location == Location(path, line, column)
    assert caught.value.message == words


TEN = ", ".join(["{}"] * 10)
HOSTILE = {
    "values": "a: [" + "x," * (MAXIMUM_NODES + 1) + "]",
    "values through aliases": "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"a{n}: &a{n} [{TEN.format(*[f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
    "values through merges": "a0: &a0 {x: 1}\n"
    + "".join(f"a{n}: &a{n} {{<<: [{TEN.format(*[f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)),
    "depth": "[" * 300_000 + "]" * 300_000,
    "depth in blocks": "".join(" " * n + "a:\n" for n in range(MAXIMUM_DEPTH + 1)),
    "depth through aliases": "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 5000)),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_with_a_place(text: str) -> None:
    with pytest.raises(YamlError, match=r"more than 20,000 values|nested too deeply") as caught:
        read(text)
    assert caught.value.location is not None
    assert caught.value.location.line is not None


def test_a_huge_value_makes_no_huge_message() -> None:
    root = read_document(FILE, f"a: {'x' * 1_000_000}\n").root
    with pytest.raises(InputError) as caught:
        root.mapping()["a"].mapping()
    assert len(str(caught.value)) < 200


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
