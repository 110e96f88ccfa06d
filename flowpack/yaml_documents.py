"""YAML as promptflow reads it, with a line and a column for each value.

promptflow reads YAML 1.2 with ruamel.yaml: ``no``, ``on`` and ``off`` are strings and ``1:30`` is no number. PyYAML's
parser and composer are kept (libyaml's where it is there) and the 1.1 rules for plain scalars are replaced by ruamel's
rules for 1.2. What is read comes out as plain Python values; ``Value`` walks the tree with the location of each.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.resolver import BaseResolver

from flowpack.errors import InputError, Location, YamlError

try:
    from yaml.cyaml import CParser as _ParserBase  # type: ignore[attr-defined]
except ImportError:  # PyYAML without libyaml
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _ParserBase(Reader, Scanner, Parser, Composer):  # type: ignore[no-redef]
        def __init__(self, stream: str) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)


MAXIMUM_BYTES = 4 * 1024 * 1024
MAXIMUM_NODES = 200_000
"""Counted with aliases followed, so that a small file cannot grow without bound when it is read."""


class _Resolver12(BaseResolver):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    (
        "float",
        r"^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        "-+0123456789.",
    ),
    ("int", r"^(?:[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+)$", "-+0123456789"),
    ("merge", r"^<<$", "<"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("timestamp", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "0123456789"),
):
    _Resolver12.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


class _Constructor12(SafeConstructor):
    def construct_yaml_int(self, node: ScalarNode) -> int:
        text = str(self.construct_scalar(node)).replace("_", "")
        sign, text = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
        for prefix, base in (("0b", 2), ("0x", 16), ("0o", 8)):
            if text.startswith(prefix):
                return sign * int(text[2:], base)
        return sign * int(text)

    def construct_yaml_float(self, node: ScalarNode) -> float:
        text = str(self.construct_scalar(node)).replace("_", "").lower()
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))


_Constructor12.add_constructor("tag:yaml.org,2002:int", _Constructor12.construct_yaml_int)  # type: ignore[type-var]
_Constructor12.add_constructor("tag:yaml.org,2002:float", _Constructor12.construct_yaml_float)  # type: ignore[type-var]


class _Loader(_ParserBase, _Constructor12, _Resolver12):
    def __init__(self, stream: str) -> None:
        _ParserBase.__init__(self, stream)
        _Constructor12.__init__(self)
        _Resolver12.__init__(self)


@dataclass(frozen=True)
class Document:
    """A YAML file as it was read: its text, and the root of its tree."""

    path: Path
    text: str
    node: Node

    @cached_property
    def root(self) -> Value:
        return Value(self, self.node, "")


@dataclass(frozen=True)
class Value:
    """One value of a document; ``trail`` names it as a person would: ``nodes[0].source.path``."""

    document: Document
    node: Node
    trail: str

    @property
    def location(self) -> Location:
        mark = self.node.start_mark
        return Location(self.document.path, mark.line + 1, mark.column + 1)

    @cached_property
    def data(self) -> Any:
        constructor = _Constructor12()
        try:
            return constructor.construct_document(self.node)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise _unreadable(self.document.path, error, self.location) from error

    @property
    def is_mapping(self) -> bool:
        return isinstance(self.node, MappingNode)

    def error(self, message: str, hint: str | None = None) -> InputError:
        return InputError(f"{self.trail}: {message}" if self.trail else message, location=self.location, hint=hint)

    def mapping(self, expected: str = "a mapping") -> dict[str, Value]:
        if not isinstance(self.node, MappingNode):
            raise self.error(f"expected {expected}, found {self.kind}")
        dot = "." if self.trail else ""
        pairs = ((str(key.value), value) for key, value in _merged(self.node))
        return {key: Value(self.document, value, f"{self.trail}{dot}{key}") for key, value in pairs}

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
        """What the value is, in words for a message."""
        if isinstance(self.node, MappingNode):
            return "a mapping"
        if isinstance(self.node, SequenceNode):
            return "a list"
        if self.is_null:
            return "nothing"
        name = {"str": "the string", "int": "the number", "float": "the number", "bool": "the value"}
        return f"{name.get(self.node.tag.rpartition(':')[2], 'the value')} '{self.node.value}'"


def read_document(path: Path, text: str | None = None) -> Document:
    """Reads one YAML document; a YamlError says where it cannot be read.

    An empty file, several documents, a duplicate key and a file beyond the limits are errors.
    """
    if text is None:
        text = _read_text(path)
    if len(text) > MAXIMUM_BYTES:
        raise YamlError(f"the file is larger than {MAXIMUM_BYTES // 2**20} MB", location=Location(path))
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except (yaml.YAMLError, RecursionError) as error:
        raise _unreadable(path, error) from error
    if node is None:
        raise YamlError("the file is empty", location=Location(path))
    _check(path, node)
    return Document(path, text, node)


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAXIMUM_BYTES * 2 else b" " * (MAXIMUM_BYTES + 1)
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise YamlError("the file is not UTF-8", location=Location(path, line), hint="save it as UTF-8") from error
    except OSError as error:
        raise YamlError(f"cannot be read: {error.strerror}", location=Location(path)) from error


def _unreadable(path: Path, error: BaseException, location: Location | None = None) -> YamlError:
    if isinstance(error, RecursionError):
        return YamlError("nested too deeply", location=location or Location(path))
    if not isinstance(error, yaml.MarkedYAMLError):
        return YamlError(f"broken YAML: {error}", location=location or Location(path))
    mark = error.problem_mark or error.context_mark
    problem = " ".join(part for part in (error.problem, error.context) if part)
    hint = None
    if "\\t" in problem or "cannot start any token" in problem:
        hint = "YAML does not allow tabs for indentation, nor a value that starts with @ or `"
    where = Location(path, mark.line + 1, mark.column + 1) if mark else Location(path)
    return YamlError(f"broken YAML: {problem}", location=where, hint=hint)


def _check(path: Path, root: Node) -> None:
    """Refuses duplicate keys, keys that are no scalars, loops of aliases and trees that aliases make huge."""
    sizes: dict[int, int] = {}
    on_the_way: set[int] = set()

    def size(node: Node) -> int:
        known = sizes.get(id(node))
        if known is not None:
            return known
        where = Location(path, node.start_mark.line + 1, node.start_mark.column + 1)
        if id(node) in on_the_way:
            raise YamlError("an alias refers to what contains it", location=where)
        on_the_way.add(id(node))
        total = 1
        if isinstance(node, MappingNode):
            _check_keys(path, node)
            total += sum(size(key) + size(value) for key, value in node.value)
        elif isinstance(node, SequenceNode):
            total += sum(size(item) for item in node.value)
        if total > MAXIMUM_NODES:
            raise YamlError(f"more than {MAXIMUM_NODES:,} values once its aliases are followed", location=where)
        on_the_way.discard(id(node))
        sizes[id(node)] = total
        return total

    try:
        size(root)
    except RecursionError as error:
        raise _unreadable(path, error) from error


def _check_keys(path: Path, node: MappingNode) -> None:
    first: dict[Hashable, Node] = {}
    for key, _ in node.value:
        where = Location(path, key.start_mark.line + 1, key.start_mark.column + 1)
        if not isinstance(key, ScalarNode):
            raise YamlError("a key must be a plain value", location=where)
        earlier = first.setdefault((key.tag, key.value), key)
        if earlier is not key:
            raise YamlError(
                f"'{key.value}' stands twice in one mapping, first on line {earlier.start_mark.line + 1}",
                location=where,
                hint="keep one of the two",
            )


def _merged(node: MappingNode) -> Iterator[tuple[Node, Node]]:
    """The pairs of a mapping with ``<<`` followed; a mapping's own keys win over merged ones."""
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
    """Writes a document that YAML 1.1 and 1.2 readers read alike, keys in the order given."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120)


class _Dumper(yaml.SafeDumper):
    def represent_text(self, text: str) -> ScalarNode:
        # Line breaks of YAML 1.1 that Python's and YAML 1.2's rules see otherwise: only double quotes keep them.
        quoted = any(each in text for each in "\x85\u2028\u2029")
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if quoted else None)


_Dumper.add_representer(str, _Dumper.represent_text)

# SafeDumper quotes what YAML 1.1 would not read as a string; 1.2 adds numbers such as 0o17 and 1_000e3.
for _char, _resolvers in _Resolver12.yaml_implicit_resolvers.items():
    for _tagged, _regexp in _resolvers:
        _Dumper.add_implicit_resolver(_tagged, _regexp, [_char])
