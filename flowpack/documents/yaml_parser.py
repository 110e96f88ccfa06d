"""Parses text by promptflow's rules into a tree of YAML nodes that is safe to walk.

promptflow reads YAML 1.2 with ruamel.yaml: ``no``, ``on`` and ``off`` are strings, and ``1:30`` is not a number. This
module uses PyYAML's parser and composer (libyaml's if available), with ruamel's 1.2 rules for plain scalars in place of
the 1.1 rules. A differential test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Any, NamedTuple

import yaml
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.resolver import BaseResolver

from flowpack.documents.yaml_tokens import ParserBase, Refuse, check_characters, check_tokens, tab_error
from flowpack.errors import YamlError

MAXIMUM_NODES = 20_000
"""A flow of 100 nodes has about 2,500 values; checking this many takes a second.

Values are counted as written, and again with aliases followed, so that a small file cannot grow without bound.
"""
MAXIMUM_DEPTH = 100
"""promptflow's own reader fails at about 200; recursion in libyaml's composer would crash the process."""
MAXIMUM_CHARACTERS = 16 * 1024 * 1024
"""Of all texts together, with aliases followed, because written documents have no aliases."""
MAXIMUM_DIGITS = 1000
"""Python neither reads nor writes integers of more than a few thousand digits."""
_LARGEST_HASH = 2**61 - 2
_MOST_LARGE_KEYS = 100
"""Python's hash of an integer is its remainder by ``_LARGEST_HASH + 1``: larger integers may all share one hash."""

_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = {_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp")}
_MERGE = _TAG + "merge"


class Resolver12(BaseResolver):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012


for _name, _pattern, _first in (
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
    (
        "timestamp",
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$|^[0-9]{4}-[0-9][0-9]?-[0-9][0-9]?(?:[Tt]|[ \t]+)[0-9][0-9]?:[0-9]{2}:[0-9]{2}"
        r"(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9][0-9]?(?::[0-9][0-9])?))?$",
        "0123456789",
    ),
    ("value", r"^=$", "="),
):
    Resolver12.add_implicit_resolver(_TAG + _name, re.compile(_pattern), list(_first))


class Constructor12(SafeConstructor):
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


Constructor12.add_constructor(_TAG + "int", Constructor12.construct_yaml_int)  # type: ignore[type-var]
Constructor12.add_constructor(_TAG + "float", Constructor12.construct_yaml_float)  # type: ignore[type-var]


class _LimitError(Exception):
    def __init__(self, message: str, node: Node) -> None:
        super().__init__(message)
        self.node = node


class _Composer(ParserBase, Resolver12):
    """Enforces the limits while it composes: the composer calls the resolver before it descends into a node."""

    def __init__(self, text: str) -> None:
        ParserBase.__init__(self, text)
        Resolver12.__init__(self)
        self._nodes = 0
        self._depth = 0

    def descend_resolver(self, current_node: Node | None, current_index: object) -> None:  # noqa: ARG002
        self._nodes += 1
        self._depth += 1
        if current_node is not None and self._nodes > MAXIMUM_NODES:
            raise _LimitError(f"more than {MAXIMUM_NODES:,} values", current_node)
        if current_node is not None and self._depth > MAXIMUM_DEPTH:
            raise _LimitError("nested too deeply", current_node)

    def ascend_resolver(self) -> None:
        self._depth -= 1


def compose(text: str, refuse: Refuse) -> Node | None:
    """The document's tree, None if it is empty. Refuses several documents, and trees that are not safe to walk."""
    check_characters(text, refuse)
    try:
        node = _Composer(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _refused(text, error, refuse) from error
    except yaml.YAMLError as error:
        raise refuse(f"broken YAML: {error}", 0, 0, None) from error
    except _LimitError as limit:
        mark = limit.node.start_mark
        raise refuse(str(limit), mark.line, mark.column, None) from limit
    if node is None:
        return None
    check_tokens(text, refuse)
    _Check(refuse).tree(node)
    return node


def _refused(text: str, error: yaml.MarkedYAMLError, refuse: Refuse) -> YamlError:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return refuse(f"broken YAML: {error}", 0, 0, None)
    if error.problem == "but found another document":
        return refuse("another document starts here, but a flow file holds one", mark.line, mark.column, None)
    if error.context_mark and "duplicate anchor" in (error.context or ""):
        message = f"line {error.context_mark.line + 1} already has an anchor of this name"
        return refuse(message, mark.line, mark.column, "give it another name")
    if "maximum nesting depth" in (error.problem or ""):  # libyaml's own limit, which PyYAML 6.0.4 sets
        return refuse("nested too deeply", mark.line, mark.column, None)
    if text[mark.index : mark.index + 1] == "\t":
        return tab_error(mark.line, mark.column, refuse)
    problem = " ".join(part for part in (error.problem, error.context) if part)
    hint = None
    if "cannot start any token" in problem:
        hint = "put a value that starts with @ or ` in quotes"
    return refuse(f"broken YAML: {problem}", mark.line, mark.column, hint)


class _Measure(NamedTuple):
    """The number of values, of levels, and of characters in all texts, with aliases followed."""

    values: int
    levels: int
    characters: int


class _Check:
    """Refuses values without a meaning, duplicate keys, loops, and growth through aliases."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse_at = refuse
        self._constructor = Constructor12()
        self._measured: dict[int, _Measure] = {}
        self._on_the_way: set[int] = set()

    def tree(self, node: Node) -> _Measure:
        """Checks a node and returns its measure, itself included, with aliases followed."""
        known = self._measured.get(id(node))
        if known is not None:
            return known
        if id(node) in self._on_the_way:
            raise self._refuse("an alias refers to a value that contains it", node)
        self._on_the_way.add(id(node))
        if isinstance(node, ScalarNode):
            self._value(node)
            measure = _Measure(1, 1, len(node.value))
        else:
            measure = self._collection(node)
        self._on_the_way.discard(id(node))
        self._measured[id(node)] = measure
        return measure

    def _collection(self, node: Node) -> _Measure:
        is_mapping = isinstance(node, MappingNode)
        if node.tag != _TAG + ("map" if is_mapping else "seq"):
            raise self._no_meaning(node)
        if isinstance(node, MappingNode):
            self._keys(node)
        children = [each for pair in node.value for each in pair] if is_mapping else node.value
        measured = [self.tree(child) for child in children]
        size = 1 + sum(each.values for each in measured)
        depth = 1 + max((each.levels for each in measured), default=0)
        characters = sum(each.characters for each in measured)
        if size > MAXIMUM_NODES:
            raise self._refuse(f"more than {MAXIMUM_NODES:,} values once its aliases are followed", node)
        if depth > MAXIMUM_DEPTH:
            raise self._refuse("nested too deeply once its aliases are followed", node)
        if characters > MAXIMUM_CHARACTERS:
            megabytes = MAXIMUM_CHARACTERS // 2**20
            raise self._refuse(f"more than {megabytes} MB of text once its aliases are followed", node)
        return _Measure(size, depth, characters)

    def _keys(self, node: MappingNode) -> None:
        first: dict[Hashable, Node] = {}
        large_keys = 0
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise self._refuse("a key must be a plain value", key)
            if key.tag == _MERGE:
                self._measured[id(key)] = _Measure(1, 1, 2)  # as a value it would be refused
                self._merged(value)
            known = (_MERGE,) if key.tag == _MERGE else self._value(key)
            large_keys += isinstance(known, int) and abs(known) > _LARGEST_HASH
            if large_keys > _MOST_LARGE_KEYS:
                message = f"more than {_MOST_LARGE_KEYS} keys of one mapping are large numbers"
                raise self._refuse(message, key, "put them in quotes")
            earlier = first.setdefault(known, key)
            if earlier is not key:
                line = earlier.start_mark.line + 1
                message = f"'{shortened(key.value)}' appears twice in one mapping, first on line {line}"
                raise self._refuse(message, key, "keep one of the two")

    def _merged(self, value: Node) -> None:
        for each in value.value if isinstance(value, SequenceNode) else [value]:
            if not isinstance(each, MappingNode):
                raise self._refuse("'<<' takes a mapping or a list of mappings", each)

    def _value(self, node: ScalarNode) -> Hashable:
        """The scalar's value. Values other than text are constructed, to check that they are valid."""
        if node.tag == _TAG + "str":
            return str(node.value)
        if node.tag in {_MERGE, _TAG + "value"}:
            raise self._refuse(f"'{node.value}' has a special meaning in YAML", node, "put it in quotes")
        if node.tag not in _SCALAR_TAGS:
            raise self._no_meaning(node)
        if node.tag == _TAG + "int" and len(node.value) > MAXIMUM_DIGITS:
            message = f"'{shortened(node.value)}' is a number of more than {MAXIMUM_DIGITS:,} digits"
            raise self._refuse(message, node, "put it in quotes if it is text")
        try:
            value: Hashable = self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError, KeyError, OverflowError, AttributeError) as error:
            kind = node.tag.removeprefix(_TAG)
            raise self._refuse(
                f"'{shortened(node.value)}' is not a valid {kind}", node, "put it in quotes if it is text"
            ) from error
        return value

    def _no_meaning(self, node: Node) -> YamlError:
        tag = "!!" + node.tag.removeprefix(_TAG) if node.tag.startswith(_TAG) else node.tag
        return self._refuse(f"the tag {shortened(tag)} is not allowed here", node, "remove it")

    def _refuse(self, message: str, node: Node, hint: str | None = None) -> YamlError:
        return self._refuse_at(message, node.start_mark.line, node.start_mark.column, hint)


def shortened(text: str) -> str:
    """Shortens a value for a message: it may be a whole document."""
    return text if len(text) <= 60 else text[:60] + "…"
