"""How a loan stands as of an instant: what is past due, since when, what is left, and how it came right."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from models.calendars import DAY_MS
from models.events import ClosingReason
from models.ledger.folding import balances_at, days_past_due_of, oldest_unpaid, tolerance_minor_of
from models.ledger.journal import Balances, Loan
from models.limits import INT64_MAX
from models.money import within_int64
from models.rules import Rules

NONE_DUE: Final = INT64_MAX
"""Later than every day."""
RESTRUCTURED_DAYS: Final = 365
"""How long a loan stays marked after a restructuring (blueprint, section 5: a year)."""


class Standing(Struct, frozen=True, gc=False):
    """How a loan stands as of an instant; days are local, amounts in minor units.

    Due days are the last days to pay: where the policy moves due dates to business days, or lets a long grace belong to
    them, that is in them.
    """

    days_past_due: int
    overdue_minor: int
    instalments_past_due: int
    outstanding_minor: int
    oldest_due_day: int | None
    next_due_day: int | None
    next_due_minor: int
    worst_days_past_due: int
    restructured: bool
    closed: ClosingReason | None
    credit_limit_minor: int | None


def standing(loan: Loan, at_ms: int, rules: Rules, *, deadline: bool = False) -> Standing:
    """How the loan stands as of `at_ms`.

    Args:
        loan: the ledger.
        at_ms: the instant; later entries do not count.
        rules: tolerance and calendar.
        deadline: `at_ms` is a midnight that ends a day; what happens at that very instant belongs to the next.
    """
    known_ms = at_ms - 1 if deadline else at_ms
    balances = balances_at(loan, known_ms, rules)
    is_closed = loan.closed_ms is not None and loan.closed_ms <= known_ms
    day = rules.calendar.day_of(at_ms)
    asked_minor = overdue_minor = next_due_minor = past_due = 0
    first_day: int | None = None
    next_due_day: int | None = None
    tolerance_minor, moves_due_days = tolerance_minor_of(rules), rules.moves_due_days
    for index, short_minor in enumerate(balances.short_minor):
        if short_minor <= tolerance_minor:
            continue
        last_day = loan.lines[index].due_day
        if moves_due_days:
            last_day = rules.last_day_to_pay(last_day)
        if first_day is None:
            first_day = last_day
        asked_minor += short_minor
        if last_day < day:
            overdue_minor += short_minor
            past_due += 1
        elif next_due_day is None or last_day == next_due_day:
            next_due_day = last_day
            next_due_minor += short_minor
    oldest_due_day = first_day if past_due and not is_closed else None
    worst_days = balances.worst_days_past_due
    if first_day is not None:
        until_ms = at_ms if loan.closed_ms is None else min(at_ms, loan.closed_ms)
        worst_days = max(worst_days, rules.calendar.day_of(until_ms) - first_day)
    restructured_since_ms = known_ms - RESTRUCTURED_DAYS * DAY_MS
    return Standing(
        days_past_due=0 if oldest_due_day is None else day - oldest_due_day,
        overdue_minor=0 if is_closed else within_int64(overdue_minor),
        instalments_past_due=0 if is_closed else past_due,
        outstanding_minor=0
        if is_closed
        else within_int64(_outstanding_minor(loan, balances, asked_minor, overdue_minor)),
        oldest_due_day=oldest_due_day,
        next_due_day=None if is_closed else next_due_day,
        next_due_minor=0 if is_closed else within_int64(next_due_minor),
        worst_days_past_due=worst_days,
        restructured=any(restructured_since_ms < ms <= known_ms for ms in loan.reschedules_ms),
        closed=loan.closing_reason if is_closed else None,
        credit_limit_minor=credit_limit_minor(loan, known_ms),
    )


class Position(Struct, frozen=True, gc=False):
    """What of a `Standing` can be added up over loans; amounts in minor units, all 0 once the loan has ended but the worst."""

    days_past_due: int
    worst_days_past_due: int
    instalments_past_due: int
    overdue_minor: int
    outstanding_minor: int
    next_due_day: int = NONE_DUE
    """The last day to pay what falls due first from the local day on; `NONE_DUE` where nothing is asked for."""
    next_due_minor: int = 0
    """What is to be paid by then."""


def position(loan: Loan, at_ms: int, known_ms: int, day: int, rules: Rules) -> Position:
    """What `standing` says as of `at_ms`, on the local `day`, in one walk over the lines."""
    balances = loan.now if known_ms >= loan.now.upto_ms else balances_at(loan, known_ms, rules)
    lines, shorts_minor, tolerance_minor = loan.lines, balances.short_minor, tolerance_minor_of(rules)
    asked_minor = overdue_minor = instalments = next_minor = oldest_day = 0
    next_day = NONE_DUE
    is_beyond = False
    for index, short_minor in enumerate(shorts_minor):
        if short_minor <= tolerance_minor:
            continue
        due_day = lines[index].due_day
        if rules.moves_due_days:
            due_day = rules.last_day_to_pay(due_day)
        if not asked_minor:
            oldest_day = due_day
        asked_minor += short_minor
        if due_day < day:
            overdue_minor += short_minor
            instalments += 1
        elif due_day <= next_day:  # lines stand in order of their due days
            next_day = due_day
            next_minor += short_minor
        elif not is_beyond:  # nothing but the sum of the rest is asked for, and mostly none of it is paid
            is_beyond = True
            if min(shorts_minor[index:]) > tolerance_minor:
                asked_minor += sum(shorts_minor[index + 1 :])
                break
    worst_days = balances.worst_days_past_due
    closed_ms = loan.closed_ms
    if asked_minor:
        last_day = day if closed_ms is None or closed_ms >= at_ms else rules.calendar.day_of(closed_ms)
        if last_day - oldest_day > worst_days:
            worst_days = last_day - oldest_day
    if closed_ms is not None and closed_ms <= known_ms:
        return Position(0, worst_days, 0, 0, 0)
    return Position(
        day - oldest_day if instalments else 0,
        worst_days,
        instalments,
        within_int64(overdue_minor),
        within_int64(_outstanding_minor(loan, balances, asked_minor, overdue_minor)),
        next_day,
        next_minor,
    )


def credit_limit_minor(loan: Loan, known_ms: int) -> int | None:
    """The limit of a credit line on what is known up to `known_ms`; None where the loan is none."""
    for since_ms, limit_minor in reversed(loan.limits_minor):
        if since_ms <= known_ms:
            return limit_minor
    return None


def oldest_unpaid_day(loan: Loan, known_ms: int, rules: Rules) -> int | None:
    """The due day of the oldest unpaid line, due already or not, on what is known up to `known_ms`."""
    if loan.closed_ms is not None and loan.closed_ms <= known_ms:
        return None
    balances = loan.now if known_ms >= loan.now.upto_ms else balances_at(loan, known_ms, rules)
    tolerance_minor = rules.policy.signals.missed_payment.tolerance_minor
    for index, short_minor in enumerate(balances.short_minor):  # as `oldest_unpaid`
        if short_minor > tolerance_minor:
            due_day = loan.lines[index].due_day
            return rules.last_day_to_pay(due_day) if rules.moves_due_days else due_day
    return None


def next_entry_ms(loan: Loan, after_ms: int) -> int | None:
    """The first entry of the journal later than `after_ms`; None where all is earlier, as when events come in order."""
    if loan.now.upto_ms <= after_ms:
        return None
    times_ms = [line.since_ms for line in loan.lines]
    times_ms += [payment.time_ms for payment in loan.payments]
    times_ms += [part.time_ms for payment in loan.payments for part in payment.reversals]
    times_ms += loan.reschedules_ms
    times_ms += [correction.time_ms for correction in loan.corrections]
    if loan.closed_ms is not None:
        times_ms.append(loan.closed_ms)
    return min((time_ms for time_ms in times_ms if time_ms > after_ms), default=None)


def was_compensated(loan: Loan, since_ms: int, known_ms: int) -> bool:
    """Whether others than the borrower made it good after `since_ms`, on what is known up to `known_ms`.

    A guarantor, an insurer or the lender paid, or collateral was taken; or more was waived than paid: a small waiver, of a
    fee, takes nothing from who paid the rest.
    """
    paid_minor = waived_minor = 0
    for payment in loan.payments:
        if since_ms <= payment.time_ms <= known_ms and (counted_minor := payment.counted_minor(known_ms)) > 0:
            if payment.compensates:
                return True
            if payment.is_waiver:
                waived_minor += counted_minor
            else:
                paid_minor += counted_minor
    return waived_minor > paid_minor


def was_settled_for_less(loan: Loan, since_ms: int, rules: Rules) -> bool:
    """Whether a settled loan was paid since then, and was short of what was past due all the same when it ended.

    One that was not paid at all since then was settled in full: many systems send the end without the last payment. What
    was not yet due says nothing: who pays early is spared the interest.
    """
    if loan.closed_ms is None or loan.closing_reason != "settled":
        return False
    balances = balances_at(loan, loan.closed_ms, rules)
    oldest = oldest_unpaid(balances, tolerance_minor_of(rules))
    if oldest is None or days_past_due_of(loan, loan.lines[oldest], loan.closed_ms, rules) <= 0:
        return False
    return any(since_ms <= payment.time_ms <= loan.closed_ms for payment in loan.payments)


def was_rescheduled_last(loan: Loan, known_ms: int) -> bool:
    """Whether the latest entry up to `known_ms` is a new schedule."""
    latest_ms = max((ms for ms in loan.reschedules_ms if ms <= known_ms), default=None)
    if latest_ms is None:
        return False
    following_ms = next_entry_ms(loan, latest_ms)
    return following_ms is None or following_ms > known_ms


def _outstanding_minor(loan: Loan, balances: Balances, asked_minor: int, overdue_minor: int) -> int:
    """What the newest statement leaves to pay; else what the schedule still asks for; else what is left of the principal.

    Never less than what the lines ask for, or, where a snapshot reported it, than what is past due.
    """
    if balances.is_reported and balances.statement_minor is not None:
        return max(overdue_minor, balances.statement_minor)
    if balances.statement_minor is not None:
        return max(asked_minor, balances.statement_minor)
    if balances.is_scheduled:
        return asked_minor
    return max(asked_minor, loan.principal_minor - balances.paid_minor)
