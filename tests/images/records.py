"""The record of a build that nobody made."""

from __future__ import annotations

from typing import Any

from flowpack.dependencies.target import Target
from flowpack.images.build_record import BuildRecord

_RECORD: dict[str, Any] = {
    "flow_name": "flow",
    "flow_kind": "dag",
    "flow_file": "flow.dag.yaml",
    "flow_digest": "sha256:1",
    "files": 1,
    "properties": {},
    "lock_digest": "sha256:2",
    "context_digest": "sha256:3",
    "target": Target.parse("3.11", "linux/amd64"),
    "connections": {},
    "buildkit": True,
}


def build_record(**changes: Any) -> BuildRecord:
    return BuildRecord(**{**_RECORD, **changes})
