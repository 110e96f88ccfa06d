from __future__ import annotations

from pathlib import Path

import pytest

from flowpack.dependencies.lockfile import lock_dependencies
from flowpack.dependencies.serving_needs import ServingNeeds
from flowpack.dependencies.target import SUPPORTED_PYTHONS, Target
from flowpack.dependencies.uv_resolver import find_uv, uv_platform
from flowpack.process import run
from tests.dependencies.conftest import Read
from tests.dependencies.packages import write_wheel

pytestmark = pytest.mark.skipif(find_uv(run) is None, reason="uv is not installed")


@pytest.mark.parametrize(("platform", "machine"), [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")])
@pytest.mark.parametrize("python", SUPPORTED_PYTHONS)
def test_any_python_and_platform_is_resolved_for(
    read: Read, wheels: Path, python: str, platform: str, machine: str
) -> None:
    target = Target.parse(python, platform)
    write_wheel(wheels, "alpha", "1.0", tag=f"cp{python.replace('.', '')}-none-manylinux_2_36_{machine}")
    write_wheel(wheels, "alpha", "2.0", tag=f"cp{python.replace('.', '')}-none-manylinux_2_40_{machine}")
    write_wheel(wheels, "alpha", "3.0", tag="cp38-none-macosx_11_0_arm64")
    made = lock_dependencies(
        read(f"alpha ; python_version == '{python}' and platform_machine == '{machine}'"),
        needs=ServingNeeds(),
        target=target,
        resolver="uv",
    )
    assert made.pins["alpha"] == "1.0"


def test_the_platform_is_debian_12s() -> None:
    assert uv_platform(Target.parse("3.11", "linux/arm64")) == "aarch64-manylinux_2_36"
