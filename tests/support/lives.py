"""A borrower's life with evidence of every kind that features are read from, as Hypothesis strategies."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from models.calendars import DAY_MS, HOUR_MS, date_of_day, day_of_date
from models.events import (
    BorrowerEvent,
    ContactAttempted,
    ContactOutcome,
    FundFlow,
    InstalmentBilled,
    LimitChanged,
    LoanOpened,
    Repayment,
)
from tests.support.logs import DAYS, START, logs_in_order

START_DAY = day_of_date(START)
START_MS = START_DAY * DAY_MS - 8 * HOUR_MS


@st.composite
def moments(draw: st.DrawFn) -> int:
    """Often a midnight, where days end."""
    return (
        START_MS
        + draw(st.integers(1, DAYS)) * DAY_MS
        + draw(st.sampled_from((0, 0, 9, 15, 23))) * HOUR_MS
        + draw(st.sampled_from((0, 0, 1)))
    )


@st.composite
def lives(draw: st.DrawFn) -> list[BorrowerEvent]:
    """A borrower's events of all kinds that add to what is known; nothing that rewrites the past on purpose."""
    events = [event for event in draw(logs_in_order(borrowers_max=1)) if event.borrower_id == "b-0"]
    events.append(
        LoanOpened(
            **_common("card", START_MS),
            loan_id="card",
            platform_id="own",
            currency="CNY",
            principal_minor=0,
            instalments=(),
            credit_limit_minor=1_000_000,
        )
    )
    events.extend(draw(_event(f"x-{serial}", draw(moments()))) for serial in range(draw(st.integers(0, 14))))
    return sorted(events, key=lambda event: (event.event_time_ms, event.event_id))


@st.composite
def _event(draw: st.DrawFn, event_id: str, time_ms: int) -> BorrowerEvent:
    common = _common(event_id, time_ms)
    amount = draw(st.sampled_from((20_000, 100_000, 400_000)))
    match draw(st.sampled_from("bppflrcm")):
        case "b":
            return InstalmentBilled(
                **common,
                loan_id="card",
                number=draw(st.integers(1, 9)),
                due_date=date_of_day(time_ms // DAY_MS + draw(st.integers(0, 25))),
                amount_minor=amount,
                minimum_due_minor=amount // 10,
                balance_minor=amount,
            )
        case "p":
            return Repayment(**common, loan_id="card", amount_minor=amount)
        case "f":
            return _flow(common, "out", "living", amount, balance_after_minor=amount)
        case "l":
            return _flow(common, "in", "loan_disbursement", amount, counterparty_id="p-1")
        case "r":
            return _flow(common, "out", "loan_repayment", amount, counterparty_id="p-2")
        case "c":
            outcome: ContactOutcome = draw(st.sampled_from(("unreached", "unreached", "reached", "promised")))
            day = date_of_day(time_ms // DAY_MS + 5) if outcome == "promised" else None
            return ContactAttempted(
                **common, channel="call", outcome=outcome, party="borrower", promise_date=day
            )
        case _:
            return LimitChanged(**common, loan_id="card", credit_limit_minor=10 * amount)


def _common(event_id: str, time_ms: int) -> dict[str, Any]:
    return {"event_id": event_id, "borrower_id": "b-0", "event_time_ms": time_ms}


def _flow(common: dict[str, Any], direction: Any, category: Any, amount: int, **fields: Any) -> BorrowerEvent:
    return FundFlow(
        **common,
        **fields,
        account_id="acc-1",
        direction=direction,
        amount_minor=amount,
        currency="CNY",
        category=category,
    )
