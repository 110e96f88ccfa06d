"""Reads a Jinja template without running any of it: which variables it needs, or why Jinja cannot parse it.

``jinja2.meta`` answers by generating code, which works out constants: ``{{ 'a' * 10**10 }}`` takes all memory. Here the
template is only parsed, and its scopes are followed in the tree by the rules of ``jinja2.idtracking`` and
``jinja2.compiler`` 3.1; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.compiler import find_undeclared
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.filters import FILTERS
from jinja2.tests import TESTS

MAXIMUM_NODES = 200_000
MAXIMUM_MARKS = 10_000
"""``{{``, ``{%`` and ``{#`` of one template: Jinja takes some forty microseconds for each."""
MAXIMUM_CODE = 40_000
"""Characters between marks, of one template: Jinja takes some twenty microseconds for each."""
MAXIMUM_IFS = 50
"""Levels of them: a name that is set in the innermost counts in each level around it."""
_MARK = re.compile(r"\{[{%#]")
_END = re.compile(r"[}%]\}")
_IN_MACROS = frozenset({"caller", "kwargs", "varargs"})
_IN_BLOCKS = frozenset({"self", "super"})
_FORGIVING_TESTS = {"defined", "undefined", "none"}
_FORGIVING_FILTERS = {"default", "d"}
_SCOPES = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.With, nodes.FilterBlock, nodes.AssignBlock, nodes.Scope)


class TemplateProblem(NamedTuple):
    message: str
    line: int


class Use(NamedTuple):
    """A variable, and the first line that has its name."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class ReadTemplate:
    """``undeclared`` are the variables that whatever renders the template must give; ``needed`` those of them that it
    does not ask for with care (``{% if name %}``, ``name is defined``, ``name | default``)."""

    undeclared: tuple[Use, ...] = ()
    needed: tuple[Use, ...] = ()
    problem: TemplateProblem | None = None


def read_template(text: str) -> ReadTemplate:
    too_much = _too_much(text)
    if too_much:
        return ReadTemplate(problem=too_much)
    try:
        tree = Environment(autoescape=True).parse(text)
        names = _Undeclared().of(tree)
    except TemplateSyntaxError as error:
        return ReadTemplate(problem=TemplateProblem(error.message or "", error.lineno))
    except RecursionError:
        return ReadTemplate(problem=TemplateProblem("nested too deeply", 1))
    except ValueError:  # of a whole number of thousands of digits
        return ReadTemplate(problem=TemplateProblem("a number with too many digits", 1))
    except _RefusedError as refused:
        return ReadTemplate(problem=TemplateProblem(str(refused), refused.line))
    undeclared = []
    cared_for = set()
    left = set(names)
    for node in _all(tree):
        for name in left.intersection(_names_in(node)) if left else ():
            left.remove(name)
            undeclared.append(Use(name, node.lineno))
        cared_for |= set(_asked_with_care(node))
    return ReadTemplate(tuple(undeclared), tuple(use for use in undeclared if use.name not in cared_for))


def _too_much(text: str) -> TemplateProblem | None:
    """What would take Jinja long is refused before it is parsed."""
    code, end = 0, 0
    for number, mark in enumerate(_MARK.finditer(text), start=1):
        if number > MAXIMUM_MARKS:
            return _beyond(f"{MAXIMUM_MARKS:,} expressions and blocks", text, mark.start())
        if mark.start() < end or mark[0] == "{#":
            continue
        closing = _END.search(text, mark.end())
        end = closing.start() if closing else len(text)
        code += end - mark.end()
        if code > MAXIMUM_CODE:
            return _beyond(f"{MAXIMUM_CODE:,} characters of expressions and blocks", text, mark.start())
    return None


def _beyond(what: str, text: str, place: int) -> TemplateProblem:
    return TemplateProblem(f"more than {what}", text.count("\n", 0, place) + 1)


def _all(tree: nodes.Node) -> Iterator[nodes.Node]:
    """Level by level, as Jinja's own ``find_all`` does not: no level of it costs another generator."""
    level: list[nodes.Node] = [tree]
    while level:
        yield from level
        level = [child for node in level for child in node.iter_child_nodes()]


def _names_in(node: nodes.Node) -> tuple[str, ...]:
    if isinstance(node, (nodes.Name, nodes.NSRef, nodes.Macro)):
        return (node.name,)
    if isinstance(node, nodes.Import):
        return (node.target,)
    return _imported_names(node) if isinstance(node, nodes.FromImport) else ()


def _imported_names(node: nodes.FromImport) -> tuple[str, ...]:
    return tuple(name[1] if isinstance(name, tuple) else name for name in node.names)


def _asked_with_care(node: nodes.Node) -> Iterator[str]:
    asked: object = None
    if isinstance(node, (nodes.Test, nodes.Filter)):
        forgiving = _FORGIVING_TESTS if isinstance(node, nodes.Test) else _FORGIVING_FILTERS
        asked = node.node if node.name in forgiving else None
    elif isinstance(node, (nodes.If, nodes.CondExpr)):
        asked = node.test  # {% if context %}: may be left out
    if isinstance(asked, nodes.Name):
        yield asked.name


class _RefusedError(Exception):
    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class _Frame:
    """What one scope refers to and sets, by name, as far as it has been gone through."""

    refers: set[str] = field(default_factory=set)
    sets: set[str] = field(default_factory=set)
    asks: set[str] = field(default_factory=set)
    """Names that the scope looks up in what the template is rendered with."""
    inner: list[tuple[nodes.Node, int]] = field(default_factory=list)
    """Nodes with scopes of their own, and how many ifs are around each: they see all names of this one."""
    added: list[tuple[set[str], str]] = field(default_factory=list)
    """What was added to these, in turn, so that a branch can be taken back."""

    def add(self, to: set[str], name: str) -> None:
        if name not in to:
            to.add(name)
            self.added.append((to, name))

    def take_back(self, length: int) -> list[tuple[set[str], str]]:
        taken, self.added[length:] = self.added[length:], []
        for names, name in taken:
            names.discard(name)
        return taken


class _Undeclared:
    """Names that a template looks up in what it is rendered with.

    A scope is gone through as a whole before those within it. In an ``if`` each branch sees what was set before the
    ``if``; a name that one of them sets, and no scope around knows, is looked up where another is taken.
    """

    def __init__(self) -> None:
        self._found: set[str] = set()
        self._around: dict[str, int] = {}
        self._frame = _Frame()
        self._nodes = 0
        self._ifs = 0

    def of(self, tree: nodes.Template) -> set[str]:
        self._scope(tree.body, given={"self"})
        for block in tree.find_all(nodes.Block):
            self._scope(block.body, given=_IN_BLOCKS)
        return self._found - set(DEFAULT_NAMESPACE)

    def _scope(
        self, body: Iterable[nodes.Node], *, given: Iterable[str] = (), before: Iterable[nodes.Node] = ()
    ) -> None:
        """``given`` are names that the scope has of itself, ``before`` what is gone through before its body."""
        outer, self._frame = self._frame, _Frame()
        try:
            for name in given:
                self._set(name)
            for node in (*before, *body):
                self._go(node)
            frame = self._frame
            self._found |= frame.asks
            for name in frame.refers:
                self._around[name] = self._around.get(name, 0) + 1
            for node, ifs in frame.inner:
                self._ifs = ifs
                self._open(node)
            for name in frame.refers:
                self._around[name] -= 1
        finally:
            self._frame = outer

    def _open(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.For):
            self._scope(node.body, given={"loop"}, before=(node.target,))
            self._scope(node.else_ or ())
            if node.test is not None:
                self._scope((node.test,), before=(node.target,))
        elif isinstance(node, (nodes.Macro, nodes.CallBlock)):
            # Jinja gives a macro those of the names that its body uses; in a default alone they are variables.
            given = find_undeclared(node.body, _IN_MACROS)
            self._scope(node.body, given=given, before=(*node.args, *node.defaults))
        elif isinstance(node, nodes.With):
            self._scope(node.body, before=node.targets)
        elif isinstance(node, nodes.FilterBlock):
            self._scope((*node.body, node.filter))
        elif isinstance(node, (nodes.AssignBlock, nodes.Scope)):
            self._scope(node.body)

    def _go(self, node: nodes.Node) -> None:
        self._nodes += 1
        if self._nodes > MAXIMUM_NODES:
            raise _RefusedError(f"more than {MAXIMUM_NODES:,} expressions", node.lineno)
        self._check_known(node)
        if isinstance(node, nodes.Name):
            if node.ctx == "load":
                self._look_up(node.name)
            else:
                self._set(node.name)
        elif isinstance(node, nodes.NSRef):
            self._look_up(node.name)
        elif isinstance(node, nodes.If):
            self._branches(node)
        elif isinstance(node, nodes.Assign):
            self._go(node.node)
            self._go(node.target)
        elif isinstance(node, nodes.CondExpr):
            self._ifs += 1
            self._children(node)
            self._ifs -= 1
        elif isinstance(node, _SCOPES):
            self._frame.inner.append((node, self._ifs))
            self._beside_a_scope(node)
        elif not isinstance(node, nodes.Block):  # a block sees nothing of where it is
            self._children(node)
            self._imported(node)

    def _children(self, node: nodes.Node) -> None:
        for child in node.iter_child_nodes():
            self._go(child)

    def _check_known(self, node: nodes.Node) -> None:
        """Jinja refuses what it does not know, except where an ``if`` may keep it from being used."""
        if self._ifs:
            return
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            raise _RefusedError(f"there is no filter '{node.name}'", node.lineno)
        if isinstance(node, nodes.Test) and node.name not in TESTS:
            raise _RefusedError(f"there is no test '{node.name}'", node.lineno)

    def _beside_a_scope(self, node: nodes.Node) -> None:
        """The parts of a node with a scope of its own that belong to the scope around it."""
        if isinstance(node, nodes.Macro):
            self._set(node.name)
        elif isinstance(node, nodes.For):
            self._go(node.iter)
        elif isinstance(node, nodes.CallBlock):
            self._go(node.call)
        elif isinstance(node, nodes.FilterBlock):
            self._go(node.filter)
        elif isinstance(node, nodes.With):
            for value in node.values:
                self._go(value)
        elif isinstance(node, nodes.AssignBlock):
            self._go(node.target)
            if node.filter is not None:
                self._go(node.filter)

    def _imported(self, node: nodes.Node) -> None:
        if isinstance(node, nodes.Import):
            self._set(node.target)
        elif isinstance(node, nodes.FromImport):
            for name in _imported_names(node):
                self._set(name)

    def _branches(self, node: nodes.If) -> None:
        self._go(node.test)
        frame = self._frame
        self._ifs += 1
        if self._ifs > MAXIMUM_IFS:
            raise _RefusedError("nested too deeply", node.lineno)
        taken: list[tuple[set[str], str]] = []
        for body in (node.body, node.elif_, node.else_ or ()):
            before = len(frame.added)
            for each in body:
                self._go(each)
            taken += frame.take_back(before)
        self._ifs -= 1
        for names, name in taken:
            frame.add(names, name)
            if names is frame.sets and not self._around.get(name):
                frame.add(frame.asks, name)

    def _look_up(self, name: str) -> None:
        frame = self._frame
        if name not in frame.refers and not self._around.get(name):
            frame.add(frame.asks, name)
            frame.add(frame.refers, name)

    def _set(self, name: str) -> None:
        self._frame.add(self._frame.sets, name)
        self._frame.add(self._frame.refers, name)
