"""However rarely cycles are looked for, they never hold more memory than was said."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from streams.garbage import GC_THRESHOLDS, look_rarely
from streams.settings import Settings

_SLACK = 50_000
"""Containers that everything else in this process may make or let go of meanwhile."""
_KEPT = Settings().pictures_max * 67
"""Containers of so many pictures after a year (`streams/decisions/0018-cycles-and-cold-borrowers.md`)."""


class _Cycle:
    """Refers to itself: only the collector frees it."""

    def __init__(self, alive: list[int]) -> None:
        self.me = self
        self._alive = alive
        alive[0] += 1

    def __del__(self) -> None:
        self._alive[0] -= 1


@pytest.fixture
def rarely() -> Iterator[None]:
    """The worker's thresholds, from an empty young generation on."""
    before = gc.get_threshold()
    gc.collect()
    look_rarely()
    yield
    gc.set_threshold(*before)
    gc.collect()


@pytest.mark.usefixtures("rarely")
def test_cycles_are_freed_before_they_hold_more_than_the_bound() -> None:
    """Twice as many cycles as the bound allows are made; never are more of them alive than the bound."""
    alive, most = [0], 0
    for _ in range(2 * GC_THRESHOLDS[0]):
        _Cycle(alive)
        most = max(most, alive[0])
    assert GC_THRESHOLDS[0] // 4 < most <= GC_THRESHOLDS[0] + _SLACK


@pytest.mark.usefixtures("rarely")
def test_pictures_decoded_between_two_commits_are_not_looked_at() -> None:
    """Whoever is decoded and let go of again, commit after commit, is never walked over by the collector."""
    before = gc.get_stats()[0]["collections"]
    for _ in range(4):
        pictures = [[number] for number in range(_KEPT)]
        del pictures
    assert gc.get_stats()[0]["collections"] == before
