"""DAG flows of one node each, and the codes of the errors that they have. promptflow is asked about them too."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.paths import write_tree

_INPUT = "text: {type: string}"
_OUTPUT = "answer: {type: string, reference: '${n.output}'}"
_CODE = "source: {type: code, path: t.py}"
_TEMPLATE = "source: {type: code, path: t.jinja2}"
_TEXT = "inputs: {text: '${inputs.text}'}"
_PYTHON = f"type: python, {_CODE}"
_LLM = f"type: llm, {_TEMPLATE}, connection: open_ai_connection"
_ASK = "inputs: {deployment_name: gpt-4o, text: '${inputs.text}'}"


class DagFlow(NamedTuple):
    node: str = f"{_PYTHON}, {_TEXT}"
    parameters: str = "text: str"
    inputs: str = _INPUT
    outputs: str = _OUTPUT
    template: str = "# user:\n{{text}}\n"
    more: str = ""

    def write(self, folder: Path) -> Path:
        flow = f"inputs: {{{self.inputs}}}\noutputs: {{{self.outputs}}}\n"
        flow += f"nodes:\n- {{name: n, {self.node}}}\n{self.more}"
        tool = f"from promptflow.core import tool\n@tool\ndef t({self.parameters}):\n    return 'answer'\n"
        return write_tree(folder, {"flow.dag.yaml": flow, "t.py": tool, "t.jinja2": self.template})


def _given(value: str, annotation: str, code: str = "") -> tuple[DagFlow, str]:
    node = f"{_PYTHON}, inputs: {{text: '${{inputs.text}}', size: {value}}}"
    return DagFlow(node, f"text: str, size{annotation}"), code


DAG_FLOWS: dict[str, tuple[DagFlow, str]] = {
    "plain": (DagFlow(), ""),
    # The sources and types of nodes
    "no source": (DagFlow(f"type: python, {_TEXT}"), "FP102"),
    "source is null": (DagFlow(f"type: python, source: , {_TEXT}"), "FP102"),
    "source without a path": (DagFlow(f"type: python, source: {{type: code}}, {_TEXT}"), "FP102"),
    "source without a type": (DagFlow(f"type: python, source: {{path: t.py}}, {_TEXT}"), ""),
    "source of another type": (DagFlow(f"type: python, source: {{type: script, path: t.py}}, {_TEXT}"), "FP102"),
    "prompt of a source of another type": (
        DagFlow(f"type: prompt, source: {{type: jinja2, path: t.jinja2}}, {_TEXT}"),
        "",
    ),
    "llm of a source of another type": (
        DagFlow(
            f"type: llm, source: {{type: jinja2, path: t.jinja2}}, connection: open_ai_connection, api: chat, {_ASK}"
        ),
        "",
    ),
    "tool that promptflow-tools does not have": (
        DagFlow(f"type: python, source: {{type: package, tool: promptflow.tools.serpapi11.SerpAPI.search}}, {_TEXT}"),
        "FP102",
    ),
    "function that a tool does not have": (
        DagFlow(f"type: python, source: {{type: package, tool: promptflow.tools.serpapi.SerpAPI.search_11}}, {_TEXT}"),
        "FP102",
    ),
    "module of promptflow-tools that is no tool": (
        DagFlow(f"type: python, source: {{type: package, tool: promptflow.tools.aoai.11}}, {_TEXT}"),
        "FP102",
    ),
    "package without a tool": (DagFlow(f"type: python, source: {{type: package}}, {_TEXT}"), "FP102"),
    "prompty as a custom_llm": (DagFlow(f"type: custom_llm, {_TEMPLATE}, {_TEXT}"), "FP102"),
    "type of another language": (DagFlow(f"type: javascript, {_CODE}, {_TEXT}"), "FP102"),
    # Conditions
    "activate": (DagFlow(f"{_PYTHON}, {_TEXT}, activate: {{when: '${{inputs.text}}', is: }}"), ""),
    "activate without is": (DagFlow(f"{_PYTHON}, {_TEXT}, activate: {{when: '${{inputs.text}}'}}"), "FP102"),
    "activate is null": (DagFlow(f"{_PYTHON}, {_TEXT}, activate: "), "FP102"),
    "aggregation that hangs on a line's node": (
        DagFlow(
            more="- {name: m, type: python, source: {path: t.py}, aggregation: true, inputs: {text: '${n.output}'}, "
            "activate: {when: '${n.output}', is: answer}}\n"
        ),
        "FP114",
    ),
    # Inputs and outputs of the flow
    "input of a Python type": (DagFlow(inputs="text: {type: str}"), "FP102"),
    "output without a type": (DagFlow(outputs="answer: {reference: '${n.output}'}"), "FP102"),
    "output of a list of types": (DagFlow(outputs="answer: {type: [string], reference: '${n.output}'}"), "FP102"),
    "default of another type": (DagFlow(inputs=f"{_INPUT}, size: {{type: int, default: large}}"), "FP102"),
    "empty default of a list": (DagFlow(inputs=f"{_INPUT}, words: {{type: list, default: ''}}"), "FP102"),
    "default as JSON": (DagFlow(inputs=f"{_INPUT}, words: {{type: list, default: '[1]'}}"), ""),
    "reference is empty": (DagFlow(outputs=f"{_OUTPUT}, more: {{type: string, reference: ''}}"), "FP115"),
    "reference is null": (DagFlow(outputs=f"{_OUTPUT}, more: {{type: string, reference: }}"), ""),
    "reference to outputs": (DagFlow(outputs="answer: {type: string, reference: '${n.outputs}'}"), ""),
    # What a tool is given
    "an empty unknown input": _given("''", "=1"),
    "an unknown input": (DagFlow(f"{_PYTHON}, inputs: {{text: '${{inputs.text}}', other: 1}}"), "FP109"),
    "an unknown input without a value": (DagFlow(f"{_PYTHON}, inputs: {{text: '${{inputs.text}}', other: }}"), ""),
    "an empty input that is required": _given("''", "", "FP109"),
    "null for an input that is required": _given("", "", "FP109"),
    "words for an int": _given("large", ": int", "FP109"),
    "words for an int by its default": _given("large", "=3", "FP109"),
    "digits for an int": _given("'3'", ": int"),
    "half for an int": _given("1.5", ": int"),
    "true for a float": _given("true", ": float"),
    "words for a float": _given("large", ": float", "FP109"),
    "yes for a bool": _given("'yes'", ": bool", "FP109"),
    "False for a bool": _given("'False'", ": bool"),
    "words for a list": _given("large", ": list", "FP109"),
    "JSON for a list": _given("'[1]'", ": list"),
    "words for a dict": _given("large", ": dict"),
    # LLM nodes and templates
    "llm": (DagFlow(f"{_LLM}, api: chat, {_ASK}"), ""),
    "llm without an API": (DagFlow(f"{_LLM}, {_ASK}"), "FP102"),
    "llm with another API": (DagFlow(f"{_LLM}, api: embedding, {_ASK}"), "FP102"),
    "llm with words for a number": (DagFlow(f"{_LLM}, api: chat, {_ASK[:-1]}, max_tokens: many}}"), "FP109"),
    "llm with an empty number": (DagFlow(f"{_LLM}, api: chat, {_ASK[:-1]}, max_tokens: ''}}"), ""),
    "llm whose template asks for a parameter": (
        DagFlow(f"{_LLM}, api: chat, {_ASK}", template="# user:\n{{text}} {% if stop %}!{% endif %}\n"),
        "FP123",
    ),
    "prompt whose template asks for a parameter": (
        DagFlow(f"type: prompt, {_TEMPLATE}, {_TEXT}", template="{{template}}\n"),
        "FP123",
    ),
}
