"""The laws of a change of policy, for any log that the strategies can think of and any instant."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Alert
from models.calendars import DAY_MS, day_of_date
from models.engine import RiskEngine
from models.events import BorrowerEvent
from models.risk.scorecard import expert_prior
from models.rulebook import Rulebook
from tests.support.equality import by_borrower, comparable
from tests.support.events import engine, feed, feed_of, finish, rules
from tests.support.logs import DAYS, START, logs, logs_in_order
from tests.support.restarting import go_on

UNTIL = "2025-09-30"
START_MS = day_of_date(START) * DAY_MS
STRICTER = rules(
    """
    [signals.missed_payment]
    severity = { warning = 3, serious = 14 }
    [signals.income_drop]
    severity = { watch = 0.10, warning = 0.20, serious = 0.40 }
    [signals.multi_platform_borrowing]
    severity = { watch = 1, warning = 2, serious = 3 }
    [segments.own]
    match = { platform = "own" }
    [segments.own.signals.missed_payment.severity]
    warning = 2
    """
)
LOOSER = rules(
    """
    [signals.missed_payment]
    grace_days = 5
    [signals.multi_platform_borrowing]
    severity = { watch = 6, warning = 7 }
    """
)
POLICIES = {"stricter": STRICTER, "looser": LOOSER, "default": rules()}
switches = st.lists(
    st.tuples(
        st.sampled_from(sorted(POLICIES)),
        st.integers(min_value=0, max_value=DAYS * 24 * 60).map(lambda minute: START_MS + minute * 60_000),
    ),
    min_size=1,
    max_size=3,
).map(lambda found: sorted(found, key=lambda switch: switch[1]))


def switching(changes: Sequence[tuple[str, int]]) -> RiskEngine:
    """An engine that knows of the changes from the beginning."""
    risk_engine = engine()
    for number, (name, from_ms) in enumerate(changes, start=1):
        risk_engine.adopt(number, POLICIES[name], from_ms)
    return risk_engine


def alerts_of(events: Sequence[BorrowerEvent], changes: Sequence[tuple[str, int]]) -> list[Alert]:
    """The alerts of a log in one go."""
    risk_engine = switching(changes)
    feed(risk_engine, events)
    return finish(risk_engine, UNTIL)


@settings(max_examples=60)
@given(logs(), st.integers(min_value=0, max_value=DAYS), st.data())
def test_switching_to_an_equal_policy_changes_nothing(
    events: list[BorrowerEvent], day: int, data: st.DataObject
) -> None:
    """No alert and no byte of any state differs, whenever it is taken up."""
    at = data.draw(st.integers(min_value=0, max_value=len(events)))
    risk_engine, undisturbed = engine(), engine()
    feed(risk_engine, events[:at])
    risk_engine.adopt(1, rules(), START_MS + day * DAY_MS)
    feed(risk_engine, events[at:], at)
    feed(undisturbed, events)

    assert finish(risk_engine, UNTIL) == finish(undisturbed, UNTIL)
    assert risk_engine.take_output(0).changed == undisturbed.take_output(0).changed


@settings(max_examples=60)
@given(logs(), switches, st.data())
def test_it_does_not_matter_how_long_before_a_change_is_known(
    events: list[BorrowerEvent], changes: list[tuple[str, int]], data: st.DataObject
) -> None:
    """Known from the start, as in a backtest, or taken up amid the log before it takes effect: the same alerts."""
    first_ms = changes[0][1]
    before = [event.event_time_ms < first_ms - 3_600_000 for event in events]
    known_max = before.index(False) if False in before else len(events)
    at = data.draw(st.integers(min_value=0, max_value=known_max))
    risk_engine = engine()
    feed(risk_engine, events[:at])
    for number, (name, from_ms) in enumerate(changes, start=1):
        risk_engine.adopt(number, POLICIES[name], from_ms)
    feed(risk_engine, events[at:], at)

    assert finish(risk_engine, UNTIL) == alerts_of(events, changes)


@settings(max_examples=60)
@given(logs(), switches, st.data())
def test_snapshot_restore_and_continue_equals_continue(
    events: list[BorrowerEvent], changes: list[tuple[str, int]], data: st.DataObject
) -> None:
    """A restart before, amid or after a review goes on as the old engine would have, to the last byte of the chain."""
    cuts = sorted(data.draw(st.lists(st.integers(min_value=0, max_value=len(events)), max_size=3)))
    by_version = {known.policy_version: known for known in POLICIES.values()}
    changelog: dict[str, bytes | None] = {}
    alerts: list[Alert] = []
    risk_engine = switching(changes)
    for begin, end in zip([0, *cuts], [*cuts, len(events)], strict=True):
        feed(risk_engine, events[begin:end], begin)
        output = risk_engine.take_output(detected_at_ms=0)
        alerts.extend(output.alerts)
        changelog.update(output.changed)
        adopted = risk_engine.adopted
        spans = [(span.from_ms, by_version[span.version]) for span in adopted.spans]
        book = Rulebook.resumed(spans, adopted.publication)
        risk_engine = go_on(risk_engine, changelog, RiskEngine(book, expert_prior()))
    alerts.extend(finish(risk_engine, UNTIL))

    assert alerts == alerts_of(events, changes)


@settings(max_examples=60)
@given(logs_in_order(), switches)
def test_in_order_other_borrowers_change_no_alert(
    events: list[BorrowerEvent], changes: list[tuple[str, int]]
) -> None:
    """Each borrower's alerts are those it would have had alone: a policy changes at an instant, not at a record."""
    together = by_borrower(alerts_of(events, changes))

    for borrower_id in {event.borrower_id for event in events}:
        alone = by_borrower(
            alerts_of([event for event in events if event.borrower_id == borrower_id], changes)
        )
        assert alone.get(borrower_id) == together.get(borrower_id)


@settings(max_examples=60)
@given(logs(), switches)
def test_an_alert_names_the_policy_that_was_in_force(
    events: list[BorrowerEvent], changes: list[tuple[str, int]]
) -> None:
    """A revision as of an instant before the first change bears the first version, one long after the last the last."""
    versions = {known.policy_version for known in POLICIES.values()}
    for alert in alerts_of(events, changes):
        assert alert.policy_version in versions
        if alert.caused_by.event_id is None and alert.event_time_ms >= changes[-1][1]:
            assert alert.policy_version == POLICIES[changes[-1][0]].policy_version
        if alert.caused_by.event_id is None and alert.event_time_ms < changes[0][1]:
            assert alert.policy_version == rules().policy_version


@settings(max_examples=40)
@given(logs(), switches, st.data())
def test_a_change_learnt_late_judges_nothing_again(
    events: list[BorrowerEvent], changes: list[tuple[str, int]], data: st.DataObject
) -> None:
    """What was published by then stays as it is, and what an engine says it adopted gives the same alerts anew."""
    at = data.draw(st.integers(min_value=0, max_value=len(events)))
    risk_engine = engine()
    feed(risk_engine, events[:at])
    name, from_ms = changes[0]
    risk_engine.adopt(1, POLICIES[name], from_ms)
    adopted = risk_engine.adopted
    feed(risk_engine, events[at:], at)

    by_version = {known.policy_version: known for known in POLICIES.values()}
    replayed = engine()
    for span in adopted.spans[1:]:
        replayed.adopt(1, by_version[span.version], span.from_ms)
    feed(replayed, events)
    assert list(map(comparable, finish(replayed, UNTIL))) == list(map(comparable, finish(risk_engine, UNTIL)))


@settings(max_examples=40)
@given(logs(), switches)
def test_reviewing_in_steps_equals_reviewing_at_once(
    events: list[BorrowerEvent], changes: list[tuple[str, int]]
) -> None:
    """However little a step may do: not a byte of the chain differs."""
    risk_engine = switching(changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.engine.REVIEWED_AT_ONCE_MAX", 1)
        for offset, event in enumerate(events):
            while not risk_engine.prepare(event, feed_of(event), offset):
                pass
            risk_engine.process(event, feed_of(event), offset)

    assert finish(risk_engine, UNTIL) == alerts_of(events, changes)
