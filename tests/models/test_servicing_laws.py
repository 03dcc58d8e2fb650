"""The laws of the engine with servicing mixed in: holds, snoozes, reviews, contacts, and signals that confirm each other."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Alert
from models.engine import RiskEngine
from models.events import BorrowerEvent, Event
from tests.support.equality import by_borrower, comparable
from tests.support.events import engine, feed_of, finish
from tests.support.restarting import go_on
from tests.support.servicing_logs import Beat, beaten, beats, served_logs, served_logs_in_order

UNTIL = "2025-09-30"
EXAMPLES = 25
PLAIN = ""
COMBINED = """
combinations = [
    { signal = "missed_payment", severity_max = "serious", confirmed_by = "income_drop", confirmed_severity_min = "warning" },
    { signal = "income_drop", severity_max = "warning", confirmed_by = "missed_payment", confirmed_severity_min = "watch" },
    { signal = "missed_payment", severity_max = "watch", confirmed_by = "multi_platform_borrowing", confirmed_severity_min = "watch" },
    { signal = "unreachable", severity_max = "warning", confirmed_by = "missed_payment", confirmed_severity_min = "warning" },
]
"""
POLICIES = pytest.mark.parametrize("override", [PLAIN, COMBINED], ids=["plain", "combined"])


def feed_in(risk_engine: RiskEngine, fed: Sequence[tuple[Event, int]], first_offset: int = 0) -> None:
    """Feed events and heartbeats, each on its feed."""
    for offset, (event, feed) in enumerate(fed, start=first_offset):
        risk_engine.process(event, feed, offset)


def alerts_fed(fed: Sequence[tuple[Event, int]], override: str) -> list[Alert]:
    """The alerts of events and heartbeats in one go."""
    risk_engine = engine(override)
    feed_in(risk_engine, fed)
    return finish(risk_engine, UNTIL)


def process(risk_engine: RiskEngine, events: Sequence[BorrowerEvent], first_offset: int = 0) -> None:
    """Feed events."""
    for offset, event in enumerate(events, start=first_offset):
        risk_engine.process(event, feed_of(event), offset)


def alerts_of(events: Sequence[BorrowerEvent], override: str) -> list[Alert]:
    """The alerts of a log in one go."""
    risk_engine = engine(override)
    process(risk_engine, events)
    return finish(risk_engine, UNTIL)


@POLICIES
@settings(deadline=None, max_examples=EXAMPLES)
@given(events=served_logs(), data=st.data())
def test_snapshot_restore_and_continue_equals_continue(
    override: str, events: list[BorrowerEvent], data: st.DataObject
) -> None:
    """At any cut, an engine rebuilt from the changelog and the progress goes on as the old one would have."""
    cuts = sorted(data.draw(st.lists(st.integers(min_value=0, max_value=len(events)), max_size=3)))
    changelog: dict[str, bytes | None] = {}
    alerts: list[Alert] = []
    risk_engine = engine(override)
    for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        process(risk_engine, events[begin:end], begin)
        output = risk_engine.take_output(detected_at_ms=0)
        alerts.extend(output.alerts)
        changelog.update(output.changed)
        risk_engine = go_on(risk_engine, changelog, engine(override))
    alerts.extend(finish(risk_engine, UNTIL))

    assert alerts_of(events, override) == alerts


@POLICIES
@settings(deadline=None, max_examples=EXAMPLES)
@given(events=served_logs(), data=st.data())
def test_a_duplicate_changes_nothing(override: str, events: list[BorrowerEvent], data: st.DataObject) -> None:
    """Delivering events again, at any later place, changes no alert."""
    repeated = list(events)
    for _ in range(data.draw(st.integers(min_value=1, max_value=5))):
        if repeated:
            first = data.draw(st.integers(min_value=0, max_value=len(repeated) - 1))
            again = data.draw(st.integers(min_value=first + 1, max_value=len(repeated)))
            repeated.insert(again, repeated[first])

    expected, actual = alerts_of(events, override), alerts_of(repeated, override)

    assert list(map(comparable, expected)) == list(map(comparable, actual))


@POLICIES
@settings(deadline=None, max_examples=2 * EXAMPLES)
@given(events=served_logs_in_order())
def test_in_order_other_borrowers_change_no_alert(override: str, events: list[BorrowerEvent]) -> None:
    """Each borrower's alerts are those it would have had alone."""
    together = by_borrower(alerts_of(events, override))

    for borrower_id in {event.borrower_id for event in events}:
        own = [event for event in events if event.borrower_id == borrower_id]
        assert by_borrower(alerts_of(own, override)).get(borrower_id) == together.get(borrower_id)


@POLICIES
@settings(deadline=None, max_examples=EXAMPLES)
@given(events=served_logs_in_order(), partitions=st.integers(min_value=2, max_value=4))
def test_in_order_the_number_of_partitions_changes_no_alert(
    override: str, events: list[BorrowerEvent], partitions: int
) -> None:
    """However borrowers are spread over tasks, each gets the same alerts."""
    spread: list[Alert] = []
    for partition in range(partitions):
        own = [event for event in events if zlib.crc32(event.borrower_id.encode()) % partitions == partition]
        spread.extend(alerts_of(own, override))

    assert by_borrower(alerts_of(events, override)) == by_borrower(spread)


@POLICIES
@settings(deadline=None, max_examples=EXAMPLES)
@given(events=served_logs_in_order(), beats=beats)
def test_in_order_heartbeats_change_no_alert(
    override: str, events: list[BorrowerEvent], beats: list[Beat]
) -> None:
    """How far the watermark of each feed is when an event comes does not matter, as long as nothing is late."""
    fed = [(event, feed_of(event)) for event in events]

    assert by_borrower(alerts_fed(beaten(events, beats), override)) == by_borrower(alerts_fed(fed, override))


@POLICIES
@settings(deadline=None, max_examples=EXAMPLES)
@given(events=served_logs(), beats=beats, data=st.data())
def test_among_late_events_and_heartbeats_a_restart_changes_no_alert(
    override: str, events: list[BorrowerEvent], beats: list[Beat], data: st.DataObject
) -> None:
    """Wherever the watermarks of the feeds stand to each other, an engine rebuilt at any cut goes on as the old one."""
    fed = beaten(events, beats)
    cut = data.draw(st.integers(min_value=0, max_value=len(fed)))
    risk_engine = engine(override)
    feed_in(risk_engine, fed[:cut])
    output = risk_engine.take_output(detected_at_ms=0)
    restored = go_on(risk_engine, output.changed, engine(override))
    feed_in(restored, fed[cut:], cut)

    assert [*output.alerts, *finish(restored, UNTIL)] == alerts_fed(fed, override)


@POLICIES
@settings(deadline=None, max_examples=EXAMPLES)
@given(events=served_logs())
def test_every_alert_keeps_the_rules_of_contact(override: str, events: list[BorrowerEvent]) -> None:
    """Held is not actionable; within contact hours only; attempts are never below zero; every revision says something new."""
    latest: dict[str, Alert] = {}
    for alert in alerts_of(events, override):
        shown = alert.recommendation
        assert not (shown.actionable and shown.hold is not None)
        assert 0 <= shown.attempts_left <= 3
        assert shown.not_before_ms < shown.not_after_ms
        assert 0 <= (shown.not_before_ms + 8 * 3_600_000) % 86_400_000 - 8 * 3_600_000 < 14 * 3_600_000
        before = latest.get(alert.alert_id)
        assert alert.revision == (1 if before is None else before.revision + 1)
        if before is not None and alert.status == "updated":
            assert before.severity == alert.severity
            assert before.recommendation != shown or before.reasons != alert.reasons
        latest[alert.alert_id] = alert
