"""Short ways to write events, and to drive an engine over them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Literal

from models.alerts import Alert
from models.engine import RiskEngine
from models.events import (
    CREDIT_QUERIES,
    FUND_FLOWS,
    REPAYMENTS,
    SERVICING,
    TYPES_BY_TOPIC,
    BorrowerEvent,
    ClosingReason,
    CreditQuery,
    Event,
    EventVoided,
    FundFlow,
    Heartbeat,
    Instalment,
    InstalmentBilled,
    LoanClosed,
    LoanOpened,
    LoanSnapshot,
    Repayment,
    RepaymentReversed,
    ScheduleChanged,
)
from models.policy import default_policy, parse_policy
from models.risk.scorecard import expert_prior
from models.rules import Rules

SHANGHAI = timezone(timedelta(hours=8))
"""Without summer time since 1991: fixed for tests."""

_ids = itertools.count()

FEEDS_BY_TYPE = {kind: feed for feed, kinds in enumerate(TYPES_BY_TOPIC.values()) for kind in kinds}


def at(day: str, time: str = "12:00") -> int:
    """Epoch milliseconds of a local day and time in Shanghai."""
    return round(datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=SHANGHAI).timestamp() * 1000)


def local(instant_ms: int) -> str:
    """An instant as local day and time in Shanghai: how alerts are written down in tests."""
    instant = datetime.fromtimestamp(instant_ms / 1000, tz=UTC).astimezone(SHANGHAI)
    return instant.strftime("%Y-%m-%d %H:%M")


def rules(override: str = "") -> Rules:
    """The default policy, with a TOML override."""
    return Rules(parse_policy(override, "test.toml") if override else default_policy())


def engine(override: str = "", partition: int = 0) -> RiskEngine:
    """An engine that holds every borrower."""
    return RiskEngine(rules(override), expert_prior(), partition=partition)


def _filled(defaults: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    return defaults | fields


def event_id() -> str:
    """An id nobody has used."""
    return f"e-{next(_ids)}"


def loan(
    opened: str, dues: Sequence[tuple[str, int]], borrower: str = "b-1", loan_id: str = "l-1", **fields: Any
) -> LoanOpened:
    """A loan with instalments of (due date, amount)."""
    return LoanOpened(
        **_filled(
            {
                "event_id": event_id(),
                "borrower_id": borrower,
                "event_time_ms": at(opened, "10:00"),
                "loan_id": loan_id,
                "platform_id": "own",
                "currency": "CNY",
                "principal_minor": sum(amount for _, amount in dues),
                "instalments": schedule(dues),
            },
            fields,
        )
    )


def schedule(dues: Sequence[tuple[str, int]], first: int = 1) -> tuple[Instalment, ...]:
    """Instalments of (due date, amount), numbered from `first` on."""
    return tuple(
        Instalment(number=number, due_date=date.fromisoformat(due), amount_minor=amount)
        for number, (due, amount) in enumerate(dues, start=first)
    )


def billed(
    when: str, due: str, amount: int, number: int, borrower: str = "b-1", loan_id: str = "l-1", **fields: Any
) -> InstalmentBilled:
    """A bill."""
    return InstalmentBilled(
        **_filled(
            {
                "event_id": event_id(),
                "borrower_id": borrower,
                "event_time_ms": at(when, "09:00"),
                "loan_id": loan_id,
                "number": number,
                "due_date": date.fromisoformat(due),
                "amount_minor": amount,
            },
            fields,
        )
    )


def paid(
    when: str, amount: int, time: str = "12:00", borrower: str = "b-1", loan_id: str = "l-1", **fields: Any
) -> Repayment:
    """A payment."""
    return Repayment(
        **_filled(
            {
                "event_id": event_id(),
                "borrower_id": borrower,
                "event_time_ms": at(when, time),
                "loan_id": loan_id,
                "amount_minor": amount,
            },
            fields,
        )
    )


def bounced(
    when: str, payment: Repayment, amount: int | None = None, time: str = "12:00"
) -> RepaymentReversed:
    """A payment is taken back, by default whole."""
    return RepaymentReversed(
        event_id=event_id(),
        borrower_id=payment.borrower_id,
        event_time_ms=at(when, time),
        loan_id=payment.loan_id,
        repayment_event_id=payment.event_id,
        amount_minor=payment.amount_minor if amount is None else amount,
    )


def rescheduled(
    when: str,
    dues: Sequence[tuple[str, int]],
    first: int = 1,
    time: str = "12:00",
    borrower: str = "b-1",
    loan_id: str = "l-1",
    **fields: Any,
) -> ScheduleChanged:
    """A new schedule of (due date, amount), by default a restructuring, numbered from `first` on."""
    return ScheduleChanged(
        **_filled(
            {
                "event_id": event_id(),
                "borrower_id": borrower,
                "event_time_ms": at(when, time),
                "loan_id": loan_id,
                "reason": "restructure",
                "instalments": schedule(dues, first),
            },
            fields,
        )
    )


def ended(
    when: str,
    reason: ClosingReason = "settled",
    time: str = "12:00",
    borrower: str = "b-1",
    loan_id: str = "l-1",
) -> LoanClosed:
    """The end of a loan."""
    return LoanClosed(
        event_id=event_id(),
        borrower_id=borrower,
        event_time_ms=at(when, time),
        loan_id=loan_id,
        reason=reason,
    )


def snapshot(
    as_of: str,
    overdue: int = 0,
    days: int = 0,
    outstanding: int = 100_000,
    time: str = "23:30",
    borrower: str = "b-1",
    loan_id: str = "l-1",
    **fields: Any,
) -> LoanSnapshot:
    """What the servicing system holds of a loan, drawn late on its date."""
    return LoanSnapshot(
        **_filled(
            {
                "event_id": event_id(),
                "borrower_id": borrower,
                "event_time_ms": at(as_of, time),
                "loan_id": loan_id,
                "as_of_date": date.fromisoformat(as_of),
                "outstanding_minor": outstanding,
                "overdue_minor": overdue,
                "days_past_due": days,
            },
            fields,
        )
    )


def voided(when: str, target: BorrowerEvent, time: str = "12:00", **fields: Any) -> EventVoided:
    """An event is taken back; which topic it goes to, whoever sends it says."""
    return EventVoided(
        **_filled(
            {
                "event_id": event_id(),
                "borrower_id": target.borrower_id,
                "event_time_ms": at(when, time),
                "target_event_id": target.event_id,
            },
            fields,
        )
    )


def run_on(
    delivered: Iterable[tuple[Event, int]], override: str = "", until: str | None = None
) -> RiskEngine:
    """An engine after events, each with its feed, in the order given: for types that every topic may carry."""
    risk_engine = engine(override)
    for offset, (event, feed) in enumerate(delivered):
        risk_engine.process(event, feed, offset)
    if until is not None:
        risk_engine.advance_together(end_of(until))
    return risk_engine


def flow(
    when: str,
    amount: int,
    category: Any = "salary",
    direction: Literal["in", "out"] = "in",
    borrower: str = "b-1",
    **fields: Any,
) -> FundFlow:
    """Money in or out, by default a salary."""
    return FundFlow(
        **_filled(
            {
                "event_id": event_id(),
                "borrower_id": borrower,
                "event_time_ms": at(when),
                "account_id": "acc-1",
                "direction": direction,
                "amount_minor": amount,
                "currency": "CNY",
                "category": category,
                "counterparty_id": "employer-1" if category == "salary" else None,
            },
            fields,
        )
    )


def query(when: str, institution: str, borrower: str = "b-1", **fields: Any) -> CreditQuery:
    """A loan application elsewhere."""
    return CreditQuery(
        **_filled(
            {
                "event_id": event_id(),
                "borrower_id": borrower,
                "event_time_ms": at(when),
                "institution_id": institution,
                "purpose": "loan_application",
            },
            fields,
        )
    )


def feed_of(event: Event) -> int:
    """The topic an event belongs on; a heartbeat names none, so it counts for repayments."""
    return REPAYMENTS if isinstance(event, Heartbeat) else FEEDS_BY_TYPE[type(event)]


def alive(day: str, time: str = "12:00") -> Heartbeat:
    """The feed of repayments has sent everything up to then: what waits behind a deadline of its clock is judged."""
    return Heartbeat(event_time_ms=at(day, time))


def in_order(events: Iterable[Event]) -> list[Event]:
    """By place in the order of delivery."""
    return sorted(
        events,
        key=lambda event: event.event_time_ms if event.ingested_at_ms is None else event.ingested_at_ms,
    )


def run(events: Iterable[Event], override: str = "", until: str | None = None) -> list[Alert]:
    """The alerts of events in the order given; `until` passes that date's end on every feed."""
    risk_engine = engine(override)
    feed(risk_engine, events)
    return risk_engine.take_alerts(detected_at_ms=0) if until is None else finish(risk_engine, until)


def feed(risk_engine: RiskEngine, events: Iterable[Event], first_offset: int = 0) -> None:
    """Process events in this order."""
    for offset, event in enumerate(events, start=first_offset):
        risk_engine.process(event, feed_of(event), offset)


def finish(risk_engine: RiskEngine, until: str) -> list[Alert]:
    """Pass that date's end on every feed, and take the alerts."""
    risk_engine.advance_together(end_of(until))
    return risk_engine.take_alerts(detected_at_ms=0)


def end_of(day: str) -> dict[int, int]:
    """Every feed's watermark at the local midnight that ends a date."""
    midnight_ms = at(day, "00:00") + 86_400_000
    return dict.fromkeys((CREDIT_QUERIES, FUND_FLOWS, REPAYMENTS, SERVICING), midnight_ms)


def story(alerts: Iterable[Alert]) -> list[str]:
    """Alerts as a person would tell them: time, signal, status, severity, resolution."""
    return [
        " ".join(
            filter(
                None,
                (local(alert.event_time_ms), alert.signal, alert.status, alert.severity, alert.resolution),
            )
        )
        for alert in alerts
    ]
