"""Which resolver answers: ``auto`` takes uv where it is installed, else pip-tools."""

from __future__ import annotations

from flowpack.dependencies.pip_tools_resolver import find_pip_tools
from flowpack.dependencies.resolvers import Resolver
from flowpack.dependencies.target import Target
from flowpack.dependencies.uv_resolver import find_uv
from flowpack.errors import ToolError, UsageError
from flowpack.process import Run
from flowpack.reporting import Reporter

CHOICES = ("auto", "pip-tools", "uv")


def choose_resolver(choice: str, target: Target, run: Run, reporter: Reporter) -> Resolver:
    if choice not in CHOICES:
        raise UsageError(f"resolver '{choice}' is not known", hint=f"it is one of {', '.join(CHOICES)}")
    if choice in {"auto", "uv"}:
        uv = find_uv(run)
        if uv is not None:
            return uv
        if choice == "uv":
            raise ToolError("uv is not installed", hint="pip install 'flowpack[fast]', or use --resolver pip-tools")
        reporter.info(
            "uv is not installed; pip-tools takes a minute where it takes seconds (pip install 'flowpack[fast]')"
        )
    return find_pip_tools(target, run, reporter)
