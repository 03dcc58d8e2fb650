"""Hypothesis strategies for the life of one loan: schedules, bills, payments, bounces, new schedules, an end."""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from hypothesis import strategies as st

from models.calendars import DAY_MS, HOUR_MS, date_of_day, day_of_date
from models.events import (
    Instalment,
    InstalmentBilled,
    LimitChanged,
    LoanClosed,
    LoanOpened,
    Repayment,
    RepaymentReversed,
    ScheduleChanged,
    ScheduleReason,
)
from tests.support.ledgers import LoanEvent

LoanLog = tuple[LoanOpened, list[LoanEvent]]

START_DAY: Final = day_of_date(date(2025, 1, 1))
START_MS: Final = START_DAY * DAY_MS - 8 * HOUR_MS
"""The local midnight in Shanghai."""
DAYS: Final = 120
_HOURS = (0, 0, 0, 9, 23)
"""Many events lie at a midnight, and many at one instant: that is where mistakes are."""


@st.composite
def loan_logs(draw: st.DrawFn, max_size: int = 12) -> LoanLog:
    """An opening and what followed, in any order of arrival; reversals may come before their payments."""
    is_card = draw(st.booleans())
    opened = LoanOpened(
        event_id="opened",
        borrower_id="b",
        event_time_ms=START_MS + 8 * HOUR_MS,
        loan_id="l",
        platform_id="own",
        currency="CNY",
        principal_minor=300_000,
        instalments=() if is_card else draw(_schedules()),
    )
    events: list[LoanEvent] = []
    for serial in range(draw(st.integers(min_value=0, max_value=max_size))):
        events.append(draw(_event(serial, events, is_card=is_card)))
    return opened, draw(st.permutations(events))


def loan_logs_in_order(max_size: int = 12) -> st.SearchStrategy[LoanLog]:
    """An opening and what followed, in order of event time."""
    return loan_logs(max_size).map(
        lambda log: (log[0], sorted(log[1], key=lambda event: event.event_time_ms))
    )


@st.composite
def _event(draw: st.DrawFn, serial: int, before: list[LoanEvent], *, is_card: bool) -> LoanEvent:
    day = draw(st.integers(min_value=0, max_value=DAYS))
    time_ms = START_MS + day * DAY_MS + draw(st.sampled_from(_HOURS)) * HOUR_MS
    common: dict[str, Any] = {
        "event_id": f"e-{serial}",
        "borrower_id": "b",
        "loan_id": "l",
        "event_time_ms": max(time_ms, START_MS + 8 * HOUR_MS),
    }
    payments = [event for event in before if isinstance(event, Repayment)]
    match draw(st.sampled_from("ppppbbrscl")):
        case "b":
            return draw(_bill(common, day, is_card=is_card))
        case "r" if payments:
            return draw(_reversal(common, payments))
        case "s":
            # One a day of a serial's own: of two new schedules of one instant the later to arrive holds.
            common["event_time_ms"] = START_MS + day * DAY_MS + 12 * HOUR_MS + serial
            return ScheduleChanged(**common, reason=draw(_AGREED), instalments=draw(_schedules(day)))
        case "c" if draw(st.booleans()):
            return LoanClosed(**common, reason=draw(st.sampled_from(("settled", "written_off"))))
        case "l":
            return LimitChanged(**common, credit_limit_minor=draw(st.sampled_from((1, 2))))
        case _:
            return Repayment(
                **common,
                amount_minor=draw(st.sampled_from((0, 1, 100, 5_000, 50_000, 99_900, 100_000, 250_000))),
                instalment_number=draw(st.none() | st.integers(min_value=1, max_value=4)),
                payer=draw(st.sampled_from((None, "borrower", "guarantor"))),
            )


_AGREED: Final[st.SearchStrategy[ScheduleReason]] = st.sampled_from(("extension", "hardship", "restructure"))


@st.composite
def _schedules(draw: st.DrawFn, from_day: int = 0) -> tuple[Instalment, ...]:
    first = START_DAY + from_day + draw(st.integers(min_value=0, max_value=40))
    every = draw(st.sampled_from((0, 7, 30)))
    begin = draw(st.integers(min_value=0, max_value=2))
    return tuple(
        Instalment(
            number=begin + number,
            due_date=date_of_day(first + every * number),
            amount_minor=draw(st.sampled_from((0, 50_000, 100_000))),
        )
        for number in range(draw(st.integers(min_value=0, max_value=4)))
    )


@st.composite
def _bill(draw: st.DrawFn, common: dict[str, Any], day: int, *, is_card: bool) -> InstalmentBilled:
    minima = (0, 5_000, 10_000) if is_card else (None, None, 5_000)
    return InstalmentBilled(
        **common,
        number=draw(st.integers(min_value=1, max_value=5)),
        due_date=date_of_day(START_DAY + day + draw(st.integers(min_value=-10, max_value=30))),
        amount_minor=draw(st.sampled_from((50_000, 100_000))),
        minimum_due_minor=draw(st.sampled_from(minima)),
        balance_minor=draw(st.sampled_from((None, 200_000))),
    )


@st.composite
def _reversal(draw: st.DrawFn, common: dict[str, Any], payments: list[Repayment]) -> RepaymentReversed:
    payment = draw(st.sampled_from(payments))
    time_ms = max(common["event_time_ms"], payment.event_time_ms)
    return RepaymentReversed(
        **common | {"event_time_ms": time_ms},
        repayment_event_id=payment.event_id,
        amount_minor=draw(st.sampled_from((100, 50_000, payment.amount_minor))),
    )
