"""FP101 to FP116: the flow file, its references, and the sources of its nodes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from flowpack.assembly.flow_folder import check_sources
from flowpack.checks.dag_structure import circles, structure_problems
from flowpack.checks.findings import Severity
from flowpack.checks.model_calls import parameters_of
from flowpack.checks.nodes import NodeView, Reference
from flowpack.checks.registry import Problem, rule
from flowpack.checks.subject import Subject
from flowpack.checks.values import KIND, at, counts_as_left_out, fields_of, fits, text_of
from flowpack.errors import FlowpackError, InputError, Location, YamlError, listed, nearest
from flowpack.flows.model import REQUIRED, FlowKind
from flowpack.flows.python_source import MAXIMUM_BYTES, PythonSource
from flowpack.flows.signatures import read_tools
from flowpack.flows.tool_sources import ToolSource
from flowpack.reading import read_bytes


def _reader_refuses(subject: Subject, kind: FlowKind) -> Iterator[Problem]:
    error = subject.attempt.error
    if error and not isinstance(error, YamlError) and _kind(subject) is kind:
        yield Problem.of(error, subject.location)


def _kind(subject: Subject) -> FlowKind:
    assert subject.file is not None  # noqa: S101  (only a flow's file is refused)
    if subject.file.suffix == ".prompty":
        return FlowKind.PROMPTY
    is_flex = "entry" in subject.root or subject.file.name.startswith("flow.flex.")
    return FlowKind.FLEX if is_flex else FlowKind.DAG


_WITHIN = re.compile(r"\$\{(?:(?:inputs|flow)\.(?P<input>\w+)|(?P<node>\w+)\.output\b[^}$]*)\}")


@rule("FP101", "unreadable-flow", Severity.ERROR, "The flow file is not YAML that promptflow can read.")
def unreadable_flow(subject: Subject) -> Iterator[Problem]:
    error = subject.attempt.error
    if isinstance(error, YamlError):
        yield Problem.of(error, subject.location)


@rule("FP102", "flow-structure", Severity.ERROR, "A field of the flow is missing or has the wrong type.")
def flow_structure(subject: Subject) -> Iterator[Problem]:
    yield from _reader_refuses(subject, FlowKind.DAG)
    if subject.flow and subject.flow.kind is FlowKind.DAG:
        yield from structure_problems(subject)


@rule(
    "FP103", "dangling-reference", Severity.ERROR, "A reference names a node or an input that the flow does not have."
)
def dangling_reference(subject: Subject) -> Iterator[Problem]:
    if _is_not_a_dag(subject):
        return
    inputs = fields_of(subject.root.get("inputs"))
    nodes = dict.fromkeys(node.name for node in subject.nodes)
    for reference in _references(subject):
        if reference.input is not None and reference.input not in inputs:
            yield _dangling(reference, f"the flow has no input '{reference.input}'", reference.input, inputs)
        elif reference.node is not None and reference.node not in nodes:
            yield _dangling(reference, f"the flow has no node '{reference.node}'", reference.node, nodes)
    for reference in (each for node in subject.nodes for each in node.references()):
        # promptflow accepts it in an output of the flow.
        if reference.node in nodes and reference.section != "output":
            message = f"a reference to a node can read its output, not its '{reference.section}'"
            yield Problem(message, reference.value.location, f"write ${{{reference.node}.output}}")


def _references(subject: Subject) -> Iterator[Reference]:
    for node in subject.nodes:
        yield from node.references()
    for output in fields_of(subject.root.get("outputs")).values():
        yield from filter(None, [Reference.read(at(output, "reference"))])


def _dangling(reference: Reference, message: str, name: str, known: Collection[str]) -> Problem:
    near = nearest(name, known) or (name.partition(".")[0] if name.partition(".")[0] in known else None)
    hint = f"did you mean '{near}'?" if near else f"it has: {listed(known)}" if known else None
    return Problem(message, reference.value.location, hint)


def _is_not_a_dag(subject: Subject) -> bool:
    return subject.file is None or _kind(subject) is not FlowKind.DAG


@rule("FP104", "cycle", Severity.ERROR, "Nodes wait for each other in a circle.")
def cycle(subject: Subject) -> Iterator[Problem]:
    chosen = {node.name: node for node in subject.nodes if node.chosen}
    waits_for = {name: _nodes_read(node, chosen) for name, node in chosen.items()}
    for path in circles(waits_for):
        way = " → ".join([*path, path[0]])
        yield Problem(f"each of these nodes waits for the next: {way}", chosen[path[0]].location)


def _nodes_read(node: NodeView, known: Mapping[str, NodeView]) -> list[str]:
    return list(dict.fromkeys(each.node for each in node.references() if each.node is not None and each.node in known))


@rule("FP105", "unused-node", Severity.WARNING, "A node runs, but nothing reads its output.")
def unused_node(subject: Subject) -> Iterator[Problem]:
    outputs = fields_of(subject.root.get("outputs"))
    wanted = {each.node for each in _references(subject)}
    known = {None, *(node.name for node in subject.nodes)}
    if not outputs or not wanted <= known or not all(at(output, "reference") for output in outputs.values()):
        return  # a reference that must be fixed may be meant for one of these nodes
    for node in subject.nodes:
        if node.chosen and node.name not in wanted and not node.aggregates:
            yield Problem(
                f"nothing reads the output of node '{node.name}', which runs for each request",
                node.location,
                "remove it, or refer to it in an output or another node",
            )


@rule("FP106", "missing-source", Severity.ERROR, "A node's source is not in the standalone folder.")
def missing_source(subject: Subject) -> Iterator[Problem]:
    if subject.flow is None or subject.folder is None:
        return
    for node in subject.flow.nodes:
        try:
            check_sources((node,), subject.folder)
        except FlowpackError as error:
            yield Problem.of(error, node.location)


@rule("FP107", "broken-python", Severity.ERROR, "A Python source of the flow cannot be parsed.")
def broken_python(subject: Subject) -> Iterator[Problem]:
    for target in dict.fromkeys(filter(None, (_target(node) for node in subject.nodes))):
        if target.endswith(".py") and target in subject.paths and target not in subject.sources:
            yield from _syntax_error(subject, target)


def _syntax_error(subject: Subject, target: str) -> Iterator[Problem]:
    path = subject.paths[target]
    try:
        PythonSource(read_bytes(path, limit=MAXIMUM_BYTES, within=subject.roots.folders), path)
    except InputError as error:
        yield Problem(error.message, Location(path), error.hint)
    except SyntaxError as error:
        yield Problem(f"Python cannot parse this: {error.msg}", Location(path, error.lineno, error.offset))
    except (ValueError, RecursionError, MemoryError) as error:
        yield Problem(f"Python cannot parse this: {error}", Location(path))


def _target(node: NodeView) -> str | None:
    """The node's source, written as in the standalone folder's listing."""
    path = text_of(node.path)
    return "/".join(part for part in (path or "").replace("\\", "/").split("/") if part not in {"", "."}) or None


def _tools_of_nodes(subject: Subject) -> Iterator[tuple[NodeView, str, ToolSource]]:
    for node in subject.nodes:
        target = _target(node)
        if node.type == "python" and target and target in subject.sources:
            yield node, target, subject.sources[target]


@rule("FP108", "tool-count", Severity.ERROR, "A node's source has no function with @tool, or more than one.")
def tool_count(subject: Subject) -> Iterator[Problem]:
    for node, target, source in _tools_of_nodes(subject):
        tools = read_tools(source)
        location = node.path.location if node.path else node.location
        if not tools:
            hint = "decorate a function: from promptflow.core import tool"
            yield Problem(f"'{target}' has no function with @tool", location, hint)
        elif len(tools) > 1:
            names = listed(tool.name for tool in tools)
            yield Problem(f"'{target}' has several tools: {names}", location, "keep one function with @tool per file")


@rule("FP109", "tool-signature", Severity.ERROR, "A node's inputs do not match the parameters of its tool.")
def tool_signature(subject: Subject) -> Iterator[Problem]:
    for node in subject.nodes:
        yield from _of_other_kinds(node, parameters_of(node))
    for node, target, source in _tools_of_nodes(subject):
        tools = read_tools(source)
        if len(tools) != 1:
            continue
        parameters = tools[0].inputs
        given = {name: value for name, value in node.inputs.items() if not counts_as_left_out(value.data)}
        takes_more = source.tools[0][1].args.kwarg is not None
        for name, value in given.items():
            if name not in parameters and not takes_more:
                near = nearest(name, (each for each in parameters if each not in node.inputs))
                known = f"it takes: {listed(parameters)}" if parameters else "it takes no inputs"
                hint = f"did you mean '{near}'?" if near else known
                yield Problem(f"'{tools[0].name}' in '{target}' has no parameter '{name}'", value.location, hint)
        required = [name for name, each in parameters.items() if each.default is REQUIRED and name not in given]
        # `*args` and `**kwargs` of a tool class's constructor are among the parameters, but are not required.
        missing = [name for name in required if name not in {"args", "kwargs"}]
        if missing:
            names = listed(f"'{name}'" for name in missing)
            empty = "set a value: promptflow leaves out an empty input" if node.inputs.keys() & missing else None
            message = f"node '{node.name}' does not set {names} of '{tools[0].name}' in '{target}'"
            yield Problem(message, node.location, empty)
        yield from _of_other_kinds(node, {name: each.types[0] for name, each in parameters.items()})


def _of_other_kinds(node: NodeView, types: Mapping[str, str]) -> Iterator[Problem]:
    for name, value in node.inputs.items():
        kind = KIND.get(types.get(name, ""))
        is_literal = Reference.read(value) is None and not counts_as_left_out(value.data)
        if kind and is_literal and not fits(value.data, types[name]):
            yield Problem(f"the parameter '{name}' of node '{node.name}' takes {kind}", value.location)


@rule(
    "FP110",
    "chat-interface",
    Severity.WARNING,
    "The chat interface is incomplete, so Azure ML does not see a chat flow.",
)
def chat_interface(subject: Subject) -> Iterator[Problem]:
    flow = subject.flow
    if flow is None or flow.chat is not None:
        return
    inputs, outputs = flow.chat_inputs, flow.chat_outputs
    if not inputs and not outputs:
        return
    missing = [f"{len(inputs) or 'no'} inputs with is_chat_input"] if len(inputs) != 1 else []
    missing += [f"{len(outputs) or 'no'} outputs with is_chat_output"] if len(outputs) != 1 else []
    if not flow.chat_histories:
        missing.append("no input with is_chat_history")
    key = "inputs" if inputs else "outputs"
    value = at(subject.document.root if subject.document else None, key, (inputs or outputs)[0])
    yield Problem(
        f"the chat interface is incomplete: the flow has {' and '.join(missing)}",
        value.location if value else subject.location,
        "declare one chat input, one chat output and a chat history, or none of them",
    )


@rule("FP111", "flex-flow", Severity.ERROR, "promptflow cannot serve the flex flow's entry.")
def flex_flow(subject: Subject) -> Iterator[Problem]:
    if subject.attempt.error:
        yield from _reader_refuses(subject, FlowKind.FLEX)


@rule("FP112", "prompty", Severity.ERROR, "promptflow cannot serve the prompty with this front matter.")
def prompty(subject: Subject) -> Iterator[Problem]:
    if subject.attempt.error:
        yield from _reader_refuses(subject, FlowKind.PROMPTY)
    error = subject.connections_or_why_not[1]  # of this prompty, or of one that the flow loads
    if error:
        yield Problem.of(error, subject.location)


@rule("FP113", "node-twice", Severity.ERROR, "Two nodes have the same name.")
def node_twice(subject: Subject) -> Iterator[Problem]:
    seen: dict[str, Location] = {}
    for node in subject.nodes:
        if not node.chosen:
            continue
        first = seen.setdefault(node.name, node.location)
        if first is not node.location:
            message = f"there is already a node '{node.name}' in line {first.line}"
            yield Problem(message, node.location, "rename one of the two")


@rule("FP114", "aggregation-read", Severity.ERROR, "A node that runs per request reads a node that aggregates.")
def aggregation_read(subject: Subject) -> Iterator[Problem]:
    aggregating = {node.name for node in subject.nodes if node.aggregates}
    others = {node.name for node in subject.nodes} - aggregating
    for node in subject.nodes:
        when = Reference.read(at(node.fields.get("activate"), "when")) if node.aggregates else None
        if when and when.node in others:
            yield Problem(
                f"node '{node.name}' aggregates, but its activate condition reads '{when.node}', which does not",
                when.value.location,
                "use a node that aggregates, or decide in the node's code",
            )
        for reference in node.references() if not node.aggregates else ():
            if reference.node in aggregating:
                yield Problem(
                    f"node '{node.name}' reads '{reference.node}', which aggregates and runs after it",
                    reference.value.location,
                    "set aggregation: true here too, or remove it from the other node",
                )


@rule("FP115", "output-without-reference", Severity.ERROR, "An output of a DAG flow has no reference.")
def output_without_reference(subject: Subject) -> Iterator[Problem]:
    if _is_not_a_dag(subject):
        return
    for name, output in fields_of(subject.root.get("outputs")).items():
        # promptflow accepts any other text that is not a reference as the output's value.
        reference = fields_of(output).get("reference")
        if output.is_mapping and (reference is None or reference.data == ""):
            yield Problem(f"the output '{name}' has no reference", output.location, "write reference: ${node.output}")


@rule(
    "FP116",
    "reference-in-text",
    Severity.WARNING,
    "A reference is part of a longer text, so promptflow does not resolve it.",
)
def reference_in_text(subject: Subject) -> Iterator[Problem]:
    if _is_not_a_dag(subject):
        return
    inputs, nodes = fields_of(subject.root.get("inputs")), {node.name for node in subject.nodes}
    for node in subject.nodes:
        for value in node.inputs.values():
            text = text_of(value)
            if not text or Reference.read(value):
                continue
            for match in _WITHIN.finditer(text):
                if match["input"] in inputs or match["node"] in nodes:
                    message = f"the node gets '{match[0]}' as text: a reference must be the whole value"
                    yield Problem(message, value.location, "put the text together in a prompt node, or in the code")
