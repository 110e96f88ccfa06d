"""Reads values of any shape, since other rules check the shape, and decides which values fit a promptflow type."""

from __future__ import annotations

import json
from typing import Any

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
    """The value below these keys; None if it is missing or null."""
    for key in keys:
        value = fields_of(value).get(key)
    return None if value is None or value.is_null else value


def text_of(value: Value | None) -> str | None:
    return value.data if value is not None and isinstance(value.data, str) else None


def number_of(value: Value | None) -> int | None:
    return value.data if value is not None and type(value.data) is int else None


# Which values a flow file may write for a type: ``ValueType.parse`` of promptflow 1.18.5, without running it.

KIND = {"int": "a whole number", "double": "a number", "bool": "true or false", "list": "a list"}
"""The types that do not accept every value, in words for a message."""


def counts_as_left_out(data: Any) -> bool:
    """promptflow drops an input with such a value before it calls the tool."""
    return data is None or data == ""


def fits(data: Any, type_: str) -> bool:
    try:
        if type_ == "int":
            int(data)
        elif type_ == "double":
            float(data)
        elif type_ == "bool":
            return isinstance(data, bool) or (isinstance(data, str) and data.lower() in {"true", "false"})
        elif type_ == "list":
            return isinstance(json.loads(data) if isinstance(data, str) else data, list)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return False
    return True
