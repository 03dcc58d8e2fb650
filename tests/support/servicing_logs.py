"""Hypothesis strategies: logs of `tests.support.logs` with what servicing reports of the same borrowers and their alerts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from models.calendars import DAY_MS, HOUR_MS, day_of_date
from models.events import (
    TOPICS,
    AlertAcknowledged,
    AlertReviewed,
    AlertSnoozed,
    BorrowerEvent,
    ContactAttempted,
    Event,
    Heartbeat,
    HoldPlaced,
    HoldReleased,
    RestrictionLifted,
    RestrictionListed,
    Verdict,
)
from models.servicing import HOLD_STRENGTH
from tests.support.events import end_of, engine, feed_of
from tests.support.logs import DAYS, START, logs_in_order

_START_MS = day_of_date(START) * DAY_MS - 8 * HOUR_MS
_HOURS = (0, 0, 9, 15, 22, 23)
"""Many lie near midnight, and at the end of contact hours."""


def _alert_ids(events: list[BorrowerEvent]) -> dict[str, list[str]]:
    """The alerts that these events cause, by borrower."""
    risk_engine = engine()
    for offset, event in enumerate(events):
        risk_engine.process(event, feed_of(event), offset)
    risk_engine.advance_together(end_of("2025-09-30"))
    found: dict[str, list[str]] = {}
    for alert in risk_engine.take_alerts(0):
        if alert.alert_id not in found.setdefault(alert.borrower_id, []):
            found[alert.borrower_id].append(alert.alert_id)
    return found


@st.composite
def _moment_ms(draw: st.DrawFn) -> int:
    day = draw(st.integers(min_value=0, max_value=DAYS))
    return (
        _START_MS
        + day * DAY_MS
        + draw(st.sampled_from(_HOURS)) * HOUR_MS
        + draw(st.sampled_from((0, 0, 10, 59))) * 60_000
    )


@st.composite
def _report(draw: st.DrawFn, borrower: str, event_id: str, alert_ids: list[str]) -> BorrowerEvent:
    time_ms = draw(_moment_ms())
    common: dict[str, Any] = {"event_id": event_id, "borrower_id": borrower, "event_time_ms": time_ms}
    until_ms = time_ms + draw(st.integers(min_value=-1, max_value=40)) * DAY_MS
    hold_id = draw(st.sampled_from(("h-1", "h-2")))
    alert_id = draw(st.sampled_from((*alert_ids, "nobody")))
    match draw(st.integers(min_value=0, max_value=9)):
        case 0 | 1:
            return HoldPlaced(
                **common,
                hold_id=hold_id,
                reason=draw(st.sampled_from(HOLD_STRENGTH)),
                until_ms=draw(st.sampled_from((None, until_ms))),
            )
        case 2:
            return HoldReleased(**common, hold_id=hold_id, reason="other")
        case 3:
            if draw(st.booleans()):
                return RestrictionListed(**common, list="court", reason="unpaid")
            return RestrictionLifted(**common, list="court", reason="paid")
        case 4 | 5:
            return AlertSnoozed(**common, alert_id=alert_id, actor="o", until_ms=until_ms, reason="later")
        case 6:
            verdict: Verdict = "false_positive" if draw(st.booleans()) else "confirmed"
            return AlertReviewed(**common, alert_id=alert_id, actor="o", verdict=verdict)
        case 7:
            return AlertAcknowledged(**common, alert_id=alert_id, actor="o")
        case _:
            promised = START + timedelta(days=(time_ms - _START_MS) // DAY_MS + draw(st.integers(-1, 35)))
            return ContactAttempted(
                **common,
                channel="phone",
                outcome=draw(st.sampled_from(("unreached", "unreached", "reached", "refused", "promised"))),
                party=draw(st.sampled_from((None, None, "third_party", "other"))),
                promise_date=draw(st.sampled_from((None, promised))),
                promise_amount_minor=draw(st.sampled_from((None, 50_000, 100_000))),
            )


@st.composite
def _calls(draw: st.DrawFn, borrower: str, first_id: int) -> list[BorrowerEvent]:
    """A series of calls in vain, one or two a day."""
    first_ms = draw(_moment_ms())
    return [
        ContactAttempted(
            event_id=f"{borrower}-c{first_id + number}",
            borrower_id=borrower,
            event_time_ms=first_ms + number * draw(st.sampled_from((DAY_MS // 2, DAY_MS))),
            channel="phone",
            outcome="unreached",
        )
        for number in range(draw(st.integers(min_value=3, max_value=12)))
    ]


@st.composite
def served_logs_in_order(draw: st.DrawFn) -> list[BorrowerEvent]:
    """Events of several borrowers, servicing among them, delivered when they happened.

    No report falls on the very millisecond of another event of its borrower: which of the two opened an alert is not told
    apart where both wait for the same deadline.
    """
    events = draw(logs_in_order(borrowers_max=3))
    alert_ids = _alert_ids(events)
    reports: list[BorrowerEvent] = []
    for borrower in sorted({event.borrower_id for event in events}):
        count = draw(st.integers(min_value=0, max_value=10))
        own = alert_ids.get(borrower, [])
        reports += [draw(_report(borrower, f"{borrower}-s{number}", own)) for number in range(count)]
        if draw(st.booleans()):
            reports += draw(_calls(borrower, 0))
    taken = {(event.borrower_id, event.event_time_ms) for event in events}
    for report in reports:
        place = (report.borrower_id, report.event_time_ms)
        if place not in taken:
            taken.add(place)
            events.append(report)
    return sorted(events, key=lambda event: (event.event_time_ms, event.event_id))


@st.composite
def served_logs(draw: st.DrawFn) -> list[BorrowerEvent]:
    """The same, some delivered late or out of order."""
    events = draw(served_logs_in_order())
    for _ in range(draw(st.integers(min_value=0, max_value=8))):
        if events:
            taken = events.pop(draw(st.integers(min_value=0, max_value=len(events) - 1)))
            events.insert(draw(st.integers(min_value=0, max_value=len(events))), taken)
    return events


class Beat(NamedTuple):
    """A heartbeat of one feed between two events: before which, and how far from the former to it."""

    place: int
    feed: int
    share: float


beats = st.lists(
    st.builds(Beat, st.integers(0, 80), st.integers(0, len(TOPICS) - 1), st.floats(min_value=0, max_value=1)),
    max_size=60,
)


def beaten(events: Sequence[BorrowerEvent], heartbeats: Sequence[Beat]) -> list[tuple[Event, int]]:
    """The events with heartbeats between them, each with its feed. Where events are in order, none of them lies."""
    fed: list[tuple[Event, int]] = []
    for place, event in enumerate(events):
        former_ms = events[place - 1].event_time_ms if place else event.event_time_ms - DAY_MS
        own = [beat for beat in heartbeats if beat.place == place]
        for beat in sorted(own, key=lambda beat: beat.share):
            between_ms = former_ms + round(beat.share * (event.event_time_ms - former_ms))
            fed.append((Heartbeat(event_time_ms=max(0, min(between_ms, event.event_time_ms - 1))), beat.feed))
        fed.append((event, feed_of(event)))
    return fed
