"""Text that a stranger may have written, put into another language: one function for each language that is written.

Names, paths and other programs' words reach a Dockerfile, a log that a CI service reads commands from, a terminal, a
summary, a report. Whoever writes such a text takes the function of its language from here. YAML has ``dump`` of
``yaml_documents``.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

# Control characters, line breaks, what changes the direction of text, what has no width, halves of characters.
UNPRINTABLE = (
    r"\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
# These are seldom needed, and take longer to compile than the rest of the module: ``re`` does it when they are used.
_UNPRINTABLE = f"[{UNPRINTABLE}]"
_UNPRINTABLE_BUT_TABS = rf"(?!\t)[{UNPRINTABLE}]"
_UNPRINTABLE_BUT_BREAKS = rf"(?!\n)[{UNPRINTABLE}]"
_STYLES = r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]"
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}

# Azure Pipelines takes ##vso[ anywhere in a line, as GitHub does with ##[ and TeamCity with ##teamcity[. Both compare
# by the rules of a language, which pass over characters that are not seen.
_UNSEEN = r"[^\x20-\x7e]{0,20}"
_HASH_COMMAND = rf"(?i)#{_UNSEEN}#(?={_UNSEEN}(?:[a-z]{_UNSEEN}){{0,12}}\[)"
# GitHub takes :: at the start of a line, also after space.
_COLON_COMMAND = r"([^\x21-\x7e]*)::"


def one_line(text: str) -> str:
    """A name or a message for a person: what does not print is written as ``\\n`` or ``\\u202e``."""
    return text if text.isprintable() else re.sub(_UNPRINTABLE, _escape, text)


def log_line(line: str) -> str:
    """A line that does not control a terminal and is not a command to a CI service. Styles are removed, tabs kept."""
    if not line.isprintable():
        line = re.sub(_UNPRINTABLE_BUT_TABS, _escape, re.sub(_STYLES, "", line.removesuffix("\r")))
    return without_commands(line)


def log_text(text: str) -> str:
    """``log_line`` for each line."""
    return "\n".join(map(log_line, text.split("\n")))


def without_commands(line: str) -> str:
    if "#" in line:
        line = re.sub(_HASH_COMMAND, "# #", line)
    if "::" in line and (match := re.match(_COLON_COMMAND, line)):
        line = f"{match[1]}: :{line[match.end() :]}"
    return line


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(data: Any, *, indent: int | None = 2) -> str:
    """The same data to a reader of JSON, and no command to a CI service whose log it is printed to."""
    import json  # noqa: PLC0415  (help does without)

    text = json.dumps(data, indent=indent, ensure_ascii=False)
    if "##" in text:  # in a string: nowhere else has JSON a #
        text = text.replace("##", "#\\u0023")
    return re.sub(_UNPRINTABLE_BUT_BREAKS, lambda match: json.dumps(match[0])[1:-1], text)


def xml_text(document: str) -> str:
    """A whole document of elements, the same to a reader of XML, and no command to a CI service."""
    return re.sub(r"(?m)^([^\x21-\x7e\n]*):", r"\1&#58;", document.replace("##", "#&#35;"))


def github_data(text: str) -> str:
    return without_commands(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def github_property(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace(":", "%3A").replace(",", "%2C")


def azure_data(text: str) -> str:
    return without_commands(text).replace("%", "%AZP25").replace("\r", "%0D").replace("\n", "%0A")


def azure_property(text: str) -> str:
    return text.replace("%", "%AZP25").replace("\r", "%0D").replace("\n", "%0A").replace("]", "%5D").replace(";", "%3B")


def output_lines(values: dict[str, str]) -> str:
    """``NAME=VALUE`` lines, as ``$GITHUB_OUTPUT`` and dotenv files have them; a line break would begin another one."""
    for name, value in values.items():
        if len(f"{name}={value}".splitlines()) != 1:
            raise ValueError(f"the output '{one_line(name)}' is more than one line")
    return "".join(f"{name}={value}\n" for name, value in values.items())


def markdown_text(text: str) -> str:
    """One line that ends no cell of a table, and starts no markup, link or HTML."""
    escaped = one_line(" ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")
    escaped = re.sub(r"[\\|`*_\[\]~$]", r"\\\g<0>", escaped)
    return re.sub(r"(?i)://|\bwww\.", lambda match: match[0].replace(":", "&#58;").replace(".", "&#46;"), escaped)


def markdown_block(text: str) -> list[str]:
    """The lines of a block of code that nothing in them ends."""
    return ["    " + log_line(line) for line in text.splitlines()]


def shell_word(text: str | os.PathLike[str]) -> str:
    """A word of a command that a person may copy."""
    return shlex.quote(one_line(os.fspath(text)))


def uri_path(path: str) -> str:
    """A relative path as a URI reference. A colon in its first part does not make it a scheme."""
    return quote(os.fsencode(path))


def dockerfile_comment(text: str) -> str:
    return f"# {one_line(text)}"


def dockerfile_value(text: str) -> str:
    """In double quotes, where a backslash, a quote and a dollar sign would count."""
    return '"' + re.sub(r'[\\"$]', r"\\\g<0>", one_line(text)) + '"'


def dockerfile_words(words: Sequence[str]) -> str:
    """The exec form, which no shell reads; BuildKit looks for ``<<`` in it nonetheless."""
    import json  # noqa: PLC0415  (help does without)

    return json.dumps(list(words)).replace("<", "\\u003c").replace("$", "\\u0024")
