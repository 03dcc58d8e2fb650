"""What befalls a borrower: loans that are paid, late or not at all, a salary that may stop, borrowing elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from random import Random
from typing import Any, Final, NamedTuple

from models.calendars import DAY_MS, HOUR_MS, date_of_day, day_of_date
from models.events import (
    CREDIT_QUERIES,
    FUND_FLOWS,
    REPAYMENTS,
    SERVICING,
    BorrowerErased,
    BorrowerEvent,
    ContactAttempted,
    ContactOutcome,
    CreditAccountOpened,
    CreditQuery,
    EventVoided,
    FundFlow,
    HoldPlaced,
    HoldReleased,
    Instalment,
    LoanClosed,
    LoanOpened,
    Repayment,
    RepaymentReversed,
    ScheduleChanged,
)

DAYS: Final = 170
START_DAY: Final = day_of_date(date(2025, 3, 3))
START_MS: Final = START_DAY * DAY_MS
_INSTALMENT_MINOR: Final = 100_000
_IDS_REMEMBERED_AT_MOST: Final = 24
"""Of credit queries, two generations: an event older than what fell out is refused as too late."""


class Told(NamedTuple):
    """An event and its feed."""

    feed: int
    event: BorrowerEvent


class _Teller:
    """Numbers a borrower's events."""

    def __init__(self, dice: Random, borrower_id: str) -> None:
        self.dice = dice
        self.borrower_id = borrower_id
        self._told = 0

    def at(self, day: int, hour: int | None = None) -> dict[str, Any]:
        """What every event has; many lie at midnights, where deadlines are."""
        self._told += 1
        own_hour = self.dice.choice((0, 0, 9, 15, 16, 23)) if hour is None else hour
        return {
            "event_id": f"{self.borrower_id}-{self._told}",
            "borrower_id": self.borrower_id,
            "event_time_ms": START_MS + day * DAY_MS + own_hour * HOUR_MS,
        }


def life(dice: Random, borrower_id: str) -> Iterator[Told]:
    """All events of a borrower, in no particular order."""
    teller = _Teller(dice, borrower_id)
    for number in range(dice.choice((0, 1, 1, 2))):
        yield from _loan(teller, f"loan-{number}")
    if dice.random() < 0.6:
        yield from _salary(teller)
    if dice.random() < 0.6:
        yield from _queries(teller)
    if dice.random() < 0.3:
        yield from _serviced(teller)
    if dice.random() < 0.08:
        yield Told(SERVICING, BorrowerErased(**teller.at(dice.randrange(DAYS))))


def _loan(teller: _Teller, loan_id: str) -> Iterator[Told]:
    dice = teller.dice
    opened = dice.randrange(40)
    first, every = opened + dice.randint(5, 20), dice.choice((14, 21, 30))
    count = dice.randint(1, 4)
    yield Told(
        REPAYMENTS,
        LoanOpened(
            **teller.at(opened),
            loan_id=loan_id,
            platform_id="own",
            currency="CNY",
            principal_minor=count * _INSTALMENT_MINOR,
            instalments=_schedule(first, every, count),
        ),
    )
    for number in range(count):
        yield from _payment(teller, loan_id, first + every * number)
    if dice.random() < 0.15:
        day = first + dice.randrange(40)
        changed = ScheduleChanged(
            **teller.at(day), loan_id=loan_id, reason="hardship", instalments=_schedule(day + 9, 20, 2)
        )
        yield Told(REPAYMENTS, changed)
    if dice.random() < 0.3:
        yield Told(
            REPAYMENTS, LoanClosed(**teller.at(first + every * count + 9), loan_id=loan_id, reason="settled")
        )


def _schedule(first: int, every: int, count: int) -> tuple[Instalment, ...]:
    return tuple(
        Instalment(
            number=number + 1,
            due_date=date_of_day(START_DAY + first + every * number),
            amount_minor=_INSTALMENT_MINOR,
        )
        for number in range(count)
    )


def _payment(teller: _Teller, loan_id: str, due: int) -> Iterator[Told]:
    """One instalment's fate."""
    dice = teller.dice
    fate = dice.choice(("in time", "in time", "late", "partial", "never", "reversed"))
    if fate == "never":
        return
    day = due + (dice.randint(1, 40) if fate == "late" else dice.randint(-4, 0))
    amount_minor = 40_000 if fate == "partial" else _INSTALMENT_MINOR
    payment = Repayment(**teller.at(day), loan_id=loan_id, amount_minor=amount_minor)
    yield Told(REPAYMENTS, payment)
    if fate == "reversed":
        reversal = RepaymentReversed(
            **teller.at(day + dice.randint(1, 6)),
            loan_id=loan_id,
            repayment_event_id=payment.event_id,
            amount_minor=amount_minor,
        )
        yield Told(REPAYMENTS, reversal)
    elif dice.random() < 0.05:
        yield Told(REPAYMENTS, EventVoided(**teller.at(day + 3), target_event_id=payment.event_id))


def _salary(teller: _Teller) -> Iterator[Told]:
    """A pay a month that may stop or shrink, and some spending, so that the account is seen to live."""
    dice = teller.dice
    pay_day, months = dice.randrange(20), dice.choice((4, 4, 5, 6))
    shrinks_from = dice.randint(4, 6)
    for month in range(months):
        amount_minor = 500_000 if month < shrinks_from else 150_000
        yield _flow(teller, pay_day + 30 * month + dice.randint(-2, 2) * (month > 0), amount_minor, "in")
    for day in range(dice.randrange(8), DAYS, 17):
        yield _flow(teller, day, 9_000, "out")


def _flow(teller: _Teller, day: int, amount_minor: int, direction: Any) -> Told:
    flow = FundFlow(
        **teller.at(day),
        account_id="account",
        direction=direction,
        amount_minor=amount_minor,
        currency="CNY",
        category="salary" if direction == "in" else "living",
        counterparty_id="employer" if direction == "in" else None,
    )
    return Told(FUND_FLOWS, flow)


def _queries(teller: _Teller) -> Iterator[Told]:
    """A few, or a run on many institutions; after very many, an old one comes too late."""
    dice = teller.dice
    begin, count = dice.randrange(DAYS - 40), dice.choice((1, 3, 5, 9))
    for number in range(count):
        query = CreditQuery(
            **teller.at(begin + dice.randrange(25)),
            institution_id=f"bank-{number}",
            purpose="loan_application",
            application_id=dice.choice((None, None, "one-for-all")),
        )
        yield Told(CREDIT_QUERIES, query)
    if dice.random() < 0.3:
        opened = CreditAccountOpened(
            **teller.at(begin + 26), institution_id="bank-1", credit_account_id="elsewhere"
        )
        yield Told(CREDIT_QUERIES, opened)
    if dice.random() < 0.08:
        yield from _flood_of_queries(teller, begin + 10)


def _flood_of_queries(teller: _Teller, day: int) -> Iterator[Told]:
    for _ in range(_IDS_REMEMBERED_AT_MOST + 14):
        query = CreditQuery(**teller.at(day), institution_id="own", purpose="post_loan_review")
        yield Told(CREDIT_QUERIES, query)
    late = {**teller.at(day - 9), "ingested_at_ms": START_MS + (day + 2) * DAY_MS}
    yield Told(CREDIT_QUERIES, CreditQuery(**late, institution_id="bank-9", purpose="loan_application"))


def _serviced(teller: _Teller) -> Iterator[Told]:
    dice = teller.dice
    day = dice.randrange(20, DAYS - 30)
    outcome: ContactOutcome = dice.choice(("reached", "unreached", "promised"))
    yield Told(SERVICING, ContactAttempted(**teller.at(day), channel="phone", outcome=outcome))
    yield Told(SERVICING, HoldPlaced(**teller.at(day + 3), hold_id="hold", reason="dispute"))
    if dice.random() < 0.7:
        yield Told(SERVICING, HoldReleased(**teller.at(day + 20), hold_id="hold", reason="dispute"))
