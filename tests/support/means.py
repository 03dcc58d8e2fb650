"""What a borrower has and owes, a line each: loans, balances and pay for the signals that compare them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from models import balances, income
from models.balances import BalanceEvidence
from models.calendars import date_of_day, day_of_date
from models.events import AccountUnlinked, Event, FundFlow, LoanOpened, Repayment
from models.income import IncomeEvidence
from models.ledger import Loan, open_loan, pay
from models.rules import Rules
from tests.support.events import at, event_id, flow, loan, rules


def day_number(day: str) -> int:
    """A local day as a number."""
    return day_of_date(date.fromisoformat(day))


def days_before(day: str, days: int) -> str:
    """The date so many days before another; after it where negative."""
    return date_of_day(day_number(day) - days).isoformat()


def loans_of(*events: LoanOpened | Repayment, own_rules: Rules | None = None) -> dict[str, Loan]:
    """The ledger of loans and payments, in order."""
    own_rules = own_rules or rules()
    loans: dict[str, Loan] = {}
    for event in events:
        if isinstance(event, LoanOpened):
            loans[event.loan_id] = open_loan(event, own_rules)
        else:
            pay(loans[event.loan_id], event, own_rules)
    return loans


def one_loan(due: str, amount_minor: int = 100_000, **fields: Any) -> LoanOpened:
    """A loan with a single instalment, opened two months before."""
    return loan(days_before(due, 60), [(due, amount_minor)], **fields)


def told(
    when: str, balance_minor: int, time: str = "12:00", amount_minor: int = 100, **fields: Any
) -> FundFlow:
    """A small outflow that tells a balance."""
    values: dict[str, Any] = {"event_time_ms": at(when, time), "balance_after_minor": balance_minor}
    values |= fields
    return flow(when, amount_minor, values.pop("category", "living"), "out", **values)


def unlinked(when: str, time: str = "12:00", account_id: str = "acc-1") -> AccountUnlinked:
    """An account that we may see no more."""
    return AccountUnlinked(
        event_id=event_id(), borrower_id="b-1", event_time_ms=at(when, time), account_id=account_id
    )


def balances_of(*events: FundFlow | AccountUnlinked, own_rules: Rules | None = None) -> BalanceEvidence:
    """Balances in the order given."""
    own_rules = own_rules or rules()
    evidence = BalanceEvidence()
    for event in events:
        if isinstance(event, FundFlow):
            balances.record_flow(evidence, event, own_rules)
        else:
            balances.record_link(evidence, event.account_id, event.event_time_ms, linked=False)
    return evidence


def income_of(*flows: FundFlow, own_rules: Rules | None = None) -> IncomeEvidence:
    """Income in the order given."""
    own_rules = own_rules or rules()
    evidence = IncomeEvidence()
    for one in flows:
        income.record_flow(evidence, one, own_rules)
    return evidence


def monthly_pay(first: str, months: int, amount_minor: int = 800_000, **fields: Any) -> list[FundFlow]:
    """A salary on the same day of each month."""
    begin = date.fromisoformat(first)
    return [
        flow(
            begin.replace(
                year=begin.year + (begin.month - 1 + n) // 12, month=(begin.month - 1 + n) % 12 + 1
            ).isoformat(),
            amount_minor,
            **fields,
        )
        for n in range(months)
    ]


def every_day(first: str, last: str, balance_minor: int, **fields: Any) -> list[FundFlow]:
    """The same balance told each day, both included."""
    days = range(day_number(first), day_number(last) + 1)
    return [told(date_of_day(day).isoformat(), balance_minor, **fields) for day in days]


def by_time(events: Iterable[Event]) -> Sequence[Event]:
    """In order of time."""
    return sorted(events, key=lambda event: event.event_time_ms)
