"""The laws of the engine, for logs in which events are taken back and books are held against the ledger."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Alert, Finding, SignalName
from models.calendars import date_of_day
from models.engine import RiskEngine
from models.events import (
    REPAYMENTS,
    TYPES_BY_TOPIC,
    BorrowerErased,
    BorrowerEvent,
    EventVoided,
    Heartbeat,
    LoanOpened,
    LoanSnapshot,
    RepaymentReversed,
)
from models.remembered import Remembered, remembered
from models.signal_table import SIGNALS
from tests.support.equality import by_borrower, comparable
from tests.support.events import at, end_of, engine, feed_of, rules, run_on, voided
from tests.support.every_kind import DRAWN, MONTH_MS, months_with
from tests.support.logs import logs_in_order
from tests.support.restarting import go_on

Delivered = tuple[BorrowerEvent, int]
RULES = rules()
UNTIL = "2025-09-30"
HOUR_MS = 3_600_000


@st.composite
def revised_logs(draw: st.DrawFn) -> list[Delivered]:
    """Logs in order, some events of which are voided later, with snapshots of some loans in between."""
    events = draw(logs_in_order(2))
    delivered: list[Delivered] = [(event, feed_of(event)) for event in events]
    for serial in range(draw(st.integers(min_value=1, max_value=4)) if events else 0):
        target = draw(st.sampled_from(events))
        void = EventVoided(
            event_id=f"void-{serial}",
            borrower_id=target.borrower_id,
            event_time_ms=target.event_time_ms + draw(st.sampled_from((0, 1, 24, 24 * 30))) * HOUR_MS,
            target_event_id=target.event_id,
        )
        delivered.append((void, feed_of(target)))
    opened = [event for event in events if isinstance(event, LoanOpened)]
    delivered += [
        (draw(_snapshot_of(draw(st.sampled_from(opened)), serial)), REPAYMENTS)
        for serial in range(draw(st.integers(min_value=0, max_value=3)) if opened else 0)
    ]
    return sorted(delivered, key=lambda one: (one[0].event_time_ms, one[0].event_id))


@st.composite
def _snapshot_of(draw: st.DrawFn, opened: LoanOpened, serial: int) -> LoanSnapshot:
    day = RULES.calendar.day_of(opened.event_time_ms) + draw(st.integers(min_value=1, max_value=150))
    overdue = draw(st.sampled_from((0, 100_000, 150_000)))
    return LoanSnapshot(
        event_id=f"book-{serial}",
        borrower_id=opened.borrower_id,
        event_time_ms=RULES.calendar.midnight_ms(day + 1) + draw(st.sampled_from((-1, 6))) * HOUR_MS,
        loan_id=draw(st.sampled_from((opened.loan_id, "l-9"))),
        as_of_date=date_of_day(day),
        outstanding_minor=overdue + 200_000,
        overdue_minor=overdue,
        days_past_due=draw(st.sampled_from((1, 8, 40))) if overdue else 0,
    )


def feed(risk_engine: RiskEngine, delivered: list[Delivered], first_offset: int = 0) -> None:
    """Process events, each on its feed."""
    for offset, (event, topic) in enumerate(delivered, start=first_offset):
        risk_engine.process(event, topic, offset)


def alerts_of(delivered: list[Delivered]) -> list[Alert]:
    """The alerts of a log in one go."""
    risk_engine = engine()
    feed(risk_engine, delivered)
    risk_engine.advance_together(end_of(UNTIL))
    return risk_engine.take_alerts(detected_at_ms=0)


@settings(deadline=None, max_examples=60)
@given(revised_logs(), st.data())
def test_snapshot_restore_and_continue_equals_continue(
    delivered: list[Delivered], data: st.DataObject
) -> None:
    """An engine rebuilt from its records at any points tells the same alerts, to the last byte of the chain."""
    cuts = sorted(data.draw(st.lists(st.integers(min_value=0, max_value=len(delivered)), max_size=3)))
    records: dict[str, bytes | None] = {}
    alerts: list[Alert] = []
    risk_engine = engine()
    for begin, end in pairwise([0, *cuts, len(delivered)]):
        feed(risk_engine, delivered[begin:end], begin)
        output = risk_engine.take_output(detected_at_ms=0)
        alerts.extend(output.alerts)
        records.update(output.changed)
        risk_engine = go_on(risk_engine, records, engine())
    risk_engine.advance_together(end_of(UNTIL))
    alerts.extend(risk_engine.take_alerts(detected_at_ms=0))

    assert alerts == alerts_of(delivered)


@settings(deadline=None, max_examples=60)
@given(revised_logs(), st.data())
def test_a_duplicate_changes_nothing(delivered: list[Delivered], data: st.DataObject) -> None:
    """Nor does a voided event that comes again, or its void."""
    repeated = list(delivered)
    for _ in range(data.draw(st.integers(min_value=1, max_value=4)) if delivered else 0):
        first = data.draw(st.integers(min_value=0, max_value=len(repeated) - 1))
        again = data.draw(st.integers(min_value=first + 1, max_value=len(repeated)))
        repeated.insert(again, repeated[first])

    assert list(map(comparable, alerts_of(repeated))) == list(map(comparable, alerts_of(delivered)))


@settings(deadline=None, max_examples=60)
@given(revised_logs())
def test_in_order_other_borrowers_change_no_alert(delivered: list[Delivered]) -> None:
    """Each borrower's alerts are those it would have had alone.

    But for the score and what is ranked by it: a void takes back what another feed's deadline may or may not have seen by
    then, and with others about the feeds are elsewhere.
    """
    together = _unranked(alerts_of(delivered))

    for borrower_id in {event.borrower_id for event, _ in delivered}:
        alone = [one for one in delivered if one[0].borrower_id == borrower_id]
        assert _unranked(alerts_of(alone)).get(borrower_id) == together.get(borrower_id)


@settings(deadline=None, max_examples=60)
@given(logs_in_order(1), st.data())
def test_what_is_missed_in_the_end_is_what_would_be_missed_without_the_voided_event(
    events: list[BorrowerEvent], data: st.DataObject
) -> None:
    """The open alerts of `missed_payment` and their severities, once all is known; amounts alone make no new revision."""
    targets = [
        event for event in events if feed_of(event) == REPAYMENTS and not isinstance(event, LoanOpened)
    ]
    if not targets:
        return
    target = data.draw(st.sampled_from(targets))
    gone = {target.event_id} | {
        event.event_id for event in events if getattr(event, "repayment_event_id", None) == target.event_id
    }
    void = EventVoided(
        event_id="void",
        borrower_id=target.borrower_id,
        event_time_ms=events[-1].event_time_ms,
        target_event_id=target.event_id,
    )
    with_void: list[Delivered] = [*((event, feed_of(event)) for event in events), (void, REPAYMENTS)]
    without: list[Delivered] = [(event, feed_of(event)) for event in events if event.event_id not in gone]

    assert _missed(with_void) == _missed(without)


def _unranked(alerts: list[Alert]) -> dict[str, list[dict[str, Any]]]:
    """The alerts of the rules, by borrower, without the score that stands beside them."""
    grouped = by_borrower(alert for alert in alerts if alert.signal != "risk_score")
    for own in grouped.values():
        for document in own:
            del document["risk"], document["priority"]
    return grouped


def _missed(delivered: list[Delivered]) -> list[tuple[str | None, str]]:
    latest = {alert.alert_id: alert for alert in alerts_of(delivered) if alert.signal == "missed_payment"}
    return sorted(
        (alert.loan_id, alert.severity)
        for alert in latest.values()
        if alert.status not in ("resolved", "retracted")
    )


# ---- every kind of event -----------------------------------------------------------------------------------------


def test_every_kind_of_event_is_taken_back_here() -> None:
    """But for a void, a heartbeat, and an erasure, which cannot be: it has forgotten what it ended."""
    every = {kind for kinds in TYPES_BY_TOPIC.values() for kind in kinds}

    assert set(DRAWN) == every - {EventVoided, Heartbeat, BorrowerErased}


Picture = tuple[Remembered, list[list[tuple[int, int]]], dict[tuple[SignalName, str | None, int], Finding]]


@pytest.mark.parametrize("kind", list(DRAWN), ids=lambda kind: kind.__name__)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_a_voided_event_leaves_the_picture_as_if_it_had_never_been_sent(
    kind: type, data: st.DataObject
) -> None:
    """What every signal finds as of every midnight around it, and what is remembered for the eyes of others."""
    events, target = data.draw(months_with(kind))
    gone = {target.event_id} | {
        event.event_id
        for event in events
        if isinstance(event, RepaymentReversed) and event.repayment_event_id == target.event_id
    }
    void = voided("2025-07-01", target)
    sent = [(event, feed_of(event)) for event in events]
    never = [(event, feed) for event, feed in sent if event.event_id not in gone]
    risk_engine = run_on(sent)

    if risk_engine.process(void, feed_of(target), len(sent)) is None:
        assert _picture(risk_engine) == _picture(run_on(never))


def _picture(risk_engine: RiskEngine) -> Picture:
    """What is found and remembered of the borrower; what was told before is another story."""
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    borrower.episodes = []
    found = {
        (signal.name, subject, day): finding
        for signal in SIGNALS
        for subject in signal.subjects(borrower)
        if subject is None or not borrower.loans[subject].is_voided
        for day in range(5, 45, 3)
        if (
            finding := signal.judge(
                borrower, subject, MONTH_MS + day * 86_400_000, None, RULES, deadline=True
            )
        )
    }
    now = remembered(borrower, at("2025-07-02"), RULES)
    loans = tuple(loan for loan in now.loans if not borrower.loans[loan.loan_id].is_voided)
    limits_minor = [loan.limits_minor for loan in borrower.loans.values() if not loan.is_voided]
    return msgspec.structs.replace(now, loans=loans), limits_minor, found
