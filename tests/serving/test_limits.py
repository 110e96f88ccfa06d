from __future__ import annotations

import pytest

from flowpack.serving.limits import BodyMemory, most_connections


@pytest.mark.attack("M8")
def test_of_large_bodies_that_come_at_once_one_always_goes_on() -> None:
    memory = BodyMemory(1_000_000)
    sizes = dict.fromkeys("abcdef", 0)
    for _ in range(10_000):
        going_on = [name for name in sizes if memory.may_grow(name)]
        if not going_on:
            raise AssertionError("none of them may go on: they would all wait for ever")
        for name in going_on:
            sizes[name] += 50_000
            memory.hold(name, sizes[name])
            assert sum(sizes.values()) <= 2_000_000 + len(sizes) * 50_000 + 1_000_000
            if sizes[name] >= 1_000_000:
                memory.release(name)
                del sizes[name]
        if not sizes:
            return
    raise AssertionError("not all of them ended")


def test_a_small_body_is_never_held_back() -> None:
    memory = BodyMemory(100_000)
    for name in range(10):
        memory.hold(name, 90_000)
    memory.hold("small", 60_000)
    assert memory.may_grow("small")


def test_half_of_the_files_that_a_worker_may_open_are_the_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (256, 1024))
    assert most_connections(1000) == 128
    monkeypatch.setattr("resource.getrlimit", lambda _: (1_000_000, 1_000_000))
    assert most_connections(1000) == 1000
