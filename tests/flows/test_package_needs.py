"""Which of promptflow's packages a flow needs is read from its nodes and its imports."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.flows.package_needs import needed_installers, needs_identity, needs_sdk, needs_tools, why_not_slim
from flowpack.flows.reader import read_flow
from tests.paths import FLOWS, write_tree


def files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from promptflow.core import tool", False),
        ("from promptflow.connections import CustomConnection", False),
        ("import promptflow.core as core", False),
        ("from promptflow.azure import PFClient", False),  # a package of its own, for the requirements to name
        ("from promptflow import tool", True),
        ("import promptflow", True),
        ("from promptflow.client import load_flow", True),
        ("def late():\n    from promptflow._sdk import entities", True),
        ("import promptflowish", False),
    ],
)
def test_the_full_sdk_is_needed_for_what_core_does_not_have(tmp_path: Path, source: str, expected: bool) -> None:
    write_tree(tmp_path, {"flow.dag.yaml": "nodes: []\n", "tool.py": source + "\n"})
    assert needs_sdk(read_flow(tmp_path), files(tmp_path)) is expected


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("type: llm", True),
        ("type: prompt", True),
        ("type: python, source: {type: package, tool: promptflow.tools.embedding.embedding}", True),
        ("type: python, source: {type: package, tool: other.tools.embedding}", False),
        ("type: python", False),
    ],
)
def test_promptflow_tools_is_needed_for_models_and_prompts(tmp_path: Path, node: str, expected: bool) -> None:
    write_tree(tmp_path, {"flow.dag.yaml": f"nodes:\n- {{name: n, {node}}}\n"})
    assert needs_tools(read_flow(tmp_path), files(tmp_path)) is expected


def test_the_variant_that_is_not_chosen_needs_nothing() -> None:
    assert needs_tools(read_flow(FLOWS / "llm-variants"), {}) is True
    assert needs_tools(read_flow(FLOWS / "python-only"), files(FLOWS / "python-only")) is False


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("from promptflow import tool", None),
        ("from promptflow._internal import ToolProvider", None),
        ("from promptflow.client import PFClient", "'tool.py' imports promptflow.client.PFClient"),
        ("import promptflow", "'tool.py' imports promptflow"),
    ],
)
def test_the_sources_prove_that_core_is_enough_or_not(tmp_path: Path, source: str, reason: str | None) -> None:
    write_tree(tmp_path, {"flow.dag.yaml": "nodes: []\n", "tool.py": source + "\n"})
    assert why_not_slim(read_flow(tmp_path), files(tmp_path)) == reason


def test_a_tool_of_another_package_proves_nothing(tmp_path: Path) -> None:
    node = "{name: n, type: python, source: {type: package, tool: other.tools.embedding}}"
    write_tree(tmp_path, {"flow.dag.yaml": f"nodes:\n- {node}\n"})
    assert "'other.tools.embedding'" in (why_not_slim(read_flow(tmp_path), files(tmp_path)) or "")


PROMPTY = "---\nmodel:\n  configuration: {MODEL}\n  parameters: {}\n---\nuser:\nhello\n"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("type: azure_openai, azure_deployment: d, azure_endpoint: '${env:ENDPOINT}'", True),
        ("type: azure_openai, azure_deployment: d, azure_endpoint: e, api_key: ''", True),
        ("type: azure_openai, azure_deployment: d, azure_endpoint: e, api_key: '${env:KEY}'", False),
        ("type: azure_openai, azure_deployment: d", False),  # promptflow takes both from variables
        ("type: azure_openai, azure_deployment: d, connection: c", False),
        ("type: openai, model: m, base_url: u", False),
    ],
)
def test_a_prompty_with_an_endpoint_and_no_key_signs_in(tmp_path: Path, model: str, expected: bool) -> None:
    write_tree(tmp_path, {"ask.prompty": PROMPTY.replace("MODEL", model)})
    assert needs_identity(read_flow(tmp_path), files(tmp_path)) is expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("azure_endpoint=url, azure_deployment='d'", True),
        ("azure_endpoint=url, azure_deployment='d', api_key=None", True),
        ("azure_endpoint=url, azure_deployment='d', api_key=key", False),
        ("connection='c', azure_deployment='d'", False),
    ],
)
def test_a_model_that_a_source_makes_without_a_key_signs_in(tmp_path: Path, arguments: str, expected: bool) -> None:
    source = f"def ask(url: str, key: str) -> str:\n    return AzureOpenAIModelConfiguration({arguments})\n"
    write_tree(tmp_path, {"flow.flex.yaml": "entry: ask:ask\n", "ask.py": source})
    assert needs_identity(read_flow(tmp_path), files(tmp_path)) is expected


@pytest.mark.parametrize(("key", "expected"), [("", True), (", api_key: k", False)])
def test_a_model_of_init_without_a_key_signs_in(tmp_path: Path, key: str, expected: bool) -> None:
    source = "from promptflow.core import AzureOpenAIModelConfiguration\n\nclass Ask:\n"
    source += "    def __init__(self, model: AzureOpenAIModelConfiguration): ...\n"
    source += "    def __call__(self) -> str: ...\n"
    sample = f"sample: {{init: {{model: {{azure_endpoint: e, azure_deployment: d{key}}}}}}}\n"
    write_tree(tmp_path, {"flow.flex.yaml": f"entry: ask:Ask\n{sample}", "ask.py": source})
    assert needs_identity(read_flow(tmp_path), files(tmp_path)) is expected


def test_the_prompty_of_the_fixture_signs_in() -> None:
    folder = FLOWS / "prompty-without-key"
    assert needs_identity(read_flow(folder), files(folder)) is True


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import pip", ("pip",)),
        ("from pip._internal import main", ("pip",)),
        ("import os, pkg_resources", ("setuptools",)),
        ("def late():\n    from setuptools import find_packages\n    import pip", ("pip", "setuptools")),
        ("import pipeline  # a pip of its own", ()),
        ("'import pip'", ()),
    ],
)
def test_pip_and_setuptools_are_needed_where_a_source_imports_them(
    tmp_path: Path, source: str, expected: tuple[str, ...]
) -> None:
    write_tree(tmp_path, {"flow.dag.yaml": "nodes: []\n", "tool.py": source + "\n"})
    assert needed_installers(read_flow(tmp_path), files(tmp_path)) == expected


def test_a_module_of_the_flow_with_the_name_of_an_installer_needs_nothing(tmp_path: Path) -> None:
    write_tree(tmp_path, {"flow.dag.yaml": "nodes: []\n", "tool.py": "import pip\n", "pip/__init__.py": ""})
    assert needed_installers(read_flow(tmp_path), files(tmp_path)) == ()


def test_the_installers_of_the_fixture() -> None:
    folder = FLOWS / "imports-installers"
    assert needed_installers(read_flow(folder), files(folder)) == ("pip", "setuptools")
