"""What is remembered of a borrower, for the eyes of somebody who has to answer for it."""

from __future__ import annotations

from msgspec import Struct

from models import institutions, servicing
from models.borrower import Borrower
from models.calendars import iso_date
from models.income_level import monthly_income
from models.ledger import standing
from models.rules import Rules
from models.signal_table import SIGNALS


class LoanNow(Struct, frozen=True):
    """An own loan as of an instant; amounts in minor units of `currency`."""

    loan_id: str
    platform_id: str
    currency: str
    closed: str | None
    outstanding_minor: int
    overdue_minor: int
    days_past_due: int
    worst_days_past_due: int
    oldest_due_date: str | None
    next_due_date: str | None
    next_due_minor: int
    restructured: bool


class IncomeNow(Struct, frozen=True):
    """Recognised income in one currency, minor units a month."""

    currency: str
    monthly_minor: int
    last_pay_date: str | None
    history_days: int


class EpisodeNow(Struct, frozen=True):
    """An alert as it is remembered."""

    alert_id: str
    signal: str
    loan_id: str | None
    opened_at_ms: int
    closed_at_ms: int | None
    retracted: bool
    revision: int
    severity: int
    worst_severity: int


class NoteNow(Struct, frozen=True):
    """What somebody said of an alert; what they wrote with it is not told."""

    at_ms: int
    alert_id: str
    kind: str
    actor: str
    verdict: str | None
    until_ms: int | None


class HoldNow(Struct, frozen=True):
    """A hold that was placed or released."""

    at_ms: int
    hold_id: str
    released: bool
    reason: str
    until_ms: int | None


class Remembered(Struct, frozen=True, kw_only=True):
    """A borrower's picture in short, as of `as_of_ms` and by the policy named."""

    as_of_ms: int
    policy_version: str
    loans: tuple[LoanNow, ...]
    income: tuple[IncomeNow, ...]
    new_institutions: int
    """Distinct, within the policy's window."""
    episodes: tuple[EpisodeNow, ...]
    hold: str | None
    """The strongest that keeps anybody from acting; None where none does."""
    holds: tuple[HoldNow, ...]
    notes: tuple[NoteNow, ...]
    contacts: int
    restricted: bool
    """Whether the borrower stands on some list."""
    data_incomplete: bool
    """Whether refused records are missing from the picture."""


def remembered(borrower: Borrower, at_ms: int, rules: Rules) -> Remembered:
    """The picture of `borrower` as of `at_ms`."""
    evidence = borrower.servicing
    found = institutions.new_institutions(borrower.institutions, borrower.own_platforms(at_ms), rules)
    window_days = rules.policy.signals.multi_platform_borrowing.window_days
    return Remembered(
        as_of_ms=at_ms,
        policy_version=rules.policy_version,
        loans=tuple(_loan(borrower, loan_id, at_ms, rules) for loan_id in borrower.loans),
        income=tuple(_income(borrower, at_ms, rules)),
        new_institutions=len(institutions.within_window(found, at_ms, window_days)),
        episodes=tuple(
            EpisodeNow(
                alert_id=episode.alert_id,
                signal=SIGNALS[episode.signal].name,
                loan_id=episode.loan_id,
                opened_at_ms=episode.opened_ms,
                closed_at_ms=episode.closed_ms,
                retracted=episode.retracted,
                revision=episode.revision,
                severity=episode.severity,
                worst_severity=episode.worst_severity,
            )
            for episode in borrower.episodes
        ),
        hold=servicing.hold_as_of(evidence, at_ms, at_ms),
        holds=tuple(
            HoldNow(entry.time_ms, entry.hold_id, entry.is_release, entry.reason, entry.until_ms)
            for entry in evidence.holds
        ),
        notes=tuple(
            NoteNow(note.time_ms, note.alert_id, note.kind, note.actor, note.verdict, note.until_ms)
            for note in evidence.notes
        ),
        contacts=len(evidence.contacts),
        restricted=servicing.is_restricted(evidence, at_ms),
        data_incomplete=bool(borrower.incomplete),
    )


def _loan(borrower: Borrower, loan_id: str, at_ms: int, rules: Rules) -> LoanNow:
    loan = borrower.loans[loan_id]
    now = standing(loan, at_ms, rules)
    return LoanNow(
        loan_id=loan_id,
        platform_id=loan.platform_id,
        currency=loan.currency,
        closed=now.closed,
        outstanding_minor=now.outstanding_minor,
        overdue_minor=now.overdue_minor,
        days_past_due=now.days_past_due,
        worst_days_past_due=now.worst_days_past_due,
        oldest_due_date=iso_date(now.oldest_due_day),
        next_due_date=iso_date(now.next_due_day),
        next_due_minor=now.next_due_minor,
        restructured=now.restructured,
    )


def _income(borrower: Borrower, at_ms: int, rules: Rules) -> list[IncomeNow]:
    currencies = sorted({source.currency for source in borrower.income.sources})
    found = []
    for currency in currencies:
        income = monthly_income(borrower.income, currency, rules.calendar.day_of(at_ms), rules)
        if income is not None:
            found.append(
                IncomeNow(currency, income.amount_minor, iso_date(income.last_pay_day), income.history_days)
            )
    return found
