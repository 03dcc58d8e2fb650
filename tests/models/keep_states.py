"""Keep the state bytes of a new format version: `python -m tests.models.keep_states`.

Borrowers with as much variety as a state can hold live until one instant; their records are kept, and with them what
came before, what came after, and the alerts that followed. A folder of an older version is never written again, but for
those alerts: where rules change what is told, `--alerts` tells them anew, and the change is there to be read.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from models.alerts import Alert
from models.borrower import STATE_VERSION, Borrower
from models.engine import EngineProgress, RiskEngine
from models.events import REPAYMENTS, SERVICING, TOPICS, AccountLinked, AccountUnlinked, Event
from models.signal_table import SIGNALS
from tests.support.events import (
    at,
    billed,
    bounced,
    end_of,
    ended,
    engine,
    feed_of,
    flow,
    in_order,
    loan,
    paid,
    query,
    rescheduled,
)
from tests.support.kept import KeptVersion, keep, kept_versions
from tests.support.shapes import shape_of

ROOT: Final = Path(__file__).parent / "kept_states"
CUT_MS: Final = at("2025-07-02", "00:40")
"""Forty minutes past a midnight: deadlines of the day before have not passed yet, judgements wait for them."""
UNTIL: Final = "2025-12-31"


class Refused(Struct, frozen=True):
    """A record with a readable key that was refused before it came to the engine."""

    feed: int
    borrower_id: str
    event_id: str | None
    event_time_ms: int | None


class Step(Struct, frozen=True, omit_defaults=True):
    """One thing that came in: an event, or that one was refused."""

    feed: int
    event: Event | None = None
    refused: Refused | None = None


class Life(Struct, frozen=True):
    """One borrower's story."""

    holds: str
    events: Sequence[Event] = ()
    refused: Sequence[Refused] = ()


def feed_steps(risk_engine: RiskEngine, steps: Sequence[Step], first_offset: int) -> None:
    """Let an engine live through steps."""
    for offset, step in enumerate(steps, start=first_offset):
        if step.refused is not None:
            bad = step.refused
            risk_engine.note_reject(bad.feed, bad.borrower_id, bad.event_id, bad.event_time_ms, offset)
        elif step.event is not None:
            risk_engine.process(step.event, step.feed, offset)


def finish(risk_engine: RiskEngine) -> list[Alert]:
    """Pass the end of the year on every feed."""
    risk_engine.advance_together(end_of(UNTIL))
    return risk_engine.take_alerts(detected_at_ms=0)


def alerts_after(kept: KeptVersion) -> list[Alert]:
    """What follows when an engine is restored from kept bytes and goes on."""
    risk_engine = engine()
    for borrower_id, record in kept.records.items():
        risk_engine.restore(borrower_id, record)
    risk_engine.resume(msgspec.json.decode((kept.folder / "progress.json").read_bytes(), type=EngineProgress))
    feed_steps(risk_engine, steps_of(kept, "after"), len(steps_of(kept, "before")))
    return finish(risk_engine)


def alerts_of_a_life_without_a_break(kept: KeptVersion) -> list[Alert]:
    """What an engine that was never stopped tells behind the cut."""
    risk_engine = engine()
    before = steps_of(kept, "before")
    feed_steps(risk_engine, before, 0)
    risk_engine.take_output(detected_at_ms=0)
    feed_steps(risk_engine, steps_of(kept, "after"), len(before))
    return finish(risk_engine)


def steps_of(kept: KeptVersion, name: str) -> list[Step]:
    """What came `before` or `after` the cut."""
    lines = (kept.folder / f"{name}.jsonl").read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Step) for line in lines]


def told(alert: Alert) -> dict[str, Any]:
    """What of an alert a person acts on; wording, scores and hashes have tests of their own."""
    hold = alert.recommendation.hold
    return {
        "borrower_id": alert.borrower_id,
        "signal": alert.signal,
        "loan_id": alert.loan_id,
        "status": alert.status,
        "severity": alert.severity,
        "resolution": alert.resolution,
        "event_time_ms": alert.event_time_ms,
        "alert_id": alert.alert_id,
        "revision": alert.revision,
        "case_id": alert.case_id,
        "actionable": alert.recommendation.actionable,
        "hold": hold,
        "days_past_due": alert.exposure.days_past_due,
        "overdue_minor": alert.exposure.overdue_minor,
        "reasons": [reason.code for reason in alert.reasons],
    }


def as_lines(items: Sequence[object]) -> bytes:
    """JSON, a line each."""
    return b"".join(msgspec.json.encode(item) + b"\n" for item in items)


def monthly(first: int = 2, last: int = 12, day: int = 1, amount: int = 100_000) -> list[tuple[str, int]]:
    """Instalments of 2025."""
    return [(f"2025-{month:02d}-{day:02d}", amount) for month in range(first, last + 1)]


def salaries(borrower: str, months: Sequence[int], amount: int = 800_000) -> list[Event]:
    """A pay on the tenth, and something spent every week."""
    pays: list[Event] = [flow(f"2025-{month:02d}-10", amount, borrower=borrower) for month in months]
    spent = [f"2025-{month:02d}-{day:02d}" for month in months for day in (3, 11, 18, 25)]
    return pays + [flow(day, 10_000, "living", "out", borrower=borrower) for day in spent]


def lives() -> dict[str, Life]:
    """Every borrower by id."""
    return {**_lives_of_payments(), **_lives_of_money(), **_lives_of_gaps()}


def _lives_of_payments() -> dict[str, Life]:
    good, late, card, agreed = "pays-on-time", "pays-late", "holds-a-card", "restructured"
    undone, closed, proved_wrong = "payment-bounced", "closed-loans", "alert-retracted"
    first = paid("2025-04-01", 100_000, borrower=undone)
    return {
        good: Life(
            "a loan paid in time each month, payments behind the cut as well",
            [
                loan("2025-01-05", monthly(), good),
                *(paid(due, amount, borrower=good) for due, amount in monthly(last=10)),
            ],
        ),
        late: Life(
            "two loans; missed payments open and closed, a guarantor paid once, critical at last",
            [
                loan("2025-01-05", monthly(), late),
                loan("2025-02-05", monthly(3, 9, 15, 50_000), late, "l-2"),
                paid("2025-02-11", 100_000, borrower=late),
                paid("2025-03-20", 100_000, borrower=late, payer="guarantor"),
                paid("2025-03-15", 50_000, borrower=late, loan_id="l-2"),
                paid("2025-06-20", 120_000, borrower=late),
                paid("2025-09-20", 900_000, borrower=late),
            ],
        ),
        card: Life(
            "a card: bills with minimum and balance, a limit changed, a minimum missed",
            [
                loan("2025-01-05", [], card, principal_minor=0, credit_limit_minor=2_000_000, product="card"),
                *(
                    billed(
                        f"2025-{month:02d}-05",
                        f"2025-{month:02d}-25",
                        300_000,
                        month,
                        card,
                        minimum_due_minor=30_000,
                        balance_minor=300_000 + 1_000 * month,
                    )
                    for month in range(2, 10)
                ),
                *(paid(f"2025-{month:02d}-24", 40_000, borrower=card) for month in (2, 3, 4, 8, 9)),
            ],
        ),
        agreed: Life(
            "a loan missed, restructured twice, one of it a hardship",
            [
                loan("2025-01-05", monthly(), agreed),
                paid("2025-02-01", 100_000, borrower=agreed),
                rescheduled("2025-05-15", monthly(7, 12, 5, 120_000), 10, borrower=agreed),
                rescheduled(
                    "2025-06-25", monthly(8, 12, 20, 150_000), 20, borrower=agreed, reason="hardship"
                ),
            ],
        ),
        undone: Life(
            "a payment that bounced in two parts, the second behind the cut, and one learnt late",
            [
                loan("2025-03-05", monthly(4), undone),
                first,
                bounced("2025-04-20", first, 60_000),
                bounced("2025-07-20", first, 40_000),
                paid("2025-05-01", 160_000, borrower=undone, ingested_at_ms=at("2025-06-20")),
                paid("2025-06-01", 100_000, borrower=undone, instalment_number=3),
            ],
        ),
        proved_wrong: Life(
            "an alert retracted by a payment that was made in time and learnt three weeks late",
            [
                loan("2025-05-05", monthly(6), proved_wrong),
                paid("2025-05-31", 100_000, borrower=proved_wrong, ingested_at_ms=at("2025-06-21")),
            ],
        ),
        closed: Life(
            "three loans closed in three ways, one overdue and written off, and a fourth that lives",
            [
                *(loan("2025-01-05", monthly(2, 4), closed, f"l-{number}") for number in range(1, 5)),
                *(paid(due, amount, borrower=closed) for due, amount in monthly(2, 4)),
                ended("2025-04-02", "settled", borrower=closed),
                ended("2025-05-02", "written_off", borrower=closed, loan_id="l-2"),
                ended("2025-03-20", "refinanced", borrower=closed, loan_id="l-3"),
                paid("2025-08-02", 500_000, borrower=closed, loan_id="l-4"),
            ],
        ),
    }


def _lives_of_money() -> dict[str, Life]:
    lost, unseen, weekly, many = "lost-the-job", "account-unlinked", "paid-by-the-week", "borrows-everywhere"
    return {
        lost: Life(
            "income that stopped in April, and comes back in September",
            [*salaries(lost, range(1, 5)), *salaries(lost, range(9, 12))],
        ),
        unseen: Life(
            "an account linked, unlinked, and the pay on another one in another currency",
            [
                AccountLinked(
                    event_id="linked",
                    borrower_id=unseen,
                    event_time_ms=at("2025-01-01"),
                    account_id="acc-1",
                ),
                *salaries(unseen, range(1, 6)),
                AccountUnlinked(
                    event_id="unlinked",
                    borrower_id=unseen,
                    event_time_ms=at("2025-06-05"),
                    account_id="acc-1",
                ),
                *(
                    flow(f"2025-{month:02d}-20", 90_000, borrower=unseen, account_id="acc-2", currency="USD")
                    for month in range(1, 11)
                ),
            ],
        ),
        weekly: Life(
            "pay without a category from one hand every week, takings of a trade, and a bonus",
            [
                *(
                    flow(
                        day, 60_000, None, borrower=weekly, counterparty_id="shop", counterparty_kind="other"
                    )
                    for month in range(1, 11)
                    for day in (f"2025-{month:02d}-{week:02d}" for week in (6, 13, 20, 27))
                ),
                *(
                    flow(f"2025-{month:02d}-0{day}", 5_000, "business_income", borrower=weekly)
                    for month in range(1, 8)
                    for day in (2, 4, 5)
                ),
                flow("2025-06-30", 300_000, borrower=weekly),
            ],
        ),
        many: Life(
            "eight institutions in a month, one application sent to three, a disbursement, alerts open",
            [
                loan("2025-01-05", monthly(), many),
                *(query(f"2025-06-{day:02d}", f"lender-{day}", many) for day in range(12, 30, 3)),
                *(query("2025-06-28", f"funder-{one}", many, application_id="app-1") for one in range(3)),
                query("2025-05-01", "old-bank", many, purpose="post_loan_review"),
                flow("2025-01-20", 50_000, borrower=many),
                flow(
                    "2025-06-29",
                    700_000,
                    "loan_disbursement",
                    borrower=many,
                    counterparty_id="app-lender",
                    counterparty_kind="lender",
                ),
                *(query(f"2025-07-{day:02d}", f"late-{day}", many) for day in (3, 5)),
            ],
        ),
    }


def _lives_of_gaps() -> dict[str, Life]:
    waiting, pending, partly, hopeless = (
        "waits-for-a-loan",
        "paid-at-midnight",
        "record-missing",
        "many-missing",
    )
    unknown = paid("2025-06-30", 5_000, borrower=waiting)
    return {
        waiting: Life(
            "a payment and its reversal without the loan, which comes behind the cut",
            [
                paid("2025-06-20", 70_000, borrower=waiting, loan_id="l-9"),
                bounced("2025-06-30", unknown),
                loan(
                    "2025-06-01",
                    monthly(6, 9, 15),
                    waiting,
                    "l-9",
                    ingested_at_ms=at("2025-07-10"),
                ),
            ],
        ),
        pending: Life(
            "an instalment fell due yesterday, its payment came after midnight: the judgement waits for the deadline",
            [
                loan("2025-06-05", monthly(7), pending),
                paid("2025-07-02", 30_000, "00:30", borrower=pending),
                paid("2025-07-02", 70_000, "09:30", borrower=pending),
            ],
        ),
        partly: Life(
            "an alert on hold: one refused record of known name, which comes right behind the cut",
            [
                loan("2025-05-05", monthly(6), partly),
                paid("2025-07-05", 100_000, borrower=partly, event_id="refused-first"),
            ],
            [Refused(REPAYMENTS, partly, "refused-first", at("2025-06-15"))],
        ),
        hopeless: Life(
            "more refused records than are remembered by name, one of them without any",
            [loan("2025-05-05", monthly(6), hopeless)],
            [
                Refused(SERVICING, hopeless, None, None),
                *(
                    Refused(REPAYMENTS, hopeless, f"bad-{number}", at("2025-06-10") + number)
                    for number in range(20)
                ),
            ],
        ),
    }


def timeline(borrowers: dict[str, Life]) -> list[tuple[int, Step]]:
    """Everything in the order of delivery, with its place in time."""
    moments: list[tuple[int, Step]] = [
        (
            event.event_time_ms if event.ingested_at_ms is None else event.ingested_at_ms,
            Step(feed_of(event), event),
        )
        for event in in_order(event for life in borrowers.values() for event in life.events)
    ]
    moments += [
        (bad.event_time_ms or at("2025-06-18"), Step(bad.feed, refused=bad))
        for life in borrowers.values()
        for bad in life.refused
    ]
    return sorted(moments, key=lambda moment: moment[0])


def numbered() -> dict[str, tuple[str, ...]]:
    """What is a number in the bytes: its place in one of these lists. They may grow at the end and change nowhere else."""
    return {"topics": TOPICS, "signals": tuple(kind.name for kind in SIGNALS)}


def keep_states(root: Path = ROOT) -> Path:
    """Write the folder of the present version."""
    borrowers = lives()
    moments = timeline(borrowers)
    before = [step for time_ms, step in moments if time_ms <= CUT_MS]
    after = [step for time_ms, step in moments if time_ms > CUT_MS]
    risk_engine = engine()
    feed_steps(risk_engine, before, 0)
    changed = risk_engine.take_output(detected_at_ms=0).changed
    records = {
        borrower_id: (life.holds, record)
        for borrower_id, life in borrowers.items()
        if (record := changed[borrower_id]) is not None
    }
    folder = keep(root, STATE_VERSION, shape_of(Borrower), records, "state", numbered())
    (folder / "before.jsonl").write_bytes(as_lines(before))
    (folder / "after.jsonl").write_bytes(as_lines(after))
    (folder / "progress.json").write_bytes(msgspec.json.encode(risk_engine.progress()) + b"\n")
    keep_alerts(KeptVersion(folder))
    return folder


def keep_alerts(kept: KeptVersion) -> None:
    """Write down what follows from kept bytes."""
    (kept.folder / "alerts.jsonl").write_bytes(as_lines([told(alert) for alert in alerts_after(kept)]))


if __name__ == "__main__":
    if sys.argv[1:] == ["--alerts"]:
        for version in kept_versions(ROOT):
            keep_alerts(version)
    else:
        print(keep_states())
