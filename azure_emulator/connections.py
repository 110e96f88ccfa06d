"""Connections of a workspace in the forms that Azure has them."""

from __future__ import annotations

from typing import Any


def api_key(category: str, target: str, key: str, **metadata: str) -> dict[str, Any]:
    return {
        "authType": "ApiKey",
        "category": category,
        "target": target,
        "credentials": {"key": key},
        "metadata": metadata,
    }


def custom_keys(secrets: dict[str, str], **metadata: str) -> dict[str, Any]:
    return {
        "authType": "CustomKeys",
        "category": "CustomKeys",
        "target": "_",
        "credentials": {"keys": secrets},
        "metadata": metadata,
    }
