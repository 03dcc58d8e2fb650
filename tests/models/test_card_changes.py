"""A change of the scorecard as one borrower lives through it: from when on it weighs, whom it finds, and that nothing flaps."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from models.alerts import Alert
from models.calendars import DAY_MS
from models.engine import RiskEngine
from models.events import BorrowerEvent
from models.limits import CARDS_REMEMBERED_MAX
from models.risk.scorecard import Scorecard, expert_prior
from models.rulebook import MINUTE_MS, SINCE_EVER_MS, Rulebook, review_minute
from tests.support.events import at, engine, feed_of, loan, paid, query, rules

PRIOR = expert_prior()
"""Gives a borrower without a blemish 1.5 %."""


def shifted(log_odds: float) -> Scorecard:
    """The prior, by so much more of everybody."""
    return msgspec.structs.replace(PRIOR, bias=PRIOR.bias + log_odds)


ALARMED, AT_EASE = shifted(4.0), shifted(-1.0)
QUIET = "[signals.risk_score]\nrise = 1.0\nbackground_min = 0.0\n"
LOAN = loan("2025-03-01", [("2025-09-10", 100_000)])


def live(risk_engine: RiskEngine, *events: BorrowerEvent) -> list[Alert]:
    """Process events, and take the alerts."""
    for offset, event in enumerate(events):
        assert risk_engine.process(event, feed_of(event), offset) is None
    return risk_engine.take_alerts(detected_at_ms=0)


def passing(risk_engine: RiskEngine, at_ms: int) -> list[Alert]:
    """Let every feed reach an instant, and take the alerts."""
    risk_engine.advance_together(dict.fromkeys(range(4), at_ms))
    return risk_engine.take_alerts(detected_at_ms=0)


def told(alerts: list[Alert]) -> list[tuple[Any, ...]]:
    """Of each alert: what became of which, and by which card."""
    return [(alert.signal, alert.status, alert.risk.model_version) for alert in alerts]


def test_a_new_card_finds_within_a_day_who_stands_where_it_warns() -> None:
    """Nothing happens to the borrower: it is the review at the borrower's minute that finds it, and no look before."""
    risk_engine = engine(QUIET)
    live(risk_engine, LOAN)
    from_ms = at("2025-03-15", "09:00")
    risk_engine.adopt_card(1, ALARMED, from_ms)
    review_ms = from_ms + review_minute("b-1") * MINUTE_MS

    assert passing(risk_engine, review_ms - 1) == []
    (opened,) = passing(risk_engine, review_ms)

    assert told([opened]) == [("risk_score", "opened", ALARMED.version)]
    assert opened.event_time_ms == review_ms < from_ms + DAY_MS
    assert opened.reasons[0].evidence["model_version"] == ALARMED.version
    assert opened.caused_by.event_id is None


def test_a_card_gone_back_to_ends_what_it_does_not_warn_of() -> None:
    """The alert was right by the card of its time: it is resolved, not retracted, and names the card that says so."""
    risk_engine = engine(QUIET)
    live(risk_engine, LOAN)
    risk_engine.adopt_card(1, ALARMED, at("2025-03-15"))
    risk_engine.adopt_card(2, PRIOR, at("2025-03-18"))

    assert told(passing(risk_engine, at("2025-03-25"))) == [
        ("risk_score", "opened", ALARMED.version),
        ("risk_score", "resolved", PRIOR.version),
    ]


def test_cards_that_say_about_the_same_do_not_make_an_alert_flap() -> None:
    """Day by day a card a little above and a little below the tier: it opens once, and stays."""
    risk_engine = engine(QUIET)
    live(risk_engine, LOAN)
    found: list[Alert] = []
    for number in range(20):
        above = 2.85 if number % 2 else 2.75
        risk_engine.adopt_card(number + 1, shifted(above), at("2025-03-15") + number * DAY_MS)
        found += passing(risk_engine, at("2025-03-16") + number * DAY_MS)

    assert [alert.status for alert in found] == ["opened"]


def test_another_card_is_no_jump() -> None:
    """A probability is held against the one before by the same card: nobody's has risen because the card is another."""
    risk_engine = engine(
        "[signals.risk_score]\nrise = 0.05\nbackground_min = 0.0\n[risk.tiers]\nhigh = 0.9\nsevere = 0.95\n"
    )
    live(risk_engine, LOAN)
    risk_engine.adopt_card(1, shifted(3.0), at("2025-04-20"))

    assert passing(risk_engine, at("2025-06-01")) == []


def test_alerts_of_all_signals_name_the_card_of_their_instant() -> None:
    """A missed payment tells the probability by the card in force at its deadline, however late the watermark comes."""
    risk_engine = engine(QUIET)
    live(risk_engine, loan("2025-03-01", [("2025-03-10", 100_000), ("2025-04-10", 100_000)]))
    risk_engine.adopt_card(1, AT_EASE, at("2025-03-20"))
    live(risk_engine, paid("2025-03-12", 100_000))

    found = [alert for alert in passing(risk_engine, at("2025-05-01")) if alert.signal == "missed_payment"]

    assert told(found[:1]) == [("missed_payment", "opened", AT_EASE.version)]
    before = engine(QUIET)
    live(before, loan("2025-03-01", [("2025-03-10", 100_000)]))
    before.adopt_card(1, AT_EASE, at("2025-03-20"))
    assert told(passing(before, at("2025-03-12"))) == [("missed_payment", "opened", PRIOR.version)]


def test_what_was_judged_stays_where_a_card_is_learnt_late() -> None:
    """It weighs from an allowed lateness beyond the watermark on, and the task remembers that instant."""
    risk_engine = engine(QUIET)
    live(risk_engine, LOAN)
    passing(risk_engine, at("2025-03-15"))
    risk_engine.adopt_card(7, ALARMED, at("2025-03-05"))

    assert risk_engine.adopted_cards.publication == 7
    first, late = risk_engine.adopted_cards.spans
    assert (first.from_ms, first.version) == (SINCE_EVER_MS, PRIOR.version)
    assert (late.from_ms, late.version) == (at("2025-03-15") + 3_600_000 + 1, ALARMED.version)
    assert risk_engine.card_version == PRIOR.version
    passing(risk_engine, at("2025-03-17"))
    assert risk_engine.card_version == ALARMED.version


def test_a_card_called_off_before_its_time_weighs_nothing() -> None:
    """Nor is anybody reviewed for it."""
    risk_engine = engine(QUIET)
    live(risk_engine, LOAN)
    risk_engine.adopt_card(1, ALARMED, at("2025-03-20"))
    risk_engine.adopt_card(2, PRIOR, at("2025-03-18"))

    assert not risk_engine.is_reviewing
    assert passing(risk_engine, at("2025-04-20")) == []
    assert [span.version for span in risk_engine.adopted_cards.spans] == [PRIOR.version]


def test_only_the_score_is_judged_once_more_for_a_card() -> None:
    """A policy has everything judged once more, on every clock."""
    risk_engine = engine(QUIET)
    live(risk_engine, LOAN, query("2025-03-02", "bank-1"))
    risk_engine.adopt_card(1, AT_EASE, at("2025-03-15"))
    judged_ms = _judged_ms(risk_engine)
    passing(risk_engine, at("2025-03-16"))
    moved = [now > before for now, before in zip(_judged_ms(risk_engine), judged_ms, strict=True)]
    assert moved.count(True) == 1

    risk_engine.adopt(1, rules(QUIET + "[signals.missed_payment]\ngrace_days = 1\n"), at("2025-03-20"))
    judged_ms = _judged_ms(risk_engine)
    passing(risk_engine, at("2025-03-22"))
    assert all(now > before for now, before in zip(_judged_ms(risk_engine), judged_ms, strict=True))


def _judged_ms(risk_engine: RiskEngine) -> list[int]:
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    return list(borrower.judged_ms)


COMBINED = (
    QUIET
    + """
[[combinations]]
signal = "multi_platform_borrowing"
severity_max = "warning"
confirmed_by = "risk_score"
confirmed_severity_min = "watch"
"""
)


def test_what_the_score_confirms_is_judged_once_more_with_it() -> None:
    """Three new institutions are worse where the score warns as well; the card that does is found within a day."""
    risk_engine = engine(COMBINED)
    found = live(risk_engine, LOAN, *(query("2025-03-14", f"bank-{n}") for n in range(3)))
    assert [(alert.signal, alert.severity) for alert in found] == [("multi_platform_borrowing", "watch")]
    risk_engine.adopt_card(1, ALARMED, at("2025-03-16"))

    found = passing(risk_engine, at("2025-03-17"))

    raised = [alert for alert in found if alert.signal == "multi_platform_borrowing"]
    assert [(alert.status, alert.severity) for alert in raised] == [("escalated", "warning")]


def test_cards_remembered_are_bounded() -> None:
    """The oldest goes; the next one then weighs all time before as well."""
    book = Rulebook(rules())
    for number in range(3 * CARDS_REMEMBERED_MAX):
        book.adopt_card(shifted(number / 100), 1_000 + number, not_before_ms=-1)

    assert len(book.adopted_cards.spans) == CARDS_REMEMBERED_MAX
    assert book.at(0).card.version == book.adopted_cards.spans[0].version


@pytest.mark.parametrize("policy_first", [True, False])
def test_policies_and_cards_change_apart_from_each_other(*, policy_first: bool) -> None:
    """At every instant the policy in force then, with the card in force then, whichever was known first."""
    book, other = Rulebook(rules()), rules(QUIET)
    for kind in ("policy", "card") if policy_first else ("card", "policy"):
        if kind == "policy":
            book.adopt(other, 1_000, not_before_ms=-1)
        else:
            book.adopt_card(ALARMED, 500, not_before_ms=-1)
            book.adopt_card(AT_EASE, 1_500, not_before_ms=-1)

    told = [
        (book.at(ms).policy_version == other.policy_version, book.at(ms).card)
        for ms in (0, 500, 1_000, 1_500)
    ]

    assert told == [(False, PRIOR), (False, ALARMED), (True, ALARMED), (True, AT_EASE)]
