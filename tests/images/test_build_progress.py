"""What a person sees of a build, against recorded output of builders (see samples/README.md)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from flowpack.errors import EngineError
from flowpack.images.engine.build_failure import build_error, instructions
from flowpack.images.engine.build_progress import (
    BuildKitEvents,
    BuildKitProgress,
    BuildProgress,
    ClassicProgress,
    shown_step,
)

SAMPLES = Path(__file__).parent / "samples"


def reader_of(sample: str) -> BuildProgress:
    if sample.startswith("classic"):
        return ClassicProgress()
    return BuildKitEvents() if sample.startswith("buildx") else BuildKitProgress()


def read(progress: BuildProgress, sample: str) -> list[str]:
    lines = (SAMPLES / f"{sample}.txt").read_text("utf-8").splitlines()
    return [str(event) for at, line in enumerate(lines) for event in progress.line(line, now=float(at))]


def shown(sample: str) -> str:
    """With seconds masked: those of a recording are the recording machine's."""
    progress = reader_of(sample)
    return "\n".join(re.sub(r"\d+\.\d s", "N.N s", line).strip() for line in read(progress, sample))


def failed(sample: str, dockerfile: str = "Dockerfile") -> EngineError:
    progress = reader_of(sample)
    read(progress, sample)
    return build_error(progress.failure(), SAMPLES / dockerfile)


def test_each_step_of_a_buildkit_0_8_build_is_told_once_with_its_seconds() -> None:
    assert shown("buildkit-0.8-built") == (
        "cached  [dependencies 1/2] FROM docker.io/library/flowpack-test-base:bookworm\n"
        "N.N s  [dependencies 2/2] RUN echo Collecting flask && sleep 1.2 && echo Installing collected packages: fl…\n"
        "N.N s  [stage-1 1/1] COPY hello.txt /flow/hello.txt\n"
        "N.N s  exporting to image"
    )


def test_cached_steps_are_marked() -> None:
    assert shown("buildkit-0.8-cached").splitlines()[1:3] == [
        "cached  [dependencies 2/2] RUN echo Collecting flask && sleep 1.2 && echo Installing collected packages: fl…",
        "cached  [stage-1 1/1] COPY hello.txt /flow/hello.txt",
    ]


def test_todays_buildkit_reads_the_same() -> None:
    assert read(BuildKitProgress(), "buildkit-today-built") == [
        "   1.3 s  [internal] load metadata for registry.example/library/python:3.11-slim",
        "   0.1 s  [dependencies 1/3] FROM registry.example/library/python:3.11-slim@sha256:111111111111…",
        "   3.2 s  [dependencies 1/3] FROM registry.example/library/python:3.11-slim@sha256:111111111111…",
        "   0.1 s  [dependencies 2/3] COPY requirements.lock /build/requirements.lock",
        "   0.4 s  [stage-1 2/3] RUN useradd --uid 10001 flow",
        "  15.9 s  [dependencies 3/3] RUN pip install --require-hashes -r /build/requirements.lock",
        "  cached  [stage-1 3/3] COPY flow /flow",
        "   0.5 s  exporting to image",
    ]


def test_the_classic_builder_reads_the_same() -> None:
    assert shown("classic-built") == (
        "N.N s  [1/4] FROM flowpack-test-base:bookworm AS dependencies\n"
        "cached  [2/4] RUN echo Collecting flask && sleep 1.2 && echo Installing collected packages: flask >&2\n"
        "N.N s  [3/4] FROM dependencies\n"
        "N.N s  [4/4] COPY hello.txt /flow/hello.txt"
    )


def test_buildx_in_json_reads_the_same() -> None:
    assert shown("buildx-0.13-built") == (
        "N.N s  [dependencies 1/2] FROM docker.io/library/flowpack-test-base:bookworm\n"
        "N.N s  [dependencies 2/2] RUN echo Collecting flask && sleep 1.2 && echo Installing collected packages: fl…\n"
        "N.N s  [stage-1 1/1] COPY hello.txt /flow/hello.txt\n"
        "N.N s  exporting to image"
    )
    cached = shown("buildx-0.13-cached").splitlines()
    assert "cached  [stage-1 1/1] COPY hello.txt /flow/hello.txt" in cached


def test_json_on_one_line_reads_as_json_on_several() -> None:
    text = (SAMPLES / "buildx-0.13-built.txt").read_text("utf-8")
    whole = [json.dumps(json.loads(f"{{{each}}}")) for each in re.findall(r"^\{\n(.*?)^\}$", text, re.M | re.S)]
    progress = BuildKitEvents()
    told = [str(event) for line in whole for event in progress.line(line, now=0.0)]
    assert told == read(BuildKitEvents(), "buildx-0.13-built")


@pytest.mark.parametrize(
    ("progress", "lines"),
    [
        (BuildKitProgress(), ["#7 [2/3] RUN pip install", "#7 3.21 Collecting torch (670 MB)..."]),
        (
            ClassicProgress(),
            ["Step 2/3 : RUN pip install", " ---> Running in 65108545a9e3", "Collecting torch (670 MB)..."],
        ),
        (
            BuildKitEvents(),
            [
                '{"vertexes":[{"digest":"sha256:1","name":"[2/3] RUN pip install","started":"2026-12-01T09:53:26Z"}]}',
                '{"logs":[{"vertex":"sha256:1","data":"Q29sbGVjdGluZyB0b3JjaCAoNjcwIE1CKS4uLgo="}]}',
            ],
        ),
    ],
)
def test_what_is_being_done_is_the_step_and_its_last_words(progress: BuildProgress, lines: list[str]) -> None:
    for line in lines:
        assert progress.line(line, now=100.0) == []
    assert progress.doing == "[2/3] RUN pip install: Collecting torch (670 MB)..."


def test_nothing_is_being_done_once_a_step_has_ended() -> None:
    progress = BuildKitProgress()
    progress.line("#7 [2/3] RUN pip install", now=0)
    progress.line("#7 DONE 3.0s", now=3)
    assert progress.doing == ""


def test_the_steps_of_flowpack_s_own_dockerfile_are_told_by_what_they_are_for() -> None:
    step = "[dependencies 5/6] RUN --mount=type=cache,id=x /opt/build/bin/python -I /opt/build/download_packages.py a b"
    assert shown_step(step) == "fetching the packages of the lock"


@pytest.mark.parametrize(
    ("sample", "dockerfile", "line"),
    [
        ("buildkit-0.8-run-failed", "run-failed.Dockerfile", 8),
        ("classic-run-failed", "classic-run-failed.Dockerfile", 8),
        ("buildkit-today-run-failed", "Dockerfile", 7),
        ("buildx-0.13-run-failed", "run-failed.Dockerfile", 8),
    ],
)
def test_a_failed_run_gives_its_line_and_its_own_output(sample: str, dockerfile: str, line: int) -> None:
    error = failed(sample, dockerfile)
    assert error.location is not None
    assert error.location.line == line
    assert "RUN echo" in error.message
    assert "looking for flask" in (error.detail or "")
    assert "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" in (error.detail or "")
    assert re.search(r"exit code: 3|non-zero code: 3", error.detail or "")


def test_credentials_in_a_steps_output_are_taken_out() -> None:
    error = failed("buildkit-today-run-failed")
    assert "https://****@packages.example/simple" in str(error)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    ("sample", "line"),
    [
        ("buildkit-0.8-parse-error", 8),
        ("classic-parse-error", 8),
        ("buildkit-today-parse-error", 2),
        ("buildx-0.13-parse-error", 2),
    ],
)
def test_a_dockerfile_that_cannot_be_read_gives_its_line(sample: str, line: int) -> None:
    error = failed(sample)
    assert error.location is not None
    assert error.location.line == line
    assert re.fullmatch(rf"dockerfile parse error (on )?line {line}: unknown instruction: FOO", error.detail or "")


def test_a_base_image_that_cannot_be_had_gives_the_line_of_its_from(tmp_path: Path) -> None:
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("# base\nFROM --platform=linux/amd64 nope.invalid/x:1 AS base\nRUN true\n")
    progress = BuildKitProgress()
    read(progress, "buildkit-0.8-no-base")
    error = build_error(progress.failure(), dockerfile)
    assert error.location is not None
    assert error.location.line == 2
    assert "no such host" in (error.detail or "")
    assert "base image" in (error.hint or "")


def test_instructions_are_joined_over_their_lines_and_comments() -> None:
    text = "# syntax\nFROM a\n\nRUN one && \\\n    # why\n    two\nCMD x\n"
    assert [(line, " ".join(written.split())) for line, written in instructions(text)] == [
        (2, "FROM a"),
        (4, "RUN one && two"),
        (7, "CMD x"),
    ]


def test_a_step_is_shown_on_one_line_without_its_mounts() -> None:
    assert shown_step("[1/2] RUN --mount=type=cache,target=/c   --mount=type=secret,id=a  pip   install") == (
        "[1/2] RUN pip install"
    )
    assert len(shown_step("RUN " + "x" * 300)) == 100
