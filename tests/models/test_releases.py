"""A hold for a refused record ends when the record is accepted, or taken back by an `event_voided`, and by nothing else."""

from __future__ import annotations

from models.alerts import Alert
from models.borrower import INCOMPLETE_MORE, nameless
from models.engine import RiskEngine
from models.events import FUND_FLOWS, REPAYMENTS, SERVICING, EventVoided
from models.limits import INCOMPLETE_RECORDS_MAX
from tests.support.events import at, end_of, engine, loan

WHEN_MS = at("2025-03-05")


def held_engine(*event_ids: str | None) -> RiskEngine:
    """A borrower past due since 2 March, of whom these records were refused, at offsets 70 and on."""
    risk_engine = engine()
    risk_engine.process(loan("2025-01-01", [("2025-03-01", 50_000)]), REPAYMENTS, 0)
    risk_engine.advance_together(end_of("2025-03-03"))
    for offset, event_id in enumerate(event_ids, start=70):
        risk_engine.note_reject(REPAYMENTS, "b-1", event_id, WHEN_MS, offset)
    risk_engine.take_alerts(detected_at_ms=0)
    return risk_engine


def voided(risk_engine: RiskEngine, target: str, feed: int = REPAYMENTS, number: int = 1) -> list[Alert]:
    """What is told when a record is taken back."""
    event = EventVoided(
        event_id=f"released-{number}", borrower_id="b-1", event_time_ms=WHEN_MS, target_event_id=target
    )
    assert risk_engine.process(event, feed, 200 + number) is None
    return risk_engine.take_alerts(detected_at_ms=0)


def test_a_refused_record_that_is_taken_back_holds_no_more() -> None:
    """The open alert says so, naming what released it."""
    (alert,) = voided(held_engine("refused-9"), "refused-9")

    assert (alert.status, alert.recommendation.actionable, alert.recommendation.hold) == (
        "updated",
        True,
        None,
    )
    assert alert.caused_by.event_id == "released-1"


def test_a_record_without_a_readable_id_is_taken_back_by_its_place() -> None:
    """Topic and offset stand for the id that nobody could read."""
    (alert,) = voided(held_engine(None), nameless("repayments", 70))

    assert alert.recommendation.hold is None


def test_the_hold_lasts_until_the_last_record_is_settled() -> None:
    """Two are missing: taking back one of them changes nothing yet."""
    risk_engine = held_engine("refused-9", None)

    assert voided(risk_engine, "refused-9", number=1) == []
    assert len(voided(risk_engine, nameless("repayments", 70), number=2)) == 0
    assert len(voided(risk_engine, nameless("repayments", 71), number=3)) == 1


def test_records_beyond_those_remembered_are_taken_back_together() -> None:
    """They have one name among them."""
    names = [f"refused-{number}" for number in range(INCOMPLETE_RECORDS_MAX + 5)]
    risk_engine = held_engine(*names)

    for number, name in enumerate(names):
        assert voided(risk_engine, name, number=number) == []
    assert len(voided(risk_engine, INCOMPLETE_MORE, number=len(names))) == 1


def test_servicing_may_take_back_and_fund_flows_may_not() -> None:
    """Only where a refused record holds can one be taken back."""
    risk_engine = held_engine("refused-9")

    assert voided(risk_engine, "refused-9", FUND_FLOWS, number=1) == []
    assert len(voided(risk_engine, "refused-9", SERVICING, number=2)) == 1


def test_taking_back_twice_is_taking_back_once() -> None:
    """The same release again is a duplicate; another of the same record finds nothing."""
    risk_engine = held_engine("refused-9")

    assert len(voided(risk_engine, "refused-9", number=1)) == 1
    assert voided(risk_engine, "refused-9", number=1) == []
    assert voided(risk_engine, "refused-9", number=2) == []
