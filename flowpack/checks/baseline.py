"""The known findings of an existing repository. They are recorded once, and then only new findings are reported.

An entry has a finding's code, its file and a digest of its line's text, so it still matches if lines move, but not if
the line is edited. Equal entries match as many findings as were recorded.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowpack.checks.findings import Finding
from flowpack.checks.places import mark_of, relative_path
from flowpack.documents.json_documents import parse_json
from flowpack.errors import InputError, Location
from flowpack.reading import RECORD_BYTES, read_text

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    code: str
    file: str
    mark: str


@dataclass(frozen=True, slots=True)
class Compared:
    """``new`` keeps the findings' order. ``gone`` is the number of entries that no finding matches any more."""

    new: tuple[Finding, ...]
    known: int
    gone: int


@dataclass(frozen=True, slots=True)
class Baseline:
    entries: tuple[Entry, ...]

    @classmethod
    def of(cls, findings: Sequence[Finding], root: Path) -> Baseline:
        return cls(tuple(sorted((_entry(finding, root) for finding in findings), key=_order)))

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Raises InputError if the file is missing, or is not in the format that ``text`` writes."""
        try:
            document = parse_json(read_text(path, limit=RECORD_BYTES, within=None), path)
            if document["version"] != _VERSION:
                raise InputError(f"unknown baseline version {document['version']}", location=Location(path), hint=_HINT)
            return cls(tuple(Entry(each["code"], each["file"], each["mark"]) for each in document["findings"]))
        except InputError as error:
            error.hint = error.hint or _HINT
            raise
        except (KeyError, TypeError) as error:
            raise InputError("the file is not a baseline", location=Location(path), hint=_HINT) from error

    def text(self) -> str:
        """Sorted, with one entry per line, so that two branches that add entries usually merge without a conflict."""
        entries = ({"code": each.code, "file": each.file, "mark": each.mark} for each in self.entries)
        lines = ",\n".join(f"    {json.dumps(entry, ensure_ascii=False)}" for entry in entries)
        listed = f"[\n{lines}\n  ]" if lines else "[]"
        return f'{{\n  "version": {_VERSION},\n  "findings": {listed}\n}}\n'

    def compare(self, findings: Sequence[Finding], root: Path) -> Compared:
        left = Counter(self.entries)
        new = []
        for finding in findings:
            entry = _entry(finding, root)
            if left[entry]:
                left[entry] -= 1
            else:
                new.append(finding)
        return Compared(tuple(new), known=len(findings) - len(new), gone=sum(left.values()))


_HINT = "write it with `flowpack check --write-baseline`"


def _entry(finding: Finding, root: Path) -> Entry:
    return Entry(finding.rule.code, relative_path(finding.location.path, root), mark_of(finding, root))


def _order(entry: Entry) -> tuple[str, str, str]:
    return entry.file, entry.code, entry.mark
