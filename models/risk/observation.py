"""A borrower's features as of an instant, read from the evidence.

What happened later than the instant counts for nothing, whenever it arrives: examples must not know the future. Each kind of
evidence is read only if it is asked for, so that a card pays for what it uses.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from models import balances, institutions, rollovers, servicing
from models.borrower import Borrower
from models.calendars import DAY_MS
from models.income_level import monthly_income
from models.ledger import Loan, Standing, standing
from models.risk.features import (
    KINDS,
    LOOKBACK_DAYS,
    PAID_DAYS,
    STATEMENT_PAID_DAYS,
    TREND_MAX,
    UNKNOWN,
    UNREACHED_DAYS,
    Features,
    Kind,
)
from models.risk.scale import months_of
from models.rules import Rules
from models.signals import income_drop, over_indebtedness
from models.signals.binding import known_of
from models.signals.unreachable import broken_promises

_STATEMENTS_BACK: Final = 3
"""Over how many statements the longer change of the balance is taken."""


class _Moment(NamedTuple):
    """As of when: the instant, the last one whose events count, the local day."""

    at_ms: int
    known_ms: int
    day: int


Own = list[tuple[Loan, Standing]]
"""Own loans with how they stand."""


def observe(
    borrower: Borrower, at_ms: int, rules: Rules, *, deadline: bool = False, kinds: Collection[Kind] = KINDS
) -> Features:
    """The features of `borrower` on evidence up to `at_ms` (before it, where it is the midnight of a deadline).

    Those of kinds that are not asked for have their defaults.
    """
    moment = _Moment(at_ms, known_of(at_ms, deadline=deadline), rules.calendar.day_of(at_ms))
    loans = [
        (loan, standing(loan, at_ms, rules, deadline=deadline))
        for loan in borrower.loans.values()
        if loan.opened_ms <= moment.known_ms and not loan.is_voided
    ]
    still_open = [own for own in loans if own[1].closed is None]
    found: dict[str, float] = {}
    if "loans" in kinds:
        found |= _of_loans(loans, still_open, moment)
    if "income" in kinds and borrower.income.sources:
        found |= _of_income(borrower, still_open, moment, rules, deadline=deadline)
    if "institutions" in kinds and borrower.institutions.tracks:
        found["new_institutions"] = _new_institutions(borrower, moment, rules)
    if "money" in kinds and borrower.balances.accounts:
        found["cash_cover"] = _cash_cover(borrower, still_open, moment, rules)
    if "rollovers" in kinds and borrower.rollovers.repayments:
        found["rollovers"] = _rollovers(borrower, moment, rules)
    if "servicing" in kinds and borrower.servicing.contacts:
        found |= _of_contacts(borrower, moment, rules)
    return Features(**found)


# ---- own loans -------------------------------------------------------------------------------------------------------


def _of_loans(loans: Own, still_open: Own, moment: _Moment) -> dict[str, float]:
    outstanding_minor = sum(now.outstanding_minor for _, now in still_open)
    overdue_minor = sum(now.overdue_minor for _, now in still_open)
    lines = [(loan, now.credit_limit_minor) for loan, now in still_open if now.credit_limit_minor]
    first_ms = min((loan.opened_ms for loan, _ in loans), default=moment.at_ms)
    limits_minor = sum(limit_minor for _, limit_minor in lines)
    used_minor = sum(now.outstanding_minor for _, now in still_open if now.credit_limit_minor)
    return {
        "days_past_due": max((now.days_past_due for _, now in still_open), default=0),
        "worst_days_past_due": max((now.worst_days_past_due for _, now in loans), default=0),
        "overdue_share": min(1.0, overdue_minor / outstanding_minor) if outstanding_minor else 0.0,
        "missed_instalments": sum(now.instalments_past_due for _, now in still_open),
        "utilisation": _bounded(used_minor / limits_minor) if limits_minor else UNKNOWN,
        "relation_days": max(0, (moment.at_ms - first_ms) // DAY_MS),
        "open_loans": len(still_open),
        "granted_months": _granted_months(still_open),
        **_of_payments(loans, moment),
        **_of_statements(lines, moment),
    }


def _granted_months(still_open: Own) -> float:
    months = 0.0
    for loan, now in still_open:
        more = months_of(now.credit_limit_minor or loan.principal_minor, loan.currency)
        if more is None:
            return UNKNOWN
        months += more
    return months if still_open else UNKNOWN


def _of_payments(loans: Own, moment: _Moment) -> dict[str, float]:
    """What was paid lately, and when last."""
    months, last_ms, is_told = 0.0, -1, bool(loans)
    for loan, _ in loans:
        paid_minor, loan_last_ms = _paid(loan, PAID_DAYS, moment)
        last_ms = max(last_ms, loan_last_ms)
        more = months_of(paid_minor, loan.currency)
        is_told = is_told and more is not None
        months += more or 0.0
    return {
        "paid_months": months if is_told else UNKNOWN,
        "days_since_payment": UNKNOWN if last_ms < 0 else (moment.at_ms - last_ms) / DAY_MS,
    }


def _paid(loan: Loan, days: int, moment: _Moment) -> tuple[int, int]:
    """What the borrower paid within so many days, as it counts by now, and the instant of the last payment, or -1."""
    since_ms = moment.at_ms - days * DAY_MS
    lookback_ms = moment.at_ms - LOOKBACK_DAYS * DAY_MS
    paid_minor, last_ms = 0, -1
    for payment in reversed(loan.payments):
        time_ms = payment.time_ms
        if time_ms <= lookback_ms or (time_ms <= since_ms and last_ms >= 0):
            break
        if time_ms > moment.known_ms or payment.is_waiver or payment.compensates:
            continue
        if counted_minor := payment.counted_minor(moment.known_ms):
            last_ms = max(last_ms, time_ms)
            if time_ms > since_ms:
                paid_minor += counted_minor
    return paid_minor, last_ms


def _of_statements(lines: list[tuple[Loan, int]], moment: _Moment) -> dict[str, float]:
    """The newest statements of credit lines: how full, how they changed, what was paid on them."""
    newest_minor = change_minor = change_3_minor = limits_minor = paid_minor = 0
    for loan, limit_minor in lines:
        statements_minor = _statements_minor(loan, moment)
        if not statements_minor:
            continue
        newest_minor += statements_minor[0]
        limits_minor += limit_minor
        paid_minor += _paid(loan, STATEMENT_PAID_DAYS, moment)[0]
        if len(statements_minor) > 1:
            change_minor += statements_minor[0] - statements_minor[1]
        if len(statements_minor) > _STATEMENTS_BACK:
            change_3_minor += statements_minor[0] - statements_minor[_STATEMENTS_BACK]
    if not limits_minor:
        return {}
    return {
        "statement_paid_share": _bounded(paid_minor / newest_minor) if newest_minor > 0 else UNKNOWN,
        "statement_utilisation": _bounded(newest_minor / limits_minor),
        "statement_change": _clipped(change_minor / limits_minor),
        "statement_change_3": _clipped(change_3_minor / limits_minor),
    }


def _statements_minor(loan: Loan, moment: _Moment) -> list[int]:
    """Balances of the newest statements, newest first; lines stand in order of their due days."""
    lookback_ms = moment.at_ms - LOOKBACK_DAYS * DAY_MS
    found: list[int] = []
    for line in reversed(loan.lines):
        if line.is_bill and lookback_ms < line.since_ms <= moment.known_ms:
            statement_minor = line.statement_minor
            if statement_minor is not None:
                found.append(statement_minor)
                if len(found) > _STATEMENTS_BACK:
                    break
    return found


# ---- everything else -------------------------------------------------------------------------------------------------


def _of_income(
    borrower: Borrower, still_open: Own, moment: _Moment, rules: Rules, *, deadline: bool
) -> dict[str, float]:
    """Income lost, and debts against the income that is recognised."""
    lost_fraction = income_drop.lost_fraction(borrower.income, moment.at_ms, rules)
    outstanding_minor: dict[str, int] = {}
    for loan, now in still_open:
        outstanding_minor[loan.currency] = outstanding_minor.get(loan.currency, 0) + now.outstanding_minor
    debt_months = UNKNOWN
    for currency, owed_minor in outstanding_minor.items():
        known = monthly_income(borrower.income, currency, moment.day, rules)
        if known is not None and known.amount_minor:
            debt_months = max(debt_months, 0.0) + owed_minor / known.amount_minor
    ratios = over_indebtedness.ratios(
        borrower.loans, borrower.debts, borrower.income, moment.at_ms, rules, deadline=deadline
    )
    return {
        "income_lost_fraction": lost_fraction or 0.0,
        "income_visible": 0.0 if lost_fraction is None else 1.0,
        "debt_months": min(TREND_MAX, debt_months),
        "debt_service_share": min(TREND_MAX, max((ratio for ratio, _, _ in ratios), default=UNKNOWN)),
    }


def _new_institutions(borrower: Borrower, moment: _Moment, rules: Rules) -> float:
    own = borrower.own_platforms(moment.known_ms)
    found = institutions.new_institutions(borrower.institutions, own, rules)
    window_days = rules.policy.signals.multi_platform_borrowing.window_days
    return len(institutions.within_window(found, moment.known_ms, window_days))


def _cash_cover(borrower: Borrower, still_open: Own, moment: _Moment, rules: Rules) -> float:
    """Money in sight against the next instalment; a currency in which an account is out of sight tells nothing."""
    fresh_days = rules.policy.signals.payment_at_risk.fresh_days
    next_minor: dict[str, tuple[int, int]] = {}
    for loan, now in still_open:
        if now.next_due_day is not None and now.next_due_minor:
            day, due_minor = next_minor.get(loan.currency, (now.next_due_day, 0))
            if now.next_due_day < day:
                day, due_minor = now.next_due_day, 0
            if now.next_due_day == day:
                next_minor[loan.currency] = (day, due_minor + now.next_due_minor)
    covers: list[float] = []
    for currency, (_, due_minor) in next_minor.items():
        seen = balances.sight(borrower.balances, currency, moment.day, fresh_days, rules)
        if seen.accounts and not seen.is_blind:
            covers.append(seen.total_minor / due_minor)
    return min(TREND_MAX, *covers) if covers else UNKNOWN


def _rollovers(borrower: Borrower, moment: _Moment, rules: Rules) -> float:
    start_ms = moment.at_ms - rules.policy.signals.borrowing_to_repay.window_days * DAY_MS
    found = rollovers.pairs(borrower.rollovers, borrower.loans, moment.known_ms, rules)
    return sum(pair.completed_ms > start_ms for pair in found)


def _of_contacts(borrower: Borrower, moment: _Moment, rules: Rules) -> dict[str, float]:
    since_ms = moment.at_ms - UNREACHED_DAYS * DAY_MS
    broken = broken_promises(borrower.servicing, borrower.loans, moment.known_ms, moment.at_ms, rules)
    return {
        "unreached_attempts": len(servicing.unreached_since(borrower.servicing, since_ms, moment.known_ms)),
        "broken_promises": len(broken),
    }


def _bounded(share: float) -> float:
    return min(TREND_MAX, max(0.0, share))


def _clipped(change: float) -> float:
    return min(TREND_MAX, max(-TREND_MAX, change))
