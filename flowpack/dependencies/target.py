"""The Python minor version and the platform that a lock is resolved for and an image runs on."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from flowpack.errors import UsageError

SUPPORTED_PYTHONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
DEFAULT_PYTHON = "3.11"

# A lock for a minor version is resolved for this patch version, which a maintained Linux distribution has (Debian 11 to
# 13, Ubuntu 22.04 and 24.04). Some packages refuse a minor version's first patches.
_PATCHES = {"3.9": "2", "3.10": "12", "3.11": "2", "3.12": "3", "3.13": "5"}

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def _machine() -> str:
    """Like ``platform.machine()``, whose module takes longer to load than all of this one."""
    return os.uname().machine.lower() if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "").lower()


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform as Docker names it: ``linux/amd64``."""

    os: str
    architecture: str

    @classmethod
    def parse(cls, text: str) -> Platform:
        os, _, architecture = text.partition("/")
        if os != "linux" or architecture not in {"amd64", "arm64"}:
            raise UsageError(f"platform '{text}' is not supported", hint="use linux/amd64 or linux/arm64")
        return cls(os, architecture)

    @classmethod
    def of_this_machine(cls) -> Platform:
        """The Linux platform that a container engine on this machine runs without emulation."""
        return cls("linux", _ARCHITECTURES.get(_machine(), "amd64"))

    def __str__(self) -> str:
        return f"{self.os}/{self.architecture}"


@dataclass(frozen=True, slots=True)
class Target:
    python: str
    platform: Platform

    @classmethod
    def parse(cls, python: str, platform: str) -> Target:
        if not re.fullmatch(r"3\.\d{1,2}", python) or python not in SUPPORTED_PYTHONS:
            raise UsageError(
                f"Python '{python}' is not supported",
                hint=f"use a minor version that promptflow serves on: {', '.join(SUPPORTED_PYTHONS)}",
            )
        return cls(python, Platform.parse(platform))

    @property
    def version(self) -> tuple[int, int]:
        major, minor = self.python.split(".")
        return int(major), int(minor)

    @property
    def full_version(self) -> str:
        return f"{self.python}.{_PATCHES.get(self.python, '0')}"

    def __str__(self) -> str:
        return f"Python {self.python} on {self.platform}"
