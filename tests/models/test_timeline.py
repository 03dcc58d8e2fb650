"""The timeline: everything in order of event time, what changed and why, and no word that somebody typed in freely."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.alerts import Status
from models.events import TYPES_BY_TOPIC, AlertSnoozed, BorrowerEvent, Event, Heartbeat
from models.remembered import remembered
from models.timeline import EVENT_WORDS, Refusal, entries, within
from tests.support.events import at, end_of, engine, feed_of, loan, paid, rules

FREE = {
    ("loan_opened", "product"),
    ("loan_opened", "segment"),
    ("loan_opened", "purpose"),
    ("account_linked", "reason"),
    ("account_unlinked", "reason"),
    ("credit_query", "product"),
    ("credit_query", "institution_kind"),
    ("contact_attempted", "channel"),
    ("alert_snoozed", "reason"),
    ("restriction_listed", "list"),
    ("restriction_listed", "reason"),
    ("restriction_lifted", "list"),
    ("restriction_lifted", "reason"),
}
"""Every field of the contract that may hold whatever somebody writes."""


def story() -> tuple[list[Event], list[Any]]:
    """A loan that is missed, gets worse and is paid late; its events and alerts."""
    risk_engine = engine()
    events: list[Event] = [loan("2025-01-01", [("2025-02-01", 100_000), ("2025-06-01", 100_000)])]
    risk_engine.process(events[0], feed_of(events[0]), 0)
    risk_engine.advance_together(end_of("2025-02-10"))
    events.append(paid("2025-02-12", 100_000, ingested_at_ms=at("2025-02-13")))
    risk_engine.process(events[1], feed_of(events[1]), 1)
    risk_engine.advance_together(end_of("2025-02-14"))
    return events, risk_engine.take_alerts(0)


def test_what_happened_is_told_in_order_with_what_was_said_of_it() -> None:
    """Events and alerts by event time; each revision with its reasons, changes and cause."""
    events, alerts = story()
    told = entries(reversed(events), alerts, [Refusal(at("2025-02-05"), "repayments", 7, "not-json")])

    assert [entry.what.en for entry in told] == [
        "loan opened",
        "opened",
        "refused",
        "escalated",
        "repayment",
        "resolved",
    ]
    assert [entry.at_ms for entry in told] == sorted(entry.at_ms for entry in told)
    opened, escalated, payment, resolved = told[1], told[3], told[4], told[5]
    assert opened.changes == ()
    assert opened.reasons
    assert opened.cause is not None
    assert opened.cause.by_time
    assert ("severity", "watch", "warning") in [
        (change.field, change.before, change.after) for change in escalated.changes
    ]
    assert payment.details["amount_minor"] == 100_000
    assert payment.learnt_at_ms == at("2025-02-13")
    assert resolved.cause is not None
    assert (resolved.cause.by_time, resolved.cause.event_id) == (False, payment.id)
    assert resolved.details["resolution"] == "paid"


def test_a_repeated_event_is_told_once_and_heartbeats_never() -> None:
    """What the engine takes for one is one."""
    events, _ = story()
    told = entries([*events, *events, Heartbeat(event_time_ms=5)], [])
    assert len(told) == len(events)


@given(st.integers(at("2025-01-01"), at("2025-03-01")), st.integers(0, 10**10))
def test_a_span_keeps_its_own_entries(since_ms: int, span_ms: int) -> None:
    """From an instant on, to before another one."""
    events, alerts = story()
    told = entries(events, alerts)
    kept = within(told, since_ms, since_ms + span_ms)
    assert kept == [entry for entry in told if since_ms <= entry.at_ms < since_ms + span_ms]
    assert within(told, None, None) == told


def test_every_type_and_status_has_its_words() -> None:
    """In both languages."""
    assert set(EVENT_WORDS) == {str(kind.__struct_config__.tag) for kind in get_args(BorrowerEvent)}
    events, alerts = story()
    for status in get_args(Status):
        (entry,) = entries([], [msgspec.structs.replace(alerts[0], status=status)])
        assert entry.what.en
        assert entry.what.zh
    assert events


@pytest.mark.parametrize(
    "event_type",
    [kind for kinds in TYPES_BY_TOPIC.values() for kind in kinds if kind is not Heartbeat],
    ids=lambda kind: kind.__name__,
)
def test_free_text_is_never_told(event_type: type[Any]) -> None:
    """Each field is told, unless anybody may write anything into it, or it names another borrower; then its value is nowhere."""
    tag = str(event_type.__struct_config__.tag)
    fields = set(event_type.__struct_fields__) - {
        "event_id",
        "borrower_id",
        "event_time_ms",
        "ingested_at_ms",
    }
    others = fields & {"linked_borrower_id", "linked_partition"}
    texts = {field: f"marked {field}" for field in fields if (tag, field) in FREE}
    known = {field: _sample(field) for field in fields - set(texts) - others}
    texts |= {field: f"marked {field}" for field in others if field == "linked_borrower_id"}
    document = {"type": tag, "event_id": "e", "borrower_id": "b", "event_time_ms": 1} | texts | known
    words = {
        "reason": ["dispute", "extension", "settled"],
        "borrower_kind": ["person"],
        "payer": ["borrower"],
        "kind": ["cash"],
        "direction": ["in"],
        "category": ["salary"],
        "counterparty_kind": ["employer"],
        "purpose": ["guarantee"],
        "outcome": ["reached"],
        "party": ["borrower"],
        "verdict": ["confirmed"],
        "relation": ["spouse"],
    }
    event = None
    for place in range(3):
        chosen = {field: words[field][min(place, len(words[field]) - 1)] for field in known if field in words}
        try:
            event = msgspec.json.decode(json.dumps(document | chosen), type=event_type)
            break
        except msgspec.ValidationError:
            continue
    assert event is not None
    (entry,) = entries([event], [])

    assert "marked" not in msgspec.json.encode(entry).decode()
    assert set(entry.details) == set(known)


def _sample(field: str) -> Any:
    if field == "instalments":
        return [{"number": 1, "due_date": "2025-02-01", "amount_minor": 5}]
    if field.endswith("_date"):
        return "2025-02-01"
    is_number = field.endswith(("_minor", "_ms", "_days")) or field in {
        "number",
        "instalment_number",
        "applications",
        "institutions",
        "days_past_due",
    }
    return 3 if is_number else "x"


def test_what_is_remembered_is_told_as_of_an_instant() -> None:
    """Loans with their standing, alerts, and what staff said, but not the words in which they said it."""
    risk_engine = engine()
    risk_engine.process(loan("2025-01-01", [("2025-02-01", 100_000)]), 2, 0)
    risk_engine.advance_together(end_of("2025-02-09"))
    alert = risk_engine.take_alerts(0)[-1]
    snoozed = AlertSnoozed(
        event_id="s",
        borrower_id="b-1",
        event_time_ms=at("2025-02-10"),
        alert_id=alert.alert_id,
        actor="staff-7",
        until_ms=at("2025-02-20"),
        reason="marked words",
    )
    risk_engine.process(snoozed, feed_of(snoozed), 1)
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    known = remembered(borrower, at("2025-02-11"), rules())

    assert [(now.loan_id, now.days_past_due, now.overdue_minor) for now in known.loans] == [
        ("l-1", 10, 100_000)
    ]
    assert [episode.alert_id for episode in known.episodes] == [alert.alert_id]
    assert [(note.kind, note.actor) for note in known.notes] == [("snoozed", "staff-7")]
    assert "marked" not in msgspec.json.encode(known).decode()
