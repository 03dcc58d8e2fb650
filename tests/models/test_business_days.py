"""Business days of the packaged calendars, against the State Council's notices and the week."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.business_days import business_days
from models.calendars import day_of_date, iso_date

CN = business_days("cn")
DAYS = st.dates(date(2017, 1, 1), date(2030, 12, 31)).map(day_of_date)


def day(text: str) -> int:
    """A date as a day number."""
    return day_of_date(date.fromisoformat(text))


@pytest.mark.parametrize(
    ("due", "paid_until"),
    [
        ("2024-02-09", "2024-02-09"),  # New Year's Eve of 2024 was worked
        ("2024-02-10", "2024-02-18"),  # the festival, and a Sunday that is worked
        ("2025-01-25", "2025-01-26"),  # a Saturday before a Sunday that is worked
        ("2025-05-31", "2025-06-03"),
        ("2025-10-01", "2025-10-09"),
        ("2025-10-11", "2025-10-11"),  # a Saturday that is worked
        ("2025-10-12", "2025-10-13"),
    ],
)
def test_a_day_without_banking_moves_to_the_next_with(due: str, paid_until: str) -> None:
    """Holidays, weekends, and weekends that are worked."""
    assert iso_date(CN.next_business_day(day(due))) == paid_until


def test_the_calendar_of_weekends_knows_no_holiday() -> None:
    """1 October is a Wednesday like any other, Saturdays move to Monday."""
    weekends = business_days("weekends")

    assert weekends.is_business_day(day("2025-10-01"))
    assert iso_date(weekends.next_business_day(day("2025-10-11"))) == "2025-10-13"


def test_a_year_that_is_not_listed_knows_weekends_only() -> None:
    """2030's notice is not written yet."""
    assert CN.is_business_day(day("2030-10-01"))
    assert not CN.is_business_day(day("2030-10-05"))


@given(DAYS)
def test_the_next_business_day_is_the_first_from_the_day_on(some_day: int) -> None:
    """It is a business day, none lies between, and no closure is longer than eleven days."""
    found = CN.next_business_day(some_day)

    assert CN.is_business_day(found)
    assert not any(CN.is_business_day(between) for between in range(some_day, found))
    assert found - some_day <= 11


@given(DAYS, DAYS)
def test_moving_keeps_the_order_of_days(one: int, other: int) -> None:
    """Of two due dates the earlier is never moved beyond the later."""
    first, second = sorted((one, other))
    assert CN.next_business_day(first) <= CN.next_business_day(second)
