"""Which values a flow file may write for a type: ``ValueType.parse`` of promptflow 1.18.5, without running it."""

from __future__ import annotations

import json
from typing import Any

KIND = {"int": "a whole number", "double": "a number", "bool": "true or false", "list": "a list"}
"""The types that do not take every value, in words for a message."""


def counts_as_left_out(data: Any) -> bool:
    """promptflow drops such an input of a node before it calls the tool."""
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
