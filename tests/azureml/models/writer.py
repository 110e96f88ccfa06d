"""One of several processes that register flows at the same time: ``python -m tests.azureml.models.writer PLAN OUT``.

PLAN is JSON: the registry (a folder, or null for the workspace of the environment) and the flows with their models'
names. A registration that fails is tried again, as a job is that is run again. Each that went well is a line of OUT.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from flowpack.azureml.models.local_registry import LocalRegistry
from flowpack.azureml.models.plan import ModelRequest
from flowpack.azureml.models.registry import ModelRegistry
from flowpack.azureml.models.workspace_registry import WorkspaceRegistry
from flowpack.azureml.workspace import find_workspace
from flowpack.dependencies.target import Target
from flowpack.errors import AzureError
from flowpack.pipeline.builds import BuildRequest
from flowpack.pipeline.register import register

_RUNS = 5


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    out = Path(sys.argv[2])
    registry: ModelRegistry
    if plan["registry"]:
        registry = LocalRegistry(Path(plan["registry"]))
    else:
        workspace = find_workspace({})
        assert workspace
        registry = WorkspaceRegistry(workspace)
    for flow, name in plan["flows"]:
        request = BuildRequest(source=Path(flow), target=Target.parse("3.11", "linux/amd64"))
        for run in range(1, _RUNS + 1):
            try:
                registered = register(request, ModelRequest(name=name), registry)
                break
            except AzureError as error:
                print(f"run {run}: {error}", file=sys.stderr)
                if run == _RUNS:
                    raise
        made = registered.version
        with out.open("a") as file:
            file.write(json.dumps([flow, made.name, made.version, registered.state]) + "\n")


if __name__ == "__main__":
    main()
