"""How many cores this process may use: the container's share, not the host's."""

from __future__ import annotations

import math
import os
from pathlib import Path


def usable_cores(root: Path = Path("/"), allowed: int | None = None) -> int:
    """The cores that the scheduler allows, or the control group's quota where that is less; never below one.

    Part of a core is rounded up: a quota of 1.5 serves better with two workers than with one.
    """
    if allowed is None:
        allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for quota in (_quota_v2(root), _quota_v1(root)) if quota is not None]
    return max(1, min([allowed, *(math.ceil(quota) for quota in quotas)]))


def _quota_v2(root: Path) -> float | None:
    """The smallest quota on the way up from this process's group; a container sees its own group as the root."""
    groups = _groups(root)
    group = root / "sys/fs/cgroup" / groups.get("", "")
    quotas = []
    for folder in (group, *group.parents):
        words = _words(folder / "cpu.max")
        if len(words) == 2 and words[0] != "max":
            quotas.append(int(words[0]) / int(words[1]))
        if folder == root / "sys/fs/cgroup":
            break
    return min(quotas, default=None)


def _quota_v1(root: Path) -> float | None:
    named = next((path for names, path in _groups(root).items() if "cpu" in names.split(",")), "")
    for mount in ("cpu", "cpu,cpuacct"):
        for folder in (root / "sys/fs/cgroup" / mount / named, root / "sys/fs/cgroup" / mount):
            quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
            if quota and period and int(quota[0]) > 0:
                return int(quota[0]) / int(period[0])
    return None


def _groups(root: Path) -> dict[str, str]:
    """This process's groups as ``/proc/self/cgroup`` lists them; version 2 has the empty name."""
    lines = (line.split(":", 2) for line in _text(root / "proc/self/cgroup").splitlines())
    return {line[1]: line[2].lstrip("/") for line in lines if len(line) == 3 and ".." not in line[2]}


def _words(path: Path) -> list[str]:
    return _text(path).split()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
