"""Who has enough all the time is not looked at; that must tell the same as looking at everybody."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Alert
from models.balances import BalanceEvidence
from models.borrower import Borrower
from models.calendars import HOUR_MS
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import (
    REPAYMENTS,
    AccountLinked,
    AccountUnlinked,
    BorrowerEvent,
    FundFlow,
    LoanOpened,
    Repayment,
)
from models.rules import Rules
from models.signal_table import NEXT_LOOK_MS, PAYMENT_AT_RISK, SIGNALS
from models.signals.payment_at_risk import next_look_ms
from tests.support.events import at, end_of, engine, event_id, feed_of, loan, paid, rules, run, story
from tests.support.means import (
    balances_of,
    by_time,
    day_number,
    every_day,
    loans_of,
    one_loan,
    told,
)

RULES = rules()
DUE = "2025-06-20"
BEGIN = day_number("2025-05-01")
UNTIL = "2025-08-31"


@contextmanager
def looking_at_everybody() -> Iterator[None]:
    """Nothing is left out, and other deadlines of the clock are looked at all the time."""

    def next_look_of(
        borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, own: Rules
    ) -> int:
        borrower.balances.enough_minor = 0
        due_ms = SIGNALS[PAYMENT_AT_RISK].next_deadline_ms(borrower, subject, after_ms, episode, own)
        return min(due_ms, NEVER - 1)

    with pytest.MonkeyPatch.context() as patch:
        looks = list(NEXT_LOOK_MS)
        looks[PAYMENT_AT_RISK] = next_look_of
        patch.setattr("models.schedule.NEXT_LOOK_MS", looks)
        yield


def alerts_of(events: Sequence[BorrowerEvent], cut: int) -> list[Alert]:
    """The alerts of a log, with a restart on the way."""
    risk_engine = engine()
    alerts: list[Alert] = []
    for offset, event in enumerate(events):
        if offset == cut:
            output = risk_engine.take_output(detected_at_ms=0)
            alerts += output.alerts
            progress, risk_engine = risk_engine.progress(), engine()
            for borrower_id, record in output.changed.items():
                assert record is not None
                risk_engine.restore(borrower_id, record)
            risk_engine.resume(progress)
        risk_engine.process(event, feed_of(event), offset)
    risk_engine.advance_together(end_of(UNTIL))
    return alerts + risk_engine.take_alerts(detected_at_ms=0)


def instant_ms(day: int, hour: int) -> int:
    """A local hour of a day of the log."""
    return RULES.calendar.midnight_ms(BEGIN + day) + hour * HOUR_MS


HOURS = st.sampled_from([0, 0, 1, 9, 15, 23])


@st.composite
def lives(draw: st.DrawFn) -> list[BorrowerEvent]:
    """Two loans paid or not, balances around what they ask for on three accounts, in order of time."""
    events: list[BorrowerEvent] = [
        loan("2025-04-01", [("2025-05-20", 100_000), (DUE, 100_000), ("2025-07-20", 100_000)]),
        loan("2025-04-01", [("2025-06-18", 60_000)], loan_id="l-2"),
    ]
    times = st.tuples(st.integers(0, 90), HOURS)
    for day, hour in draw(st.lists(times, min_size=1, max_size=25, unique=True)):
        balance_minor = draw(st.sampled_from([-1, 0, 30_000, 90_000, 100_000, 150_000, 170_000, 400_000]))
        account = draw(st.sampled_from("aab"))
        events.append(
            told("2025-05-01", balance_minor, event_time_ms=instant_ms(day, hour), account_id=account)
        )
    for day, hour in draw(st.lists(times, max_size=4)):
        loan_id, amount_minor = draw(st.sampled_from([("l-1", 100_000), ("l-1", 250_000), ("l-2", 60_000)]))
        when_ms = instant_ms(day, hour)
        events.append(paid("2025-05-01", amount_minor, loan_id=loan_id, event_time_ms=when_ms))
    for day, hour in draw(st.lists(times, max_size=2)):
        begin_ms, end_ms = instant_ms(day, hour), instant_ms(day + draw(st.integers(1, 9)), hour)
        common: dict[str, Any] = {"borrower_id": "b-1", "account_id": "a"}
        events.append(AccountUnlinked(event_id=event_id(), event_time_ms=begin_ms, **common))
        events.append(AccountLinked(event_id=event_id(), event_time_ms=end_ms, **common))
    return sorted(events, key=lambda event: event.event_time_ms)


@settings(deadline=None, max_examples=150)
@given(lives(), st.integers(0, 30))
def test_leaving_looks_out_tells_what_looking_at_everybody_tells(
    events: list[BorrowerEvent], cut: int
) -> None:
    """Alert for alert, for events in order, with a restart anywhere."""
    with looking_at_everybody():
        expected = alerts_of(events, NEVER)

    told_now = alerts_of(events, cut)
    assert [alert.alert_id for alert in told_now] == [alert.alert_id for alert in expected]
    assert story(told_now) == story(expected)


def test_a_payment_that_ends_a_miss_has_what_falls_due_next_looked_at() -> None:
    """There was enough for the other loan alone: while an instalment is past due, its loan's next one is not looked at."""
    events: list[BorrowerEvent] = [
        loan("2025-04-01", [("2025-05-20", 100_000), (DUE, 100_000)]),
        loan("2025-04-01", [("2025-06-18", 60_000)], loan_id="l-2"),
        told("2025-06-12", 90_000),
        paid("2025-06-15", 100_000),
    ]
    opened = [
        (alert.signal, alert.event_time_ms) for alert in alerts_of(events, NEVER) if alert.status == "opened"
    ]
    assert ("payment_at_risk", events[-1].event_time_ms) in opened


RICH = every_day("2025-06-01", "2025-06-14", 150_000)


def deadline_after(*events: LoanOpened | FundFlow) -> int:
    """When the signal looks next, where repayments come up to each of the events."""
    risk_engine = engine()
    for offset, event in enumerate(events):
        risk_engine.advance(REPAYMENTS, event.event_time_ms)
        risk_engine.process(event, feed_of(event), offset)
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    return borrower.signal_deadlines_ms[PAYMENT_AT_RISK]


def test_who_has_enough_awaits_no_look() -> None:
    """Nothing is scheduled before there is less than is asked for; then the next of its days."""
    assert deadline_after(one_loan(DUE), *RICH) == NEVER
    assert deadline_after(one_loan(DUE), *RICH, told("2025-06-16", 100_000)) == NEVER
    assert deadline_after(one_loan(DUE), *RICH, told("2025-06-16", 99_999)) == at("2025-06-18", "00:00")


def test_less_than_enough_is_found_where_it_would_have_been_looked_at() -> None:
    """Not at once, and no later."""
    events = by_time([one_loan(DUE), *RICH, told("2025-06-16", 5_000)])
    assert [line for line in story(run(events, until="2025-06-19")) if "payment_at_risk" in line] == [
        "2025-06-18 00:00 payment_at_risk opened serious"
    ]


@pytest.mark.parametrize("repayments_until", ["2025-06-15", "2025-06-16", "2025-06-17"])
def test_a_low_balance_learnt_after_its_look_was_left_out_is_judged_at_once(repayments_until: str) -> None:
    """As it would have been if somebody had looked."""
    late = told("2025-06-14", 5_000, "23:00")
    risk_engine = engine()
    events: list[LoanOpened | FundFlow] = [one_loan(DUE), *RICH]
    for offset, event in enumerate(events):
        risk_engine.process(event, feed_of(event), offset)
    risk_engine.advance(REPAYMENTS, at(repayments_until))
    risk_engine.process(late, feed_of(late), len(events))
    assert story(risk_engine.take_alerts(detected_at_ms=0)) == [
        "2025-06-14 23:00 payment_at_risk opened warning"
    ]


@pytest.mark.parametrize(
    ("balances", "enough_minor"),
    [
        (balances_of(told("2025-06-10", 100_000)), 100_000),
        (balances_of(told("2025-06-10", 99_999)), 0),
        (balances_of(told("2025-06-10", 50_000), told("2025-06-09", 50_000, account_id="acc-2")), 100_000),
        (balances_of(told("2025-05-12", 100_000)), 100_000),
        (balances_of(told("2025-05-11", 100_000)), 0),
        (balances_of(told("2025-06-13", 100_000)), 0),
        (balances_of(told("2025-06-10", 100_000, currency="USD")), 0),
        (BalanceEvidence(), 0),
    ],
)
def test_enough_is_what_covers_all_that_is_looked_at(balances: BalanceEvidence, enough_minor: int) -> None:
    """All accounts together, as old as they will be at the last look, and nothing of a day to come."""
    due_ms = next_look_ms(loans_of(one_loan(DUE)), balances, at("2025-06-12"), None, RULES)
    assert balances.enough_minor == enough_minor
    expected = None if enough_minor or not balances.accounts else at("2025-06-15", "00:00")
    assert due_ms == expected


def two_dues(first: str, second: str) -> list[LoanOpened]:
    """Another loan, of two instalments of 600.00."""
    return [loan("2025-06-01", [(first, 60_000), (second, 60_000)], loan_id="l-2")]


@pytest.mark.parametrize(
    ("owed", "enough_minor"),
    [
        ([one_loan(DUE)], 100_000),
        ([one_loan("2025-06-19")], 0),
        ([loan("2025-06-01", [(DUE, 100_000), ("2025-06-26", 60_000)])], 160_000),
        ([loan("2025-06-01", [(DUE, 100_000), ("2025-06-27", 60_000)])], 100_000),
        ([one_loan("2025-06-21"), *two_dues("2025-06-22", "2025-06-28")], 220_000),
        ([one_loan("2025-06-21"), *two_dues("2025-06-22", "2025-06-29")], 160_000),
        ([loan("2025-06-01", [(DUE, 100_000), ("2025-06-22", 100)])], 100_000),
        ([loan("2025-06-01", [(DUE, 100_000), ("2025-06-22", 101)])], 100_101),
        ([one_loan(DUE), paid(DUE, 40_000, "12:00")], 60_000),
        ([one_loan(DUE), paid(DUE, 40_000, "12:01")], 0),
    ],
)
def test_all_that_falls_due_as_far_as_the_last_look_sees_is_asked_for(
    owed: list[LoanOpened | Repayment], enough_minor: int
) -> None:
    """From today to five days after the midnight that ends the last due date, beyond the tolerance, on all that is known by now."""
    balances = balances_of(told("2025-06-19", 400_000))
    next_look_ms(loans_of(*owed), balances, at(DUE, "12:00"), None, RULES)
    assert balances.enough_minor == enough_minor


def test_an_account_that_makes_room_has_it_asked_again() -> None:
    """What was on it may have been enough."""
    balances = balances_of(*(told(f"2025-06-0{n}", 100_000, account_id=f"a{n}") for n in range(1, 9)))
    assert next_look_ms(loans_of(one_loan(DUE)), balances, at("2025-06-12"), None, RULES) is None
    ninth = told("2025-06-12", 100_000, account_id="a9")
    risk_engine = engine()
    opened = one_loan(DUE)
    risk_engine.process(opened, feed_of(opened), 0)
    risk_engine.advance(REPAYMENTS, at("2025-06-12"))
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    borrower.balances = balances
    risk_engine.process(ninth, feed_of(ninth), 1)
    assert balances.enough_minor == 100_000
    assert [account.account_id for account in balances.accounts][-1] == "a9"
