"""No feature knows the future: what happens later changes nothing that was observed, however it arrives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zlib import crc32

from hypothesis import example, given, settings
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
from models.risk.features import Features
from models.risk.observation import observe
from tests.support.events import at, billed, engine, feed_of, loan, paid, rules
from tests.support.logs import DAYS, START, logs_in_order

RULES = rules()
START_DAY = day_of_date(START)
START_MS = START_DAY * DAY_MS - 8 * HOUR_MS
LATER_DAYS = 20
"""How far beyond the observation evidence may reach for the observation to stay exact: the least that any kind of evidence
keeps behind its newest entry (`models.balances.LATE_DAYS`). A live observation is made within the feed's lateness."""


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


def observed(events: Sequence[BorrowerEvent], at_ms: int, *, deadline: bool) -> Features | None:
    """What is observed as of an instant, once all these events have come in this order."""
    risk_engine = engine()
    for offset, event in enumerate(events):
        risk_engine.process(event, feed_of(event), offset)
    borrower = risk_engine.borrower("b-0")
    return None if borrower is None else observe(borrower, at_ms, RULES, deadline=deadline)


_CARD = loan("2025-01-01", [], borrower="b-0", loan_id="card", principal_minor=0, credit_limit_minor=500_000)
_LATE_BILL = [
    _CARD,
    billed("2025-02-01", "2025-02-20", 9_000, 1, borrower="b-0", loan_id="card", balance_minor=90_000),
    paid("2025-02-10", 40_000, borrower="b-0", loan_id="card"),
    billed("2025-03-01", "2025-03-20", 9_000, 2, borrower="b-0", loan_id="card", balance_minor=80_000),
]


@example(events=_LATE_BILL, at_ms=at("2025-02-15", "00:00"), deadline=True, shuffle=1)
@example(events=_LATE_BILL, at_ms=at("2025-02-10", "12:00"), deadline=False, shuffle=0)
@given(events=lives(), at_ms=moments(), deadline=st.booleans(), shuffle=st.integers(0, 2**32))
@settings(deadline=None, max_examples=150)
def test_what_happens_later_changes_no_feature(
    events: list[BorrowerEvent], at_ms: int, deadline: bool, shuffle: int
) -> None:
    """Features as of an instant are the same before and after all that happens later has come, in any order."""
    known_ms = at_ms - 1 if deadline else at_ms
    before = [event for event in events if event.event_time_ms <= known_ms]
    later = [event for event in events if known_ms < event.event_time_ms <= known_ms + LATER_DAYS * DAY_MS]
    later.sort(key=lambda event: crc32(f"{event.event_id} {shuffle}".encode()))

    expected = observed(before, at_ms, deadline=deadline)
    if expected is not None:
        assert observed([*before, *later], at_ms, deadline=deadline) == expected
