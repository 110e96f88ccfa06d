"""A path below an output is below it, whatever a name says; two names of one file are an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.assembly.names import below
from flowpack.dependencies.target import Target
from flowpack.errors import InputError
from flowpack.images.context import build_context
from flowpack.pipeline.assemble import assemble_flow
from flowpack.pipeline.build import plan_flow
from flowpack.pipeline.builds import BuildRequest
from tests.paths import write_tree


@pytest.mark.attack("H2")
@pytest.mark.parametrize(
    "relative", ["../x", "a/../../x", "/x", "", "a//b", "./a", "a\0b", "a\\..\\b", "connections/../../x"]
)
def test_what_leads_out_of_the_output_is_refused(relative: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a path inside the output"):
        below(tmp_path, relative)


@pytest.mark.parametrize("relative", ["Dockerfile", "connections/weather_service.yaml", "a/.b/c..d"])
def test_other_paths_are_taken(relative: str, tmp_path: Path) -> None:
    assert below(tmp_path, relative) == tmp_path / relative


@pytest.mark.attack("H2")
def test_two_connections_of_one_file_do_not_replace_one_another(tmp_path: Path) -> None:
    tool = "from promptflow.core import tool\nfrom promptflow.connections import CustomConnection\n\n\n@tool\n"
    tool += "def ask(one: CustomConnection, two: CustomConnection) -> str:\n    return ''\n"
    node = "{name: a, type: python, source: {type: code, path: a.py}, inputs: {one: a b, two: A_b}}"
    flow = f"inputs: {{}}\noutputs: {{}}\nnodes:\n- {node}\n"
    write_tree(tmp_path, {"flow/flow.dag.yaml": flow, "flow/a.py": tool})
    request = BuildRequest(source=tmp_path / "flow", target=Target.parse("3.11", "linux/amd64"))
    assembled = assemble_flow(request)
    plan = plan_flow(assembled, request.target, "sha256:1")
    with pytest.raises(InputError, match="'A_b' and 'a b' both need the file"):
        build_context(assembled.folder, connections=assembled.connections, plan=plan, dockerfile="", lock="")
