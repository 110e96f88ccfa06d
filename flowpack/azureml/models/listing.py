"""Which versions a person wants to see."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flowpack.azureml.models.document import SOURCE_FLOW_ID
from flowpack.azureml.models.registry import ModelRegistry, ModelVersion
from flowpack.errors import InputError, nearest

_AT_ONCE = 8


def flow_versions(registry: ModelRegistry, name: str | None) -> list[ModelVersion]:
    """All versions of one model; without a name those of every model that hold a prompt flow. The newest first."""
    if name is not None:
        found = registry.versions(name)
        if not found:
            near = nearest(name, registry.names())
            raise InputError(
                f"{registry} has no model '{name}'",
                hint=f"did you mean '{near}'?" if near else "`flowpack models` lists them",
            )
        return _newest_first(found)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        by_model = pool.map(registry.versions, registry.names())
    return [each for versions in by_model for each in _newest_first(versions) if SOURCE_FLOW_ID in each.properties]


def _newest_first(versions: list[ModelVersion]) -> list[ModelVersion]:
    return sorted(versions, key=lambda each: each.number, reverse=True)
