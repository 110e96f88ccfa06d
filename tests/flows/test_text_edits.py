"""The standalone flow file is the user's own text but for what a standalone flow must not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.documents.yaml_documents import read_document
from flowpack.errors import InputError, UsageError
from flowpack.flows.reader import read_flow
from flowpack.flows.variants import VariantChoice
from tests.paths import FLOWS, write_tree


def text_of(folder: Path, content: str, variant: str | None = None) -> str:
    write_tree(folder, {"flow.dag.yaml": content})
    return read_flow(folder, VariantChoice.parse(variant) if variant else None).text


def test_a_flow_without_includes_and_variants_stays_as_it_is(tmp_path: Path) -> None:
    content = "# mine\nnodes:   []   # none yet\r\ninputs: {}\n"
    assert text_of(tmp_path, content) == content


def test_only_the_includes_go_and_comments_stay(tmp_path: Path) -> None:
    content = (
        "# head\n"
        "inputs: {}  # none\n"
        "# shared code\n"
        "additional_includes:\n"
        "  - ../shared  # ours\n"
        "  # and the data\n"
        "  - ../data\n"
        "  # the end of the list\n"
        "# the steps\n"
        "nodes: []\n"
    )
    expected = "# head\ninputs: {}  # none\n# shared code\n# the steps\nnodes: []\n"
    assert text_of(tmp_path, content) == expected


def test_includes_as_the_last_key_without_a_final_newline(tmp_path: Path) -> None:
    assert text_of(tmp_path, "nodes: []\nadditional_includes:\n- ../shared") == "nodes: []\n"


def test_includes_in_one_line(tmp_path: Path) -> None:
    assert text_of(tmp_path, "additional_includes: [../a, ../b]\nnodes: []\n") == "nodes: []\n"


def test_crlf_stays(tmp_path: Path) -> None:
    assert text_of(tmp_path, "additional_includes:\r\n- ../a\r\nnodes: []\r\n") == "nodes: []\r\n"


def test_a_flow_in_json_style_is_written_anew_with_the_same_data(tmp_path: Path) -> None:
    text = text_of(
        tmp_path, '{"additional_includes": ["../a"], "inputs": {"a": {"type": "string", "default": "no"}}, "nodes": []}'
    )
    data = read_document(Path("flow.dag.yaml"), text).root.data
    assert data == {"inputs": {"a": {"type": "string", "default": "no"}}, "nodes": []}


def test_an_anchor_in_what_is_taken_out_is_resolved(tmp_path: Path) -> None:
    content = "additional_includes: &these [a]\nenvironment_variables: {X: 1}\nnodes: []\nextra: *these\n"
    data = read_document(Path("flow.dag.yaml"), text_of(tmp_path, content)).root.data
    assert data == {"environment_variables": {"X": 1}, "nodes": [], "extra": ["a"]}


def test_the_default_variant_is_inlined_at_the_nodes_place() -> None:
    text = read_flow(FLOWS / "llm-variants").text
    assert "node_variants" not in text
    assert "use_variants" not in text
    assert "pirate" not in text
    assert "    deployment_name: gpt-4o   # a small one would do\n" in text
    assert "    text: ${summarize.output}   # what the model said\n" in text
    assert text.startswith((FLOWS / "llm-variants" / "flow.dag.yaml").read_text().partition("- name")[0])


@pytest.mark.parametrize("written", ["summarize.pirate", "${summarize.pirate}"])
def test_a_variant_is_chosen_by_name(written: str) -> None:
    flow = read_flow(FLOWS / "llm-variants", VariantChoice.parse(written))
    assert flow.nodes[0].connection == "other_connection"
    assert "pirate.jinja2" in flow.text


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("summarize.pirat", "there is no variant 'pirat'", "did you mean 'pirate'?"),
        ("sumarize.pirate", "there is no node 'sumarize'", "did you mean 'summarize'?"),
        ("shorten.plain", "node 'shorten' has no variants", "use one of: summarize"),
    ],
)
def test_a_wrong_variant_says_what_there_is(written: str, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        read_flow(FLOWS / "llm-variants", VariantChoice.parse(written))
    assert message in caught.value.message
    assert caught.value.hint == hint


def test_a_variant_without_a_dot_is_a_wrong_option() -> None:
    with pytest.raises(UsageError):
        VariantChoice.parse("pirate")


def test_nested_variants_of_other_indentation_and_block_scalars(tmp_path: Path) -> None:
    content = (
        "nodes:\n"
        "    - name: 'ask'\n"
        "      use_variants: true\n"
        "    - name: b\n"
        "      type: python\n"
        "node_variants:\n"
        " ask:\n"
        "  default_variant_id: one\n"
        "  variants:\n"
        "   one:\n"
        "    node:\n"
        "     type: prompt\n"
        "     inputs:\n"
        "      text: |\n"
        "        first\n"
        "\n"
        "          second\n"
        "     # after\n"
        "     source: {type: code, path: p.jinja2}\n"
    )
    text = text_of(tmp_path, content)
    data = read_document(Path("flow.dag.yaml"), text).root.data
    assert data["nodes"][0] == {
        "name": "ask",
        "type": "prompt",
        "inputs": {"text": "first\n\n  second\n"},
        "source": {"type": "code", "path": "p.jinja2"},
    }
    assert "    - name: 'ask'\n      type: prompt\n" in text
    assert "      # after\n" in text
