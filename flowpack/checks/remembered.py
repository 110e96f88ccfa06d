"""Caches the findings at a place until something that the rules looked at changes.

A record lists the trees and files that were read and the folders that were searched for modules. Its key is a digest of
their content, not their times, and of flowpack's own sources, so a new clone in the same folder reuses the records. A
place has no record if its findings depend on anything else: installed packages, folders that code adds to its path, or
an include that does not exist yet.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import flowpack
from flowpack.assembly.ignore import why_always_out
from flowpack.caches import read_cached, write_cached
from flowpack.checks.discovery import Place
from flowpack.checks.findings import Edit, Finding
from flowpack.checks.registry import all_rules
from flowpack.checks.secrets import LOOKED_AT
from flowpack.checks.subject import Subject
from flowpack.dependencies.target import Platform
from flowpack.errors import Location
from flowpack.flows.python_source import read_source
from flowpack.images.base import BASE_FILE
from flowpack.reading import is_folder

_MOST_ENTRIES = 200_000


class Records:
    """The records of one run, which reads each tree and folder once."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = roots
        self._seen: dict[tuple[str, str], str] = {}

    def recall(self, place: Place) -> list[Finding] | None:
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            record = json.loads(read_cached("checks", self._name(place)) or b"{}")
            if record["key"] == self._key(record["looked at"]):
                return [_finding(each) for each in record["findings"]]
        return None

    def remember(self, place: Place, subject: Subject, findings: Sequence[Finding]) -> None:
        if not _follows_from_files(subject):
            return
        looked_at = list(_looked_at(place, subject))
        try:
            key = self._key(looked_at)
        except (OSError, ValueError):  # a folder that cannot be listed, or a tree that is too large
            return
        record = {"key": key, "looked at": looked_at, "findings": [_document(each) for each in findings]}
        write_cached("checks", self._name(place), json.dumps(record).encode())

    def _name(self, place: Place) -> str:
        """The working directory is part of the name, because messages contain paths relative to it."""
        named = (place.flow, *place.documents, *self._roots, Path.cwd())
        return hashlib.sha256("\n".join(map(str, named)).encode(errors="surrogateescape")).hexdigest() + ".json"

    def _key(self, looked_at: Sequence[Sequence[str]]) -> str:
        digest = hashlib.sha256(_own_sources().encode())
        for how, path in looked_at:
            if (how, path) not in self._seen:
                self._seen[how, path] = _LOOKS[how](path)
            digest.update(self._seen[how, path].encode(errors="surrogateescape"))
        return digest.hexdigest()


def _follows_from_files(subject: Subject) -> bool:
    if subject.includes.refused or (subject.file is not None and subject.folder is None):
        return False  # a change anywhere may fix the error
    if any(node.source and node.source.tool for node in (subject.flow.nodes if subject.flow else ())):
        return False
    sources = (subject.paths[target] for target in subject.paths if target.endswith(".py"))
    texts = (read_source(path, subject.roots.folders) or b"" for path in sources)
    return not any(b"sys.path" in text or b"addsitedir" in text for text in texts)


def _looked_at(place: Place, subject: Subject) -> Iterator[tuple[str, str]]:
    """Pairs of a way of looking, a key of ``_LOOKS``, and a path."""
    sources = subject.folder.sources if subject.folder else (place.flow.parent,) if place.flow else ()
    for path in sources:
        yield ("tree" if path.is_dir() else "file"), str(path)
    if place.flow:
        project = subject.roots.folders[0]
        above = [each for each in place.flow.parent.parents if each == project or project in each.parents]
        for each in above:
            yield "listing", str(each)
            yield "file", str(each / BASE_FILE)
        yield "listing", str(project / "src")
    for document in subject.documents:
        yield "file", str(document.path)
        yield "listing", str(document.path.parent)
        model = document.local_path(document.model_path)
        if model:
            yield "file", str(model)
        context = document.local_path(document.build_context)
        if context:
            yield ("tree" if is_folder(context) else "file"), str(context)


@cache
def _own_sources() -> str:
    """A digest of the rules, the version of the Python that parses sources, and the platform of a lock."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {Platform.of_this_machine()}".encode())
    folder = Path(flowpack.__file__).parent
    for path in sorted((*folder.rglob("*.py"), *folder.rglob("*.txt"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _tree(folder: str) -> str:
    """A digest of all that may be in a standalone folder (names, modes, content) and of its ignore files."""
    digest = hashlib.sha256()
    waiting, seen = [folder], set()
    left = _MOST_ENTRIES
    while waiting:
        entries = _entries(waiting.pop())
        left -= len(entries)
        if left < 0:  # a link may lead anywhere
            raise ValueError
        for entry in entries:
            always_out = why_always_out(entry.name)
            if entry.is_dir():
                real = os.path.realpath(entry.path)  # assembling follows links too
                if always_out is None and real not in seen:
                    seen.add(real)
                    waiting.append(entry.path)
                digest.update(f"{entry.path}/\n".encode(errors="surrogateescape"))
            elif always_out is None or always_out == "ignore file" or entry.name.startswith(".env"):
                digest.update(f"{entry.path} {_content(entry.path)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _content(path: str) -> str:
    """A file's size, mode and a digest of the bytes that rules read, which are not all of a large one; a listing."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # a pipe without a writer would block
        try:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode):
                return _listing(path)
            head = os.pread(descriptor, LOOKED_AT + 1, 0) if stat.S_ISREG(found.st_mode) else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        return f"{error.errno}"
    return f"{found.st_size} {found.st_mode:o} {hashlib.sha256(head).hexdigest()}"


def _listing(folder: str) -> str:
    """The names in a folder and its subfolders, which show whether a module is there."""
    return "\n".join(_names(folder, depth=2))


def _names(folder: str, depth: int) -> Iterator[str]:
    try:
        entries = _entries(folder)
    except OSError:
        return
    for entry in entries:
        if why_always_out(entry.name) is None:
            yield entry.path
            if depth > 1 and entry.is_dir():
                yield from _names(entry.path, depth - 1)


_LOOKS = {"tree": _tree, "file": _content, "listing": _listing}


def _document(finding: Finding) -> dict[str, Any]:
    where, edit = finding.location, finding.fix
    return {
        "code": finding.rule.code,
        "message": finding.message,
        "where": [str(where.path), where.line, where.column],
        "hint": finding.hint,
        "fix": edit and [str(edit.path), edit.first, edit.last, list(edit.lines)],
    }


def _finding(document: dict[str, Any]) -> Finding:
    path, line, column = document["where"]
    edit = document["fix"]
    return Finding(
        rule=_rules()[document["code"]],
        message=document["message"],
        location=Location(Path(path), line, column),
        hint=document["hint"],
        fix=edit and Edit(path=Path(edit[0]), first=edit[1], last=edit[2], lines=tuple(edit[3])),
    )


@cache
def _rules() -> dict[str, Any]:
    return {rule.code: rule for rule in all_rules()}
