"""For each signal a life that opens it and comes right again, and one that hovers at what it asks for.

`python -m tests.support.signal_stories` prints what all of it tells, a line a signal: to be compared between processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from models.alerts import Alert, SignalName
from models.events import BorrowerEvent
from tests.support.equality import comparable
from tests.support.events import flow, loan, paid, query
from tests.support.means import days_before, monthly_pay, told
from tests.support.partitions import Partitions
from tests.support.servicing import contact, linked

B = "b-1"
"""Whom every story is about."""
LOAN: Final = [loan("2025-01-05", [(f"2025-{month:02d}-20", 100_000) for month in range(2, 12)])]


class SignalStory(Struct, frozen=True):
    """What happens, and by when it is long over."""

    opens: Sequence[BorrowerEvent]
    ends: Sequence[BorrowerEvent]
    """What makes it right; empty where time alone does."""
    until: str
    hovers: Sequence[BorrowerEvent]
    """Values a little above and below the threshold in turn, for months."""
    hovering_revisions_max: int
    """Revisions that all of it may cause: one that resolves and opens again at each turn needs far more."""


def in_time(events: Sequence[BorrowerEvent]) -> list[BorrowerEvent]:
    """In order."""
    return sorted(events, key=lambda event: (event.event_time_ms, event.event_id))


def live(events: Sequence[BorrowerEvent], until: str, partitions: int = 1, override: str = "") -> list[Alert]:
    """The alerts of borrowers up to the end of a day, everything told that linked ones tell each other."""
    world = Partitions(partitions, override)
    world.run(in_time(events))
    world.advance(until)
    world.settle()
    return world.alerts


def payments(first: int, last: int, day: int = 20, amount: int = 100_000) -> list[BorrowerEvent]:
    """Instalments paid, of the months of 2025."""
    return [paid(f"2025-{month:02d}-{day:02d}", amount) for month in range(first, last + 1)]


def _missed_payment() -> SignalStory:
    """Three weeks late once; hovering, each payment lacks what the tolerance forgives, or a little less."""
    return SignalStory(
        opens=[*LOAN, *payments(2, 3)],
        ends=[paid("2025-05-11", 100_000), *payments(5, 11)],
        until="2025-12-20",
        hovers=[*LOAN, *(paid(f"2025-{m:02d}-20", 99_900 + m % 2 * 99) for m in range(2, 12))],
        hovering_revisions_max=0,
    )


def _spent(months: Sequence[int]) -> list[BorrowerEvent]:
    return [
        flow(f"2025-{m:02d}-{day:02d}", 10_000, "living", "out") for m in months for day in (3, 11, 18, 25)
    ]


def _income_drop() -> SignalStory:
    """Four months without pay; hovering, pay is 31 % and 29 % below what it was, in turn."""
    return SignalStory(
        opens=[*monthly_pay("2025-01-10", 5), *_spent(range(1, 13))],
        ends=monthly_pay("2025-10-10", 4),
        until="2026-01-05",
        hovers=[
            *monthly_pay("2025-01-10", 5),
            *(flow(f"2025-{m:02d}-10", 552_000 + m % 2 * 16_000) for m in range(6, 13)),
            *_spent(range(1, 13)),
        ],
        hovering_revisions_max=4,
    )


def _multi_platform_borrowing() -> SignalStory:
    """Four institutions in a week; hovering, another one every ten days, so that two or three are in the window."""
    return SignalStory(
        opens=[query(f"2025-03-0{day}", f"i-{day}") for day in range(1, 5)],
        ends=[],
        until="2025-05-01",
        hovers=[query(days_before("2025-02-01", -10 * n - n % 2 * 3), f"h-{n}") for n in range(20)],
        hovering_revisions_max=20,
    )


def _payment_at_risk() -> SignalStory:
    """Too little on the account before a due date, and paid on it; hovering, a fen too much and too little in turn."""
    return SignalStory(
        opens=[*LOAN, told("2025-02-10", 500_000), told("2025-02-15", 20_000)],
        ends=payments(2, 11),
        until="2025-12-20",
        hovers=[
            *LOAN,
            *payments(2, 11),
            *(
                told(f"2025-{m:02d}-{day:02d}", 100_000 - 1 + 2 * (day % 2))
                for m in range(2, 12)
                for day in range(1, 21)
            ),
        ],
        hovering_revisions_max=20,
    )


def _rollover(day: str, name: str) -> list[BorrowerEvent]:
    lender: dict[str, Any] = {"counterparty_kind": "lender"}
    return [
        flow(day, 200_000, "loan_disbursement", counterparty_id=f"app-{name}", **lender),
        flow(
            days_before(day, -2), 190_000, "loan_repayment", "out", counterparty_id=f"bank-{name}", **lender
        ),
    ]


def _borrowing_to_repay() -> SignalStory:
    """Three loans elsewhere spent on repaying others; hovering, one every 46 days, so that one or two are in the window."""
    return SignalStory(
        opens=[
            *LOAN,
            *payments(2, 11),
            *(one for n in range(3) for one in _rollover(f"2025-04-{4 + 8 * n:02d}", f"{n}")),
        ],
        ends=[],
        until="2025-12-20",
        hovers=[
            one for n in range(8) for one in _rollover(days_before("2025-02-01", -46 * n - n % 2), f"h{n}")
        ],
        hovering_revisions_max=16,
    )


def _elsewhere(month: int, amount: int) -> BorrowerEvent:
    return flow(
        f"2025-{month:02d}-12",
        amount,
        "loan_repayment",
        "out",
        counterparty_id="bank-x",
        counterparty_kind="lender",
    )


def _over_indebtedness() -> SignalStory:
    """Three quarters of the income fall due, most of it elsewhere, until that is paid off; hovering, 49 % and 51 % in turn."""
    return SignalStory(
        opens=[
            *LOAN,
            *payments(2, 11),
            *monthly_pay("2025-01-10", 14),
            *(_elsewhere(m, 500_000) for m in range(1, 8)),
        ],
        ends=[],
        until="2026-02-20",
        hovers=[
            *LOAN,
            *payments(2, 11),
            *monthly_pay("2025-01-10", 12),
            *(_elsewhere(m, 292_000 + m // 3 % 2 * 16_000) for m in range(1, 13)),
        ],
        hovering_revisions_max=4,
    )


def _fund_misuse() -> SignalStory:
    """Half of a loan goes to a broker; hovering, a fifth of it goes there and comes back, again and again."""
    begin: list[BorrowerEvent] = [
        loan("2025-06-01", [("2026-05-01", 1_000_000)], principal_minor=2_000_000, purpose="consumption"),
        flow("2025-06-02", 2_000_000, "loan_disbursement", loan_id="l-1"),
    ]
    broker = {"counterparty_id": "broker"}
    return SignalStory(
        opens=[*begin, flow("2025-06-03", 1_000_000, "securities", "out", **broker)],
        ends=[],
        until="2025-10-01",
        hovers=[
            *begin,
            flow("2025-06-03", 399_000, "securities", "out", **broker),
            *(
                flow(f"2025-06-{day:02d}", 2_000, "securities", "in" if day % 2 else "out", **broker)
                for day in range(4, 16)
            ),
        ],
        hovering_revisions_max=4,
    )


def _asset_flight() -> SignalStory:
    """Past due, most of the money goes to a new hand; hovering, a little less or more each week, and as much comes back."""
    before: list[BorrowerEvent] = [told(f"2025-{m:02d}-0{d}", 1_000_000) for m in range(1, 7) for d in (2, 7)]
    cousin = {"counterparty_id": "cousin", "counterparty_kind": "other"}
    return SignalStory(
        opens=[
            *LOAN,
            *payments(2, 5),
            *before,
            told("2025-06-22", 1_000_000),
            flow("2025-06-24", 700_000, None, "out", balance_after_minor=300_000, **cousin),
        ],
        ends=[paid("2025-07-10", 100_000), *payments(7, 11)],
        until="2025-12-20",
        hovers=[
            *LOAN,
            *payments(2, 5),
            *before,
            *(told(f"2025-07-{day:02d}", 1_000_000, "08:00") for day in range(1, 29)),
            *(
                flow(
                    f"2025-07-{day:02d}",
                    290_000 + day % 2 * 20_000,
                    None,
                    "out",
                    balance_after_minor=700_000,
                    counterparty_id=f"friend-{day}",
                    counterparty_kind="other",
                )
                for day in (2, 9, 16, 23)
            ),
            *payments(8, 11),
        ],
        hovering_revisions_max=6,
    )


def _unreachable() -> SignalStory:
    """Called in vain day after day, then paid; hovering, answered after every fifth call."""
    return SignalStory(
        opens=[
            *LOAN,
            *payments(2, 3),
            *(contact(f"2025-04-{day:02d}") for day in range(21, 30)),
        ],
        ends=[paid("2025-05-11", 100_000), *payments(5, 11)],
        until="2025-12-20",
        hovers=[
            *LOAN,
            *payments(2, 3),
            *(
                contact(days_before("2025-04-22", -n), "reached" if n % 6 == 5 else "unreached")
                for n in range(60)
            ),
        ],
        hovering_revisions_max=40,
    )


def _relapse() -> SignalStory:
    """Ten days late, made good, and late again; hovering, six days late and seven in turn."""
    late = [days_before(f"2025-{m:02d}-20", -6 - m % 2) for m in range(2, 12)]
    return SignalStory(
        opens=[*LOAN, paid("2025-03-02", 100_000), *payments(3, 5)],
        ends=[paid("2025-07-02", 100_000), *payments(7, 11)],
        until="2025-12-20",
        hovers=[*LOAN, *(paid(day, 100_000) for day in late)],
        hovering_revisions_max=40,
    )


def _risk_score() -> SignalStory:
    """Eight institutions at once; hovering, seven or eight are in the window."""
    return SignalStory(
        opens=[*LOAN, *payments(2, 11), *(query("2025-04-02", f"i-{n}") for n in range(8))],
        ends=[],
        until="2025-12-20",
        hovers=[
            *LOAN,
            *payments(2, 11),
            *(query(days_before("2025-02-01", -4 * n), f"h-{n}") for n in range(60)),
        ],
        hovering_revisions_max=16,
    )


def _linked_distress() -> SignalStory:
    """The guarantor misses a payment for weeks, then pays; hovering, late by just so much again and again."""
    other = "g-1"
    dues = [(f"2025-{month:02d}-20", 100_000) for month in range(2, 12)]
    theirs = loan("2025-01-05", dues, borrower=other, loan_id="l-g")
    link = linked("2025-01-06", other)
    return SignalStory(
        opens=[*LOAN, *payments(2, 11), theirs, link],
        ends=[paid("2025-04-10", 1_000_000, borrower=other, loan_id="l-g")],
        until="2025-12-20",
        hovers=[
            *LOAN,
            *payments(2, 11),
            theirs,
            link,
            *(
                paid(days_before(due, -29 - n % 2), 100_000, borrower=other, loan_id="l-g")
                for n, (due, _) in enumerate(dues)
            ),
        ],
        hovering_revisions_max=20,
    )


STORIES: Final[dict[SignalName, Callable[[], SignalStory]]] = {
    "missed_payment": _missed_payment,
    "income_drop": _income_drop,
    "multi_platform_borrowing": _multi_platform_borrowing,
    "payment_at_risk": _payment_at_risk,
    "borrowing_to_repay": _borrowing_to_repay,
    "over_indebtedness": _over_indebtedness,
    "fund_misuse": _fund_misuse,
    "asset_flight": _asset_flight,
    "unreachable": _unreachable,
    "relapse": _relapse,
    "risk_score": _risk_score,
    "linked_distress": _linked_distress,
}
"""By signal; `tests/models/signals/test_contract.py` asks for one of each."""


def main() -> None:
    """Print a digest of each story's alerts, event ids apart."""
    for name, tell in STORIES.items():
        story = tell()
        alerts = [comparable(alert) for alert in live([*story.opens, *story.ends], story.until)]
        for alert in alerts:
            del alert["caused_by"]["event_id"]
        digest = hashlib.sha256(msgspec.json.encode(alerts, order="sorted")).hexdigest()
        print(name, len(alerts), digest)


if __name__ == "__main__":
    main()
