"""Keeping a ledger small: what is old, or too much, is folded into the base for good."""

from __future__ import annotations

from typing import Final

from models.calendars import DAY_MS
from models.ledger.folding import fold, tolerance_minor_of
from models.ledger.journal import LINES_PER_LOAN_MAX, NOT_IN_FORCE, Line, Loan, drop_lines
from models.limits import PAYMENTS_PER_LOAN_MAX
from models.money import within_int64
from models.rules import Rules

EXACT_DAYS: Final = 400
"""How far back the past can be asked for and corrected exactly: a year, and a month of lateness."""
_COMPACT_AFTER_DAYS: Final = 520
"""Entries are folded when the last fold is this old: four months of them at a time, so that folding stays rare."""
_COMPACT_AFTER_MS: Final = _COMPACT_AFTER_DAYS * DAY_MS
CORRECTIONS_KEPT_MAX: Final = 12
"""Snapshots that corrected the ledger, kept one by one: of a ledger that is corrected more often, the past before the
oldest of them is folded for good, which no later instant asks for: a correction says anew how the loan stands."""
RESCHEDULES_KEPT_MAX: Final = 12
"""New schedules kept one by one: of a loan rescheduled more often, the past before them is folded for good."""

_FEW: Final = min(PAYMENTS_PER_LOAN_MAX, CORRECTIONS_KEPT_MAX, RESCHEDULES_KEPT_MAX)
"""Entries, all told, of which there cannot be too many of a kind."""


def compact(loan: Loan, rules: Rules) -> None:
    """Fold what is older than `EXACT_DAYS`, or too much, into the base, and forget lines that are long over."""
    upto_ms = loan.now.upto_ms
    if (
        upto_ms - loan.opened_ms <= _COMPACT_AFTER_MS
        and len(loan.payments) + len(loan.reschedules_ms) + len(loan.corrections) <= _FEW
        and len(loan.lines) <= LINES_PER_LOAN_MAX
    ):
        return  # as after nearly every payment
    is_old = upto_ms - max(loan.base.upto_ms, loan.opened_ms) > _COMPACT_AFTER_DAYS * DAY_MS
    cut_ms = upto_ms - EXACT_DAYS * DAY_MS if is_old else -1
    if len(loan.payments) > PAYMENTS_PER_LOAN_MAX:
        cut_ms = max(cut_ms, loan.payments[PAYMENTS_PER_LOAN_MAX // 4].time_ms)
    if len(loan.reschedules_ms) > RESCHEDULES_KEPT_MAX:
        cut_ms = max(cut_ms, loan.reschedules_ms[0])
    if len(loan.corrections) > CORRECTIONS_KEPT_MAX:
        cut_ms = max(cut_ms, loan.corrections[0].time_ms)
    if len(loan.lines) > LINES_PER_LOAN_MAX:
        cut_ms = upto_ms
    if cut_ms > loan.base.upto_ms:
        _fold_into_base(loan, cut_ms, rules)


def _fold_into_base(loan: Loan, cut_ms: int, rules: Rules) -> None:
    """Make all up to `cut_ms` final: a payment of then that bounced since counts as never made."""
    loan.base = fold(loan, cut_ms, loan.now.upto_ms, rules)
    loan.payments = [payment for payment in loan.payments if payment.time_ms > cut_ms]
    del loan.reschedules_ms[:-RESCHEDULES_KEPT_MAX]
    del loan.schedule_ids[:-RESCHEDULES_KEPT_MAX]
    loan.corrections = [correction for correction in loan.corrections if correction.time_ms > cut_ms]
    billed_later = {line.number for line in loan.lines if line.is_bill and line.since_ms > cut_ms}
    is_crowded = len(loan.lines) > LINES_PER_LOAN_MAX
    cut_day = rules.calendar.day_of(cut_ms)
    tolerance_minor = tolerance_minor_of(rules)
    drop_lines(
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
