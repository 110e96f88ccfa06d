"""FP121 to FP123: Jinja templates of LLM and prompt nodes, and of prompties. They are parsed, never rendered."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack.checks.findings import Severity
from flowpack.checks.model_calls import parameters_of
from flowpack.checks.nodes import NodeView
from flowpack.checks.registry import Problem, rule
from flowpack.checks.subject import Subject
from flowpack.checks.values import counts_as_left_out, text_of
from flowpack.errors import InputError, Location, listed, nearest
from flowpack.flows.front_matter import find_parts
from flowpack.flows.model import FlowKind
from flowpack.reading import DOCUMENT_BYTES, Roots, read_text

if TYPE_CHECKING:
    from flowpack.flows.templates import ReadTemplate

_WITH_TEMPLATE = {"llm", "prompt", "custom_llm"}
_WORD = re.compile(r"\w+")
_TAKEN_BY_PROMPT_NODES = ("template",)

_MOST_VARIABLES = 1000
"""Reported one by one for a flow, not more: thousands of nodes may share a template with thousands of names."""


@dataclass(frozen=True)
class _File:
    """``text`` keeps the file's line numbers. The file is read once, even if many nodes use it."""

    path: Path
    text: str

    def location(self, line: int, name: str = "") -> Location:
        if name and line not in self._columns:
            words = _WORD.finditer(self._lines[line - 1] if line <= len(self._lines) else "")
            # The first place of a name wins, so it comes last.
            self._columns[line] = {match[0]: match.start() + 1 for match in reversed(list(words))}
        return Location(self.path, line, self._columns[line].get(name) if name else None)

    @cached_property
    def _lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def _columns(self) -> dict[int, dict[str, int]]:
        """Cached by line and name: one line may have all the names of a template."""
        return {}

    @cached_property
    def is_plain(self) -> bool:
        """Whether the template has none of Jinja's marks. Then nothing can be wrong, and Jinja need not be loaded."""
        return "{{" not in self.text and "{%" not in self.text and "{#" not in self.text

    @cached_property
    def content(self) -> ReadTemplate:
        from flowpack.flows.templates import read_template  # noqa: PLC0415  (Jinja)

        return read_template(self.text)


@dataclass(frozen=True)
class _Template:
    """``given`` are the names that the template is rendered with."""

    file: _File
    user: str
    given: Collection[str]
    is_whole: bool = True
    """Whether ``given`` is complete."""
    taken: Collection[str] = ()
    """Names that a variable may not have: promptflow passes them to the renderer or to the model's API."""


def _templates(subject: Subject) -> tuple[_Template, ...]:
    """The templates that have any of Jinja's marks."""
    return subject.once("templates", lambda: tuple(each for each in _read_all(subject) if not each.file.is_plain))


def _read_all(subject: Subject) -> Iterator[_Template]:
    files: dict[Path, _File | None] = {}
    for node in subject.nodes:
        path = _path(node, subject) if node.type in _WITH_TEMPLATE else None
        if path and path not in files:
            text = _read(path, subject.roots.folders)
            files[path] = None if text is None else _File(path, text)
        file = files[path] if path else None
        if file:
            # A tool that takes a prompt template may fill in more than the node's inputs.
            is_whole = node.type != "custom_llm" and not _has_another_prompt(node)
            taken = _TAKEN_BY_PROMPT_NODES if node.type == "prompt" else parameters_of(node)
            yield _Template(file, f"node '{node.name}'", node.inputs.keys(), is_whole, taken)
    flow = subject.flow
    if flow and flow.kind is FlowKind.PROMPTY:
        parts = find_parts(flow.text)
        if parts:
            blank = "\n" * flow.text.count("\n", 0, parts.template)
            file = _File(flow.file, blank + flow.text[parts.template :])
            yield _Template(file, "the prompty", (flow.inputs or flow.sample).keys())


def _has_another_prompt(node: NodeView) -> bool:
    """Whether an input named ``prompt`` replaces the template of an LLM node."""
    prompt = node.inputs.get("prompt")
    return node.type == "llm" and prompt is not None and not counts_as_left_out(prompt.data)


def _path(node: NodeView, subject: Subject) -> Path | None:
    written = (text_of(node.path) or "").replace("\\", "/")
    target = "/".join(part for part in written.split("/") if part not in {"", "."})
    return subject.paths.get(target)


def _read(path: Path, within: Roots) -> str | None:
    try:
        return read_text(path, limit=DOCUMENT_BYTES, within=within)
    except InputError:
        return None


@rule("FP121", "template-syntax", Severity.ERROR, "A Jinja template cannot be parsed.")
def template_syntax(subject: Subject) -> Iterator[Problem]:
    for file in dict.fromkeys(template.file for template in _templates(subject)):
        problem = file.content.problem
        if problem:
            yield Problem(f"Jinja cannot parse this: {problem.message}", file.location(problem.line))


@rule("FP122", "template-variable", Severity.WARNING, "A template uses a variable that has no value.")
def template_variable(subject: Subject) -> Iterator[Problem]:
    found = 0
    for template in _templates(subject):
        given = listed(sorted(template.given))
        for name, line in template.file.content.needed if template.is_whole else ():
            if name in template.given or name in template.taken:
                continue
            found += 1
            where = template.file.location(line, name)
            if found > _MOST_VARIABLES:
                yield Problem(f"more than {_MOST_VARIABLES:,} variables have no value", where)
                return
            near = nearest(name, template.given)
            hint = f"did you mean '{near}'?" if near else f"its inputs are: {given}" if given else None
            message = f"{template.user} has no input '{name}', so the template renders it as nothing"
            yield Problem(message, where, hint)


@rule("FP123", "template-reserved-name", Severity.ERROR, "A template variable has the name of a parameter of its tool.")
def template_reserved_name(subject: Subject) -> Iterator[Problem]:
    for template in _templates(subject):
        for name, line in template.file.content.undeclared if template.taken else ():
            if name in template.taken:
                message = f"promptflow refuses a variable '{name}' in the template of {template.user}"
                hint = "rename it: a parameter of the node's tool has this name"
                yield Problem(message, template.file.location(line, name), hint)
