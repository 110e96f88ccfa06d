"""The type that promptflow derives from a parameter's annotation and default, without running either.

The rules are those of ``param_to_definition`` of promptflow-core 1.18.5; a differential test compares the two. An
imported class becomes ``object``, because the file that defines it is not read.
"""

from __future__ import annotations

import ast
import enum
from typing import Any

from flowpack.flows.connection_types import CONNECTION_TYPES
from flowpack.flows.python_source import LOCAL, PythonSource, last_name

_VALUE_TYPES = {
    "int": "int",
    "float": "double",
    "bool": "bool",
    "str": "string",
    "typing.Text": "string",
    "list": "list",
}
_OF_PROMPTFLOW = {
    "Secret": "secret",
    "PromptTemplate": "prompt_template",
    "FilePath": "file_path",
    "Image": "image",
    "AssistantDefinition": "assistant_definition",
}
_MODEL_CONFIGURATIONS = {"AzureOpenAIModelConfiguration", "OpenAIModelConfiguration"}
_ENUMS = {f"enum.{name}" for name in ("Enum", "IntEnum", "StrEnum", "Flag", "IntFlag")}
_STRONG_TYPE = "CustomStrongTypeConnection"
_STANDARD = {
    "typing",
    "typing_extensions",
    "collections",
    "pathlib",
    "datetime",
    "dict",
    "set",
    "tuple",
    "bytes",
    "object",
}
_OBJECT = ("object",)

_WRITTEN_AS_TEXT = (
    "has a string as its annotation, which promptflow does not read; write the type without quotes and without "
    "'from __future__ import annotations'"
)
_NO_TYPE_OF_A_REQUEST = "has a type that promptflow does not serve; use dict, list, str, int, float or bool"


_MOST_MEMBERS = 1000
"""Parts of one annotation that are read."""


class _Computed(enum.Enum):
    COMPUTED = "known once the code runs"


COMPUTED = _Computed.COMPUTED
"""Marks a default that is not a literal."""


class Annotation:
    """``types`` are promptflow's names, several for a union of connections. ``why_not_served`` is for flex flows."""

    def __init__(self, source: PythonSource, node: ast.expr, *, model_configurations: bool = False) -> None:
        self.types: tuple[str, ...] = _OBJECT
        self.options: tuple[str, ...] = ()
        self.why_not_served: str | None = None
        if is_text(source, node):
            self.why_not_served = _WRITTEN_AS_TEXT
            return
        members = members_of(source, node)
        connections = [_connection(source, member) for member in members]
        if all(connections):
            self.types = tuple(dict.fromkeys(each for each in connections if each))
        elif len(members) == 1:
            self._single(source, members[0], model_configurations)
        if self.types == _OBJECT and all(_is_known(source, each) and not _is_dict(source, each) for each in members):
            self.why_not_served = _NO_TYPE_OF_A_REQUEST

    def _single(self, source: PythonSource, member: ast.expr, model_configurations: bool) -> None:
        name = source.full_name(member)
        last = name.rpartition(".")[2]
        owner = source.local_class(member)
        if owner is not None and _is_enum(source, owner):
            self.types, self.options = ("string",), _options(source, owner)
        elif name in _VALUE_TYPES:
            self.types = (_VALUE_TYPES[name],)
        elif name.startswith("promptflow.") and last in _OF_PROMPTFLOW:
            self.types = (_OF_PROMPTFLOW[last],)
        elif name.startswith("promptflow.") and last in _MODEL_CONFIGURATIONS and model_configurations:
            self.types = (last,)


def is_text(source: PythonSource, node: ast.expr) -> bool:
    """Whether Python keeps the annotation as a string. ``None`` never becomes one."""
    is_none = isinstance(node, ast.Constant) and node.value is None
    return not is_none and (source.annotations_are_text or isinstance(node, ast.Constant))


def members_of(source: PythonSource, annotation: ast.expr) -> list[ast.expr]:
    """The types of a ``Union`` or ``Optional`` without None, each once. To promptflow, ``A | B`` is not a union."""
    meant = source.meant(annotation)
    return source.once("members", meant, lambda: list(_members(source, meant).values())) or [annotation]


def _members(source: PythonSource, annotation: ast.expr) -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    waiting = [annotation]
    for _ in range(_MOST_MEMBERS):  # an alias of a union may be one of its members
        if not waiting:
            break
        node = source.meant(waiting.pop())
        if isinstance(node, ast.Subscript) and source.full_name(node.value) in {"typing.Union", "typing.Optional"}:
            waiting += reversed(node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice])
        elif not (isinstance(node, ast.Constant) and node.value is None):
            found.setdefault(source.full_name(node) or _dumped(node), node)
    return found


def _dumped(node: ast.expr) -> str:
    try:
        return ast.dump(node)
    except RecursionError:
        return f"at {node.lineno}:{node.col_offset}"


def default_of(source: PythonSource, node: ast.expr) -> Any:
    """A default's value, or COMPUTED if the source does not show it. An enum's member becomes its value."""
    meant = source.meant(node)
    return source.once("default", meant, lambda: _default_of(source, meant))


def _default_of(source: PythonSource, node: ast.expr) -> Any:
    if isinstance(node, ast.Attribute):
        owner = source.local_class(node.value)
        return _enum_members(source, owner).get(node.attr, COMPUTED) if owner else COMPUTED
    try:
        return COMPUTED if _has_a_huge_number(node) else ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return COMPUTED


def _has_a_huge_number(node: ast.expr) -> bool:
    """A number too long for Python to write in decimal. Python still reads it in another base, such as hexadecimal."""
    numbers = (each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and type(each.value) is int)
    return any(number.bit_length() > 10_000 for number in numbers)


def type_of_default(source: PythonSource, node: ast.expr) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The types and options of a parameter without an annotation: promptflow uses the default's type."""
    owner = source.local_class(node.value) if isinstance(node, ast.Attribute) else None
    if owner is not None and _is_enum(source, owner):
        return ("string",), _options(source, owner)
    return (_VALUE_TYPES.get(type(default_of(source, node)).__name__, "object"),), ()


def _connection(source: PythonSource, member: ast.expr) -> str | None:
    owner = source.local_class(member)
    if owner is not None:
        ancestors = source.lineage(owner)[1]
        return "CustomConnection" if any(each.endswith(_STRONG_TYPE) for each in ancestors) else None
    name = source.full_name(member).rpartition(".")[2]
    return name if name in CONNECTION_TYPES else "CustomConnection" if name == _STRONG_TYPE else None


def _is_known(source: PythonSource, member: ast.expr) -> bool:
    """Whether the file shows what the type is. An imported class of the project may be an enum, for example."""
    if isinstance(member, ast.Call):
        return False  # known once the code runs
    name = source.full_name(member)
    return not name or name.startswith(LOCAL) or name in _VALUE_TYPES or name.partition(".")[0] in _STANDARD


def _is_dict(source: PythonSource, member: ast.expr) -> bool:
    return source.full_name(member) == "dict"


def _is_enum(source: PythonSource, owner: ast.ClassDef) -> bool:
    return bool(source.lineage(owner)[1] & _ENUMS)


def _options(source: PythonSource, owner: ast.ClassDef) -> tuple[str, ...]:
    def make() -> tuple[str, ...]:
        values = _enum_members(source, owner).values()
        return tuple(dict.fromkeys(str(value) for value in values if value is not COMPUTED))

    return source.once("options", owner, make)


def _enum_members(source: PythonSource, owner: ast.ClassDef) -> dict[str, Any]:
    return source.once("members of an enum", owner, lambda: _find_enum_members(source, owner))


def _find_enum_members(source: PythonSource, owner: ast.ClassDef) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for item in owner.body:
        if isinstance(item, ast.Assign):
            automatic = isinstance(item.value, ast.Call) and last_name(item.value) == "auto"
            value = len(members) + 1 if automatic else default_of(source, item.value)
            members |= {each.id: value for each in item.targets if isinstance(each, ast.Name) and each.id[0] != "_"}
    return members
