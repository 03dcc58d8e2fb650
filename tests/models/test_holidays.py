"""The Spring Festival's dates."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

from models.calendars import date_of_day, day_of_date
from models.holidays import (
    SPRING_FESTIVAL_DAYS,
    next_spring_festival,
    spring_festival_within,
    spring_festivals_within,
)
from models.limits import INT64_MAX


def test_one_festival_a_year() -> None:
    """Every year from 2000 to 2040 has one."""
    assert [date_of_day(day).year for day in SPRING_FESTIVAL_DAYS] == list(range(2000, 2041))


def test_every_festival_is_a_new_moon_between_january_and_february() -> None:
    """The lunar year begins from 21 January to 20 February, 12 or 13 lunar months after the last."""
    for day in SPRING_FESTIVAL_DAYS:
        assert (1, 21) <= (date_of_day(day).month, date_of_day(day).day) <= (2, 20)
    for earlier, later in pairwise(SPRING_FESTIVAL_DAYS):
        months = (later - earlier) / 29.530588
        assert abs(months - round(months)) < 0.05
        assert round(months) in {12, 13}


def test_both_ends_count() -> None:
    """A festival on the first or last day of a span lies within it."""
    festival = day_of_date(date(2025, 1, 29))
    assert spring_festival_within(festival, festival)
    assert not spring_festival_within(festival + 1, festival + 300)
    assert not spring_festival_within(festival - 300, festival - 1)
    assert spring_festivals_within(festival, festival + 400) == (festival, day_of_date(date(2026, 2, 17)))


def test_outside_the_table_there_is_none() -> None:
    """After 2040 nothing is known, and nothing is allowed for."""
    assert not spring_festival_within(day_of_date(date(2041, 1, 1)), day_of_date(date(2042, 12, 31)))


def test_every_day_knows_the_next_festival() -> None:
    """On the day itself that one, before all the first, after all none."""
    for day in range(SPRING_FESTIVAL_DAYS[0] - 400, SPRING_FESTIVAL_DAYS[-1] + 400):
        later = [festival for festival in SPRING_FESTIVAL_DAYS if festival >= day]
        assert next_spring_festival(day) == (later[0] if later else INT64_MAX)
