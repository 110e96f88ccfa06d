"""Warnings about flows that build and serve, but may not work once they are deployed."""

from __future__ import annotations

from collections.abc import Iterator

from flowpack.flows.model import Flow, MissingFile
from flowpack.flows.workspace_connections import find_workspace_connections


def missing_sample(missing: MissingFile) -> str:
    return f"the sample '{missing.path}' does not exist: the flow serves without it, and no test sends it"


def warnings_of(flow: Flow) -> Iterator[str]:
    aggregating = next((node for node in flow.nodes if node.aggregation), None)
    if aggregating:
        yield (
            f"{aggregating.location}: node '{aggregating.name}' aggregates, so this is an evaluation flow: "
            "Azure ML does not deploy it, and flowpack serves it without that node"
        )
    if flow.missing_sample:
        yield f"{flow.missing_sample.location}: {missing_sample(flow.missing_sample)}"
    for connection in find_workspace_connections(flow):
        yield (
            f"node '{connection.node}' reads the connection '{connection.name}' directly from the workspace "
            f"'{connection.workspace}': the identity that the flow runs as needs access to it"
        )
