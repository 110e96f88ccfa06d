"""Finds where a flow's files contain a name that flowpack refuses. Runs only to report such a name."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from flowpack.documents.yaml_documents import Document, Value, read_document
from flowpack.errors import FlowpackError, Location
from flowpack.flows.front_matter import read_front_matter
from flowpack.flows.model import Flow, FlowKind
from flowpack.flows.python_source import PythonSource


def place_of(name: str, flow: Flow, files: Mapping[str, Path]) -> Location | None:
    """The first value in the flow file, a prompty or a source that is the name or refers to it."""
    for document in _documents(flow, files):
        for value in _values(document.root):
            if isinstance(value.data, str) and _names(value.data.strip(), name):
                return value.location
    for target in files:
        source = PythonSource.read(files[target], flow.roots) if target.endswith(".py") else None
        for node in ast.walk(source.tree) if source else ():
            if isinstance(node, ast.Constant) and node.value == name:
                return Location(files[target], node.lineno, node.col_offset + 1)
    return None


def _names(text: str, name: str) -> bool:
    """Whether the text is the name, or refers to it as ``${connection.key}`` or ``${env:VARIABLE}``."""
    is_part = text.startswith((f"${{{name}.", f"${{env:{name}")) or text.endswith(f".{name}}}")
    return text == name or (text.startswith("${") and is_part)


def _documents(flow: Flow, files: Mapping[str, Path]) -> Iterator[Document]:
    if flow.kind is not FlowKind.PROMPTY:
        yield read_document(flow.file, within=flow.roots)
    for target in files:
        if target.endswith(".prompty"):
            try:
                yield read_front_matter(files[target], flow.roots)
            except FlowpackError:
                continue


def _values(root: Value) -> Iterator[Value]:
    """The scalar values below ``root``, each once even if several aliases refer to it."""
    waiting, seen = [root], set()
    while waiting:
        value = waiting.pop()
        if id(value.node) in seen:
            continue
        seen.add(id(value.node))
        if value.is_mapping:
            waiting += reversed(value.mapping().values())
        elif value.is_sequence:
            waiting += reversed(value.sequence())
        else:
            yield value
