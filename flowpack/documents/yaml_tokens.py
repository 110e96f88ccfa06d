"""Refuses, with the place, input that libyaml accepts and promptflow's reader rejects or reads differently.

Such input is tabs, line breaks and directives of YAML 1.1, and odd tags and anchors. One search shows that most texts
have none of it; the others are checked token by token.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice

from yaml.tokens import AliasToken, AnchorToken, DirectiveToken, DocumentEndToken, ScalarToken, TagToken

from flowpack.errors import YamlError

__all__ = ["ParserBase", "Refuse", "check_characters", "check_tokens", "tab_error"]

try:
    from yaml.cyaml import CParser as ParserBase  # type: ignore[attr-defined]
except ImportError:  # PyYAML without libyaml
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class ParserBase(Reader, Scanner, Parser, Composer):  # type: ignore[no-redef]
        def __init__(self, stream: str) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)


_LINE = re.compile(r"[^\r\n]*")
_COMMENT = re.compile(r"#[^\r\n]*")
# In parts, because a set of many ranges takes milliseconds to compile.
_NOT_PRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f]|[\ud800-\udfff]|[\ufffe\uffff]")
_BREAKS_OF_1_1 = re.compile("[\x85\u2028\u2029]")
_NEEDS_A_SECOND_LOOK = re.compile(r"\t|^%|^\.\.\.|(?:^|[\s\[{,])!(?=[\s,\]}]|$)|[&*][\w-]+[?:%@`]|[|>][-+0-9]*#", re.M)
_BLANK_LINE_OF_SPACES = re.compile(r"\n +(?=\r?\n)")
_A_DIRECTIVE = re.compile(r"^%", re.M)
_BLANK_START = re.compile(r"[|>][-+]*(?: *| +#.*)\r?\n( +)\r?\n[ \r\n]*")
_SPACES = re.compile(r" +")

MAXIMUM_DIRECTIVES = 100

Refuse = Callable[[str, int, int, "str | None"], YamlError]
"""Makes the error for a message, a line and a column (from 0), and a hint."""


def tab_error(line: int, column: int, refuse: Refuse) -> YamlError:
    return refuse("a tab, where YAML allows only spaces", line, column, "indent and separate with spaces")


def check_characters(text: str, refuse: Refuse) -> None:
    found = _NOT_PRINTABLE.search(text)
    if found:
        name = f"U+{ord(found[0]):04X}"
        raise refuse(f"the character {name} is not allowed in YAML", *_place(text, found.start()), "delete it")
    found = _BREAKS_OF_1_1.search(text)
    if found:
        escape = {"\x85": "\\N", "\u2028": "\\L", "\u2029": "\\P"}[found[0]]
        raise refuse(
            f"the character U+{ord(found[0]):04X} ends a line for some YAML readers but not for others",
            *_place(text, found.start()),
            f"write it as {escape} in double quotes, or start a new line",
        )
    # libyaml compares each directive with all earlier ones.
    directives = [found.start() for found in islice(_A_DIRECTIVE.finditer(text), MAXIMUM_DIRECTIVES + 1)]
    if len(directives) > MAXIMUM_DIRECTIVES:
        raise refuse(
            f"more than {MAXIMUM_DIRECTIVES} lines start with %", *_place(text, directives[-1]), "remove directives"
        )


def _place(text: str, index: int) -> tuple[int, int]:
    before = text[:index].replace("\r\n", "\n").replace("\r", "\n")
    return before.count("\n"), len(before) - before.rfind("\n") - 1


def check_tokens(text: str, refuse: Refuse) -> None:
    """Expects a text that has been parsed, so that the limits on its size hold."""
    if not _NEEDS_A_SECOND_LOOK.search(text) and not _may_start_a_text_blank(text):
        return
    scanner = ParserBase(text)
    end = 0
    has_ended = False
    while scanner.check_token():
        token = scanner.get_token()
        assert token is not None  # noqa: S101
        start, stop = token.start_mark.index, token.end_mark.index
        _check_tabs(text, end, _COMMENT.sub(_blank, text[end:start]), refuse)
        if isinstance(token, ScalarToken) and token.plain:
            _check_tabs(text, start, text[start:stop], refuse)
        elif isinstance(token, ScalarToken) and token.style in {"|", ">"}:
            _check_block_text(text, start, refuse)
        elif isinstance(token, (AnchorToken, AliasToken)) and text[stop : stop + 1] in {"?", ":", "%", "@", "`"}:
            where = token.start_mark.line, token.start_mark.column
            raise refuse(f"'{token.value}{text[stop]}' is not a valid anchor name", *where, "use letters and digits")
        elif isinstance(token, DirectiveToken) and token.name == "YAML" and token.value != (1, 2):
            message = "promptflow reads YAML 1.2, but the file declares another version"
            hint = "remove the line; yes, no, on and off are then strings"
            raise refuse(message, token.start_mark.line, token.start_mark.column, hint)
        elif isinstance(token, DocumentEndToken):
            if has_ended:
                raise refuse("the document has already ended", token.start_mark.line, 0, "remove the line")
            has_ended = True
        elif isinstance(token, TagToken) and token.value in {(None, "!"), ("!", "")}:
            raise refuse("the tag has no name", token.start_mark.line, token.start_mark.column, "remove it")
        end = stop


def _may_start_a_text_blank(text: str) -> bool:
    """Whether a line of only spaces follows a line that has the mark of a block text (``|``, ``>``) anywhere."""
    for found in _BLANK_LINE_OF_SPACES.finditer(text):
        before = text.rfind("\n", 0, found.start()) + 1
        if text.find("|", before, found.start()) >= 0 or text.find(">", before, found.start()) >= 0:
            return True
    return False


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])


def _check_tabs(text: str, start: int, part: str, refuse: Refuse) -> None:
    if "\t" in part:
        raise tab_error(*_place(text, start + part.index("\t")), refuse)


def _check_block_text(text: str, start: int, refuse: Refuse) -> None:
    header = next(_LINE.finditer(text, start))[0]
    _check_tabs(text, start, _COMMENT.sub(_blank, header), refuse)
    if header.partition("#")[0].rstrip("-+0123456789") in {"|", ">"} and "#" in header and " #" not in header:
        raise refuse("a comment starts here without a space before it", *_place(text, start + header.index("#")), None)
    found = _BLANK_START.match(text, start)
    # If the text's first line has only spaces, promptflow's reader takes the indent from it.
    if found and any(len(found[1]) < len(each[0]) for each in _SPACES.finditer(text, found.end(1), found.end())):
        message = "the text starts with a blank line that is indented less than the lines after it"
        raise refuse(message, *_place(text, found.start(1)), "remove the spaces from the blank line")
