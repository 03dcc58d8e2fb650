"""The observed time: its days, months, weekends and Spring Festivals, computed once for all borrowers."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Final

from models.calendars import Calendar, date_of_day, day_of_date
from streams.months import month_starts
from streams.simulator.settings import SimulationSettings

SPRING_FESTIVALS: Final = (
    date(2015, 2, 19), date(2016, 2, 8), date(2017, 1, 28), date(2018, 2, 16), date(2019, 2, 5),
    date(2020, 1, 25), date(2021, 2, 12), date(2022, 2, 1), date(2023, 1, 22), date(2024, 2, 10),
    date(2025, 1, 29), date(2026, 2, 17), date(2027, 2, 6), date(2028, 1, 26), date(2029, 2, 13),
    date(2030, 2, 3), date(2031, 1, 23), date(2032, 2, 11), date(2033, 1, 31), date(2034, 2, 19), date(2035, 2, 8),
)  # fmt: skip
"""First days of the Chinese year (Purple Mountain Observatory's calendar): around them pay is early, late or small."""

_MONTHS_AHEAD: Final = 30
"""The longest loan, 24 months, and the months in which it may begin to fall due."""
_MINUTE_MS: Final = 60_000
_WAKING_BEGINS_MS: Final = 8 * 60 * _MINUTE_MS
_WAKING_MS: Final = 14 * 60 * _MINUTE_MS
"""People and payroll act between 08:00 and 22:00."""


class Horizon:
    """Days are whole numbers since 1970-01-01, local; the last month's end is not observed any more."""

    def __init__(self, settings: SimulationSettings) -> None:
        """Lay out the months of `settings`."""
        calendar = Calendar(settings.time_zone)
        self.start_day = day_of_date(settings.start)
        first = settings.start
        starts = month_starts(first.year, first.month, settings.months + _MONTHS_AHEAD)
        self.months = tuple(pairwise(starts))
        """First day, and first day of the next month: as far ahead as a loan's schedule reaches."""
        self.months_observed = settings.months + 1
        """Months that are observed, if only in part."""
        end = starts[settings.months]
        self.end_day = end if first.day == 1 else min(end + first.day - 1, starts[settings.months + 1] - 1)
        self.begin_ms = calendar.midnight_ms(self.start_day)
        self.end_ms = calendar.midnight_ms(self.end_day)
        near = range(starts[0] - 60, starts[-1] + 60)
        self.festivals = tuple(day for day in map(day_of_date, SPRING_FESTIVALS) if day in near)
        self._first_day = starts[0] - 62
        days = range(self._first_day, starts[-1] + 62)
        self._midnights = [calendar.midnight_ms(day) for day in days]
        self._dates = [date_of_day(day).isoformat() for day in days]

    def midnight_ms(self, day: int) -> int:
        """The instant at which `day` begins."""
        return self._midnights[day - self._first_day]

    def waking_ms(self, day: int, roll: float) -> int:
        """An instant of `day` between 08:00 and 22:00; `roll` lies between 0 and 1."""
        return self._midnights[day - self._first_day] + _WAKING_BEGINS_MS + int(roll * _WAKING_MS)

    def iso(self, day: int) -> str:
        """`YYYY-MM-DD`."""
        return self._dates[day - self._first_day]

    def day_in_month(self, month: int, day_of_month: int) -> int:
        """The `day_of_month`-th day of month `month`, or its last one."""
        first, after = self.months[month]
        return min(first + day_of_month - 1, after - 1)

    def festival_near(self, day: int, before: int, after: int) -> int | None:
        """The festival that lies at most `before` days after, `after` days before `day`."""
        for festival in self.festivals:
            if -before <= day - festival <= after:
                return festival
        return None


def weekday(day: int) -> int:
    """0 for Monday to 6 for Sunday (1970-01-01 was a Thursday)."""
    return (day + 3) % 7
