"""Hostile text, written in each language and read again by that language's rules: it is what it was, or harmless."""

from __future__ import annotations

import json
import re
import shlex
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowpack import quoting

HOSTILE = [
    "##vso[task.setvariable variable=PATH]/evil",
    "a name ##vso[task.complete result=Succeeded;]",
    "##[set-env name=X]1",
    "::error::forged",
    "   ::stop-commands::x",
    "\u00a0\u3000::add-mask::x",
    "\u200b::error::x",
    "#\u200d#vso\u00ad[task.x]",
    "\x1b[31m::error::x",
    "one\n::error::two\r\n##vso[x]three",
    "one\r::error::two",
    "one\u2028::error::two",
    "\x1b]0;title\x07\x1b[2J\x9b31m",
    "\u202eforged\u202c",
    '"\n# x\\',
    "$HOME ${X} `id` $(id) 'x'",
    "| <script>alert(1)</script> **b** [l](http://x) ~~s~~ $x$ www.x.example",
    "<<EOF",
    "\udc80\ud83d",
    "%0A%AZP25 100%",
]
hostile = pytest.mark.parametrize("text", HOSTILE)
any_text = st.text() | st.text(alphabet=st.sampled_from("#:[]vso \t\n\r\x1b\u200b\u202e$\"'\\<&|`%a"))

# By the sources of the services' agents: GitHub's runner trims a line and takes :: at its start, or ##[ anywhere; Azure
# Pipelines takes ##vso[ anywhere. Where they compare by a culture's rules, what is not seen is passed over.
_NOT_COMPARED = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)


def is_a_command(line: str) -> bool:
    return any(
        each.lstrip().startswith("::") or re.search(r"##(vso)?\[", each, re.I) is not None
        for each in (line, _NOT_COMPARED.sub("", line))
    )


def lines_of(text: str) -> list[str]:
    return re.split(r"[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", text)


@hostile
def test_each_sample_does_something_where_it_is_not_quoted(text: str) -> None:
    """Else the tests below could not fail."""
    assert any(map(is_a_command, lines_of(text))) or not text.isprintable() or set(text) & set("$<>|\"'`%")


@hostile
@pytest.mark.attack("H5")
def test_a_line_of_a_log_is_no_command_and_steers_no_terminal(text: str) -> None:
    check_log_text(text)


@pytest.mark.attack("H5")
@given(any_text)
@example("###[x]")
@example("##\u200bvso[x]")
@example("#\n#[x]")
@example(": :::x")
def test_no_line_of_a_log_is_a_command(text: str) -> None:
    check_log_text(text)


def check_log_text(text: str) -> None:
    shown = quoting.log_text(text)
    assert len(lines_of(shown)) == text.count("\n") + 1
    assert not any(map(is_a_command, lines_of(shown)))
    assert not re.search(f"(?![\\t\\n])[{quoting.UNPRINTABLE}]", shown)
    shown.encode()


def test_what_is_harmless_stays_as_it_is() -> None:
    for text in (
        "── chat (1 of 2): flows/chat",
        "std::vector<int>",
        "C#",
        "## a heading",
        "größe\t1",
        "日本語 🙂",
        "a::b",
        "[x]",
    ):
        assert quoting.log_line(text) == text
        assert quoting.one_line(text.replace("\t", " ")) == text.replace("\t", " ")


@hostile
@pytest.mark.attack("H5")
def test_a_name_is_one_line(text: str) -> None:
    assert len(lines_of(quoting.one_line(text))) == 1


@pytest.mark.attack("H5")
@given(any_text)
def test_json_is_the_same_data_and_no_command(text: str) -> None:
    written = quoting.json_text({"name": [text, {text: 1}]})
    assert json.loads(written) == {"name": [text, {text: 1}]}
    assert not any(map(is_a_command, lines_of(written)))
    assert quoting.log_text(written) == written
    written.encode()


@pytest.mark.attack("H5")
@given(any_text)
def test_xml_is_the_same_document_and_no_command(text: str) -> None:
    text = re.sub("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", text)
    element = ElementTree.Element("a", {"b": text})
    element.text = text
    written = quoting.xml_text(ElementTree.tostring(element, encoding="unicode"))
    again = ElementTree.fromstring(written)
    assert (again.text or "", again.attrib["b"]) == (text, text)
    assert not any(is_a_command(line) for line in written.split("\n"))


@hostile
@pytest.mark.attack("H5")
def test_data_of_a_command_ends_no_command(text: str) -> None:
    for data in (quoting.github_data(text), quoting.azure_data(text)):
        assert "\n" not in data
        assert "\r" not in data
        assert not re.search(r"##(vso)?\[", data)
    assert not set(quoting.github_property(text)) & set("\r\n:,")
    assert not set(quoting.azure_property(text)) & set("\r\n];")


@hostile
@pytest.mark.attack("held: no injection into $GITHUB_OUTPUT, Markdown, HTML, SARIF URIs")
def test_an_output_is_one_line_or_refused(text: str) -> None:
    values = {"flows": json.dumps([text]), "models": json.dumps({text: text})}
    lines = quoting.output_lines(values).splitlines()
    assert [line.partition("=")[0] for line in lines] == ["flows", "models"]
    if len(f"a={text}".splitlines()) != 1:
        with pytest.raises(ValueError, match="more than one line"):
            quoting.output_lines({"a": text})


@hostile
@pytest.mark.attack("held: no injection into $GITHUB_OUTPUT, Markdown, HTML, SARIF URIs")
def test_markdown_has_no_cell_no_markup_and_no_html_of_a_name(text: str) -> None:
    written = quoting.markdown_text(text)
    assert len(lines_of(written)) == 1
    assert "<" not in written
    assert not re.search(r"(?<!\\)[|`*_\[\]~$]", written.replace("\\\\", ""))
    assert "://" not in written
    assert "www." not in written


@hostile
@pytest.mark.attack("held: no injection into $GITHUB_OUTPUT, Markdown, HTML, SARIF URIs")
def test_a_block_of_code_in_markdown_goes_on_in_every_line(text: str) -> None:
    assert all(line.startswith("    ") for line in "\n".join(quoting.markdown_block(text)).split("\n"))


@hostile
@pytest.mark.attack("held: no injection into $GITHUB_OUTPUT, Markdown, HTML, SARIF URIs")
def test_a_uri_is_ascii_and_gives_the_path_again(text: str) -> None:
    path = text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape") if "\ud83d" not in text else "a"
    written = quoting.uri_path(path)
    assert re.fullmatch(r"[A-Za-z0-9%/._~-]*", written)
    assert unquote_to_bytes(written).decode("utf-8", "surrogateescape") == path


@hostile
def test_a_word_of_the_shell_is_one_word(text: str) -> None:
    assert shlex.split(quoting.shell_word(text)) == [quoting.one_line(text)]


@hostile
@pytest.mark.attack("H1")
def test_a_dockerfile_gets_no_line_no_variable_and_no_heredoc(text: str) -> None:
    value, words, comment = (
        quoting.dockerfile_value(text),
        quoting.dockerfile_words([text]),
        quoting.dockerfile_comment(text),
    )
    assert all(len(lines_of(each)) == 1 for each in (value, words, comment))
    assert not re.search(r'(?<!\\)["$]', value[1:-1].replace("\\\\", ""))
    assert re.fullmatch(r'(?:[^"\\]|\\.)*', value[1:-1])
    assert json.loads(words) == [text]
    assert not set("<$") & set(words)
    assert comment.startswith("# ")
