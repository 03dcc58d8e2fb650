"""Erasure: open alerts are closed and say nothing more of the person; nothing else is left."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from models.alerts import Alert, Chain, Exposure
from models.engine import RiskEngine
from models.events import SERVICING, BorrowerErased, Event
from models.risk.scorecard import expert_prior
from tests.support.events import at, end_of, engine, feed_of, loan, paid, rules
from tests.support.restarting import go_on

MONTHLY = [("2025-02-01", 77_701), ("2025-03-01", 77_702)]


def feed(risk_engine: RiskEngine, events: Sequence[Event]) -> None:
    """Process events that are all accepted."""
    for offset, event in enumerate(events):
        assert risk_engine.process(event, feed_of(event), offset) is None


def erased(day: str, borrower: str = "b-1") -> BorrowerErased:
    """The lawful deletion."""
    return BorrowerErased(event_id=f"erase-{day}", borrower_id=borrower, event_time_ms=at(day))


def past_due() -> RiskEngine:
    """An engine with one borrower, who is past due on one of two loans, and was on the other."""
    risk_engine = engine()
    second = loan("2025-01-02", [("2025-02-03", 55_501)], loan_id="l-2")
    feed(risk_engine, [loan("2025-01-01", MONTHLY), second])
    risk_engine.advance_together(end_of("2025-02-10"))
    feed(risk_engine, [paid("2025-02-11", 55_501, loan_id="l-2")])
    risk_engine.advance_together(end_of("2025-02-12"))
    return risk_engine


def test_open_alerts_get_a_last_revision_that_tells_nothing_of_the_person() -> None:
    """`resolved`, `cancelled`, by the erasing event; no evidence, no exposure, no risk of theirs, nothing to do."""
    risk_engine = past_due()
    before = risk_engine.take_output(0).alerts
    open_before = {alert.alert_id: alert for alert in before}
    for alert in before:
        if alert.status == "resolved":
            del open_before[alert.alert_id]
    event = erased("2025-02-20")
    feed(risk_engine, [event])
    output = risk_engine.take_output(0)

    assert open_before
    assert {alert.alert_id for alert in output.alerts} == set(open_before)
    for alert in output.alerts:
        former = open_before[alert.alert_id]
        assert (alert.status, alert.resolution) == ("resolved", "cancelled")
        assert alert.revision == former.revision + 1
        assert (alert.opened_at_ms, alert.loan_id) == (former.opened_at_ms, former.loan_id)
        assert [(reason.code, reason.evidence) for reason in alert.reasons] == [("ERASED", {})]
        assert alert.exposure == Exposure(None, 0, 0, 0, None, None, 0, ())
        assert (alert.priority, alert.recommendation.actionable, alert.recommendation.stage) == (
            0,
            False,
            "none",
        )
        assert (alert.event_time_ms, alert.caused_by.event_id) == (event.event_time_ms, event.event_id)
    assert (output.changed, output.risks) == ({"b-1": None}, {"b-1": None})


def test_the_last_revision_is_the_same_for_everybody() -> None:
    """Two borrowers with nothing in common but an open alert: nothing in theirs tells them apart but ids and times."""
    told = []
    for amount, borrower in ((10_000, "b-1"), (9_999_999, "b-2")):
        risk_engine = engine()
        feed(risk_engine, [loan("2025-01-01", [("2025-02-01", amount)], borrower)])
        risk_engine.advance_together(end_of("2025-02-10"))
        risk_engine.take_output(0)
        feed(risk_engine, [erased("2025-02-20", borrower)])
        output = risk_engine.take_output(0)
        told.append([(alert.risk, alert.exposure, alert.reasons, alert.priority) for alert in output.alerts])
    assert told[0] == told[1]
    assert told[0]


def test_nothing_follows() -> None:
    """No deadline, no repetition of the erasure and no restart brings the borrower or an alert back."""
    risk_engine = past_due()
    feed(risk_engine, [erased("2025-02-20")])
    risk_engine.take_output(0)
    feed(risk_engine, [erased("2025-02-20")])
    risk_engine.advance_together(end_of("2025-09-01"))
    again = risk_engine.take_output(0)

    assert again.alerts == []
    assert (again.changed, again.risks) == ({"b-1": None}, {"b-1": None})
    assert risk_engine.borrower("b-1") is None


@pytest.mark.parametrize("between", ["nothing", "a commit", "a restart"])
def test_erasure_is_the_same_after_a_restart_and_in_any_batch(between: str) -> None:
    """Snapshot, restore and go on; or the erasure in a batch of its own."""
    risk_engine = past_due()
    alerts: list[Alert] = []
    if between != "nothing":
        output = risk_engine.take_output(0)
        alerts += output.alerts
        if between == "a restart":
            risk_engine = go_on(risk_engine, output.changed, RiskEngine(rules(), expert_prior()))
    risk_engine.process(erased("2025-02-20"), SERVICING, 9)
    alerts += risk_engine.take_output(0).alerts

    expected = past_due()
    expected.process(erased("2025-02-20"), SERVICING, 9)
    assert last_revisions(alerts) == last_revisions(expected.take_output(0).alerts)
    assert len(last_revisions(alerts)) == 1


def last_revisions(alerts: Sequence[Alert]) -> list[Alert]:
    """What the erasure made; without the chain, for the ids of the events before differ from run to run."""
    return [
        msgspec.structs.replace(alert, chain=Chain(0, "", ""))
        for alert in alerts
        if alert.reasons[0].code == "ERASED"
    ]
