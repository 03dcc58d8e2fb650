"""Months as day numbers (days since 1970-01-01, local)."""

from __future__ import annotations

from datetime import date

from models.calendars import day_of_date


def month_starts(year: int, month: int, count: int) -> list[int]:
    """First days of `count` months, beginning with `month` (1 to 12) of `year`."""
    first = year * 12 + month - 1
    return [day_of_date(date(index // 12, index % 12 + 1, 1)) for index in range(first, first + count)]
