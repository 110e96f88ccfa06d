"""A package's tools are read from its metadata and its files; the package is not imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.flows.connections import find_connections
from flowpack.flows.package_needs import needs_tools
from flowpack.flows.reader import read_flow
from flowpack.flows.tool_packages import read_package_tool, tools_without_a_requirement
from tests.paths import write_tree

TOOL = "acme_tools.search.find"
FLOW = f"nodes:\n- name: n\n  type: python\n  source: {{type: package, tool: {TOOL}}}\n  inputs: {{account: acme}}\n"
PACKAGE = {
    "acme_tools/__init__.py": "raise SystemExit('imported')\n",
    "acme_tools/yamls/find.yaml": (
        f"{TOOL}:\n  name: Find\n  type: python\n  module: acme_tools.search\n  function: find\n"
        "  inputs: {account: {type: [CustomConnection]}, query: {type: [string]}}\n"
    ),
    "acme_tools/yamls/broken.yaml": f"{TOOL}: [",
    "acme_tools/search.py": (
        "from promptflow.connections import CustomConnection\nfrom promptflow.core import tool\n"
        "@tool\ndef find(account: CustomConnection, query: str):\n    return account.secrets['token']\n"
    ),
    "acme_search_tools-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: Acme.Search_Tools\nVersion: 1.0\n",
    "acme_search_tools-1.0.dist-info/entry_points.txt": "[package_tools]\nacme = acme_tools.list:list_package_tools\n",
    "acme_search_tools-1.0.dist-info/RECORD": (
        "acme_tools/yamls/broken.yaml,,\nacme_tools/yamls/find.yaml,,\nacme_tools/search.py,,\n"
    ),
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(write_tree(tmp_path / "site-packages", PACKAGE))


def warnings(folder: Path, required: set[str]) -> list[str]:
    flow = read_flow(write_tree(folder / "flow", {"flow.dag.yaml": FLOW}))
    return list(tools_without_a_requirement(flow, lambda: required))


@pytest.mark.usefixtures("installed")
def test_the_metadata_of_an_installed_package() -> None:
    tool = read_package_tool(TOOL)
    assert tool is not None
    assert tool.distribution == "acme-search-tools"
    assert list(tool.connection_parameters) == ["account"]


@pytest.mark.usefixtures("installed")
def test_the_connection_of_an_installed_packages_tool(tmp_path: Path) -> None:
    flow = read_flow(write_tree(tmp_path / "flow", {"flow.dag.yaml": FLOW}))
    (connection,) = find_connections(flow, {})
    assert connection.variables == ("ACME_TOKEN",)


@pytest.mark.usefixtures("installed")
def test_an_installed_package_that_no_requirement_names(tmp_path: Path) -> None:
    assert warnings(tmp_path, {"acme-search-tools"}) == []
    (said,) = warnings(tmp_path, {"acme-tools"})
    assert said.partition(": ")[2] == (
        f"the tool '{TOOL}' comes from the package 'acme-search-tools', which is not in the requirements; add it"
    )


@pytest.mark.parametrize(("required", "is_said"), [(set(), True), ({"numpy"}, True), ({"acme-tool"}, False)])
def test_a_package_that_is_not_installed_is_guessed(tmp_path: Path, required: set[str], is_said: bool) -> None:
    said = warnings(tmp_path, required)
    assert bool(said) is is_said
    assert all("seems to come from the package 'acme-tools'" in each for each in said)


def test_promptflows_own_tools_are_added_anyway(tmp_path: Path) -> None:
    text = FLOW.replace(TOOL, "promptflow.tools.serpapi.SerpAPI.search")
    flow = read_flow(write_tree(tmp_path, {"flow.dag.yaml": text}))
    assert list(tools_without_a_requirement(flow, frozenset)) == []


def test_a_former_name_of_a_tool_of_promptflow_is_no_package_of_its_own(tmp_path: Path) -> None:
    text = FLOW.replace(TOOL, "content_safety_text.tools.content_safety_text_tool.analyze_text")
    flow = read_flow(write_tree(tmp_path, {"flow.dag.yaml": text}))
    assert list(tools_without_a_requirement(flow, frozenset)) == []
    assert needs_tools(flow, {})
