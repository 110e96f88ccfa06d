"""Reads YAML as promptflow does, with a line and a column for each value.

``Value`` walks the tree and gives each value's location and its plain Python data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from flowpack import reading
from flowpack.documents.yaml_parser import Constructor12, Resolver12, compose, shortened
from flowpack.errors import InputError, Location, YamlError
from flowpack.reading import DOCUMENT_BYTES, Roots

MAXIMUM_BYTES = DOCUMENT_BYTES


@dataclass(frozen=True)
class Document:
    """A parsed YAML file: its text and the root of its tree."""

    path: Path
    text: str
    node: Node
    within: Roots | None = ()
    """The folders that may hold the files that the document refers to; None for any folder."""

    @cached_property
    def root(self) -> Value:
        return Value(self, self.node, "")


@dataclass(frozen=True)
class Value:
    """One value of a document; ``trail`` is its path in messages: ``nodes[0].source.path``."""

    document: Document
    node: Node
    trail: str

    @property
    def location(self) -> Location:
        mark = self.node.start_mark
        return Location(self.document.path, mark.line + 1, mark.column + 1)

    @cached_property
    def data(self) -> Any:
        return Constructor12().construct_document(self.node)

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, MappingNode)

    @property
    def is_sequence(self) -> bool:
        return isinstance(self.node, SequenceNode)

    def error(self, message: str, hint: str | None = None) -> InputError:
        return InputError(f"{self.trail}: {message}" if self.trail else message, location=self.location, hint=hint)

    def mapping(self, expected: str = "a mapping") -> dict[str, Value]:
        if not isinstance(self.node, MappingNode):
            raise self.error(f"expected {expected}, found {self.kind}")
        return self._fields

    @cached_property
    def _fields(self) -> dict[str, Value]:
        """Cached, because rules ask for a flow's nodes and variants once for each of them."""
        dot = "." if self.trail else ""
        pairs = ((str(key.value), value) for key, value in _merged(self.node))  # type: ignore[arg-type]
        return {key: Value(self.document, value, f"{self.trail}{dot}{shortened(key)}") for key, value in pairs}

    def sequence(self, expected: str = "a list", hint: str | None = None) -> list[Value]:
        if not isinstance(self.node, SequenceNode):
            raise self.error(f"expected {expected}, found {self.kind}", hint)
        return [Value(self.document, item, f"{self.trail}[{index}]") for index, item in enumerate(self.node.value)]

    def string(self, expected: str = "a string", hint: str | None = None) -> str:
        if not isinstance(self.data, str):
            raise self.error(f"expected {expected}, found {self.kind}", hint)
        return self.data

    def boolean(self) -> bool:
        if not isinstance(self.data, bool):
            raise self.error(f"expected true or false, found {self.kind}")
        return self.data

    @property
    def is_null(self) -> bool:
        return bool(self.node.tag == "tag:yaml.org,2002:null")

    @property
    def kind(self) -> str:
        """The kind of value, in words for a message."""
        if isinstance(self.node, MappingNode):
            return "a mapping"
        if isinstance(self.node, SequenceNode):
            return "a list"
        if self.is_null:
            return "nothing"
        name = {"str": "the string", "int": "the number", "float": "the number", "bool": "the value"}
        return f"{name.get(self.node.tag.rpartition(':')[2], 'the value')} '{shortened(self.node.value)}'"


def read_document(path: Path, text: str | None = None, *, within: Roots | None = ()) -> Document:
    """Reads one YAML document from a file inside ``within``.

    Raises YamlError, with the place, also for an empty file, several documents, a duplicate key and an exceeded limit.
    """
    if text is None:
        text = read_text(path, within)
    if len(text) > MAXIMUM_BYTES:
        raise _too_large(path)

    node = _tree(path, text)
    if isinstance(node, YamlError):
        raise YamlError(node.message, location=node.location, hint=node.hint) from node.__cause__
    if node is None:
        raise YamlError("the file is empty", location=Location(path))
    return Document(path, text, node, within)


@lru_cache(maxsize=2)
def _tree(path: Path, text: str) -> Node | YamlError | None:
    """Cached, errors too, because a check reads a flow file both as a document and as the flow."""

    def refuse(message: str, line: int, column: int, hint: str | None) -> YamlError:
        return YamlError(message, location=Location(path, line + 1, column + 1), hint=hint)

    try:
        return compose(text, refuse)
    except YamlError as error:
        return error


def read_text(path: Path, within: Roots | None) -> str:
    return reading.read_text(path, limit=MAXIMUM_BYTES, within=within, error=YamlError)


def _too_large(path: Path) -> YamlError:
    return YamlError(f"the file is larger than {MAXIMUM_BYTES // 2**20} MB", location=Location(path))


def _merged(node: MappingNode) -> Iterator[tuple[Node, Node]]:
    """The pairs of a mapping with ``<<`` merged in; its own keys win over merged ones."""
    own: list[tuple[Node, Node]] = []
    merged: list[tuple[Node, Node]] = []
    for key, value in node.value:
        if key.tag != "tag:yaml.org,2002:merge":
            own.append((key, value))
            continue
        for source in value.value if isinstance(value, SequenceNode) else [value]:
            if isinstance(source, MappingNode):
                merged += _merged(source)
    seen = {key.value for key, _ in own}
    for key, value in merged:
        if key.value not in seen:
            seen.add(key.value)
            yield key, value
    yield from own


def dump(data: Mapping[str, Any]) -> str:
    """Writes a document that YAML 1.1 and 1.2 readers read alike. Keeps the order of the keys."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)


class _Dumper(yaml.SafeDumper):
    def represent_text(self, text: str) -> ScalarNode:
        # Python and YAML 1.2 treat these YAML 1.1 line breaks differently; only double quotes keep them.
        quoted = any(each in text for each in "\x85\u2028\u2029")
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if quoted else None)


_Dumper.add_representer(str, _Dumper.represent_text)

# SafeDumper quotes what YAML 1.1 would not read as a string; 1.2 adds numbers such as 0o17 and 1_000e3.
for _char, _resolvers in Resolver12.yaml_implicit_resolvers.items():
    for _tagged, _regexp in _resolvers:
        _Dumper.add_implicit_resolver(_tagged, _regexp, [_char])
