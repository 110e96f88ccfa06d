"""Reads untrusted JSON: where Python's own reader raises an exception, the error has a location."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowpack.errors import InputError, Location

MAXIMUM_DEPTH = 100
MAXIMUM_DIGITS = 1000


def parse_json(text: str, path: Path, error: type[InputError] = InputError) -> Any:
    """Raises ``error`` for invalid JSON, deep nesting, a number that is too long, and half of a surrogate pair."""
    try:
        data = json.loads(text, parse_int=_whole_number)
        if text.count("[") + text.count("{") > MAXIMUM_DEPTH:
            _check_depth(data)
        if "\\ud" in text or "\\uD" in text:
            json.dumps(data, ensure_ascii=False).encode()
    except json.JSONDecodeError as wrong:
        raise error(f"broken JSON: {wrong.msg}", location=Location(path, wrong.lineno, wrong.colno)) from wrong
    except UnicodeEncodeError as wrong:
        message = "a \\u escape is half of a character"
        raise error(message, location=Location(path), hint="write the character itself") from wrong
    except RecursionError as wrong:
        raise error("nested too deeply", location=Location(path)) from wrong
    except _DigitsError as wrong:
        raise error(f"a number of more than {MAXIMUM_DIGITS:,} digits", location=Location(path)) from wrong
    return data


class _DigitsError(ValueError):
    pass


def _whole_number(text: str) -> int:
    if len(text) > MAXIMUM_DIGITS:
        raise _DigitsError
    return int(text)


def _check_depth(data: Any) -> None:
    level = [data]
    for _ in range(MAXIMUM_DEPTH):
        inner = [each for each in level if isinstance(each, (dict, list))]
        level = [value for each in inner for value in (each.values() if isinstance(each, dict) else each)]
        if not inner:
            return
    raise RecursionError
