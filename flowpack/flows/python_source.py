"""Reads a Python file with ``ast``: its definitions, and what its names mean. Nothing is imported.

None of the flow's code runs, and the packages that it needs do not have to be installed where flowpack runs.
"""

from __future__ import annotations

import ast
import codecs
import warnings
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from flowpack.errors import InputError, Location
from flowpack.reading import Roots, read_bytes

if TYPE_CHECKING:
    from typing_extensions import Self

_T = TypeVar("_T")
Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: TypeAlias = Function | ast.ClassDef | ast.expr

MAXIMUM_BYTES = 1024 * 1024
"""A syntax tree is about a hundred times as large as its text. A larger file is data, not code."""

MAXIMUM_ANCESTORS = 20
"""Base classes within the file that are followed for one class. With more, some of its ancestors are unknown."""

LOCAL = ":"
"""Prefix of the full name of anything that the file itself defines."""


_LONGEST_NAME = 50
"""Attributes of a dotted name. No name that flowpack looks for has more, and aliases can form a circle."""


class PythonSource:
    def __init__(self, text: str | bytes, path: Path | None = None) -> None:
        """Pass ``text`` as bytes to keep its encoding: a Python file may declare one."""
        self.path = path or Path("<text>")
        self._text = text.encode("utf-8", "replace") if isinstance(text, str) else text
        self.tree = _parsed(text)
        self._known: dict[tuple[str, ast.AST], Any] = {}
        self._columns: dict[int, Sequence[int]] = {}

    @classmethod
    def read(cls, path: Path, within: Roots | None) -> Self | None:
        """None if this interpreter cannot parse the file, which shows when the flow runs.

        Also None if flowpack may not read the file, which the assembly of the standalone folder refuses.
        """
        text = read_source(path, within)
        try:
            source = None if text is None else _kept(cast("Any", cls), text, path)
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two are the parser's limits
            return None
        return cast("Self | None", source)

    def location(self, node: ast.stmt | ast.expr | ast.arg) -> Location:
        return Location(self.path, node.lineno, self._column(node.lineno, node.col_offset))

    def _column(self, number: int, offset: int) -> int:
        """``offset`` counts bytes of UTF-8. Long lines are cached: one may hold all of a file's definitions."""
        line = self._lines[number - 1] if number <= len(self._lines) else b""
        if len(line) < 1000:
            return len(line[:offset].decode("utf-8", "replace")) + 1
        if number not in self._columns:
            self._columns[number] = array("I", accumulate(((byte & 0xC0) != 0x80 for byte in line), initial=0))
        columns = self._columns[number]
        return columns[min(offset, len(columns) - 1)] + 1

    @cached_property
    def _lines(self) -> list[bytes]:
        return self._text.removeprefix(codecs.BOM_UTF8).splitlines()

    @cached_property
    def imported_names(self) -> Mapping[str, str]:
        """The full name of each imported name: ``{"AOAI": "promptflow.connections.AzureOpenAIConnection"}``."""
        names: dict[str, str] = {}
        for node in self._imports:
            if isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                names |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in node.names}
            else:
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    names[alias.asname or top] = alias.name if alias.asname else top
        return names

    @cached_property
    def imported_modules(self) -> frozenset[str]:
        """Every absolute import, in full: ``promptflow``, ``promptflow.core.tool``."""
        modules = {name for name in self.imported_names.values() if not name.startswith(".")}
        for node in self._imports:
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
        return frozenset(modules)

    @cached_property
    def _imports(self) -> tuple[ast.Import | ast.ImportFrom, ...]:
        """Every import statement, the outer ones first."""
        return tuple(each for each in _statements(self.tree) if isinstance(each, (ast.Import, ast.ImportFrom)))

    @cached_property
    def definitions(self) -> Mapping[str, Definition]:
        """The function, class or assigned value of each name at the module's top level."""
        found: dict[str, Definition] = {}
        for statement in top_level(self.tree.body):
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found[statement.name] = statement
            elif isinstance(statement, ast.Assign):
                found |= {each.id: statement.value for each in statement.targets if isinstance(each, ast.Name)}
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
                found[statement.target.id] = statement.value
        return found

    @cached_property
    def annotations_are_text(self) -> bool:
        return self.imported_names.get("annotations") == "__future__.annotations"

    def meant(self, node: ast.expr) -> ast.expr:
        """The expression assigned to a name of the module. Any other expression is returned unchanged."""
        for _ in range(10):  # aliases can form a circle: `a = b; b = a`
            given = self.definitions.get(node.id) if isinstance(node, ast.Name) else None
            if not isinstance(given, ast.expr):
                break
            node = given
        return node

    def full_name(self, node: ast.expr) -> str:
        """``promptflow.core.tool`` or ``str``, for example; ``:Colour`` for a name of the file, '' if unknown."""
        attributes: list[str] = []
        node = self.meant(node)
        while isinstance(node, ast.Attribute):
            attributes.append(node.attr)
            if len(attributes) > _LONGEST_NAME:
                return ""
            node = self.meant(node.value)
        if not isinstance(node, ast.Name):
            return ""
        name = LOCAL + node.id if node.id in self.definitions else self.imported_names.get(node.id, node.id)
        return ".".join([name, *reversed(attributes)])

    def defined(self, name: str) -> Definition | None:
        """The function or class that a name of the module refers to, else the expression assigned to it."""
        found = self.definitions.get(name)
        meant = self.meant(found) if isinstance(found, ast.expr) else found
        return self.definitions.get(meant.id) if isinstance(meant, ast.Name) else meant

    def local_class(self, node: ast.expr) -> ast.ClassDef | None:
        name = self.full_name(node)
        found = self.definitions.get(name.removeprefix(LOCAL)) if name.startswith(LOCAL) else None
        return found if isinstance(found, ast.ClassDef) else None

    def lineage(self, node: ast.ClassDef) -> tuple[list[ast.ClassDef], set[str]]:
        """The class and its ancestors in the file, and the full names of its other ancestors."""
        return self.once("lineage", node, lambda: self._find_lineage(node))

    def _find_lineage(self, node: ast.ClassDef) -> tuple[list[ast.ClassDef], set[str]]:
        classes, others, seen = [node], set(), {node}
        left = MAXIMUM_ANCESTORS
        for each in classes:
            for base in self._bases(each):
                left -= 1
                if left < 0:
                    others.add("")
                    return classes, others
                if isinstance(base, str):
                    others.add(base)
                elif base not in seen:
                    seen.add(base)
                    classes.append(base)
        return classes, others

    def _bases(self, owner: ast.ClassDef) -> Sequence[ast.ClassDef | str]:
        """Classes of the file, and full names of others. Cached, since each class of a chain asks for all before it."""

        def make() -> list[ast.ClassDef | str]:
            return [self.local_class(base) or self.full_name(base) for base in owner.bases[: MAXIMUM_ANCESTORS + 1]]

        return self.once("bases", owner, make)

    def method(self, owner: ast.ClassDef, name: str) -> Function | None:
        return next((found for each in self.lineage(owner)[0] if (found := self.own_methods(each).get(name))), None)

    def own_methods(self, owner: ast.ClassDef) -> Mapping[str, Function]:
        """The methods of the class itself. Of several with one name, the last one is used, as in Python."""

        def make() -> dict[str, Function]:
            methods = (each for each in owner.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)))
            return {each.name: each for each in methods}

        return self.once("methods", owner, make)

    def once(self, what: str, node: ast.AST, make: Callable[[], _T]) -> _T:
        """The result of ``make``, cached by node: thousands of parameters may share a type or a default."""
        if (what, node) not in self._known:
            self._known[what, node] = make()
        known: _T = self._known[what, node]
        return known


@lru_cache(maxsize=4)
def _kept(kind: type[PythonSource], text: bytes, path: Path) -> PythonSource:
    """Keeps the last sources with their cached results: several rules ask the same about a file."""
    return kind(text, path)


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement, and every node with statements (a handler, a case), outer ones first; no expressions."""
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        node = waiting.popleft()
        yield node
        for field in ("body", "handlers", "orelse", "finalbody", "cases"):
            children = getattr(node, field, None)
            if isinstance(children, list):
                waiting += children


def _parsed(text: str | bytes) -> ast.Module:
    outcome = _outcome(text)
    if isinstance(outcome, Exception):
        raise outcome.with_traceback(None)
    return outcome


@lru_cache(maxsize=2)
def _outcome(text: str | bytes) -> ast.Module | Exception:
    """Cached, errors too, because several places parse the same file. Nothing changes a tree."""
    with warnings.catch_warnings():  # about string escapes, which only concern the flow
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last two are the parser's limits
            return error


def read_source(path: Path, within: Roots | None) -> bytes | None:
    """The text of a Python file; None if it is larger than ``MAXIMUM_BYTES``, or may not be read."""
    try:
        return read_bytes(path, limit=MAXIMUM_BYTES, within=within)
    except InputError:
        return None


def top_level(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that importing the module runs, including those in ``if``, ``try`` and ``with``."""
    waiting = [iter(statements)]
    while waiting:
        statement = next(waiting[-1], None)
        if statement is None:
            waiting.pop()
            continue
        yield statement
        if isinstance(statement, ast.If) and not _is_main_guard(statement.test):
            waiting.append(iter((*statement.body, *statement.orelse)))
        elif isinstance(statement, ast.With):
            waiting.append(iter(statement.body))
        elif isinstance(statement, ast.Try):
            handlers = [each for handler in statement.handlers for each in handler.body]
            # The last definition of a name wins, so the `try` body comes after its handlers.
            waiting.append(iter((*handlers, *statement.body, *statement.orelse, *statement.finalbody)))


def _is_main_guard(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"


def last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
