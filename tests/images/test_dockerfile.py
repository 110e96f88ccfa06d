"""The Dockerfile is a function of the plan: readable, ordered for the cache, without secrets, and safe to run."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from flowpack.assembly.flow_folder import assemble
from flowpack.assembly.roots import IncludeRoots
from flowpack.dependencies.target import Target
from flowpack.errors import InputError
from flowpack.flows.reader import read_flow
from flowpack.images.base import Base, find_base
from flowpack.images.dockerfile import render_dockerfile
from flowpack.images.engine.build_failure import instructions
from flowpack.images.plan import ImagePlan, plan_image
from tests.paths import FLOWS, ROOT, write_tree


@pytest.fixture
def plan() -> ImagePlan:
    flow = read_flow(FLOWS / "chat-with-includes")
    return plan_image(
        assemble(flow, IncludeRoots.of(flow.folder)),
        base=Base.of_image("python:3.11-slim", "--base-image"),
        target=Target.parse("3.11", "linux/amd64"),
        lock_digest="sha256:1",
        variables=("MY_API_KEY",),
    )


def test_layers_go_from_rarely_to_often_changed(plan: ImagePlan) -> None:
    text = render_dockerfile(plan)
    order = [
        "FROM python:3.11-slim AS base",
        "COPY requirements.lock",
        "COPY --from=dependencies /layer/ /",
        "COPY --from=launcher /layer/ /",
        "COPY --from=flow /layer/ /",
        "LABEL",
    ]
    places = [text.index(each) for each in order]
    assert places == sorted(places)


def test_it_runs_as_no_root_with_a_health_check_and_no_shell(plan: ImagePlan) -> None:
    lines = render_dockerfile(plan).splitlines()
    assert [line for line in lines if line.startswith("USER ")][-1] == "USER 10001:10001"
    assert '    CMD ["/opt/venv/bin/python", "-m", "flowpack_serving.health"]' in lines
    assert 'CMD ["/opt/venv/bin/python", "-m", "flowpack_serving"]' in lines
    assert "ENTRYPOINT []" in lines


def test_secrets_are_mounted(plan: ImagePlan) -> None:
    text = render_dockerfile(plan)
    assert "--mount=type=cache" in text
    assert "--mount=type=secret,id=pip-config,target=/etc/pip.conf" in text
    assert "--mount=type=secret,id=ca-bundle" in text


@pytest.mark.attack("C2")
def test_no_step_with_a_secret_or_a_cache_unpacks_or_starts_what_a_package_has(plan: ImagePlan) -> None:
    steps = [step for _, step in instructions(render_dockerfile(dataclasses.replace(plan, setup_sh="setup.sh")))]
    with_mounts = [step for step in steps if "--mount" in step]
    assert len(with_mounts) == 1
    programs = with_mounts[0].partition(" && ")[2]
    assert programs.split() == [
        *("/opt/build/bin/python", "-I", "/opt/build/download_packages.py", "/opt/build/requirements.lock"),
        *("/opt/build/fetched", "/var/cache/flowpack"),
    ]


@pytest.mark.attack("C2")
def test_no_interpreter_of_the_build_looks_at_what_packages_or_the_flow_bring(plan: ImagePlan) -> None:
    """`-I` and `-S` leave out the working directory, variables, `.pth` files and sitecustomize."""
    for buildkit in (True, False):
        text = render_dockerfile(plan, buildkit=buildkit)
        stages = text.partition("\nFROM base\n")[0]
        starts = re.findall(r"(?:python3|/bin/python)( -\S+(?: -\S+)?)", stages)
        assert starts
        assert all(start.startswith(" -I") for start in starts)
        assert all(start == " -I -S" for start in re.findall(r"python3((?: -[A-Z])+) -m compileall", stages))


def test_without_buildkit_there_are_no_mounts(plan: ImagePlan) -> None:
    text = render_dockerfile(plan, buildkit=False)
    assert "--mount" not in text
    assert "download_packages.py /opt/build/requirements.lock" in text


def test_labels_lead_from_the_image_to_its_inputs(plan: ImagePlan) -> None:
    text = render_dockerfile(plan)
    assert 'azureml.promptflow.mode="chat"' in text
    assert 'azureml.promptflow.chat_input="question"' in text
    assert 'flowpack.lock.digest="sha256:1"' in text
    assert f'flowpack.flow.digest="{plan.labels["flowpack.flow.digest"]}"' in text


def test_a_labels_value_cannot_break_out(plan: ImagePlan) -> None:
    odd = dataclasses.replace(plan, labels={"a": 'x" \\ $HOME'})
    assert 'LABEL a="x\\" \\\\ \\$HOME"' in render_dockerfile(odd)


def test_a_setup_script_runs_before_the_user_changes(plan: ImagePlan) -> None:
    text = render_dockerfile(dataclasses.replace(plan, setup_sh="setup.sh"))
    assert text.index('RUN ["sh", "setup.sh"]') < text.index("USER 10001:10001")


def test_the_same_plan_gives_the_same_bytes(plan: ImagePlan) -> None:
    assert render_dockerfile(plan) == render_dockerfile(dataclasses.replace(plan))


def base_of(tmp_path: Path, base_image: str | None = None, environment_image: str | None = None) -> Base:
    return find_base(
        base_image=base_image,
        environment_image=environment_image,
        flow_folder=tmp_path / "flows" / "chat",
        root=tmp_path,
    )


def test_the_base_is_looked_for_from_near_to_far(tmp_path: Path) -> None:
    own = base_of(tmp_path)
    assert own.lines[-2:] == ("ARG PYTHON_VERSION=3.11", "FROM python:${PYTHON_VERSION}-slim-bookworm AS base")
    assert own == Base.of_file(ROOT / "Dockerfile.base", "flowpack's own Dockerfile.base")
    write_tree(tmp_path, {"Dockerfile.base": "FROM company/python:3.11\nRUN apt-get update\n"})
    assert base_of(tmp_path).lines == ("FROM company/python:3.11 AS base", "RUN apt-get update")
    write_tree(
        tmp_path,
        {"flows/chat/Dockerfile.base": "FROM a AS tools\nFROM --platform=linux/amd64 b\nCOPY --from=tools /x /x\n"},
    )
    assert base_of(tmp_path).lines == (
        "FROM a AS tools",
        "FROM --platform=linux/amd64 b AS base",
        "COPY --from=tools /x /x",
    )
    assert base_of(tmp_path, environment_image="theirs").lines == ("FROM theirs AS base",)
    assert base_of(tmp_path, base_image="mine", environment_image="theirs").lines == ("FROM mine AS base",)


def test_a_base_file_without_a_stage_is_an_error(tmp_path: Path) -> None:
    write_tree(tmp_path, {"flows/chat/Dockerfile.base": "# nothing\n"})
    with pytest.raises(InputError, match="no FROM"):
        base_of(tmp_path)


def test_the_bases_python_is_the_images(plan: ImagePlan, tmp_path: Path) -> None:
    other = dataclasses.replace(plan, base=base_of(tmp_path), target=Target.parse("3.12", "linux/amd64"))
    lines = render_dockerfile(other).splitlines()
    assert [line for line in lines if "PYTHON_VERSION" in line and not line.startswith("#")] == [
        "ARG PYTHON_VERSION=3.12",
        "FROM python:${PYTHON_VERSION}-slim-bookworm AS base",
    ]
