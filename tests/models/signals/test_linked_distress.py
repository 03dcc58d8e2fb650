"""`linked_distress`: who hears of whose trouble, from which level on, and what ends it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest

from models.alerts import Alert
from models.calendars import DAY_MS
from models.events import SERVICING, BorrowerErased, BorrowerEvent
from models.links import (
    FORGOTTEN,
    LINK_ENTRIES_MAX,
    WATCHERS_MAX,
    Heard,
    LinkedState,
    LinkEvidence,
    LinkMessage,
    Watch,
    Watched,
)
from models.policy import PolicyError
from models.signals.linked_distress import judge
from models.timeline import as_plain, entries
from tests.support.equality import open_linked_distress
from tests.support.events import at, engine, event_id, loan, paid, rules, voided
from tests.support.partitions import Partitions
from tests.support.servicing import hold, linked, release, reviewed, unlinked

OTHER = "g-77301"
"""Whom nothing that goes out may name."""
DUE = loan("2025-01-01", [("2025-02-10", 100_000)], borrower=OTHER, loan_id="l-77301")
PAID = paid("2025-04-01", 100_000, borrower=OTHER, loan_id="l-77301")


def told(alerts: Iterable[Alert], signal: str = "linked_distress") -> list[str]:
    """Day, borrower, status, severity and resolution of a signal's alerts."""
    shanghai_ms = 8 * 3_600_000
    return [
        f"{(alert.event_time_ms + shanghai_ms) // DAY_MS - at('2025-01-01', '00:00') // DAY_MS} "
        f"{alert.borrower_id} {alert.status} {alert.severity} {alert.resolution}"
        for alert in alerts
        if alert.signal == signal
    ]


def day(iso: str) -> int:
    """The number that `told` shows for a day."""
    return (at(iso, "12:00") + 8 * 3_600_000) // DAY_MS - at("2025-01-01", "00:00") // DAY_MS


def lived(events: Iterable[BorrowerEvent], until: str, override: str = "") -> Partitions:
    """Events in order and time up to the end of a day, everything told."""
    partitions = Partitions(4, override)
    partitions.run(sorted(events, key=lambda event: event.event_time_ms))
    partitions.advance(until)
    partitions.settle()
    return partitions


def heard(level: int, relation: str = "guarantor", override: str = "") -> str | None:
    """The severity that a level makes."""
    evidence = LinkEvidence(
        watched=[msgspec.convert(("x", relation, 0, None), Watched)], heard={"x": Heard(level, 5)}
    )
    finding = judge(evidence, rules(override))
    return None if finding is None else finding.severity.word


# ---- thresholds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "severity"), [(0, None), (1, None), (2, None), (3, "warning"), (4, "serious")]
)
def test_a_guarantor_counts_from_serious_on(level: int, severity: str | None) -> None:
    """One level below the threshold is nothing; an alert is a step milder than the level."""
    assert heard(level) == severity
    assert heard(level, "owner") == severity
    assert heard(level, "co_borrower") == severity


@pytest.mark.parametrize("relation", ["spouse", "employer", "other"])
def test_family_and_work_are_off_until_the_policy_asks_for_them(relation: str) -> None:
    """At the worst level nothing is found; with a threshold of its own, from that one on."""
    asked = f'[signals.linked_distress]\nthreshold = {{ {relation} = "warning" }}'

    assert heard(4, relation) is None
    assert heard(1, relation, asked) is None
    assert heard(2, relation, asked) == "watch"


@pytest.mark.parametrize(("steps", "severity"), [(0, "serious"), (1, "warning"), (2, "watch"), (3, "watch")])
def test_the_policy_says_how_much_milder_the_alert_is(steps: int, severity: str) -> None:
    """Never milder than `watch`."""
    assert heard(3, override=f"[signals.linked_distress]\nsteps_milder = {steps}") == severity


def test_the_reason_gives_relation_and_numbers_compared() -> None:
    """In both languages: who by relation, how many of how many, level and threshold; the worst relation first."""
    watched = [
        Watched("g", "guarantor", 0, None),
        Watched("h", "guarantor", 0, None),
        Watched("o", "owner", 0, None),
    ]
    finding = judge(LinkEvidence(watched=watched, heard={"h": Heard(3, 5), "o": Heard(4, 6)}), rules())

    assert finding is not None
    owner, guarantor = finding.reasons
    assert owner.text.en == (
        "1 of 1 linked as owner in trouble: the own alerts reach critical (level 4); this relation counts from serious "
        "(level 3)."
    )
    assert (
        owner.text.zh
        == "1 名企业主中有 1 名陷入困境：其自身预警最高为危急（4 级）；该关系自严重（3 级）起计。"
    )
    assert guarantor.evidence == {
        "relation": "guarantor",
        "level": 3,
        "threshold": 3,
        "reaching": 1,
        "linked": 2,
    }


def test_nobody_counts_for_a_third() -> None:
    """A policy that counts `linked_distress` in a level, or lets it confirm another signal, is refused."""
    with pytest.raises(PolicyError, match="one hop"):
        rules('[signals.linked_distress]\ncounted = ["linked_distress"]')
    with pytest.raises(PolicyError, match="comes when others tell"):
        rules(
            '[[combinations]]\nsignal = "income_drop"\nseverity_max = "watch"\nconfirmed_by = "linked_distress"\n'
            'confirmed_severity_min = "watch"'
        )


# ---- the story ---------------------------------------------------------------------------------------------------


def test_it_opens_with_the_others_trouble_and_passes_when_that_has_settled() -> None:
    """The guarantor is 30 days past due, pays, and counts for 14 days more; all in other partitions than the borrower."""
    world = lived([DUE, linked("2025-01-05", OTHER), PAID], "2025-04-14")
    assert world.home_of(OTHER) != world.home_of("b-1")
    opening = f"{day('2025-03-12')} b-1 opened warning None"
    assert told(world.alerts) == [opening]

    world.advance("2025-04-15")
    world.settle()
    assert told(world.alerts) == [opening, f"{day('2025-04-15')} b-1 resolved warning passed"]
    assert world.alerts[-1].caused_by.topic == "linked-risk"


def test_it_follows_the_level() -> None:
    """At 90 days past due the level is critical, and the alert a step worse."""
    world = lived([DUE, linked("2025-01-05", OTHER)], "2025-05-20")

    assert told(world.alerts) == [
        f"{day('2025-03-12')} b-1 opened warning None",
        f"{day('2025-05-11')} b-1 escalated serious None",
    ]


def test_one_who_is_in_trouble_when_the_link_comes_is_heard_at_once() -> None:
    """The alert is dated by the link: nothing was known of it before."""
    link = linked("2025-03-20", OTHER)
    world = lived([DUE, link], "2025-03-25")

    assert told(world.alerts) == [f"{day('2025-03-20')} b-1 opened warning None"]
    assert world.alerts[-1].event_time_ms == link.event_time_ms


def test_a_link_that_ends_clears_what_it_caused() -> None:
    """And the other one need not tell any more."""
    world = lived([DUE, linked("2025-01-05", OTHER), unlinked("2025-03-20", OTHER)], "2025-06-01")

    assert told(world.alerts) == [
        f"{day('2025-03-12')} b-1 opened warning None",
        f"{day('2025-03-20')} b-1 resolved warning None",
    ]
    assert world.sent[-1].message == Watch(
        "b-1", "guarantor", on=False, watcher_partition=world.home_of("b-1")
    )


def test_a_link_that_was_never_one_takes_its_alert_back() -> None:
    """`event_voided` of the link retracts; of its end, it brings the link back as if it had never ended."""
    link = linked("2025-01-05", OTHER)
    end = unlinked("2025-03-20", OTHER)
    gone = lived([DUE, link, voided("2025-03-22", link)], "2025-03-25")
    back = lived([DUE, link, end, voided("2025-03-22", end)], "2025-03-25")

    assert told(gone.alerts)[-1] == f"{day('2025-03-22')} b-1 retracted warning None"
    assert told(back.alerts)[-2:] == [
        f"{day('2025-03-20')} b-1 resolved warning None",
        f"{day('2025-03-12')} b-1 opened warning None",
    ]


def test_a_borrower_that_is_erased_asks_no_more() -> None:
    """Its alert is closed, and the guarantor forgets who watched."""
    gone = BorrowerErased(event_id=event_id(), borrower_id="b-1", event_time_ms=at("2025-03-20"))
    world = lived([DUE, linked("2025-01-05", OTHER), gone], "2025-03-25")

    assert told(world.alerts)[-1] == f"{day('2025-03-20')} b-1 resolved warning cancelled"
    other = world.engines[world.home_of(OTHER)].borrower(OTHER)
    assert other is not None
    assert other.links is not None
    assert other.links.watchers == []


def test_a_guarantor_that_is_erased_is_forgotten_by_the_borrower() -> None:
    """Nothing of it stays in the borrower's state, not even who it was, and the alert is over."""
    gone = BorrowerErased(event_id=event_id(), borrower_id=OTHER, event_time_ms=at("2025-03-20"))
    world = lived([DUE, linked("2025-01-05", OTHER), gone], "2025-03-25")

    assert told(world.alerts)[-1] == f"{day('2025-03-20')} b-1 resolved warning None"
    borrower = world.engines[world.home_of("b-1")].borrower("b-1")
    assert OTHER not in msgspec.json.encode(borrower).decode()


def test_somebody_watched_before_anything_is_known_of_it_is_heard_later() -> None:
    """The link may come first; without anything else known, the end of the link leaves nothing behind."""
    link = linked("2025-01-05", OTHER, time="08:00")
    late = loan("2025-01-10", [("2025-02-10", 100_000)], borrower=OTHER)
    assert told(lived([link, late], "2025-03-12").alerts) == [f"{day('2025-03-12')} b-1 opened warning None"]

    world = lived([link, unlinked("2025-01-06", OTHER)], "2025-01-07")
    assert world.engines[world.home_of(OTHER)].borrower(OTHER) is None


def test_trouble_goes_one_hop() -> None:
    """A is watched by B, B by C, C by A: when A stops paying, B is told, and nobody else, and nobody speaks for ever."""
    events: list[BorrowerEvent] = [
        loan("2025-01-01", [("2025-02-10", 100_000)], borrower="a"),
        linked("2025-01-05", "a", borrower="b"),
        linked("2025-01-05", "b", borrower="c"),
        linked("2025-01-05", "c", borrower="a"),
    ]
    override = '[signals.linked_distress]\nthreshold = { guarantor = "watch" }\nsteps_milder = 0'
    world = lived(events, "2025-06-01", override)

    assert {alert.borrower_id for alert in world.alerts if alert.signal == "linked_distress"} == {"b"}


@pytest.mark.parametrize("reason", ["hardship", "dispute"])
def test_what_is_contested_makes_no_level(reason: str) -> None:
    """A debt that the guarantor disputes says nothing; hardship is trouble."""
    world = lived(
        [DUE, linked("2025-01-05", OTHER), hold("2025-02-01", reason, borrower=OTHER)], "2025-03-15"
    )

    assert bool(told(world.alerts)) == (reason == "hardship")


def test_an_alert_found_wrong_makes_no_level() -> None:
    """A reviewer's verdict on the guarantor's alert clears the borrower's."""
    world = lived([DUE, linked("2025-01-05", OTHER)], "2025-03-15")
    (missed,) = {alert.alert_id for alert in world.alerts if alert.signal == "missed_payment"}
    world.run([reviewed("2025-03-16", missed, borrower=OTHER)])

    assert told(world.alerts)[-1] == f"{day('2025-03-16')} b-1 resolved warning passed"


def test_only_counted_signals_make_a_level() -> None:
    """Without `missed_payment` among them, a payment missed says nothing."""
    override = '[signals.linked_distress]\ncounted = ["income_drop"]'

    assert told(lived([DUE, linked("2025-01-05", OTHER)], "2025-04-01", override).alerts) == []


def test_a_hold_of_the_borrower_shows_in_the_alert() -> None:
    """As in every other: not actionable, and why, until it is released."""
    events: list[BorrowerEvent] = [
        DUE,
        linked("2025-01-05", OTHER),
        hold("2025-03-20"),
        release("2025-03-22"),
    ]
    alerts = [alert for alert in lived(events, "2025-03-25").alerts if alert.signal == "linked_distress"]

    assert [(alert.status, alert.recommendation.hold) for alert in alerts] == [
        ("opened", None),
        ("updated", "dispute"),
        ("updated", None),
    ]


def test_it_joins_a_case_and_makes_none() -> None:
    """An own alert that opens while `linked_distress` is open has the case that it would have had without."""
    own = loan("2025-01-01", [("2025-03-20", 100_000)])
    with_link = lived([DUE, own, linked("2025-01-05", OTHER)], "2025-03-25").alerts
    without = lived([DUE, own], "2025-03-25").alerts

    def cases(alerts: list[Alert]) -> set[str]:
        return {
            alert.case_id
            for alert in alerts
            if (alert.borrower_id, alert.signal) == ("b-1", "missed_payment")
        }

    assert cases(with_link) == cases(without) != set()


# ---- what never leaves -------------------------------------------------------------------------------------------


def test_the_linked_id_never_leaves() -> None:
    """Not in an alert, a risk record, a count or a timeline; only in state and in messages between the two."""
    events: list[BorrowerEvent] = [DUE, linked("2025-01-05", OTHER), unlinked("2025-03-20", OTHER)]
    world = lived(events, "2025-03-25")
    of_the_borrower = [alert for alert in world.alerts if alert.borrower_id == "b-1"]
    shown = [
        msgspec.json.encode(of_the_borrower),
        msgspec.json.encode(world.risks["b-1"]),
        repr([engine.counts for engine in world.engines]).encode(),
        msgspec.json.encode(as_plain(entries(events[1:], of_the_borrower))),
    ]

    assert of_the_borrower
    assert not [text for text in shown if OTHER.encode() in text or b"77301" in text]


# ---- messages ----------------------------------------------------------------------------------------------------


def state(level: int, when: str, source: str = OTHER) -> LinkedState:
    """A state of the guarantor."""
    return LinkedState(source, level, at(when))


@pytest.mark.parametrize(
    ("messages", "severity"),
    [
        ([state(3, "2025-02-01"), state(3, "2025-02-01")], "warning"),
        ([state(3, "2025-02-02"), state(0, "2025-02-01")], "warning"),
        ([state(0, "2025-02-02"), state(3, "2025-02-01")], None),
        ([state(3, "2025-02-01"), state(4, "2025-02-02"), state(3, "2025-02-01")], "serious"),
        ([state(3, "2025-02-01"), state(0, "2025-02-01")], "warning"),
        ([state(3, "2025-02-01", "g-unknown")], None),
        ([state(3, "2025-02-01"), state(FORGOTTEN, "2025-01-31")], "warning"),
    ],
)
def test_late_repeated_and_unasked_states_do_no_harm(
    messages: list[LinkMessage], severity: str | None
) -> None:
    """What counts is the newest by the time of its cause; nothing is said twice."""
    risk_engine = engine()
    assert risk_engine.process(linked("2025-01-05", OTHER), SERVICING, 0) is None
    for offset, message in enumerate(messages):
        risk_engine.hear("b-1", message, offset)
    alerts = risk_engine.take_alerts(0)

    assert open_linked_distress(alerts).get("b-1") == severity
    assert len(alerts) == len({(alert.severity, alert.status) for alert in alerts})


@pytest.mark.parametrize(("later_ms", "is_asked_again"), [(0, False), (1, True)])
def test_a_link_made_after_the_erasure_stands(later_ms: int, is_asked_again: bool) -> None:
    """Whoever was erased is forgotten up to that instant; a link reported for later is asked for anew."""
    risk_engine = engine()
    link = linked("2025-02-01", OTHER)
    risk_engine.process(link, SERVICING, 0)
    risk_engine.take_messages()
    risk_engine.hear("b-1", LinkedState(OTHER, FORGOTTEN, link.event_time_ms - later_ms), 0)

    asked = [(told_of.receiver, told_of.message) for told_of in risk_engine.take_messages()]
    assert asked == [(OTHER, Watch("b-1", "guarantor", on=True, watcher_partition=0))] * is_asked_again


def test_a_message_to_nobody_is_counted() -> None:
    """A state for a borrower that is not known, or a watch of one whose place is elsewhere, leaves nothing."""
    risk_engine = engine()
    risk_engine.hear("b-1", state(3, "2025-02-01"), 0)
    elsewhere = Partitions(4)
    wrong = next(number for number in range(4) if number != elsewhere.home_of(OTHER))
    elsewhere.engines[wrong].hear(OTHER, Watch("b-1", "guarantor", on=True, watcher_partition=0), 0)

    assert risk_engine.counts["link.nobody"] == elsewhere.engines[wrong].counts["link.nobody"] == 1
    assert risk_engine.borrower("b-1") is None
    assert elsewhere.engines[wrong].borrower(OTHER) is None


def test_asking_twice_answers_twice_and_tells_once() -> None:
    """A watch that comes again changes nothing; each change is told once."""
    risk_engine = engine()
    watch = Watch("b-1", "guarantor", on=True, watcher_partition=7)
    for offset in range(2):
        risk_engine.hear(OTHER, watch, offset)
    first, second = risk_engine.take_messages()
    risk_engine.process(DUE, 2, 0)
    risk_engine.advance(2, at("2025-02-12"))

    assert first == second
    assert (first.receiver, first.partition, first.message) == ("b-1", 7, LinkedState(OTHER, 0, 0))
    assert [told_of.message for told_of in risk_engine.take_messages()] == [
        LinkedState(OTHER, 1, at("2025-02-11", "00:00"))
    ]


def test_links_and_watchers_beyond_their_limits_are_counted() -> None:
    """They hold nobody's alerts, and what is over makes room."""
    risk_engine = engine()
    for number in range(LINK_ENTRIES_MAX + 1):
        link = linked("2025-01-05", f"g-{number}", event_time_ms=at("2025-01-05") + number)
        assert risk_engine.process(link, SERVICING, number) is None
    assert risk_engine.counts["link.too-many"] == 1
    assert risk_engine.process(unlinked("2025-01-06", "g-0"), SERVICING, 90) is None
    assert risk_engine.process(linked("2025-01-07", "g-last"), SERVICING, 91) is None
    assert risk_engine.counts["link.too-many"] == 1
    asked = [told_of.receiver for told_of in risk_engine.take_messages()]
    assert asked[-2:] == ["g-0", "g-last"]
    for number in range(WATCHERS_MAX + 1):
        risk_engine.hear(OTHER, Watch(f"w-{number}", "guarantor", on=True, watcher_partition=0), number)
    assert risk_engine.counts["link.too-many-watchers"] == 1
    assert len(risk_engine.take_messages()) == WATCHERS_MAX


def test_nobody_stands_in_for_oneself() -> None:
    """Such a link is counted and asks nobody."""
    risk_engine = engine()
    risk_engine.process(linked("2025-01-05", "b-1"), SERVICING, 0)

    assert risk_engine.counts["link.to-itself"] == 1
    assert risk_engine.take_messages() == []
