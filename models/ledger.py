"""The ledger of one own loan: instalments, payments, and what is past due as of any instant.

The journal (lines of schedules and bills, payments, new schedules) keeps event times. Folding it in order of time gives
the balances; the balances of all that is known are kept, so that an event in order costs one step, and an earlier
instant (or a late event) folds the journal again. Entries older than `EXACT_DAYS` are folded into a base for good.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

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
from models.limits import PAYMENTS_PER_LOAN_MAX
from models.recent_ids import fingerprint_of
from models.rules import Rules

EXACT_DAYS: Final = 400
"""How far back the past can be asked for and corrected exactly: a year, and a month of lateness."""
_COMPACT_AFTER_DAYS: Final = 460
"""Entries are folded when the oldest is this old: two months of them at a time, so that folding stays rare."""
RESTRUCTURED_DAYS: Final = 365
"""How long a loan stays marked after a restructuring (blueprint, section 5: a year)."""
LIMITS_KEPT_MAX: Final = 8
"""Credit limits kept with their times, for utilisation as of an instant: limits change rarely."""
RESCHEDULES_KEPT_MAX: Final = 12
"""New schedules kept one by one: a loan rescheduled more often in a year is beyond its ledger."""
_COMPENSATING_PAYERS: Final = frozenset({"guarantor", "insurer", "lender"})

_RESCHEDULE, _LINE, _PAYMENT = range(3)
"""Order of entries at one instant: a new schedule ends lines before its own begin, and payments find them."""


class Line(Struct, array_like=True, gc=False):
    """One instalment or bill: what falls due when, known since when."""

    due_day: int
    number: int
    since_ms: int
    amount_minor: int
    minimum_minor: int | None = None
    balance_minor: int | None = None

    @property
    def due_minor(self) -> int:
        """What must be paid by the due date: the minimum, where there is one."""
        return self.amount_minor if self.minimum_minor is None else self.minimum_minor


class Payment(Struct, array_like=True):
    """One payment; `reversals` are (event time, amount) of what bounced."""

    time_ms: int
    fingerprint: bytes
    amount_minor: int
    number: int | None = None
    compensates: bool = False
    reversals: list[tuple[int, int]] = []

    def counted_minor(self, known_ms: int) -> int:
        """What of it counts, on what is known up to `known_ms`."""
        if not self.reversals:
            return self.amount_minor
        bounced_minor = sum(amount for time_ms, amount in self.reversals if time_ms <= known_ms)
        return max(0, self.amount_minor - bounced_minor)


class Balances(Struct, array_like=True):
    """The journal folded up to an instant: what each line was paid, which lines are in force, and what is left over."""

    upto_ms: int
    paid_minor: list[int]
    in_force: list[bool]
    credit_minor: int = 0
    worst_days_past_due: int = 0

    def copy(self) -> Balances:
        """A copy that can be folded on."""
        return Balances(
            self.upto_ms, self.paid_minor[:], self.in_force[:], self.credit_minor, self.worst_days_past_due
        )


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
    nothing = Balances(-1, [], [])
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
        base=nothing,
        now=nothing.copy(),
    )
    for instalment in event.instalments:
        _add_line(loan, _line_of(instalment, event.event_time_ms))
    _refold(loan, rules)
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
    )
    index = _add_line(loan, line)
    if line.since_ms > loan.now.upto_ms:
        _enter_line(loan, loan.now, index)
        _compact(loan, rules)
    else:
        _refold(loan, rules)


def pay(loan: Loan, event: Repayment, rules: Rules) -> None:
    """Add a payment."""
    payment = Payment(
        time_ms=_entry_ms(loan, event.event_time_ms),
        fingerprint=fingerprint_of(event.event_id),
        amount_minor=event.amount_minor,
        number=event.instalment_number,
        compensates=event.payer in _COMPENSATING_PAYERS,
    )
    if payment.time_ms > loan.now.upto_ms:
        loan.payments.append(payment)
        _enter_payment(loan, loan.now, payment, payment.time_ms, payment.amount_minor, rules)
        _compact(loan, rules)
    else:
        insort(loan.payments, payment, key=_payment_order)
        _refold(loan, rules)


def reverse(loan: Loan, event: RepaymentReversed, rules: Rules) -> bool:
    """Take a payment back from the event's time on, in part or whole; False where that payment is not known."""
    fingerprint = fingerprint_of(event.repayment_event_id)
    for payment in reversed(loan.payments):
        if payment.fingerprint == fingerprint:
            payment.reversals = sorted([*payment.reversals, (event.event_time_ms, event.amount_minor)])
            _refold(loan, rules)
            return True
    return False


def reschedule(loan: Loan, event: ScheduleChanged, rules: Rules) -> None:
    """Replace all unpaid lines: from the event's time on, or, for a correction, as if it had always been so."""
    time_ms = _entry_ms(loan, event.event_time_ms)
    if event.reason == "correction":
        wrong = [index for index in range(len(loan.lines)) if _is_unpaid(loan, loan.now, index, rules)]
        for index in reversed(wrong):
            _drop_line(loan, index)
        since_ms = max(loan.opened_ms, loan.base.upto_ms + 1)
    else:
        insort(loan.reschedules_ms, time_ms)
        del loan.reschedules_ms[:-RESCHEDULES_KEPT_MAX]
        since_ms = time_ms
    for instalment in event.instalments:
        _add_line(loan, _line_of(instalment, since_ms))
    _refold(loan, rules)
    loan.now.upto_ms = max(loan.now.upto_ms, time_ms)


def change_limit(loan: Loan, event: LimitChanged, rules: Rules) -> None:
    """Note a credit line's new limit."""
    insort(loan.limits_minor, (event.event_time_ms, event.credit_limit_minor))
    del loan.limits_minor[:-LIMITS_KEPT_MAX]


def close(loan: Loan, event: LoanClosed, rules: Rules) -> None:
    """End the loan: from the event's time on nothing is due. The first ending holds."""
    if loan.closed_ms is None or event.event_time_ms < loan.closed_ms:
        loan.closed_ms = event.event_time_ms
        loan.closing_reason = event.reason
    loan.now.upto_ms = max(loan.now.upto_ms, event.event_time_ms)


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
    day = rules.calendar.day_of(at_ms)
    closed = loan.closing_reason if loan.closed_ms is not None and loan.closed_ms <= known_ms else None
    unpaid = [] if closed else [i for i in range(len(loan.lines)) if _is_unpaid(loan, balances, i, rules)]
    past_due = [index for index in unpaid if loan.lines[index].due_day < day]
    upcoming = [index for index in unpaid if loan.lines[index].due_day >= day]
    oldest_due_day = loan.lines[past_due[0]].due_day if past_due else None
    next_due_day = loan.lines[upcoming[0]].due_day if upcoming else None
    days_past_due = 0 if oldest_due_day is None else day - oldest_due_day
    restructured_since_ms = known_ms - RESTRUCTURED_DAYS * DAY_MS
    return Standing(
        days_past_due=days_past_due,
        overdue_minor=sum(_short_minor(loan, balances, index) for index in past_due),
        instalments_past_due=len(past_due),
        outstanding_minor=0 if closed else _outstanding_minor(loan, balances, known_ms),
        oldest_due_day=oldest_due_day,
        next_due_day=next_due_day,
        next_due_minor=sum(
            _short_minor(loan, balances, index)
            for index in upcoming
            if loan.lines[index].due_day == next_due_day
        ),
        worst_days_past_due=max(balances.worst_days_past_due, days_past_due),
        restructured=any(restructured_since_ms < ms <= known_ms for ms in loan.reschedules_ms),
        closed=closed,
        credit_limit_minor=next((limit for ms, limit in reversed(loan.limits_minor) if ms <= known_ms), None),
    )


def oldest_unpaid_day(loan: Loan, known_ms: int, rules: Rules) -> int | None:
    """The due day of the oldest unpaid line, due already or not, on what is known up to `known_ms`."""
    if loan.closed_ms is not None and loan.closed_ms <= known_ms:
        return None
    balances = balances_at(loan, known_ms, rules)
    for index, line in enumerate(loan.lines):
        if _is_unpaid(loan, balances, index, rules):
            return line.due_day
    return None


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
    return _fold(loan, known_ms, rules)


# ---- folding -----------------------------------------------------------------------------------------------------


def _refold(loan: Loan, rules: Rules) -> None:
    latest_ms = max(
        loan.now.upto_ms,
        max((line.since_ms for line in loan.lines), default=-1),
        max((payment.time_ms for payment in loan.payments), default=-1),
        max((ms for payment in loan.payments for ms, _ in payment.reversals), default=-1),
    )
    loan.now = _fold(loan, latest_ms, rules)
    loan.now.upto_ms = latest_ms


def _fold(loan: Loan, known_ms: int, rules: Rules) -> Balances:
    """Fold the journal from its base up to `known_ms`, in order of time."""
    balances = loan.base.copy()
    after_ms = balances.upto_ms
    entries = [
        (line.since_ms, _LINE, b"", index)
        for index, line in enumerate(loan.lines)
        if after_ms < line.since_ms <= known_ms
    ]
    entries += [(ms, _RESCHEDULE, b"", 0) for ms in loan.reschedules_ms if after_ms < ms <= known_ms]
    entries += [
        (payment.time_ms, _PAYMENT, payment.fingerprint, index)
        for index, payment in enumerate(loan.payments)
        if after_ms < payment.time_ms <= known_ms
    ]
    entries.sort()
    for time_ms, kind, _, index in entries:
        if kind == _LINE:
            _enter_line(loan, balances, index)
        elif kind == _RESCHEDULE:
            _enter_reschedule(loan, balances, time_ms, rules)
        else:
            payment = loan.payments[index]
            _enter_payment(loan, balances, payment, time_ms, payment.counted_minor(known_ms), rules)
    return balances


def _enter_line(loan: Loan, balances: Balances, index: int) -> None:
    """A line comes into force; it takes over from one of its number, else it may use the credit."""
    line = loan.lines[index]
    paid_minor = 0
    for other, candidate in enumerate(loan.lines):
        if other != index and balances.in_force[other] and candidate.number == line.number:
            balances.in_force[other] = False
            paid_minor = balances.paid_minor[other]
    if line.minimum_minor is None and balances.credit_minor:
        used_minor = min(balances.credit_minor, max(0, line.due_minor - paid_minor))
        balances.credit_minor -= used_minor
        paid_minor += used_minor
    balances.in_force[index] = True
    balances.paid_minor[index] = paid_minor
    balances.upto_ms = max(balances.upto_ms, line.since_ms)


def _enter_reschedule(loan: Loan, balances: Balances, time_ms: int, rules: Rules) -> None:
    """All unpaid lines end; what was paid of them stays paid."""
    _note_worst(loan, balances, time_ms, rules)
    for index in range(len(loan.lines)):
        if _is_unpaid(loan, balances, index, rules):
            balances.in_force[index] = False
    balances.upto_ms = max(balances.upto_ms, time_ms)


def _enter_payment(
    loan: Loan, balances: Balances, payment: Payment, time_ms: int, amount_minor: int, rules: Rules
) -> None:
    """Pay the line it names, then the oldest due; what is left is credit, unless statements take care of it."""
    _note_worst(loan, balances, time_ms, rules)
    left_minor = amount_minor
    paid_minor = balances.paid_minor
    if payment.number is not None:
        for index, line in enumerate(loan.lines):
            if line.number == payment.number and balances.in_force[index]:
                used_minor = min(left_minor, max(0, line.due_minor - paid_minor[index]))
                paid_minor[index] += used_minor
                left_minor -= used_minor
    tolerance_minor = rules.policy.signals.missed_payment.tolerance_minor
    for index, line in enumerate(loan.lines):
        if left_minor <= 0:
            break
        short_minor = line.due_minor - paid_minor[index]
        if short_minor > tolerance_minor and balances.in_force[index]:
            used_minor = min(left_minor, short_minor)
            paid_minor[index] += used_minor
            left_minor -= used_minor
    if left_minor > 0 and not any(line.minimum_minor is not None for line in loan.lines):
        balances.credit_minor += left_minor
    balances.upto_ms = max(balances.upto_ms, time_ms)


def _note_worst(loan: Loan, balances: Balances, time_ms: int, rules: Rules) -> None:
    """Remember how far past due the loan had come when something was done about it."""
    for index, line in enumerate(loan.lines):
        if _is_unpaid(loan, balances, index, rules):
            days_past_due = rules.calendar.day_of(time_ms) - line.due_day
            balances.worst_days_past_due = max(balances.worst_days_past_due, days_past_due)
            return


def _is_unpaid(loan: Loan, balances: Balances, index: int, rules: Rules) -> bool:
    """Whether a line is in force and short by more than the tolerance."""
    return (
        balances.in_force[index]
        and _short_minor(loan, balances, index) > rules.policy.signals.missed_payment.tolerance_minor
    )


def _short_minor(loan: Loan, balances: Balances, index: int) -> int:
    return loan.lines[index].due_minor - balances.paid_minor[index]


def _outstanding_minor(loan: Loan, balances: Balances, known_ms: int) -> int:
    """The last statement less what was paid since; else what the lines still ask for; else the principal."""
    in_force = [line for line, is_in_force in zip(loan.lines, balances.in_force, strict=True) if is_in_force]
    if not in_force:
        return max(0, loan.principal_minor - _paid_since_minor(loan, -1, known_ms)) if not loan.lines else 0
    latest = max(in_force, key=lambda line: (line.since_ms, line.due_day, line.number))
    if latest.minimum_minor is not None or latest.balance_minor is not None:
        statement_minor = latest.amount_minor if latest.balance_minor is None else latest.balance_minor
        return max(0, statement_minor - _paid_since_minor(loan, latest.since_ms, known_ms))
    return sum(
        max(0, line.amount_minor - paid_minor)
        for line, paid_minor, is_in_force in zip(
            loan.lines, balances.paid_minor, balances.in_force, strict=True
        )
        if is_in_force
    )


def _paid_since_minor(loan: Loan, since_ms: int, known_ms: int) -> int:
    return sum(
        payment.counted_minor(known_ms) for payment in loan.payments if since_ms < payment.time_ms <= known_ms
    )


# ---- the journal -------------------------------------------------------------------------------------------------


def _line_of(instalment: Instalment, since_ms: int) -> Line:
    return Line(
        due_day=day_of_date(instalment.due_date),
        number=instalment.number,
        since_ms=since_ms,
        amount_minor=instalment.amount_minor,
    )


def _payment_order(payment: Payment) -> tuple[int, bytes]:
    return payment.time_ms, payment.fingerprint


def _line_order(line: Line) -> tuple[int, int, int, int]:
    return line.due_day, line.number, line.since_ms, line.amount_minor


def _entry_ms(loan: Loan, event_time_ms: int) -> int:
    """Where an entry stands in the journal: what is older than the base is entered right behind it."""
    return max(event_time_ms, loan.base.upto_ms + 1)


def _add_line(loan: Loan, line: Line) -> int:
    """Put a line at its place, in order of due day; it is not in force before it is folded in."""
    insort(loan.lines, line, key=_line_order)
    index = next(index for index, known in enumerate(loan.lines) if known is line)
    for balances in (loan.base, loan.now):
        balances.paid_minor.insert(index, 0)
        balances.in_force.insert(index, False)
    return index


def _drop_line(loan: Loan, index: int) -> None:
    del loan.lines[index]
    for balances in (loan.base, loan.now):
        del balances.paid_minor[index]
        del balances.in_force[index]


def _compact(loan: Loan, rules: Rules) -> None:
    """Fold what is older than `EXACT_DAYS` into the base, and forget lines that are long over."""
    payments = loan.payments
    if not payments:
        return
    oldest_kept_ms = loan.now.upto_ms - _COMPACT_AFTER_DAYS * DAY_MS
    if payments[0].time_ms >= oldest_kept_ms and len(payments) <= PAYMENTS_PER_LOAN_MAX:
        return
    cut_ms = loan.now.upto_ms - EXACT_DAYS * DAY_MS
    if len(payments) > PAYMENTS_PER_LOAN_MAX:
        cut_ms = max(cut_ms, payments[PAYMENTS_PER_LOAN_MAX // 4].time_ms)
    if cut_ms >= loan.now.upto_ms:
        return
    loan.base = _fold(loan, cut_ms, rules)
    loan.base.upto_ms = cut_ms
    loan.payments = [payment for payment in payments if payment.time_ms > cut_ms]
    cut_day = rules.calendar.day_of(cut_ms)
    over = [
        index
        for index, line in enumerate(loan.lines)
        if line.since_ms <= cut_ms
        and line.due_day < cut_day
        and not _is_unpaid(loan, loan.base, index, rules)
        and not _is_unpaid(loan, loan.now, index, rules)
    ]
    for index in reversed(over):
        _drop_line(loan, index)
