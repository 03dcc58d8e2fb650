"""Hypothesis strategies for one borrower's month of events of every kind, after half a year of known life."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from hypothesis import strategies as st

from models.calendars import DAY_MS, HOUR_MS
from models.events import (
    AccountLinked,
    AccountUnlinked,
    AlertAcknowledged,
    AlertReviewed,
    AlertSnoozed,
    BorrowerEvent,
    BorrowerLinked,
    BorrowerUnlinked,
    ContactAttempted,
    CreditAccountClosed,
    CreditAccountOpened,
    CreditQuery,
    CreditSummary,
    FlowCategory,
    FundFlow,
    HoldPlaced,
    HoldReleased,
    InstalmentBilled,
    LimitChanged,
    LoanClosed,
    LoanOpened,
    LoanSnapshot,
    Repayment,
    RepaymentReversed,
    RestrictionLifted,
    RestrictionListed,
    ScheduleChanged,
)
from tests.support.events import at, flow, loan, paid, schedule

MONTH_MS = at("2025-06-01", "00:00")
_DUES = [(f"2025-{month:02d}-10", 100_000) for month in range(2, 10)]

KNOWN: list[BorrowerEvent] = [
    flow("2024-12-01", 1_000, "living", "out", balance_after_minor=400_000),
    *(flow(f"2025-{month:02d}-05", 500_000, balance_after_minor=600_000) for month in range(1, 6)),
    *(
        flow(f"2025-{month:02d}-20", 120_000, "loan_repayment", "out", counterparty_id="p-1")
        for month in range(3, 6)
    ),
    loan("2025-01-02", _DUES, principal_minor=800_000, purpose="consumption"),
    *(paid(f"2025-{month:02d}-09", 100_000) for month in range(2, 6)),
]
"""Pay each month, a loan here that is paid, and one elsewhere."""

Draw = st.DrawFn
Common = dict[str, Any]

_COMES_IN: tuple[FlowCategory | None, ...] = (
    "salary",
    "loan_disbursement",
    "refund",
    "own_transfer",
    "securities",
    None,
)
_GOES_OUT: tuple[FlowCategory | None, ...] = (
    "living",
    "loan_repayment",
    "other",
    "securities",
    "own_transfer",
    "rent",
)
_minor = st.sampled_from((60_000, 120_000, 250_000, 900_000))


def _flow(draw: Draw, common: Common) -> BorrowerEvent:
    is_in = draw(st.booleans())
    category = draw(st.sampled_from(_COMES_IN if is_in else _GOES_OUT))
    counterparty = "employer-1" if category == "salary" else draw(st.sampled_from(("p-1", "p-2", "x-1")))
    return FundFlow(
        **common,
        account_id=draw(st.sampled_from(("acc-1", "acc-1", "acc-2"))),
        direction="in" if is_in else "out",
        amount_minor=draw(_minor),
        currency="CNY",
        category=category,
        counterparty_id=counterparty,
        balance_after_minor=draw(st.sampled_from((None, 0, 30_000, 90_000, 1_500_000))),
    )


def _schedule(draw: Draw) -> Any:
    return schedule([(draw(st.sampled_from(("2025-06-20", "2025-07-05"))), 400_000)], first=5)


DRAWN: dict[type, Callable[[Draw, Common], BorrowerEvent]] = {
    LoanOpened: lambda draw, common: LoanOpened(
        **common,
        loan_id=f"l-{common['event_id']}",
        platform_id=draw(st.sampled_from(("own", "p-2"))),
        currency="CNY",
        principal_minor=300_000,
        instalments=schedule([(draw(st.sampled_from(("2025-06-18", "2025-07-02"))), 150_000)]),
    ),
    InstalmentBilled: lambda draw, common: InstalmentBilled(
        **common,
        loan_id="l-1",
        number=draw(st.sampled_from((5, 9))),
        due_date=date(2025, 6, draw(st.sampled_from((12, 25)))),
        amount_minor=draw(_minor),
        minimum_due_minor=draw(st.sampled_from((None, 20_000))),
    ),
    Repayment: lambda draw, common: Repayment(
        **common, loan_id="l-1", amount_minor=draw(st.sampled_from((50_000, 100_000, 200_000)))
    ),
    RepaymentReversed: lambda draw, common: RepaymentReversed(
        **common,
        loan_id="l-1",
        repayment_event_id=draw(st.sampled_from([e.event_id for e in KNOWN if isinstance(e, Repayment)])),
        amount_minor=100_000,
    ),
    ScheduleChanged: lambda draw, common: ScheduleChanged(
        **common,
        loan_id="l-1",
        reason=draw(st.sampled_from(("hardship", "extension"))),
        instalments=_schedule(draw),
    ),
    LimitChanged: lambda draw, common: LimitChanged(
        **common, loan_id="l-1", credit_limit_minor=draw(st.sampled_from((100_000, 900_000)))
    ),
    LoanSnapshot: lambda draw, common: LoanSnapshot(
        **common,
        loan_id=draw(st.sampled_from(("l-1", "l-9"))),
        as_of_date=date(2025, 6, draw(st.integers(min_value=1, max_value=9))),
        outstanding_minor=400_000,
        overdue_minor=draw(st.sampled_from((0, 100_000))),
        days_past_due=20,
    ),
    LoanClosed: lambda draw, common: LoanClosed(
        **common, loan_id="l-1", reason=draw(st.sampled_from(("settled", "refinanced", "sold")))
    ),
    FundFlow: _flow,
    AccountLinked: lambda _, common: AccountLinked(**common, account_id="acc-1"),
    AccountUnlinked: lambda _, common: AccountUnlinked(**common, account_id="acc-1"),
    CreditQuery: lambda draw, common: CreditQuery(
        **common,
        institution_id=f"i-{draw(st.integers(min_value=0, max_value=5))}",
        purpose=draw(st.sampled_from(("loan_application", "post_loan_review"))),
        application_id=draw(st.sampled_from((None, "app-1"))),
    ),
    CreditAccountOpened: lambda draw, common: CreditAccountOpened(
        **common,
        institution_id=f"i-{draw(st.integers(min_value=0, max_value=5))}",
        credit_account_id="c-1",
    ),
    CreditAccountClosed: lambda _, common: CreditAccountClosed(
        **common, institution_id="i-0", credit_account_id="c-1"
    ),
    CreditSummary: lambda draw, common: CreditSummary(
        **common,
        source=draw(st.sampled_from(("vendor-1", "vendor-2"))),
        window_days=90,
        applications=1,
        institutions=1,
        monthly_due_minor=draw(st.sampled_from((None, 0, 200_000, 400_000))),
    ),
    ContactAttempted: lambda draw, common: ContactAttempted(
        **common,
        channel="call",
        outcome=draw(st.sampled_from(("unreached", "unreached", "reached", "promised"))),
        promise_date=date(2025, 6, 28),
    ),
    HoldPlaced: lambda _, common: HoldPlaced(**common, hold_id="h-1", reason="dispute"),
    HoldReleased: lambda _, common: HoldReleased(**common, hold_id="h-1", reason="dispute"),
    AlertAcknowledged: lambda _, common: AlertAcknowledged(**common, alert_id="a-1", actor="o"),
    AlertReviewed: lambda _, common: AlertReviewed(
        **common, alert_id="a-1", actor="o", verdict="false_positive"
    ),
    AlertSnoozed: lambda _, common: AlertSnoozed(
        **common, alert_id="a-1", actor="o", until_ms=MONTH_MS + 60 * DAY_MS, reason="later"
    ),
    BorrowerLinked: lambda _, common: BorrowerLinked(
        **common, linked_borrower_id="b-2", relation="guarantor"
    ),
    BorrowerUnlinked: lambda _, common: BorrowerUnlinked(
        **common, linked_borrower_id="b-2", relation="guarantor"
    ),
    RestrictionListed: lambda _, common: RestrictionListed(**common, list="court", reason="unpaid"),
    RestrictionLifted: lambda _, common: RestrictionLifted(**common, list="court", reason="paid"),
}
"""How an event of each kind is drawn."""


@st.composite
def months_with(draw: Draw, kind: type) -> tuple[list[BorrowerEvent], BorrowerEvent]:
    """What is known and a month of up to eight events of any kind, in order; and one of them, which is of `kind`.

    So few that what is kept one by one holds them all. No snapshot beside it: a book that agrees leaves nothing, and one drawn later had counted what is voided (`test_voids`).
    """
    others = [other for other in DRAWN if other is not LoanSnapshot]
    kinds = [kind, *draw(st.lists(st.sampled_from(others), max_size=3))]
    alike = FundFlow if kind is LoanSnapshot else kind
    kinds += draw(st.lists(st.sampled_from((FundFlow, FundFlow, alike)), max_size=4))
    month: list[BorrowerEvent] = []
    for serial, one in enumerate(kinds):
        hours = draw(st.integers(min_value=0, max_value=29 * 4)) * 6
        common = {
            "event_id": f"m-{serial}",
            "borrower_id": "b-1",
            "event_time_ms": MONTH_MS + hours * HOUR_MS + serial,
        }
        month.append(DRAWN[one](draw, common))
    target = month[0]
    return sorted([*KNOWN, *month], key=lambda event: (event.event_time_ms, event.event_id)), target
