"""`missed_payment`: an instalment short by more than the tolerance when its due date (and its grace) has ended.

Severity follows days past due (DPD). Buckets are those of collections practice, 30 and 90 days those of Basel and IFRS 9
(see the policy file), 270 and 360 days those of the Chinese five-tier classification (Measures for the Risk
Classification of Financial Assets of Commercial Banks, 2023).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from models.alerts import EvidenceValue, Finding, Reason, Resolution, Severity, Text
from models.borrower import Borrower
from models.calendars import iso_date
from models.classification import classify
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import REPAYMENTS, ClosingReason
from models.ledger import (
    Loan,
    Standing,
    next_entry_ms,
    oldest_unpaid_day,
    standing,
    was_compensated,
    was_rescheduled_last,
    was_settled_for_less,
)
from models.money import format_amount
from models.rules import BUCKET_STARTS_DAYS, Rules

_BUCKETS: Final = ("1-30", "31-60", "61-90", "91-270", "271-360", ">360")

_RESOLUTIONS: Final[dict[ClosingReason, Resolution]] = {
    "settled": "paid",
    "refinanced": "rescheduled",
    "compensated": "compensated",
    "written_off": "written_off",
    "sold": "sold",
    "cancelled": "cancelled",
    "deceased": "cancelled",
    "other": "cancelled",
}


def judge(loan: Loan, at_ms: int, rules: Rules, *, deadline: bool = False) -> Finding | None:
    """What is past due of a loan as of `at_ms`; None while grace lasts.

    `deadline` says that `at_ms` is a midnight that ends a day: what happens at that instant belongs to the next day.
    """
    due_day = oldest_unpaid_day(loan, at_ms - 1 if deadline else at_ms, rules)
    if due_day is None:
        return None
    days_past_due = rules.calendar.day_of(at_ms) - due_day
    if days_past_due <= rules.silent_days:
        return None
    reached = _severity_of(days_past_due, rules)
    if reached is None:
        return None
    severity, threshold_days = reached
    now = standing(loan, at_ms, rules, deadline=deadline)
    reasons = [_past_due_reason(loan, now, threshold_days, rules)]
    if now.restructured:
        reasons.append(_restructured_reason(now))
    return Finding(severity=severity, reasons=tuple(reasons))


def next_deadline_ms(loan: Loan, after_ms: int, rules: Rules) -> int | None:
    """The first local midnight after `after_ms` at which severity or bucket changes by time alone.

    Entries of the journal that are later than `after_ms` count from their own time on, so that a deadline
    which a later payment made pointless is still judged as of its instant.
    """
    known_ms = after_ms
    if loan.now.upto_ms <= known_ms:
        return _next_step_ms(loan, known_ms, after_ms, rules)
    while True:
        following_ms = next_entry_ms(loan, known_ms)
        due_ms = _next_step_ms(loan, known_ms, after_ms, rules)
        if due_ms is not None and (following_ms is None or due_ms <= following_ms):
            return due_ms
        if following_ms is None:
            return None
        known_ms = following_ms


def next_step_of_ms(oldest: Sequence[tuple[Loan, int]], after_ms: int, rules: Rules) -> int:
    """The first of `next_deadline_ms` of all loans, by their oldest unpaid lines; `NEVER` where there is none."""
    next_ms = NEVER
    for loan, place in oldest:
        due_day = rules.last_day_to_pay(loan.lines[place].due_day)
        for step_days in rules.missed_payment_steps_days:
            midnight_ms = rules.calendar.midnight_ms(due_day + step_days)
            if midnight_ms > after_ms:
                if midnight_ms < next_ms:
                    next_ms = midnight_ms
                break
    return next_ms


def resolution(loan: Loan, opened_ms: int, at_ms: int, rules: Rules) -> Resolution:
    """How a loan that is past due no more came right, or ended."""
    how: Resolution = "paid"
    if loan.closed_ms is not None and loan.closed_ms <= at_ms and loan.closing_reason is not None:
        how = _RESOLUTIONS[loan.closing_reason]
    elif was_rescheduled_last(loan, at_ms):
        how = "rescheduled"
    if how != "paid":
        return how
    is_forgiven = was_compensated(loan, opened_ms, at_ms) or was_settled_for_less(loan, opened_ms, rules)
    return "compensated" if is_forgiven else "paid"


def bucket_of(days_past_due: int) -> str:
    """The bucket of collections practice, for one day past due or more."""
    started = [
        bucket for start, bucket in zip(BUCKET_STARTS_DAYS, _BUCKETS, strict=True) if days_past_due >= start
    ]
    return started[-1]


def _next_step_ms(loan: Loan, known_ms: int, after_ms: int, rules: Rules) -> int | None:
    """The next step of the oldest unpaid line, on what is known up to `known_ms`, later than both."""
    due_day = oldest_unpaid_day(loan, known_ms, rules)
    if due_day is None:
        return None
    floor_ms = known_ms if known_ms > after_ms else after_ms
    for step_days in rules.missed_payment_steps_days:
        midnight_ms = rules.calendar.midnight_ms(due_day + step_days)
        if midnight_ms > floor_ms:
            return midnight_ms
    return None


def _severity_of(days_past_due: int, rules: Rules) -> tuple[Severity, int] | None:
    thresholds = rules.policy.signals.missed_payment.severity
    for severity, threshold_days in (
        (Severity.CRITICAL, thresholds.critical),
        (Severity.SERIOUS, thresholds.serious),
        (Severity.WARNING, thresholds.warning),
        (Severity.WATCH, thresholds.watch),
    ):
        if days_past_due >= threshold_days:
            return severity, threshold_days
    return None


def _past_due_reason(loan: Loan, now: Standing, threshold_days: int, rules: Rules) -> Reason:
    amount = format_amount(now.overdue_minor, loan.currency)
    since = iso_date(now.oldest_due_day)
    days = now.days_past_due
    return Reason(
        code="MP-DPD",
        text=Text(
            en=f"{days} {'day' if days == 1 else 'days'} past due: {amount} overdue since {since} "
            f"(threshold {threshold_days}).",
            zh=f"逾期 {days} 天：自 {since} 起逾期 {amount}（阈值 {threshold_days} 天）。",
        ),
        evidence={
            "days_past_due": days,
            "overdue_minor": now.overdue_minor,
            "currency": loan.currency,
            "threshold": threshold_days,
            "oldest_due_date": since,
            "instalments_past_due": now.instalments_past_due,
            "bucket": bucket_of(days),
            **_classified(now, rules),
        },
    )


def _classified(now: Standing, rules: Rules) -> dict[str, EvidenceValue]:
    """The regulatory class, where the policy selects a pack; its days are days at which the bucket changes too."""
    found = classify(now, rules.policy.classification.pack)
    if found is None:
        return {}
    return {
        "classification": found.name,
        "classification_pack": found.pack,
        "classification_rule": found.rule,
    }


def _restructured_reason(now: Standing) -> Reason:
    worst = now.worst_days_past_due
    return Reason(
        code="MP-RESTRUCTURED",
        text=Text(
            en=f"The loan got a new schedule within the last year; it had been {worst} days past due at worst.",
            zh=f"该贷款一年内调整过还款计划；此前最长逾期 {worst} 天。",
        ),
        evidence={"worst_days_past_due": worst},
    )


class MissedPayment:
    """`missed_payment`, a loan at a time, on the watermark of `repayments`; severity follows DPD, no cooldown."""

    name: Final = "missed_payment"
    clock: Final = REPAYMENTS
    feed: Final = REPAYMENTS
    looks_often: Final = False

    def cooldown_days(self, rules: Rules) -> int:
        """Every miss counts."""
        return 0

    def subjects(self, borrower: Borrower) -> Iterable[str | None]:
        """Each own loan."""
        return borrower.loans

    def judge(
        self,
        borrower: Borrower,
        subject: str | None,
        at_ms: int,
        episode: Episode | None,
        rules: Rules,
        *,
        deadline: bool,
    ) -> Finding | None:
        """Days past due as of `at_ms`."""
        assert subject is not None
        return judge(borrower.loans[subject], at_ms, rules, deadline=deadline)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next local midnight at which severity or DPD bucket changes."""
        assert subject is not None
        due_ms = next_deadline_ms(borrower.loans[subject], after_ms, rules)
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """How the loan came right, or ended."""
        assert subject is not None
        return resolution(borrower.loans[subject], episode.opened_ms, at_ms, rules)
