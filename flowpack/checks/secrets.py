"""Keys and tokens by the forms that their makers gave them: no entropy is measured, so that few alarms are false."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowpack.errors import InputError, Location
from flowpack.reading import Roots, read_bytes

LOOKED_AT = 1024 * 1024
"""Bytes of a file; what is larger is data."""

_FORMS = {
    "a private key": rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY(?: BLOCK)?-----",
    "an AWS access key": rb"\bAKIA[0-9A-Z]{16}\b",
    "a GitHub token": rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,})",
    "an OpenAI key": rb"\bsk-[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}",
    "an Azure OpenAI key": rb"\b[0-9A-Za-z]{52}JQQJ99[0-9A-Za-z]{26}\b",
    "a key of an Azure storage account": rb"AccountKey=[A-Za-z0-9+/]{86}==",
    "a secret of an Entra application": rb"(?<![\w~.-])[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{31,34}(?![\w~.-])",
    "an Azure shared access signature": rb"[?&]sig=[A-Za-z0-9%+/]{43,}(?:%3D|=)",
    "a Google key": rb"\bAIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])",
    "a Hugging Face token": rb"\bhf_[A-Za-z]{34}\b",
    "a Slack token": rb"\bxox[abprs]-[0-9]{8,}-[0-9A-Za-z-]{10,}",
    "a Stripe key": rb"\b[rs]k_live_[0-9A-Za-z]{24,}",
    "a package index token": rb"\bpypi-AgE[A-Za-z0-9_-]{50,}",
}
_KINDS = tuple(_FORMS)
_ANY = re.compile(b"|".join(b"(" + form + b")" for form in _FORMS.values()))
_NOT_MEANT = re.compile(rb"EXAMPLE|x{8}|X{8}|0{12}", re.I)


@dataclass(frozen=True, slots=True)
class Secret:
    kind: str
    location: Location


def secrets_in_file(path: Path, within: Roots) -> Iterator[Secret]:
    """One a line; nothing of the secret itself is handed on."""
    try:
        data = read_bytes(path, limit=LOOKED_AT, within=within)
    except InputError:
        return
    if b"\0" not in data[:1024]:
        yield from secrets_in(data, path)


def secrets_in(data: bytes, path: Path) -> Iterator[Secret]:
    told = 0
    for match in _ANY.finditer(data):
        line = data.count(b"\n", 0, match.start()) + 1
        if line != told and not _NOT_MEANT.search(match[0]):
            told = line
            column = match.start() - data.rfind(b"\n", 0, match.start())
            yield Secret(_KINDS[(match.lastindex or 1) - 1], Location(path, line, column))
