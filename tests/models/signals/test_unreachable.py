"""The signal on both sides of its thresholds: failed attempts, broken promises, and what ends them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import servicing
from models.alerts import Alert, Finding, Severity
from models.calendars import DAY_MS, HOUR_MS
from models.engine import RiskEngine
from models.events import ContactAttempted, Event, LoanOpened, Repayment, RepaymentReversed
from models.ledger import Loan, open_loan, pay, reverse, take_on
from models.rules import Rules
from models.servicing import ServicingEvidence
from models.signals.unreachable import judge, next_deadline_ms, past_due_since_ms, resolution
from tests.support.events import (
    at,
    bounced,
    end_of,
    engine,
    feed_of,
    in_order,
    loan,
    local,
    paid,
    rules,
    snapshot,
    story,
)
from tests.support.servicing import contact, promise

RULES = rules()
DUE = "2025-02-10"
LOAN = loan("2025-01-01", [(DUE, 100_000)])


def evidence_of(contacts: Iterable[ContactAttempted]) -> ServicingEvidence:
    """What is kept of attempts."""
    evidence = ServicingEvidence()
    for event in contacts:
        servicing.record_contact(evidence, event)
    return evidence


def loans_of(
    events: Sequence[LoanOpened | Repayment | RepaymentReversed], own: Rules = RULES
) -> dict[str, Loan]:
    """The ledgers of loans and payments, in the order given."""
    loans: dict[str, Loan] = {}
    for event in events:
        if isinstance(event, LoanOpened):
            loans[event.loan_id] = open_loan(event, own)
        elif isinstance(event, Repayment):
            pay(loans[event.loan_id], event, own)
        else:
            assert reverse(loans[event.loan_id], event, own)
    return loans


def calls(
    count: int, days: int, first: str = "2025-02-12", outcome: str = "unreached"
) -> list[ContactAttempted]:
    """So many attempts, spread over so many local days."""
    return [
        contact(first, outcome, event_time_ms=at(first) + (number % days) * DAY_MS + number * 60_000)
        for number in range(count)
    ]


def found(
    contacts: Iterable[ContactAttempted],
    when: str = "2025-03-20",
    events: Sequence[LoanOpened | Repayment | RepaymentReversed] = (LOAN,),
    override: str = "",
    time: str = "12:00",
) -> Finding | None:
    """What is found at an instant."""
    own = rules(override) if override else RULES
    return judge(evidence_of(contacts), loans_of(events, own), at(when, time), own)


def severity_of(*arguments: Any, **options: Any) -> Severity | None:
    """The severity found."""
    finding = found(*arguments, **options)
    return None if finding is None else finding.severity


# ---- failed attempts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "severity"),
    [
        (0, None),
        (4, None),
        (5, Severity.WATCH),
        (9, Severity.WATCH),
        (10, Severity.WARNING),
        (19, Severity.WARNING),
        (20, Severity.SERIOUS),
        (60, Severity.SERIOUS),
    ],
)
def test_the_row_of_failed_attempts_sets_the_severity(count: int, severity: Severity | None) -> None:
    """Five are watch, ten warning, twenty serious, and one fewer is not."""
    assert severity_of(calls(count, 10)) == severity


@pytest.mark.parametrize(
    ("days", "severity"), [(1, None), (2, None), (3, Severity.WATCH), (5, Severity.WATCH)]
)
def test_the_attempts_lie_on_several_days(days: int, severity: Severity | None) -> None:
    """Three at least: a morning of calls proves nothing."""
    assert severity_of(calls(5, days)) == severity


def test_the_days_are_local() -> None:
    """Two minutes around midnight are two days."""
    around = [
        contact(day, time=time)
        for day, time in (("2025-02-12", "23:59"), ("2025-02-13", "00:01"), ("2025-02-13", "23:59"))
    ]
    assert severity_of([*around, contact("2025-02-14", time="00:00"), contact("2025-02-14", time="00:01")])


def test_the_policy_sets_the_thresholds() -> None:
    """Other numbers judge by those."""
    override = (
        "[signals.unreachable]\ndistinct_days_min = 2\nseverity = { watch = 2, warning = 3, serious = 4 }"
    )

    assert severity_of(calls(1, 1), override=override) is None
    assert severity_of(calls(2, 1), override=override) is None
    assert severity_of(calls(2, 2), override=override) == Severity.WATCH
    assert severity_of(calls(4, 2), override=override) == Severity.SERIOUS


@pytest.mark.parametrize("outcome", ["reached", "refused", "promised"])
def test_an_answer_ends_the_row(outcome: str) -> None:
    """Also a refusal; the attempts after it count anew."""
    row = calls(5, 5)
    answer = contact("2025-02-17", outcome)

    assert severity_of([*row, answer]) is None
    assert severity_of([*row, answer, *calls(4, 4, "2025-02-18")]) is None
    assert severity_of([*row, answer, *calls(5, 5, "2025-02-18")]) == Severity.WATCH


@pytest.mark.parametrize("party", ["third_party", "guarantor", "co_borrower", "other"])
def test_other_people_neither_count_nor_answer(party: Any) -> None:
    """Calling an employer in vain is no row, and an employer's answer reaches nobody."""
    assert severity_of([*calls(4, 4), contact("2025-02-20", party=party)]) is None
    assert severity_of([*calls(5, 5), contact("2025-02-20", "reached", party=party)]) == Severity.WATCH


def test_an_outcome_that_nobody_could_tell_does_not_count() -> None:
    """It neither lengthens the row nor ends it."""
    assert severity_of([*calls(4, 4), contact("2025-02-20", "other")]) is None
    assert severity_of([*calls(5, 5), contact("2025-02-20", "other")]) == Severity.WATCH


def test_only_while_something_is_past_due() -> None:
    """Not before the due date has ended, and not once it is paid."""
    before = calls(5, 5, "2025-02-05")
    assert severity_of(before, "2025-02-10") is None
    assert severity_of(before, "2025-02-12") is None
    assert severity_of(calls(5, 5), events=(LOAN, paid("2025-02-20", 100_000))) is None
    assert severity_of(calls(5, 5), events=(LOAN, paid("2025-02-20", 99_899))) == Severity.WATCH


def test_attempts_count_from_the_midnight_that_ends_the_due_date() -> None:
    """Or, with days of grace, the midnight that ends those."""
    row = [contact("2025-02-11", event_time_ms=at("2025-02-11", "00:00") - 1), *calls(4, 4)]
    exact = [contact("2025-02-11", time="00:00"), *calls(4, 4)]
    grace = "[signals.missed_payment]\ngrace_days = 1"

    assert severity_of(row) is None
    assert severity_of(exact) == Severity.WATCH
    assert severity_of(exact, override=grace) is None
    assert severity_of([contact("2025-02-12", time="00:00"), *calls(4, 4)], override=grace) == Severity.WATCH


def test_a_loan_taken_on_past_due_counts_from_that_very_instant_on() -> None:
    """What the book says of it is known with it."""
    told = snapshot("2025-02-20", overdue=100_000, days=10)
    loans = {"l-1": take_on(told, RULES)}
    taken_on_ms = loans["l-1"].opened_ms

    assert past_due_since_ms(loans, taken_on_ms - 1, RULES, deadline=False) is None
    assert past_due_since_ms(loans, taken_on_ms, RULES, deadline=False) == at("2025-02-11", "00:00")


@pytest.mark.parametrize("loan_ids", [("l-1", "l-2"), ("l-2", "l-1")])
def test_of_several_loans_past_due_the_oldest_instalment_tells_since_when(loan_ids: tuple[str, str]) -> None:
    """Attempts since the first miss count, in whatever order the loans were opened."""
    dues = {"l-1": DUE, "l-2": "2025-03-10"}
    events = [loan("2025-01-01", [(dues[loan_id], 100_000)], loan_id=loan_id) for loan_id in loan_ids]

    assert severity_of(calls(5, 5, "2025-02-12"), events=events) == Severity.WATCH
    assert severity_of(calls(5, 5, "2025-02-05"), events=events) is None


def test_a_payment_of_the_oldest_instalment_begins_the_count_anew() -> None:
    """Who pays is not out of reach, though the next instalment is past due by now."""
    two = loan("2025-01-01", [(DUE, 100_000), ("2025-03-10", 100_000)])
    row = calls(5, 5)

    assert severity_of(row, events=(two,)) == Severity.WATCH
    assert severity_of(row, events=(two, paid("2025-03-12", 100_000))) is None


def test_the_reason_of_a_row_can_be_checked() -> None:
    """The very numbers compared, in both languages."""
    finding = found(calls(7, 4))
    assert finding is not None
    (reason,) = finding.reasons
    assert reason.code == "UR-CONTACT"
    assert reason.evidence == {
        "attempts": 7,
        "threshold": 5,
        "days": 4,
        "threshold_days": 3,
        "first_date": "2025-02-12",
        "last_date": "2025-02-15",
    }
    assert reason.text.en == (
        "7 attempts in a row did not reach the borrower, on 4 days (2025-02-12 to 2025-02-15), while past due; "
        "this severity holds from 5, on at least 3 days."
    )
    assert reason.text.zh == (
        "逾期期间连续 7 次联系借款人未果，分布在 4 天（2025-02-12 至 2025-02-15）；达到 5 次且至少 3 天即为此级别。"
    )


# ---- promises ----------------------------------------------------------------------------------------------------


def test_a_promise_is_broken_when_its_grace_has_ended() -> None:
    """At the midnight that ends the day after the promised one, to the millisecond."""
    made = [promise("2025-02-12", "2025-02-15", 100_000)]
    evidence, loans = evidence_of(made), loans_of([LOAN])
    end_ms = at("2025-02-17", "00:00")

    assert judge(evidence, loans, end_ms - 1, RULES) is None
    assert judge(evidence, loans, end_ms, RULES, deadline=True) is not None
    assert next_deadline_ms(evidence, at("2025-02-12"), RULES) == end_ms


@pytest.mark.parametrize(
    ("amount", "is_broken"), [(0, True), (44_999, True), (45_000, False), (99_000, False)]
)
def test_nine_tenths_keep_a_promise(amount: int, *, is_broken: bool) -> None:
    """A promise of 500.00 is kept by 450.00; what is still past due is another matter."""
    events = [LOAN, *([paid("2025-02-14", amount)] if amount else [])]

    assert (
        severity_of([promise("2025-02-12", "2025-02-15", 50_000)], events=events) is not None
    ) == is_broken


@pytest.mark.parametrize(
    ("when", "time", "is_broken"),
    [
        ("2025-02-12", "11:59", True),
        ("2025-02-12", "12:00", False),
        ("2025-02-16", "23:59", False),
        ("2025-02-17", "00:00", True),
    ],
)
def test_payments_count_from_the_promise_to_the_end_of_its_grace(
    when: str, time: str, *, is_broken: bool
) -> None:
    """The first instant included, the last not."""
    events = [LOAN, paid(when, 50_000, time)]

    assert (
        severity_of([promise("2025-02-12", "2025-02-15", 50_000)], events=events) is not None
    ) == is_broken


def test_a_payment_of_the_last_millisecond_keeps_a_promise() -> None:
    """The midnight that would break it knows what came before."""
    end_ms = at("2025-02-17", "00:00")
    evidence = evidence_of([promise("2025-02-12", "2025-02-15", 50_000)])
    loans = loans_of([LOAN, paid("2025-02-16", 50_000, event_time_ms=end_ms - 1)])

    assert judge(evidence, loans, end_ms, RULES, deadline=True) is None


def test_a_promise_is_not_looked_at_again_once_it_is_too_old() -> None:
    """The end of its window is the last instant that time brings."""
    evidence = evidence_of([promise("2025-02-12", "2025-02-15", 50_000)])
    over_ms = at("2025-05-18", "00:00")

    assert next_deadline_ms(evidence, over_ms - 1, RULES) == over_ms
    assert next_deadline_ms(evidence, over_ms, RULES) is None


def test_parts_of_several_loans_add_up() -> None:
    """A person promises money, not an account."""
    events = [
        LOAN,
        loan("2025-01-01", [(DUE, 100_000)], loan_id="l-2"),
        paid("2025-02-13", 30_000),
        paid("2025-02-14", 15_000, loan_id="l-2"),
    ]
    assert severity_of([promise("2025-02-12", "2025-02-15", 50_000)], events=events) is None


def test_a_promise_without_an_amount_is_kept_by_any_payment() -> None:
    """Nobody may hold a person to what was not said."""
    made = [promise("2025-02-12", "2025-02-15")]

    assert severity_of(made) == Severity.WATCH
    assert severity_of(made, events=[LOAN, paid("2025-02-14", 1)]) is None


def test_what_a_guarantor_pays_or_what_bounced_keeps_no_promise() -> None:
    """Nor does what bounced after it."""
    made = [promise("2025-02-12", "2025-02-15", 50_000)]
    payment = paid("2025-02-14", 50_000)

    assert severity_of(made, events=[LOAN, paid("2025-02-14", 50_000, payer="guarantor")]) == Severity.WATCH
    assert severity_of(made, events=[LOAN, payment]) is None
    assert severity_of(made, events=[LOAN, payment, bounced("2025-02-20", payment)]) == Severity.WATCH


@pytest.mark.parametrize(
    "made",
    [
        promise("2025-02-12", "2025-02-11", 50_000),
        contact("2025-02-12", "promised"),
        promise("2025-02-12", "2025-02-15", 50_000, party="guarantor"),
        promise("2025-02-12", "9999-12-31", 50_000),
    ],
)
def test_what_is_no_promise_is_not_broken(made: ContactAttempted) -> None:
    """A day that was over already, no day at all, another person's word, a day in another age."""
    assert severity_of([made]) is None


def test_a_promise_for_the_same_day_can_be_broken() -> None:
    """It is over at the end of that day and its grace."""
    assert severity_of([promise("2025-02-12", "2025-02-12", 50_000)], "2025-02-14", time="00:00") is not None
    assert severity_of([promise("2025-02-12", "2025-02-12", 50_000)], "2025-02-13", time="23:59") is None


def test_a_promise_of_the_last_millisecond_of_its_day_can_be_broken() -> None:
    """Without any grace its end is an instant later, and it had been made by then."""
    end_ms = at("2025-02-13", "00:00")
    made = evidence_of([promise("2025-02-12", "2025-02-12", 50_000, event_time_ms=end_ms - 1)])
    own = rules("[signals.unreachable]\npromise_grace_days = 0")

    assert next_deadline_ms(made, end_ms - 1, own) == end_ms
    assert judge(made, loans_of([LOAN], own), end_ms, own, deadline=True) is not None


@pytest.mark.parametrize(
    ("count", "severity"),
    [
        (1, Severity.WATCH),
        (2, Severity.WATCH),
        (3, Severity.WARNING),
        (4, Severity.WARNING),
        (5, Severity.SERIOUS),
    ],
)
def test_the_number_of_broken_promises_sets_the_severity(count: int, severity: Severity) -> None:
    """One is watch, three warning, five serious."""
    made = [promise(f"2025-02-{12 + number}", f"2025-02-{13 + number}", 50_000) for number in range(count)]

    assert severity_of(made) == severity


def test_a_broken_promise_counts_for_a_time() -> None:
    """Ninety days from its end, to the millisecond."""
    evidence, loans = evidence_of([promise("2025-02-12", "2025-02-15", 50_000)]), loans_of([LOAN])
    over_ms = at("2025-02-17", "00:00") + 90 * DAY_MS

    assert judge(evidence, loans, over_ms - 1, RULES) is not None
    assert judge(evidence, loans, over_ms, RULES) is None


def test_the_worse_of_the_two_is_the_severity() -> None:
    """And its reason comes first."""
    finding = found([promise("2025-02-12", "2025-02-13", 50_000), *calls(10, 5, "2025-02-14")])

    assert finding is not None
    assert finding.severity == Severity.WARNING
    assert [reason.code for reason in finding.reasons] == ["UR-CONTACT", "UR-PROMISE"]


def test_the_reason_of_a_broken_promise_can_be_checked() -> None:
    """What was promised, by when, and what came."""
    finding = found([promise("2025-02-12", "2025-02-15", 50_000)], events=[LOAN, paid("2025-02-14", 20_000)])
    assert finding is not None
    (reason,) = finding.reasons
    assert reason.code == "UR-PROMISE"
    assert reason.evidence == {
        "broken_promises": 1,
        "threshold": 1,
        "window_days": 90,
        "promised_date": "2025-02-15",
        "promised_minor": 50_000,
        "paid_minor": 20_000,
        "kept_share": 0.9,
    }
    assert reason.text.en == (
        "1 broken promise within 90 days, the last one of 500.00 CNY by 2025-02-15, of which 200.00 CNY came; "
        "this severity holds from 1."
    )
    assert reason.text.zh == (
        "90 天内 1 次未履行还款承诺，最近一次承诺于 2025-02-15 前还款 500.00 CNY，实际收到 200.00 CNY；达到 1 次即为此级别。"
    )


# ---- the life of the alert ---------------------------------------------------------------------------------------


def run(events: Iterable[Event], until: str, override: str = "") -> list[Alert]:
    """The alerts of this signal, without the changes of what may be done."""
    risk_engine = engine(override)
    for offset, event in enumerate(in_order(events)):
        risk_engine.process(event, feed_of(event), offset)
    risk_engine.advance_together(end_of(until))
    alerts = risk_engine.take_alerts(0)
    return [alert for alert in alerts if alert.signal == "unreachable" and alert.status != "updated"]


def test_it_opens_rises_and_resolves_when_the_borrower_is_reached() -> None:
    """The fifth call, the tenth, the answer; it ends without a name, for reached is not paid."""
    events: list[Event] = [LOAN, *calls(10, 10), contact("2025-02-25", "reached")]

    assert story(run(events, "2025-02-25")) == [
        "2025-02-16 12:04 unreachable opened watch",
        "2025-02-21 12:09 unreachable escalated warning",
        "2025-02-25 12:00 unreachable resolved warning",
    ]


@pytest.mark.parametrize(("answered", "how"), [("11:59", "passed"), ("12:00", None), ("12:01", None)])
def test_an_answer_counts_from_the_instant_on_at_which_the_alert_opened(
    answered: str, how: str | None
) -> None:
    """An earlier one is not what ended it."""
    answer = contact("2025-02-20", "reached", answered)
    ended_as = resolution(evidence_of([answer]), loans_of([LOAN]), at("2025-02-20"), at("2025-02-21"), RULES)

    assert ended_as == how


def test_it_resolves_as_paid_when_nothing_is_past_due() -> None:
    """Nobody need be found any more."""
    events: list[Event] = [LOAN, *calls(5, 5), paid("2025-02-20", 100_000)]

    assert story(run(events, "2025-02-25"))[-1] == "2025-02-20 12:00 unreachable resolved watch paid"


def test_a_broken_promise_opens_at_its_end_and_passes_with_its_window() -> None:
    """Both are deadlines of the repayments feed."""
    alerts = run([LOAN, promise("2025-02-12", "2025-02-15", 50_000)], "2025-06-30")

    assert story(alerts) == [
        "2025-02-17 00:00 unreachable opened watch",
        "2025-05-18 00:00 unreachable resolved watch passed",
    ]
    assert {(alert.caused_by.topic, alert.caused_by.event_id) for alert in alerts} == {("repayments", None)}


def test_a_promise_made_good_is_not_brought_up_at_the_next_miss() -> None:
    """Paid late, but paid: who misses another instalment has broken no word about that one."""
    two = loan("2025-01-01", [(DUE, 100_000), ("2025-03-10", 100_000)])
    events: list[Event] = [two, promise("2025-02-12", "2025-02-13", 100_000), paid("2025-02-20", 100_000)]

    assert story(run(events, "2025-03-31")) == [
        "2025-02-15 00:00 unreachable opened watch",
        "2025-02-20 12:00 unreachable resolved watch paid",
    ]


@pytest.mark.parametrize(("promised", "opens"), [("2025-02-08", False), ("2025-02-09", True)])
def test_a_promise_counts_that_was_broken_since_the_instalment_fell_past_due(
    promised: str, *, opens: bool
) -> None:
    """At the midnight that ends the due date, too: the promise was about that instalment."""
    alerts = run([LOAN, promise("2025-02-07", promised, 50_000)], "2025-03-31")

    assert [alert.event_time_ms for alert in alerts] == ([at("2025-02-11", "00:00")] if opens else [])


def test_a_payment_learnt_late_retracts() -> None:
    """The promise was kept after all."""
    risk_engine = engine()
    events: list[Event] = [LOAN, promise("2025-02-12", "2025-02-15", 50_000)]
    statuses = process(risk_engine, events)
    risk_engine.advance_together(end_of("2025-02-18"))
    statuses += process(risk_engine, [paid("2025-02-14", 50_000)])

    assert statuses == ["opened", "retracted"]


def process(risk_engine: RiskEngine, events: Iterable[Event]) -> list[str]:
    """Statuses of this signal's alerts."""
    for offset, event in enumerate(events):
        risk_engine.process(event, feed_of(event), offset)
    return [alert.status for alert in risk_engine.take_alerts(0) if alert.signal == "unreachable"]


def test_an_answer_learnt_late_retracts() -> None:
    """The row had been broken before it was long enough."""
    risk_engine = engine()
    process(risk_engine, [LOAN, *calls(5, 5)])
    risk_engine.advance_together(end_of("2025-02-16"))
    statuses = process(risk_engine, [])
    statuses += process(risk_engine, [contact("2025-02-13", "reached", time="20:00")])

    assert statuses == ["opened", "retracted"]


def test_a_cooldown_holds_back_what_is_no_worse() -> None:
    """A row of five within seven days after an answer is no second alert, until the seven days are over."""
    events: list[Event] = [LOAN, *calls(5, 5), contact("2025-02-17", "reached"), *calls(5, 3, "2025-02-18")]

    assert story(run(events, "2025-02-28")) == [
        "2025-02-16 12:04 unreachable opened watch",
        "2025-02-17 12:00 unreachable resolved watch",
        "2025-02-24 12:00 unreachable opened watch",
    ]


def test_borrowers_whom_nobody_calls_cost_nothing() -> None:
    """Without contacts there is no deadline and nothing is found."""
    evidence, loans = ServicingEvidence(), loans_of([LOAN])

    assert judge(evidence, loans, at("2025-06-01"), RULES) is None
    assert next_deadline_ms(evidence, 0, RULES) is None


def test_the_steps_that_are_recommended() -> None:
    """Write first; later a person looks before anybody goes after the borrower."""
    alerts = run([LOAN, *calls(20, 20)], "2025-03-10")
    steps = [
        (alert.severity, alert.recommendation.stage, alert.recommendation.human_review_required)
        for alert in alerts
        if alert.status in {"opened", "escalated"}
    ]

    assert steps == [
        ("watch", "remind", False),
        ("warning", "negotiate", False),
        ("serious", "assign_agency", True),
    ]


# ---- laws --------------------------------------------------------------------------------------------------------

T0 = at("2025-02-01", "00:00")
TIMES = st.tuples(st.integers(0, 60), st.sampled_from([0, HOUR_MS, DAY_MS - 1])).map(
    lambda pair: T0 + pair[0] * DAY_MS + pair[1]
)
CONTACTS = st.lists(
    st.one_of(
        st.builds(lambda ms: contact("2025-02-01", event_time_ms=ms), TIMES),
        st.builds(lambda ms: contact("2025-02-01", event_time_ms=ms), TIMES),
        st.builds(lambda ms: contact("2025-02-01", "reached", event_time_ms=ms), TIMES),
        st.builds(
            lambda ms, days: promise("2025-02-01", local(ms + days * DAY_MS)[:10], 50_000, event_time_ms=ms),
            TIMES,
            st.integers(-1, 20),
        ),
    ),
    max_size=16,
)
PAYMENTS = st.lists(
    st.builds(
        lambda ms, amount: paid("2025-02-01", amount, event_time_ms=ms),
        TIMES,
        st.sampled_from([45_000, 100_000]),
    ),
    max_size=4,
).map(lambda payments: sorted(payments, key=lambda payment: payment.event_time_ms))
EAGER = rules(
    "[signals.unreachable]\ndistinct_days_min = 1\nseverity = { watch = 2, warning = 3, serious = 5 }"
)
OPENED = loan("2025-01-01", [("2025-02-05", 100_000), ("2025-03-05", 100_000)])


@settings(deadline=None)
@given(CONTACTS, PAYMENTS, TIMES)
def test_a_judgement_uses_only_what_was_known(
    contacts: list[ContactAttempted], payments: list[Repayment], at_ms: int
) -> None:
    """As of an instant, the whole log judges as the log cut there."""
    cut = (
        evidence_of(event for event in contacts if event.event_time_ms <= at_ms),
        loans_of([OPENED, *(event for event in payments if event.event_time_ms <= at_ms)], EAGER),
    )
    whole = evidence_of(contacts), loans_of([OPENED, *payments], EAGER)

    assert judge(*whole, at_ms, EAGER) == judge(*cut, at_ms, EAGER)


@settings(deadline=None)
@given(CONTACTS, PAYMENTS, TIMES)
def test_between_events_only_deadlines_change_the_judgement(
    contacts: list[ContactAttempted], payments: list[Repayment], after_ms: int
) -> None:
    """Up to the next deadline or event the finding stays as it is."""
    evidence, loans = evidence_of(contacts), loans_of([OPENED, *payments], EAGER)
    due_ms = next_deadline_ms(evidence, after_ms, EAGER)
    assert due_ms is None or due_ms > after_ms
    later_ms = [event.event_time_ms for event in (*contacts, *payments) if event.event_time_ms > after_ms]
    until_ms = min([*later_ms, after_ms + 200 * DAY_MS, *([] if due_ms is None else [due_ms])])
    for instant_ms in {until_ms - 1, (after_ms + until_ms) // 2, after_ms + 1}:
        if after_ms < instant_ms < until_ms:
            assert _plain(judge(evidence, loans, instant_ms, EAGER)) == _plain(
                judge(evidence, loans, after_ms, EAGER)
            )


def _plain(finding: Finding | None) -> object:
    return None if finding is None else msgspec.to_builtins(finding)


@settings(deadline=None)
@given(CONTACTS, PAYMENTS, TIMES)
def test_it_is_never_found_while_nothing_is_past_due(
    contacts: list[ContactAttempted], payments: list[Repayment], at_ms: int
) -> None:
    """Nobody is hunted for money that is not owed yet."""
    loans = loans_of([OPENED, *payments], EAGER)
    if past_due_since_ms(loans, at_ms, EAGER, deadline=False) is None:
        assert judge(evidence_of(contacts), loans, at_ms, EAGER) is None
