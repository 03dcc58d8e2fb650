"""Holds, snoozes and reviews end to end: what an alert says while it is held, and when it says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from models.alerts import Alert
from models.engine import RiskEngine
from models.events import REPAYMENTS, SERVICING, AccountUnlinked, Event
from models.limits import INT64_MAX
from models.servicing import HOLD_ENTRIES_MAX
from tests.support.events import (
    alive,
    at,
    bounced,
    end_of,
    engine,
    feed_of,
    flow,
    in_order,
    loan,
    local,
    paid,
    query,
    rules,
    run,
)
from tests.support.restarting import go_on
from tests.support.servicing import (
    acknowledged,
    contact,
    hold,
    lifted,
    listed,
    promise,
    release,
    reviewed,
    snoozed,
)

DUES = [("2025-02-10", 100_000)]
LOAN = loan("2025-01-01", DUES)


def feed(risk_engine: RiskEngine, events: Iterable[Event]) -> list[Alert]:
    """Process events; return the alerts."""
    for offset, event in enumerate(events):
        assert risk_engine.process(event, feed_of(event), offset) is None
    return risk_engine.take_alerts(0)


def told(alerts: Iterable[Alert]) -> list[str]:
    """When, what, how severe, and the hold."""
    return [
        f"{local(alert.event_time_ms)} {alert.status} {alert.severity} {alert.recommendation.hold}"
        for alert in alerts
    ]


def past_due_since(day: str, until: str = "2025-02-15") -> tuple[RiskEngine, Alert]:
    """An engine with a missed payment known up to a day, and its opening."""
    risk_engine = engine()
    feed(risk_engine, [loan("2025-01-01", [(day, 100_000)])])
    risk_engine.advance_together(end_of(until))
    return risk_engine, risk_engine.take_alerts(0)[0]


# ---- holds -------------------------------------------------------------------------------------------------------


def test_a_hold_makes_an_open_alert_not_actionable_until_it_is_released() -> None:
    """Each change is a revision with the event that caused it; the alert goes on in the meantime."""
    placed, released = hold("2025-02-12"), release("2025-02-18")
    alerts = run([LOAN, placed, released], until="2025-02-20")

    assert told(alerts) == [
        "2025-02-11 00:00 opened watch None",
        "2025-02-12 12:00 updated watch dispute",
        "2025-02-17 00:00 escalated warning dispute",
        "2025-02-18 12:00 updated warning None",
    ]
    assert [alert.recommendation.actionable for alert in alerts] == [True, False, False, True]
    assert [alert.caused_by.event_id for alert in alerts] == [None, placed.event_id, None, released.event_id]


def test_a_hold_ends_by_time() -> None:
    """At `until_ms`, to the millisecond, without any event."""
    until = at("2025-02-14", "09:30")
    alerts = run([LOAN, hold("2025-02-12", "hardship", until)], until="2025-02-15")

    assert told(alerts) == [
        "2025-02-11 00:00 opened watch None",
        "2025-02-12 12:00 updated watch hardship",
        "2025-02-14 09:30 updated watch None",
    ]
    assert (alerts[-1].caused_by.topic, alerts[-1].caused_by.event_id) == ("repayments", None)
    assert alerts[-1].event_time_ms == until


def test_an_alert_that_opens_under_a_hold_carries_it() -> None:
    """A hold hides nothing: the alert opens, held."""
    alerts = run([LOAN, hold("2025-02-01", "vulnerable")], until="2025-02-11")

    assert told(alerts) == ["2025-02-11 00:00 opened watch vulnerable"]
    assert not alerts[0].recommendation.actionable


def test_a_hold_that_is_over_before_an_alert_opens_is_not_its_concern() -> None:
    """One that ends at the very instant of the opening is over."""
    until = at("2025-02-11", "00:00")

    assert told(run([LOAN, hold("2025-02-01", until=until)], until="2025-02-11")) == [
        "2025-02-11 00:00 opened watch None"
    ]
    assert told(run([LOAN, hold("2025-02-01", until=until + 1)], until="2025-02-11")) == [
        "2025-02-11 00:00 opened watch dispute",
        "2025-02-11 00:00 updated watch None",
    ]


def test_a_hold_is_judged_as_of_the_deadline_however_late_the_watermark_is() -> None:
    """A hold ten minutes after midnight does not hold what opened at midnight: it updates it."""
    after_midnight = hold("2025-02-11", time="00:10")
    before_midnight = hold("2025-02-10", time="23:50")
    at_midnight = hold("2025-02-11", time="00:00")

    for placed, expected in (
        (
            after_midnight,
            ["2025-02-11 00:00 opened watch None", "2025-02-11 00:10 updated watch dispute"],
        ),
        (before_midnight, ["2025-02-11 00:00 opened watch dispute"]),
        (at_midnight, ["2025-02-11 00:00 opened watch None", "2025-02-11 00:00 updated watch dispute"]),
    ):
        assert told(run([LOAN, placed], until="2025-02-11")) == expected


def test_every_alert_of_the_borrower_is_held() -> None:
    """Of every loan and every signal; nobody else's."""
    events: list[Event] = [
        LOAN,
        loan("2025-01-01", DUES, loan_id="l-2"),
        loan("2025-01-01", DUES, borrower="b-2"),
        *[query("2025-02-11", f"i-{number}") for number in range(3)],
        hold("2025-02-12", "legal"),
    ]
    alerts = run(in_order(events), until="2025-02-12")
    held = [alert for alert in alerts if alert.recommendation.hold == "legal"]

    assert {(alert.borrower_id, alert.signal, alert.loan_id) for alert in held} == {
        ("b-1", "missed_payment", "l-1"),
        ("b-1", "missed_payment", "l-2"),
        ("b-1", "multi_platform_borrowing", None),
    }


def test_a_weaker_hold_says_nothing_new() -> None:
    """Only the strongest is named, so only its coming and going is told."""
    alerts = run(
        [
            LOAN,
            hold("2025-02-12", "dispute", hold_id="one"),
            hold("2025-02-13", "hardship", hold_id="two"),
            hold("2025-02-14", "legal", hold_id="three"),
            release("2025-02-14", hold_id="one", time="13:00"),
            release("2025-02-15", hold_id="three"),
        ],
        until="2025-02-15",
    )

    assert [alert.recommendation.hold for alert in alerts] == [None, "dispute", "legal", "hardship"]


def test_an_incomplete_picture_is_the_strongest_hold() -> None:
    """What is missing may be a stronger hold than any that is known."""
    risk_engine, _ = past_due_since("2025-02-10")
    assert told(feed(risk_engine, [hold("2025-02-16", "legal")])) == ["2025-02-16 12:00 updated watch legal"]
    risk_engine.note_reject(REPAYMENTS, "b-1", "bad-1", at("2025-02-16", "13:00"), offset=7)

    assert [alert.recommendation.hold for alert in risk_engine.take_alerts(0)] == ["data_incomplete"]


def test_a_hold_without_room_fails_closed() -> None:
    """One more than can be remembered is refused, and the borrower is held for it."""
    risk_engine, _ = past_due_since("2025-02-10")
    for number in range(HOLD_ENTRIES_MAX):
        placed = hold("2025-02-16", hold_id=f"h-{number}", event_time_ms=at("2025-02-16") + number)
        assert risk_engine.process(placed, SERVICING, number) is None
    more = hold("2025-02-16", hold_id="more", time="13:00")

    assert risk_engine.process(more, SERVICING, 99) == "too-many-holds"
    assert told(risk_engine.take_alerts(0))[-1] == "2025-02-16 13:00 updated watch data_incomplete"


def test_a_late_release_is_entered_at_its_time_and_told_at_once() -> None:
    """The open alert is free as soon as it is known, with the release's own time."""
    risk_engine, _ = past_due_since("2025-02-10")
    feed(risk_engine, [hold("2025-02-16")])
    risk_engine.advance_together(end_of("2025-02-20"))
    risk_engine.take_alerts(0)

    assert told(feed(risk_engine, [release("2025-02-18")])) == ["2025-02-18 12:00 updated warning None"]


def test_the_same_hold_twice_is_one() -> None:
    """A duplicate changes nothing, and neither does a second placing for the same reason."""
    placed = hold("2025-02-12")
    again = hold("2025-02-13")

    assert told(run([LOAN, placed, placed, again], until="2025-02-13")) == [
        "2025-02-11 00:00 opened watch None",
        "2025-02-12 12:00 updated watch dispute",
    ]


def test_what_cannot_be_seen_stays_not_actionable_when_the_hold_ends() -> None:
    """A hold gives nothing back that was not there."""
    unlinked = AccountUnlinked(
        event_id="u-1", borrower_id="b-1", event_time_ms=at("2024-12-20"), account_id="acc-1"
    )
    pays: list[Event] = [flow(f"2024-{month:02d}-10", 500_000) for month in range(6, 13)]
    until = at("2025-03-20")

    alerts = run([*pays, unlinked, hold("2025-01-01", until=until)], until="2025-03-31")

    assert [(alert.recommendation.hold, alert.recommendation.actionable) for alert in alerts] == [
        ("dispute", False),
        (None, False),
    ]


# ---- snooze ------------------------------------------------------------------------------------------------------


def test_a_snooze_ends_by_time() -> None:
    """Until then the alert is not actionable; then it is again."""
    risk_engine, opened = past_due_since("2025-02-10", "2025-02-11")
    until = at("2025-02-14", "09:00")

    alerts = feed(risk_engine, [snoozed("2025-02-12", opened.alert_id, until)])
    risk_engine.advance_together(end_of("2025-02-14"))
    alerts += risk_engine.take_alerts(0)

    assert told(alerts) == ["2025-02-12 12:00 updated watch snoozed", "2025-02-14 09:00 updated watch None"]


def test_a_rise_in_severity_wakes_a_snoozed_alert_for_good() -> None:
    """Whoever put it to sleep did so for what it was then; it does not fall asleep again by itself."""
    risk_engine, opened = past_due_since("2025-02-10", "2025-02-11")
    until = at("2025-04-30")

    alerts = feed(risk_engine, [snoozed("2025-02-12", opened.alert_id, until)])
    risk_engine.advance_together(end_of("2025-03-13"))
    alerts += risk_engine.take_alerts(0)

    assert told(alerts)[:2] == [
        "2025-02-12 12:00 updated watch snoozed",
        "2025-02-17 00:00 escalated warning None",
    ]
    assert told(alerts)[2] == "2025-03-12 00:00 escalated serious None"
    assert told(feed(risk_engine, [snoozed("2025-03-14", opened.alert_id, until)])) == [
        "2025-03-14 12:00 updated serious snoozed"
    ]


def test_a_later_snooze_replaces_the_earlier() -> None:
    """So that one may be made longer, or ended."""
    risk_engine, opened = past_due_since("2025-02-10", "2025-02-11")
    first = snoozed("2025-02-12", opened.alert_id, at("2025-02-14"))
    longer = snoozed("2025-02-13", opened.alert_id, at("2025-02-16"))
    ended = snoozed("2025-02-15", opened.alert_id, at("2025-02-15"))

    alerts = feed(risk_engine, [first, longer])
    risk_engine.advance_together(end_of("2025-02-14"))
    alerts += risk_engine.take_alerts(0)
    alerts += feed(risk_engine, [ended])

    assert told(alerts) == ["2025-02-12 12:00 updated watch snoozed", "2025-02-15 12:00 updated watch None"]


def test_a_snooze_concerns_one_alert() -> None:
    """The borrower's others stay awake."""
    risk_engine, opened = past_due_since("2025-02-10", "2025-02-11")
    feed(risk_engine, [query("2025-02-12", f"i-{number}") for number in range(3)])

    alerts = feed(risk_engine, [snoozed("2025-02-13", opened.alert_id, at("2025-02-20"))])

    assert [alert.signal for alert in alerts] == ["missed_payment"]


# ---- reviews and acknowledgements --------------------------------------------------------------------------------


def test_a_false_positive_is_not_actionable_until_it_gets_worse() -> None:
    """What was reviewed was the alert as it was then."""
    risk_engine, opened = past_due_since("2025-02-10", "2025-02-11")

    alerts = feed(risk_engine, [reviewed("2025-02-12", opened.alert_id)])
    risk_engine.advance_together(end_of("2025-02-20"))
    alerts += risk_engine.take_alerts(0)

    assert told(alerts) == [
        "2025-02-12 12:00 updated watch reviewed_false_positive",
        "2025-02-17 00:00 escalated warning None",
    ]


def test_a_later_verdict_takes_the_earlier_back() -> None:
    """Confirmed is actionable again; confirmed at first tells nothing new."""
    risk_engine, opened = past_due_since("2025-02-10", "2025-02-11")
    events: list[Event] = [
        reviewed("2025-02-12", opened.alert_id, "confirmed"),
        reviewed("2025-02-13", opened.alert_id),
        alive("2025-02-14"),
        reviewed("2025-02-14", opened.alert_id, "confirmed"),
    ]

    assert told(feed(risk_engine, events)) == [
        "2025-02-13 12:00 updated watch reviewed_false_positive",
        "2025-02-14 12:00 updated watch None",
    ]


def test_a_verdict_that_nobody_could_tell_frees_nothing() -> None:
    """An unknown word is no confirmation, and no false positive either."""
    risk_engine, opened = past_due_since("2025-02-10", "2025-02-11")
    events = [
        reviewed("2025-02-12", opened.alert_id, "other"),
        reviewed("2025-02-13", opened.alert_id),
        reviewed("2025-02-14", opened.alert_id, "other"),
    ]

    assert told(feed(risk_engine, events)) == ["2025-02-13 12:00 updated watch reviewed_false_positive"]


def test_a_new_episode_is_not_what_was_reviewed() -> None:
    """A verdict is on one alert; the next one of the same loan is another."""
    risk_engine, opened = past_due_since("2025-02-10", "2025-02-11")
    payment = paid("2025-02-13", 100_000)

    alerts = feed(
        risk_engine, [reviewed("2025-02-12", opened.alert_id), payment, bounced("2025-02-14", payment)]
    )

    assert told(alerts)[-1] == "2025-02-14 12:00 opened watch None"


def test_what_was_said_of_an_alert_is_in_the_state() -> None:
    """Who, when, and which verdict: `borrower show` prints the state."""
    risk_engine, opened = past_due_since("2025-02-10", "2025-02-11")
    said: Sequence[Event] = [
        acknowledged("2025-02-12", opened.alert_id),
        reviewed("2025-02-13", opened.alert_id, "confirmed"),
    ]

    assert feed(risk_engine, said) == []
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    assert [
        (note.kind, note.actor, note.verdict, local(note.time_ms)) for note in borrower.servicing.notes
    ] == [
        ("acknowledged", "clerk-1", None, "2025-02-12 12:00"),
        ("reviewed", "officer-1", "confirmed", "2025-02-13 12:00"),
    ]


@pytest.mark.parametrize("note", [acknowledged, reviewed])
def test_alerts_that_nobody_knows_are_counted(note: object) -> None:
    """An id of another borrower's, or of long ago, is no error and tells nothing."""
    event = acknowledged("2025-02-12", "nobody") if note is acknowledged else reviewed("2025-02-12", "nobody")
    risk_engine, _ = past_due_since("2025-02-10", "2025-02-11")

    assert feed(risk_engine, [event]) == []
    assert {
        name: count for name, count in risk_engine.counts.items() if name.startswith("unknown-alert.")
    } == {f"unknown-alert.{event.__struct_config__.tag}": 1}


# ---- what may be done, and when ----------------------------------------------------------------------------------


def stages(events: Iterable[Event], until: str, override: str = "") -> list[str]:
    """When, and which step, for the missed payment."""
    return [
        f"{local(alert.event_time_ms)[5:]} {alert.status} {alert.recommendation.stage}"
        for alert in run(in_order(events), override, until)
        if alert.signal == "missed_payment"
    ]


def test_a_promise_makes_the_next_step_wait_for_its_day() -> None:
    """The severity rises as it must; the step follows at the midnight that ends the promised day."""
    assert stages([LOAN, promise("2025-02-14", "2025-02-20", 100_000)], "2025-02-22") == [
        "02-11 00:00 opened remind",
        "02-17 00:00 escalated remind",
        "02-21 00:00 updated call",
    ]


def test_a_refusal_makes_for_negotiating_early() -> None:
    """It is an answer, and ends the wait for a promise."""
    assert stages([LOAN, contact("2025-02-13", "refused")], "2025-02-13") == [
        "02-11 00:00 opened remind",
        "02-13 12:00 updated negotiate",
    ]
    assert stages([LOAN, contact("2025-02-13", "refused", party="third_party")], "2025-02-13") == [
        "02-11 00:00 opened remind"
    ]


def test_a_refusal_before_the_alert_is_no_answer_to_it() -> None:
    """One at the very instant of its opening is."""
    before = contact("2025-02-11", "refused", event_time_ms=at("2025-02-11", "00:00") - 1)

    assert stages([LOAN, before], "2025-02-12") == ["02-11 00:00 opened remind"]
    assert stages([LOAN, contact("2025-02-11", "refused", time="00:00")], "2025-02-12") == [
        "02-11 00:00 opened remind",
        "02-11 00:00 updated negotiate",
    ]


def test_attempts_that_are_used_up_are_told_and_come_back_at_midnight() -> None:
    """The third of a day leaves none; the window is the next day's, and the midnight tells that there are some again."""
    calls = [contact("2025-02-12", time=time) for time in ("09:00", "10:00", "11:00")]
    alerts = run([LOAN, *calls], until="2025-02-12")

    assert [
        (
            local(alert.event_time_ms),
            alert.status,
            alert.recommendation.attempts_left,
            alert.recommendation.actionable,
        )
        for alert in alerts
    ] == [
        ("2025-02-11 00:00", "opened", 3, True),
        ("2025-02-12 11:00", "updated", 0, True),
        ("2025-02-13 00:00", "updated", 3, True),
    ]
    assert local(alerts[1].recommendation.not_before_ms) == "2025-02-13 08:00"
    assert local(alerts[1].recommendation.not_after_ms) == "2025-02-13 22:00"


def test_attempts_within_seven_days_move_the_window_further() -> None:
    """Seven in three days: the next is possible when the first have left the seven days."""
    calls = [
        contact(day, time=time)
        for day, times in (
            ("2025-02-12", ("09:00", "10:00", "11:00")),
            ("2025-02-13", ("09:00", "10:00", "11:00")),
            ("2025-02-14", ("09:00",)),
        )
        for time in times
    ]
    used_up = [
        alert
        for alert in run([LOAN, *calls], until="2025-02-20")
        if alert.signal == "missed_payment" and not alert.recommendation.attempts_left
    ]

    assert [local(alert.recommendation.not_before_ms) for alert in used_up] == [
        "2025-02-13 08:00",
        "2025-02-14 08:00",
        "2025-02-19 08:00",
        "2025-02-19 08:00",
    ]


def test_an_attempt_is_at_the_borrower_not_at_a_loan() -> None:
    """Two loans past due share the attempts of the day."""
    calls = [contact("2025-02-12", time=time) for time in ("09:00", "10:00", "11:00")]
    alerts = run([LOAN, loan("2025-01-01", DUES, loan_id="l-2"), *calls], until="2025-02-11")

    used_up = [alert for alert in alerts if not alert.recommendation.attempts_left]
    assert {alert.loan_id for alert in used_up} == {"l-1", "l-2"}


def test_a_list_asks_for_a_person() -> None:
    """Standing on a list makes nothing worse by itself; a person has to look."""
    alerts = run([LOAN, listed("2025-02-12"), lifted("2025-02-14")], until="2025-02-14")

    assert [
        (alert.status, alert.severity, alert.recommendation.human_review_required) for alert in alerts
    ] == [
        ("opened", "watch", False),
        ("updated", "watch", True),
        ("updated", "watch", False),
    ]


def test_the_contact_window_of_a_late_event_is_not_over_already() -> None:
    """It follows the instant as of which the alert is judged, not the time of what was learnt late."""
    risk_engine, _ = past_due_since("2025-02-10", "2025-02-15")

    (alert,) = feed(risk_engine, [hold("2025-02-12")])

    assert local(alert.event_time_ms) == "2025-02-12 12:00"
    assert local(alert.recommendation.not_before_ms) == "2025-02-16 08:00"


@pytest.mark.parametrize("until", [0, 1, INT64_MAX - 1, INT64_MAX])
@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "9999-12-31"])
def test_absurd_instants_and_dates_never_stop_the_engine(until: int, day: str) -> None:
    """What the codec lets through is judged, kept and read back."""
    risk_engine, opened = past_due_since("2025-02-10", "2025-02-11")
    events: list[Event] = [
        hold("2025-02-12", until=until),
        hold("2025-02-12", hold_id="old", event_time_ms=0, until=until),
        snoozed("2025-02-13", opened.alert_id, until),
        promise("2025-02-14", day, INT64_MAX),
        promise("2025-02-15", day, INT64_MAX, event_time_ms=0),
        *[contact("2025-02-15", event_time_ms=number) for number in range(9)],
    ]
    for offset, event in enumerate(events):
        risk_engine.process(event, SERVICING, offset)
    restored = go_on(risk_engine, risk_engine.take_output(0).changed, engine())
    restored.advance_together(end_of("9990-01-01"))

    assert restored.borrower_count == 1


def test_the_policy_is_what_the_tests_take_it_for() -> None:
    """Three a day, seven in seven days, promises up to thirty days ahead."""
    policy = rules().policy

    assert (policy.contact.attempts_per_day, policy.contact.attempts_per_7_days) == (3, 7)
    assert policy.recommendation.promise_days_max == 30
