"""Finds fields of a DAG flow that promptflow refuses when it loads them, and that a build does not look at."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping

from flowpack.checks.model_calls import APIS, is_of_promptflow_tools
from flowpack.checks.nodes import NodeView
from flowpack.checks.registry import Problem
from flowpack.checks.subject import Subject
from flowpack.checks.values import KIND, at, counts_as_left_out, fields_of, fits, text_of
from flowpack.documents.yaml_documents import Value
from flowpack.errors import FlowpackError, listed, nearest
from flowpack.flows.fields import check_served
from flowpack.flows.tool_packages import PROMPTFLOW_TOOLS

_SOURCE_TYPES = {
    "python": ("code", "package"),
    "llm": ("code",),
    "prompt": ("code",),
    "custom_llm": ("package_with_prompt",),
}
_ANY_SOURCE_TYPE = ("llm", "prompt")
"""Nodes whose source's type promptflow does not look at: it reads the path."""
_NEEDED = {"code": ("path",), "package": ("tool",), "package_with_prompt": ("tool", "path")}


def structure_problems(subject: Subject) -> Iterator[Problem]:
    for key in ("inputs", "outputs"):
        for port in fields_of(subject.root.get(key)).values():
            yield from _port(port)
    for node in subject.nodes:
        type_ = node.type
        if type_ in _SOURCE_TYPES:
            yield from _source(node, _SOURCE_TYPES[type_])
        elif type_ is not None:
            hint = f"use one of: {', '.join(_SOURCE_TYPES)}"
            yield _of(node.fields["type"], f"promptflow has no node type '{type_}'", _near(type_) or hint)
        yield from _activate(node)
        yield from _api(node)


def _near(type_: str) -> str | None:
    near = nearest(type_, list(_SOURCE_TYPES))
    return f"did you mean '{near}'?" if near else None


def _of(value: Value, message: str, hint: str | None = None) -> Problem:
    return Problem.of(value.error(message, hint), value.location)


def _port(port: Value) -> Iterator[Problem]:
    try:
        check_served(port)
    except FlowpackError as error:
        yield Problem.of(error, port.location)
        return
    default, type_ = at(port, "default"), text_of(at(port, "type"))
    if default is not None and type_ in KIND and not fits(default.data, type_):
        message = f"the default is not {KIND[type_]}, so each request without the input fails"
        yield _of(default, message, "remove it, and the input is required" if default.data == "" else None)


def _source(node: NodeView, types: tuple[str, ...]) -> Iterator[Problem]:
    source = node.fields.get("source")
    if source is None or source.is_null:
        yield Problem(f"node '{node.name}' has no source", node.location, "add source: with a type and a path")
        return
    stated = at(source, "type")
    type_ = "code" if stated is None else text_of(stated)
    if node.type in _ANY_SOURCE_TYPE:
        type_ = "code"
    elif stated is not None and type_ not in types:
        yield _of(stated, f"a node of type '{node.type}' cannot have this source", f"write {' or '.join(types)}")
        return
    tool = at(source, "tool") if type_ in {"package", "package_with_prompt"} else None
    name = text_of(tool)
    if tool is not None and name and name.startswith("promptflow.tools.") and name not in PROMPTFLOW_TOOLS:
        near = nearest(name, PROMPTFLOW_TOOLS)
        hint = f"did you mean '{near}'?" if near else f"there are: {listed(PROMPTFLOW_TOOLS)}"
        yield _of(tool, f"promptflow-tools has no tool '{name}'", hint)
    for key in _NEEDED[type_ or "code"]:
        if source.is_mapping and not text_of(at(source, key)):
            yield _of(source, f"the {key} is missing")


def _activate(node: NodeView) -> Iterator[Problem]:
    activate = node.fields.get("activate")
    if activate is None:
        return
    missing = [key for key in ("when", "is") if key not in fields_of(activate)]
    if missing:
        hint = "write when: ${node.output} and is: a value, or remove activate"
        yield _of(activate, f"promptflow needs {' and '.join(missing)}", hint)


def _api(node: NodeView) -> Iterator[Problem]:
    if not is_of_promptflow_tools(node):
        return
    api = node.fields.get("api")
    if api is None or counts_as_left_out(api.data):
        yield Problem(f"node '{node.name}' does not name the API that it calls", node.location, "write api: chat")
    elif str(api.data) not in APIS:
        near = nearest(str(api.data), list(APIS))
        hint = f"did you mean '{near}'?" if near else f"use one of: {', '.join(APIS)}"
        yield _of(api, f"promptflow-tools has no API '{api.data}'", hint)


def circles(waits_for: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """One circle for each group of nodes that wait for each other (Tarjan's strongly connected components)."""
    order = {name: number for number, name in enumerate(waits_for)}
    groups = (set(group) for group in _components(waits_for))
    circular = [group for group in groups if len(group) > 1 or any(name in waits_for[name] for name in group)]
    for group in sorted(circular, key=lambda group: min(order[name] for name in group)):
        yield _way_back(min(group, key=order.__getitem__), waits_for, group)


def _components(waits_for: Mapping[str, list[str]]) -> Iterator[list[str]]:
    found: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    on_path: set[str] = set()
    for start in waits_for:
        waiting = [(start, iter(waits_for[start]))] if start not in found else []
        if waiting:
            found[start] = lowest[start] = len(found)
            path.append(start)
            on_path.add(start)
        while waiting:
            name, others = waiting[-1]
            other = next(others, None)
            if other is None:
                waiting.pop()
                if waiting:
                    lowest[waiting[-1][0]] = min(lowest[waiting[-1][0]], lowest[name])
                if lowest[name] == found[name]:
                    at = _place_of(path, name)
                    yield path[at:]
                    on_path.difference_update(path[at:])
                    del path[at:]
            elif other not in found:
                found[other] = lowest[other] = len(found)
                path.append(other)
                on_path.add(other)
                waiting.append((other, iter(waits_for[other])))
            elif other in on_path:
                lowest[name] = min(lowest[name], found[other])


def _place_of(path: list[str], name: str) -> int:
    """Searches from the end, so that it looks only at names that are then removed from the path."""
    at = len(path) - 1
    while path[at] != name:
        at -= 1
    return at


def _way_back(start: str, waits_for: Mapping[str, list[str]], group: set[str]) -> list[str]:
    """The shortest way from ``start`` back to itself within its group."""
    came_from: dict[str, str] = {}
    waiting = deque([start])
    while waiting:
        name = waiting.popleft()
        for other in waits_for[name]:
            if other == start:
                way = [name]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if other in group and other not in came_from:
                came_from[other] = name
                waiting.append(other)
    return [start]
