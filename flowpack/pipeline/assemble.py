"""The first part of every story: the standalone folder of a flow, with what is known of it before a lock."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from flowpack.assembly.flow_folder import FlowFolder, assemble
from flowpack.assembly.roots import IncludeRoots
from flowpack.assembly.staging import check_apart, check_replaceable
from flowpack.checks.flow_errors import refuse_broken_flow
from flowpack.dependencies.conda_file import with_conda_file
from flowpack.dependencies.requirements import Requirements, read_requirements
from flowpack.dependencies.target import Target
from flowpack.flows.connections import find_connections
from flowpack.flows.local_imports import find_missing_imports
from flowpack.flows.reader import read_flow
from flowpack.flows.tool_packages import tools_without_a_requirement
from flowpack.flows.warnings import warnings_of
from flowpack.images.base import check_trusted, find_base
from flowpack.pipeline.builds import Assembled, BuildRequest
from flowpack.reporting import SILENT, Reporter


def assemble_flow(request: BuildRequest, reporter: Reporter = SILENT) -> Assembled:
    flow = read_flow(request.source, request.variant, include_roots=request.include_roots)
    for warning in warnings_of(flow):
        reporter.warning(f"{warning}")
    roots = IncludeRoots.of(flow.folder, request.include_roots)
    folder = assemble(flow, roots, reporter, strict=request.on_conflict == "error")
    refuse_broken_flow(folder, roots, request.variant, reporter)
    if request.output is not None:
        check_replaceable(request.output)
        check_apart(request.output, flow.folder, folder.sources)
    for warning in _missing_from(folder, roots.folders[0], request.target):
        reporter.warning(f"{warning}")
    base = find_base(
        base_image=request.base_image,
        environment_image=flow.environment.image,
        flow_folder=flow.folder,
        root=roots.folders[0],
        image_location=flow.environment.locations.get("image"),
        trusted=request.trust_base,
    )
    if not request.trust_base:
        check_trusted(base, request.pip_config)
    return Assembled(flow=flow, folder=folder, connections=find_connections(flow, folder.paths), base=base)


def requirements_of(folder: FlowFolder, target: Target) -> Requirements:
    requirements = read_requirements(folder.requirements, folder.paths, folder.flow.roots)
    if folder.conda_file is None:
        return requirements

    return with_conda_file(requirements, folder.conda_file, folder.paths, target, folder.flow.roots)


def _missing_from(folder: FlowFolder, project: Path, target: Target) -> Iterator[str]:
    """What the flow's code finds on this machine and will not find in the image."""

    @functools.cache
    def required() -> frozenset[str]:
        return requirements_of(folder, target).names

    for missing in find_missing_imports(folder.flow, folder.paths, project, required):
        yield str(missing)
    if any(node.source and node.source.tool for node in folder.flow.nodes):
        yield from tools_without_a_requirement(folder.flow, required)
