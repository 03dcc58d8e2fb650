"""What the own loans ask for on days to come, as of an instant: for the signals that compare it with means."""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Final

from models.calendars import date_of_day, day_of_date
from models.ledger import Balances, Line, Loan, balances_at
from models.limits import INT64_MAX
from models.money import within_int64
from models.rules import Rules

BILL_STANDS_DAYS: Final = 31
"""Days after its due date for which a bill stands for the next one: bills come by the month."""
NO_DAY: Final = INT64_MAX
"""Later than every day."""
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
    balances = loan.now if known_ms >= loan.now.upto_ms else balances_at(loan, known_ms, rules)
    tolerance_minor = rules.policy.signals.missed_payment.tolerance_minor
    for index, short_minor in enumerate(balances.short_minor):  # as `oldest_unpaid`
        if short_minor > tolerance_minor:
            return loan.lines[index].due_day
    return None


def oldest_lines(loans: dict[str, Loan], known_ms: int, rules: Rules) -> list[tuple[Loan, int]] | None:
    """Each open loan that asks for anything, and the place of its oldest unpaid line; None where anything later is known already."""
    tolerance_minor = rules.policy.signals.missed_payment.tolerance_minor
    found: list[tuple[Loan, int]] = []
    for loan in loans.values():
        now, closed_ms = loan.now, loan.closed_ms
        if (
            now.upto_ms > known_ms
            or loan.opened_ms > known_ms
            or (closed_ms is not None and closed_ms > known_ms)
        ):
            return None
        if closed_ms is None:
            for place, short_minor in enumerate(now.short_minor):  # as `oldest_unpaid`
                if short_minor > tolerance_minor:
                    found.append((loan, place))
                    break
    return found


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
    lines, shorts_minor, days = loan.lines, balances.short_minor, dues_of(loan).days
    first = place = bisect_left(days, first_day)
    due_minor, is_any = 0, False
    while place < len(days) and days[place] < end_day:
        if shorts_minor[place] >= 0:
            due_minor += lines[place].due_minor
            is_any = True
        place += 1
    if not is_any and revolves:
        due_minor = _standing_bill_minor(loan, balances, first, first_day)
    return within_int64(due_minor)


def _standing_bill_minor(loan: Loan, balances: Balances, before: int, first_day: int) -> int:
    """What the bills of the last day before a line's place asked for that any line in force is due on."""
    last_day = due_minor = 0
    for place in range(before - 1, -1, -1):
        line = loan.lines[place]
        if line.due_day < max(last_day, first_day - BILL_STANDS_DAYS):
            break
        if balances.short_minor[place] >= 0:
            last_day = line.due_day
            if line.is_bill:
                due_minor += line.due_minor
    return due_minor


class Dues:
    """What the lines of a loan ask for by the month, paid or not: told once for the same lines."""

    __slots__ = ("days", "lines", "most_minor", "stands_days")

    def __init__(self, loan: Loan) -> None:
        """Lines are in order of their due days."""
        self.lines = lines = loan.lines[:]
        self.days = [line.due_day for line in lines]
        self.stands_days = 0 if last_bill(loan) is None else BILL_STANDS_DAYS
        """After its due date, a line may stand for another for so long."""
        self.most_minor = [0]
        """By line, from behind the last to the first: no month from its due day on holds more, nor does one that begins later."""
        month_minor, end = 0, len(lines)
        for index in range(len(lines) - 1, -1, -1):
            month_minor += lines[index].due_minor
            end_day = month_later(self.days[index])
            while self.days[end - 1] >= end_day:
                end -= 1
                month_minor -= lines[end].due_minor
            self.most_minor.append(max(self.most_minor[-1], month_minor))

    def most_from(self, day: int) -> int:
        """No month that begins on `day` or later holds more, nor does more stand for what it holds."""
        return self.most_minor[len(self.days) - bisect_left(self.days, day - self.stands_days)]

    def next_change_day(self, today: int) -> int:
        """When the next line leaves the month or enters it, or a bill stands for no other any more; `NO_DAY` if none does."""
        days, next_day = self.days, NO_DAY
        first = bisect_left(days, today)
        end_day = month_later(today)
        if first < len(days) and days[first] < end_day:
            next_day = days[first] + 1
        later = bisect_left(days, end_day, first)
        if later < len(days):
            next_day = min(next_day, enters_month_day(days[later]))
        if self.stands_days:
            for line in self.lines[bisect_left(days, today - self.stands_days) : first]:
                if line.is_bill:
                    next_day = min(next_day, line.due_day + self.stands_days + 1)
        return next_day


def dues_of(loan: Loan) -> Dues:
    """Kept beside the loan for as long as its lines are the same ones; a line never changes."""
    dues: Dues | None = vars(loan).get("dues")
    if dues is None or dues.lines != loan.lines:
        dues = vars(loan)["dues"] = Dues(loan)
    return dues


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


@lru_cache(maxsize=_CACHED_DAYS_MAX)
def enters_month_day(due_day: int) -> int:
    """The first day from which to the same day of the next month `due_day` lies."""
    day = due_day - 31
    while month_later(day) <= due_day:
        day += 1
    return day
