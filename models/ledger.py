"""The ledger of one own loan: instalments, payments, and what is past due as of any instant.

The journal (lines of schedules and bills, payments, new schedules) keeps event times. Folding it in order of time gives
the balances; the balances of all that is known are kept, so that an event in order costs one step, and an earlier
instant (or a late event) folds the journal again. Entries older than `EXACT_DAYS` are folded into a base for good.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from models.calendars import DAY_MS, day_of_date
from models.events import (
    ClosingReason,
    Instalment,
    InstalmentBilled,
    LimitChanged,
    LoanClosed,
    LoanOpened,
    Repayment,
    RepaymentReversed,
    ScheduleChanged,
)
from models.limits import INSTALMENTS_MAX, PAYMENTS_PER_LOAN_MAX
from models.money import within_int64
from models.recent_ids import fingerprint_of
from models.rules import Rules

EXACT_DAYS: Final = 400
"""How far back the past can be asked for and corrected exactly: a year, and a month of lateness."""
_COMPACT_AFTER_DAYS: Final = 520
"""Entries are folded when the last fold is this old: four months of them at a time, so that folding stays rare."""
RESTRUCTURED_DAYS: Final = 365
"""How long a loan stays marked after a restructuring (blueprint, section 5: a year)."""
LIMITS_KEPT_MAX: Final = 8
"""Credit limits kept with their times, for utilisation as of an instant: limits change rarely."""
RESCHEDULES_KEPT_MAX: Final = 12
"""New schedules kept one by one: of a loan rescheduled more often, the past before them is folded for good."""
LINES_PER_LOAN_MAX: Final = 2 * INSTALMENTS_MAX
"""Lines kept for a loan: a longest schedule, and a longest one that replaces it."""
REVERSALS_PER_PAYMENT_MAX: Final = 16
"""Partial reversals of one payment kept one by one: a payment bounces once, rarely in a few parts."""
NOT_IN_FORCE: Final = -1
"""What a line asks for before it is known, and after another took its place."""
_ALWAYS_MS: Final = 0
"""Since when the schedule of the opening holds; it takes eight bytes a line less than the time of the opening."""
_COMPENSATING_PAYERS: Final = frozenset({"guarantor", "insurer", "lender"})

_RESCHEDULE, _SCHEDULED, _BILLED, _PAYMENT = range(4)
"""Order of entries at one instant: a new schedule ends lines before its own begin, a bill refines the schedule's line,
and payments find them all."""


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


class Standing(Struct, frozen=True, gc=False):
    """How a loan stands as of an instant; days are local, amounts in minor units."""

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


# ---- events ------------------------------------------------------------------------------------------------------


def open_loan(event: LoanOpened, rules: Rules) -> Loan:
    """Begin a loan with its schedule, which may be empty."""
    loan = Loan(
        platform_id=event.platform_id,
        currency=event.currency,
        principal_minor=event.principal_minor,
        opened_ms=event.event_time_ms,
        product=event.product,
        segment=event.segment,
        borrower_kind=event.borrower_kind,
        limits_minor=[]
        if event.credit_limit_minor is None
        else [(event.event_time_ms, event.credit_limit_minor)],
        lines=[],
        payments=[],
        reschedules_ms=[],
        base=Balances(-1, []),
        now=Balances(-1, []),
    )
    _add_schedule(loan, event.instalments, _ALWAYS_MS)
    _refold(loan, event.event_time_ms, rules)
    return loan


def bill(loan: Loan, event: InstalmentBilled, rules: Rules) -> None:
    """Add a bill; one for a number that is in force replaces it from its time on and keeps what was paid."""
    line = Line(
        due_day=day_of_date(event.due_date),
        number=event.number,
        since_ms=_entry_ms(loan, event.event_time_ms),
        amount_minor=event.amount_minor,
        minimum_minor=event.minimum_due_minor,
        balance_minor=event.balance_minor,
        is_bill=True,
    )
    index = _add_line(loan, line)
    if line.since_ms > loan.now.upto_ms:
        _enter_line(loan, loan.now, index, rules)
        loan.now.upto_ms = line.since_ms
    else:
        _refold(loan, line.since_ms, rules)
    _compact(loan, rules)


def pay(loan: Loan, event: Repayment, rules: Rules) -> None:
    """Add a payment."""
    payment = Payment(
        time_ms=_entry_ms(loan, event.event_time_ms),
        fingerprint=fingerprint_of(event.event_id),
        amount_minor=event.amount_minor,
        number=event.instalment_number,
        compensates=event.payer in _COMPENSATING_PAYERS,
    )
    if payment.time_ms > loan.now.upto_ms or _is_last(loan, payment):
        loan.payments.append(payment)
        _enter_payment(loan, loan.now, payment, payment.amount_minor, rules)
        loan.now.upto_ms = payment.time_ms
    else:
        insort(loan.payments, payment, key=_payment_order)
        _refold(loan, payment.time_ms, rules)
    _compact(loan, rules)


def reverse(loan: Loan, event: RepaymentReversed, rules: Rules) -> bool:
    """Take a payment back from the event's time on, in part or whole; False where that payment is not known."""
    fingerprint = fingerprint_of(event.repayment_event_id)
    for payment in reversed(loan.payments):
        if payment.fingerprint == fingerprint:
            reversals = sorted([*payment.reversals, (event.event_time_ms, event.amount_minor)])
            payment.reversals = _bounded(reversals)
            _refold(loan, event.event_time_ms, rules)
            return True
    return False


def reschedule(loan: Loan, event: ScheduleChanged, rules: Rules) -> None:
    """Replace all unpaid lines: from the event's time on, or, for a correction, as if it had always been so.

    Of two new schedules of one instant, the later to arrive holds.
    """
    time_ms = _entry_ms(loan, event.event_time_ms)
    if event.reason == "correction":
        since_ms = _drop_wrong_lines(loan, event, time_ms, rules)
    else:
        since_ms = time_ms
        if time_ms not in loan.reschedules_ms:
            insort(loan.reschedules_ms, time_ms)
        _drop_lines(
            loan,
            [i for i, line in enumerate(loan.lines) if line.since_ms == time_ms and not line.is_bill],
        )
    _add_schedule(loan, event.instalments, since_ms)
    _refold(loan, time_ms, rules)
    _compact(loan, rules)


def change_limit(loan: Loan, event: LimitChanged, rules: Rules) -> None:
    """Note a credit line's new limit."""
    insort(loan.limits_minor, (event.event_time_ms, event.credit_limit_minor))
    del loan.limits_minor[:-LIMITS_KEPT_MAX]


def close(loan: Loan, event: LoanClosed, rules: Rules) -> None:
    """End the loan: from the event's time on nothing is due. The first ending holds."""
    ending = (event.event_time_ms, event.reason)
    if (
        loan.closed_ms is None
        or loan.closing_reason is None
        or ending < (loan.closed_ms, loan.closing_reason)
    ):
        loan.closed_ms, loan.closing_reason = ending
    _refold(loan, event.event_time_ms, rules)


# ---- questions ---------------------------------------------------------------------------------------------------


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
    unpaid = _unpaid_lines(loan, balances, rules)
    owed = [] if is_closed else unpaid
    past_due = [(line, short_minor) for line, short_minor in owed if line.due_day < day]
    upcoming = owed[len(past_due) :]
    oldest_due_day = past_due[0][0].due_day if past_due else None
    next_due_day = upcoming[0][0].due_day if upcoming else None
    restructured_since_ms = known_ms - RESTRUCTURED_DAYS * DAY_MS
    return Standing(
        days_past_due=0 if oldest_due_day is None else day - oldest_due_day,
        overdue_minor=within_int64(sum(short_minor for _, short_minor in past_due)),
        instalments_past_due=len(past_due),
        outstanding_minor=0 if is_closed else within_int64(_outstanding_minor(loan, balances, unpaid)),
        oldest_due_day=oldest_due_day,
        next_due_day=next_due_day,
        next_due_minor=within_int64(
            sum(short_minor for line, short_minor in upcoming if line.due_day == next_due_day)
        ),
        worst_days_past_due=max(
            balances.worst_days_past_due, _days_past_due(loan, unpaid[0][0], at_ms, rules) if unpaid else 0
        ),
        restructured=any(restructured_since_ms < ms <= known_ms for ms in loan.reschedules_ms),
        closed=loan.closing_reason if is_closed else None,
        credit_limit_minor=next((limit for ms, limit in reversed(loan.limits_minor) if ms <= known_ms), None),
    )


def oldest_unpaid_day(loan: Loan, known_ms: int, rules: Rules) -> int | None:
    """The due day of the oldest unpaid line, due already or not, on what is known up to `known_ms`."""
    if loan.closed_ms is not None and loan.closed_ms <= known_ms:
        return None
    index = _oldest_unpaid(balances_at(loan, known_ms, rules), _tolerance_minor(rules))
    return None if index is None else loan.lines[index].due_day


def next_entry_ms(loan: Loan, after_ms: int) -> int | None:
    """The first entry of the journal later than `after_ms`; None where all is earlier, as when events come in order."""
    if loan.now.upto_ms <= after_ms:
        return None
    times_ms = [line.since_ms for line in loan.lines]
    times_ms += [payment.time_ms for payment in loan.payments]
    times_ms += [time_ms for payment in loan.payments for time_ms, _ in payment.reversals]
    times_ms += loan.reschedules_ms
    if loan.closed_ms is not None:
        times_ms.append(loan.closed_ms)
    return min((time_ms for time_ms in times_ms if time_ms > after_ms), default=None)


def was_compensated(loan: Loan, since_ms: int, known_ms: int) -> bool:
    """Whether a guarantor, an insurer or the lender paid after `since_ms`, on what is known up to `known_ms`."""
    return any(
        payment.compensates and payment.counted_minor(known_ms) > 0
        for payment in loan.payments
        if since_ms <= payment.time_ms <= known_ms
    )


def was_rescheduled_last(loan: Loan, known_ms: int) -> bool:
    """Whether the latest entry up to `known_ms` is a new schedule."""
    latest_ms = max((ms for ms in loan.reschedules_ms if ms <= known_ms), default=None)
    if latest_ms is None:
        return False
    following_ms = next_entry_ms(loan, latest_ms)
    return following_ms is None or following_ms > known_ms


def balances_at(loan: Loan, known_ms: int, rules: Rules) -> Balances:
    """The journal folded up to `known_ms`, never further back than its base."""
    if known_ms >= loan.now.upto_ms:
        return loan.now
    return _fold(loan, known_ms, known_ms, rules)


def _unpaid_lines(loan: Loan, balances: Balances, rules: Rules) -> list[tuple[Line, int]]:
    """The lines that are short by more than the tolerance, oldest due first, and by how much."""
    tolerance_minor = _tolerance_minor(rules)
    return [
        (line, short_minor)
        for line, short_minor in zip(loan.lines, balances.short_minor, strict=True)
        if short_minor > tolerance_minor
    ]


def _outstanding_minor(loan: Loan, balances: Balances, unpaid: list[tuple[Line, int]]) -> int:
    """What the newest statement leaves to pay; else what the schedule still asks for; else what is left of the principal.

    Never less than what the lines ask for.
    """
    asked_minor = sum(short_minor for _, short_minor in unpaid)
    if balances.statement_minor is not None:
        return max(asked_minor, balances.statement_minor)
    if balances.is_scheduled:
        return asked_minor
    return max(asked_minor, loan.principal_minor - balances.paid_minor)


def _days_past_due(loan: Loan, line: Line, at_ms: int, rules: Rules) -> int:
    """How long a line has been due at `at_ms`, or when the loan ended; negative before it is due."""
    until_ms = at_ms if loan.closed_ms is None else min(at_ms, loan.closed_ms)
    return rules.calendar.day_of(until_ms) - line.due_day


def _oldest_unpaid(balances: Balances, tolerance_minor: int) -> int | None:
    """The index of the first line that is short by more than the tolerance."""
    for index, short_minor in enumerate(balances.short_minor):
        if short_minor > tolerance_minor:
            return index
    return None


def _tolerance_minor(rules: Rules) -> int:
    return rules.policy.signals.missed_payment.tolerance_minor


# ---- folding -----------------------------------------------------------------------------------------------------


def _refold(loan: Loan, entry_ms: int, rules: Rules) -> None:
    """Fold the journal anew after an entry at `entry_ms` that one step could not take."""
    upto_ms = max(loan.now.upto_ms, entry_ms)
    loan.now = _fold(loan, upto_ms, upto_ms, rules)


def _fold(
    loan: Loan, upto_ms: int, known_ms: int, rules: Rules, ended: dict[int, list[int]] | None = None
) -> Balances:
    """Fold the journal from its base up to `upto_ms`, in order of time; of payments what counts as of `known_ms`."""
    balances = loan.base.copy()
    ended = {} if ended is None else ended
    after_ms = balances.upto_ms
    entries = [
        (line.since_ms, _BILLED if line.is_bill else _SCHEDULED, b"", index)
        for index, line in enumerate(loan.lines)
        if after_ms < line.since_ms <= upto_ms
    ]
    entries += [(ms, _RESCHEDULE, b"", 0) for ms in loan.reschedules_ms if after_ms < ms <= upto_ms]
    entries += [
        (payment.time_ms, _PAYMENT, payment.fingerprint, index)
        for index, payment in enumerate(loan.payments)
        if after_ms < payment.time_ms <= upto_ms
    ]
    entries.sort()
    lines_by_number = Counter(line.number for line in loan.lines)
    for time_ms, kind, _, index in entries:
        if kind == _RESCHEDULE:
            _enter_reschedule(loan, balances, time_ms, known_ms, rules, ended)
        elif kind == _PAYMENT:
            payment = loan.payments[index]
            _enter_payment(loan, balances, payment, payment.counted_minor(known_ms), rules)
        else:
            is_alone = lines_by_number[loan.lines[index].number] == 1
            _enter_line(loan, balances, index, rules, is_alone=is_alone)
    balances.upto_ms = max(after_ms, upto_ms)
    return balances


def _enter_line(loan: Loan, balances: Balances, index: int, rules: Rules, *, is_alone: bool = False) -> None:
    """A line comes into force: a bill takes over from the line of its number; what it asks for may use the credit.

    After the loan's end nothing comes into force. `is_alone`: no other line has its number.
    """
    line = loan.lines[index]
    if loan.closed_ms is not None and loan.closed_ms <= line.since_ms:
        return
    short_minor = line.due_minor
    if not line.is_bill:
        balances.is_scheduled = True
    elif not is_alone:
        short_minor -= _take_over(loan, balances, line, rules)
    balances.statement_minor = line.statement_minor
    balances.carries_over = line.minimum_minor is None
    if balances.carries_over and (balances.credit_minor or short_minor < 0):
        left_minor = balances.credit_minor - short_minor
        balances.credit_minor = within_int64(max(0, left_minor))
        short_minor = max(0, -left_minor)
    balances.short_minor[index] = max(0, short_minor)


def _take_over(loan: Loan, balances: Balances, line: Line, rules: Rules) -> int:
    """Put the line in force that a bill replaces out of force; return what it was paid."""
    paid_minor = 0
    for index, short_minor in enumerate(balances.short_minor):
        if short_minor >= 0 and loan.lines[index].number == line.number:
            _note_worst(loan, balances, line.since_ms, rules)
            paid_minor += loan.lines[index].due_minor - short_minor
            balances.short_minor[index] = NOT_IN_FORCE
    return paid_minor


def _enter_reschedule(
    loan: Loan, balances: Balances, time_ms: int, known_ms: int, rules: Rules, ended: dict[int, list[int]]
) -> None:
    """All lines end that were unpaid on what was known then: what bounced later is owed beside the new schedule.

    `ended` remembers the lines that each new schedule ended, so that each is found out once a fold.
    """
    _note_worst(loan, balances, time_ms, rules)
    if time_ms not in ended:
        if any(time_ms < ms <= known_ms for payment in loan.payments for ms, _ in payment.reversals):
            _fold(loan, time_ms, time_ms, rules, ended)
        else:
            tolerance_minor = _tolerance_minor(rules)
            ended[time_ms] = [i for i, short in enumerate(balances.short_minor) if short > tolerance_minor]
    for index in ended[time_ms]:
        balances.short_minor[index] = NOT_IN_FORCE


def _enter_payment(
    loan: Loan, balances: Balances, payment: Payment, counted_minor: int, rules: Rules
) -> None:
    """Pay the line it names, then the oldest due; what is left is credit, unless statements take care of it."""
    shorts_minor = balances.short_minor
    left_minor = counted_minor
    balances.paid_minor = within_int64(balances.paid_minor + counted_minor)
    if balances.statement_minor is not None:
        balances.statement_minor = within_int64(balances.statement_minor - counted_minor)
    tolerance_minor = _tolerance_minor(rules)
    oldest = _oldest_unpaid(balances, tolerance_minor)
    if oldest is not None:
        days_past_due = _days_past_due(loan, loan.lines[oldest], payment.time_ms, rules)
        balances.worst_days_past_due = max(balances.worst_days_past_due, days_past_due)
        if payment.number is not None:
            left_minor = _pay_named(loan, balances, payment.number, left_minor)
        for index in range(oldest, len(shorts_minor)):
            short_minor = shorts_minor[index]
            if left_minor <= 0:
                break
            if short_minor > tolerance_minor:
                used_minor = min(left_minor, short_minor)
                shorts_minor[index] = short_minor - used_minor
                left_minor -= used_minor
    if left_minor > 0 and balances.carries_over:
        balances.credit_minor = within_int64(balances.credit_minor + left_minor)


def _pay_named(loan: Loan, balances: Balances, number: int, left_minor: int) -> int:
    """Pay what lines in force of that number still ask for; return what is left of the payment."""
    for index, short_minor in enumerate(balances.short_minor):
        if short_minor > 0 and loan.lines[index].number == number:
            used_minor = min(left_minor, short_minor)
            balances.short_minor[index] -= used_minor
            left_minor -= used_minor
    return left_minor


def _note_worst(loan: Loan, balances: Balances, time_ms: int, rules: Rules) -> None:
    """Remember how far past due the loan had come when something was done about it."""
    oldest = _oldest_unpaid(balances, _tolerance_minor(rules))
    if oldest is not None:
        days_past_due = _days_past_due(loan, loan.lines[oldest], time_ms, rules)
        balances.worst_days_past_due = max(balances.worst_days_past_due, days_past_due)


# ---- the journal -------------------------------------------------------------------------------------------------


def _payment_order(payment: Payment) -> tuple[int, bytes]:
    return payment.time_ms, payment.fingerprint


def _bounded(reversals: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Reversals in order of time; beyond the limit the last two become one."""
    if len(reversals) > REVERSALS_PER_PAYMENT_MAX:
        (_, earlier_minor), (last_ms, later_minor) = reversals[-2:]
        reversals[-2:] = [(last_ms, earlier_minor + later_minor)]
    return tuple(reversals)


def _is_last(loan: Loan, payment: Payment) -> bool:
    """Whether a payment of the very instant of the last entry comes last by order too: systems that know days only."""
    if payment.time_ms < loan.now.upto_ms:
        return False
    return not loan.payments or _payment_order(loan.payments[-1]) < _payment_order(payment)


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


def _entry_ms(loan: Loan, event_time_ms: int) -> int:
    """Where an entry stands in the journal: what is older than the base is entered right behind it."""
    return max(event_time_ms, loan.base.upto_ms + 1)


def _add_schedule(loan: Loan, instalments: Iterable[Instalment], since_ms: int) -> None:
    for instalment in instalments:
        line = Line(
            due_day=day_of_date(instalment.due_date),
            number=instalment.number,
            since_ms=since_ms,
            amount_minor=instalment.amount_minor,
        )
        _add_line(loan, line)


def _add_line(loan: Loan, line: Line) -> int:
    """Put a line at its place, in order of due day; it is not in force before it is folded in."""
    order = _line_order(line)
    index = len(loan.lines)
    if index and order < _line_order(loan.lines[-1]):
        index = bisect_right(loan.lines, order, key=_line_order)
    loan.lines.insert(index, line)
    for balances in (loan.base, loan.now):
        balances.short_minor.insert(index, NOT_IN_FORCE)
    return index


def _drop_lines(loan: Loan, indices: Iterable[int]) -> None:
    for index in sorted(indices, reverse=True):
        del loan.lines[index]
        del loan.base.short_minor[index]
        del loan.now.short_minor[index]


def _drop_wrong_lines(loan: Loan, event: ScheduleChanged, time_ms: int, rules: Rules) -> int:
    """Forget what a correction replaces; return since when it holds: since the schedule that it corrects.

    It replaces what was unpaid, the lines whose numbers it uses, and the lines that bills among them had replaced.
    """
    since_ms = max([_entry_ms(loan, _ALWAYS_MS), *(ms for ms in loan.reschedules_ms if ms <= time_ms)])
    shorts_minor = balances_at(loan, time_ms, rules).short_minor
    numbers = [instalment.number for instalment in event.instalments]
    named = set(numbers) if len(set(numbers)) == len(numbers) else set()
    wrong = {
        index
        for index, (line, short_minor) in enumerate(zip(loan.lines, shorts_minor, strict=True))
        if short_minor > _tolerance_minor(rules) or (short_minor >= 0 and line.number in named)
    }
    wrong_numbers = {loan.lines[index].number for index in wrong}
    wrong.update(
        index
        for index, line in enumerate(loan.lines)
        if shorts_minor[index] == NOT_IN_FORCE
        and since_ms <= line.since_ms <= time_ms
        and line.number in wrong_numbers
    )
    for index in wrong:
        short_minor = loan.base.short_minor[index]
        if short_minor >= 0 and loan.base.carries_over:
            paid_minor = loan.lines[index].due_minor - short_minor
            loan.base.credit_minor = within_int64(loan.base.credit_minor + paid_minor)
    _drop_lines(loan, wrong)
    return since_ms


# ---- keeping it small --------------------------------------------------------------------------------------------


def _compact(loan: Loan, rules: Rules) -> None:
    """Fold what is older than `EXACT_DAYS`, or too much, into the base, and forget lines that are long over."""
    upto_ms = loan.now.upto_ms
    is_old = upto_ms - max(loan.base.upto_ms, loan.opened_ms) > _COMPACT_AFTER_DAYS * DAY_MS
    cut_ms = upto_ms - EXACT_DAYS * DAY_MS if is_old else -1
    if len(loan.payments) > PAYMENTS_PER_LOAN_MAX:
        cut_ms = max(cut_ms, loan.payments[PAYMENTS_PER_LOAN_MAX // 4].time_ms)
    if len(loan.reschedules_ms) > RESCHEDULES_KEPT_MAX:
        cut_ms = max(cut_ms, loan.reschedules_ms[0])
    if len(loan.lines) > LINES_PER_LOAN_MAX:
        cut_ms = upto_ms
    if cut_ms > loan.base.upto_ms:
        _fold_into_base(loan, cut_ms, rules)


def _fold_into_base(loan: Loan, cut_ms: int, rules: Rules) -> None:
    """Make all up to `cut_ms` final: a payment of then that bounced since counts as never made."""
    loan.base = _fold(loan, cut_ms, loan.now.upto_ms, rules)
    loan.payments = [payment for payment in loan.payments if payment.time_ms > cut_ms]
    del loan.reschedules_ms[:-RESCHEDULES_KEPT_MAX]
    billed_later = {line.number for line in loan.lines if line.is_bill and line.since_ms > cut_ms}
    is_crowded = len(loan.lines) > LINES_PER_LOAN_MAX
    cut_day = rules.calendar.day_of(cut_ms)
    tolerance_minor = _tolerance_minor(rules)
    _drop_lines(
        loan,
        [
            index
            for index, (line, short_minor) in enumerate(zip(loan.lines, loan.base.short_minor, strict=True))
            if line.since_ms <= cut_ms
            and short_minor <= tolerance_minor
            and (short_minor == NOT_IN_FORCE or is_crowded or line.due_day < cut_day)
            and line.number not in billed_later
        ],
    )
    while len(loan.lines) > LINES_PER_LOAN_MAX:
        _merge_last_lines(loan)


def _merge_last_lines(loan: Loan) -> None:
    """Of more unpaid lines than are kept, the two due last become one: the oldest, which days count from, stay exact."""
    earlier, later = loan.lines[-2:]
    is_card = earlier.minimum_minor is not None or later.minimum_minor is not None
    loan.lines[-2:] = [
        Line(
            due_day=earlier.due_day,
            number=later.number,
            since_ms=later.since_ms,
            amount_minor=within_int64(earlier.amount_minor + later.amount_minor),
            minimum_minor=within_int64(earlier.due_minor + later.due_minor) if is_card else None,
            balance_minor=later.balance_minor,
            is_bill=later.is_bill,
        )
    ]
    for balances in (loan.base, loan.now):
        balances.short_minor[-2:] = [within_int64(sum(balances.short_minor[-2:]))]
