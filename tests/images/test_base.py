"""The base comes with the flow, and so from whoever may change the flow: it adds no instruction and sees no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.azureml.built_flow import read_build
from flowpack.dependencies.target import Target
from flowpack.errors import FlowpackError, InputError, Location, UsageError
from flowpack.images.base import Base, check_trusted_build, find_base
from flowpack.images.build_record import read_build_record
from flowpack.images.dockerfile import render_dockerfile
from flowpack.pipeline.assemble import assemble_flow
from flowpack.pipeline.build import plan_flow
from flowpack.pipeline.builds import BuildRequest
from tests.commands import flowpack
from tests.images.records import build_record
from tests.paths import write_tree

FLOW = "inputs: {}\noutputs: {}\nnodes: []\n"
PIP_CONFIG = "[global]\nindex-url = https://deploy:{}@packages.example/simple\n"


def flow_with(tmp_path: Path, image: str | None = None, base: str | None = None) -> Path:
    files = {"flow/flow.dag.yaml": (f"environment:\n  image: {image}\n" if image else "") + FLOW, ".git/HEAD": ""}
    return write_tree(tmp_path / "project", files | ({"Dockerfile.base": base} if base else {})) / "flow"


def assembled(flow: Path, **changes: object) -> Base:
    request = BuildRequest(source=flow, target=Target.parse("3.11", "linux/amd64"), **changes)  # type: ignore[arg-type]
    return assemble_flow(request).base


@pytest.mark.attack("H1")
@pytest.mark.parametrize(
    "image",
    [
        '"BASE AS x\\nRUN --mount=type=secret,id=pip-config,target=/s cp /s /leaked\\nFROM x"',
        '"python:3.11 AS x"',
        '"--platform=linux/arm64 python"',
        '"python:3.11\\r"',
        '"python\\u2028RUN x"',
        '"${IMAGE}"',
        '"$IMAGE"',
        '"python:3.11 # x"',
        "scratch",
        '"https://example.com/x"',
        '"Python"',
        '"../x"',
    ],
)
def test_the_flows_image_is_a_reference_and_nothing_else(image: str, tmp_path: Path) -> None:
    flow = flow_with(tmp_path, image)
    with pytest.raises(InputError) as refused:
        assembled(flow)
    assert refused.value.location == Location(flow / "flow.dag.yaml", 2, 10)
    assert refused.value.hint
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize(
    "image",
    [
        "python",
        "localhost:5000/team/python:3.11",
        "registry.example:443/a/b/c@sha256:" + "0" * 64,
        "mcr.microsoft.com/azureml/promptflow/promptflow-runtime-stable:latest",
    ],
)
def test_any_reference_to_an_image_is_taken(image: str, tmp_path: Path) -> None:
    assert assembled(flow_with(tmp_path, image)).lines == (f"FROM {image} AS base",)


@pytest.mark.attack("H1")
def test_the_image_of_the_command_line_is_a_reference_too() -> None:
    for image in ("a AS x\nRUN y", "scratch"):
        with pytest.raises(UsageError):
            find_base(base_image=image, environment_image=None, flow_folder=Path(), root=Path())


SECRET = "type=secret,id=pip-config,target=/s"
MOUNTS = [
    f"RUN --mount={SECRET} cp /s /leaked",
    f"run  --mount={SECRET} cp /s /leaked",
    "RUN --mount=id=pip-config,type=secret cp /run/secrets/pip-config /leaked",
    f"RUN --network=none --mount={SECRET} cp /s /leaked",
    f"RUN \\\n  --mount={SECRET} cp /s /leaked",
    f"RUN \\\n\n# a comment\n  --mount={SECRET} cp /s /leaked",
    f"RUN --mo\\\nunt={SECRET} cp /s /leaked",
    f"RUN --mo\\unt={SECRET} cp /s /leaked",
    f'RUN --mo"u"nt={SECRET} cp /s /leaked',
    f"RUN --mount='{SECRET}' cp /s /leaked",
    'RUN --mount="type=secret",id=pip-config,target=/s cp /s /leaked',
    "RUN --mount=TYPE=Secret,id=pip-config cp /s /leaked",
    "ARG T=secret\nRUN --mount=type=$T,id=pip-config cp /s /leaked",
    f"ONBUILD RUN --mount={SECRET} cp /s /leaked",
    f"RUN --mount={SECRET} <<EOF\ncp /s /leaked\nEOF",
    f"RUN <<'A\\'\nx\nA\\\nRUN --mount={SECRET} cp /s /leaked",
    "RUN --mount=type=ssh ssh-add -l",
    "RUN --mount=type=cache,id=flowpack-packages,target=/c touch /c/x",
    "RUN --mount=type=unknown x",
]


@pytest.mark.attack("H1")
@pytest.mark.parametrize("instruction", MOUNTS)
def test_a_dockerfile_of_the_project_mounts_no_secret_however_it_is_written(instruction: str, tmp_path: Path) -> None:
    flow = flow_with(tmp_path, base=f"FROM python:3.11-slim\n{instruction}\n")
    with pytest.raises(InputError, match="mounts ") as refused:
        assembled(flow)
    where = refused.value.location
    assert where
    assert (where.path.name, where.line is not None) == ("Dockerfile.base", True)
    assert assembled(flow, trust_base=True).lines[1:] == tuple(instruction.split("\n"))


@pytest.mark.parametrize(
    "instruction",
    [
        "RUN --mount=type=cache,target=/root/.cache pip install x",
        "RUN --mount=type=bind,from=tools,source=/x,target=/y --mount=type=tmpfs,target=/tmp cp /y /z",
        "# RUN --mount=type=secret,id=x",
        "RUN apt-get update \\\n && apt-get install --yes --no-install-recommends libgomp1",
        "RUN <<EOF\necho 1\nEOF",
    ],
)
def test_other_mounts_and_instructions_are_the_projects_own(instruction: str, tmp_path: Path) -> None:
    base = assembled(flow_with(tmp_path, base=f"FROM python:3.11-slim AS tools\nFROM tools\n{instruction}\n"))
    assert base.lines[2:] == tuple(instruction.split("\n"))


@pytest.mark.attack("H1")
@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("# syntax=evil.example/frontend\nFROM python\n", "the directive 'syntax' has no effect", 1),
        ("# escape=`\nFROM python\n", "the directive 'escape' has no effect", 1),
        ("FROM python\nRUN x \\\n", "the last instruction goes on", 2),
        ("FROM python\nRUN x \\\n# and a comment\n\n", "the last instruction goes on", 4),
        ("FROM a AS dependencies\nFROM python\n", "'dependencies' is the name of one of flowpack's own stages", 1),
        ("FROM a AS Flow\nFROM python\n", "'Flow' is the name of one of flowpack's own stages", 1),
        ("FROM python\n# a\x0cRUN x\n", "has a control character", 2),
        ("FROM python\n# a\u2028RUN x\n", "has a control character", 2),
    ],
)
def test_what_would_be_read_otherwise_among_flowpacks_lines_is_refused(
    text: str, message: str, line: int, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        assembled(flow_with(tmp_path, base=text), trust_base=True)
    assert refused.value.location
    assert refused.value.location.line == line


@pytest.mark.attack("H1")
def test_a_dockerfile_that_leads_out_of_the_project_is_not_read(tmp_path: Path) -> None:
    flow = flow_with(tmp_path)
    outside = write_tree(tmp_path, {"outside": "FROM secret-of-another"}) / "outside"
    (flow / "Dockerfile.base").symlink_to(outside)
    with pytest.raises(InputError, match="leads out of the project"):
        assembled(flow)


@pytest.mark.attack("H1")
@pytest.mark.parametrize(("image", "base"), [("python:3.11", None), (None, "FROM python:3.11\n")])
def test_a_base_of_the_project_is_shown_no_password_unless_it_is_trusted(
    image: str | None, base: str | None, tmp_path: Path
) -> None:
    """What runs in the install step is the base's own Python: no rule about mounts keeps a base from reading there."""
    flow = flow_with(tmp_path, image, base)
    config = write_tree(tmp_path, {"pip.conf": PIP_CONFIG.format("hunter2hunter2")}) / "pip.conf"
    with pytest.raises(InputError, match="this base could read the credentials") as refused:
        assembled(flow, pip_config=config)
    assert "--trust-base" in (refused.value.hint or "")
    assert "hunter2" not in str(refused.value)
    assembled(flow, pip_config=config, trust_base=True)
    assembled(flow, pip_config=config, base_image="mine")
    config.write_text("[global]\nindex-url = https://packages.example/simple\n")
    assembled(flow, pip_config=config)


@pytest.mark.attack("H1")
@pytest.mark.parametrize("command", ["build", "ci", "test", "run"])
def test_each_command_that_builds_an_image_asks_whether_the_base_is_trusted(command: str, tmp_path: Path) -> None:
    flow = flow_with(tmp_path, base="FROM python:3.11\n")
    config = write_tree(tmp_path, {"pip.conf": PIP_CONFIG.format("hunter2hunter2")}) / "pip.conf"
    more = ("--tag", "x:1") if command == "build" else ()
    done = flowpack(command, flow, "--pip-config", config, *more, expect=1)
    assert "Dockerfile.base: this base could read the credentials" in done.stderr


@pytest.mark.attack("H1")
def test_a_build_that_was_written_earlier_is_asked_the_same(tmp_path: Path) -> None:
    config = write_tree(tmp_path, {"pip.conf": PIP_CONFIG.format("hunter2hunter2")}) / "pip.conf"
    head = "# Written by flowpack\n# base: {}\nFROM x AS base\n"
    for origin in ("Dockerfile.base", "the flow's environment.image", "flowpack's own Dockerfile.base or not", ""):
        dockerfile = write_tree(tmp_path, {"Dockerfile": head.format(origin)}) / "Dockerfile"
        check_trusted_build(dockerfile, None)
        with pytest.raises(InputError, match="this base could read the credentials"):
            check_trusted_build(dockerfile, config)
    for origin in ("--base-image", "flowpack's own Dockerfile.base"):
        check_trusted_build(write_tree(tmp_path, {"Dockerfile": head.format(origin)}) / "Dockerfile", config)


@pytest.mark.attack("H1")
@pytest.mark.parametrize(
    "changes",
    [
        {"flow_name": "x\nRUN y"},
        {"flow_file": "../../../etc/flow.dag.yaml"},
        {"flow_file": "/etc/flow.dag.yaml"},
        {"flow_name": "a\x1b"},
    ],
)
def test_the_record_of_a_build_is_a_strangers_too(changes: dict[str, str], tmp_path: Path) -> None:
    record = build_record(**changes).text()
    build = write_tree(tmp_path / "build", {"flowpack.json": record, "flow/flow.dag.yaml": FLOW})
    for read in (read_build_record, read_build):
        with pytest.raises(InputError, match=r"not a valid name of a flow|is not a path inside"):
            read(build)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = build_record(connections={"a": ("A_KEY",)}, properties={"azureml.promptflow.mode": "chat"}, buildkit=False)
    assert read_build_record(write_tree(tmp_path, {"flowpack.json": record.text()})) == record


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"flow": []}', '{"flow": {"name": 1}}'])
def test_a_record_that_cannot_be_read_says_so(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the build's record cannot be read"):
        read_build_record(write_tree(tmp_path, {"flowpack.json": text}))


@pytest.mark.attack("H1")
@pytest.mark.parametrize("folder", ["a\nRUN touch x", "a b $HOME \"q\" 'x' \\", "größe"])
def test_no_name_adds_a_line_to_the_dockerfile(folder: str, tmp_path: Path) -> None:
    chat = (
        'inputs: {"q $X \\\\ \\"": {type: string, is_chat_input: true}, chat_history: {type: list}}\n'
        'outputs: {"a `b`": {type: string, is_chat_output: true, reference: "${inputs.chat_history}"}}\nnodes: []\n'
    )
    for name, text in {folder: chat, "flow": FLOW}.items():
        write_tree(tmp_path, {f"{name}/flow.dag.yaml": text})
    request = BuildRequest(source=tmp_path / folder, target=Target.parse("3.11", "linux/amd64"))
    plain = BuildRequest(source=tmp_path / "flow", target=request.target)
    try:
        named = render_dockerfile(plan_flow(assemble_flow(request), request.target, "sha256:1"))
    except FlowpackError:
        assert "\n" in folder
        return
    other = render_dockerfile(plan_flow(assemble_flow(plain), request.target, "sha256:1"))
    labels = [line for line in named.splitlines() if "azureml.promptflow." in line]
    assert len(named.splitlines()) - len(other.splitlines()) == 3
    assert len(labels) == 4
