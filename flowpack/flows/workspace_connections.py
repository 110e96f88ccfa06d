"""Finds connections that an index lookup names by their id in a workspace, and reads from there itself.

They are not promptflow connections: no variable sets them, and the identity that serves the flow needs access.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowpack.documents.yaml_documents import read_document
from flowpack.errors import FlowpackError
from flowpack.flows.model import Flow

_INPUT = "mlindex_content"
_ID = re.compile(r"/workspaces/(?P<workspace>[^/]+)/connections/(?P<name>[^/]+)/?$", re.I)


@dataclass(frozen=True, slots=True, order=True)
class WorkspaceConnection:
    name: str
    workspace: str
    node: str


def find_workspace_connections(flow: Flow) -> tuple[WorkspaceConnection, ...]:
    found = set()
    for node in flow.nodes:
        content = node.inputs.get(_INPUT)
        for match in map(_ID.search, _ids(_read(flow, content)) if isinstance(content, str) else ()):
            if match:
                found.add(WorkspaceConnection(match["name"], match["workspace"], node.name))
    return tuple(sorted(found))


def _read(flow: Flow, content: str) -> Any:
    try:
        return read_document(flow.file, content).root.data
    except FlowpackError:
        return None


def _ids(data: Any) -> Iterator[str]:
    """The ``id`` of each ``connection``, at any depth."""
    if isinstance(data, list):
        for each in data:
            yield from _ids(each)
    elif isinstance(data, dict):
        connection = data.get("connection")
        if isinstance(connection, dict) and isinstance(connection.get("id"), str):
            yield connection["id"]
        for each in data.values():
            yield from _ids(each)
