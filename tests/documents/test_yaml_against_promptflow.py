"""What flowpack reads in a YAML text is what promptflow reads in it; ruamel.yaml is called as promptflow calls it."""

from __future__ import annotations

import datetime
import io
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from flowpack.documents.yaml_documents import read_document
from flowpack.errors import FlowpackError
from tests.paths import FLOWS

REFUSED = "refused"

# What promptflow reads and flowpack refuses, each for its reason: it has no meaning in a flow, it is a mistake in all
# likelihood, or libyaml's reader (quick, and YAML 1.1 in its grammar) does not take it.
REFUSED_ON_PURPOSE = "|".join(
    [
        r"the tag .* is not allowed here",
        r"the tag has no name",
        r"has a special meaning in YAML",
        r"a key must be a plain value",
        r"an alias refers to a value that contains it",
        r"is not a valid anchor name",
        r"already has an anchor of this name",
        r"ends a line for some YAML readers",
        r"promptflow reads YAML 1\.2, but",
        r"the file is empty",
        r"nested too deeply",
        r"while scanning (an anchor|an alias|a tag|a plain scalar|a directive)",
        r"while parsing a (block mapping|flow node|flow sequence|flow mapping|tag)",
        r"a tab, where YAML allows only spaces",  # in the indent of a block text's first line
        r"mapping (values|keys) are not allowed",
        r"while scanning a (block scalar|quoted scalar|simple key)",
        r"another document starts here",
        r"<document start>",
    ]
)


def as_flowpack(text: str) -> Any:
    try:
        return plain(read_document(Path("flow.dag.yaml"), text).root.data)
    except FlowpackError as error:
        return REFUSED, str(error)


def as_promptflow(text: str) -> Any:
    """promptflow opens the file as text, where each line break has become one of Unix, and gives ruamel the content."""
    reader = YAML()
    reader.preserve_quotes = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of an anchor's name that is used again
        try:
            return plain(reader.load(io.StringIO(text, newline=None).read()))
        except Exception as error:
            return REFUSED, f"{type(error).__name__}: {error}"


def plain(value: Any) -> Any:
    """Python's own types, distinct where they compare equal."""
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if value is None or isinstance(value, str):
        return value if value is None else str(value)
    if isinstance(value, datetime.datetime):
        moment = value.replace(tzinfo=None) - (value.utcoffset() or datetime.timedelta())
        return "datetime", moment.isoformat()
    for kind in (bool, int, float, datetime.date):
        if isinstance(value, kind):
            return kind.__name__, repr(kind(value)) if kind in {int, float} else str(value)
    return str(getattr(value, "value", value))  # `!!str 1`, which ruamel wraps


def is_refused(read: Any) -> bool:
    return isinstance(read, tuple) and read[0] == REFUSED


def compare(text: str) -> None:
    ours, theirs = as_flowpack(text), as_promptflow(text)
    if is_refused(ours):
        assert is_refused(theirs) or re.search(REFUSED_ON_PURPOSE, ours[1]), (text, ours, theirs)
    else:
        assert ours == theirs, text


SCALARS = """
017 0o17 0o_7 0o8 08 0777 0x1F 0x_1f -0x1f 0b101 0b2 1_000 1__0 0_ _ _1 +1 -_1 +_ 1e3 1E3 1e+3 1.5e-3 .5 .5e3 .5e+3
-.5 1. 1.e3 0. 1_0.5 1.0.0 1e 1e400 .inf -.INF +.inf .Inf .iNF .nan .NaN -.nan . .. 1:30 1:30:59 190:20:30 ~ null Null
NULL nUll true True TRUE tRUE false yes Yes no on off y n 2024-01-01 2024-1-1 2024-13-45 2024-01-01T10:00:00Z
2024-01-01t1:00:00+01:30 2024-01-01T10:00:00.123456-05 10:00 999999999999999999999999 -- --- a:b a::b $ %s ${inputs.a}
http://x.y:80/?q=1#z a#b << = -a ?a :a '' "" 'it''s' "\\x41\\u00e9\\n\\/" "\\q" | > |- >+ |2 &a *a
""".split()  # noqa: SIM905  (a table reads better)


@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize(
    "place", ["key: {}\n", "{}: value\n", "- {}\n", "key: [{}, x]\n", "key: {{a: {}}}\n", "key: {} # c"]
)
def test_scalars(scalar: str, place: str) -> None:
    compare(place.format(scalar))


TEXTS = [
    "a: 1\na: 2\n",
    "'a': 1\na: 2\n",
    "1: a\n0x1: b\n",
    "1: a\ntrue: b\n",
    "1: a\n'1': b\n",
    "null: a\n~: b\n",
    "? a\n: b\n",
    "? [a]\n: b\n",
    "a:\n\tb: 1\n",
    "a:\tb\n",
    "a: b\t# comment\n",
    "a: b\t\n",
    "a: b\tc\n",
    "a: 'b\tc'\n",
    "a: |\n  b\tc\n",
    "a: # x\ty\n  b\n",
    "- a\n-\tb\n",
    "a: {b:\t1}\n",
    "base: &b {a: 1, c: 2}\nmore:\n  <<: *b\n  c: 3\n",
    "x: &x {a: 1}\ny: &y {a: 2, b: 2}\nz:\n  <<: [*x, *y]\n  c: 3\n",
    "x: &x {a: 1}\nz:\n  <<: *x\n  <<: *x\n",
    "z:\n  <<: 3\n",
    "z:\n  <<: [1]\n",
    "z:\n  <<:\n",
    "x: &x {a: 1}\ny: &y {<<: *x, b: 2}\nz: {<<: *y, a: 0}\n",
    "a: &x 1\nb: &x 2\nc: *x\n",
    "a: &x [*x]\n",
    "a: *x\n",
    "\ufeffa: 1\n",
    "a: 1\r\nb: |\r\n  c\r\n  d\r\n",
    "a: 1\rb: 2\r",
    "Größe: 日本\n😀: '\u00a0'\n",
    "a: x\x85b: 2\n",
    "a: 'x\u2028y'\n",
    "a: \x01\n",
    "a: \ufffe\n",
    "---\na: 1\n",
    "---\na: 1\n---\nb: 2\n",
    "a: 1\n...\n",
    "a: 1\n...\nb: 2\n",
    "%YAML 1.2\n---\na: 017\n",
    "%YAML 1.1\n---\na: 017\n",
    "%TAG !e! tag:example.org,2024:\n---\na: !e!x 1\n",
    "a: !!python/object/apply:os.system [true]\n",
    "a: !!python/name:os.system\n",
    "a: !!binary aGk=\n",
    "a: !!set {x, y}\n",
    "a: !!omap [x: 1]\n",
    "a: !!int '12'\n",
    "a: !!int twelve\n",
    "a: !!float 3\n",
    "a: !!bool 'yes'\n",
    "a: !!str 12\n",
    "a: ! 12\n",
    "",
    "# nothing\n",
    "[1, 2]\n",
    "text\n",
    "a: |\n  x\n y\n",
    "a: |\n  \n    x\n",
    "a: |\n\n    x\n",
    "a: |\n    \n  x\n",
    "a: |2\n    x\n",
    "a: |# c\n  x\n",
    "a: >\n  x\n  y\n\n  z\n",
    "a: b\n c\n",
    "a: 'b\n\n  c'\n",
    "- a\n -b\n",
    "[" * 50 + "]" * 50,
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts(text: str) -> None:
    compare(text)


TOKENS = [
    *("a", "b", "key", "name:", "a: ", "b: ", "- ", "? ", ": ", "\n", "\n", "\n", "\n  ", "\n    ", " ", "\t", "\r\n"),
    *("[", "]", "{", "}", ", ", "'", '"', " |\n", " |-\n", " >\n", " >2\n", " # c", "&x ", "*x", "&y ", "*y", "<<: "),
    *("---\n", "...\n", "1", "-1", "017", "0o17", "1e3", "1.5", "1:30", "1_000", "~", "null", "true", "yes"),
    *(
        "2024-01-01",
        "é",
        "日本",
        "@",
        "`",
        "%",
        "=",
        "${inputs.q}",
        "http://x.y",
        "'it''s'",
        '"\\n"',
        "''",
        "a b",
        "x#y",
    ),
]
STARTS = [
    "key: ",
    "key:\n  ",
    "key: {a: ",
    "key: [",
    "key:\n- ",
    "key: |\n  ",
    "key: '",
    "key: a ",
    "nodes:\n- name: x\n  a:\n    ",
]
ENDS = ["", "\n", "\nz: 1\n", "}", "]", "'", "\n# c\n"]

quick = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


@settings(quick, max_examples=1500)
@given(st.sampled_from(STARTS), st.lists(st.sampled_from(TOKENS), max_size=9), st.sampled_from(ENDS))
def test_tokens_in_any_order(start: str, tokens: list[str], end: str) -> None:
    compare(start + "".join(tokens) + end)


@settings(quick, max_examples=250)
@given(
    name=st.sampled_from(sorted(path.relative_to(FLOWS) for path in FLOWS.glob("*/flow.*.yaml"))),
    edits=st.lists(
        st.tuples(st.integers(0, 2000), st.integers(0, 30), st.sampled_from(TOKENS)), min_size=1, max_size=3
    ),
)
def test_flow_files_with_mistakes(name: Path, edits: list[tuple[int, int, str]]) -> None:
    text = (FLOWS / name).read_text(encoding="utf-8")
    for place, length, token in edits:
        at = place % len(text)
        text = text[:at] + token + text[at + length :]
    compare(text)
