"""What a dry run shows: the plan in words, then the Dockerfile."""

from __future__ import annotations

from typing import Any

from flowpack.assembly.files import CopiedFile
from flowpack.cli.left_out_view import files_and_bytes, left_out_document, left_out_lines
from flowpack.errors import shown_path
from flowpack.pipeline.builds import Planned


def plan_text(planned: Planned) -> str:
    assembled = planned.assembled
    flow, folder = assembled.flow, assembled.folder
    told = f"{files_and_bytes(len(folder.files), folder.size)}, {folder.digest}"
    lines = [f"flow          {flow.name} ({flow.kind.value}), {told}"]
    for target, source in folder.files.items():
        inside = isinstance(source, CopiedFile) and flow.folder in source.origin.parents
        lines.append(f"  flow/{target}" + ("" if inside else f"  <- {shown_path(source.origin)}"))
    lines += [f"  {line}" for line in left_out_lines(folder.left_out, folder.left_out.counts())]
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
        "left_out": left_out_document(assembled.folder.left_out.counts()),
        "connections": {each.name: list(each.variables) for each in assembled.connections},
        "lock": planned.lock_state,
        "base": assembled.base.origin,
        "dockerfile": planned.dockerfile,
    }
