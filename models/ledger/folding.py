"""From the journal to balances: what each line still asks for, entry by entry, in order of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from models.ledger.journal import ARREARS, NOT_IN_FORCE, Balances, Correction, Line, Loan, Payment
from models.money import within_int64
from models.rules import Rules

RESCHEDULE, SCHEDULED, BILLED, PAYMENT, CORRECTION = range(5)
"""Order of entries at one instant: a new schedule ends lines before its own begin, a bill refines the schedule's line,
payments find them all, and a snapshot tells what came of it."""


def balances_at(loan: Loan, known_ms: int, rules: Rules) -> Balances:
    """The journal folded up to `known_ms`, never further back than its base."""
    if known_ms >= loan.now.upto_ms:
        return loan.now
    return fold(loan, known_ms, known_ms, rules)


def begin(loan: Loan, opened_ms: int) -> None:
    """Fold a journal in which there is nothing yet but the schedule of the opening: all of it is in force, and asked for."""
    loan.now.upto_ms = opened_ms
    loan.now.short_minor = [line.due_minor for line in loan.lines]
    loan.now.is_scheduled = bool(loan.lines)


def refold(loan: Loan, entry_ms: int, rules: Rules) -> None:
    """Fold the journal anew after an entry at `entry_ms` that one step could not take."""
    upto_ms = max(loan.now.upto_ms, entry_ms)
    loan.now = fold(loan, upto_ms, upto_ms, rules)


def fold(
    loan: Loan,
    upto_ms: int,
    known_ms: int,
    rules: Rules,
    ended: dict[int, list[int]] | None = None,
    observe: Callable[[int, Balances], None] | None = None,
) -> Balances:
    """Fold the journal from its base up to `upto_ms`, in order of time; of payments what counts as of `known_ms`.

    `observe` is shown the balances of the base, and those after all entries of each instant.
    """
    balances = loan.base.copy()
    ended = {} if ended is None else ended
    after_ms = balances.upto_ms
    entries = [
        (line.since_ms, BILLED if line.is_bill else SCHEDULED, b"", index)
        for index, line in enumerate(loan.lines)
        if after_ms < line.since_ms <= upto_ms and line.number != ARREARS
    ]
    entries += [(ms, RESCHEDULE, b"", 0) for ms in loan.reschedules_ms if after_ms < ms <= upto_ms]
    entries += [
        (payment.time_ms, PAYMENT, payment.fingerprint, index)
        for index, payment in enumerate(loan.payments)
        if after_ms < payment.time_ms <= upto_ms
    ]
    entries += [
        (correction.time_ms, CORRECTION, b"", index)
        for index, correction in enumerate(loan.corrections)
        if after_ms < correction.time_ms <= upto_ms
    ]
    entries.sort()
    lines_by_number = Counter(line.number for line in loan.lines)
    observed_ms = after_ms
    for time_ms, kind, _, index in entries:
        if observe is not None and time_ms > observed_ms:
            observe(observed_ms, balances)
            observed_ms = time_ms
        if kind == RESCHEDULE:
            _enter_reschedule(loan, balances, time_ms, known_ms, rules, ended)
        elif kind == PAYMENT:
            payment = loan.payments[index]
            enter_payment(loan, balances, payment, payment.counted_minor(known_ms), rules)
        elif kind == CORRECTION:
            enter_correction(loan, balances, loan.corrections[index], known_ms, rules)
        else:
            is_alone = lines_by_number[loan.lines[index].number] == 1
            enter_line(loan, balances, index, rules, is_alone=is_alone)
    if observe is not None:
        observe(observed_ms, balances)
    balances.upto_ms = max(after_ms, upto_ms)
    return balances


def enter_line(loan: Loan, balances: Balances, index: int, rules: Rules, *, is_alone: bool = False) -> None:
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
    balances.statement_minor, balances.is_reported = line.statement_minor, False
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
        if any(time_ms < part.time_ms <= known_ms for payment in loan.payments for part in payment.reversals):
            fold(loan, time_ms, time_ms, rules, ended)
        else:
            tolerance_minor = tolerance_minor_of(rules)
            ended[time_ms] = [i for i, short in enumerate(balances.short_minor) if short > tolerance_minor]
    for index in ended[time_ms]:
        balances.short_minor[index] = NOT_IN_FORCE


def enter_payment(loan: Loan, balances: Balances, payment: Payment, counted_minor: int, rules: Rules) -> None:
    """Pay the line it names, then the oldest due; what is left is credit, unless statements take care of it."""
    shorts_minor = balances.short_minor
    left_minor = counted_minor
    balances.paid_minor = within_int64(balances.paid_minor + counted_minor)
    if balances.statement_minor is not None:
        balances.statement_minor = within_int64(balances.statement_minor - counted_minor)
    tolerance_minor = rules.policy.signals.missed_payment.tolerance_minor
    oldest = oldest_unpaid(balances, tolerance_minor)
    if oldest is not None:
        days_past_due = days_past_due_of(loan, loan.lines[oldest], payment.time_ms, rules)
        if days_past_due > balances.worst_days_past_due:
            balances.worst_days_past_due = days_past_due
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


def enter_correction(
    loan: Loan, balances: Balances, correction: Correction, known_ms: int, rules: Rules
) -> None:
    """From its instant on the loan stands as the book said, but for what the book had counted and was lost since."""
    if loan.closed_ms is not None and loan.closed_ms <= correction.time_ms:
        return
    lost_minor = correction.taken_back_minor + sum(
        payment.counted_minor(correction.time_ms) - payment.counted_minor(known_ms)
        for payment in loan.payments
        if payment.reversals and payment.time_ms <= correction.time_ms
    )
    if correction.overdue_minor is not None:
        _correct_overdue(loan, balances, correction, correction.overdue_minor + lost_minor, rules)
    outstanding_minor = within_int64(correction.outstanding_minor + lost_minor)
    balances.statement_minor, balances.is_reported = outstanding_minor, True
    balances.paid_minor = within_int64(loan.principal_minor - outstanding_minor)
    if outstanding_minor <= tolerance_minor_of(rules):
        balances.short_minor = [min(short_minor, 0) for short_minor in balances.short_minor]


def _correct_overdue(
    loan: Loan, balances: Balances, correction: Correction, overdue_minor: int, rules: Rules
) -> None:
    """Lay what is overdue on the lines that are past due, the newest first: payments have paid the oldest.

    What no line since the book's oldest due day explains is arrears, and stands on a line of that day.
    """
    shorts_minor, oldest_day = balances.short_minor, correction.oldest_due_day
    left_minor = overdue_minor if overdue_minor > tolerance_minor_of(rules) else 0
    if left_minor:
        balances.credit_minor = 0
    oldest = None
    for index in range(len(shorts_minor) - 1, -1, -1):
        line = loan.lines[index]
        if shorts_minor[index] < 0 or rules.last_day_to_pay(line.due_day) >= correction.as_of_day:
            continue
        shorts_minor[index] = 0
        if line.number == ARREARS or (oldest_day is not None and line.due_day < oldest_day):
            continue
        if left_minor > 0:
            oldest = index
            shorts_minor[index] = min(left_minor, line.due_minor)
            left_minor -= shorts_minor[index]
    if oldest_day is None or overdue_minor <= tolerance_minor_of(rules):
        return
    tolerance_days = rules.policy.ledger.reconcile_tolerance_days
    if oldest is not None and loan.lines[oldest].due_day > oldest_day + tolerance_days:
        left_minor += shorts_minor[oldest]
        shorts_minor[oldest] = 0
    if oldest is None or left_minor > tolerance_minor_of(rules):
        shorts_minor[arrears_index(loan, correction)] = left_minor
    days_past_due = correction.as_of_day - rules.last_day_to_pay(oldest_day)
    balances.worst_days_past_due = max(balances.worst_days_past_due, days_past_due)


def arrears_index(loan: Loan, correction: Correction) -> int:
    """The line on which a correction's arrears stand."""
    return next(
        index
        for index, line in enumerate(loan.lines)
        if line.number == ARREARS
        and line.since_ms == correction.time_ms
        and line.fingerprint == correction.fingerprint
    )


def _note_worst(loan: Loan, balances: Balances, time_ms: int, rules: Rules) -> None:
    """Remember how far past due the loan had come when something was done about it."""
    oldest = oldest_unpaid(balances, tolerance_minor_of(rules))
    if oldest is not None:
        days_past_due = days_past_due_of(loan, loan.lines[oldest], time_ms, rules)
        balances.worst_days_past_due = max(balances.worst_days_past_due, days_past_due)


def days_past_due_of(loan: Loan, line: Line, at_ms: int, rules: Rules) -> int:
    """How long a line has been due at `at_ms`, or when the loan ended; negative before it is due."""
    until_ms = at_ms if loan.closed_ms is None else min(at_ms, loan.closed_ms)
    last_day = rules.last_day_to_pay(line.due_day) if rules.moves_due_days else line.due_day
    return rules.calendar.day_of(until_ms) - last_day


def oldest_unpaid(balances: Balances, tolerance_minor: int) -> int | None:
    """The index of the first line that is short by more than the tolerance."""
    for index, short_minor in enumerate(balances.short_minor):
        if short_minor > tolerance_minor:
            return index
    return None


def tolerance_minor_of(rules: Rules) -> int:
    """What a line may be short by and be paid all the same."""
    return rules.policy.signals.missed_payment.tolerance_minor
