"""Hypothesis strategies for logs of events: a few borrowers over half a year, all three signals within reach."""

from __future__ import annotations

from datetime import date
from typing import Any

from hypothesis import strategies as st

from models.calendars import DAY_MS, HOUR_MS, date_of_day, day_of_date
from models.events import (
    AccountUnlinked,
    BorrowerEvent,
    CreditAccountOpened,
    CreditQuery,
    FundFlow,
    Instalment,
    InstalmentBilled,
    LoanClosed,
    LoanOpened,
    Repayment,
    RepaymentReversed,
    ScheduleChanged,
)

START = date(2025, 1, 1)
_START_DAY = day_of_date(START)
DAYS = 200

_hours = st.integers(min_value=0, max_value=23)
_BUSY_HOURS = (0, 0, 0, 9, 15, 23)
"""Many events lie near midnight, where deadlines are."""


@st.composite
def _moment_ms(draw: st.DrawFn) -> int:
    day = _START_DAY + draw(st.integers(min_value=0, max_value=DAYS))
    minute = draw(st.sampled_from((0, 10, 30, 59)))
    hour = draw(st.sampled_from(_BUSY_HOURS))
    return day * DAY_MS - 8 * HOUR_MS + hour * HOUR_MS + minute * 60_000


def _due_date(draw: st.DrawFn) -> date:
    return date_of_day(_START_DAY + draw(st.integers(min_value=10, max_value=DAYS)))


def _schedule(draw: st.DrawFn) -> tuple[Instalment, ...]:
    first = draw(st.integers(min_value=10, max_value=90))
    return tuple(
        Instalment(
            number=number, due_date=date_of_day(_START_DAY + first + 30 * (number - 1)), amount_minor=100_000
        )
        for number in range(1, draw(st.integers(min_value=0, max_value=4)) + 1)
    )


@st.composite
def _events_of(draw: st.DrawFn, borrower: str) -> list[BorrowerEvent]:
    serial = iter(range(10**6))

    def common(time_ms: int) -> dict[str, Any]:
        return {"event_id": f"{borrower}-{next(serial)}", "borrower_id": borrower, "event_time_ms": time_ms}

    events: list[BorrowerEvent] = []
    payments: list[str] = []
    if draw(st.booleans()):
        events.extend(_pays(draw, common))
    events.extend(
        LoanOpened(
            **common(_START_DAY * DAY_MS + loan_number),
            loan_id=f"l-{loan_number}",
            platform_id="own",
            currency="CNY",
            principal_minor=400_000,
            instalments=_schedule(draw),
        )
        for loan_number in range(draw(st.integers(min_value=0, max_value=2)))
    )
    for _ in range(draw(st.integers(min_value=0, max_value=14))):
        time_ms = draw(_moment_ms())
        loan_id = f"l-{draw(st.integers(min_value=0, max_value=1))}"
        match draw(st.integers(min_value=0, max_value=9)):
            case 0 | 1 | 2:
                payment = Repayment(
                    **common(time_ms),
                    loan_id=loan_id,
                    amount_minor=draw(st.sampled_from((50_000, 99_900, 100_000, 250_000))),
                    instalment_number=draw(st.none() | st.integers(min_value=1, max_value=4)),
                    payer=draw(st.sampled_from((None, "borrower", "guarantor"))),
                )
                payments.append(payment.event_id)
                events.append(payment)
            case 3 if payments:
                events.append(
                    RepaymentReversed(
                        **common(time_ms),
                        loan_id=loan_id,
                        repayment_event_id=draw(st.sampled_from(payments)),
                        amount_minor=100_000,
                    )
                )
            case 4:
                events.append(
                    ScheduleChanged(
                        **common(time_ms),
                        loan_id=loan_id,
                        reason=draw(st.sampled_from(("hardship", "extension"))),
                        instalments=_schedule(draw),
                    )
                )
            case 5:
                events.append(
                    InstalmentBilled(
                        **common(time_ms),
                        loan_id=loan_id,
                        number=draw(st.integers(min_value=1, max_value=9)),
                        due_date=_due_date(draw),
                        amount_minor=80_000,
                        minimum_due_minor=draw(st.sampled_from((None, 0, 10_000))),
                    )
                )
            case 6 | 7:
                events.append(
                    CreditQuery(
                        **common(time_ms),
                        institution_id=f"i-{draw(st.integers(min_value=0, max_value=12))}",
                        purpose="loan_application",
                        application_id=draw(st.sampled_from((None, "app-1"))),
                    )
                )
            case 8:
                events.append(
                    CreditAccountOpened(
                        **common(time_ms), institution_id=f"i-{draw(_hours)}", credit_account_id="c"
                    )
                )
            case _:
                events.append(draw(st.sampled_from((_closing, _unlinking)))(common(time_ms), loan_id))
    return events


def _closing(common: dict[str, Any], loan_id: str) -> BorrowerEvent:
    return LoanClosed(**common, loan_id=loan_id, reason="settled")


def _unlinking(common: dict[str, Any], loan_id: str) -> BorrowerEvent:
    return AccountUnlinked(**common, account_id="acc-1")


def _pays(draw: st.DrawFn, common: Any) -> list[BorrowerEvent]:
    """A monthly salary, maybe lost, and something spent every few days."""
    until_month = draw(st.integers(min_value=3, max_value=8))
    flows: list[BorrowerEvent] = []
    for month in range(until_month):
        day = _START_DAY + 9 + month * 30 + draw(st.integers(min_value=-2, max_value=2))
        flows.append(
            FundFlow(
                **common(day * DAY_MS),
                account_id="acc-1",
                direction="in",
                amount_minor=draw(st.sampled_from((500_000, 500_000, 500_000, 200_000))),
                currency="CNY",
                category="salary",
                counterparty_id="employer",
            )
        )
    flows.extend(
        FundFlow(
            **common((_START_DAY + week * 7) * DAY_MS + 5 * HOUR_MS),
            account_id="acc-1",
            direction="out",
            amount_minor=10_000,
            currency="CNY",
            category="living",
        )
        for week in range(0, DAYS // 7, 2)
    )
    return flows


@st.composite
def logs_in_order(draw: st.DrawFn, borrowers_max: int = 4) -> list[BorrowerEvent]:
    """Events of several borrowers, delivered when they happened."""
    events: list[BorrowerEvent] = []
    for number in range(draw(st.integers(min_value=1, max_value=borrowers_max))):
        events.extend(draw(_events_of(f"b-{number}")))
    return sorted(events, key=lambda event: (event.event_time_ms, event.event_id))


@st.composite
def logs(draw: st.DrawFn) -> list[BorrowerEvent]:
    """Events of several borrowers, some delivered late or out of order."""
    events = draw(logs_in_order())
    for _ in range(draw(st.integers(min_value=0, max_value=6))):
        if events:
            taken = events.pop(draw(st.integers(min_value=0, max_value=len(events) - 1)))
            events.insert(draw(st.integers(min_value=0, max_value=len(events))), taken)
    return events
