from __future__ import annotations

import json
from pathlib import Path

import pytest

from flowpack.serving.flow_file import problems_of_variables, used_connections
from tests.paths import FLOWS, write_tree

DAG = """\
environment_variables:
  REGION: ${weather service.region}
  PLAIN: ${not.a.connection}
nodes:
- {name: ask, type: llm, connection: open_ai_connection}
- {name: count, type: python}
"""
FLEX = """\
entry: chat:Chat
init:
  model_config: {type: AzureOpenAIModelConfiguration}
  search: {type: CognitiveSearchConnection, default: index}
  tone: {type: string, default: kind}
environment_variables: {KEY: "${keys.main}"}
sample:
  init:
    model_config: {connection: open_ai_connection, azure_deployment: gpt-4o}
"""
PROMPTY = """\
---
model:
  configuration:
    type: azure_openai
    connection: open_ai_connection
    azure_endpoint: ${env:ENDPOINT}
---
user: {{question}}
"""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"flow.dag.yaml": DAG}, {"weather service", "open_ai_connection"}, id="dag"),
        pytest.param({"flow.flex.yaml": FLEX}, {"keys", "index", "open_ai_connection"}, id="flex"),
        pytest.param({"chat.prompty": PROMPTY}, {"open_ai_connection"}, id="prompty"),
        pytest.param({"a.prompty": PROMPTY, "flow.flex.yaml": "entry: a:b\n"}, set(), id="prompties of a flex flow"),
        pytest.param({"flow.dag.yaml": "nodes: ["}, set(), id="broken"),
        pytest.param({"flow.dag.yaml": "nodes: [a, {connection: 3}]\nmodel: x\n"}, {"3"}, id="odd"),
        pytest.param(
            {
                "MLmodel": "flavors: {promptflow: {entry: data/flow.dag.yaml}}\n",
                "data/flow.dag.yaml": DAG.replace("open_ai_", "mlflow_"),
            },
            {"weather service", "mlflow_connection"},
            id="mlflow",
        ),
    ],
)
def test_connections_that_the_file_names(tmp_path: Path, files: dict[str, str], expected: set[str]) -> None:
    assert used_connections(write_tree(tmp_path, files), {}) == expected


def test_what_a_variable_says_counts_instead(tmp_path: Path) -> None:
    dag, flex, prompty = (
        write_tree(tmp_path / name, {name: text})
        for name, text in (("flow.dag.yaml", DAG), ("flow.flex.yaml", FLEX), ("chat.prompty", PROMPTY))
    )
    assert used_connections(dag, {"REGION": "${other.region}"}) == {"other", "open_ai_connection"}
    init = {"PF_FLOW_INIT_CONFIG": json.dumps({"model_config": {"connection": "mine"}, "search": "yours"})}
    assert used_connections(flex, init) == {"keys", "mine", "yours"}
    model = {"PF_FLOW_INIT_CONFIG": json.dumps({"model": {"configuration": {"connection": "mine"}}})}
    assert used_connections(prompty, model) == {"mine"}


def test_variables_that_a_prompty_refers_to(tmp_path: Path) -> None:
    flow = write_tree(tmp_path, {"chat.prompty": PROMPTY})
    [problem] = problems_of_variables(flow, {})
    assert (problem.name, problem.reason) == ("ENDPOINT", "the prompty's model.configuration.azure_endpoint")
    assert not problems_of_variables(flow, {"ENDPOINT": "e"})


def test_variables_that_promptflow_takes_a_model_from(tmp_path: Path) -> None:
    text = "---\nmodel:\n  configuration: {type: azure_openai, azure_deployment: gpt-4o}\n---\nuser: hello\n"
    flow = write_tree(tmp_path, {"chat.prompty": text})
    assert {each.name for each in problems_of_variables(flow, {})} == {"AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT"}
    assert not problems_of_variables(flow, {"AZURE_OPENAI_API_KEY": "k", "AZURE_OPENAI_ENDPOINT": "e"})
    given = {"PF_FLOW_INIT_CONFIG": json.dumps({"model": {"configuration": {"connection": "mine"}}})}
    assert not problems_of_variables(flow, given)


@pytest.mark.parametrize("text", ["{", "[1]", '"a"'])
def test_an_init_configuration_that_is_no_json_object_is_named(tmp_path: Path, text: str) -> None:
    [problem] = problems_of_variables(write_tree(tmp_path, {"flow.flex.yaml": FLEX}), {"PF_FLOW_INIT_CONFIG": text})
    assert problem.name == "PF_FLOW_INIT_CONFIG"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        pytest.param("", "JSON with 'greeting', which class 'Greeter' needs", id="nothing"),
        pytest.param('{"mark": "?"}', "has no 'greeting', which class 'Greeter' needs", id="incomplete"),
        pytest.param(
            '{"greeting": "Hi", "marc": "?"}',
            "class 'Greeter' has no parameter 'marc'; did you mean 'mark'?",
            id="misspelled",
        ),
        pytest.param('{"greeting": "Hi"}', None, id="enough"),
    ],
)
def test_what_the_class_needs_is_named_before_the_start(config: str, reason: str | None) -> None:
    found = problems_of_variables(FLOWS / "flex-class-without-values", {"PF_FLOW_INIT_CONFIG": config})
    assert [each.reason for each in found] == ([reason] if reason else [])
    assert all(each.name == "PF_FLOW_INIT_CONFIG" and each.missing == (not config) for each in found)


@pytest.mark.parametrize(
    ("entry", "source"),
    [
        pytest.param("a:go", "def go(greeting: str) -> str: ...\n", id="function"),
        pytest.param("a:Child", "from b import Base\nclass Child(Base): ...\n", id="inherited"),
        pytest.param("a:Data", "@dataclass\nclass Data:\n    greeting: str\n", id="generated"),
        pytest.param("a:Any", "class Any:\n    def __init__(self, **more: str) -> None: ...\n", id="takes anything"),
        pytest.param("a:Broken", "class Broken(:\n", id="broken"),
        pytest.param("b:Elsewhere", "", id="of a package"),
        pytest.param("a:Given", "class Given:\n    def __init__(self, tone): ...\n", id="declared with a default"),
    ],
)
def test_only_a_constructor_that_the_source_shows_is_checked(tmp_path: Path, entry: str, source: str) -> None:
    flow = write_tree(
        tmp_path, {"flow.flex.yaml": f"entry: {entry}\ninit: {{tone: {{type: string, default: k}}}}\n", "a.py": source}
    )
    given = {} if entry == "a:Given" else {"PF_FLOW_INIT_CONFIG": '{"other": 1}'}
    assert problems_of_variables(flow, given) == []
