"""Events become entries of the journal: one step for an event in order, folding anew for a late one."""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection
from typing import Final

from models.calendars import day_of_date
from models.events import (
    InstalmentBilled,
    LimitChanged,
    LoanClosed,
    LoanOpened,
    Repayment,
    RepaymentReversed,
    ScheduleChanged,
)
from models.ledger.compaction import compact
from models.ledger.folding import balances_at, begin, enter_line, enter_payment, refold, tolerance_minor_of
from models.ledger.journal import (
    ALWAYS_MS,
    ARREARS,
    NOT_IN_FORCE,
    Balances,
    Closing,
    LimitId,
    Line,
    Loan,
    Payment,
    Reversal,
    ScheduleId,
    add_line,
    add_schedule,
    bounded,
    drop_lines,
    entry_ms_of,
    is_last,
    payment_order,
)
from models.money import within_int64
from models.recent_ids import fingerprint_of
from models.rules import Rules

CLOSINGS_KEPT_MAX: Final = 4
"""Endings of a loan kept, so that one of them can be taken back: the first holds, more than two are mistakes."""
LIMITS_KEPT_MAX: Final = 8
"""Credit limits kept with their times, for utilisation as of an instant: limits change rarely."""
_COMPENSATING_PAYERS: Final = frozenset({"guarantor", "insurer", "lender"})


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
        opened_by=fingerprint_of(event.event_id),
        purpose=event.purpose,
    )
    add_schedule(loan, event.instalments, ALWAYS_MS)
    begin(loan, event.event_time_ms)
    return loan


def bill(loan: Loan, event: InstalmentBilled, rules: Rules) -> None:
    """Add a bill; one for a number that is in force replaces it from its time on and keeps what was paid."""
    line = Line(
        due_day=day_of_date(event.due_date),
        number=event.number,
        since_ms=entry_ms_of(loan, event.event_time_ms),
        amount_minor=event.amount_minor,
        minimum_minor=event.minimum_due_minor,
        balance_minor=event.balance_minor,
        is_bill=True,
        fingerprint=fingerprint_of(event.event_id),
    )
    index = add_line(loan, line)
    if line.since_ms > loan.now.upto_ms:
        enter_line(loan, loan.now, index, rules)
        loan.now.upto_ms = line.since_ms
    else:
        refold(loan, line.since_ms, rules)
    compact(loan, rules)


def pay(loan: Loan, event: Repayment, rules: Rules) -> None:
    """Add a payment."""
    payment = Payment(
        time_ms=entry_ms_of(loan, event.event_time_ms),
        fingerprint=fingerprint_of(event.event_id),
        amount_minor=event.amount_minor,
        number=event.instalment_number,
        compensates=event.payer in _COMPENSATING_PAYERS or event.kind == "collateral",
        is_waiver=event.kind == "waiver",
    )
    now = loan.now
    if payment.time_ms > now.upto_ms or is_last(loan, payment):
        loan.payments.append(payment)
        enter_payment(loan, now, payment, payment.amount_minor, rules)
        now.upto_ms = payment.time_ms
    else:
        insort(loan.payments, payment, key=payment_order)
        refold(loan, payment.time_ms, rules)
    compact(loan, rules)


def reverse(loan: Loan, event: RepaymentReversed, rules: Rules) -> bool:
    """Take a payment back from the event's time on, in part or whole; False where that payment is not known."""
    fingerprint = fingerprint_of(event.repayment_event_id)
    for payment in reversed(loan.payments):
        if payment.fingerprint == fingerprint:
            reversal = Reversal(event.event_time_ms, event.amount_minor, fingerprint_of(event.event_id))
            payment.reversals = bounded(sorted([*payment.reversals, reversal]))
            refold(loan, event.event_time_ms, rules)
            return True
    return False


def reschedule(loan: Loan, event: ScheduleChanged, rules: Rules) -> None:
    """Replace all unpaid lines: from the event's time on, or, for a correction, as if it had always been so.

    Of two new schedules of one instant, the later to arrive holds.
    """
    time_ms = entry_ms_of(loan, event.event_time_ms)
    is_correction = event.reason == "correction"
    schedule_id = ScheduleId(time_ms, fingerprint_of(event.event_id), is_correction)
    insort(loan.schedule_ids, schedule_id, key=_time_of)
    if is_correction:
        since_ms = _drop_wrong_lines(loan, event, time_ms, rules)
    else:
        since_ms = time_ms
        if time_ms not in loan.reschedules_ms:
            insort(loan.reschedules_ms, time_ms)
        drop_lines(
            loan,
            [i for i, line in enumerate(loan.lines) if line.since_ms == time_ms and is_scheduled(line)],
        )
    add_schedule(loan, event.instalments, since_ms)
    refold(loan, time_ms, rules)
    compact(loan, rules)


def change_limit(loan: Loan, event: LimitChanged, rules: Rules) -> None:
    """Note a credit line's new limit."""
    insort(loan.limits_minor, (event.event_time_ms, event.credit_limit_minor))
    del loan.limits_minor[:-LIMITS_KEPT_MAX]
    fingerprint = fingerprint_of(event.event_id)
    insort(loan.limit_ids, LimitId(event.event_time_ms, event.credit_limit_minor, fingerprint))
    del loan.limit_ids[:-LIMITS_KEPT_MAX]


def close(loan: Loan, event: LoanClosed, rules: Rules) -> None:
    """End the loan: from the event's time on nothing is due. The first ending holds."""
    if loan.closed_ms is not None and loan.closing_reason is not None and not loan.closings:
        loan.closings.append(Closing(loan.closed_ms, loan.closing_reason, b""))
    insort(loan.closings, Closing(event.event_time_ms, event.reason, fingerprint_of(event.event_id)))
    del loan.closings[CLOSINGS_KEPT_MAX:]
    take_first_closing(loan)
    refold(loan, event.event_time_ms, rules)


def take_first_closing(loan: Loan) -> None:
    """The loan ends with its first closing, or does not end."""
    first = loan.closings[0] if loan.closings else None
    loan.closed_ms = None if first is None else first.time_ms
    loan.closing_reason = None if first is None else first.reason


def _time_of(schedule_id: ScheduleId) -> int:
    return schedule_id.time_ms


def _drop_wrong_lines(loan: Loan, event: ScheduleChanged, time_ms: int, rules: Rules) -> int:
    """Forget what a correction replaces; return since when it holds: since the schedule that it corrects.

    It replaces what was unpaid, the lines whose numbers it uses, and the lines that bills among them had replaced.
    """
    since_ms = max([entry_ms_of(loan, ALWAYS_MS), *(ms for ms in loan.reschedules_ms if ms <= time_ms)])
    shorts_minor = balances_at(loan, time_ms, rules).short_minor
    numbers = [instalment.number for instalment in event.instalments]
    named = set(numbers) if len(set(numbers)) == len(numbers) else set()
    wrong = {
        index
        for index, (line, short_minor) in enumerate(zip(loan.lines, shorts_minor, strict=True))
        if line.number != ARREARS
        and (short_minor > tolerance_minor_of(rules) or (short_minor >= 0 and line.number in named))
    }
    wrong_numbers = {loan.lines[index].number for index in wrong}
    wrong.update(
        index
        for index, line in enumerate(loan.lines)
        if shorts_minor[index] == NOT_IN_FORCE
        and since_ms <= line.since_ms <= time_ms
        and line.number in wrong_numbers
    )
    forget_lines(loan, wrong)
    return since_ms


def forget_lines(loan: Loan, indices: Collection[int]) -> None:
    """Drop lines that should never have been; what they were paid before the base becomes credit."""
    for index in indices:
        short_minor = loan.base.short_minor[index]
        if short_minor >= 0 and loan.base.carries_over:
            paid_minor = loan.lines[index].due_minor - short_minor
            loan.base.credit_minor = within_int64(loan.base.credit_minor + paid_minor)
    drop_lines(loan, indices)


def is_scheduled(line: Line) -> bool:
    """Whether a line is a schedule's: neither billed nor arrears that a snapshot reported."""
    return not line.is_bill and line.number != ARREARS
