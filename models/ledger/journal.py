"""What is remembered of one own loan, and how entries find their place in it.

The journal (lines of schedules and bills, payments, new schedules) keeps event times. What it folds into are `Balances`
(`models/ledger/folding.py`): those of all that is known are kept beside it, and those of a past folded for good.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from models.calendars import day_of_date
from models.events import ClosingReason, Instalment
from models.limits import INSTALMENTS_MAX

LINES_PER_LOAN_MAX: Final = 2 * INSTALMENTS_MAX
"""Lines kept for a loan: a longest schedule, and a longest one that replaces it."""
REVERSALS_PER_PAYMENT_MAX: Final = 16
"""Partial reversals of one payment kept one by one: a payment bounces once, rarely in a few parts."""
NOT_IN_FORCE: Final = -1
"""What a line asks for before it is known, and after another took its place."""
ALWAYS_MS: Final = 0
"""Since when the schedule of the opening holds; it takes eight bytes a line less than the time of the opening."""


class Line(Struct, array_like=True, gc=False):
    """One instalment or bill: what falls due when, known since when."""

    due_day: int
    number: int
    since_ms: int
    amount_minor: int
    minimum_minor: int | None = None
    balance_minor: int | None = None
    is_bill: bool = False

    @property
    def due_minor(self) -> int:
        """What must be paid by the due date: the minimum, where there is one."""
        return self.amount_minor if self.minimum_minor is None else self.minimum_minor

    @property
    def statement_minor(self) -> int | None:
        """All that is owed by this statement; None for an instalment, which is a part only."""
        if self.balance_minor is not None or self.minimum_minor is None:
            return self.balance_minor
        return self.amount_minor


class Payment(Struct, array_like=True, gc=False):
    """One payment; `reversals` are (event time, amount) of what bounced, in order of time."""

    time_ms: int
    fingerprint: bytes
    amount_minor: int
    number: int | None = None
    compensates: bool = False
    reversals: tuple[tuple[int, int], ...] = ()

    def counted_minor(self, known_ms: int) -> int:
        """What of it counts, on what is known up to `known_ms`."""
        if not self.reversals:
            return self.amount_minor
        bounced_minor = sum(amount for time_ms, amount in self.reversals if time_ms <= known_ms)
        return max(0, self.amount_minor - bounced_minor)


class Balances(Struct, array_like=True):
    """The journal folded up to an instant."""

    upto_ms: int
    short_minor: list[int]
    """What each line still asks for; `NOT_IN_FORCE` for a line that asks for nothing."""
    credit_minor: int = 0
    """Paid beyond all lines, for those to come."""
    paid_minor: int = 0
    """All that was paid."""
    statement_minor: int | None = None
    """What is left of the newest line's statement, below zero where more was paid; None where it is none."""
    is_scheduled: bool = False
    """Whether there is a schedule, so that its lines are all that is owed."""
    carries_over: bool = True
    """Whether the excess of a payment is credit; the statements of a card take care of it themselves."""
    worst_days_past_due: int = 0

    def copy(self) -> Balances:
        """A copy that can be folded on."""
        return msgspec.structs.replace(self, short_minor=self.short_minor[:])


class Loan(Struct, array_like=True):
    """One own loan: facts, journal, and the balances of all that is known."""

    platform_id: str
    currency: str
    principal_minor: int
    opened_ms: int
    product: str | None
    segment: str | None
    borrower_kind: str | None
    limits_minor: list[tuple[int, int]]
    lines: list[Line]
    payments: list[Payment]
    reschedules_ms: list[int]
    base: Balances
    now: Balances
    closed_ms: int | None = None
    closing_reason: ClosingReason | None = None


def payment_order(payment: Payment) -> tuple[int, bytes]:
    """By time; of one instant by fingerprint, so that the order of arrival changes nothing."""
    return payment.time_ms, payment.fingerprint


def bounded(reversals: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Reversals in order of time; beyond the limit the last two become one."""
    if len(reversals) > REVERSALS_PER_PAYMENT_MAX:
        (_, earlier_minor), (last_ms, later_minor) = reversals[-2:]
        reversals[-2:] = [(last_ms, earlier_minor + later_minor)]
    return tuple(reversals)


def is_last(loan: Loan, payment: Payment) -> bool:
    """Whether a payment of the very instant of the last entry comes last by order too: systems that know days only."""
    if payment.time_ms < loan.now.upto_ms:
        return False
    return not loan.payments or payment_order(loan.payments[-1]) < payment_order(payment)


def _line_order(line: Line) -> tuple[int, ...]:
    """By due day; lines that are equal in all of this are equal."""
    statement_minor = -1 if line.balance_minor is None else line.balance_minor
    return (
        line.due_day,
        line.number,
        line.since_ms,
        line.is_bill,
        line.amount_minor,
        line.due_minor,
        statement_minor,
    )


def entry_ms_of(loan: Loan, event_time_ms: int) -> int:
    """Where an entry stands in the journal: what is older than the base is entered right behind it."""
    return max(event_time_ms, loan.base.upto_ms + 1)


def add_schedule(loan: Loan, instalments: Iterable[Instalment], since_ms: int) -> None:
    """Put the lines of a schedule in their places."""
    for instalment in instalments:
        line = Line(
            due_day=day_of_date(instalment.due_date),
            number=instalment.number,
            since_ms=since_ms,
            amount_minor=instalment.amount_minor,
        )
        add_line(loan, line)


def add_line(loan: Loan, line: Line) -> int:
    """Put a line at its place, in order of due day; it is not in force before it is folded in."""
    order = _line_order(line)
    index = len(loan.lines)
    if index and order < _line_order(loan.lines[-1]):
        index = bisect_right(loan.lines, order, key=_line_order)
    loan.lines.insert(index, line)
    for balances in (loan.base, loan.now):
        balances.short_minor.insert(index, NOT_IN_FORCE)
    return index


def drop_lines(loan: Loan, indices: Iterable[int]) -> None:
    """Forget lines, and what they still asked for."""
    for index in sorted(indices, reverse=True):
        del loan.lines[index]
        del loan.base.short_minor[index]
        del loan.now.short_minor[index]
