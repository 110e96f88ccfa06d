"""Finds the version that holds a flow, or makes the next one: once, however many ask for it at the same time."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from flowpack.azureml.models.document import FLOWPACK_VERSION, REVISION, ModelDocument
from flowpack.azureml.models.registry import ModelRegistry, ModelVersion, VersionTaken
from flowpack.errors import AzureError, InputError
from flowpack.reporting import SILENT, Reporter

_ATTEMPTS = 60
_LONGEST_PAUSE = 2.0  # seconds

# They name the first revision of a version; the same flow at a later revision does not change the model.
_OF_THE_FIRST = {REVISION, FLOWPACK_VERSION}


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """``state`` is created, updated (tags or description) or unchanged; ``document`` is the ``model.yaml`` written."""

    version: ModelVersion
    state: str
    document: Path | None = None


def register_model(
    registry: ModelRegistry,
    document: ModelDocument,
    folder: Path,
    reporter: Reporter = SILENT,
    *,
    before_creating: Callable[[], None] = lambda: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Registered:
    """``folder`` holds the content. Without a version in the document the next one is taken. ``before_creating`` may
    raise, and then no version is created.

    Two that make the next version at once ask for the same number. With one content they ask for the same thing; with
    another the registry refuses the second, which looks again.
    """
    held = find_version(registry.versions(document.name), document)  # mostly there is nothing to do
    if held:
        return _brought_up_to_date(registry, held, document)
    before_creating()
    for attempt in range(_ATTEMPTS):
        number = registry.next_number(document.name)
        # After the number: what is made in between is seen here, or has taken the number.
        versions = registry.versions(document.name)
        held = find_version(versions, document)
        if held:
            return _brought_up_to_date(registry, held, document)
        _check_free(versions, document)
        number = max(number, *(each.number + 1 for each in versions), 1)
        wanted = replace(document, version=document.version or str(number))
        reporter.info(f"registering {wanted.name}:{wanted.version} in {registry}")
        try:
            with reporter.task(f"uploading {wanted.name}:{wanted.version}"):
                return Registered(version=registry.create(wanted, folder), state="created")
        except VersionTaken:
            reporter.info(f"{wanted.name}:{wanted.version} was made by another at the same time: looking again")
            sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.05 * 2 ** min(attempt, 8))))  # noqa: S311  (no secret)
    raise AzureError(
        f"no version of '{document.name}' could be made in {_ATTEMPTS} tries: others made each one first",
        hint="register it again when fewer jobs write this model",
    )


def find_version(versions: Iterable[ModelVersion], document: ModelDocument) -> ModelVersion | None:
    """The newest version with the content and the properties of the document."""
    holding = [each for each in versions if not each.archived and each.holds(document)]
    if document.version is not None:
        holding = [each for each in holding if each.version == document.version]
    return max(holding, key=lambda each: each.number, default=None)


def _check_free(versions: Iterable[ModelVersion], document: ModelDocument) -> None:
    taken = next((each for each in versions if each.version == document.version), None)
    if taken is None:
        return
    why = "is archived" if taken.archived else "has another content or other properties"
    raise InputError(
        f"version {taken.version} of '{document.name}' is there already and {why}",
        hint="a version is made once: leave out --version for the next one",
    )


def _brought_up_to_date(registry: ModelRegistry, held: ModelVersion, document: ModelDocument) -> Registered:
    tags = {**held.tags, **{name: value for name, value in document.tags.items() if name not in _OF_THE_FIRST}}
    wanted = replace(held, tags=tags, description=document.description or held.description)
    if wanted == held:
        return Registered(version=held, state="unchanged")
    registry.update(wanted)
    return Registered(version=wanted, state="updated")
