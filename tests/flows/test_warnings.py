"""What is said of a flow before it is deployed: it evaluates, or it reads connections in a workspace itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.flows.connections import find_connections
from flowpack.flows.reader import read_flow
from flowpack.flows.warnings import warnings_of
from flowpack.flows.workspace_connections import WorkspaceConnection, find_workspace_connections
from tests.paths import FLOWS, write_tree

_ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/library/connections"

LOOKUP = f"""\
nodes:
- name: lookup
  type: python
  source: {{type: package, tool: promptflow_vectordb.tool.common_index_lookup.search}}
  inputs:
    mlindex_content: >
      embeddings:
        connection:
          id: {_ID}/embedding_model
        kind: open_ai
      index:
        connection:
          id: {_ID}/catalogue
        kind: acs
    queries: ${{inputs.question}}
"""


def test_those_of_an_index_lookup(tmp_path: Path) -> None:
    flow = read_flow(write_tree(tmp_path, {"flow.dag.yaml": LOOKUP.replace(">", "|")}))
    assert find_workspace_connections(flow) == (
        WorkspaceConnection("catalogue", "library", "lookup"),
        WorkspaceConnection("embedding_model", "library", "lookup"),
    )
    assert find_connections(flow, {}) == ()
    assert "the connection 'catalogue' directly from the workspace 'library'" in next(warnings_of(flow))


@pytest.mark.parametrize("content", ["'{'", "1", "'- {connection: {id: none}}'", "'connection: [id]'"])
def test_content_that_names_none(tmp_path: Path, content: str) -> None:
    node = f"{{name: n, type: python, inputs: {{mlindex_content: {content}}}}}"
    flow = read_flow(write_tree(tmp_path, {"flow.dag.yaml": f"nodes:\n- {node}\n"}))
    assert find_workspace_connections(flow) == ()


def test_an_evaluation_flow_is_told() -> None:
    flow = read_flow(FLOWS / "evaluation")
    [warning] = warnings_of(flow)
    assert "flow.dag.yaml:22:3: node 'share' aggregates" in warning
    assert "Azure ML does not deploy it" in warning
    assert flow.is_evaluation
    assert not read_flow(FLOWS / "python-only").is_evaluation
