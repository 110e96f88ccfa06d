from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from flowpack.dependencies.known_good import BOUNDS, RELEASES, Bound, bounds_of, broken_bounds
from flowpack.dependencies.lockfile import Lockfile, lock_dependencies
from flowpack.dependencies.requirements import Requirements
from flowpack.dependencies.serving_needs import DEFAULT_RELEASE, ServingNeeds
from flowpack.dependencies.target import Platform, Target
from flowpack.errors import RequirementsError
from tests.dependencies.conftest import Read
from tests.dependencies.packages import write_wheel
from tests.recording import Recording

TARGET = Target(f"{sys.version_info.major}.{sys.version_info.minor}", Platform.of_this_machine())

both = pytest.mark.parametrize("resolver", ["uv", "pip-tools"])


def asked(bounds: Iterable[Bound]) -> set[str]:
    return {bound.requirement for bound in bounds if not bound.where}


def lock(requirements: Requirements, resolver: str, **more: object) -> Lockfile:
    needs = ServingNeeds(tools=bool(requirements.named("promptflow-tools")))
    return lock_dependencies(requirements, needs=needs, target=TARGET, resolver=resolver, **more)


@pytest.mark.parametrize(
    "text",
    [
        "promptflow==1.5.0",
        "promptflow==1.10.1",
        "promptflow-core==1.10.0",
        "promptflow<1.8",
        "promptflow<=1.7.0",
        "promptflow>=1.4.0,<1.9",
        "promptflow~=1.10.0",
        "promptflow[azure]==1.4.*",
        "promptflow-core<1.11",
    ],
)
def test_a_requirement_that_allows_no_release_that_serves_is_refused_at_its_line(read: Read, text: str) -> None:
    with pytest.raises(RequirementsError, match=r"cannot be served: promptflow 1.10.1 and older") as raised:
        bounds_of(read(f"flask\n{text}\n"))
    assert raised.value.location is not None
    assert raised.value.location.line == 2
    name = text.partition("=")[0].partition("<")[0].partition("~")[0].partition(">")[0].partition("[")[0]
    assert f"the nearest release that serves is {name}=={RELEASES[0]}" in str(raised.value.hint)


@pytest.mark.parametrize(
    "text",
    ["promptflow", "promptflow>=1.4", "promptflow<1.12", "promptflow<=1.11.0", "promptflow~=1.8", "promptflow==1.*"],
)
def test_a_range_that_reaches_a_release_that_serves_is_left_to_a_resolver(read: Read, text: str) -> None:
    assert f"promptflow>={RELEASES[0]}" in asked(bounds_of(read(text)))


@pytest.mark.parametrize("text", ["openai<1", "openai==0.28.1", "openai<=0.28.1", "openai~=0.27"])
def test_openai_before_1_is_refused_with_its_reason(read: Read, text: str) -> None:
    with pytest.raises(RequirementsError, match=r"imports names that openai has since 1.0.0") as raised:
        bounds_of(read(text))
    assert raised.value.hint == "use openai>=1.0.0"


def test_a_pin_that_needs_a_bound_brings_it(read: Read) -> None:
    assert "httpx<0.28" in asked(bounds_of(read("openai==1.35.0")))
    assert "httpx<0.28" not in asked(bounds_of(read("openai==1.55.3")))
    assert "marshmallow<3.24" in asked(bounds_of(read("promptflow==1.17.0")))
    assert "marshmallow<3.24" not in asked(bounds_of(read("promptflow==1.17.1")))


def test_two_pins_that_do_not_serve_together_are_refused(read: Read) -> None:
    with pytest.raises(RequirementsError, match=r"'httpx==0.28.1' cannot be served: openai before 1.55.3") as raised:
        bounds_of(read("openai==1.35.0\nhttpx==0.28.1"))
    assert raised.value.hint == "change it to httpx<0.28, or do without openai<1.55.3"


def test_a_bound_that_is_needed_holds_for_what_the_user_names(read: Read) -> None:
    assert "httpx<0.28" in asked(bounds_of(read("openai==1.35.0\nhttpx>=0.23")))


def test_tested_bounds_leave_to_the_user_what_they_name(read: Read) -> None:
    def tested(text: str | None, **files: str) -> set[str]:
        return {bound.name for bound in bounds_of(read(text, **files)) if not bound.is_needed}

    assert {"fastapi", "openai", "pydantic"} <= tested(None)
    assert tested(None) - tested("openai<2\n-c pins.txt", pins="FastAPI==0.115") == {"openai", "fastapi"}


def test_packages_of_one_release_are_bound_to_the_release_that_the_user_pins(read: Read) -> None:
    bounds = asked(bounds_of(read("promptflow-core==1.17.2")))
    assert {"promptflow==1.17.2", "promptflow-devkit==1.17.2"} <= bounds
    assert "promptflow-core==1.17.2" not in bounds


def test_each_bound_has_a_reason_and_the_table_ends_with_the_last_release() -> None:
    assert all(bound.because for bound in BOUNDS)
    assert RELEASES[-1] == DEFAULT_RELEASE
    texts = [bound.text for bound in BOUNDS]
    assert sorted(texts) == sorted(set(texts))


def test_a_condition_comes_true_with_the_pins() -> None:
    broken = {bound.text for bound in broken_bounds(BOUNDS, {"openai": "1.35.0", "httpx": "0.28.1"})}
    assert broken == {"httpx<0.28 where openai<1.55.3"}
    assert not set(broken_bounds(BOUNDS, {"openai": "1.35.0", "httpx": None}))


@both
def test_a_range_of_openai_brings_the_httpx_that_it_works_with(read: Read, wheels: Path, resolver: str) -> None:

    write_wheel(wheels, "openai", "1.35.0", ["httpx"])
    write_wheel(wheels, "httpx", "0.27.2")
    write_wheel(wheels, "httpx", "0.28.1")
    said = Recording()
    made = lock(read("openai<1.40"), resolver, reporter=said)
    assert made.pins["httpx"] == "0.27.2"
    assert "httpx<0.28 is needed: openai before 1.55.3 gives httpx an argument that httpx 0.28 removed" in str(said)


@both
def test_a_lock_never_holds_a_promptflow_from_before_the_core(read: Read, wheels: Path, resolver: str) -> None:

    write_wheel(wheels, "promptflow", "0.1.0b1", [])
    write_wheel(wheels, "promptflow-devkit", "1.18.5", ["tabulate>=0.9"])
    write_wheel(wheels, "promptflow", "1.18.6", ["promptflow-devkit==1.18.5"])
    write_wheel(wheels, "tabulate", "0.8.10")
    with pytest.raises(RequirementsError) as raised:
        lock(read("promptflow>=1.18.6\ntabulate==0.8.10\n"), resolver)
    assert "tabulate" in str(raised.value.detail)


@both
def test_a_conflict_with_a_needed_bound_says_why_it_is_needed(read: Read, wheels: Path, resolver: str) -> None:

    write_wheel(wheels, "alpha", "1.0", ["openai<1"])
    write_wheel(wheels, "openai", "0.28.1")
    write_wheel(wheels, "openai", "1.0.0")
    with pytest.raises(RequirementsError) as raised:
        lock(read("alpha"), resolver)
    assert "flowpack needs openai>=1.0.0: promptflow-core imports names" in str(raised.value.hint)
