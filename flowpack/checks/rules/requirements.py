"""FP301 to FP313: the flow's requirements, its lock, and its base image."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from flowpack.assembly.flow_folder import check_environment
from flowpack.checks.azure_documents import Kind
from flowpack.checks.distributions import DISTRIBUTIONS, LOADED_BY_OTHERS, OF_THE_FULL_SDK, OFTEN_BROUGHT
from flowpack.checks.findings import Severity
from flowpack.checks.import_names import all_imports_of, imports_of, mentions
from flowpack.checks.places import file_lines
from flowpack.checks.registry import Problem, rule
from flowpack.checks.subject import Subject
from flowpack.checks.values import text_of
from flowpack.dependencies.known_good import BOUNDS, broken_bounds, lines_that_cannot_serve
from flowpack.dependencies.lock_format import LOCK_NAME, parse_lock
from flowpack.dependencies.lock_review import UnexplainedLockError, unexplained
from flowpack.dependencies.lockfile import lock_dependencies
from flowpack.dependencies.requirement_lines import RequirementLine
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.slim import MARK
from flowpack.errors import FlowpackError, InputError, Location, LockError, shown_path
from flowpack.flows.local_imports import find_missing_imports
from flowpack.flows.package_needs import needed_installers, needs_identity, needs_sdk, needs_tools
from flowpack.flows.tool_packages import tools_without_a_requirement
from flowpack.images.base import BASE_FILE, find_base
from flowpack.quoting import shell_word

_RETIRED = re.compile(r"\bpromptflow-(?:runtime-stable|runtime|python)\b")
_FULL_SDK = {"promptflow", "promptflow-tools", "promptflow-devkit", "promptflow-azure"}


@rule("FP301", "broken-requirements", Severity.ERROR, "The requirements cannot be read or locked.")
def broken_requirements(subject: Subject) -> Iterator[Problem]:
    if subject.flow is None or subject.folder is None:
        return
    try:
        check_environment(subject.flow.environment, subject.folder)
        subject.read_requirements()
    except FlowpackError as error:
        yield Problem.of(error, subject.location)


@rule("FP302", "unpinned", Severity.WARNING, "A requirement does not pin its version, and there is no lock.")
def unpinned(subject: Subject) -> Iterator[Problem]:
    if subject.requirements is None or subject.lock_file:
        return
    loose = [line for line in subject.requirements.lines if line.pinned is None and not line.public_url]
    if loose:
        more = f" (nor do {len(loose) - 1} more)" if len(loose) > 1 else ""
        yield Problem(
            f"'{loose[0].text}' does not pin its version{more}, so builds may get different versions",
            loose[0].location,
            f"run `flowpack lock {_source(subject)}` to write {LOCK_NAME}",
        )


@rule("FP303", "stale-lock", Severity.WARNING, "The lock does not match the current requirements.")
def stale_lock(subject: Subject) -> Iterator[Problem]:
    try:
        _check_fresh(subject)
    except UnexplainedLockError:
        return  # FP311 reports it
    except LockError as error:
        yield Problem.of(error, subject.location)


def _check_fresh(subject: Subject) -> None:
    if subject.flow is None or subject.requirements is None or subject.lock is None:
        return
    added = subject.lock.sections.get("added for serving", ())
    needs = ServingNeeds(
        tools=needs_tools(subject.flow, subject.paths),
        sdk=needs_sdk(subject.flow, subject.paths),
        slim=MARK in added,
        azureml=any("[azureml-serving]" in line for line in added),
        identity=needs_identity(subject.flow, subject.paths),
        installers=needed_installers(subject.flow, subject.paths),
    )
    lock_dependencies(
        subject.requirements,
        needs=needs,
        target=subject.target,
        existing=subject.lock_file,
        within=subject.roots.folders,
        locked=True,
        source=_source(subject),
    )


@rule("FP304", "broken-lock", Severity.ERROR, "The lock was edited by hand or broken by a merge.")
def broken_lock(subject: Subject) -> Iterator[Problem]:
    if subject.lock_file and subject.lock is None:
        hint = f"run `flowpack lock {_source(subject)}` to write it again"
        try:
            parse_lock(subject.read_lock(subject.lock_file), subject.lock_file)
        except LockError as error:
            yield Problem(error.message, error.location or Location(subject.lock_file), hint)


def _source(subject: Subject) -> str:
    assert subject.file is not None  # noqa: S101  (only rules of a flow call this)
    return shell_word(shown_path(subject.file.parent))


@rule("FP305", "not-required", Severity.WARNING, "A source imports a package that the requirements do not name.")
def not_required(subject: Subject) -> Iterator[Problem]:
    requirements = subject.requirements
    if subject.flow is None or requirements is None or _modules_of_the_lock(subject):
        return  # FP313 knows more
    if subject.flow.environment.image or subject.flow.environment.setup_sh:
        return  # which may install the package
    there = requirements.names | {pin.name for pin in subject.lock.pins} if subject.lock else requirements.names
    needs_all = needs_tools(subject.flow, subject.paths) or needs_sdk(subject.flow, subject.paths)
    if not subject.lock and (needs_all or requirements.names & _FULL_SDK):
        there |= OF_THE_FULL_SDK
    if requirements.lines and not subject.lock:
        there |= OFTEN_BROUGHT
    told = set()
    for module, location in imports_of(subject.flow, subject.sources):
        wanted = DISTRIBUTIONS[module]
        if not there & {*wanted} and module not in told:
            told.add(module)
            message = f"'{module}' comes from the package '{wanted[0]}', which is not in the requirements"
            yield Problem(message, location, f"add it to {requirements.name or 'requirements.txt'}")


@rule("FP306", "not-used", Severity.WARNING, "A requirement names a package that no source imports.")
def not_used(subject: Subject) -> Iterator[Problem]:
    if subject.flow is None or subject.requirements is None:
        return
    if any(node.source and node.source.tool for node in subject.flow.nodes):
        return  # a package's tool may need packages that it does not require
    modules: dict[str, list[str]] = {}
    for module, names in DISTRIBUTIONS.items():
        for name in names:
            modules.setdefault(name, []).append(module)

    @cache  # a hostile file may have the same name 10,000 times
    def is_unused(name: str) -> bool:
        return not _is_for_another(name, subject) and not mentions(modules[name], subject.paths, subject.roots.folders)

    for line in subject.requirements.lines:
        if line.name in modules and not _bounds_another(line) and is_unused(line.name):
            hint = "remove it: each image contains it"
            yield Problem(f"no source of the flow imports '{line.name}'", line.location, hint)


def _is_for_another(name: str, subject: Subject) -> bool:
    """Whether another package requires it, or may load it if it is installed."""
    requirements, lock = subject.requirements, subject.lock
    via = [each for pin in lock.pins if pin.name == name for each in pin.via] if lock else []
    if not all(each.startswith(("-", "flowpack")) for each in via):
        return True
    others = {line.name or "" for line in requirements.lines} - {name} if requirements else set()
    if all(each.startswith("promptflow") for each in others):
        return False
    return name in LOADED_BY_OTHERS or (lock is None and name in OFTEN_BROUGHT)


def _bounds_another(line: RequirementLine) -> bool:
    """Whether the line seems to bound the version of a package that another one requires."""
    return "<" in line.text or "!=" in line.text or line.marker is not None


@rule(
    "FP307",
    "tools-not-required",
    Severity.WARNING,
    "The flow needs promptflow-tools, but the requirements do not name it.",
)
def tools_not_required(subject: Subject) -> Iterator[Problem]:
    requirements = subject.requirements
    if subject.flow is None or requirements is None or not requirements.name:
        return
    if needs_tools(subject.flow, subject.paths) and "promptflow-tools" not in requirements.names:
        yield Problem(
            f"'{requirements.name}' does not name promptflow-tools, which the flow's LLM and prompt nodes need",
            requirements.location or subject.location,
            "add it with its version: flowpack adds one of its choice, pf and Azure ML's runtime do not",
        )


@rule("FP308", "retired-image", Severity.WARNING, "The flow uses a prompt flow image that Microsoft is retiring.")
def retired_image(subject: Subject) -> Iterator[Problem]:
    for document in subject.documents_of(Kind.DEPLOYMENT):
        value = document.get("environment", "image")
        if value is not None:
            yield from _retired(text_of(value) or "", value.location, "use the image that flowpack pushed")
    flow = subject.flow
    if flow is None:
        return
    instead = "remove it: flowpack starts from python:<version>-slim and installs what the flow requires"
    if flow.environment.image:
        where = flow.environment.locations.get("image", subject.location)
        yield from _retired(flow.environment.image, where, instead)
    base = _base_file(flow.folder, subject.roots.folders[0])
    lines = file_lines(base) if base else ()
    for number, line in enumerate(lines, start=1):
        if base and not line.lstrip().startswith("#"):
            yield from _retired(line, Location(base, number), instead)


def _retired(text: str, where: Location, hint: str) -> Iterator[Problem]:
    match = _RETIRED.search(text)
    if match:
        yield Problem(f"the image {match[0]} gets no updates and will be removed on 2027-04-20", where, hint)


def _base_file(folder: Path, root: Path) -> Path | None:
    """The ``Dockerfile.base`` that a build of the flow would use."""
    for each in (folder, *folder.parents):
        if (each / BASE_FILE).is_file():
            return each / BASE_FILE
        if each == root:
            break
    return None


@rule("FP309", "incompatible-version", Severity.ERROR, "A required or locked version does not work with promptflow.")
def incompatible_version(subject: Subject) -> Iterator[Problem]:
    told: set[str | None] = set()
    for line, bound in lines_that_cannot_serve(subject.requirements) if subject.requirements else ():
        if line.name not in told:
            told.add(line.name)
            yield Problem(f"'{line.text}' cannot be served: {bound.because}", line.location, bound.hint)
    if subject.lock is None or subject.lock_file is None:
        return
    pins = {pin.name: pin for pin in subject.lock.pins}
    for bound in broken_bounds(BOUNDS, {name: pin.version for name, pin in pins.items()}):
        pin = pins[bound.name]
        if pin.name not in told:
            told.add(pin.name)
            hint = f"require {bound.requirement}, then `flowpack lock {_source(subject)}`"
            place = Location(subject.lock_file, pin.line)
            yield Problem(f"'{pin.requirement}' cannot be served: {bound.because}", place, hint)


@rule(
    "FP310",
    "tool-package-not-required",
    Severity.ERROR,
    "A node's tool comes from a package that the requirements do not name.",
)
def tool_package_not_required(subject: Subject) -> Iterator[Problem]:
    requirements = subject.requirements
    if subject.flow is None or requirements is None:
        return
    if subject.flow.environment.image or subject.flow.environment.setup_sh:
        return  # which may bring it
    for node in subject.flow.nodes:
        where = node.source.location if node.source else node.location
        for line in tools_without_a_requirement(replace(subject.flow, nodes=(node,)), lambda: requirements.names):
            yield Problem(line.removeprefix(f"{where}: "), where)


@rule("FP311", "unexplained-lock", Severity.ERROR, "The lock contains something that the requirements do not explain.")
def unexplained_lock(subject: Subject) -> Iterator[Problem]:
    if subject.lock_file is None or subject.lock is None:
        return
    hint = f"find out who wrote it, then run `flowpack lock {_source(subject)}`"
    found = list(unexplained(subject.read_lock(subject.lock_file), subject.lock_file))
    if not found:
        try:
            _check_fresh(subject)
        except UnexplainedLockError as error:
            found = [error]
        except LockError:
            pass  # FP303 reports it
    for each in found:
        yield Problem(each.message, each.location or Location(subject.lock_file), hint)


@rule("FP312", "unusable-base", Severity.ERROR, "The flow's base image or Dockerfile.base cannot be used.")
def unusable_base(subject: Subject) -> Iterator[Problem]:
    flow = subject.flow
    if flow is None:
        return
    where = flow.environment.locations.get("image")
    try:
        find_base(
            base_image=None,
            environment_image=flow.environment.image,
            flow_folder=flow.folder,
            root=subject.roots.folders[0],
            image_location=where,
        )
    except InputError as error:
        yield Problem.of(error, where or subject.location)


@rule("FP313", "not-provided", Severity.ERROR, "A source imports a module that no package of the lock provides.")
def not_provided(subject: Subject) -> Iterator[Problem]:
    flow, provided = subject.flow, _modules_of_the_lock(subject)
    if flow is None or not provided or flow.environment.image or flow.environment.setup_sh:
        return
    tops = {name.partition(".")[0] for name in provided}
    elsewhere = find_missing_imports(flow, subject.paths, subject.roots.folders[0], frozenset)
    told = {each.module.partition(".")[0] for each in elsewhere}  # FP206 tells these
    for name, location in all_imports_of(flow, subject.sources):
        top = name.partition(".")[0]
        module = name if top in tops else top
        if top in told or _is_always_there(top, subject) or any(_is_part(name, each) for each in provided):
            continue
        told.add(top)
        distributions = DISTRIBUTIONS.get(next((each for each in DISTRIBUTIONS if _is_part(name, each)), ""), (top,))
        hint = f"require the package that has it, '{distributions[0]}' say, then `flowpack lock {_source(subject)}`"
        yield Problem(f"no package of {LOCK_NAME} provides the module '{module}'", location, hint)


def _modules_of_the_lock(subject: Subject) -> frozenset[str]:
    """Empty where the lock does not say them of each of its packages."""
    pins = subject.lock.pins if subject.lock else ()
    if not all(pin.provides for pin in pins):
        return frozenset()
    return frozenset(name for pin in pins for name in pin.provides)


def _is_part(name: str, module: str) -> bool:
    """Whether an import of ``name`` runs ``module``, or a namespace that has it."""
    return f"{name}.".startswith(f"{module}.") or f"{module}.".startswith(f"{name}.")


def _is_always_there(top: str, subject: Subject) -> bool:
    """Python's own, promptflow's, what is found by other rules, and what a source may find by ``sys.path``."""
    if top in sys.stdlib_module_names or top in {"promptflow", "pip", "setuptools", "pkg_resources"}:
        return True
    return any(f"/{top}.py" in f"/{target}" or f"/{top}/" in f"/{target}" for target in subject.paths)
