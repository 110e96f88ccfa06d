"""Reads a flow of any kind from a folder or a file, without importing its code."""

from __future__ import annotations

from pathlib import Path

from flowpack.errors import InputError, Location
from flowpack.flows.dag import read_dag_flow
from flowpack.flows.model import Flow
from flowpack.flows.resolve import find_flow_file
from flowpack.flows.variants import VariantChoice
from flowpack.yaml_documents import read_document


def read_flow(source: Path, variant: VariantChoice | None = None) -> Flow:
    file = find_flow_file(source)
    if file.suffix.lower() == ".prompty":
        raise InputError("prompty files are not supported yet", location=Location(file))
    document = read_document(file)
    fields = document.root.mapping("a flow: a mapping with inputs, outputs and nodes")
    if "entry" in fields:
        raise fields["entry"].error("flex flows are not supported yet")
    return read_dag_flow(document, variant)
