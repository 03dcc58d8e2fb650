"""The laws of the engine (blueprint, section 4), each for any log that the strategies can think of."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Alert, ChainHead, link
from models.engine import RiskEngine
from models.events import BorrowerEvent
from tests.support.equality import by_borrower, comparable
from tests.support.events import engine, feed_of, finish
from tests.support.logs import logs, logs_in_order
from tests.support.restarting import go_on

UNTIL = "2025-09-30"


def process(
    risk_engine: RiskEngine, events: Sequence[BorrowerEvent], first_offset: int = 0
) -> dict[str, bytes | None]:
    """Feed events; return nothing but what is refused, as the dead letters would hold it."""
    for offset, event in enumerate(events, start=first_offset):
        risk_engine.process(event, feed_of(event), offset)
    return {}


def alerts_of(events: Sequence[BorrowerEvent]) -> list[Alert]:
    """The alerts of a log in one go."""
    risk_engine = engine()
    process(risk_engine, events)
    return finish(risk_engine, UNTIL)


@settings(deadline=None, max_examples=60)
@given(logs(), st.data())
def test_cutting_the_log_into_other_batches_changes_no_alert(
    events: list[BorrowerEvent], data: st.DataObject
) -> None:
    """Taking the output at any points gives the same alerts, to the last byte of the chain."""
    cuts = sorted(data.draw(st.lists(st.integers(min_value=0, max_value=len(events)), max_size=5)))
    risk_engine = engine()
    alerts: list[Alert] = []
    for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        process(risk_engine, events[begin:end], begin)
        alerts.extend(risk_engine.take_output(detected_at_ms=0).alerts)
    alerts.extend(finish(risk_engine, UNTIL))

    assert alerts_of(events) == alerts


@settings(deadline=None, max_examples=60)
@given(logs(), st.data())
def test_snapshot_restore_and_continue_equals_continue(
    events: list[BorrowerEvent], data: st.DataObject
) -> None:
    """An engine rebuilt from the changelog and the progress goes on as the old one would have."""
    cuts = sorted(data.draw(st.lists(st.integers(min_value=0, max_value=len(events)), max_size=3)))
    changelog: dict[str, bytes | None] = {}
    alerts: list[Alert] = []
    risk_engine = engine()
    for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        process(risk_engine, events[begin:end], begin)
        output = risk_engine.take_output(detected_at_ms=0)
        alerts.extend(output.alerts)
        changelog.update(output.changed)
        risk_engine = go_on(risk_engine, changelog, engine())
    alerts.extend(finish(risk_engine, UNTIL))

    assert alerts_of(events) == alerts


@settings(deadline=None, max_examples=60)
@given(logs(), st.data())
def test_a_duplicate_changes_nothing(events: list[BorrowerEvent], data: st.DataObject) -> None:
    """Delivering events again, at any later place, changes no alert."""
    repeated = list(events)
    for _ in range(data.draw(st.integers(min_value=1, max_value=5))):
        if repeated:
            first = data.draw(st.integers(min_value=0, max_value=len(repeated) - 1))
            again = data.draw(st.integers(min_value=first + 1, max_value=len(repeated)))
            repeated.insert(again, repeated[first])

    expected, actual = alerts_of(events), alerts_of(repeated)

    assert list(map(comparable, expected)) == list(map(comparable, actual))


@settings(deadline=None, max_examples=100)
@given(logs_in_order())
def test_in_order_other_borrowers_change_no_alert(events: list[BorrowerEvent]) -> None:
    """Each borrower's alerts are those it would have had alone."""
    together = by_borrower(alerts_of(events))

    for borrower_id in {event.borrower_id for event in events}:
        alone = by_borrower(alerts_of([event for event in events if event.borrower_id == borrower_id]))
        assert alone.get(borrower_id) == together.get(borrower_id)


@settings(deadline=None, max_examples=60)
@given(logs_in_order(), st.integers(min_value=2, max_value=4))
def test_in_order_the_number_of_partitions_changes_no_alert(
    events: list[BorrowerEvent], partitions: int
) -> None:
    """However borrowers are spread over tasks, each gets the same alerts."""
    spread: list[Alert] = []
    for partition in range(partitions):
        own = [event for event in events if zlib.crc32(event.borrower_id.encode()) % partitions == partition]
        spread.extend(alerts_of(own))

    assert by_borrower(alerts_of(events)) == by_borrower(spread)


@settings(deadline=None, max_examples=30)
@given(logs())
def test_the_chain_proves_every_alert_and_their_order(events: list[BorrowerEvent]) -> None:
    """Linking the alerts again gives the very hashes that were published."""
    head = ChainHead()
    for alert in alerts_of(events):
        again, head = link(alert, head)
        assert alert == again
