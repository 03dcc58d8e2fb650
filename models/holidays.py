"""The long holiday around which pay comes early, late or small: the Spring Festival (Chinese New Year).

Dates: Hong Kong Observatory, "Gregorian-Lunar Calendar Conversion Table" (1901-2100), first day of the first lunar
month; the same as the rules of GB/T 33661-2017 give. Outside 2000-2040 no festival is known, and nothing is allowed for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import date
from itertools import pairwise
from typing import Final

from models.calendars import day_of_date
from models.limits import INT64_MAX

_DATES: Final = """
    2000-02-05 2001-01-24 2002-02-12 2003-02-01 2004-01-22 2005-02-09 2006-01-29 2007-02-18 2008-02-07 2009-01-26
    2010-02-14 2011-02-03 2012-01-23 2013-02-10 2014-01-31 2015-02-19 2016-02-08 2017-01-28 2018-02-16 2019-02-05
    2020-01-25 2021-02-12 2022-02-01 2023-01-22 2024-02-10 2025-01-29 2026-02-17 2027-02-06 2028-01-26 2029-02-13
    2030-02-03 2031-01-23 2032-02-11 2033-01-31 2034-02-19 2035-02-08 2036-01-28 2037-02-15 2038-02-04 2039-01-24
    2040-02-12
"""
SPRING_FESTIVAL_DAYS: Final = tuple(day_of_date(date.fromisoformat(day)) for day in _DATES.split())
"""New Year's Day of each year, as day numbers (days since 1970-01-01), in order."""


def spring_festivals_within(first_day: int, last_day: int) -> tuple[int, ...]:
    """The Spring Festivals within these days, both included."""
    first = bisect_left(SPRING_FESTIVAL_DAYS, first_day)
    return SPRING_FESTIVAL_DAYS[first : bisect_right(SPRING_FESTIVAL_DAYS, last_day, first)]


def _next_by_day() -> tuple[int, ...]:
    """For each day from the first festival to the last, the festival on it or next after it."""
    return tuple(
        later
        for earlier, later in pairwise((SPRING_FESTIVAL_DAYS[0] - 1, *SPRING_FESTIVAL_DAYS))
        for _ in range(earlier, later)
    )


_NEXT: Final = _next_by_day()
_FIRST_DAY: Final = SPRING_FESTIVAL_DAYS[0]
_LAST_DAY: Final = SPRING_FESTIVAL_DAYS[-1]


def next_spring_festival(day: int) -> int:
    """The Spring Festival on a day or next after it; a day beyond all where none is known."""
    if day > _LAST_DAY:
        return INT64_MAX
    return _NEXT[day - _FIRST_DAY] if day > _FIRST_DAY else _FIRST_DAY


def spring_festival_within(first_day: int, last_day: int) -> bool:
    """Whether a Spring Festival lies within these days, both included."""
    return next_spring_festival(first_day) <= last_day
