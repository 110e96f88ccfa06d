"""``flowpack lock``: which lock a flow uses, and what goes into it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from flowpack.dependencies.lockfile import LOCK_NAME, Lockfile, Pin, lock_dependencies
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.target import DEFAULT_PYTHON, Platform
from flowpack.errors import UsageError, nearest
from flowpack.flows.package_needs import needed_installers, needs_identity, needs_sdk, needs_tools, why_not_slim
from flowpack.pipeline.assemble import assemble_flow, requirements_of
from flowpack.pipeline.builds import Assembled, BuildRequest
from flowpack.reading import LOCK_BYTES, read_bytes
from flowpack.reporting import SILENT, Reporter
from flowpack.writing import replace_file

if TYPE_CHECKING:
    from flowpack.pipeline.source_builds import SourceBuilds

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def lock(request: BuildRequest, *, upgrade: bool = False, reporter: Reporter = SILENT) -> tuple[Path, Lockfile]:
    """Writes the lockfile beside the flow where it is stale or missing; ``request.locked`` refuses instead."""
    assembled = assemble_flow(request, reporter)
    lockfile = lock_flow(
        assembled, request, renew=not request.locked, upgrade=upgrade, list_modules=True, reporter=reporter
    )
    path = assembled.flow.folder / LOCK_NAME
    if path.is_file() and read_bytes(path, limit=LOCK_BYTES, within=assembled.flow.roots) == lockfile.text.encode():
        reporter.info(f"{LOCK_NAME} is fresh: {len(lockfile.pins)} packages")
    else:
        replace_file(path, lockfile.text)
    return path, lockfile


def lock_flow(
    assembled: Assembled,
    request: BuildRequest,
    *,
    only_fresh: bool = False,
    renew: bool = False,
    upgrade: bool = False,
    list_modules: bool = False,
    reporter: Reporter = SILENT,
) -> Lockfile:
    """The lock beside the flow, else that of the output to be replaced, where it is fresh; else a new one.

    ``only_fresh`` raises LockError instead of making one. A broken lock is refused beside the flow, where it is the
    user's, unless ``renew`` makes it again; of a broken one in the output what can be kept is.
    ``list_modules`` adds to a new lock which modules each package provides, for ``flowpack check``: that takes a
    request or two a package, so a build does without.
    """
    folder = assembled.folder
    beside = assembled.flow.folder / LOCK_NAME
    of_the_output = request.output / LOCK_NAME if request.output and not request.locked else None
    taken = of_the_output if of_the_output and not beside.is_file() else beside
    locked = request.locked or only_fresh
    options = allowed_names(request.allow_source)
    lock = lock_dependencies(
        requirements_of(folder, request.target),
        needs=_needs(assembled, request, reporter),
        target=request.target,
        resolver=request.resolver,
        existing=taken,
        within=(taken.parent.resolve(),) if taken is of_the_output else assembled.flow.roots,
        locked=locked,
        renew=(renew or taken is of_the_output) and not locked,
        upgrade=upgrade,
        passed=request.passed_variables,
        source=_as_asked(request),
        sources=lambda: _sources(assembled, request),
        list_modules=list_modules,
        reporter=reporter,
    )
    warn_of_unused(options, lock.pins, lock.built, reporter)
    return lock


def built_wheels(
    assembled: Assembled,
    request: BuildRequest,
    lock: Lockfile,
    *,
    reporter: Reporter = SILENT,
) -> tuple[Path, ...]:
    """The wheels of the lock that no index has."""
    if not lock.built:
        return ()
    requirements = requirements_of(assembled.folder, request.target).expanded(request.passed_variables)
    sources = _sources(assembled, request)
    return sources.wheels_of(lock.built, requirements, request.target, request.resolver, reporter)


def warn_of_unused(options: Collection[str], pins: Mapping[str, str], built: Sequence[Pin], reporter: Reporter) -> None:
    """An option of a CI job is for all its flows, so one that does nothing for this flow stops nothing."""
    for each in sorted({*options} - {pin.name for pin in built}):
        if each in pins:
            reporter.warning(f"--allow-source {each} has no effect: {each} {pins[each]} has a wheel")
            continue
        near = nearest(each, pins)
        meant = f"; did you mean {near}?" if near else ""
        reporter.warning(f"--allow-source {each} has no effect: the lock has no package of that name{meant}")


def allowed_names(names: Sequence[str]) -> frozenset[str]:
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise UsageError(
                f"--allow-source '{name}' is not the name of a package", hint="name each package by itself"
            )
    return frozenset(canonicalize_name(name) for name in names)


def _sources(assembled: Assembled, request: BuildRequest) -> SourceBuilds:
    from flowpack.pipeline.source_builds import SourceBuilds  # noqa: PLC0415  (only where a wheel may have to be built)

    return SourceBuilds(
        options=allowed_names(request.allow_source),
        base=assembled.base,
        flow_folder=assembled.flow.folder,
        network=request.network,
    )


def _as_asked(request: BuildRequest) -> str:
    """The source with the options that a lock depends on, as the command that renews it needs them."""
    options = [f"--python {request.target.python}"] if request.target.python != DEFAULT_PYTHON else []
    if request.target.platform != Platform.of_this_machine():
        options.append(f"--platform {request.target.platform}")
    options += ["--slim"] * request.slim + ["--azureml"] * request.azureml
    options += [f"--allow-source {name}" for name in request.allow_source]
    return " ".join([str(request.source), *options])


def _needs(assembled: Assembled, request: BuildRequest, reporter: Reporter) -> ServingNeeds:
    flow, files = assembled.flow, assembled.folder.paths
    against = why_not_slim(flow, files) if request.slim else None
    if against:
        reporter.warning(f"--slim keeps the full SDK, because {against}")
    return ServingNeeds(
        tools=needs_tools(flow, files),
        sdk=needs_sdk(flow, files),
        slim=request.slim and against is None,
        azureml=request.azureml,
        identity=needs_identity(flow, files),
        installers=needed_installers(flow, files),
    )
