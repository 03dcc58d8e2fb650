"""A borrower's features as of an instant, read from the evidence."""

from __future__ import annotations

from models import income_outlook, institutions
from models.borrower import Borrower
from models.calendars import DAY_MS
from models.ledger import credit_limit_minor, position
from models.risk.features import UNKNOWN, Features
from models.rules import Rules
from models.signals.binding import known_of


def observe(borrower: Borrower, at_ms: int, rules: Rules, *, deadline: bool = False) -> Features:
    """The features of `borrower` on evidence up to `at_ms` (before it, where it is the midnight of a deadline)."""
    known_ms = known_of(at_ms, deadline=deadline)
    day = rules.calendar.day_of(at_ms)
    days_past_due = worst_days = overdue_minor = outstanding_minor = instalments = open_loans = 0
    used_minor = limits_minor = 0
    first_opened_ms = at_ms
    for loan in borrower.loans.values():
        if loan.opened_ms > known_ms:
            continue
        now = position(loan, at_ms, known_ms, day, rules)
        worst_days = max(worst_days, now.worst_days_past_due)
        first_opened_ms = min(first_opened_ms, loan.opened_ms)
        if loan.closed_ms is not None and loan.closed_ms <= known_ms:
            continue
        open_loans += 1
        days_past_due = max(days_past_due, now.days_past_due)
        overdue_minor += now.overdue_minor
        outstanding_minor += now.outstanding_minor
        instalments += now.instalments_past_due
        limit_minor = credit_limit_minor(loan, known_ms) if loan.limits_minor else None
        if limit_minor:
            used_minor += now.outstanding_minor
            limits_minor += limit_minor
    lost_fraction = income_outlook.lost_fraction(borrower.income, at_ms, rules)
    return Features(
        days_past_due,
        worst_days,
        min(1.0, overdue_minor / outstanding_minor) if outstanding_minor else 0.0,
        instalments,
        lost_fraction or 0.0,
        0.0 if lost_fraction is None else 1.0,
        _new_institutions(borrower, known_ms, rules),
        used_minor / limits_minor if limits_minor else UNKNOWN,
        max(0, (at_ms - first_opened_ms) // DAY_MS),
        open_loans,
    )


def _new_institutions(borrower: Borrower, known_ms: int, rules: Rules) -> int:
    """Institutions that are new within the window; where none was turned to in it, that is all there is to ask."""
    window_days = rules.policy.signals.multi_platform_borrowing.window_days
    since_ms = known_ms - window_days * DAY_MS
    for track in borrower.institutions.tracks:
        if since_ms < track.start_ms <= known_ms:
            break
    else:
        return 0
    found = institutions.new_institutions(borrower.institutions, borrower.own_platforms(known_ms), rules)
    return len(institutions.within_window(found, known_ms, window_days))
