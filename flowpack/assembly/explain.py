"""Explains why a path is in the standalone folder or not."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowpack.assembly.flow_folder import merged
from flowpack.assembly.ignore import IgnoreRules, Rule
from flowpack.assembly.includes import IncludedSource, included_sources
from flowpack.assembly.left_out import LeftOut
from flowpack.assembly.merging import Merge
from flowpack.assembly.roots import IncludeRoots
from flowpack.dependencies.lock_format import LOCK_NAME
from flowpack.errors import InputError, nearest, shown_path
from flowpack.flows.model import Flow
from flowpack.flows.resolve import in_the_way


@dataclass(frozen=True, slots=True)
class Explanation:
    """``target`` is the path in the standalone folder, None if it is not there."""

    target: str | None
    why: str
    rule: Rule | None = None

    def __str__(self) -> str:
        return f"in, at {self.target}: {self.why}" if self.target else f"out: {self.why}"


def explain(flow: Flow, roots: IncludeRoots, path: str) -> Explanation:
    """Explains a path in the standalone folder, else one on disk, relative to the flow or the working directory."""
    left_out = LeftOut()
    sources = included_sources(flow, roots)
    merge = merged(flow, sources, roots, left_out)
    target = posixpath.normpath(path)
    if target in merge.files:
        return _file(target, flow, merge, left_out)
    count = sum(each.startswith(f"{target}/") for each in merge.files)
    if count:
        return Explanation(target, f"a folder with {count} files")
    places = [Path(os.path.normpath(folder / path)) for folder in (flow.folder, Path.cwd())]
    for place in places:
        if os.path.lexists(place):
            landing = next((each for each, source in merge.files.items() if source.origin == place), None)
            return _file(landing, flow, merge, left_out) if landing else _not_a_file_of_it(place, flow, sources, merge)
    near = nearest(target, merge.files)
    raise InputError(
        f"'{path}' is neither in the standalone folder nor on disk", hint=f"did you mean '{near}'?" if near else None
    )


def _file(target: str, flow: Flow, merge: Merge, left_out: LeftOut) -> Explanation:
    source, include = merge.files[target], merge.included_by.get(target)
    if include:
        rule = next((kept.rule for kept in left_out.kept if kept.target == target), None)
        why = f"from '{shown_path(source.origin)}', which {include.location} includes"
        return Explanation(target, f"{why}, although a rule leaves it out ({rule})" if rule else why, rule)
    rule = IgnoreRules.of(flow.folder).decision(target, str(source.origin), is_folder=False)
    if rule and rule.keeps:
        return Explanation(target, f"{rule}", rule)
    return Explanation(target, "a file in the flow's folder that no rule leaves out")


def _not_a_file_of_it(place: Path, flow: Flow, sources: Sequence[IncludedSource], merge: Merge) -> Explanation:
    """Explains a path that exists on disk but is not itself in the listing."""
    folders = [(flow.folder, None), *((source.path, source) for source in sources if source.is_folder)]
    for folder, source in folders:
        if not place.is_relative_to(folder):
            continue
        relative = place.relative_to(folder).as_posix()
        rule = IgnoreRules.of(folder).why_left_out(folder, relative) if relative != "." else None
        if rule:
            return Explanation(None, str(rule), rule)
        if source and source.zipped:
            return Explanation(source.target, f"in the archive that {source.include.location} includes")
        landing = posixpath.normpath(posixpath.join(source.target if source else "", relative))
        count = sum(each.startswith(f"{landing}/") for each in merge.files)
        if count:
            return Explanation(landing, f"a folder with {count} files")
        return Explanation(None, _why_not(landing, flow, merge))
    return Explanation(None, "it is not in the flow's folder, and no include names it")


def _why_not(landing: str, flow: Flow, merge: Merge) -> str:
    """Why a path that no rule leaves out is not in the listing."""
    if landing in merge.files:
        return f"'{shown_path(merge.files[landing].origin)}' replaces it at '{landing}'"
    if in_the_way(flow, landing):
        return "it is another flow's file, and promptflow serves one flow per folder"
    if landing == LOCK_NAME:
        return "it is the lock, which the build context holds next to the flow"
    return "it contains no files"
