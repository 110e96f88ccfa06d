"""What Azure Machine Learning refuses after an upload, or takes and cannot serve: refused before it.

The rules and their sources: docs/reference/models.md.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from flowpack.assembly.flow_folder import FlowFolder
from flowpack.azureml.limits import LONGEST_MODEL_NAME, MODEL_NAME
from flowpack.azureml.models.document import CHAT_INPUT, CHAT_OUTPUT, FLOW_DIGEST, ModelDocument
from flowpack.errors import InputError, Location, UsageError, nearest
from flowpack.flows.model import Flow

MAXIMUM_FILES = 1500
_MEGABYTE = 1_000_000
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_READ_BY_AZURE_AI_ML = (".amlignore", ".gitignore")


def check_flow(flow: Flow) -> None:
    """Before anything is assembled: whether it is a flow that an endpoint can serve."""
    aggregation = next((node for node in flow.nodes if node.aggregation), None)
    if aggregation:
        raise InputError(
            f"'{flow.name}' is an evaluation flow, which cannot be deployed: node '{aggregation.name}' aggregates",
            location=aggregation.location,
            hint="register the flow that it evaluates",
        )


def check_model(document: ModelDocument, flow: Flow, folder: FlowFolder, maximum_megabytes: int) -> None:
    _check_name(document.name)
    _check_version(document.version)
    _check_chat(document, flow)
    _check_files(folder, flow)
    _check_size(folder, maximum_megabytes, flow)


def check_tags(tags: Iterable[str]) -> None:
    if FLOW_DIGEST in tags:
        raise UsageError(f"the tag {FLOW_DIGEST} is flowpack's own: it is how the same content is found again")


def _check_name(name: str) -> None:
    if MODEL_NAME.fullmatch(name):
        return
    suggested = re.sub(r"[^a-zA-Z0-9_]+", "-", name).strip("-_")[:LONGEST_MODEL_NAME]
    raise InputError(
        f"'{name}' is not a valid name for a model: 1 to {LONGEST_MODEL_NAME} letters, digits, '-' and '_', "
        "the first a letter or a digit",
        hint=f"--name {suggested}" if suggested else "choose one with --name",
    )


def _check_version(version: str | None) -> None:
    if version is not None and not _VERSION.fullmatch(version):
        raise InputError(
            f"'{version}' is not a valid version: a model's versions are whole numbers from 1 on",
            hint="leave out --version for the next one; a release number can be a tag: --tag release=" + version,
        )


def _check_chat(document: ModelDocument, flow: Flow) -> None:
    kinds = (CHAT_INPUT, "input", set(flow.inputs)), (CHAT_OUTPUT, "output", set(flow.outputs))
    for key, kind, names in kinds:
        name = document.properties.get(key)
        if name is None or name in names:
            continue
        if kind == "output" and not names:
            continue  # a flex flow or a prompty that does not say what it answers with
        near = nearest(name, names)
        known = f"it has {', '.join(sorted(names))}" if names else f"it has no {kind}s"
        raise InputError(
            f"{key}: the flow has no {kind} '{name}'",
            location=Location(flow.file),
            hint=f"did you mean '{near}'?" if near else known,
        )


def _check_files(folder: FlowFolder, flow: Flow) -> None:
    if len(folder.files) > MAXIMUM_FILES:
        below = Counter(path.partition("/")[0] + "/" for path in folder.files if "/" in path)
        most = ", ".join(f"{name} with {count:,}" for name, count in below.most_common(3))
        raise InputError(
            f"the standalone folder has {len(folder.files):,} files, and a model version at most {MAXIMUM_FILES:,}",
            location=Location(flow.folder),
            hint=_leave_out(most),
        )
    read = next((name for name in _READ_BY_AZURE_AI_ML if name in folder.files), None)
    if read:
        raise InputError(
            f"the standalone folder has a {read}, by whose rules azure-ai-ml would leave files out of the upload",
            location=folder.included_by[read].location if read in folder.included_by else Location(flow.folder / read),
            hint="take it out of additional_includes",
        )


def _check_size(folder: FlowFolder, maximum_megabytes: int, flow: Flow) -> None:
    if folder.size <= maximum_megabytes * _MEGABYTE:
        return
    largest = sorted(folder.files.items(), key=lambda each: each[1].size, reverse=True)[:3]
    most = ", ".join(f"{path} with {source.size / _MEGABYTE:,.0f} MB" for path, source in largest)
    raise InputError(
        f"the standalone folder has {folder.size / _MEGABYTE:,.0f} MB, more than the {maximum_megabytes:,} MB that a "
        "model may have",
        location=Location(flow.folder),
        hint=f"{_leave_out(most)}; or --max-size {-(-folder.size // _MEGABYTE)}",
    )


def _leave_out(most: str) -> str:
    return f"most are in {most}: name what is not needed in .flowpackignore" if most else "see .flowpackignore"
