"""The one place that loads azure-ai-ml, and that keeps it from the streams of a command."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from types import ModuleType


def sdk() -> ModuleType:
    """``flowpack.azureml.ml_client``."""
    with quiet():
        from flowpack.azureml import ml_client  # noqa: PLC0415  (azure-ai-ml takes seconds)

        return ml_client


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """azure-ai-ml draws its progress and its advice on both streams; stdout is for the answer alone."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
