"""Names that people have stay possible; those that would write into a file what they do not say are refused."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowpack.dependencies.target import Target
from flowpack.errors import InputError
from flowpack.flows.connection_types import CUSTOM
from flowpack.flows.connections import Connection
from flowpack.flows.reader import read_flow
from flowpack.flows.variables import flow_variables
from flowpack.pipeline.assemble import assemble_flow
from flowpack.pipeline.builds import BuildRequest
from flowpack.quoting import one_line
from flowpack.valid_names import Kind, what_is_wrong
from tests.paths import write_tree

KINDS: tuple[Kind, ...] = get_args(Kind)

REFUSED_EVERYWHERE = {
    "a line break": "x\nRUN cp /etc/pip.conf /leaked",
    "a carriage return": "x\rRUN y",
    "a line separator": "x\u2028RUN y",
    "an escape": "x\x1b[2Jy",
    "a null": "x\0y",
    "a bidi override": "x\u202ey",
    "no width": "x\u200by",
    "a byte order mark": "\ufeffx",
    "half a character": "x\udc80",
    "too long": "x" * 201,
    "too long in bytes": "日" * 67,
    "nothing": "",
    "nothing but space": "  ",
}


@pytest.mark.attack("H1")
@pytest.mark.parametrize("name", REFUSED_EVERYWHERE.values(), ids=REFUSED_EVERYWHERE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_is_seen_otherwise_than_it_is_is_refused(kind: Kind, name: str) -> None:
    wrong = what_is_wrong(kind, name)
    assert wrong
    assert wrong.message == one_line(wrong.message)
    assert len(wrong.message) < 300


@pytest.mark.parametrize(
    "name",
    ["weather service", "aoai-conn", "open_ai.prod", "Größe", "日本語", "नमस्ते", "Größe 2 (neu)", "a@b", "x+y", "O,K"],
)
@pytest.mark.parametrize("kind", ["connection", "input", "output", "node", "variant", "flow"])
def test_names_that_people_have_are_taken(kind: Kind, name: str) -> None:
    assert what_is_wrong(kind, name) is None


@pytest.mark.attack("H2")
@pytest.mark.parametrize(
    "name", ["../../../../victim/new/X", "/etc/x", "..", "a/b", "a\\b", ".hidden", "C:x", "a=b", "${x}", "a}b"]
)
def test_a_connection_leads_to_no_other_folder_and_no_other_variable(name: str) -> None:
    wrong = what_is_wrong("connection", name)
    assert wrong
    assert wrong.hint


def test_the_hint_is_a_name_that_is_taken() -> None:
    wrong = what_is_wrong("connection", "../../a b/c\nd")
    assert wrong
    assert wrong.hint == "rename it: 'a b-c d', for example"


@given(st.text(), st.sampled_from(KINDS))
def test_a_name_that_is_taken_is_one_line_and_one_file(name: str, kind: Kind) -> None:
    if what_is_wrong(kind, name) is None:
        assert len(name.splitlines()) == 1
        assert one_line(name) == name
        if kind == "connection":
            file_name = Connection(name=name, type=CUSTOM).file_name
            assert Path("out", file_name).resolve().parent == Path("out").resolve()
            assert len(file_name.encode()) <= 255


def dag(**changes: str) -> dict[str, str]:
    node = "- {name: a, type: llm, source: {type: code, path: a.jinja2}, connection: %s, api: chat, inputs: {}}\n"
    text = {
        "environment_variables": "{A: b}",
        "inputs": '{"' + changes.get("input", "q") + '": {type: string}}',
        "outputs": '{"' + changes.get("output", "x") + '": {type: string, reference: "${a.output}"}}',
        "nodes": "\n" + node % changes.get("connection", "c"),
    } | {key: value for key, value in changes.items() if key not in {"input", "output", "connection"}}
    return {"flow.dag.yaml": "".join(f"{key}: {value}\n" for key, value in text.items()), "a.jinja2": "x"}


PYTHON = """\
from promptflow.core import tool
from promptflow.connections import CustomConnection


@tool
def ask(service: CustomConnection) -> str:
    return service.secrets["a\\nRUN x"]
"""
PYTHON_NODE = "\n- {name: a, type: python, source: {type: code, path: a.py}, inputs: {service: %s}}\n"
PROMPTY = """\
---
model:
  api: chat
  configuration:
    %s
  parameters: {}
---
system:
x
"""
WRONG = {
    "connection of a node": (dag(connection='"../x"'), ("flow.dag.yaml", 5, 74)),
    "connection among inputs": (
        {**dag(nodes=PYTHON_NODE % '"a\\nb"'), "a.py": PYTHON.replace("\\nRUN x", "")},
        ("flow.dag.yaml", 5, 79),
    ),
    "connection of a variable": (dag(environment_variables='\n  B: "${a/b.key}"'), ("flow.dag.yaml", 2, 6)),
    "key in a source": ({**dag(nodes=PYTHON_NODE % "c"), "a.py": PYTHON}, ("a.py", 7, 28)),
    "key of a variable": (dag(environment_variables='\n  B: "${c.k\\ny}"'), ("flow.dag.yaml", 2, 6)),
    "variable": (dag(environment_variables='{"A\\nRUN x": b}'), ("flow.dag.yaml", 1, None)),
    "input": (dag(input="q\\nRUN x"), ("flow.dag.yaml", 2, None)),
    "output": (dag(output="x\\u202e"), ("flow.dag.yaml", 3, None)),
    "variant": (
        dag(
            nodes="\n- {name: a, use_variants: true}",
            node_variants='{a: {default_variant_id: v, variants: {v: {node: {type: llm}}, "w\\nx": {node: {}}}}}',
        ),
        ("flow.dag.yaml", 6, None),
    ),
    "connection of a prompty": ({"x.prompty": PROMPTY % 'connection: "a\\nb"'}, ("x.prompty", 5, 17)),
    "variable of a prompty": (
        {"x.prompty": PROMPTY % 'type: openai\n    api_key: "${env:A\\u202ex}"\n    model: m'},
        ("x.prompty", 6, 14),
    ),
    "connection in a source": (
        {
            "flow.flex.yaml": "entry: a:ask\n",
            "a.py": "from promptflow.core import AzureOpenAIModelConfiguration\n\n\ndef ask(q: str) -> str:\n"
            '    return str(AzureOpenAIModelConfiguration(connection="../x"))\n',
        },
        ("a.py", 5, None),
    ),
}


@pytest.mark.attack("H1")
@pytest.mark.parametrize(("files", "place"), WRONG.values(), ids=WRONG)
def test_a_wrong_name_is_refused_at_its_place_before_anything_is_made(
    files: dict[str, str], place: tuple[str, int, int | None], tmp_path: Path
) -> None:
    flow = write_tree(tmp_path / "flow", files)
    request = BuildRequest(source=flow, target=Target.parse("3.11", "linux/amd64"))
    with pytest.raises(InputError, match="is not a valid name of a") as refused:
        assembled = assemble_flow(request)
        flow_variables(assembled.flow, assembled.folder.paths)
    where = refused.value.location
    assert where
    assert (where.path.name, where.line) == place[:2]
    assert where.column
    assert place[2] in {None, where.column}
    assert refused.value.hint


@pytest.mark.attack("H1")
@pytest.mark.parametrize("name", ["x\nRUN y", "x\x1b[2J", "x\u202ey", "x\udc80"])
def test_the_name_of_a_flows_folder_is_checked(name: str, tmp_path: Path) -> None:
    write_tree(tmp_path / name, {"flow.dag.yaml": "inputs: {}\noutputs: {}\nnodes: []\n"})
    with pytest.raises(InputError, match=r"is not a valid name of a flow|is not UTF-8") as refused:
        read_flow(tmp_path / name)
    str(refused.value).encode()


def test_a_flows_folder_may_have_spaces_and_any_letters(tmp_path: Path) -> None:
    write_tree(tmp_path / "Größe 日本 2", {"flow.dag.yaml": "inputs: {}\noutputs: {}\nnodes: []\n"})
    assert read_flow(tmp_path / "Größe 日本 2").name == "Größe 日本 2"
