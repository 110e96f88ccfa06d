"""Edits the text of a flow file in place, so that comments, order and quoting stay as the user wrote them.

An edit works on the lines of block style YAML. If the file has another style, or an edit would change more than it
should (for example, a removed part has an anchor), the file is written from its data instead. The data is right either
way; comments are lost only in this case.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from flowpack.documents.yaml_documents import Document, Value, dump, read_document
from flowpack.errors import YamlError


@dataclass(frozen=True, slots=True)
class _Edit:
    """Lines ``first`` to ``last`` (from 0, both included) become ``lines``."""

    first: int
    last: int
    lines: tuple[str, ...]


def standalone_text(
    document: Document,
    *,
    without: tuple[str, ...],
    expected: Mapping[str, Any],
    nodes: Mapping[str, Value] = MappingProxyType({}),
    added: Mapping[str, Any] = MappingProxyType({}),
) -> str:
    """The document's text without the top-level keys ``without``, with new bodies for ``nodes``, then ``added``.

    ``expected`` is the data that the result must hold.
    """
    if document.root.data == expected:
        return document.text
    lines = document.text.splitlines(keepends=True)
    if lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += "\n"
    edits = _removals(document.node, without, lines) + _replacements(document, nodes, lines)
    text = "".join(_edited(lines, edits)) + (dump(added) if added else "")
    return text if _holds(document, text, expected) else dump(expected)


def _edited(lines: list[str], edits: list[_Edit]) -> Iterator[str]:
    done = 0
    for edit in sorted(edits, key=lambda edit: edit.first):
        yield from lines[done : edit.first]
        yield from edit.lines
        done = max(done, edit.last + 1)
    yield from lines[done:]


def _holds(document: Document, text: str, expected: Mapping[str, Any]) -> bool:
    try:
        return bool(read_document(document.path, text).root.data == expected)
    except YamlError:
        return False


def _removals(root: Node, keys: tuple[str, ...], lines: list[str]) -> list[_Edit]:
    if not isinstance(root, MappingNode) or root.flow_style:
        return []
    edits = []
    for key, value in root.value:
        if key.value in keys:
            first = key.start_mark.line
            last = max(_last_line(value), first)
            while last + 1 < len(lines) and _is_comment_within(lines[last + 1], key.start_mark.column):
                last += 1
            edits.append(_Edit(first, last, ()))
    return edits


def _replacements(document: Document, nodes: Mapping[str, Value], lines: list[str]) -> list[_Edit]:
    edits: list[_Edit] = []
    if not nodes:
        return edits
    for item in document.root.mapping()["nodes"].sequence():
        fields = item.mapping()
        body = nodes.get(fields["name"].data)
        if body is None:
            continue
        first, column = item.node.start_mark.line, item.node.start_mark.column
        name = document.text[fields["name"].node.start_mark.index : fields["name"].node.end_mark.index]
        ending = "\r\n" if lines[first].endswith("\r\n") else "\n"
        head = f"{lines[first][:column]}name: {name}{ending}"
        edits.append(_Edit(first, _last_line(item.node), (head, *_indented(body, column, lines, ending))))
    return edits


def _indented(body: Value, column: int, lines: list[str], ending: str) -> list[str]:
    """The lines of a mapping, moved so that its keys start at ``column``."""
    node = body.node
    if isinstance(node, MappingNode) and node.flow_style:
        return [" " * column + line + ending for line in dump(body.data).splitlines()]
    start = node.start_mark.column
    moved = []
    for line in lines[node.start_mark.line : _last_line(node) + 1]:
        indent = len(line) - len(line.lstrip(" "))
        moved.append(line if not line.strip() else " " * max(indent - start + column, 0) + line[indent:])
    return moved


def _last_line(node: Node) -> int:
    """The last line with content of the node, without the comments and blank lines after it."""
    if isinstance(node, ScalarNode):
        ends_before = node.style in {"|", ">"} and node.end_mark.line > node.start_mark.line
        return int(node.end_mark.line) - 1 if ends_before else int(node.end_mark.line)
    if isinstance(node, (MappingNode, SequenceNode)) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.line)


def _is_comment_within(line: str, column: int) -> bool:
    stripped = line.lstrip(" ")
    return stripped.startswith("#") and len(line) - len(stripped) > column
