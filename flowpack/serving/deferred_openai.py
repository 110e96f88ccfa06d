"""Keeps ``openai`` out of a server until something uses it: it takes two fifths of a Python-only flow's start.

promptflow-core imports it for the names of its errors alone, and to trace its calls. So the core is imported with
stand-ins for those names, which the first import of ``openai`` replaces before it can raise any of them; its calls are
traced from that moment on, where promptflow has asked for that.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

_NAME = "openai"


class _StandIn(Exception):  # noqa: N818 - each one has the name of the error that it stands for
    pass


def install() -> None:
    """Leaves ``openai`` alone where it is loaded already, not there, or older than the errors that the core names."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        if _NAME not in sys.modules and not importlib.metadata.version(_NAME).startswith("0."):
            _import_core_without()


def _import_core_without() -> None:
    module = sys.modules[_NAME] = ModuleType(_NAME)
    vars(module)["__getattr__"] = _stand_in
    injector = None
    try:
        importlib.import_module("promptflow.core._prompty_utils")
        injector = importlib.import_module("promptflow.tracing._integrations._openai_injector")
    except ImportError:  # a release that takes more of it
        pass
    finally:
        del sys.modules[_NAME]
    sys.meta_path.insert(0, _WhenLoaded(injector))


def _stand_in(attribute: str) -> type[_StandIn]:
    if not attribute.endswith("Error"):
        raise AttributeError(f"module {_NAME!r} has no attribute {attribute!r}")
    return type(attribute, (_StandIn,), {})


class _WhenLoaded(importlib.abc.MetaPathFinder):
    """Lets ``openai`` be found where it is, and finishes what was deferred while its import still holds its lock."""

    def __init__(self, injector: Any) -> None:
        self._injector = injector
        self._asked = False
        if injector is not None:
            self._apis = injector.available_openai_apis_and_injectors
            injector.available_openai_apis_and_injectors = self._none_yet

    def _none_yet(self) -> Iterator[Any]:
        self._asked = True
        return iter(())

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target) if fullname == _NAME else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                self._finish(module)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec

    def _finish(self, module: ModuleType) -> None:
        sys.meta_path.remove(self)
        for name, each in list(sys.modules.items()):
            if name.startswith("promptflow."):
                for key, value in list(vars(each).items()):
                    if isinstance(value, type) and issubclass(value, _StandIn):
                        setattr(each, key, getattr(module, key))
        if self._injector is not None:
            self._injector.openai = module
            self._injector.available_openai_apis_and_injectors = self._apis
            if self._asked:
                self._injector.inject_openai_api()
