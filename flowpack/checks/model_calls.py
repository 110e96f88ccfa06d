"""The APIs that LLM nodes call in promptflow-tools 1.6.1, and the parameters that Azure OpenAI and OpenAI share."""

from __future__ import annotations

from collections.abc import Mapping

from flowpack.checks.nodes import NodeView
from flowpack.checks.values import text_of

_OF_BOTH = {
    **{"connection": "object", "prompt": "prompt_template", "user": "string", "logit_bias": "object"},
    **{"max_tokens": "int", "temperature": "double", "top_p": "double", "stop": "list", "stream": "bool"},
    **{"presence_penalty": "double", "frequency_penalty": "double"},
}
APIS: Mapping[str, Mapping[str, str]] = {
    "chat": {
        **_OF_BOTH,
        **{"functions": "list", "function_call": "object", "tools": "list", "tool_choice": "object"},
        **{"response_format": "object", "seed": "int"},
    },
    "completion": {
        **_OF_BOTH,
        **{"suffix": "string", "n": "int", "logprobs": "int", "echo": "bool", "best_of": "int"},
    },
}


def is_of_promptflow_tools(node: NodeView) -> bool:
    """False for a node with a module of another package, which has its own APIs."""
    module = text_of(node.fields.get("module"))
    return node.type == "llm" and (not module or module.startswith("promptflow.tools."))


def parameters_of(node: NodeView) -> Mapping[str, str]:
    """The parameters of the API that the node calls, with their types; empty if the API is unknown."""
    api = text_of(node.fields.get("api"))
    return APIS.get(api or "", {}) if is_of_promptflow_tools(node) else {}
