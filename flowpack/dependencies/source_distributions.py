"""Finds, downloads and reads source distributions that wheels are built from. Nothing of them runs on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from flowpack.dependencies.pip_tools_resolver import isolation
from flowpack.dependencies.requirements import RequirementLine, Requirements
from flowpack.dependencies.resolvers import Question, Resolver, UnresolvedError, index_lines
from flowpack.dependencies.target import Target
from flowpack.dependencies.uv_resolver import wheel_platforms
from flowpack.errors import Location, RequirementsError, ToolError
from flowpack.process import Run
from flowpack.temporary import temporary_folder

_PROGRAM = Path(__file__).with_name("fetch_source.py")
_PIP = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PYTHONUTF8": "1"}
_WHEELS_ONLY: dict[str, str | None] = {"PIP_NO_BINARY": None, "PIP_ONLY_BINARY": None, "PIP_REQUIRE_HASHES": None}


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceDistribution:
    """``path`` is in a temporary folder, ``hash`` is ``sha256:…``, and ``requires`` lists the build requirements."""

    name: str
    version: str
    path: Path
    hash: str
    requires: tuple[str, ...]


@contextmanager
def fetched_source(
    name: str,
    requirements: Requirements,
    target: Target,
    run: Run,
    *,
    version: str | None = None,
    hashes: tuple[str, ...] = (),
    preferred: str | None = None,
) -> Iterator[SourceDistribution | str]:
    """Yields the source distribution, in a folder removed at the end, or the version of the package that has a wheel.

    ``version`` and ``hashes`` ask for exactly one; else the requirements and constraints decide which are allowed.
    """
    lines = requirements.named(name)
    url = next((line.resolvable.partition(" @ ")[2].partition(" ;")[0] for line in lines if line.public_url), None)
    stated = hashes or tuple(each for line in lines for each in line.hashes)
    with temporary_folder("source") as place:
        (place / "index.txt").write_text("".join(f"{line}\n" for line in index_lines(requirements)), "utf-8")
        wanted = {
            "name": name,
            "url": url,
            "python": target.full_version,
            "platforms": wheel_platforms(target),
            "specifiers": f"=={version}" if version else _specifiers(lines),
            "preferred": preferred,
            "pre": requirements.options.pre,
            "no_binary": bool(version) or name in no_binary(requirements),
            "hashes": list(stated),
            "arguments": [],
            "index_options": str(place / "index.txt"),
        }
        (place / "wanted.json").write_text(json.dumps(wanted), "utf-8")
        (place / "in").mkdir()
        command = [sys.executable, *isolation(), str(_PROGRAM), str(place / "wanted.json"), str(place / "in")]
        done = run(command, cwd=place, env={**_PIP, **_WHEELS_ONLY})
        location = lines[0].location if lines else requirements.location
        try:
            answer = json.loads(done.stdout.strip().splitlines()[-1])
        except (ValueError, IndexError):
            raise ToolError(f"the source distribution of '{name}' cannot be downloaded", detail=done.stderr) from None
        if "error" in answer:
            raise RequirementsError(
                f"the source distribution of '{name}' is not available: {answer['error']}", location=location
            )
        if "wheel" in answer:
            yield str(answer["wheel"])
            return
        yield SourceDistribution(
            name=name,
            version=answer["version"],
            path=place / "in" / answer["file"],
            hash=f"sha256:{answer['sha256']}",
            requires=tuple(answer["requires"]),
        )


def no_binary(requirements: Requirements) -> frozenset[str]:
    """The packages that the requirements want built from source, as pip's option names them."""
    names = {name.strip() for value in requirements.options.no_binary for name in value.split(",")}
    return frozenset(name if name.startswith(":") else canonicalize_name(name) for name in names if name)


def fetch_build_wheels(
    source: SourceDistribution, question: Question, resolver: Resolver, folder: Path, run: Run
) -> None:
    """Downloads the build requirements as wheels into the folder, with a list of them and their hashes."""
    lines = tuple(_build_line(text, source) for text in dict.fromkeys(source.requires))
    asked = Requirements(name="pyproject.toml", lines=lines, options=question.requirements.options)
    try:
        pins = resolver.resolve(Question(requirements=asked, serving=(), bounds=(), target=question.target))
    except UnresolvedError as error:
        raise RequirementsError(
            f"the build requirements of '{source.name}' do not resolve for {question.target}",
            detail=error.words,
            hint="check that every build requirement has a wheel",
        ) from None
    wheels = folder / "wheels"
    wheels.mkdir()
    texts = [" ".join([pin.requirement, *(f"--hash={each}" for each in pin.hashes)]) for pin in pins]
    (folder / "build.txt").write_text("".join(f"{text}\n" for text in texts), "utf-8")
    if not pins:
        return
    index = folder / "index.txt"
    index.write_text("".join(f"{line}\n" for line in index_lines(asked)), "utf-8")
    major, minor = question.target.version
    done = run(
        [
            *(sys.executable, *isolation(), "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary", ":all:", "--dest", str(wheels), "--python-version", f"{major}.{minor}"),
            *("--implementation", "cp", "--abi", f"cp{major}{minor}"),
            *(option for name in wheel_platforms(question.target) for option in ("--platform", name)),
            *("-r", str(index), "-r", str(folder / "build.txt")),
        ],
        cwd=folder,
        env={**_PIP, **_WHEELS_ONLY},
    )
    index.unlink()  # it may hold credentials, and the folder goes into the container
    if done.returncode != 0:
        message = f"the build requirements of '{source.name}' cannot be downloaded"
        raise ToolError(message, detail=done.stderr or done.stdout)


def _build_line(text: str, source: SourceDistribution) -> RequirementLine:
    location = Location(Path(source.path.name))
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise RequirementsError(f"the build requirement '{text}' of '{source.name}' is not valid") from None
    if "${" in text:  # pip would expand it from this machine's variables
        raise RequirementsError(f"the build requirement '{text}' of '{source.name}' has a variable")
    if requirement.url:
        raise RequirementsError(
            f"the build requirement '{requirement.name}' of '{source.name}' comes from a URL that its author chose",
            hint="build a wheel of it yourself, and put it into a folder that --find-links names",
        )
    name = canonicalize_name(requirement.name)
    return RequirementLine(text=str(requirement), name=name, location=location, resolvable=str(requirement))


def _specifiers(lines: tuple[RequirementLine, ...]) -> str:
    found = []
    for line in lines:
        try:
            found += [str(each) for each in Requirement(line.resolvable).specifier]
        except InvalidRequirement:
            continue
    return ",".join(sorted(set(found)))
