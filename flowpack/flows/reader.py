"""Reads a flow of any kind from a folder or a file, without importing its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flowpack.documents.yaml_documents import read_document
from flowpack.errors import Location
from flowpack.flows.dag import read_dag_flow
from flowpack.flows.environment_files import with_environment_files
from flowpack.flows.model import Flow
from flowpack.flows.prompty import read_prompty_flow
from flowpack.flows.resolve import find_flow_file
from flowpack.flows.variants import VariantChoice
from flowpack.reading import project_root
from flowpack.valid_names import check_name


def read_flow(
    source: Path,
    variant: VariantChoice | None = None,
    *,
    include_roots: Sequence[Path] = (),
    within: tuple[Path, ...] | None = None,
) -> Flow:
    """Reads nothing outside the flow's project and ``include_roots``, or outside ``within`` if it is given."""
    file = find_flow_file(source)
    check_name("flow", file.parent.name or "/", Location(file))  # a flow has the name of its folder
    # Set before anything is read, so that no link in the flow's folder can change it.
    roots = within or (project_root(file.parent), *(path.resolve() for path in include_roots))
    if file.suffix.lower() == ".prompty":
        return replace(read_prompty_flow(file, variant, roots), roots=roots)
    document = read_document(file, within=roots)
    fields = document.root.mapping("a flow: a mapping with inputs, outputs and nodes")
    if "nodes" not in fields and "entry" not in fields and file.name.startswith("flow.flex."):
        raise document.root.error("the flow has no entry", "add entry: module:function, or entry: module:Class")
    if "entry" in fields:
        from flowpack.flows.flex import read_flex_flow  # noqa: PLC0415  (loads the reader of signatures)

        return with_environment_files(replace(read_flex_flow(document, variant), roots=roots))
    return with_environment_files(replace(read_dag_flow(document, variant), roots=roots))
