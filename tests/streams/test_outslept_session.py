"""A worker that was stopped for longer than its session leaves, and nothing is lost or doubled for that."""

from __future__ import annotations

import pytest

from streams.memory.virtual_time import VirtualClock, run_virtual
from streams.pipeline import PipelineError
from tests.support.house import House
from tests.support.workload import comparable

COUNT = 600


class StandingClock(VirtualClock):
    """A stop-watch that a stopped process finds far ahead when it wakes."""

    slept_ms = 0

    def monotonic_ms(self) -> int:
        return super().monotonic_ms() + self.slept_ms


async def _interrupted(slept_ms: int) -> House:
    house = House()
    house.clock = clock = StandingClock()
    house.load(5, COUNT)

    def sleep() -> None:
        clock.slept_ms = slept_ms

    house.metrics.call_at("commits", 3, sleep)
    await house.worker(turn_events_max=5).run()
    return house


async def _undisturbed() -> House:
    house = House()
    house.load(5, COUNT)
    await house.worker().run()
    return house


def test_a_sleep_longer_than_the_session_ends_the_worker() -> None:
    """The group has given its tasks away: it must not go on with what it holds."""
    with pytest.raises(PipelineError, match=r"stood still for 10\.[01] s, longer than its session"):
        run_virtual(_interrupted(10_050))


def test_a_short_sleep_is_none_of_anybodys_business() -> None:
    """Within the session the worker goes on, and its alerts are those of an undisturbed one."""
    house = run_virtual(_interrupted(9_000))

    assert comparable(house.alerts()) == comparable(run_virtual(_undisturbed()).alerts())
