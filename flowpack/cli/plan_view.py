"""What a dry run shows: the plan in words, then the Dockerfile."""

from __future__ import annotations

from typing import Any

from flowpack.assembly.files import CopiedFile
from flowpack.errors import shown_path
from flowpack.pipeline import Planned


def plan_text(planned: Planned) -> str:
    assembled = planned.assembled
    flow, folder = assembled.flow, assembled.folder
    lines = [f"flow          {flow.name} ({flow.kind.value}), {len(folder.files)} files, {folder.digest}"]
    for target, source in folder.files.items():
        inside = isinstance(source, CopiedFile) and flow.folder in source.origin.parents
        lines.append(f"  flow/{target}" + ("" if inside else f"  <- {shown_path(source.origin)}"))
    lines += [f"  left out    {count} by {rule}" for rule, count in sorted(folder.left_out.items())]
    for connection in assembled.connections:
        lines.append(
            f"connection    {connection.name} ({connection.type.document_type}), for {', '.join(connection.users)}"
        )
        lines += [f"  to be set   {variable}" for variable in connection.variables]
    lines += [f"lock          {planned.lock_state}", f"base          {assembled.base.origin}", "", planned.dockerfile]
    return "\n".join(lines).rstrip()


def plan_document(planned: Planned) -> dict[str, Any]:
    assembled = planned.assembled
    return {
        "flow": assembled.flow.name,
        "flow_digest": assembled.folder.digest,
        "files": {target: str(source.origin) for target, source in assembled.folder.files.items()},
        "left_out": dict(assembled.folder.left_out),
        "connections": {each.name: list(each.variables) for each in assembled.connections},
        "lock": planned.lock_state,
        "base": assembled.base.origin,
        "dockerfile": planned.dockerfile,
    }
