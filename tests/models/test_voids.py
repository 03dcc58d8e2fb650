"""`event_voided`: what never happened is taken back on every topic, and so is what it caused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import income, institutions, ledger
from models.engine import RiskEngine
from models.events import (
    CREDIT_QUERIES,
    FUND_FLOWS,
    REPAYMENTS,
    SERVICING,
    ContactAttempted,
    CreditQuery,
    Event,
    FundFlow,
    Heartbeat,
    HoldPlaced,
    Repayment,
    RepaymentReversed,
    ScheduleChanged,
)
from models.income import IncomeEvidence
from models.institutions import InstitutionEvidence
from models.ledger import Loan, standing
from models.limits import AWAITED_VOIDS_MAX
from models.recent_flows import FLOWS_MAX
from models.recent_ids import fingerprint_of
from tests.support.events import (
    alive,
    at,
    billed,
    bounced,
    ended,
    event_id,
    feed_of,
    flow,
    loan,
    paid,
    query,
    rescheduled,
    rules,
    run_on,
    snapshot,
    story,
    voided,
)
from tests.support.ledgers import LoanEvent, ledger_of
from tests.support.loan_logs import START_MS, LoanLog, loan_logs

RULES = rules()
DUES = [("2025-01-10", 100_000), ("2025-02-10", 100_000)]
LATER_MS = at("2025-12-01")


def delivered(*events: Event, feed: int = REPAYMENTS) -> list[tuple[Event, int]]:
    """Events with their feeds; a void goes to the given one."""
    return [
        (event, feed if event.__struct_config__.tag == "event_voided" else feed_of(event)) for event in events
    ]


def told(risk_engine: RiskEngine) -> list[str]:
    """The engine's alerts so far, as a person would tell them."""
    return story(risk_engine.take_alerts(0))


def numbers(held: Loan, day: str) -> tuple[int, int]:
    """Days past due and overdue as of a noon."""
    now = standing(held, at(day), RULES)
    return now.days_past_due, now.overdue_minor


def without(held: Loan, event: LoanEvent, void_ms: int = LATER_MS) -> Loan:
    """The loan after the void of one of its events."""
    assert ledger.void(held, fingerprint_of(event.event_id), void_ms, RULES) == "taken_back"
    return held


def two(*events: LoanEvent) -> Loan:
    """Instalments of 1,000.00 due on 10 January and on 10 February."""
    return ledger_of(loan("2025-01-01", DUES), *events, rules=RULES)


# ---- the ledger --------------------------------------------------------------------------------------------------


def test_a_voided_payment_was_never_made() -> None:
    """Unlike a bounce, which counts from its own time on."""
    payment = paid("2025-01-09", 100_000)
    held = two(payment)
    assert numbers(held, "2025-01-11") == (0, 0)

    assert numbers(without(held, payment), "2025-01-11") == (1, 100_000)


def test_the_void_of_a_reversal_makes_the_payment_whole_again() -> None:
    """It never bounced."""
    payment = paid("2025-01-09", 100_000)
    reversal = bounced("2025-01-20", payment)
    held = two(payment, reversal)
    assert numbers(held, "2025-01-21") == (11, 100_000)

    assert numbers(without(held, reversal), "2025-01-21") == (0, 0)


def test_the_void_of_a_bill_brings_back_the_instalment_that_it_refined() -> None:
    """What the bill was paid goes to the instalment."""
    bill = billed("2025-01-05", "2025-01-07", 120_000, 1)
    held = two(bill, paid("2025-01-06", 100_000))
    assert numbers(held, "2025-01-11") == (4, 20_000)

    assert numbers(without(held, bill), "2025-01-11") == (0, 0)


def test_the_void_of_a_new_schedule_brings_back_the_old_one() -> None:
    """The days past due count from the first dates again, and no restructuring is remembered."""
    change = rescheduled("2025-01-20", [("2025-06-10", 200_000)])
    held = two(change)
    assert numbers(held, "2025-02-11") == (0, 0)
    without(held, change)

    assert numbers(held, "2025-02-11") == (32, 200_000)
    assert not standing(held, at("2025-02-11"), RULES).restructured


def test_the_void_of_an_end_lets_the_loan_go_on() -> None:
    """And where two ends were told, the other one holds."""
    wrong, right = ended("2025-01-09", "cancelled"), ended("2025-01-30", "sold")
    assert numbers(without(two(wrong), wrong), "2025-01-11") == (1, 100_000)

    held = without(two(wrong, right), wrong)
    assert numbers(held, "2025-01-11") == (1, 100_000)
    assert standing(held, at("2025-02-01"), RULES).closed == "sold"


def test_the_void_of_a_snapshot_takes_its_correction_back() -> None:
    """The ledger stands as if nobody had asked the book."""
    held = two()
    book = snapshot("2025-01-20", 250_000, 50, 400_000)
    ledger.reconcile(held, book, RULES)
    assert ledger.void(held, fingerprint_of(book.event_id), LATER_MS, RULES) == "taken_back"

    assert numbers(held, "2025-01-21") == (11, 100_000)
    assert held.lines == two().lines


@pytest.mark.parametrize(("void_day", "overdue"), [("2025-01-19", 30_000), ("2025-01-25", 130_000)])
def test_a_book_had_counted_a_payment_that_is_voided_after_it(void_day: str, overdue: int) -> None:
    """What the book held of it is owed again; a book drawn after the void knew of it."""
    payment = paid("2025-01-09", 100_000)
    held = two(payment)
    ledger.reconcile(held, snapshot("2025-01-20", 30_000, 10, 130_000), RULES)
    without(held, payment, at(void_day))

    assert numbers(held, "2025-01-26")[1] == overdue


def test_a_correction_cannot_be_taken_back() -> None:
    """It has forgotten what it replaced."""
    correction = rescheduled("2025-01-20", [("2025-06-10", 200_000)], reason="correction")
    held = two(correction)

    assert ledger.void(held, fingerprint_of(correction.event_id), LATER_MS, RULES) == "impossible"


def test_of_two_schedules_of_one_instant_only_the_one_that_does_not_hold_can_be_taken_back() -> None:
    """The lines of the first are forgotten: it cannot come back in the place of the second."""
    first, second = (rescheduled("2025-01-20", [(due, 200_000)]) for due in ("2025-06-10", "2025-07-10"))
    held = two(first, second)

    assert ledger.void(held, fingerprint_of(second.event_id), LATER_MS, RULES) == "impossible"
    assert ledger.void(held, fingerprint_of(first.event_id), LATER_MS, RULES) == "taken_back"
    assert numbers(held, "2025-06-20") == (0, 0)


AS_OF = st.integers(min_value=0, max_value=200 * 24).map(lambda hour: START_MS + hour * 3_600_000)


@given(loan_logs(), AS_OF, st.data())
def test_a_voided_entry_leaves_the_loan_as_if_it_had_never_been(
    log: LoanLog, at_ms: int, data: st.DataObject
) -> None:
    """Whatever it was, wherever in the log it came: at every instant the loan stands as it does without it."""
    opened, events = log
    voidable = [event for event in events if event.__struct_config__.tag != "limit_changed"]
    if not voidable:
        return
    target = data.draw(st.sampled_from(voidable))
    gone = {target.event_id} | {
        event.event_id
        for event in events
        if isinstance(event, RepaymentReversed) and event.repayment_event_id == target.event_id
    }
    held = ledger_of(opened, *events, rules=RULES)
    never = ledger_of(opened, *(event for event in events if event.event_id not in gone), rules=RULES)
    result = ledger.void(held, fingerprint_of(target.event_id), LATER_MS, RULES)

    assert result == "taken_back" or isinstance(target, ScheduleChanged | RepaymentReversed)
    if result == "taken_back":
        assert standing(held, at_ms, RULES) == standing(never, at_ms, RULES)


# ---- the engine: repayments --------------------------------------------------------------------------------------


def test_what_a_voided_payment_had_ended_opens_again_named_by_the_void() -> None:
    """The miss was never paid: the alert that opens has the days past due since the due date."""
    payment = paid("2025-01-20", 100_000)
    void = voided("2025-01-25", payment)
    risk_engine = run_on(delivered(loan("2025-01-01", DUES), payment, void))
    alerts = risk_engine.take_alerts(0)

    assert story(alerts)[-2:] == [
        "2025-01-20 12:00 missed_payment resolved warning paid",
        "2025-01-25 12:00 missed_payment opened warning",
    ]
    assert alerts[-1].reasons[0].evidence["days_past_due"] == 15
    assert alerts[-1].caused_by.event_id == void.event_id


def test_a_voided_loan_retracts_its_alerts_and_may_be_opened_anew() -> None:
    """The loan was another person's; the same id with other dates is taken."""
    opened = loan("2025-01-01", DUES)
    void = voided("2025-01-15", opened)
    risk_engine = run_on(delivered(opened, void, loan("2025-01-02", [("2025-03-10", 100_000)])))
    alerts = risk_engine.take_alerts(0)

    assert story(alerts) == [
        "2025-01-11 00:00 missed_payment opened watch",
        "2025-01-15 12:00 missed_payment retracted watch",
    ]
    assert alerts[-1].caused_by.event_id == void.event_id
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    assert numbers(borrower.loans["l-1"], "2025-03-11") == (1, 100_000)


def test_a_voided_loan_is_no_own_platform() -> None:
    """Nothing of it remains, and what still comes for it changes nothing."""
    opened = loan("2025-01-01", DUES)
    risk_engine = run_on(
        delivered(opened, voided("2025-01-02", opened), paid("2025-01-05", 1)), until="2025-03-01"
    )
    borrower = risk_engine.borrower("b-1")

    assert borrower is not None
    assert borrower.own_platforms(at("2025-02-01")) == frozenset()
    assert risk_engine.take_alerts(0) == []


def test_a_void_that_cannot_be_honoured_is_refused_and_fails_closed() -> None:
    """The dead letter holds the borrower's alerts until somebody has looked."""
    correction = rescheduled("2025-01-05", [("2025-01-08", 100_000)], reason="correction")
    risk_engine = run_on(delivered(loan("2025-01-01", DUES), correction))
    void = voided("2025-01-20", correction)

    assert risk_engine.process(void, REPAYMENTS, 9) == "cannot-be-voided"
    assert risk_engine.take_alerts(0)[-1].recommendation.hold == "data_incomplete"


def test_a_void_finds_what_still_waits_for_its_loan() -> None:
    """The payment waits no more."""
    payment = paid("2025-01-05", 100_000)
    risk_engine = run_on(
        delivered(payment, voided("2025-01-06", payment), loan("2025-01-01", DUES, event_id="late"))
    )
    risk_engine.advance(REPAYMENTS, at("2025-01-12"))

    assert risk_engine.counts["voided.waiting"] == 1
    assert told(risk_engine) == ["2025-01-11 00:00 missed_payment opened watch"]


def test_a_void_that_comes_before_its_target_turns_it_away() -> None:
    """Once: the same id again is a duplicate, and another payment counts."""
    payment = paid("2025-01-05", 100_000)
    events = delivered(loan("2025-01-01", DUES), voided("2025-01-06", payment), payment, payment)
    risk_engine = run_on([*events, *delivered(paid("2025-01-07", 1))])
    borrower = risk_engine.borrower("b-1")

    assert borrower is not None
    assert [kept.amount_minor for kept in borrower.loans["l-1"].payments] == [1]
    assert borrower.voids == []
    assert (risk_engine.counts["waiting.event_voided"], risk_engine.counts["voided-before.repayment"]) == (
        1,
        1,
    )
    assert risk_engine.counts["duplicates"] == 1


def test_voids_of_nothing_are_bounded() -> None:
    """The newest are kept."""
    voids: list[Event] = [voided("2025-01-06", paid("2025-01-05", 1)) for _ in range(40)]
    borrower = run_on(delivered(*voids)).borrower("b-1")

    assert borrower is not None
    assert len(borrower.voids) == AWAITED_VOIDS_MAX


def test_a_second_void_of_one_event_changes_nothing() -> None:
    """It was taken back already; that is counted."""
    payment = paid("2025-01-05", 100_000)
    events: list[Event] = [
        loan("2025-01-01", DUES),
        payment,
        voided("2025-01-06", payment),
        voided("2025-01-07", payment),
    ]
    risk_engine = run_on(delivered(*events))

    assert risk_engine.counts["voided.not-remembered"] == 1


# ---- the engine: the other topics --------------------------------------------------------------------------------


def test_a_voided_query_no_longer_counts() -> None:
    """Three new institutions are a warning; without the third there is none, and the alert is retracted."""
    queries = [query(f"2025-03-0{day}", f"bank-{day}") for day in (1, 2, 3)]
    void = voided("2025-03-05", queries[2])
    risk_engine = run_on(delivered(*queries, void, feed=CREDIT_QUERIES))
    alerts = risk_engine.take_alerts(0)

    assert story(alerts) == [
        "2025-03-03 12:00 multi_platform_borrowing opened watch",
        "2025-03-05 12:00 multi_platform_borrowing retracted watch",
    ]
    assert alerts[-1].caused_by.event_id == void.event_id


def test_a_returned_disbursement_is_no_new_platform() -> None:
    """The transfer came back: its platform was not borrowed from."""
    early = flow("2024-11-01", 1, "living", "out")
    queries = [query(f"2025-03-0{day}", f"bank-{day}") for day in (1, 2)]
    lent = flow("2025-03-03", 500_000, "loan_disbursement", counterparty_id="app-9")
    risk_engine = run_on(delivered(early, *queries, lent, voided("2025-03-05", lent), feed=FUND_FLOWS))

    assert told(risk_engine) == [
        "2025-03-03 12:00 multi_platform_borrowing opened watch",
        "2025-03-05 12:00 multi_platform_borrowing retracted watch",
    ]


def test_a_returned_salary_was_no_pay() -> None:
    """Pay that came and went back leaves the source as it was before."""
    pays = [flow(f"2025-0{month}-10", 800_000) for month in range(1, 7)]
    extra = flow("2025-07-10", 800_000)
    with_void, never = IncomeEvidence(), IncomeEvidence()
    for event in pays:
        income.record_flow(with_void, event, RULES)
        income.record_flow(never, event, RULES)
    income.record_flow(with_void, extra, RULES)

    assert income.void(with_void, fingerprint_of(extra.event_id), RULES)
    assert [(source.days, source.amounts) for source in with_void.sources] == [
        (source.days, source.amounts) for source in never.sources
    ]
    assert not income.void(with_void, fingerprint_of(extra.event_id), RULES)


def test_a_voided_outflow_was_no_sign_of_life() -> None:
    """Nor a balance, nor the first flow that is known."""
    earlier = flow("2025-01-03", 100, "living", "out", balance_after_minor=500)
    spent = flow("2025-01-16", 100, "living", "out", balance_after_minor=400)
    with_void = run_on(delivered(earlier, spent, voided("2025-01-17", spent), feed=FUND_FLOWS))
    borrower, never = with_void.borrower("b-1"), run_on(delivered(earlier)).borrower("b-1")
    nobody = run_on(delivered(spent, voided("2025-01-17", spent), feed=FUND_FLOWS)).borrower("b-1")

    assert borrower is not None
    assert never is not None
    assert nobody is not None
    assert borrower.balances.accounts == never.balances.accounts
    assert borrower.income.accounts == never.income.accounts
    assert (nobody.institutions.first_flow_ms, nobody.balances.accounts) == (None, [])


def test_of_two_balances_of_a_day_the_earlier_holds_when_the_later_is_voided() -> None:
    """And the later one when the earlier is voided; of one instant, the one that came last."""
    morning = flow(
        "2025-01-03", 100, "rent", "out", event_time_ms=at("2025-01-03", "09:00"), balance_after_minor=7
    )
    evening = flow(
        "2025-01-03", 100, "rent", "out", event_time_ms=at("2025-01-03", "21:00"), balance_after_minor=5
    )
    for target, closing in (
        (evening, [morning.event_time_ms, 7, 100]),
        (morning, [evening.event_time_ms, 5, 100]),
    ):
        void = voided("2025-01-04", target)
        borrower = run_on(delivered(morning, evening, void, feed=FUND_FLOWS)).borrower("b-1")

        assert borrower is not None
        assert borrower.balances.accounts[0].closings == closing


def test_a_flow_that_made_room_cannot_be_taken_back() -> None:
    """Twelve newer ones are kept one by one: the void is counted."""
    spent = [flow("2025-01-05", 100 + n, "living", "out") for n in range(FLOWS_MAX + 1)]
    kept = run_on(delivered(*spent, voided("2025-01-06", spent[1]), feed=FUND_FLOWS))
    gone = run_on(delivered(*spent, voided("2025-01-06", spent[0]), feed=FUND_FLOWS))

    assert kept.counts["voided.not-remembered"] == 0
    assert gone.counts["voided.not-remembered"] == 1


def test_a_voided_hold_never_held() -> None:
    """The alert that it had made not actionable is so again."""
    held = HoldPlaced(
        event_id=event_id(),
        borrower_id="b-1",
        event_time_ms=at("2025-01-12"),
        hold_id="h",
        reason="dispute",
    )
    events = delivered(
        loan("2025-01-01", DUES),
        paid("2025-01-11", 1),
        alive("2025-01-12"),
        held,
        alive("2025-01-13"),
        voided("2025-01-13", held),
        feed=SERVICING,
    )
    alerts = run_on(events).take_alerts(0)

    assert [alert.recommendation.actionable for alert in alerts] == [True, False, True]


def test_voided_contacts_were_never_made() -> None:
    """Nobody was called five times."""
    calls = [
        ContactAttempted(
            event_id=event_id(),
            borrower_id="b-1",
            event_time_ms=at(f"2025-01-1{day}"),
            channel="phone",
            outcome="unreached",
        )
        for day in range(1, 6)
    ]
    events = delivered(
        loan("2025-01-01", DUES),
        paid("2025-01-11", 1),
        *[one for call in calls for one in (Heartbeat(event_time_ms=call.event_time_ms), call)],
        alive("2025-01-16"),
        voided("2025-01-16", calls[4]),
        feed=SERVICING,
    )

    assert [line for line in told(run_on(events)) if "unreachable" in line] == [
        "2025-01-15 12:00 unreachable opened watch",
        "2025-01-16 12:00 unreachable retracted watch",
    ]


# ---- laws of the other kinds of evidence ---------------------------------------------------------------------------


@st.composite
def pays(draw: st.DrawFn) -> list[FundFlow]:
    """A few weeks of income, also several in one week and on one day."""
    hours = draw(st.lists(st.integers(min_value=0, max_value=40 * 24), min_size=1, max_size=8))
    return [
        flow(
            "2025-03-01",
            draw(st.sampled_from((100, 5_000))),
            event_time_ms=at("2025-03-01") + hour * 3_600_000,
        )
        for hour in sorted(hours)
    ]


@given(pays(), st.data())
def test_income_without_a_voided_flow_is_that_of_the_others(
    flows: list[FundFlow], data: st.DataObject
) -> None:
    """Source for source, week for week, while all of the week is remembered."""
    target = data.draw(st.sampled_from(flows))
    held, never = IncomeEvidence(), IncomeEvidence()
    for event in flows:
        income.record_flow(held, event, RULES)
        if event is not target:
            income.record_flow(never, event, RULES)

    assert income.void(held, fingerprint_of(target.event_id), RULES)
    assert held.sources == never.sources


@st.composite
def queries(draw: st.DrawFn) -> list[CreditQuery]:
    """Applications at a few institutions within weeks."""
    days = draw(st.lists(st.integers(min_value=0, max_value=80), min_size=1, max_size=8))
    return [
        query(
            "2025-03-01",
            f"bank-{draw(st.integers(min_value=0, max_value=3))}",
            event_time_ms=at("2025-03-01") + day * 86_400_000,
            application_id=draw(st.sampled_from((None, "app"))),
        )
        for day in days
    ]


@given(queries(), st.data())
def test_institutions_without_a_voided_sighting_are_those_of_the_others(
    seen: list[CreditQuery], data: st.DataObject
) -> None:
    """Track for track; one that is not remembered by itself lay between others, and changes nothing."""
    target = data.draw(st.sampled_from(seen))
    held, never = InstitutionEvidence(), InstitutionEvidence()
    for event in seen:
        institutions.record_query(held, event, RULES)
        if event is not target:
            institutions.record_query(never, event, RULES)

    institutions.void(held, fingerprint_of(target.event_id))

    assert held.tracks == never.tracks


def test_what_voids_cost_in_bytes() -> None:
    """A month's pay and a query are remembered one by one in some fifty bytes each; nothing while there is none."""
    idle, paid_monthly, asked = IncomeEvidence(), IncomeEvidence(), InstitutionEvidence()
    for month in range(1, 10):
        income.record_flow(paid_monthly, flow(f"2025-0{month}-10", 800_000), RULES)
        institutions.record_query(asked, query(f"2025-0{month}-10", "bank-of-somewhere"), RULES)

    assert len(msgspec.msgpack.encode(idle.recent)) == 1
    assert len(msgspec.msgpack.encode(paid_monthly.recent)) <= 2 * 50
    assert len(msgspec.msgpack.encode(asked.recent)) <= 3 * 50


def test_a_payment_is_found_by_its_id_alone() -> None:
    """Another borrower's, or another topic's, event of the same id is not meant."""
    payment = paid("2025-01-05", 100_000, event_id="same")
    spent = flow("2025-01-05", 100, "living", "out", event_id="same")
    risk_engine = run_on(
        delivered(loan("2025-01-01", DUES), payment, spent, voided("2025-01-06", spent), feed=FUND_FLOWS)
    )
    borrower = risk_engine.borrower("b-1")

    assert borrower is not None
    assert isinstance(payment, Repayment)
    assert len(borrower.loans["l-1"].payments) == 1
