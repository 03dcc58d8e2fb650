"""Which days are business days: weekends, public holidays, and the weekend days worked in exchange for them.

The calendars are data (`models/business_calendars/*.toml`). A year that a calendar does not list knows weekends only.
"""

from __future__ import annotations

import tomllib
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Final, Literal

from msgspec import Struct, convert

from models.calendars import day_of_date

BusinessCalendarName = Literal["cn", "weekends"]

_MONDAY: Final = 3
"""1970-01-01, day 0, was a Thursday."""
_SATURDAY: Final = 5


class _CalendarFile(Struct, frozen=True, forbid_unknown_fields=True):
    first_year: int
    last_year: int
    holidays: tuple[str, ...]
    working_days: tuple[str, ...]


class BusinessDays:
    """The business days of one calendar. Immutable."""

    def __init__(self, holidays: frozenset[int], working_days: frozenset[int]) -> None:
        """Days (since 1970-01-01, local) that differ from the week: off beside weekends, and worked on weekends."""
        self._holidays = holidays
        self._working_days = working_days

    def is_business_day(self, day: int) -> bool:
        """Whether banks are open on a local day."""
        if (day + _MONDAY) % 7 >= _SATURDAY:
            return day in self._working_days
        return day not in self._holidays

    def next_business_day(self, day: int) -> int:
        """The day itself, or the first business day after it."""
        while not self.is_business_day(day):
            day += 1
        return day


@cache
def business_days(name: BusinessCalendarName) -> BusinessDays:
    """A packaged calendar; `weekends` knows Saturdays and Sundays only."""
    if name == "weekends":
        return BusinessDays(frozenset(), frozenset())
    text = files("models").joinpath("business_calendars", f"{name}.toml").read_text(encoding="utf-8")
    data = convert(tomllib.loads(text), _CalendarFile)
    return BusinessDays(
        frozenset(day for span in data.holidays for day in _days_of(span)),
        frozenset(day for span in data.working_days for day in _days_of(span)),
    )


def _days_of(span: str) -> range:
    """The days of `first..last` or of a single date."""
    first, _, last = span.partition("..")
    return range(day_of_date(date.fromisoformat(first)), day_of_date(date.fromisoformat(last or first)) + 1)
