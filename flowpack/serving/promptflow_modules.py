"""What of promptflow is there: each release has modules and names that another one lacks.

A change to promptflow is made where the release has what the change replaces. Elsewhere promptflow's own code runs.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def find_module(name: str) -> ModuleType | None:
    """The module, or None in a release without it. A module that is there and fails to load raises what it raises."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            return None
        raise


def modules_with(attribute: str, *names: str) -> list[ModuleType]:
    """Those of the modules that have the attribute."""
    found = (find_module(name) for name in names)
    return [module for module in found if module is not None and hasattr(module, attribute)]
