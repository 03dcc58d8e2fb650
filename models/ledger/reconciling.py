"""Snapshots of the servicing system: they take on a loan that is not known, and later hold the ledger to the book.

A snapshot tells how the loan stood at one instant: the end of its `as_of_date`, or its event time where that is earlier (a
snapshot drawn during the day). What is dated up to that instant is in it, what is dated later comes on top, whichever
arrives first. So a late snapshot corrects from its own instant on, and what followed is folded again.

Where the ledger agrees within the tolerance, a snapshot leaves no trace: a payment from before it that is learnt later was
not in the book either, and counts. Where it does not agree, the book holds from that instant on, and a payment from before
that is learnt later changes nothing: the book had it. Of two snapshots of one instant, the later to arrive holds.
What is due in future stays as scheduled: a book that holds the principal alone says nothing of the lines, which hold the
interest too. Only a book by which nothing at all is outstanding settles every line.

A difference says that the ledger was wrong, not the borrower: the days past due that it had counted by then are not
remembered as the worst; those that the book reports are.
"""

from __future__ import annotations

from bisect import insort
from typing import Literal

from models.calendars import day_of_date
from models.events import LoanOpened, LoanSnapshot
from models.ledger.compaction import compact
from models.ledger.folding import enter_correction, refold, tolerance_minor_of
from models.ledger.journal import (
    ALWAYS_MS,
    ARREARS,
    Balances,
    Correction,
    Line,
    Loan,
    add_line,
    add_schedule,
    entry_ms_of,
)
from models.ledger.standing import Standing, standing
from models.recent_ids import fingerprint_of
from models.rules import Rules

Reconciled = Literal["agreed", "overdue", "outstanding", "closed", "too_old"]
"""What a snapshot did: the ledger agreed, was corrected (in what is overdue, or in what is outstanding alone), or could not
be: its loan has ended, or its instant is older than what can be corrected."""


def take_on(event: LoanSnapshot, rules: Rules) -> Loan:
    """Begin a loan of a living book: what it owes and since when; its platform and its schedule are not known."""
    time_ms = instant_ms(event, rules)
    loan = Loan(
        platform_id="",
        currency=rules.policy.ledger.take_on_currency,
        principal_minor=event.outstanding_minor,
        opened_ms=time_ms,
        product=None,
        segment=None,
        borrower_kind=None,
        limits_minor=[],
        lines=[],
        payments=[],
        reschedules_ms=[],
        base=Balances(-1, []),
        now=Balances(-1, []),
        opened_by=fingerprint_of(event.event_id),
        is_taken_on=True,
    )
    _correct(loan, event, time_ms, rules, overdue=True)
    return loan


def complete(loan: Loan, event: LoanOpened, rules: Rules) -> None:
    """The opening of a loan that was taken on: its facts and its schedule; how it stood then, the book has said."""
    loan.platform_id, loan.currency = event.platform_id, event.currency
    loan.principal_minor, loan.opened_ms = event.principal_minor, event.event_time_ms
    loan.product, loan.segment, loan.borrower_kind = event.product, event.segment, event.borrower_kind
    loan.opened_by, loan.is_taken_on = fingerprint_of(event.event_id), False
    loan.purpose = event.purpose
    if event.credit_limit_minor is not None:
        insort(loan.limits_minor, (event.event_time_ms, event.credit_limit_minor))
    add_schedule(loan, event.instalments, entry_ms_of(loan, ALWAYS_MS))
    refold(loan, event.event_time_ms, rules)
    compact(loan, rules)


def reconcile(loan: Loan, event: LoanSnapshot, rules: Rules) -> Reconciled:
    """Hold the ledger to the book; correct it where they differ beyond the tolerance."""
    time_ms = instant_ms(event, rules)
    if loan.closed_ms is not None and loan.closed_ms <= time_ms:
        return "closed"
    if time_ms <= loan.base.upto_ms:
        return "too_old"
    known = standing(loan, time_ms, rules)
    overdue = _overdue_differs(known, event, rules)
    tolerance_minor = rules.policy.ledger.reconcile_tolerance_minor
    outstanding = abs(known.outstanding_minor - event.outstanding_minor) > tolerance_minor
    if not overdue and not outstanding:
        return "agreed"
    _correct(loan, event, time_ms, rules, overdue=overdue)
    compact(loan, rules)
    return "overdue" if overdue else "outstanding"


def instant_ms(event: LoanSnapshot, rules: Rules) -> int:
    """The instant whose book it is: the last of its date, or that of the event where it is earlier."""
    return min(event.event_time_ms, rules.calendar.midnight_ms(day_of_date(event.as_of_date) + 1) - 1)


def _overdue_differs(known: Standing, event: LoanSnapshot, rules: Rules) -> bool:
    """Whether amount or days past due differ. Within the grace a book may well say that nothing is overdue yet."""
    ledger = rules.policy.ledger
    if event.overdue_minor <= tolerance_minor_of(rules):
        silent_days = max(rules.silent_days, ledger.reconcile_tolerance_days)
        return known.overdue_minor > ledger.reconcile_tolerance_minor and known.days_past_due > silent_days
    return (
        abs(known.overdue_minor - event.overdue_minor) > ledger.reconcile_tolerance_minor
        or abs(known.days_past_due - max(event.days_past_due, 1)) > ledger.reconcile_tolerance_days
    )


def _correct(loan: Loan, event: LoanSnapshot, time_ms: int, rules: Rules, *, overdue: bool) -> None:
    as_of_day = rules.calendar.day_of(time_ms)
    oldest_due_day = None
    fingerprint = fingerprint_of(event.event_id)
    if overdue and event.overdue_minor > tolerance_minor_of(rules):
        oldest_due_day = as_of_day - max(event.days_past_due, 1) - rules.grace_within_due_days
        arrears = Line(
            oldest_due_day, ARREARS, time_ms, amount_minor=event.overdue_minor, fingerprint=fingerprint
        )
        add_line(loan, arrears)
    correction = Correction(
        time_ms=time_ms,
        fingerprint=fingerprint,
        as_of_day=as_of_day,
        oldest_due_day=oldest_due_day,
        overdue_minor=event.overdue_minor if overdue else None,
        outstanding_minor=event.outstanding_minor,
    )
    insort(loan.corrections, correction, key=_time_of)
    if time_ms > loan.now.upto_ms:
        enter_correction(loan, loan.now, correction, time_ms, rules)
        loan.now.upto_ms = time_ms
    else:
        refold(loan, time_ms, rules)


def _time_of(correction: Correction) -> int:
    return correction.time_ms
