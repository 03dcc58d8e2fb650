"""After an event only what it may bring nearer is scheduled again; that must tell the same as scheduling everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Alert, SignalName
from models.engine import RiskEngine
from models.events import BorrowerEvent
from models.risk.scorecard import Scorecard
from models.signal_table import MOVED_WITH, SIGNALS
from tests.support.cards import cards, learnt_cards
from tests.support.events import end_of, engine, feed_of, rules
from tests.support.every_kind import DRAWN, months_with
from tests.support.servicing_logs import served_logs
from tests.support.signal_stories import STORIES, in_time, live

EVERYTHING = tuple(
    tuple(number for number, other in enumerate(SIGNALS) if other.clock == signal.clock) for signal in SIGNALS
)
"""By signal: all of its clock."""
PLAIN = ""
COMBINED = """
combinations = [
    { signal = "missed_payment", severity_max = "serious", confirmed_by = "income_drop", confirmed_severity_min = "watch" },
    { signal = "income_drop", severity_max = "warning", confirmed_by = "missed_payment", confirmed_severity_min = "watch" },
    { signal = "asset_flight", severity_max = "warning", confirmed_by = "over_indebtedness", confirmed_severity_min = "watch" },
]
"""
POLICIES = pytest.mark.parametrize("override", [PLAIN, COMBINED], ids=["plain", "combined"])


@contextmanager
def scheduling_everything() -> Iterator[None]:
    """Whatever an event touches, all signals of its clock are asked for their next deadline."""
    with pytest.MonkeyPatch.context() as table:
        table.setattr("models.schedule.MOVED_WITH", EVERYTHING)
        yield


def alerts_of(events: Sequence[BorrowerEvent], override: str = PLAIN) -> list[Alert]:
    """The alerts of a log, with all deadlines up to the end of its year."""
    risk_engine: RiskEngine = engine(override)
    for offset, event in enumerate(events):
        risk_engine.process(event, feed_of(event), offset)
    risk_engine.advance_together(end_of("2025-12-31"))
    return risk_engine.take_alerts(detected_at_ms=0)


@POLICIES
@settings(deadline=None, max_examples=40)
@given(events=served_logs())
def test_asking_only_what_an_event_moved_tells_what_asking_all_tells(
    override: str, events: list[BorrowerEvent]
) -> None:
    """Loans, income, queries and servicing in any order of delivery: the same alerts, revision by revision."""
    with scheduling_everything():
        expected = alerts_of(events, override)

    assert alerts_of(events, override) == expected


@settings(deadline=None, max_examples=25)
@given(events=served_logs())
def test_what_is_known_with_the_newest_pay_spares_the_score_nothing_but_time(
    events: list[BorrowerEvent],
) -> None:
    """Told what part of income is lost at every look, it finds the same."""
    with pytest.MonkeyPatch.context() as outlook:
        outlook.setattr("models.income_outlook.is_known_plain", lambda *_: False)
        expected = alerts_of(events)

    assert alerts_of(events) == expected


@pytest.mark.parametrize("kind", DRAWN, ids=lambda kind: kind.__name__)
@settings(deadline=None, max_examples=8)
@given(data=st.data())
def test_no_kind_of_event_moves_a_deadline_unseen(kind: type, data: st.DataObject) -> None:
    """Months of a life with an event of each kind in it."""
    events = data.draw(months_with(kind))[0]
    with scheduling_everything():
        expected = alerts_of(events)

    assert alerts_of(events) == expected


FEARFUL: Final = Scorecard(("unreached_attempts",), ((1.0,),), ((0.0, 3.0),), -3.0)
"""One attempt in vain, and it is found: without one there is nothing to be in reach by."""


def scored(events: Sequence[BorrowerEvent], card: Scorecard) -> list[tuple[str, str, int, int]]:
    """The alerts of the score by a card, without what the alerts of others show in them."""
    policy = rules("[signals.risk_score]\nbackground_min = 0.0\nrise = 0.04\n")
    risk_engine = RiskEngine(policy, card)
    for offset, event in enumerate(events):
        risk_engine.process(event, feed_of(event), offset)
    risk_engine.advance_together(end_of("2025-12-31"))
    return [
        (alert.status, alert.severity, alert.event_time_ms, alert.opened_at_ms)
        for alert in risk_engine.take_alerts(detected_at_ms=0)
        if alert.signal == "risk_score"
    ]


@pytest.mark.parametrize("kind", DRAWN, ids=lambda kind: kind.__name__)
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_no_kind_of_event_moves_the_score_unseen(kind: type, data: st.DataObject) -> None:
    """By any card: whoever judges the score at every event, in reach or not, is told the same."""
    events, card = data.draw(months_with(kind))[0], data.draw(st.just(FEARFUL) | cards() | learnt_cards())
    with pytest.MonkeyPatch.context() as asked:
        for which in ("_touches_score", "_may_bring_into_reach"):
            asked.setattr(f"models.evidence.{which}", lambda *_: True)
        expected = scored(events, card)

    assert scored(events, card) == expected


@pytest.mark.parametrize("name", STORIES)
def test_no_signal_is_missed_in_its_own_story(name: SignalName) -> None:
    """The life that opens a signal and ends it, and the one that hovers at its thresholds."""
    story = STORIES[name]()
    for events in ([*story.opens, *story.ends], story.hovers):
        with scheduling_everything():
            expected = live(in_time(events), story.until)

        assert live(in_time(events), story.until) == expected


def test_what_moves_together_is_judged_on_one_clock() -> None:
    """A touched signal has the deadlines of its own clock found anew, and those of no other."""
    for signal, moved in enumerate(MOVED_WITH):
        assert {SIGNALS[other].clock for other in moved} == {SIGNALS[signal].clock}
