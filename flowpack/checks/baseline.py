"""What an old repository already has: written once, and from then on only what is new is reported.

An entry is a finding's code, its file and a digest of its line's text: it stays while lines move, and goes when the
line is edited. Of equal ones as many are known as there were.
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
    """``new`` keeps its order; ``gone`` are entries that nothing is found for any more."""

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
        """InputError where there is none, or it is not what ``text`` writes."""
        try:
            document = parse_json(read_text(path, limit=RECORD_BYTES, within=None), path)
            if document["version"] != _VERSION:
                raise InputError(f"version {document['version']} of a baseline", location=Location(path), hint=_HINT)
            return cls(tuple(Entry(each["code"], each["file"], each["mark"]) for each in document["findings"]))
        except InputError as error:
            error.hint = error.hint or _HINT
            raise
        except (KeyError, TypeError) as error:
            raise InputError("is not a baseline", location=Location(path), hint=_HINT) from error

    def text(self) -> str:
        """Sorted, an entry a line: two branches that add to it merge without a conflict more often than not."""
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
