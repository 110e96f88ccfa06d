"""Looks into documents without minding their shape: what has another one is some other rule's finding."""

from __future__ import annotations

from flowpack.documents.yaml_documents import Value
from flowpack.errors import FlowpackError


def fields_of(value: Value | None) -> dict[str, Value]:
    return value.mapping() if value is not None and value.is_mapping else {}


def items_of(value: Value | None) -> list[Value]:
    if value is None:
        return []
    try:
        return value.sequence()
    except FlowpackError:
        return []


def at(value: Value | None, *keys: str) -> Value | None:
    """The value below these keys; None where there is none, or null."""
    for key in keys:
        value = fields_of(value).get(key)
    return None if value is None or value.is_null else value


def text_of(value: Value | None) -> str | None:
    return value.data if value is not None and isinstance(value.data, str) else None


def number_of(value: Value | None) -> int | None:
    return value.data if value is not None and type(value.data) is int else None
