"""The time of day for judging absences: never early, whatever is done to the wall clock."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.steady_clock import SteadyClock

HOUR_MS = 3_600_000


@dataclass
class SetClock:
    """A stop-watch that runs, and a wall clock that somebody sets."""

    stopwatch_ms: int = 5_000
    set_by_ms: int = 1_700_000_000_000

    def now_ms(self) -> int:
        return self.stopwatch_ms + self.set_by_ms

    def monotonic_ms(self) -> int:
        return self.stopwatch_ms


def test_without_leaps_it_is_the_wall_clock() -> None:
    """Time that passes is the time of day."""
    clock = SetClock()
    steady = SteadyClock(clock)
    for _ in range(10):
        clock.stopwatch_ms += 777

        assert steady.now_ms() == clock.now_ms()


def test_a_leap_ahead_is_not_followed() -> None:
    """An hour ahead, by mistake: the time of day goes on as if nothing had been, and is right when it is set back."""
    clock = SetClock()
    steady = SteadyClock(clock)
    clock.set_by_ms += HOUR_MS
    clock.stopwatch_ms += 60_000

    assert steady.now_ms() == clock.now_ms() - HOUR_MS

    clock.set_by_ms -= HOUR_MS
    clock.stopwatch_ms += 1_000

    assert steady.now_ms() == clock.now_ms()


def test_a_leap_back_is_followed_at_once() -> None:
    """Late is harmless: never ahead of the wall clock."""
    clock = SetClock()
    steady = SteadyClock(clock)
    clock.set_by_ms -= HOUR_MS

    assert steady.now_ms() == clock.now_ms()


def test_a_leap_back_and_its_return_are_followed() -> None:
    """Set an hour back by mistake and forth again: right at once."""
    clock = SetClock()
    steady = SteadyClock(clock)
    for set_ms in (-HOUR_MS, HOUR_MS):
        clock.set_by_ms += set_ms
        clock.stopwatch_ms += 10_000

        assert steady.now_ms() == clock.now_ms()


def test_a_leap_that_stands_for_an_hour_was_a_correction() -> None:
    """A clock that had been behind is believed in the end."""
    clock = SetClock()
    steady = SteadyClock(clock)
    clock.set_by_ms += HOUR_MS
    late_ms = []
    for _ in range(0, HOUR_MS + 4_000, 2_000):
        late_ms.append(clock.now_ms() - steady.now_ms())
        clock.stopwatch_ms += 2_000

    assert set(late_ms[:-2]) == {HOUR_MS}
    assert late_ms[-1] == 0


@pytest.mark.parametrize("gain_ms", [-3, 3])
def test_small_corrections_are_followed(gain_ms: int) -> None:
    """A disciplined clock gains or loses a little all the time: that is no leap."""
    clock = SetClock()
    steady = SteadyClock(clock)
    for _ in range(5_000):
        clock.stopwatch_ms += 2_000
        clock.set_by_ms += gain_ms

        assert steady.now_ms() == clock.now_ms()


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(-2 * HOUR_MS, 2 * HOUR_MS)), max_size=50))
def test_it_is_never_ahead_of_the_wall_clock(steps: list[tuple[int, int]]) -> None:
    """Whatever happens to the clock: an absence is never judged before its time."""
    clock = SetClock()
    steady = SteadyClock(clock)
    for passed_ms, set_ms in steps:
        clock.stopwatch_ms += passed_ms
        clock.set_by_ms += set_ms

        assert steady.now_ms() <= clock.now_ms()
