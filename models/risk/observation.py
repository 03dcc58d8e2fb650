"""A borrower's features as of an instant, read from the evidence.

What happened later than the instant counts for nothing, whenever it arrives: examples must not know the future. Nor does the
order in which loans became known: what is added up over them is added exactly. Each kind of
evidence is read only if it is asked for, so that a card pays for what it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from math import fsum, inf
from typing import Final, NamedTuple

from models import balances, income_outlook, institutions, rollovers, servicing
from models.borrower import Borrower
from models.calendars import DAY_MS
from models.income_level import monthly_income
from models.ledger import NONE_DUE, Line, Loan, Position, credit_limit_minor, position, spells
from models.obligations import is_open
from models.risk.features import (
    KINDS,
    LOOKBACK_DAYS,
    PAID_DAYS,
    TREND_MAX,
    UNKNOWN,
    UNREACHED_DAYS,
    Features,
    Kind,
)
from models.risk.scale import months_of
from models.rules import Rules
from models.signals import over_indebtedness
from models.signals.binding import known_of
from models.signals.unreachable import broken_promises

_POSITIONED: Final[frozenset[Kind]] = frozenset(("loans", "dues", "debts", "money"))
"""Kinds that ask how each loan stands."""
_STATEMENTS_BACK: Final = 3
"""Over how many statements the longer change of the balance is taken."""
_PAST_DUE_DAYS: Final = 1


class _Moment(NamedTuple):
    """As of when: the instant, the last one whose events count, the local day; and how the loans stand then."""

    at_ms: int
    known_ms: int
    day: int
    positions: Sequence[Position] = ()
    """Loan by loan, where the kinds that ask for them are looked at."""


class Reading:
    """A borrower as of an instant, read kind by kind: a card, or a bound on it, pays for what it asks for, once."""

    def __init__(self, borrower: Borrower, at_ms: int, rules: Rules, *, deadline: bool = False) -> None:
        """On evidence up to `at_ms` (before it, where it is the midnight of a deadline); nothing is read yet."""
        known_ms = known_of(at_ms, deadline=deadline)
        self._borrower = borrower
        self._rules = rules
        self._loans = [
            loan for loan in borrower.loans.values() if loan.opened_ms <= known_ms and not loan.is_voided
        ]
        self._moment = _Moment(at_ms, known_ms, rules.calendar.day_of(at_ms))
        self._has_positions = False
        self._found: dict[str, float] = {}
        self._read: frozenset[Kind] = frozenset()

    def read(self, kinds: frozenset[Kind]) -> Mapping[str, float]:
        """What is told by some kinds, and by all that were read before, by the features' names; of the others nothing is known."""
        missing = kinds - self._read if self._read else kinds
        if not missing:
            return self._found
        self._read |= missing
        moment = self._moment
        if not self._has_positions and not _POSITIONED.isdisjoint(missing):
            positions = [
                position(loan, moment.at_ms, moment.known_ms, moment.day, self._rules) for loan in self._loans
            ]
            self._has_positions = True
            moment = self._moment = moment._replace(positions=positions)
        found = self._found
        if "loans" in missing:
            found.update(_of_loans(self._loans, moment))
        for has_any, readers in _readers_of(missing):
            if has_any(self._borrower):
                for read in readers:
                    found.update(read(self._borrower, self._loans, moment, self._rules))
        return found


def observe(
    borrower: Borrower, at_ms: int, rules: Rules, *, deadline: bool = False, kinds: Collection[Kind] = KINDS
) -> Features:
    """The features of `borrower` on evidence up to `at_ms` (before it, where it is the midnight of a deadline).

    Those of kinds that are not asked for have their defaults.
    """
    return Features(**Reading(borrower, at_ms, rules, deadline=deadline).read(frozenset(kinds)))


def told_kinds(borrower: Borrower, kinds: frozenset[Kind]) -> frozenset[Kind]:
    """Those of `kinds` that there is anything, ever, to be read of; the features of all others have their defaults."""
    return _told_by(tuple([bool(has_any(borrower)) for has_any in _EVIDENCE]), kinds)


# ---- own loans -------------------------------------------------------------------------------------------------------


def _of_loans(loans: list[Loan], moment: _Moment) -> dict[str, float]:
    """How own loans stand; in one walk, for this is asked most often."""
    at_ms, known_ms = moment.at_ms, moment.known_ms
    days_past_due = worst_days = overdue_minor = outstanding_minor = instalments = open_loans = 0
    used_minor = limits_minor = 0
    first_opened_ms = at_ms
    for loan, now in zip(loans, moment.positions, strict=True):
        if now.worst_days_past_due > worst_days:
            worst_days = now.worst_days_past_due
        if loan.opened_ms < first_opened_ms:
            first_opened_ms = loan.opened_ms
        if loan.closed_ms is not None and loan.closed_ms <= known_ms:
            continue
        open_loans += 1
        if now.days_past_due > days_past_due:
            days_past_due = now.days_past_due
        overdue_minor += now.overdue_minor
        outstanding_minor += now.outstanding_minor
        instalments += now.instalments_past_due
        limit_minor = credit_limit_minor(loan, known_ms) if loan.limits_minor else None
        if limit_minor:
            used_minor += now.outstanding_minor
            limits_minor += limit_minor
    return {
        "days_past_due": days_past_due,
        "worst_days_past_due": worst_days,
        "overdue_share": min(1.0, overdue_minor / outstanding_minor) if outstanding_minor else 0.0,
        "missed_instalments": instalments,
        "utilisation": _bounded(used_minor / limits_minor) if limits_minor else UNKNOWN,
        "relation_days": max(0, (at_ms - first_opened_ms) // DAY_MS),
        "open_loans": open_loans,
    }


def _granted(borrower: Borrower, loans: list[Loan], moment: _Moment, rules: Rules) -> dict[str, float]:
    granted_months: list[float] = []
    known_ms = moment.known_ms
    for loan in loans:
        if loan.closed_ms is not None and loan.closed_ms <= known_ms:
            continue
        granted_minor = (
            credit_limit_minor(loan, known_ms) if loan.limits_minor else None
        ) or loan.principal_minor
        months = months_of(granted_minor, loan.currency)
        if months is None:
            return {}
        granted_months.append(months)
    return {"granted_months": fsum(granted_months)} if granted_months else {}


def _of_payments(borrower: Borrower, loans: list[Loan], moment: _Moment, rules: Rules) -> dict[str, float]:
    """What was paid lately, and when last."""
    last_ms, is_told = -1, bool(loans)
    months: list[float] = []
    for loan in loans:
        paid_minor, loan_last_ms = _paid(loan, PAID_DAYS, moment)
        last_ms = max(last_ms, loan_last_ms)
        more = months_of(paid_minor, loan.currency)
        is_told = is_told and more is not None
        months.append(more or 0.0)
    return {
        "paid_months": fsum(months) if is_told else UNKNOWN,
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


def _of_statements(borrower: Borrower, loans: list[Loan], moment: _Moment, rules: Rules) -> dict[str, float]:
    """The newest statements of open credit lines: how full, how they changed, what was paid on those that fell due."""
    newest_minor = change_minor = change_3_minor = limits_minor = paid_minor = due_minor = 0
    for loan in loans:
        limit_minor = credit_limit_minor(loan, moment.known_ms) if is_open(loan, moment.known_ms) else None
        statements = _statements(loan, moment) if limit_minor else []
        if not limit_minor or not statements:
            continue
        balances_minor = [balance_minor for _, balance_minor in statements]
        newest_minor += balances_minor[0]
        limits_minor += limit_minor
        if len(statements) > 1:
            change_minor += balances_minor[0] - balances_minor[1]
        if len(statements) > _STATEMENTS_BACK:
            change_3_minor += balances_minor[0] - balances_minor[_STATEMENTS_BACK]
        fell_due_minor, its_paid_minor = _paid_on_due_statement(loan, statements, moment, rules)
        due_minor += fell_due_minor
        paid_minor += its_paid_minor
    if not limits_minor:
        return {}
    return {
        "statement_paid_share": _bounded(paid_minor / due_minor) if due_minor > 0 else UNKNOWN,
        "statement_utilisation": _bounded(newest_minor / limits_minor),
        "statement_change": _clipped(change_minor / limits_minor),
        "statement_change_3": _clipped(change_3_minor / limits_minor),
    }


def _statements(loan: Loan, moment: _Moment) -> list[tuple[Line, int]]:
    """The newest statements with their balances, newest first; lines stand in order of their due days."""
    lookback_ms = moment.at_ms - LOOKBACK_DAYS * DAY_MS
    found: list[tuple[Line, int]] = []
    for line in reversed(loan.lines):
        if line.is_bill and lookback_ms < line.since_ms <= moment.known_ms:
            statement_minor = line.statement_minor
            if statement_minor is not None:
                found.append((line, statement_minor))
                if len(found) > _STATEMENTS_BACK:
                    break
    return found


def _paid_on_due_statement(
    loan: Loan, statements: list[tuple[Line, int]], moment: _Moment, rules: Rules
) -> tuple[int, int]:
    """Of the newest statement whose last day to pay has ended: its balance, and what was paid until the next one came."""
    next_ms = moment.known_ms + 1
    for line, statement_minor in statements:
        if rules.last_day_to_pay(line.due_day) < moment.day:
            paid_minor = sum(
                payment.counted_minor(moment.known_ms)
                for payment in loan.payments
                if line.since_ms < payment.time_ms < next_ms
                and not (payment.is_waiver or payment.compensates)
            )
            return statement_minor, paid_minor
        next_ms = line.since_ms
    return 0, 0


def _of_dues(borrower: Borrower, loans: list[Loan], moment: _Moment, rules: Rules) -> dict[str, float]:
    """When the next instalment falls due, and when one was last past due."""
    next_day = NONE_DUE
    since_days = inf
    for loan, now in zip(loans, moment.positions, strict=True):
        if now.next_due_day < next_day:
            next_day = now.next_due_day
        if now.worst_days_past_due:
            since_days = min(since_days, _days_since_late(loan, moment, rules))
    return {
        "days_to_due": UNKNOWN if next_day == NONE_DUE else next_day - moment.day,
        "days_since_late": since_days if since_days < LOOKBACK_DAYS else UNKNOWN,
    }


def _days_since_late(loan: Loan, moment: _Moment, rules: Rules) -> float:
    """Days since the loan was last past due; infinite where that was a mistake, or long ago."""
    found = spells(loan, moment.at_ms, moment.known_ms, _PAST_DUE_DAYS, rules)
    if not found:
        return inf
    ended_ms = found[-1].until_ms
    return 0.0 if ended_ms is None else (moment.at_ms - ended_ms) / DAY_MS


# ---- everything else -------------------------------------------------------------------------------------------------


def _of_income(borrower: Borrower, loans: list[Loan], moment: _Moment, rules: Rules) -> dict[str, float]:
    lost_fraction = income_outlook.lost_fraction(borrower.income, moment.at_ms, rules)
    return {} if lost_fraction is None else {"income_lost_fraction": lost_fraction, "income_visible": 1.0}


def _of_debts(borrower: Borrower, loans: list[Loan], moment: _Moment, rules: Rules) -> dict[str, float]:
    """Debts against the income that is recognised."""
    outstanding_minor: dict[str, int] = {}
    for loan, now in zip(loans, moment.positions, strict=True):
        if loan.closed_ms is None or loan.closed_ms > moment.known_ms:
            owed_minor = outstanding_minor.get(loan.currency, 0) + now.outstanding_minor
            outstanding_minor[loan.currency] = owed_minor
    debt_months: list[float] = []
    for currency, owed_minor in outstanding_minor.items():
        known = monthly_income(borrower.income, currency, moment.day, rules)
        if known is not None and known.amount_minor:
            debt_months.append(owed_minor / known.amount_minor)
    if not debt_months:
        return {}  # nor is there anything to compare what falls due with
    share = UNKNOWN
    for ratio, _, _ in over_indebtedness.ratios(
        borrower.loans, borrower.debts, borrower.income, moment.known_ms, moment.day, rules
    ):
        if ratio > share:
            share = ratio
    return {
        "debt_months": min(TREND_MAX, fsum(debt_months)),
        "debt_service_share": min(TREND_MAX, share),
    }


def _of_institutions(
    borrower: Borrower, loans: list[Loan], moment: _Moment, rules: Rules
) -> dict[str, float]:
    """Institutions that are new within the window; where none was turned to in it, that is all there is to ask."""
    known_ms = moment.known_ms
    window_days = rules.policy.signals.multi_platform_borrowing.window_days
    since_ms = known_ms - window_days * DAY_MS
    for track in borrower.institutions.tracks:
        if since_ms < track.start_ms <= known_ms:
            break
    else:
        return {}
    found = institutions.new_institutions(borrower.institutions, borrower.own_platforms(known_ms), rules)
    return {"new_institutions": len(institutions.within_window(found, known_ms, window_days))}


def _cash_cover(borrower: Borrower, loans: list[Loan], moment: _Moment, rules: Rules) -> dict[str, float]:
    """Money in sight against the next instalment; a currency in which an account is out of sight tells nothing."""
    fresh_days = rules.policy.signals.payment_at_risk.fresh_days
    covers: list[float] = []
    for currency, due_minor in _due_next(loans, moment).items():
        seen = balances.sight(borrower.balances, currency, moment.day, fresh_days, rules)
        if seen.accounts and not seen.is_blind:
            covers.append(seen.total_minor / due_minor)
    return {"cash_cover": min(TREND_MAX, *covers)} if covers else {}


def _due_next(loans: list[Loan], moment: _Moment) -> dict[str, int]:
    """By currency, what falls due on the first day on which anything does."""
    days: dict[str, int] = {}
    dues_minor: dict[str, int] = {}
    for loan, now in zip(loans, moment.positions, strict=True):
        if now.next_due_day == NONE_DUE:
            continue
        currency = loan.currency
        first_day = days.get(currency, NONE_DUE)
        if now.next_due_day < first_day:
            days[currency], dues_minor[currency] = now.next_due_day, now.next_due_minor
        elif now.next_due_day == first_day:
            dues_minor[currency] += now.next_due_minor
    return dues_minor


def _of_rollovers(borrower: Borrower, loans: list[Loan], moment: _Moment, rules: Rules) -> dict[str, float]:
    policy = rules.policy.signals.borrowing_to_repay
    start_ms = moment.at_ms - policy.window_days * DAY_MS
    if not rollovers.may_have_pairs(borrower.rollovers, loans, start_ms, policy.pair_days * DAY_MS):
        return {}
    found = rollovers.pairs(borrower.rollovers, borrower.loans, moment.known_ms, rules)
    return {"rollovers": sum(pair.completed_ms > start_ms for pair in found)}


def _of_contacts(borrower: Borrower, loans: list[Loan], moment: _Moment, rules: Rules) -> dict[str, float]:
    since_ms = moment.at_ms - UNREACHED_DAYS * DAY_MS
    broken = broken_promises(borrower.servicing, borrower.loans, moment.known_ms, moment.at_ms, rules)
    return {
        "unreached_attempts": len(servicing.unreached_since(borrower.servicing, since_ms, moment.known_ms)),
        "broken_promises": len(broken),
    }


_Evidence = Callable[[Borrower], object]
_Reader = Callable[[Borrower, list[Loan], _Moment, Rules], dict[str, float]]


def _any_loan(borrower: Borrower) -> object:
    return borrower.loans


def _any_limit(borrower: Borrower) -> object:
    for loan in borrower.loans.values():
        if loan.limits_minor:
            return True
    return False


def _any_income(borrower: Borrower) -> object:
    return borrower.income.sources


def _any_track(borrower: Borrower) -> object:
    return borrower.institutions.tracks


def _any_account(borrower: Borrower) -> object:
    return borrower.balances.accounts


def _any_repayment(borrower: Borrower) -> object:
    return borrower.rollovers.repayments


def _any_contact(borrower: Borrower) -> object:
    return borrower.servicing.contacts


_READERS: Final[dict[Kind, tuple[_Evidence, _Reader]]] = {
    "granted": (_any_loan, _granted),
    "payments": (_any_loan, _of_payments),
    "dues": (_any_loan, _of_dues),
    "statements": (_any_limit, _of_statements),
    "income": (_any_income, _of_income),
    "debts": (_any_income, _of_debts),
    "institutions": (_any_track, _of_institutions),
    "money": (_any_account, _cash_cover),
    "rollovers": (_any_repayment, _of_rollovers),
    "servicing": (_any_contact, _of_contacts),
}
"""By kind, but the own loans: whether there is anything to read, and the features read from it (the rest have their defaults)."""


_EVIDENCE: Final = tuple(dict.fromkeys(has_any for has_any, _ in _READERS.values()))
"""What there may be any of, each once."""


@cache
def _told_by(has_any: tuple[bool, ...], kinds: frozenset[Kind]) -> frozenset[Kind]:
    """The kinds that are read of any evidence that there is; borrowers differ in few ways."""
    there = {evidence for evidence, has in zip(_EVIDENCE, has_any, strict=True) if has}
    return frozenset(kind for kind in kinds if (_any_loan if kind == "loans" else _READERS[kind][0]) in there)


@cache
def _readers_of(kinds: frozenset[Kind]) -> tuple[tuple[_Evidence, tuple[_Reader, ...]], ...]:
    """What reads the features of some kinds, by the evidence that they are read from, so that each is asked for once."""
    by_evidence: dict[_Evidence, list[_Reader]] = {}
    for kind, (has_any, read) in _READERS.items():
        if kind in kinds:
            by_evidence.setdefault(has_any, []).append(read)
    return tuple((has_any, tuple(readers)) for has_any, readers in by_evidence.items())


def _bounded(share: float) -> float:
    return min(TREND_MAX, max(0.0, share))


def _clipped(change: float) -> float:
    return min(TREND_MAX, max(-TREND_MAX, change))
