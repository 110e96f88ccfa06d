"""FP121 to FP123: Jinja templates of LLM and prompt nodes, and of prompties. Only parsed, never rendered."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowpack.checks.findings import Severity
from flowpack.checks.literals import counts_as_left_out
from flowpack.checks.model_calls import parameters_of
from flowpack.checks.nodes import NodeView
from flowpack.checks.registry import Problem, rule
from flowpack.checks.subject import Subject
from flowpack.checks.values import text_of
from flowpack.errors import InputError, Location, nearest
from flowpack.flows.model import FlowKind
from flowpack.reading import DOCUMENT_BYTES, Roots, read_text

if TYPE_CHECKING:
    from jinja2 import nodes

_WITH_TEMPLATE = {"llm", "prompt", "custom_llm"}
_FRONT_MATTER = re.compile(r"-{3,}\r?\n(?:.*)-{3,}\r?\n", re.DOTALL)
_TAKEN_BY_PROMPT_NODES = ("template",)
_FORGIVING_TESTS = {"defined", "undefined", "none"}
_FORGIVING_FILTERS = {"default", "d"}


@dataclass(frozen=True)
class _Template:
    """``text`` keeps the file's line numbers; ``given`` are the names that it is rendered with."""

    path: Path
    text: str
    user: str
    given: Collection[str]
    is_whole: bool = True
    """Whether all that it is given is known."""
    taken: Collection[str] = ()
    """Names that a variable may not have: promptflow gives them to what renders the template, or calls the model."""

    def location(self, line: int, name: str = "") -> Location:
        lines = self.text.splitlines()
        match = re.search(rf"\b{re.escape(name)}\b", lines[line - 1]) if name and line <= len(lines) else None
        return Location(self.path, line, match.start() + 1 if match else None)


def _templates(subject: Subject) -> Iterator[_Template]:
    for node in subject.nodes:
        path = _path(node, subject) if node.type in _WITH_TEMPLATE else None
        text = _read(path, subject.roots.folders) if path else None
        if path and text is not None:
            # A tool that takes a prompt template may fill in more than the node's inputs.
            is_whole = node.type != "custom_llm" and not _has_another_prompt(node)
            taken = _TAKEN_BY_PROMPT_NODES if node.type == "prompt" else parameters_of(node)
            yield _Template(path, text, f"node '{node.name}'", set(node.inputs), is_whole, taken)
    flow = subject.flow
    if flow and flow.kind is FlowKind.PROMPTY:
        match = _FRONT_MATTER.search(flow.text)
        if match:
            blank = "\n" * flow.text.count("\n", 0, match.end())
            yield _Template(flow.file, blank + flow.text[match.end() :], "the prompty", set(flow.inputs or flow.sample))


def _has_another_prompt(node: NodeView) -> bool:
    """An input of this name takes the place of an LLM node's template."""
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


def _is_plain(text: str) -> bool:
    """A template without any of Jinja's marks has nothing to find, and spares loading Jinja."""
    return "{{" not in text and "{%" not in text and "{#" not in text


@rule("FP121", "template-syntax", Severity.ERROR, "A Jinja template cannot be parsed.")
def template_syntax(subject: Subject) -> Iterator[Problem]:
    seen = set()
    for template in _templates(subject):
        if template.path in seen or _is_plain(template.text):
            continue
        seen.add(template.path)
        from jinja2 import Environment, TemplateSyntaxError  # noqa: PLC0415  (not every flow has a template)

        try:
            Environment(autoescape=True).parse(template.text)
        except TemplateSyntaxError as error:
            yield Problem(f"Jinja cannot parse this: {error.message}", template.location(error.lineno))


@rule("FP122", "template-variable", Severity.WARNING, "A template uses a variable that nothing gives: it stays empty.")
def template_variable(subject: Subject) -> Iterator[Problem]:
    for template in _templates(subject):
        if not template.is_whole or _is_plain(template.text):
            continue
        for name, line in _variables(template.text):
            if name not in template.given and name not in template.taken:
                near = nearest(name, template.given)
                given = ", ".join(sorted(template.given))
                hint = f"did you mean '{near}'?" if near else f"its inputs are: {given}" if given else None
                message = f"{template.user} gives the template no '{name}', so it is rendered as nothing"
                yield Problem(message, template.location(line, name), hint)


@rule(
    "FP123", "template-reserved-name", Severity.ERROR, "A template's variable has the name of a parameter of its tool."
)
def template_reserved_name(subject: Subject) -> Iterator[Problem]:
    for template in _templates(subject):
        if not template.taken or _is_plain(template.text):
            continue
        for name, line in _variables(template.text, with_all=True):
            if name in template.taken:
                message = f"promptflow refuses a variable '{name}' in the template of {template.user}"
                yield Problem(
                    message, template.location(line, name), "a parameter of its tool has this name: rename it"
                )


def _variables(text: str, *, with_all: bool = False) -> Iterator[tuple[str, int]]:
    """What the template needs, each once with its first line; not what it asks for with care, save ``with_all``."""
    from jinja2 import Environment, TemplateSyntaxError, meta, nodes  # noqa: PLC0415  (see above)
    from jinja2.defaults import DEFAULT_NAMESPACE  # noqa: PLC0415

    try:
        tree = Environment(autoescape=True).parse(text)
    except TemplateSyntaxError:
        return
    cared_for = set() if with_all else set(_cared_for(tree))
    needed = meta.find_undeclared_variables(tree) - set(DEFAULT_NAMESPACE) - cared_for
    for node in tree.find_all(nodes.Name):
        if node.name in needed:
            needed.remove(node.name)
            yield node.name, node.lineno


def _cared_for(tree: nodes.Template) -> Iterator[str]:
    from jinja2 import nodes  # noqa: PLC0415  (see above)

    for test in tree.find_all(nodes.Test):
        if test.name in _FORGIVING_TESTS and isinstance(test.node, nodes.Name):
            yield test.node.name
    for each in tree.find_all(nodes.Filter):
        if each.name in _FORGIVING_FILTERS and isinstance(each.node, nodes.Name):
            yield each.node.name
    for condition in tree.find_all((nodes.If, nodes.CondExpr)):
        tested = getattr(condition, "test", None)
        if isinstance(tested, nodes.Name):  # {% if context %}: may be left out
            yield tested.name
