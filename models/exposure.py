"""What is at stake: the own loans of a borrower, or one of them, as of an instant."""

from __future__ import annotations

from models.alerts import Exposure
from models.borrower import Borrower
from models.calendars import iso_date
from models.ledger import Standing, standing
from models.money import within_int64
from models.rules import Rules


def exposure_of(
    borrower: Borrower, loan_id: str | None, at_ms: int, rules: Rules, *, deadline: bool = False
) -> Exposure:
    """Add up one loan, or all open loans of the currency in which most is overdue (then outstanding).

    Amounts of different currencies are never added: the others are left out, and `loan_ids` says what is in.
    """
    loan_ids = [loan_id] if loan_id is not None else list(borrower.loans)
    standings: dict[str, dict[str, Standing]] = {}
    for known_id in loan_ids:
        loan = borrower.loans[known_id]
        now = standing(loan, at_ms, rules, deadline=deadline)
        if loan_id is not None or (now.closed is None and loan.opened_ms <= at_ms):
            standings.setdefault(loan.currency, {})[known_id] = now
    if not standings:
        return Exposure(None, 0, 0, 0, None, None, 0, ())
    currency = min(standings, key=lambda code: (*_weight(standings[code]), code))
    return _add_up(currency, standings[currency])


def _weight(loans: dict[str, Standing]) -> tuple[int, int]:
    """Most overdue first, then most outstanding."""
    return (
        -sum(loan.overdue_minor for loan in loans.values()),
        -sum(loan.outstanding_minor for loan in loans.values()),
    )


def _add_up(currency: str, loans: dict[str, Standing]) -> Exposure:
    oldest_due_days = [loan.oldest_due_day for loan in loans.values() if loan.oldest_due_day is not None]
    next_due_day = min(
        (loan.next_due_day for loan in loans.values() if loan.next_due_day is not None), default=None
    )
    return Exposure(
        currency=currency,
        outstanding_minor=within_int64(sum(loan.outstanding_minor for loan in loans.values())),
        overdue_minor=within_int64(sum(loan.overdue_minor for loan in loans.values())),
        days_past_due=max(loan.days_past_due for loan in loans.values()),
        oldest_due_date=iso_date(min(oldest_due_days, default=None)),
        next_due_date=iso_date(next_due_day),
        next_due_minor=within_int64(
            sum(
                loan.next_due_minor
                for loan in loans.values()
                if loan.next_due_day == next_due_day is not None
            )
        ),
        loan_ids=tuple(loans),
    )
