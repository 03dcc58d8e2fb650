"""A borrower's features as of an instant, read from the evidence."""

from __future__ import annotations

from models import institutions
from models.borrower import Borrower
from models.calendars import DAY_MS
from models.ledger import Standing, standing
from models.risk.features import UNKNOWN, Features
from models.rules import Rules
from models.signals import income_drop
from models.signals.binding import known_of


def observe(borrower: Borrower, at_ms: int, rules: Rules, *, deadline: bool = False) -> Features:
    """The features of `borrower` on evidence up to `at_ms` (before it, where it is the midnight of a deadline)."""
    known_ms = known_of(at_ms, deadline=deadline)
    loans = [loan for loan in borrower.loans.values() if loan.opened_ms <= known_ms]
    standings = [standing(loan, at_ms, rules, deadline=deadline) for loan in loans]
    still_open = [now for now in standings if now.closed is None]
    outstanding_minor = sum(now.outstanding_minor for now in still_open)
    overdue_minor = sum(now.overdue_minor for now in still_open)
    lost_fraction = income_drop.lost_fraction(borrower.income, at_ms, rules)
    found = institutions.new_institutions(borrower.institutions, borrower.own_platforms(known_ms), rules)
    window_days = rules.policy.signals.multi_platform_borrowing.window_days
    return Features(
        days_past_due=max((now.days_past_due for now in still_open), default=0),
        worst_days_past_due=max((now.worst_days_past_due for now in standings), default=0),
        overdue_share=min(1.0, overdue_minor / outstanding_minor) if outstanding_minor else 0.0,
        missed_instalments=sum(now.instalments_past_due for now in still_open),
        income_lost_fraction=lost_fraction or 0.0,
        income_visible=0.0 if lost_fraction is None else 1.0,
        new_institutions=len(institutions.within_window(found, known_ms, window_days)),
        utilisation=_utilisation(still_open),
        relation_days=max(0, (at_ms - min(loan.opened_ms for loan in loans)) // DAY_MS) if loans else 0,
        open_loans=len(still_open),
    )


def _utilisation(still_open: list[Standing]) -> float:
    lines = [now for now in still_open if now.credit_limit_minor]
    limits_minor = sum(now.credit_limit_minor or 0 for now in lines)
    return sum(now.outstanding_minor for now in lines) / limits_minor if limits_minor else UNKNOWN
