"""The pace of pay, what it stands for a month, and how long it stands."""

from __future__ import annotations

from datetime import date
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.calendars import day_of_date
from models.income import PENSION, SALARY, Source
from models.pays import Pays
from models.rhythm import Stream, end_of_standing, level_now, levels_before, pace_of, stream_of
from tests.support.events import rules

POLICY = rules().policy.signals.income_drop
RHYTHMS = ((7, 0), (7, 2), (8, 4), (15, 1), (30, 2), (30, 0), (31, 12), (45, 40), (91, 3))
"""Usual gaps between pays, and how much they vary."""
FIRST = day_of_date(date(2025, 3, 3))
"""A Monday, far from the Spring Festivals."""


def stream(days: list[int], amounts: list[int] | int, kind: int = SALARY) -> Stream:
    """A source that paid so many days after `FIRST`."""
    paid = [amounts] * len(days) if isinstance(amounts, int) else amounts
    return stream_of(Pays(Source(0, "e", "CNY", kind), [FIRST + day for day in days], paid), POLICY)


@pytest.mark.parametrize(
    ("gaps", "pace_days"),
    [
        ([], 31),
        ([7, 7], 31),
        ([91, 91], 91),
        ([7, 7, 7, 7], 7),
        ([1, 13, 7, 5, 9, 6], 7),
        ([14, 14, 14, 13], 14),
        ([15, 16, 14, 15], 15),
        ([30, 31, 30, 28], 30),
        ([27, 34, 30, 31], 31),
        ([30, 30, 12, 18, 30, 30, 12, 18], 30),
        ([30, 31, 30, 150, 31], 31),
        ([91, 92, 90, 91], 91),
        ([300, 300, 300], 100),
    ],
)
def test_the_pace_is_the_usual_gap(gaps: list[int], pace_days: int) -> None:
    """Extra pays and outages hardly matter; too few pays are taken for monthly; rare ones for quarterly."""
    assert pace_of(list(accumulate(gaps, initial=0))) == pace_days


def test_monthly_pay_stands_for_itself() -> None:
    """To the fen, with its parts of the twelve days before."""
    monthly = stream([0, 30, 61, 91, 95], [1001, 1001, 1001, 900, 101])
    assert monthly.levels == [1001, 1001, 1001, 900, 1001]


def test_pay_twice_a_month_is_summed() -> None:
    """Two parts that differ make one month's pay, at each of them."""
    assert stream([0, 15, 31, 46, 61, 76], [700, 300] * 3).levels[1:] == [1000] * 5


def test_pay_every_second_week_is_scaled_to_a_month() -> None:
    """Twenty-six pays a year, twelve months."""
    assert stream([0, 14, 28, 42, 56], 1400).levels[-1] == 2800 * 3044 // 2800


def test_weekly_pay_is_summed_over_weeks() -> None:
    """Eight weeks, or four where that is more; scaled to a month."""
    assert stream([7 * week for week in range(12)], 700).levels[-1] == 5600 * 3044 // 5600
    returned = stream([7 * week for week in range(12)], [700] * 4 + [70] * 4 + [700] * 4)
    assert returned.levels[-1] == returned.levels[3] == 3044


def test_quarterly_pay_is_spread_over_its_months() -> None:
    """A pay every three months is a third of it a month."""
    assert stream([0, 91, 182, 273], 3000).levels[-1] == 3000 * 3044 // 9100


def test_unsteady_monthly_pay_is_averaged() -> None:
    """Commission that varies by half is looked at over three pays."""
    amounts = [1000, 1500, 600, 1400, 700, 1500, 900]
    unsteady = stream([round(30.5 * month) for month in range(7)], amounts)
    assert unsteady.pays_per_level == 3
    assert unsteady.levels[-1] == sum(amounts[-3:]) // 3


@pytest.mark.parametrize(
    ("gap", "kind", "reach_days"),
    [
        (7, SALARY, 21),
        (14, SALARY, 28),
        (30, SALARY, 45),
        (30, PENSION, 38),
        (91, SALARY, 113),
        (91, PENSION, 113),
    ],
)
def test_pay_stands_until_the_next_is_surely_late(gap: int, kind: int, reach_days: int) -> None:
    """A pace, and a slack by how often pay comes and by who pays."""
    steady = stream([gap * number for number in range(5)], 100, kind)
    last_day = FIRST + gap * 4
    assert end_of_standing(steady, 4) == last_day + reach_days + 1
    assert level_now(steady, last_day + reach_days)[0] > 0
    assert level_now(steady, last_day + reach_days + 1) == (0, 0)


def test_a_payer_is_waited_for_as_long_as_it_has_let_wait() -> None:
    """The longest gap and three days; a gap beyond any habit teaches nothing."""
    assert stream([0, 30, 80, 110, 140], 100).reach_days == 53
    assert stream([0, 30, 90, 120, 150], 100).reach_days == 45


def test_a_pay_that_was_followed_stands_less_long() -> None:
    """38 days instead of 45 once the next pay has come; an extra pay in between is no next one."""
    on_time = stream([0, 30, 60, 90, 120, 150], [100] * 5 + [50])
    assert level_now(on_time, FIRST + 158) == (100, FIRST + 159)
    assert level_now(on_time, FIRST + 159) == (50, FIRST + 196)
    extra = stream([0, 30, 60, 90, 120, 130], [100] * 5 + [5])
    assert level_now(extra, FIRST + 150)[0] == 105
    assert level_now(extra, FIRST + 160)[0] == 105


def test_past_levels_are_told_without_what_came_later() -> None:
    """At the midnight that begins a day, the pay of that day has not come."""
    steady = stream([0, 30, 60, 90], [100, 200, 100, 300])
    mornings = [FIRST, FIRST + 1, FIRST + 30, FIRST + 31, FIRST + 90, FIRST + 91, FIRST + 400]
    assert levels_before(steady, mornings)[:2] == [0, steady.levels[0]]
    assert levels_before(steady, mornings)[-1] == 0


@settings(max_examples=300)
@given(
    first_day=st.integers(day_of_date(date(2024, 6, 1)), day_of_date(date(2025, 6, 1))),
    gaps=st.one_of(
        *(st.lists(st.integers(usual - jitter, usual + jitter), max_size=40) for usual, jitter in RHYTHMS)
    ),
    dice=st.randoms(use_true_random=False),
)
def test_a_rhythm_told_a_pay_at_a_time_is_that_of_all_pays(
    first_day: int, gaps: list[int], dice: Random
) -> None:
    """Whatever is taken over from before, over festivals and losses too, and asked on any days in between."""
    days = list(accumulate(gaps, initial=first_day))
    spread = dice.choice([0, 50, 400])
    amounts = [1000 + dice.randint(-spread, spread) for _ in days]
    source = Source(0, "e", "CNY", dice.choice([SALARY, PENSION]))
    for count in range(1, len(days) + 1):
        pays = Pays(source, days[:count], amounts[:count])
        grown, whole = stream_of(pays, POLICY), Stream(pays, POLICY)
        for name in (
            "pace_days",
            "learnt_days",
            "reach_days",
            "followed_days",
            "pays_per_level",
            "levels",
            "best_level",
        ):
            assert getattr(grown, name) == getattr(whole, name), name
        for day in sorted(days[count - 1] + dice.randint(0, 130) for _ in range(4)):
            assert level_now(grown, day) == level_now(Stream(pays, POLICY), day)
