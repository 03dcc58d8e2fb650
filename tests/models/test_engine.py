from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Alert, ChainHead, Severity, link
from models.borrower import CorruptStateError, decode_borrower, encode_borrower, new_borrower
from models.engine import RiskEngine
from models.events import (
    FUND_FLOWS,
    REPAYMENTS,
    SERVICING,
    BorrowerErased,
    Event,
    Heartbeat,
    LimitChanged,
    RepaymentReversed,
    ScheduleChanged,
)
from models.limits import (
    CLOSED_EPISODES_MAX,
    INCOMPLETE_RECORDS_MAX,
    INT64_MAX,
    LOANS_MAX,
    REMEMBERED_IDS_PER_GENERATION,
    WAITING_EVENTS_MAX,
)
from models.recent_ids import Acquaintance, RecentIds, fingerprint_of, recognise, remember
from models.risk.scorecard import expert_prior
from tests.support.events import (
    at,
    billed,
    end_of,
    ended,
    engine,
    event_id,
    feed_of,
    flow,
    in_order,
    loan,
    local,
    paid,
    query,
    rules,
    run,
    story,
)
from tests.support.restarting import go_on

MONTHLY = [("2025-02-10", 100_000), ("2025-03-10", 100_000), ("2025-04-10", 100_000)]


def feed(risk_engine: RiskEngine, events: list[Event]) -> list[str | None]:
    """Process events; what each was refused for."""
    return [
        risk_engine.process(event, feed_of(event), offset) for offset, event in enumerate(events, start=100)
    ]


def test_a_deadline_waits_for_its_own_feed() -> None:
    """Other feeds may run ahead by months: only `repayments` can say that a payment is missing."""
    risk_engine = engine()

    feed(risk_engine, [loan("2025-01-01", MONTHLY), flow("2025-06-01", 500_000), query("2025-06-01", "i")])

    assert risk_engine.take_alerts(0) == []


def test_a_deadline_is_judged_when_the_watermark_reaches_it_and_not_before() -> None:
    """The watermark is the highest event time less the allowed lateness of an hour."""
    before, reached = engine(), engine()
    due = Heartbeat(event_time_ms=at("2025-02-11", "00:00") - 1)

    feed(before, [loan("2025-01-01", MONTHLY), paid("2025-02-11", 1, "00:59", borrower="b-2"), due])
    feed(reached, [loan("2025-01-01", MONTHLY), paid("2025-02-11", 1, "01:00", borrower="b-2")])

    assert before.take_alerts(0) == []
    assert story(reached.take_alerts(0)) == ["2025-02-11 00:00 missed_payment opened watch"]


def test_a_heartbeat_sets_the_watermark_without_subtracting() -> None:
    """The producer says that everything up to then was sent."""
    risk_engine = engine()

    feed(risk_engine, [loan("2025-01-01", MONTHLY), Heartbeat(event_time_ms=at("2025-02-11", "00:00"))])

    assert story(risk_engine.take_alerts(0)) == ["2025-02-11 00:00 missed_payment opened watch"]


def test_a_watermark_never_goes_back() -> None:
    """An older heartbeat is no news."""
    risk_engine = engine()
    risk_engine.advance(REPAYMENTS, 1000)

    risk_engine.advance(REPAYMENTS, 999)

    assert risk_engine.watermarks_ms[REPAYMENTS] == 1000


def test_a_payment_after_midnight_that_is_known_already_opens_and_then_resolves() -> None:
    """The deadline is judged on the state as of it; the payment then counts from its own time."""
    alerts = run(
        [
            loan("2025-01-01", MONTHLY[:1]),
            paid("2025-02-11", 100_000, "00:30"),
            paid("2025-02-12", 1, borrower="b-2"),
        ]
    )

    assert story(alerts) == [
        "2025-02-11 00:00 missed_payment opened watch",
        "2025-02-11 00:30 missed_payment resolved watch paid",
    ]
    assert alerts[0].caused_by.event_id is None
    assert alerts[0].exposure.overdue_minor == 100_000
    assert alerts[1].caused_by.event_id is not None


@pytest.mark.parametrize(("time", "is_late"), [("23:59:59.999", False), ("24:00", True)])
def test_the_midnight_itself_belongs_to_the_day_that_begins(time: str, *, is_late: bool) -> None:
    """A payment dated with the midnight after the due date is a day late."""
    when = at("2025-02-11", "00:00") if time == "24:00" else at("2025-02-10", time)

    alerts = run(
        [loan("2025-01-01", MONTHLY[:1]), paid("2025-02-10", 100_000, event_time_ms=when)], until="2025-02-12"
    )

    assert is_late == bool(alerts)


def test_a_payment_made_in_time_but_learnt_late_retracts() -> None:
    """The alert was wrong: it says so, and names what disproves it."""
    late = paid("2025-02-09", 100_000, ingested_at_ms=at("2025-02-20"))

    alerts = run([loan("2025-01-01", MONTHLY[:1]), paid("2025-02-20", 1, borrower="b-2"), late])

    assert story(alerts) == [
        "2025-02-11 00:00 missed_payment opened watch",
        "2025-02-17 00:00 missed_payment escalated warning",
        "2025-02-09 12:00 missed_payment retracted warning",
    ]
    assert alerts[-1].caused_by.event_id == late.event_id
    assert alerts[-1].alert_id == alerts[0].alert_id
    assert not alerts[-1].recommendation.actionable


def test_an_alert_that_is_over_is_retracted_too() -> None:
    """That it was resolved meanwhile makes it no less wrong."""
    late = paid("2025-02-09", 100_000, ingested_at_ms=at("2025-03-05"))

    alerts = run([loan("2025-01-01", MONTHLY[:1]), paid("2025-02-20", 100_000), late], until="2025-03-05")

    assert [alert.status for alert in alerts] == ["opened", "escalated", "resolved", "retracted"]


def test_a_payment_made_late_and_learnt_later_resolves_and_does_not_retract() -> None:
    """The alert was right when it opened."""
    late = paid("2025-02-13", 100_000, ingested_at_ms=at("2025-02-20"))

    alerts = run([loan("2025-01-01", MONTHLY[:1]), paid("2025-02-20", 1, borrower="b-2"), late])

    assert story(alerts)[-1] == "2025-02-13 12:00 missed_payment resolved warning paid"


def test_a_correction_of_the_schedule_retracts_what_rested_on_it() -> None:
    """The instalment was never due on that day."""
    correction = ScheduleChanged(
        event_id=event_id(),
        borrower_id="b-1",
        event_time_ms=at("2025-02-12"),
        loan_id="l-1",
        reason="correction",
        instalments=loan("2025-01-01", [("2025-05-10", 100_000)]).instalments,
    )

    alerts = run([loan("2025-01-01", MONTHLY[:1]), correction], until="2025-03-01")

    assert [alert.status for alert in alerts] == ["opened", "retracted"]


def test_every_passed_threshold_is_its_own_revision() -> None:
    """A watermark that jumps over months tells the story all the same, in order of time."""
    alerts = run([loan("2025-01-01", MONTHLY[:1])], until="2026-03-01")

    assert story(alerts) == [
        "2025-02-11 00:00 missed_payment opened watch",
        "2025-02-17 00:00 missed_payment escalated warning",
        "2025-03-12 00:00 missed_payment escalated serious",
        "2025-03-13 00:00 missed_payment updated serious",
        "2025-04-12 00:00 missed_payment updated serious",
        "2025-05-11 00:00 missed_payment escalated critical",
        "2025-05-12 00:00 missed_payment updated critical",
        "2025-11-08 00:00 missed_payment updated critical",
        "2026-02-06 00:00 missed_payment updated critical",
    ]
    assert [alert.revision for alert in alerts] == list(range(1, 10))
    assert len({alert.alert_id for alert in alerts}) == 1
    assert len({alert.case_id for alert in alerts}) == 1


def test_a_new_miss_is_a_new_episode_at_once() -> None:
    """`missed_payment` knows no cooldown: every miss counts."""
    alerts = run(
        in_order([loan("2025-01-01", MONTHLY[:2]), paid("2025-02-12", 100_000), paid("2025-03-15", 100_000)]),
        until="2025-04-01",
    )

    assert [alert.status for alert in alerts] == ["opened", "resolved", "opened", "resolved"]
    assert alerts[0].alert_id != alerts[2].alert_id


def test_severity_follows_the_oldest_instalment() -> None:
    """Paying the oldest eases the alert to what the next one deserves."""
    alerts = run(in_order([loan("2025-01-01", MONTHLY[:2]), paid("2025-03-14", 100_000)]), until="2025-03-15")

    assert story(alerts)[-1] == "2025-03-14 12:00 missed_payment eased watch"


def test_alerts_that_are_open_together_share_a_case() -> None:
    """And a later spell is another case."""
    alerts = run(
        in_order(
            [
                loan("2025-01-01", MONTHLY[:2]),
                query("2025-02-12", "i-1"),
                query("2025-02-12", "i-2"),
                query("2025-02-12", "i-3"),
                paid("2025-02-20", 100_000),
            ]
        ),
        until="2025-04-01",
    )
    cases = {(alert.signal, local(alert.opened_at_ms)): alert.case_id for alert in alerts}

    assert (
        cases["missed_payment", "2025-02-11 00:00"]
        == cases["multi_platform_borrowing", "2025-02-12 12:00"]
        == cases["missed_payment", "2025-03-11 00:00"]
    )


def test_a_case_does_not_wait_for_a_feed_that_lags() -> None:
    """A miss that the watermark has not passed yet is part of the case already."""
    events: list[Event] = [
        loan("2025-01-01", MONTHLY[:1]),
        query("2025-02-11", "i-1"),
        query("2025-02-11", "i-2"),
        query("2025-02-11", "i-3"),
    ]
    neighbour = paid("2025-02-11", 1, "02:00", borrower="b-2")

    lagging, ahead = run(events, until="2025-02-12"), run(in_order([*events, neighbour]), until="2025-02-12")

    assert [alert.signal for alert in lagging] != [alert.signal for alert in ahead]
    assert {alert.case_id for alert in lagging} == {alert.case_id for alert in ahead}


def test_a_duplicate_is_counted_and_changes_nothing() -> None:
    """The same id on the same topic is the same event."""
    payment = paid("2025-02-10", 50_000)
    risk_engine = engine()

    refused = feed(risk_engine, [loan("2025-01-01", MONTHLY[:1]), payment, payment])

    assert refused == [None, None, None]
    assert risk_engine.counts["duplicates"] == 1


def test_ids_are_unique_per_topic_only() -> None:
    """The same id on another topic is another event."""
    risk_engine = engine()

    feed(risk_engine, [paid("2025-02-10", 1, event_id="e"), flow("2025-02-10", 1, event_id="e")])

    assert risk_engine.counts["duplicates"] == 0


def test_what_is_older_than_the_memory_of_ids_is_too_late() -> None:
    """It cannot be told from a duplicate any more; on `repayments` its borrower is held."""
    risk_engine = engine()
    many = REMEMBERED_IDS_PER_GENERATION["repayments"] * 2 + 1
    feed(risk_engine, [loan("2025-01-01", MONTHLY)])
    feed(risk_engine, [paid("2025-02-10", 1, event_time_ms=at("2025-02-10") + n) for n in range(many)])

    refused = feed(risk_engine, [paid("2025-02-01", 1)])

    assert refused == ["too-late"]
    assert_held(risk_engine, "b-1")


def assert_held(risk_engine: RiskEngine, borrower_id: str) -> None:
    """The borrower's picture is known to be incomplete."""
    borrower = risk_engine.borrower(borrower_id)
    assert borrower is not None
    assert borrower.incomplete


def test_a_stray_borrower_is_refused_at_first_touch() -> None:
    """A record on a partition that is not its key's moves nothing, not even a watermark."""
    risk_engine = RiskEngine(rules(), expert_prior(), belongs=lambda borrower_id: borrower_id == "b-1")

    refused = feed(risk_engine, [paid("2025-02-10", 1, borrower="b-2"), paid("2025-01-10", 1)])

    assert refused == ["wrong-partition", None]
    assert risk_engine.watermarks_ms[REPAYMENTS] == at("2025-01-10", "11:00")
    assert risk_engine.borrower("b-2") is None


def test_a_repayment_waits_for_its_loan() -> None:
    """It counts from its own time once the loan is known."""
    alerts = run([paid("2025-02-09", 100_000), loan("2025-01-01", MONTHLY[:1])], until="2025-03-01")

    assert alerts == []


def test_what_waits_for_a_loan_is_bounded() -> None:
    """Beyond the limit it is refused, and so kept with the dead letters."""
    risk_engine = engine()

    refused = feed(risk_engine, [paid("2025-02-09", 1) for _ in range(WAITING_EVENTS_MAX + 1)])

    assert refused == [None] * WAITING_EVENTS_MAX + ["too-many-waiting"]


def test_a_refused_event_may_come_again() -> None:
    """Its id was not remembered: a retry is no duplicate."""
    risk_engine = engine()
    feed(risk_engine, [paid("2025-02-09", 1) for _ in range(WAITING_EVENTS_MAX)])
    payment = paid("2025-02-09", 100_000)

    first = feed(risk_engine, [payment])
    again = feed(risk_engine, [loan("2025-01-01", MONTHLY), payment])

    assert (first, again) == (["too-many-waiting"], [None, None])
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    assert not borrower.incomplete


def test_a_reversal_waits_for_its_payment() -> None:
    """Learnt in the wrong order, it bounces the payment all the same."""
    payment = paid("2025-02-09", 100_000)
    bounced = RepaymentReversed(
        event_id=event_id(),
        borrower_id="b-1",
        event_time_ms=at("2025-02-15"),
        loan_id="l-1",
        repayment_event_id=payment.event_id,
        amount_minor=100_000,
    )

    alerts = run([loan("2025-01-01", MONTHLY[:1]), bounced, payment], until="2025-02-15")

    assert [alert.status for alert in alerts] == ["opened", "retracted", "opened"]
    assert alerts[1].caused_by.event_id == payment.event_id
    assert alerts[-1].exposure.days_past_due == 5


def test_a_loan_opens_once() -> None:
    """A second opening under another event id is refused, not merged."""
    refused = feed(engine(), [loan("2025-01-01", MONTHLY), loan("2025-01-02", MONTHLY)])

    assert refused == [None, "loan-already-open"]


def test_loans_are_bounded_and_an_open_one_is_never_forgotten() -> None:
    """The limit refuses rather than forgets."""
    refused = feed(
        engine(),
        [
            loan("2025-01-01", MONTHLY, loan_id=f"l-{number}", event_time_ms=at("2025-01-01") + number)
            for number in range(LOANS_MAX + 1)
        ],
    )

    assert refused == [None] * LOANS_MAX + ["too-many-loans"]


def test_loans_that_ended_long_ago_are_forgotten() -> None:
    """A customer of decades does not make the picture grow: a loan is remembered for five years after its end."""
    risk_engine = engine()
    feed(risk_engine, [loan("2018-01-01", [], loan_id="old"), ended("2020-01-02", loan_id="old")])
    feed(risk_engine, [loan("2019-01-01", [], loan_id="recent"), ended("2020-01-05", loan_id="recent")])
    feed(risk_engine, [loan("2018-01-01", [], loan_id="open"), loan("2025-01-02", MONTHLY, loan_id="new")])
    borrower = risk_engine.borrower("b-1")

    assert borrower is not None
    assert set(borrower.loans) == {"recent", "open", "new"}


def test_episodes_that_ended_long_ago_are_forgotten() -> None:
    """A miss is remembered for five years after it was made good."""
    dues = [("2019-02-10", 1_000), ("2019-04-10", 1_000), ("2024-03-10", 1_000)]
    events: list[Event] = [loan("2019-01-01", dues)]
    events += [paid(due[:8] + "15", 1_000) for due, _ in dues]
    risk_engine = engine()

    feed(risk_engine, in_order(events))
    borrower = risk_engine.borrower("b-1")

    assert borrower is not None
    assert [local(episode.closed_ms or 0)[:10] for episode in borrower.episodes] == [
        "2019-04-15",
        "2024-03-15",
    ]


def open_alert(risk_engine: RiskEngine) -> Alert:
    """An engine with one alert open; that alert."""
    feed(risk_engine, [loan("2025-01-01", MONTHLY[:1]), Heartbeat(event_time_ms=at("2025-02-12", "00:00"))])
    return risk_engine.take_alerts(0)[-1]


@pytest.mark.parametrize(("topic", "is_held"), [(REPAYMENTS, True), (SERVICING, True), (FUND_FLOWS, False)])
def test_a_rejected_record_of_repayments_or_servicing_fails_closed(topic: int, *, is_held: bool) -> None:
    """It may have been the payment, or the hold: nobody acts on this borrower until it is there."""
    risk_engine = engine()
    opened = open_alert(risk_engine)

    risk_engine.note_reject(topic, "b-1", "bad-1", at("2025-02-12"), offset=7)
    alerts = risk_engine.take_alerts(0)

    assert opened.recommendation.actionable
    assert [alert.status for alert in alerts] == (["updated"] if is_held else [])
    if is_held:
        assert alerts[0].recommendation.hold == "data_incomplete"
        assert not alerts[0].recommendation.actionable
        assert (alerts[0].caused_by.event_id, alerts[0].caused_by.offset) == ("bad-1", 7)


def test_the_hold_ends_when_the_rejected_event_comes_right() -> None:
    """The same event id, accepted, completes the picture."""
    risk_engine = engine()
    open_alert(risk_engine)
    risk_engine.note_reject(REPAYMENTS, "b-1", "bad-1", at("2025-02-12"), offset=7)
    risk_engine.take_alerts(0)

    feed(risk_engine, [paid("2025-02-12", 10_000, event_id="bad-1")])

    assert [alert.recommendation.hold for alert in risk_engine.take_alerts(0)] == [None]


def test_an_alert_that_opens_later_is_held_as_well() -> None:
    """The picture is incomplete before there is anything to tell."""
    risk_engine = engine()
    feed(risk_engine, [loan("2025-01-01", MONTHLY[:1])])
    risk_engine.note_reject(REPAYMENTS, "b-1", None, at("2025-02-01"), offset=7)

    risk_engine.advance_together(end_of("2025-02-10"))

    assert [alert.recommendation.hold for alert in risk_engine.take_alerts(0)] == ["data_incomplete"]


def test_rejected_records_are_remembered_within_a_limit() -> None:
    """Beyond it the borrower stays held, for nobody can tell any more when the picture is whole."""
    risk_engine = engine()
    for number in range(INCOMPLETE_RECORDS_MAX * 3):
        risk_engine.note_reject(REPAYMENTS, "b-1", f"bad-{number}", at("2025-02-01"), offset=number)

    borrower = risk_engine.borrower("b-1")

    assert borrower is not None
    assert len(borrower.incomplete) == INCOMPLETE_RECORDS_MAX + 1


def test_an_erased_borrower_is_forgotten() -> None:
    """The changelog and the published risk get a tombstone, and no deadline brings the borrower back."""
    risk_engine = engine()
    erased = BorrowerErased(event_id=event_id(), borrower_id="b-1", event_time_ms=at("2025-02-01"))

    feed(risk_engine, [loan("2025-01-01", MONTHLY), erased])
    risk_engine.advance_together(end_of("2025-06-01"))
    output = risk_engine.take_output(0)

    assert (output.changed, output.risks) == ({"b-1": None}, {"b-1": None})
    assert output.alerts == []


def test_what_no_signal_uses_yet_is_accepted_and_counted() -> None:
    """Nothing disappears without a number."""
    risk_engine = engine()
    closing = msgspec.json.decode(
        msgspec.json.encode(
            {
                "type": "credit_account_closed",
                "event_id": "e",
                "borrower_id": "b-1",
                "event_time_ms": at("2025-01-01"),
                "institution_id": "i",
                "credit_account_id": "c",
            }
        ),
        type=Event,
    )

    assert feed(risk_engine, [closing]) == [None]
    assert risk_engine.counts["unused.credit_account_closed"] == 1


def test_a_new_limit_alone_tells_nothing() -> None:
    """It is part of the picture and no alert."""
    changed = LimitChanged(
        event_id=event_id(),
        borrower_id="b-1",
        event_time_ms=at("2025-01-05"),
        loan_id="l-1",
        credit_limit_minor=5,
    )

    assert run([loan("2025-01-01", MONTHLY), changed]) == []


def test_contact_times_follow_event_time() -> None:
    """An alert of the night may be acted on from eight in the morning until ten at night."""
    alert = run([loan("2025-01-01", MONTHLY[:1])], until="2025-02-10")[0]

    assert local(alert.recommendation.not_before_ms) == "2025-02-11 08:00"
    assert local(alert.recommendation.not_after_ms) == "2025-02-11 22:00"


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("07:59", ("2025-02-12 08:00", "2025-02-12 22:00")),
        ("08:00", ("2025-02-12 08:00", "2025-02-12 22:00")),
        ("21:59", ("2025-02-12 21:59", "2025-02-12 22:00")),
        ("22:00", ("2025-02-13 08:00", "2025-02-13 22:00")),
    ],
)
def test_contact_hours_end_at_ten(time: str, expected: tuple[str, str]) -> None:
    """On both sides of both ends of the contact hours."""
    bill = billed("2025-02-12", "2025-02-01", 50_000, 1, event_time_ms=at("2025-02-12", time))

    alert = run([loan("2025-01-01", []), bill])[0]

    assert (local(alert.recommendation.not_before_ms), local(alert.recommendation.not_after_ms)) == expected


def test_a_cooldown_holds_back_what_is_no_worse() -> None:
    """Three new institutions again within the cooldown are no second alert; five are."""
    days = ["2025-01-01", "2025-01-02", "2025-01-03"]
    first: list[Event] = [query(day, f"i-{number}") for number, day in enumerate(days)]
    again = [
        query(day, f"j-{number}") for number, day in enumerate(("2025-02-03", "2025-02-04", "2025-02-05"))
    ]
    worse = [query("2025-02-06", "k-1"), query("2025-02-07", "k-2")]

    alerts = run([*first, *again, *worse])

    assert story(alerts) == [
        "2025-01-03 12:00 multi_platform_borrowing opened watch",
        "2025-01-31 12:00 multi_platform_borrowing resolved watch passed",
        "2025-02-07 12:00 multi_platform_borrowing opened warning",
    ]


def test_a_cooldown_ends_by_itself() -> None:
    """What still holds when the cooldown is over opens then, as of that instant."""
    first = [query("2025-01-01", f"i-{number}") for number in range(3)]
    again = [query("2025-02-20", f"j-{number}") for number in range(3)]

    alerts = run([*first, *again], until="2025-04-30")

    assert story(alerts) == [
        "2025-01-01 12:00 multi_platform_borrowing opened watch",
        "2025-01-31 12:00 multi_platform_borrowing resolved watch passed",
        "2025-03-02 12:00 multi_platform_borrowing opened watch",
        "2025-03-22 12:00 multi_platform_borrowing resolved watch passed",
    ]


def test_closed_episodes_are_bounded() -> None:
    """The oldest go first; open ones stay."""
    dues = [(f"20{25 + month // 12}-{month % 12 + 1:02d}-10", 1_000) for month in range(60)]
    events: list[Event] = [loan("2025-01-01", dues)]
    events += [paid(due[:8] + "15", 1_000) for due, _ in dues]
    risk_engine = engine()

    feed(risk_engine, in_order(events))
    borrower = risk_engine.borrower("b-1")

    assert borrower is not None
    assert len(borrower.episodes) <= CLOSED_EPISODES_MAX + 1


def test_exposure_never_adds_currencies() -> None:
    """The currency in which most is overdue is shown, and the loans that are in it."""
    alerts = run(
        [
            loan("2025-01-01", MONTHLY[:1], loan_id="yuan"),
            loan("2025-01-01", [("2025-06-10", 900_000)], loan_id="dollars", currency="USD"),
            *[query("2025-02-12", f"i-{number}") for number in range(3)],
        ],
        until="2025-02-12",
    )
    exposure = next(alert for alert in alerts if alert.signal == "multi_platform_borrowing").exposure

    assert (exposure.currency, exposure.loan_ids, exposure.outstanding_minor) == ("CNY", ("yuan",), 100_000)


def test_a_state_that_only_a_deadline_changed_is_handed_out_too() -> None:
    """Else a restart would judge the deadline again, and its alert would open a second time."""
    risk_engine = engine()
    feed(risk_engine, [loan("2025-01-01", MONTHLY[:1])])
    changelog = dict(risk_engine.take_output(0).changed)
    feed(risk_engine, [Heartbeat(event_time_ms=at("2025-02-12", "00:00"))])
    output = risk_engine.take_output(0)
    changelog |= output.changed

    restarted = go_on(risk_engine, changelog, engine())
    feed(restarted, [Heartbeat(event_time_ms=at("2025-02-13", "00:00"))])

    assert [alert.status for alert in output.alerts] == ["opened"]
    assert restarted.take_alerts(0) == []


def test_the_output_is_taken_once() -> None:
    """What was handed over is forgotten; the chain goes on."""
    risk_engine = engine()
    feed(risk_engine, [loan("2025-01-01", MONTHLY[:1])])
    risk_engine.advance_together(end_of("2025-02-10"))

    first, second = risk_engine.take_output(5), risk_engine.take_output(6)

    assert [alert.detected_at_ms for alert in first.alerts] == [5]
    assert set(first.changed) == set(first.risks) == {"b-1"}
    assert (second.alerts, second.changed, second.risks) == ([], {}, {})
    assert risk_engine.progress().chain.sequence == 1


def test_a_broken_chain_shows() -> None:
    """Changing an alert changes its hash."""
    alert = run([loan("2025-01-01", MONTHLY[:1])], until="2025-02-10")[0]
    tampered = msgspec.structs.replace(alert, severity=Severity.CRITICAL.word)

    relinked, _ = link(tampered, ChainHead())

    assert relinked.chain.hash != alert.chain.hash


@given(st.binary(max_size=200))
def test_damaged_state_is_named_and_not_guessed_at(garbage: bytes) -> None:
    """No bytes but those written are decoded."""
    with pytest.raises(CorruptStateError, match="b-9"):
        decode_borrower("b-9", garbage)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_a_flipped_bit_is_found(place: int, mask: int) -> None:
    """The checksum covers the deadlines and the body."""
    record = bytearray(encode_borrower(new_borrower(5)))
    record[place % len(record)] ^= mask

    with pytest.raises(CorruptStateError):
        decode_borrower("b-9", bytes(record))


@given(st.lists(st.tuples(st.text(max_size=5), st.integers(min_value=0, max_value=100)), max_size=60))
def test_an_id_is_new_once(ids: list[tuple[str, int]]) -> None:
    """Within the memory every second time is a duplicate; outside of it nothing is called new that was seen."""
    memory, seen = RecentIds(), set[str]()

    for name, time_ms in ids:
        acquaintance = recognise(memory, fingerprint_of(name), time_ms)
        assert not (acquaintance is Acquaintance.NEW and name in seen and time_ms > memory.floor_ms + 100)
        if acquaintance is Acquaintance.NEW:
            remember(memory, fingerprint_of(name), time_ms, per_generation=4)
            seen.add(name)
            assert recognise(memory, fingerprint_of(name), time_ms) is Acquaintance.DUPLICATE
    assert len(memory.current) + len(memory.previous) <= 2 * 4 * 8


@settings(deadline=None, max_examples=60)
@given(st.permutations(range(17)), st.data())
def test_absurd_amounts_and_dates_never_stop_the_engine(order: list[int], data: st.DataObject) -> None:
    """What the codec lets through is judged, published, kept and read back, whatever it adds up to and in any order."""
    most = st.sampled_from((0, 1, INT64_MAX - 1, INT64_MAX))
    dues = st.sampled_from(("0001-01-01", "1969-12-31", "2025-02-10", "9999-12-31"))

    def amount() -> int:
        return data.draw(most)

    events: list[Event] = [
        loan(
            "2025-01-01",
            [(data.draw(dues), amount()) for _ in range(4)],
            event_time_ms=0,
            principal_minor=amount(),
        ),
        loan("2025-01-02", [("2025-02-10", amount())], loan_id="l-2", principal_minor=amount()),
        billed(
            "2025-03-03", data.draw(dues), amount(), 1, minimum_due_minor=amount(), balance_minor=amount()
        ),
        billed("2025-03-04", data.draw(dues), amount(), 9, minimum_due_minor=amount()),
        LimitChanged(
            event_id=event_id(),
            borrower_id="b-1",
            event_time_ms=at("2025-03-03"),
            loan_id="l-1",
            credit_limit_minor=amount(),
        ),
        *[paid(f"2025-03-0{day}", amount(), loan_id=f"l-{1 + day % 2}") for day in range(1, 5)],
        *[flow(f"2025-0{month}-10", amount(), balance_after_minor=-amount()) for month in range(1, 6)],
        *[query(f"2025-03-0{day}", "\U0001f600\x00" * day) for day in range(1, 4)],
    ]
    risk_engine = engine()

    feed(risk_engine, [events[place] for place in order])
    risk_engine.advance_together(end_of("2025-09-30"))
    output = risk_engine.take_output(0)
    msgspec.json.encode(output.alerts)
    msgspec.json.encode(output.risks)
    restored = go_on(risk_engine, output.changed, engine())
    restored.advance_together(end_of("9990-01-01"))

    assert restored.borrower_count == 1
