"""FP201 to FP212: the sources of the standalone folder, and files that should not be in it."""

from __future__ import annotations

import ast
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from flowpack.assembly.flow_folder import missing_requirements
from flowpack.azureml.models.rules import MAXIMUM_FILES
from flowpack.checks.findings import Edit, Severity
from flowpack.checks.registry import Problem, rule
from flowpack.checks.secrets import secrets_in_file
from flowpack.checks.subject import Subject
from flowpack.flows.local_imports import find_missing_imports
from flowpack.flows.model import Flow, Include
from flowpack.flows.python_source import last_name
from flowpack.flows.resolve import module_files
from flowpack.flows.tool_sources import ToolSource
from flowpack.flows.warnings import missing_sample
from flowpack.reading import Roots

_BIG = 100 * 1024**2
_BIG_DATA = 10 * 1024**2
_DATA = (".csv", ".tsv", ".jsonl", ".parquet", ".xlsx", ".sqlite", ".db")
_FOLDERS = {"node_modules", "site-packages", "bower_components", "wandb", "mlruns"}
_CALLS = {"main", "run", "call", "check_call", "check_output", "getoutput", "Popen", "popen", "system"}
_PIP_INSTALL = re.compile(r"(?:^|[\s/])pip3?\s+install\b")
_FILES = (".ipynb", ".log", ".whl", ".bak", ".swp")


@rule("FP201", "broken-include", Severity.ERROR, "An additional include does not exist or cannot be included.")
def broken_include(subject: Subject) -> Iterator[Problem]:
    for include, error in subject.includes.refused:
        if not _is_outside(subject, include.path):
            yield Problem.of(error, include.location)


@rule("FP202", "include-outside-root", Severity.ERROR, "An additional include is outside the project.")
def include_outside_root(subject: Subject) -> Iterator[Problem]:
    for include, error in subject.includes.refused:
        if _is_outside(subject, include.path):
            yield Problem.of(error, include.location)


def _is_outside(subject: Subject, written: str) -> bool:
    """Looks only at where the path leads: a finding must not show whether something exists there on this machine."""
    assert subject.file is not None  # noqa: S101  (a flow's include)
    with suppress(OSError, ValueError):
        return not subject.roots.allow(Path(os.path.realpath(subject.file.parent / written)))
    return False


@rule(
    "FP203", "unusable-folder", Severity.ERROR, "The flow folder and its includes cannot be combined into one folder."
)
def unusable_folder(subject: Subject) -> Iterator[Problem]:
    if subject.assembled.error:
        yield Problem.of(subject.assembled.error, subject.location)


@rule("FP204", "clashing-files", Severity.WARNING, "Two different files have the same path in the standalone folder.")
def clashing_files(subject: Subject) -> Iterator[Problem]:
    for conflict in subject.assembled.conflicts:
        yield Problem(conflict.message, conflict.location, "rename one of the two")


@rule("FP205", "include-twice", Severity.WARNING, "An additional include is listed twice.")
def include_twice(subject: Subject) -> Iterator[Problem]:
    seen: dict[str, int | None] = {}
    lines = subject.document.text.splitlines() if subject.document else []
    for include in subject.flow.additional_includes if subject.flow else ():
        line = include.location.line
        first = seen.setdefault(include.path, line)
        if first != line and line is not None:
            fix = _without(include, line, lines[line - 1] if line <= len(lines) else "")
            yield Problem(f"'{include.path}' is already in line {first}", include.location, fix=fix)


def _without(include: Include, line: int, text: str) -> Edit | None:
    item = text.partition(" #")[0].strip().removeprefix("-").strip()
    is_an_item_alone = text.lstrip().startswith("- ") and item in {
        quote + include.path + quote for quote in ("", "'", '"')
    }
    return Edit(path=include.location.path, first=line, last=line, lines=()) if is_an_item_alone else None


@rule("FP206", "missing-import", Severity.ERROR, "The flow's code imports a module that the standalone folder lacks.")
def missing_import(subject: Subject) -> Iterator[Problem]:
    flow = subject.flow
    if flow is None or subject.folder is None:
        return

    def required() -> frozenset[str]:
        return subject.requirements.names if subject.requirements else frozenset()

    for missing in find_missing_imports(flow, subject.paths, subject.roots.folders[0], required):
        yield Problem(f"the standalone folder lacks the module '{missing.module}'", missing.location, missing.remedy)


@rule(
    "FP207",
    "too-many-files",
    Severity.ERROR,
    "The standalone folder has more files than Azure ML allows in a model version.",
)
def too_many_files(subject: Subject) -> Iterator[Problem]:
    if subject.folder and len(subject.folder.files) > MAXIMUM_FILES:
        below = Counter(path.partition("/")[0] + "/" for path in subject.folder.files if "/" in path)
        most = ", ".join(f"{name} with {count:,}" for name, count in below.most_common(3))
        yield Problem(
            f"the standalone folder has {len(subject.folder.files):,} files, but a model version can have at most "
            f"{MAXIMUM_FILES:,}",
            subject.location,
            f"list files that are not needed in .flowpackignore; most are in {most}",
        )


@rule("FP208", "big-file", Severity.WARNING, "A file of more than 100 MB ships with the flow.")
def big_file(subject: Subject) -> Iterator[Problem]:
    for target, source in subject.folder.files.items() if subject.folder else ():
        if source.size > _BIG:
            yield Problem(
                f"'{target}' has {source.size // 2**20:,} MB and is in each image and each model version",
                subject.where(target),
                "keep it in a datastore, or list it in .flowpackignore",
            )


@rule(
    "FP209",
    "secret-in-folder",
    Severity.ERROR,
    "A file that ships with the flow contains a secret.",
    about_secrets=True,
)
def secret_in_folder(subject: Subject) -> Iterator[Problem]:
    for target in subject.paths:
        if subject.folder and target == subject.folder.flow.standalone_name:
            continue  # FP402 checks it
        if target.rpartition("/")[2].startswith(".env"):
            hint = "remove it from additional_includes, and set the variables where the flow runs"
            yield Problem(f"'{target}' ships with the flow", subject.where(target), hint)
            continue
        yield from _secrets(subject.paths[target], subject.roots.folders)
    if subject.lock_file:
        yield from _secrets(subject.lock_file, subject.roots.folders)


def _secrets(path: Path, within: Roots) -> Iterator[Problem]:
    for secret in secrets_in_file(path, within):
        hint = "revoke it, remove it, and pass the new one through a connection or a variable"
        yield Problem(f"this looks like {secret.kind}", secret.location, hint)


@rule("FP210", "should-not-ship", Severity.WARNING, "Files that serving does not need ship with the flow.")
def should_not_ship(subject: Subject) -> Iterator[Problem]:
    found: dict[str, list[str]] = {}
    for target, source in subject.folder.files.items() if subject.folder else ():
        parts = target.split("/")
        folder = next((part for part in parts[:-1] if part in _FOLDERS or part.endswith(".dist-info")), None)
        if folder:
            found.setdefault(f"{folder}/", []).append(target)
        elif target.endswith(_FILES):
            found.setdefault(f"*{target[target.rindex('.') :]}", []).append(target)
        elif target.endswith(_DATA) and source.size > _BIG_DATA:
            found.setdefault(target, []).append(target)
    for pattern, targets in found.items():
        first = targets[0]
        more = f" and {len(targets) - 1:,} more like it" if len(targets) > 1 else ""
        message = f"the flow ships with '{first}'{more}, which serving does not need"
        yield Problem(message, subject.where(first), f"list '{pattern}' in .flowpackignore")


@rule("FP211", "installs-at-run-time", Severity.WARNING, "A source runs pip, which cannot change what the image has.")
def installs_at_run_time(subject: Subject) -> Iterator[Problem]:
    for target in _first_sources(subject.flow) if subject.flow else ():
        source = subject.sources.get(target)
        call = _call_of_pip(source) if source else None
        if source and call:
            hint = "add the package to the requirements and remove the call"
            yield Problem(
                "the flow runs pip when it is served, and may not write packages", source.location(call), hint
            )


def _first_sources(flow: Flow) -> Iterator[str]:
    """The sources that promptflow loads. Others may be scripts that no server runs."""
    paths = (node.source.path for node in flow.nodes if node.source and node.source.path)
    found = ["/".join(part for part in path.replace("\\", "/").split("/") if part not in {"", "."}) for path in paths]
    yield from dict.fromkeys([*found, *(module_files(flow.entry.partition(":")[0]) if flow.entry else ())])


def _call_of_pip(source: ToolSource) -> ast.Call | None:
    calls = (node for node in ast.walk(source.tree) if isinstance(node, ast.Call))
    return next((call for call in calls if _runs_pip(source, call)), None)


def _runs_pip(source: ToolSource, call: ast.Call) -> bool:
    """``pip.main([...])``, and a call with the words of ``pip install`` in a text or a list."""
    if last_name(call.func) not in _CALLS:  # a full name takes longer to find
        return False
    if last_name(call.func) == "main" and source.full_name(call.func).split(".")[0] == "pip":
        return True
    words: list[str] = []
    for argument in call.args:
        parts = argument.elts if isinstance(argument, (ast.List, ast.Tuple)) else [argument]
        words += [str(part.value) if isinstance(part, ast.Constant) else "?" for part in parts]
    full = source.full_name(call.func)
    return full.startswith(("subprocess.", "os.")) and _PIP_INSTALL.search(" ".join(words)) is not None


@rule("FP212", "missing-file", Severity.WARNING, "The flow names a sample or requirements file that does not exist.")
def missing_file(subject: Subject) -> Iterator[Problem]:
    sample = subject.flow.missing_sample if subject.flow else None
    if sample:
        yield Problem(missing_sample(sample), sample.location, "add the file, or remove sample")
    requirements = missing_requirements(subject.folder) if subject.folder else None
    if requirements:
        hint = "add the file, or remove the line; paths are relative to the flow file"
        yield Problem(requirements.message, requirements.location, hint)
