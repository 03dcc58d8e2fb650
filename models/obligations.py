"""What the own loans ask for on days to come, as of an instant: for the signals that compare it with means."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Final

from models.calendars import date_of_day, day_of_date
from models.ledger import Line, Loan, balances_at, oldest_unpaid
from models.money import within_int64
from models.rules import Rules

BILL_STANDS_DAYS: Final = 31
"""Days after its due date for which a bill stands for the next one: bills come by the month."""
_LAST_DAY: Final = day_of_date(date.max) - 31
"""From here on the calendar ends: absurd dates stop nobody."""
_CACHED_DAYS_MAX: Final = 16_384
"""Days whose next month is remembered: 44 years, some megabytes."""


def is_open(loan: Loan, known_ms: int) -> bool:
    """Whether the loan had begun and not ended, on what is known up to `known_ms`."""
    return loan.opened_ms <= known_ms and (loan.closed_ms is None or loan.closed_ms > known_ms)


def unpaid(loan: Loan, known_ms: int, rules: Rules) -> Iterator[tuple[int, int]]:
    """Due day and missing amount of what is short by more than the tolerance, oldest first; nothing of a closed loan."""
    if is_open(loan, known_ms):
        tolerance_minor = rules.policy.signals.missed_payment.tolerance_minor
        balances = balances_at(loan, known_ms, rules)
        for line, short_minor in zip(loan.lines, balances.short_minor, strict=True):
            if short_minor > tolerance_minor:
                yield line.due_day, short_minor


def next_unpaid_day(loan: Loan, known_ms: int, rules: Rules) -> int | None:
    """The due day of the oldest unpaid line, due already or not."""
    if not is_open(loan, known_ms):
        return None
    tolerance_minor = rules.policy.signals.missed_payment.tolerance_minor
    index = oldest_unpaid(balances_at(loan, known_ms, rules), tolerance_minor)
    return None if index is None else loan.lines[index].due_day


def oldest_past_due_day(loans: dict[str, Loan], known_ms: int, day: int, rules: Rules) -> int | None:
    """The oldest due day, before the local `day`, of what any own loan still asks for."""
    oldest: int | None = None
    for loan in loans.values():
        due_day = next_unpaid_day(loan, known_ms, rules)
        if due_day is not None and due_day < day and (oldest is None or due_day < oldest):
            oldest = due_day
    return oldest


def due_within(loan: Loan, known_ms: int, first_day: int, end_day: int, rules: Rules) -> int:
    """What a loan that is not paid off asks for from `first_day` to before `end_day`, paid ahead of time or not.

    The next bill of a card is not known before it is drawn. Where the last statement is not paid off, what it asked for (its
    minimum) stands for the next one for `BILL_STANDS_DAYS`: else a debt would end with each due date, and begin with each bill.
    """
    balances = balances_at(loan, known_ms, rules)
    revolves = (
        balances.statement_minor is not None
        and not balances.is_reported
        and balances.statement_minor > rules.policy.signals.missed_payment.tolerance_minor
    )
    if not revolves and next_unpaid_day(loan, known_ms, rules) is None:
        return 0
    in_force = [
        line for line, short_minor in zip(loan.lines, balances.short_minor, strict=True) if short_minor >= 0
    ]
    due = [line.due_minor for line in in_force if first_day <= line.due_day < end_day]
    if not due and revolves:
        last_day = max((line.due_day for line in in_force if line.due_day < first_day), default=0)
        if first_day - last_day <= BILL_STANDS_DAYS:
            due = [line.due_minor for line in in_force if line.due_day == last_day and line.is_bill]
    return within_int64(sum(due))


def most_in_a_month_minor(loan: Loan) -> int:
    """A loan never asks for more within a month, on what is known: the most that falls due, or stands for what does.

    Kept beside the loan for as long as its lines are the same ones; a line never changes.
    """
    known: tuple[list[Line], int] | None = vars(loan).get("most_in_a_month")
    if known is None or known[0] != loan.lines:
        known = vars(loan)["most_in_a_month"] = loan.lines[:], _most_in_a_month_minor(loan)
    return known[1]


def _most_in_a_month_minor(loan: Loan) -> int:
    """What falls due (in order of days) is added up over the months that begin with a due day, no other holds more."""
    bill = last_bill(loan)
    most_minor = 0 if bill is None else bill.due_minor  # stands where nothing falls due
    month_minor = later = 0
    lines = loan.lines
    for line in lines:
        end_day = month_later(line.due_day)
        while later < len(lines) and lines[later].due_day < end_day:
            month_minor += lines[later].due_minor
            later += 1
        most_minor = max(most_minor, month_minor)
        month_minor -= line.due_minor
    return most_minor


def last_bill(loan: Loan) -> Line | None:
    """The bill that falls due last; None where the loan has a schedule alone."""
    return next((line for line in reversed(loan.lines) if line.is_bill), None)


@lru_cache(maxsize=_CACHED_DAYS_MAX)
def month_later(day: int) -> int:
    """The same day of the next month, or its last day where it has no such day."""
    if day >= _LAST_DAY:
        return day + 31
    today = date_of_day(day)
    year, month = (today.year + 1, 1) if today.month == 12 else (today.year, today.month + 1)
    return day_of_date(today.replace(year=year, month=month, day=min(today.day, monthrange(year, month)[1])))


def enters_month_day(due_day: int) -> int:
    """The first day from which to the same day of the next month `due_day` lies."""
    day = due_day - 31
    while month_later(day) <= due_day:
        day += 1
    return day
