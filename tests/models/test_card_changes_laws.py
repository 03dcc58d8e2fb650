"""The laws of a change of card, beside changes of policy, for any log that the strategies can think of and any instant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Alert
from models.calendars import DAY_MS, day_of_date
from models.engine import RiskEngine
from models.events import BorrowerEvent
from models.risk.scorecard import Scorecard, broad_prior, expert_prior
from models.rulebook import Rulebook
from models.rules import Rules
from tests.support.equality import by_borrower, comparable
from tests.support.events import feed, feed_of, finish, rules
from tests.support.lives import lives
from tests.support.logs import DAYS, START, logs, logs_in_order
from tests.support.restarting import go_on

UNTIL = "2025-09-30"
START_MS = day_of_date(START) * DAY_MS
SENSITIVE = "[signals.risk_score]\nbackground_min = 0.0\nrise = 0.04\n"
"""So that the score finds something in most lives."""
CONFIRMING = (
    SENSITIVE
    + """
[[combinations]]
signal = "multi_platform_borrowing"
severity_max = "warning"
confirmed_by = "risk_score"
confirmed_severity_min = "watch"
"""
)
POLICIES: Final = {"sensitive": rules(SENSITIVE), "confirming": rules(CONFIRMING)}
PRIOR = expert_prior()
CARDS: Final = {
    "prior": PRIOR,
    "alarmed": msgspec.structs.replace(PRIOR, bias=-1.5),
    "broad": msgspec.structs.replace(broad_prior(), bias=-2.5),
    "calls": Scorecard(
        ("unreached_attempts", "days_since_payment"), ((1.0,), (40.0,)), ((0.0, 2.0), (0.0, 1.0)), -2.5
    ),
}


class Change(NamedTuple):
    """What is published, and from when on it is to hold."""

    kind: Literal["policy", "card"]
    name: str
    from_ms: int


_instants = st.integers(min_value=0, max_value=DAYS * 24 * 60).map(lambda minute: START_MS + minute * 60_000)
changes_of_cards = st.builds(Change, st.just("card"), st.sampled_from(sorted(CARDS)), _instants)
changes_of_policies = st.builds(Change, st.just("policy"), st.sampled_from(sorted(POLICIES)), _instants)
switches = st.lists(changes_of_cards | changes_of_cards | changes_of_policies, min_size=1, max_size=4).map(
    lambda found: sorted(found, key=lambda change: change.from_ms)
)
any_logs = logs() | lives()


def new_engine() -> RiskEngine:
    """An engine on its first day."""
    return RiskEngine(POLICIES["sensitive"], PRIOR)


def adopt(risk_engine: RiskEngine, changes: Sequence[Change]) -> None:
    """Take up changes, numbered by their kind."""
    for change in changes:
        if change.kind == "policy":
            number = risk_engine.adopted.publication + 1
            risk_engine.adopt(number, POLICIES[change.name], change.from_ms)
        else:
            number = risk_engine.adopted_cards.publication + 1
            risk_engine.adopt_card(number, CARDS[change.name], change.from_ms)


def alerts_of(events: Sequence[BorrowerEvent], changes: Sequence[Change]) -> list[Alert]:
    """The alerts of a log in one go, all changes known from the beginning."""
    risk_engine = new_engine()
    adopt(risk_engine, changes)
    feed(risk_engine, events)
    return finish(risk_engine, UNTIL)


def restarted(risk_engine: RiskEngine) -> RiskEngine:
    """The rules of another engine made anew from what is remembered of them."""
    policies = {known.policy_version: known for known in POLICIES.values()}
    cards = {known.version: known for known in CARDS.values()}
    adopted, adopted_cards = risk_engine.adopted, risk_engine.adopted_cards
    spans: list[tuple[int, Rules]] = [(span.from_ms, policies[span.version]) for span in adopted.spans]
    book = Rulebook.resumed(spans, adopted.publication)
    book.hold_cards(
        [(span.from_ms, cards[span.version]) for span in adopted_cards.spans], adopted_cards.publication
    )
    return RiskEngine(book)


@settings(max_examples=40, deadline=None)
@given(any_logs, st.integers(min_value=0, max_value=DAYS), st.data())
def test_switching_to_an_equal_card_changes_nothing(
    events: list[BorrowerEvent], day: int, data: st.DataObject
) -> None:
    """No alert and no byte of any state differs, whenever it is taken up."""
    at = data.draw(st.integers(min_value=0, max_value=len(events)))
    risk_engine, undisturbed = new_engine(), new_engine()
    feed(risk_engine, events[:at])
    risk_engine.adopt_card(1, msgspec.structs.replace(PRIOR), START_MS + day * DAY_MS)
    feed(risk_engine, events[at:], at)
    feed(undisturbed, events)

    assert finish(risk_engine, UNTIL) == finish(undisturbed, UNTIL)
    assert risk_engine.take_output(0).changed == undisturbed.take_output(0).changed


@settings(max_examples=60, deadline=None)
@given(any_logs, switches, st.data())
def test_it_does_not_matter_how_long_before_a_change_is_known(
    events: list[BorrowerEvent], changes: list[Change], data: st.DataObject
) -> None:
    """Known from the start, as in a backtest, or taken up amid the log before it takes effect: the same alerts."""
    first_ms = changes[0].from_ms
    before = [event.event_time_ms < first_ms - 3_600_000 for event in events]
    known_max = before.index(False) if False in before else len(events)
    at = data.draw(st.integers(min_value=0, max_value=known_max))
    risk_engine = new_engine()
    feed(risk_engine, events[:at])
    adopt(risk_engine, changes)
    feed(risk_engine, events[at:], at)

    assert finish(risk_engine, UNTIL) == alerts_of(events, changes)


@settings(max_examples=60, deadline=None)
@given(any_logs, switches, st.data())
def test_snapshot_restore_and_continue_equals_continue(
    events: list[BorrowerEvent], changes: list[Change], data: st.DataObject
) -> None:
    """A restart before, amid or after a review goes on as the old engine would have, to the last byte of the chain."""
    cuts = sorted(data.draw(st.lists(st.integers(min_value=0, max_value=len(events)), max_size=3)))
    taken_up_at = data.draw(st.integers(min_value=0, max_value=len(cuts)))
    changelog: dict[str, bytes | None] = {}
    alerts: list[Alert] = []
    risk_engine, whole = new_engine(), new_engine()
    for part, (begin, end) in enumerate(zip([0, *cuts], [*cuts, len(events)], strict=True)):
        if part == taken_up_at:
            adopt(risk_engine, changes)
            adopt(whole, changes)
        feed(whole, events[begin:end], begin)
        feed(risk_engine, events[begin:end], begin)
        output = risk_engine.take_output(detected_at_ms=0)
        alerts.extend(output.alerts)
        changelog.update(output.changed)
        former, risk_engine = risk_engine, restarted(risk_engine)
        assert (risk_engine.adopted, risk_engine.adopted_cards) == (former.adopted, former.adopted_cards)
        go_on(former, changelog, risk_engine)
        assert risk_engine.card_version == former.card_version
    alerts.extend(finish(risk_engine, UNTIL))

    assert alerts == finish(whole, UNTIL)


@settings(max_examples=40, deadline=None)
@given(logs_in_order() | lives(), switches)
def test_in_order_other_borrowers_change_no_alert(events: list[BorrowerEvent], changes: list[Change]) -> None:
    """Each borrower's alerts are those it would have had alone: a card changes at an instant, not at a record."""
    together = by_borrower(alerts_of(events, changes))

    for borrower_id in {event.borrower_id for event in events}:
        own = [event for event in events if event.borrower_id == borrower_id]
        assert by_borrower(alerts_of(own, changes)).get(borrower_id) == together.get(borrower_id)


@settings(max_examples=60, deadline=None)
@given(any_logs, switches)
def test_an_alert_names_the_card_that_was_in_force(
    events: list[BorrowerEvent], changes: list[Change]
) -> None:
    """What time alone brings names the card of its instant, whatever policies do."""
    spans = [(-1, PRIOR.version)]
    spans += [(change.from_ms, CARDS[change.name].version) for change in changes if change.kind == "card"]
    for alert in alerts_of(events, changes):
        if alert.caused_by.event_id is None:
            expected = [version for from_ms, version in spans if from_ms <= alert.event_time_ms][-1]
            assert alert.risk.model_version == expected


@settings(max_examples=40, deadline=None)
@given(any_logs, switches, st.data())
def test_a_change_learnt_late_judges_nothing_again(
    events: list[BorrowerEvent], changes: list[Change], data: st.DataObject
) -> None:
    """What was published by then stays as it is, and what an engine says it adopted gives the same alerts anew."""
    at = data.draw(st.integers(min_value=0, max_value=len(events)))
    risk_engine = new_engine()
    feed(risk_engine, events[:at])
    adopt(risk_engine, changes[:1])
    replayed = restarted(risk_engine)
    replayed.resume(new_engine().progress())
    feed(risk_engine, events[at:], at)
    feed(replayed, events)

    assert list(map(comparable, finish(replayed, UNTIL))) == list(map(comparable, finish(risk_engine, UNTIL)))


@settings(max_examples=40, deadline=None)
@given(any_logs, switches)
def test_reviewing_in_steps_equals_reviewing_at_once(
    events: list[BorrowerEvent], changes: list[Change]
) -> None:
    """However little a step may do: not a byte of the chain differs."""
    risk_engine = new_engine()
    adopt(risk_engine, changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.engine.REVIEWED_AT_ONCE_MAX", 1)
        for offset, event in enumerate(events):
            while not risk_engine.prepare(event, feed_of(event), offset):
                pass
            risk_engine.process(event, feed_of(event), offset)

    assert finish(risk_engine, UNTIL) == alerts_of(events, changes)
