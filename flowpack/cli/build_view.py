"""What ``flowpack build`` shows: the plan of a dry run, what was left out, the folder that was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flowpack.assembly.files import CopiedFile
from flowpack.assembly.left_out import Count, LeftOut
from flowpack.cli.output import readable
from flowpack.errors import shown_path
from flowpack.pipeline.builds import Planned

_SHOWN = 10


def left_out_lines(left_out: LeftOut, counts: Sequence[Count]) -> Iterator[str]:
    for count in counts[:_SHOWN]:
        at_least = "" if count.whole else "at least "
        yield f"left out    {at_least}{files_and_bytes(count.files, count.size)}, {count.rule}"
    rest = counts[_SHOWN:]
    if rest:
        sums = files_and_bytes(sum(each.files for each in rest), sum(each.size for each in rest))
        yield f"left out    {sums}, by {len(rest)} more rules (--json has them all)"
    for kept in left_out.kept:
        yield f"taken in    {kept.target}, which {kept.include.location} names, against a rule ({kept.rule})"


def left_out_document(counts: Sequence[Count]) -> list[dict[str, Any]]:
    return [
        {"rule": str(count.rule), "files": count.files, "bytes": count.size, "complete": count.whole}
        for count in counts
    ]


def files_and_bytes(files: int, size: int) -> str:
    return f"{files:,} file{'s' * (files != 1)}, {readable(size)}"


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


_SHOWN_PER_FOLDER = 12


def tree(folder: Path) -> str:
    return "\n".join([f"{folder}/", *_below(folder, "")])


def _below(folder: Path, indent: str) -> Iterator[str]:
    entries = sorted(folder.iterdir(), key=lambda path: (not path.is_dir(), path.name))
    shown = entries[:_SHOWN_PER_FOLDER]
    for number, path in enumerate(shown):
        last = number == len(entries) - 1
        yield f"{indent}{'└── ' if last else '├── '}{path.name}{'/' if path.is_dir() else ''}"
        if path.is_dir():
            yield from _below(path, indent + ("    " if last else "│   "))
    if len(entries) > len(shown):
        yield f"{indent}└── … {len(entries) - len(shown)} more"
