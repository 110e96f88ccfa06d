"""Packages without a wheel, up to the container: what is allowed, fetched and kept; nothing of them runs here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from flowpack.dependencies.lock_format import Pin, read_pins
from flowpack.dependencies.lockfile import lock_dependencies
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.source_distributions import SourceDistribution, fetched_source
from flowpack.errors import EngineError, RequirementsError, UsageError
from flowpack.images.base import Base
from flowpack.pipeline.lock import allowed_names, warn_of_unused
from flowpack.pipeline.source_builds import SourceBuilds
from flowpack.process import run
from tests.dependencies.conftest import Read
from tests.dependencies.packages import sha256, write_sdist, write_wheel
from tests.dependencies.test_resolvers import TARGET
from tests.recording import Recording

Sources = Callable[..., SourceBuilds]


def no_engine() -> NoReturn:
    raise EngineError("no container engine answers")


@pytest.fixture
def sources(flow: Path) -> Sources:
    def make(*names: str) -> SourceBuilds:
        base = Base.of_image("base", "--base-image")
        return SourceBuilds(options=allowed_names(names), base=base, flow_folder=flow, engine=no_engine)

    return make


def fetched(name: str, requirements: Requirements, folder: Path, **more: str) -> SourceDistribution | str:
    with fetched_source(name, requirements, TARGET, run, **more) as found:
        if isinstance(found, SourceDistribution):
            assert found.hash == sha256(found.path)
        return found


def test_a_comment_allows_the_requirement_that_it_stands_behind_or_above(read: Read) -> None:
    found = read(
        "one==1  # flowpack: allow-source\n"
        "two\n"
        "# flowpack: allow-source\n"
        "three ; python_version > '3'  # a note\n"
        "four  # flowpack: allow-sources\n"
        "five  # not flowpack: allow-source\n"
        "six \\\n  >=1  # flowpack:allow-source\n"
        "-c more.txt\n",
        more="seven<3  # flowpack: allow-source\n",
    )
    assert found.allowed_sources == {"one", "three", "six", "seven"}


def test_a_comment_behind_an_option_is_refused(read: Read) -> None:
    with pytest.raises(RequirementsError, match="has no requirement"):
        read("--pre  # flowpack: allow-source\n")


@pytest.mark.parametrize("name", ["", ":all:", "two words", "one,two", "one==1", "../one"])
def test_only_packages_are_allowed_each_by_its_name(name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a package"):
        allowed_names([name])


@pytest.mark.attack("C3")
@pytest.mark.parametrize("option", ["--no-binary alpha", "--no-binary :all:"])
def test_requirements_that_ask_for_source_distributions_are_refused(
    read: Read, wheels: Path, sources: Sources, option: str
) -> None:
    write_wheel(wheels, "alpha", "1.0")
    with pytest.raises(RequirementsError, match=f"{option} asks for source distributions") as raised:
        lock_dependencies(
            read(f"{option}\nalpha"), needs=ServingNeeds(), target=TARGET, sources=lambda: sources("beta")
        )
    assert "--allow-source" in str(raised.value.hint)


@pytest.mark.attack("C3")
def test_a_source_distribution_is_fetched_and_read_and_not_run(read: Read, wheels: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    hostile = f"open({str(mark)!r}, 'w')\n"
    files = {"setup.py": hostile, "backend.py": hostile}
    project = "[build-system]\nrequires = ['hatchling>=1']\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
    write_sdist(wheels, "alpha", "1.0", {**files, "pyproject.toml": project})
    write_sdist(wheels, "alpha", "1.5", files)
    write_sdist(wheels, "alpha", "2.0", files)
    newest = fetched("alpha", read("alpha<2"), tmp_path)
    assert isinstance(newest, SourceDistribution)
    assert (newest.version, newest.requires) == ("1.5", ("setuptools>=40.8.0", "wheel"))
    kept = fetched("alpha", read("alpha<2"), tmp_path, preferred="1.0")
    assert isinstance(kept, SourceDistribution)
    assert (kept.version, kept.requires) == ("1.0", ("hatchling>=1",))
    assert not mark.exists()


def test_what_has_a_wheel_is_not_built(read: Read, wheels: Path, tmp_path: Path) -> None:
    write_sdist(wheels, "alpha", "1.0")
    write_wheel(wheels, "alpha", "1.0")
    assert fetched("alpha", read("alpha"), tmp_path) == "1.0"


def test_a_wheel_for_another_machine_is_none(read: Read, wheels: Path, tmp_path: Path) -> None:
    write_sdist(wheels, "alpha", "1.0")
    write_wheel(wheels, "alpha", "1.0", tag="cp38-none-macosx_11_0_arm64")
    assert isinstance(fetched("alpha", read("alpha"), tmp_path), SourceDistribution)


def test_a_hash_that_the_user_gives_holds_for_the_source_distribution(read: Read, wheels: Path, tmp_path: Path) -> None:
    source = write_sdist(wheels, "alpha", "1.0")
    assert isinstance(fetched("alpha", read(f"alpha==1.0 --hash={sha256(source)}"), tmp_path), SourceDistribution)
    for wrong in (f"sha256:{'0' * 64}", f"sha512:{'0' * 128}"):
        with pytest.raises(RequirementsError, match="none of the given hashes"):
            fetched("alpha", read(f"alpha==1.0 --hash={wrong}"), tmp_path)


def test_without_an_engine_an_allowed_package_is_not_built_and_that_is_said_first(
    read: Read, wheels: Path, sources: Sources
) -> None:
    write_sdist(wheels, "alpha", "1.0")
    with pytest.raises(EngineError, match="no container engine answers"):
        lock_dependencies(read("alpha"), needs=ServingNeeds(), target=TARGET, sources=lambda: sources("alpha"))


def test_an_option_without_effect_is_told() -> None:
    told = Recording()
    built = Pin("alpha", "1.0", ("sha256:0",), built_from="alpha-1.0.tar.gz sha256:1")
    pins = {"alpha": "1.0", "beta": "2.0"}
    warn_of_unused({"alpha", "beta", "bita"}, pins, [built], told)
    assert told == [
        "warning: --allow-source beta has no effect: beta 2.0 has a wheel",
        "warning: --allow-source bita has no effect: the lock has no package of that name; did you mean beta?",
    ]


@pytest.mark.parametrize("place", ["beside the lock", "in the cache"])
def test_a_kept_wheel_counts_only_with_the_lock_s_hash(
    wheels: Path, flow: Path, tmp_path: Path, sources: Sources, place: str
) -> None:
    folder = flow / "wheels" if place == "beside the lock" else tmp_path / "flowpack-cache" / "wheels" / "key"
    wheel = write_wheel(folder, "alpha", "1.0")
    lines = ["alpha==1.0 \\", f"    --hash={sha256(wheel)}", f"    # built from alpha-1.0.tar.gz sha256:{'1' * 64}"]
    [pin] = read_pins(lines, Path("requirements.lock"))
    assert pin.built_from == f"alpha-1.0.tar.gz sha256:{'1' * 64}"
    assert sources()._kept(pin.name, pin.hashes) == wheel
    wheel.write_bytes(wheel.read_bytes() + b"x")
    assert sources()._kept(pin.name, pin.hashes) is None
