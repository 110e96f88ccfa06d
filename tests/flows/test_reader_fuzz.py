"""Whatever a flow file holds, it is read or refused with an error of flowpack: no crash, no endless loop."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowpack.documents.yaml_documents import read_document
from flowpack.errors import FlowpackError
from flowpack.flows.connections import find_connections
from flowpack.flows.local_imports import find_missing_imports
from flowpack.flows.reader import read_flow
from flowpack.flows.resolve import find_flow_file
from flowpack.flows.signatures import read_entry, read_tools
from flowpack.flows.tool_sources import ToolSource
from tests.paths import FLOWS, ROOT

FLOW_FILES = [find_flow_file(folder).relative_to(FLOWS) for folder in sorted(FLOWS.iterdir())]
SOURCES = sorted((ROOT / "fixtures").glob("**/*.py"))

# Words that mean something in a flow file or in YAML, which a mutation puts where they do not belong.
WORDS = [
    *("inputs", "outputs", "nodes", "name", "type", "source", "path", "default", "entry", "init", "sample", "model"),
    *("node_variants", "use_variants", "variants", "node", "environment", "additional_includes", "connection", "tool"),
    *(
        "null",
        "~",
        "true",
        "1",
        "-1.5",
        "2024-02-30",
        "''",
        '"',
        "'",
        "[",
        "]",
        "{",
        "}",
        "[]",
        "{}",
        ":",
        "-",
        "? ",
        "|",
    ),
    *(
        "&a ",
        "*a",
        "<<: ",
        "!!str ",
        "!!int ",
        "!!map ",
        "!x ",
        "---",
        "...",
        "\t",
        "#",
        "%YAML 1.1",
        "${",
        "}",
        "${inputs.a}",
        "../",
        "/",
    ),
    *("\ufeff", "\x85", "\u2028", "\x00", "日本", "\U0001f600", "\r", "9" * 5000, "string", "python", "llm", "package"),
]

quick = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the fixtures, whose flow files are written over."""
    project = tmp_path_factory.mktemp("project")
    shutil.copytree(FLOWS, project / "flows")
    shutil.copytree(ROOT / "fixtures" / "shared", project / "shared")
    return project / "flows"


def read(flows: Path, name: Path, content: bytes) -> None:
    file = flows / name
    file.write_bytes(content)
    try:
        with contextlib.suppress(FlowpackError):
            flow = read_flow(file.parent)
            files = {path.relative_to(file.parent).as_posix(): path for path in file.parent.rglob("*")}
            find_connections(flow, {target: path for target, path in files.items() if path.is_file()})
    finally:
        shutil.copyfile(FLOWS / name, file)


@settings(quick, max_examples=300)
@given(name=st.sampled_from(FLOW_FILES), content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes(flows: Path, name: Path, content: bytes) -> None:
    read(flows, name, content)


@st.composite
def mutated(draw: st.DrawFn, text: str, words: list[str]) -> str:
    lines = text.splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(lines) - 1, 0)))
        line = lines[at] if lines else ""
        word = draw(st.sampled_from(words))
        place = draw(st.integers(0, len(line)))
        parts = line.split(" ")
        part = draw(st.integers(0, len(parts) - 1))
        change = draw(st.sampled_from(["delete", "repeat", "insert", "replace", "indent", "new line", "cut", "move"]))
        after: dict[str, list[str]] = {
            "delete": [],
            "repeat": [line, line],
            "insert": [line[:place] + word + line[place:]],
            "replace": [" ".join([*parts[:part], word, *parts[part + 1 :]])],
            "indent": ["  " + line],
            "new line": [line, word + "\n"],
            "cut": [line[:place]],
            "move": [*lines[-1:], line],
        }
        lines[at : at + 1] = after[change]
    return "".join(lines)


@settings(quick, max_examples=700)
@given(data=st.data(), name=st.sampled_from(FLOW_FILES))
def test_a_flow_file_with_mistakes(flows: Path, data: st.DataObject, name: Path) -> None:
    text = data.draw(mutated((FLOWS / name).read_text(encoding="utf-8"), WORDS))
    read(flows, name, text.encode("utf-8", "surrogatepass"))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def with_another_value(draw: st.DrawFn, data: Any) -> Any:
    """The same data with one value of it, anywhere, exchanged for any other."""
    keys = list(data) if isinstance(data, dict) else list(range(len(data))) if isinstance(data, list) else []
    if not keys or draw(st.integers(0, 4)) == 0:
        return draw(values)
    key = draw(st.sampled_from(keys))
    changed = data.copy()
    changed[key] = draw(with_another_value(data[key]))
    return changed


@settings(quick, max_examples=500)
@given(data=st.data(), name=st.sampled_from(FLOW_FILES))
def test_values_of_other_types(flows: Path, data: st.DataObject, name: Path) -> None:
    head, text, tail = "", (FLOWS / name).read_text(encoding="utf-8"), ""
    if name.suffix == ".prompty":
        head, text, tail = text.partition("---\n")[1], *text.partition("---\n")[2].partition("---\n")[::2]
        tail = "\n---\n" + tail
    changed = data.draw(with_another_value(read_document(name, text).root.data))
    read(flows, name, (head + json.dumps(changed, default=str) + tail).encode())  # JSON is YAML


PYTHON_WORDS = [
    *("@tool", "def ", "class ", "async ", "self", "import ", "from . ", "from .. ", " as ", "*", "**", "=", ":", "->"),
    *("Union[", "Optional[", "]", "(", ")", "|", "'", '"', "Enum", "ToolProvider", "try:\n", "except ImportError:\n"),
    *(
        "sys.path.append(__file__)",
        "Path(__file__).parents[3]",
        "os.path.join('..')",
        "\x00",
        "\t",
        "lambda: 1",
        "tool = tool\n",
    ),
    *(
        "# -*- coding: nonsense -*-",
        "0o9",
        "f'{",
        "match x:\n",
        "...",
        "CustomConnection",
        "x: 'a['",
        "日本",
        "a = b\nb = a\n",
    ),
]


@settings(quick, max_examples=400)
@given(data=st.data(), path=st.sampled_from(SOURCES))
def test_any_python_source(flows: Path, data: st.DataObject, path: Path) -> None:
    text = data.draw(mutated(path.read_text(encoding="utf-8"), PYTHON_WORDS))
    file = flows / "python-only" / "count.py"
    file.write_bytes(text.encode())
    source = ToolSource.read(file, None)
    if source is not None:
        read_tools(source)
        for name in source.definitions:
            read_entry(source, name)
    flow = read_flow(flows / "python-only")
    find_connections(flow, {"count.py": file})
    list(find_missing_imports(flow, {"count.py": file}, flows.parent, frozenset))
