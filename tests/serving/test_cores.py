from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowpack.serving.cores import usable_cores
from tests.paths import write_tree


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, 8, id="no control groups"),
        pytest.param({"sys/fs/cgroup/cpu.max": "max 100000\n"}, 8, id="v2 without a quota"),
        pytest.param({"sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2, id="v2 two cores"),
        pytest.param({"sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2, id="v2 one and a half"),
        pytest.param({"sys/fs/cgroup/cpu.max": "20000 100000\n"}, 1, id="v2 a fifth"),
        pytest.param({"sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 8, id="v2 more than the machine has"),
        pytest.param(
            {
                "proc/self/cgroup": "0::/kubepods/pod1/container\n",
                "sys/fs/cgroup/kubepods/pod1/cpu.max": "300000 100000\n",
                "sys/fs/cgroup/kubepods/pod1/container/cpu.max": "max 100000\n",
            },
            3,
            id="v2 the pod's quota",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/cpu.max": "400000 100000\n"},
            4,
            id="v2 a group outside of the namespace",
        ),
        pytest.param(
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            8,
            id="v1 without a quota",
        ),
        pytest.param(
            {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
            3,
            id="v1 two and a half",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "50000\n",
            },
            2,
            id="v1 this process's own group",
        ),
    ],
)
def test_the_smallest_of_what_is_allowed(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert usable_cores(write_tree(tmp_path, files), allowed=8) == expected


def test_this_machine() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
