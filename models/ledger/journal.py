"""What is remembered of one own loan, and how entries find their place in it.

The journal (lines of schedules and bills, payments, new schedules, what snapshots corrected) keeps event times, and of
each event a fingerprint of its id, so that it can be taken back. What it folds into are `Balances`
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
ARREARS: Final = -1
"""The number of a line that stands for arrears which a snapshot reported and no own line explains: nothing names it."""
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
    fingerprint: bytes | None = None
    """Of the bill's event id; a schedule's lines are found by `since_ms`."""

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


class Reversal(Struct, array_like=True, frozen=True, order=True, gc=False):
    """A part of a payment that bounced; the fingerprint is empty where several became one."""

    time_ms: int
    amount_minor: int
    fingerprint: bytes = b""


class Payment(Struct, array_like=True, gc=False):
    """One payment; `reversals` are what bounced of it, in order of time."""

    time_ms: int
    fingerprint: bytes
    amount_minor: int
    number: int | None = None
    compensates: bool = False
    reversals: tuple[Reversal, ...] = ()
    is_waiver: bool = False
    """The lender forgave it: nobody paid."""

    def counted_minor(self, known_ms: int) -> int:
        """What of it counts, on what is known up to `known_ms`."""
        if not self.reversals:
            return self.amount_minor
        bounced_minor = sum(part.amount_minor for part in self.reversals if part.time_ms <= known_ms)
        return max(0, self.amount_minor - bounced_minor)


class Correction(Struct, array_like=True, gc=False):
    """What a snapshot of the servicing system proved wrong in the ledger: how the loan stood at `time_ms` by the book.

    `overdue_minor` is None where the ledger had it right, and was wrong only in what is outstanding.
    """

    time_ms: int
    fingerprint: bytes
    as_of_day: int
    oldest_due_day: int | None
    overdue_minor: int | None
    outstanding_minor: int
    taken_back_minor: int = 0
    """Payments that the book had counted and that were voided since."""


class ScheduleId(Struct, array_like=True, frozen=True, gc=False):
    """Which event made a new schedule, or corrected one."""

    time_ms: int
    fingerprint: bytes
    is_correction: bool


class LimitId(Struct, array_like=True, frozen=True, order=True, gc=False):
    """Which event changed the limit of a credit line."""

    time_ms: int
    credit_limit_minor: int
    fingerprint: bytes


class Closing(Struct, array_like=True, frozen=True, order=True, gc=False):
    """An end of the loan; the first holds."""

    time_ms: int
    reason: ClosingReason
    fingerprint: bytes


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
    is_reported: bool = False
    """Whether `statement_minor` is what a snapshot reported, which may be less than all lines still ask for: a book often
    holds the principal, lines hold interest too."""

    def copy(self) -> Balances:
        """A copy that can be folded on."""
        return msgspec.structs.replace(self, short_minor=self.short_minor[:])


class Loan(Struct, array_like=True, dict=True):
    """One own loan: facts, journal, and the balances of all that is known.

    `dict`: what its lines come to a month is kept beside it (`models.obligations`), and never in the state.
    """

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
    opened_by: bytes = b""
    """Fingerprint of the event that began it."""
    is_taken_on: bool = False
    """First heard of by a snapshot: platform, currency and schedule are not known."""
    is_voided: bool = False
    """Its opening was taken back: it never was, and another opening may take its place."""
    corrections: list[Correction] = []
    schedule_ids: list[ScheduleId] = []
    closings: list[Closing] = []
    purpose: str | None = None
    """What the money is for, as agreed."""
    limit_ids: list[LimitId] = []
    """In order of arrival."""


def payment_order(payment: Payment) -> tuple[int, bytes]:
    """By time; of one instant by fingerprint, so that the order of arrival changes nothing."""
    return payment.time_ms, payment.fingerprint


def bounded(reversals: list[Reversal]) -> tuple[Reversal, ...]:
    """Reversals in order of time; beyond the limit the last two become one."""
    if len(reversals) > REVERSALS_PER_PAYMENT_MAX:
        earlier, later = reversals[-2:]
        reversals[-2:] = [Reversal(later.time_ms, earlier.amount_minor + later.amount_minor)]
    return tuple(reversals)


def is_last(loan: Loan, payment: Payment) -> bool:
    """Whether a payment of the very instant of the last entry comes last by order too: systems that know days only."""
    if payment.time_ms < loan.now.upto_ms:
        return False
    return not loan.payments or payment_order(loan.payments[-1]) < payment_order(payment)


def _line_order(line: Line) -> tuple[int | bytes, ...]:
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
        line.fingerprint or b"",
    )


def entry_ms_of(loan: Loan, event_time_ms: int) -> int:
    """Where an entry stands in the journal: what is older than the base is entered right behind it."""
    return max(event_time_ms, loan.base.upto_ms + 1)


def add_schedule(loan: Loan, instalments: Iterable[Instalment], since_ms: int) -> None:
    """Put the lines of a schedule in their places; they are not in force before they are folded in."""
    lines = [
        Line(
            due_day=day_of_date(instalment.due_date),
            number=instalment.number,
            since_ms=since_ms,
            amount_minor=instalment.amount_minor,
        )
        for instalment in instalments
    ]
    if loan.lines:
        for line in lines:
            add_line(loan, line)
        return
    lines.sort(key=_line_order)
    loan.lines = lines
    for balances in (loan.base, loan.now):
        balances.short_minor = [NOT_IN_FORCE] * len(lines)


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
