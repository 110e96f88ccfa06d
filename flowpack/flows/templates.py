"""Finds the variables that a Jinja template needs, or why Jinja cannot parse it, without running any of it.

``jinja2.meta`` generates code, which evaluates constants: ``{{ 'a' * 10**10 }}`` takes all memory. Here the template is
only parsed, and its scopes are followed in the tree by the rules of ``jinja2.idtracking`` and ``jinja2.compiler`` 3.1.
A test compares the two.
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
"""``{{``, ``{%`` and ``{#`` in one template. Jinja takes about 40 µs for each."""
MAXIMUM_CODE = 40_000
"""Characters between marks in one template. Jinja takes about 20 µs for each."""
MAXIMUM_IFS = 50
"""Nested ifs. A name that the innermost one sets is added in each of them."""
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
    """A variable, and the first line with its name."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class ReadTemplate:
    """``undeclared`` are the variables that rendering must provide. ``needed`` are those of them that the template
    never tests first (``{% if name %}``, ``name is defined``, ``name | default``)."""

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
    except ValueError:  # an integer with thousands of digits
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
    """Refuses a template that Jinja would parse slowly, before Jinja gets it."""
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
    """All nodes, level by level. Unlike Jinja's own ``find_all``, it does not nest a generator per level."""
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
        asked = node.test  # {% if context %}: the variable may be missing
    if isinstance(asked, nodes.Name):
        yield asked.name


class _RefusedError(Exception):
    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(slots=True)
class _Frame:
    """The names that one scope refers to and sets, up to the node that was visited last."""

    refers: set[str] = field(default_factory=set)
    sets: set[str] = field(default_factory=set)
    asks: set[str] = field(default_factory=set)
    """Names that the scope looks up in the variables of the rendering."""
    inner: list[tuple[nodes.Node, int]] = field(default_factory=list)
    """Nodes with their own scopes, which see all names of this one, and how many ifs are around each."""
    added: list[tuple[set[str], str]] = field(default_factory=list)
    """Names in the order in which they were added to these sets, so that a branch can be undone."""

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
    """Finds the names that a template looks up in the variables of the rendering.

    A scope is visited completely before the scopes within it. Each branch of an ``if`` sees the names that were set
    before the ``if``. A name that one branch sets, and no outer scope knows, is looked up if another branch runs.
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
        """``given`` are names that the scope itself provides, ``before`` the nodes to visit before its body."""
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
            # Jinja gives a macro the special names that its body uses. If only a default uses one, it is a variable.
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
        elif not isinstance(node, nodes.Block):  # a block does not see the scope around it
            self._children(node)
            self._imported(node)

    def _children(self, node: nodes.Node) -> None:
        for child in node.iter_child_nodes():
            self._go(child)

    def _check_known(self, node: nodes.Node) -> None:
        """Jinja refuses an unknown filter or test, unless an ``if`` may keep it from being used."""
        if self._ifs:
            return
        if isinstance(node, nodes.Filter) and node.name not in FILTERS:
            raise _RefusedError(f"there is no filter '{node.name}'", node.lineno)
        if isinstance(node, nodes.Test) and node.name not in TESTS:
            raise _RefusedError(f"there is no test '{node.name}'", node.lineno)

    def _beside_a_scope(self, node: nodes.Node) -> None:
        """Visits the parts of a node with its own scope that belong to the scope around it."""
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
