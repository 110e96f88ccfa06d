"""A person's own ``endpoint.yaml`` or ``deployment.yaml``: what a rollout builds on has the kind that it should have.

What else such a document may have, azure-ai-ml knows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowpack.azureml.endpoints.states import AUTH_MODES
from flowpack.documents.yaml_documents import Value, read_document

_TEXTS = {"name", "endpoint_name", "compute", "type", "instance_type"}
_MAPPINGS = {"properties", "tags", "identity", "request_settings", "environment_variables"}


def read_stated(path: Path | None) -> dict[str, Any]:
    """Nothing where there is no path; keys that have no value are left out."""
    if path is None:
        return {}
    root = read_document(path, within=None).root
    fields = {key: each for key, each in root.mapping("a document: a mapping with a name").items() if not each.is_null}
    for key, value in fields.items():
        _check(key, value)
    # Keys become text, as they are for Azure, and so does what YAML takes for a date.
    stated: dict[str, Any] = json.loads(json.dumps({key: each.data for key, each in fields.items()}, default=str))
    if "auth_mode" in fields:
        stated["auth_mode"] = _auth_mode(fields["auth_mode"])
    return stated


def _check(key: str, value: Value) -> None:
    if key in _TEXTS:
        value.string("text")
    elif key in _MAPPINGS:
        inner = value.mapping()
        if key == "environment_variables":
            for each in inner.values():
                each.string("text", hint="Azure ML takes strings alone: quote it")
        identities = inner.get("user_assigned_identities") if key == "identity" else None
        if identities and not identities.is_null:
            for each in identities.sequence():
                each.mapping("resource_id and an id")
    elif key == "instance_count" and type(value.data) is not int:
        raise value.error(f"expected a whole number, found {value.kind}")


def _auth_mode(value: Value) -> str:
    """azure-ai-ml takes the spelling of its API as well."""
    known = AUTH_MODES.get(str(value.data).replace("_", "").lower())
    if known is None:
        raise value.error(f"expected {', '.join(AUTH_MODES.values())}, found {value.kind}")
    return known
