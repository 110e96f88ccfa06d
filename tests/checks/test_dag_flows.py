"""What promptflow refuses of a DAG flow is an error, and what it takes is none; test_against_promptflow asks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.checks.findings import Finding, Severity
from flowpack.checks.run import check
from tests.checks.dag_flows import DAG_FLOWS
from tests.paths import write_tree


def found(folder: Path) -> list[Finding]:
    return list(check([str(folder)], use_cache=False).findings)


@pytest.mark.parametrize("name", DAG_FLOWS)
def test_an_error_is_found_where_promptflow_fails_and_only_there(name: str, tmp_path: Path) -> None:
    flow, code = DAG_FLOWS[name]
    errors = [each.rule.code for each in found(flow.write(tmp_path)) if each.rule.severity is Severity.ERROR]
    assert errors == ([code] if code else [])


def test_a_model_call_of_another_package_has_its_own_apis(tmp_path: Path) -> None:
    flow, _ = DAG_FLOWS["llm with another API"]
    flow = flow._replace(node=f"{flow.node}, module: my_models.calls", template="# user:\n{{text}} {{stop}}\n")
    assert {each.rule.code for each in found(flow.write(tmp_path))} & {"FP102", "FP123"} == set()


def test_an_input_named_prompt_takes_the_place_of_the_template(tmp_path: Path) -> None:
    flow, _ = DAG_FLOWS["llm"]
    node = flow.node.replace("text: '${inputs.text}'", "prompt: '${inputs.text}'")
    assert "FP122" not in {each.rule.code for each in found(flow._replace(node=node).write(tmp_path))}


def test_an_endpoint_with_two_documents_may_be_the_one_with_an_identity_of_its_own(tmp_path: Path) -> None:
    flow, _ = DAG_FLOWS["plain"]
    flow.write(tmp_path)
    system = "name: books\nauth_mode: key\n"
    user = f"{system}identity: {{type: user_assigned, user_assigned_identities: [{{resource_id: /a}}]}}\n"
    deployment = "name: blue\nendpoint_name: books\nenvironment_variables: {PROMPTFLOW_WORKER_NUM: '1'}\n"
    write_tree(tmp_path, {"endpoint-user.yaml": user, "deployment.yaml": deployment})
    assert "FP508" in {each.rule.code for each in found(tmp_path)}
    write_tree(tmp_path, {"endpoint-system.yaml": system})
    assert "FP508" not in {each.rule.code for each in found(tmp_path)}


def test_a_file_that_a_prompty_misses_is_the_promptys_error(tmp_path: Path) -> None:
    front = "model: {configuration: {type: openai, model: gpt-4o}, parameters: {tools: '${file:../tools.json}'}}\n"
    write_tree(tmp_path, {"chat/chat.prompty": f"---\n{front}---\nuser:\nhello\n", "tools.json": "[]"})
    assert [each.rule.code for each in found(tmp_path)] == ["FP112"]
