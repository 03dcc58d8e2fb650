"""The signal on both sides of its thresholds, what makes a pair and what does not, its life, and its laws."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Finding, Severity
from models.calendars import DAY_MS, HOUR_MS
from models.events import BorrowerEvent, EventVoided, FundFlow, LoanClosed, LoanOpened
from models.ledger import Loan, close, open_loan
from models.recent_ids import fingerprint_of
from models.rollovers import (
    DISBURSEMENTS_MAX,
    REPAYMENTS_MAX,
    RolloverEvidence,
    pairs,
    record_flow,
    void,
)
from models.rules import Rules
from models.signals.borrowing_to_repay import LISTED_MAX, judge, next_deadline_ms
from tests.support.events import at, end_of, ended, engine, event_id, feed_of, flow, loan, rules, run, story
from tests.support.means import by_time

RULES = rules()
NOW = at("2025-03-31")
DUES = [("2026-01-20", 100_000)]


def lent(day: str, amount: int, platform: str | None, time: str = "09:00", **fields: Any) -> FundFlow:
    """A disbursement."""
    fields = {"event_time_ms": at(day, time), "counterparty_id": platform} | fields
    return flow(day, amount, fields.pop("category", "loan_disbursement"), "in", **fields)


def repaid(day: str, amount: int, platform: str | None, time: str = "15:00", **fields: Any) -> FundFlow:
    """A repayment."""
    fields = {"event_time_ms": at(day, time), "counterparty_id": platform} | fields
    return flow(day, amount, fields.pop("category", "loan_repayment"), "out", **fields)


def rounds(count: int, apart_days: int = 7) -> list[FundFlow]:
    """So many loans from one platform that repay another, the last one on 30 March."""
    first_ms = at("2025-03-30", "09:00") - (count - 1) * apart_days * DAY_MS
    return [
        one
        for n in range(count)
        for one in (
            lent("2025-03-30", 100_000, "a", event_time_ms=first_ms + n * apart_days * DAY_MS),
            repaid("2025-03-30", 80_000, "b", event_time_ms=first_ms + n * apart_days * DAY_MS + 6 * HOUR_MS),
        )
    ]


def loans_of(*events: LoanOpened | LoanClosed) -> dict[str, Loan]:
    """The own loans."""
    loans: dict[str, Loan] = {}
    for event in events:
        if isinstance(event, LoanOpened):
            loans[event.loan_id] = open_loan(event, RULES)
        else:
            close(loans[event.loan_id], event, RULES)
    return loans


def evidence_of(
    *flows: FundFlow, loans: dict[str, Loan] | None = None, own: Rules = RULES
) -> RolloverEvidence:
    """Evidence in the order given."""
    evidence = RolloverEvidence()
    for one in flows:
        record_flow(evidence, one, loans or {}, own)
    return evidence


def count(
    *flows: FundFlow, loans: dict[str, Loan] | None = None, own: Rules = RULES, now_ms: int = NOW
) -> int:
    """Pairs, whenever they were."""
    loans = loans or {}
    return len(pairs(evidence_of(*flows, loans=loans, own=own), loans, now_ms, own))


def found(*flows: FundFlow, now_ms: int = NOW, opened: Severity | None = None) -> Finding | None:
    """Judge without own loans."""
    return judge(evidence_of(*flows), {}, now_ms, opened, RULES)


def severity_of(finding: Finding | None) -> Severity | None:
    """The severity alone."""
    return None if finding is None else finding.severity


# ---- thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "severity"),
    [
        (0, None),
        (1, None),
        (2, Severity.WATCH),
        (3, Severity.WARNING),
        (4, Severity.WARNING),
        (5, Severity.SERIOUS),
        (9, Severity.SERIOUS),
    ],
)
def test_the_count_sets_the_severity(number: int, severity: Severity | None) -> None:
    """Once is nothing, twice watch, three times warning, five times serious."""
    assert severity_of(found(*rounds(number))) == severity


@pytest.mark.parametrize(
    ("number", "opened", "severity"),
    [
        (4, Severity.SERIOUS, Severity.SERIOUS),
        (3, Severity.SERIOUS, Severity.WARNING),
        (2, Severity.SERIOUS, Severity.WARNING),
        (2, Severity.WARNING, Severity.WARNING),
        (2, Severity.WATCH, Severity.WATCH),
        (1, Severity.WATCH, None),
        (1, Severity.SERIOUS, None),
        (4, Severity.WARNING, Severity.WARNING),
        (5, Severity.WATCH, Severity.SERIOUS),
    ],
)
def test_an_open_alert_eases_one_pair_later(number: int, opened: Severity, severity: Severity | None) -> None:
    """A severity holds at one below its threshold, never below watch."""
    assert severity_of(found(*rounds(number), opened=opened)) == severity


@given(st.lists(st.sampled_from([2, 3]), min_size=2, max_size=12))
def test_one_more_or_one_less_does_not_flap(numbers: list[int]) -> None:
    """Around a threshold, gaining one and losing one moves the severity once at most."""
    severity: Severity | None = None
    seen = []
    for number in numbers:
        severity = severity_of(found(*rounds(number), opened=severity))
        seen.append(severity)
    assert sum(one != other for one, other in pairwise(seen)) <= 1


def test_the_window_empties_to_the_millisecond() -> None:
    """A pair counts from its repayment until 90 days after it, and not at that instant."""
    flows = rounds(2, apart_days=10)
    first_ms, last_ms = flows[1].event_time_ms, flows[3].event_time_ms
    assert found(*flows, now_ms=last_ms - 1) is None
    assert severity_of(found(*flows, now_ms=last_ms)) == Severity.WATCH
    assert severity_of(found(*flows, now_ms=first_ms + 90 * DAY_MS - 1)) == Severity.WATCH
    assert found(*flows, now_ms=first_ms + 90 * DAY_MS) is None


def test_the_policy_sets_the_thresholds() -> None:
    """Other numbers in the policy judge by those."""
    own = rules(
        "[signals.borrowing_to_repay]\nwindow_days = 20\nseverity = { watch = 1, warning = 2, serious = 3 }"
    )
    evidence = evidence_of(*rounds(3), own=own)
    assert severity_of(judge(evidence, {}, NOW, None, own)) == Severity.SERIOUS
    assert severity_of(judge(evidence, {}, at("2025-04-06", "14:59"), None, own)) == Severity.WARNING
    assert severity_of(judge(evidence, {}, at("2025-04-12", "15:00"), None, own)) == Severity.WATCH


# ---- what makes a pair -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("repaid_minor", "expected"), [(50_000, 1), (49_999, 0)])
def test_half_of_what_was_disbursed_must_be_repaid_elsewhere(repaid_minor: int, expected: int) -> None:
    """Who borrows and pays an ordinary instalment meanwhile has not borrowed to repay."""
    assert count(lent("2025-03-01", 100_000, "a"), repaid("2025-03-02", repaid_minor, "b")) == expected


@pytest.mark.parametrize(("repaid_minor", "expected"), [(200_000, 1), (200_001, 0)])
def test_half_of_what_was_repaid_must_be_borrowed(repaid_minor: int, expected: int) -> None:
    """A small loan before a mortgage's instalment has not financed it."""
    assert count(lent("2025-03-01", 100_000, "a"), repaid("2025-03-02", repaid_minor, "b")) == expected


@pytest.mark.parametrize(("amount", "expected"), [(50_000, 1), (49_999, 0)])
def test_small_disbursements_do_not_count(amount: int, expected: int) -> None:
    """Five hundred do, less does not."""
    assert count(lent("2025-03-01", amount, "a"), repaid("2025-03-02", amount, "b")) == expected
    own = loans_of(loan("2025-03-01", DUES, principal_minor=amount))
    assert count(repaid("2025-03-02", amount, "b"), loans=own) == expected


@pytest.mark.parametrize(
    ("time", "expected"), [("08:59", 0), ("09:00", 1)], ids=["before", "at the same instant"]
)
def test_the_loan_comes_first(time: str, expected: int) -> None:
    """At one instant, as in systems that know days only, it may have financed the repayment."""
    flows = [lent("2025-03-01", 100_000, "a"), repaid("2025-03-01", 80_000, "b", time)]
    assert count(*flows) == expected
    assert count(*flows, now_ms=at("2025-03-01", "09:00")) == expected


@pytest.mark.parametrize(("time", "expected"), [("09:00", 1), ("09:01", 0)])
def test_the_repayment_comes_within_five_days(time: str, expected: int) -> None:
    """Five days to the minute, and not later."""
    assert count(lent("2025-03-01", 100_000, "a"), repaid("2025-03-06", 80_000, "b", time)) == expected


def test_several_repayments_add_up_to_one_pair() -> None:
    """The pair is complete with the repayment that reaches half; what follows belongs to it."""
    flows = [lent("2025-03-01", 100_000, "a")]
    flows += [repaid(f"2025-03-0{day}", 30_000, f"b{day}") for day in (2, 3, 4)]
    (pair,) = pairs(evidence_of(*flows), {}, NOW, RULES)
    assert (pair.completed_ms, pair.repaid_minor, pair.repaid_to) == (
        flows[2].event_time_ms,
        60_000,
        "b3",
    )


def test_several_loans_may_finance_one_repayment() -> None:
    """Three small loans that pay off a large one are one pair: the repayment is used once."""
    flows = [lent(f"2025-03-0{day}", 100_000, f"a{day}") for day in (1, 2, 3)]
    assert count(*flows, repaid("2025-03-04", 300_000, "b")) == 1


def test_a_repayment_is_put_down_to_the_latest_loan() -> None:
    """Each disbursement and each repayment belongs to one pair at most."""
    flows = [
        lent("2025-03-01", 100_000, "a"),
        lent("2025-03-02", 100_000, "c"),
        repaid("2025-03-03", 80_000, "b"),
        repaid("2025-03-03", 80_000, "d", "16:00"),
    ]
    (pair,) = pairs(evidence_of(*flows), {}, NOW, RULES)
    assert pair.lent.platform_id == "c"


def test_going_round_counts_each_time() -> None:
    """From a to b, from c to a, from b to c: three pairs."""
    ring = [("a", "b"), ("c", "a"), ("b", "c")]
    flows = [
        one
        for n, (source, target) in enumerate(ring)
        for one in (
            lent(f"2025-03-{1 + 7 * n:02}", 100_000, source),
            repaid(f"2025-03-{2 + 7 * n:02}", 95_000, target),
        )
    ]
    assert count(*flows) == 3


# ---- what does not count ---------------------------------------------------------------------------------------------


def test_revolving_with_one_platform_does_not_count() -> None:
    """Its other name in the alias table is the same platform."""
    flows = [lent("2025-03-01", 100_000, "a"), repaid("2025-03-02", 80_000, "a2")]
    assert count(*flows) == 1
    assert count(*flows, own=rules('institution_aliases = { a2 = "a" }')) == 0


def test_a_consolidation_is_one_pair_and_no_alert() -> None:
    """One loan that pays off four others at once, and then it stops."""
    flows = [lent("2025-03-01", 400_000, "a")]
    flows += [repaid("2025-03-02", 100_000, f"b{n}") for n in range(4)]
    assert count(*flows) == 1
    assert found(*flows) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"category": "own_transfer"},
        {"category": "refund"},
        {"counterparty_kind": "self"},
        {"counterparty_id": None},
        {"amount_minor": 0},
        {"currency": "USD"},
    ],
)
def test_other_flows_are_no_pair(fields: dict[str, Any]) -> None:
    """Own transfers, refunds, nameless and empty flows, and other currencies, on either side."""
    flows = [lent("2025-03-01", 100_000, "a"), repaid("2025-03-02", 80_000, "b")]
    assert count(*flows) == 1
    assert count(msgspec.structs.replace(flows[0], **fields), flows[1]) == 0
    assert count(flows[0], msgspec.structs.replace(flows[1], **fields)) == 0


def test_directions_matter() -> None:
    """A repayment that comes in, or a disbursement that goes out, is none."""
    flows = [lent("2025-03-01", 100_000, "a"), repaid("2025-03-02", 80_000, "b")]
    assert count(msgspec.structs.replace(flows[0], direction="out"), flows[1]) == 0
    assert count(flows[0], msgspec.structs.replace(flows[1], direction="in")) == 0


# ---- own loans -------------------------------------------------------------------------------------------------------

OWN = loan("2025-03-01", DUES, principal_minor=100_000)
"""Opened at ten o'clock on the first of March, on the platform `own`."""


def test_the_opening_of_an_own_loan_is_a_disbursement() -> None:
    """At its instant, with its principal, where no flow tells of it."""
    loans = loans_of(OWN)
    assert count(repaid("2025-03-02", 50_000, "b"), loans=loans) == 1
    assert count(repaid("2025-03-02", 49_999, "b"), loans=loans) == 0
    assert count(repaid("2025-03-01", 80_000, "b", "09:59"), loans=loans) == 0
    at_once = repaid("2025-03-01", 80_000, "b", "10:00")
    assert count(at_once, loans=loans, now_ms=at_once.event_time_ms) == 1
    assert count(repaid("2025-03-02", 80_000, "own"), loans=loans) == 0
    assert count(repaid("2025-03-02", 80_000, None, loan_id="l-1"), loans=loans) == 0


@pytest.mark.parametrize("fields", [{"loan_id": "l-1", "counterparty_id": "bank"}, {"loan_id": None}])
def test_a_disbursement_seen_stands_for_the_opening(fields: dict[str, Any]) -> None:
    """By the loan's id or by platform and time; it is not counted twice, and its amount is what was lent."""
    seen = lent("2025-03-02", 60_000, "own", **fields)
    loans = loans_of(OWN)
    assert count(seen, repaid("2025-03-03", 30_000, "b"), loans=loans) == 1
    assert count(seen, repaid("2025-03-03", 29_999, "b"), loans=loans) == 0
    assert count(seen, repaid("2025-03-03", 80_000, "own"), loans=loans) == 0


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"loan_id": "l-1", "counterparty_id": "bank"}, 0),
        ({"loan_id": "l-2"}, 1),
        ({"counterparty_id": "a"}, 1),
        ({}, 0),
        ({"event_time_ms": at("2025-03-06", "10:00")}, 0),
        ({"event_time_ms": at("2025-03-06", "10:00") + 1}, 1),
    ],
)
def test_what_was_repaid_before_the_money_came_is_no_pair(fields: dict[str, Any], expected: int) -> None:
    """Once the disbursement is seen, by id or by platform within five days, the opening lent nothing."""
    between = repaid("2025-03-01", 80_000, "b")
    assert count(between, loans=loans_of(OWN)) == 1
    assert count(between, lent("2025-03-02", 100_000, "own", **fields), loans=loans_of(OWN)) == expected


def test_a_repayment_of_an_own_loan_counts_by_its_platform() -> None:
    """Money from elsewhere that pays our instalment is the same thing."""
    older = loan("2025-01-01", DUES, principal_minor=100_000)
    loans = loans_of(older)
    borrowed = lent("2025-03-01", 100_000, "a")
    assert count(borrowed, repaid("2025-03-02", 80_000, None, loan_id="l-1"), loans=loans) == 1
    assert (
        count(
            lent("2025-03-01", 100_000, "own"),
            repaid("2025-03-02", 80_000, "bank", loan_id="l-1"),
            loans=loans,
        )
        == 0
    )


def test_the_lender_s_own_institutions_are_one_platform() -> None:
    """Borrowing from us here to repay us there is revolving."""
    flows = [lent("2025-03-01", 100_000, "x"), repaid("2025-03-02", 80_000, "y")]
    assert count(*flows) == 1
    assert count(*flows, own=rules('own_institutions = ["x", "y"]')) == 0
    assert count(*flows, own=rules('own_institutions = ["x"]')) == 1


def test_a_credit_line_opens_without_money() -> None:
    """What is drawn shows as a flow; the limit is no disbursement."""
    line = loan("2025-03-01", DUES, principal_minor=100_000, credit_limit_minor=100_000)
    assert count(repaid("2025-03-02", 80_000, "b"), loans=loans_of(line)) == 0


def test_a_loan_that_was_taken_on_or_voided_lent_nothing_now() -> None:
    """The living book began elsewhere; a voided opening never was."""
    for fields in ({"is_taken_on": True}, {"is_voided": True}):
        loans = loans_of(OWN)
        loans["l-1"] = msgspec.structs.replace(loans["l-1"], **fields)
        assert count(repaid("2025-03-02", 80_000, "b"), loans=loans) == 0


def test_a_loan_that_is_meant_to_repay_others_is_no_pair() -> None:
    """That was agreed, whether its disbursement is seen or not."""
    agreed = loans_of(loan("2025-03-01", DUES, principal_minor=100_000, purpose="debt_consolidation"))
    spent = repaid("2025-03-02", 80_000, "b")
    assert count(spent, loans=agreed) == 0
    assert count(lent("2025-03-01", 100_000, "own", loan_id="l-1"), spent, loans=agreed) == 0
    other = loans_of(loan("2025-03-01", DUES, principal_minor=100_000, purpose="renovation"))
    assert count(spent, loans=other) == 1


@pytest.mark.parametrize(
    ("closed", "time", "reason", "expected"),
    [
        ("2025-03-07", "15:00", "refinanced", 0),
        ("2025-03-07", "15:01", "refinanced", 1),
        ("2025-02-25", "15:00", "refinanced", 0),
        ("2025-02-25", "14:59", "refinanced", 1),
        ("2025-03-02", "15:00", "settled", 1),
    ],
)
def test_an_agreed_refinancing_is_no_pair(closed: str, time: str, reason: Any, expected: int) -> None:
    """The loan that was repaid closed as refinanced within five days; settled alone is no agreement."""
    loans = loans_of(loan("2025-01-01", DUES, principal_minor=100_000), ended(closed, reason, time))
    borrowed = lent("2025-03-01", 100_000, "a")
    for fields in ({"loan_id": "l-1"}, {"loan_id": None}):
        spent = repaid("2025-03-02", 80_000, "own", **fields)
        assert count(borrowed, spent, loans=loans) == expected
    assert count(borrowed, repaid("2025-03-02", 80_000, "b"), loans=loans) == 1
    assert count(borrowed, repaid("2025-03-02", 80_000, "own", loan_id="l-9"), loans=loans) == 1


def test_a_refinancing_is_not_known_before_it_is_told() -> None:
    """As of an instant before the closing, the pair counts."""
    loans = loans_of(loan("2025-01-01", DUES, principal_minor=100_000), ended("2025-03-04", "refinanced"))
    flows = [lent("2025-03-01", 100_000, "a"), repaid("2025-03-02", 80_000, "own")]
    assert count(*flows, loans=loans, now_ms=at("2025-03-04", "11:59")) == 1
    assert count(*flows, loans=loans, now_ms=at("2025-03-04", "12:00")) == 0


# ---- reasons ---------------------------------------------------------------------------------------------------------


def test_the_reason_can_be_checked_line_by_line() -> None:
    """The numbers compared, and the newest pairs with dates, amounts and platforms; both texts say the same."""
    finding = found(*rounds(2))
    assert finding is not None
    (reason,) = finding.reasons
    assert reason.code == "BTR-COUNT"
    assert reason.evidence == {
        "pairs": 2,
        "threshold": 2,
        "window_days": 90,
        "pair_days": 5,
        "pair_fraction": 0.5,
        "first_date": "2025-03-23",
        "last_date": "2025-03-30",
        "newest_pairs": "2025-03-23 1,000.00 CNY from a, 2025-03-23 800.00 CNY to b; "
        "2025-03-30 1,000.00 CNY from a, 2025-03-30 800.00 CNY to b",
    }
    assert reason.text.en == (
        "2 times within 90 days (2025-03-23 to 2025-03-30) a loan was followed within 5 days by repayments to "
        "another platform of at least 50 % of it; this severity holds from 2."
    )
    assert reason.text.zh == (
        "90 天内 2 次（2025-03-23 至 2025-03-30）在获得放款后 5 天内向其他平台还款，金额不低于放款的 50 %；"
        "达到 2 次即为此级别。"
    )
    held = found(*rounds(4), opened=Severity.SERIOUS)
    assert held is not None
    assert held.reasons[0].evidence["threshold"] == 4
    many = found(*rounds(7))
    assert many is not None
    assert str(many.reasons[0].evidence["newest_pairs"]).count(";") == LISTED_MAX - 1


# ---- the life of an alert --------------------------------------------------------------------------------------------


def told_of(events: list[BorrowerEvent], until: str) -> list[str]:
    """The alerts of this signal."""
    return [line for line in story(run(by_time(events), until=until)) if "borrowing_to_repay" in line]


def test_it_opens_rises_eases_and_passes() -> None:
    """Five rounds a week apart; then the window empties, to the hour."""
    assert told_of([*rounds(5)], "2025-07-31") == [
        "2025-03-09 15:00 borrowing_to_repay opened watch",
        "2025-03-16 15:00 borrowing_to_repay escalated warning",
        "2025-03-30 15:00 borrowing_to_repay escalated serious",
        "2025-06-07 15:00 borrowing_to_repay eased warning",
        "2025-06-21 15:00 borrowing_to_repay resolved warning passed",
    ]


def test_a_person_must_look_before_a_limit_is_cut_for_it() -> None:
    """At serious, not before."""
    alerts = [alert for alert in run(rounds(5)) if alert.signal == "borrowing_to_repay"]
    assert {alert.recommendation.stage for alert in alerts} == {"review_limit"}
    assert [alert.recommendation.human_review_required for alert in alerts] == [False, False, True]


def test_a_cooldown_holds_back_what_is_no_worse() -> None:
    """Within thirty days after the end nothing opens at the same severity; at its end, what still stands does."""
    again = [
        one
        for day in ("2025-06-29", "2025-07-02")
        for one in (lent(day, 100_000, "a"), repaid(day, 80_000, "b"))
    ]
    lines = told_of([*rounds(2), *again], "2025-07-31")
    assert lines == [
        "2025-03-30 15:00 borrowing_to_repay opened watch",
        "2025-06-21 15:00 borrowing_to_repay resolved watch passed",
        "2025-07-21 15:00 borrowing_to_repay opened watch",
    ]


def test_a_refinancing_told_later_ends_the_alert() -> None:
    """It was right on what was known; it is resolved, not retracted."""
    older = loan("2025-01-01", DUES, principal_minor=100_000)
    first = [lent("2025-03-01", 100_000, "a"), repaid("2025-03-02", 80_000, "b")]
    second = [lent("2025-03-11", 100_000, "c"), repaid("2025-03-12", 80_000, None, loan_id="l-1")]
    events: list[BorrowerEvent] = [older, *first, *second, ended("2025-03-13", "refinanced")]
    assert told_of(events, "2025-03-31") == [
        "2025-03-12 15:00 borrowing_to_repay opened watch",
        "2025-03-13 12:00 borrowing_to_repay resolved watch passed",
    ]


def test_a_voided_repayment_retracts() -> None:
    """A returned transfer repaid nobody."""
    flows = rounds(2)
    voided = EventVoided(
        event_id=event_id(),
        borrower_id="b-1",
        event_time_ms=at("2025-03-31"),
        target_event_id=flows[-1].event_id,
    )
    risk_engine = engine()
    events: list[BorrowerEvent] = [*flows, voided]
    for offset, one in enumerate(events):
        risk_engine.process(one, feed_of(flows[0]), offset)
    assert story(risk_engine.take_alerts(0))[-1].endswith("borrowing_to_repay retracted watch")


def test_of_one_instant_the_repayment_may_arrive_first() -> None:
    """Systems that know days only: whichever of the two is read first, they are a pair."""
    first, second = rounds(2)[:2], rounds(2)[2:]
    noon = at("2025-03-30")
    same = [msgspec.structs.replace(one, event_time_ms=noon) for one in second]
    for pair in (same, same[::-1]):
        lines = [line for line in story(run([*first, *pair])) if "borrowing_to_repay" in line]
        assert lines == ["2025-03-30 12:00 borrowing_to_repay opened watch"]


def test_a_void_takes_back_its_target_alone() -> None:
    """On either side; an unknown one changes nothing."""
    flows = rounds(2)
    for place, target in enumerate(flows):
        evidence = evidence_of(*flows)
        assert void(evidence, fingerprint_of(target.event_id))
        assert evidence == msgspec.structs.replace(
            evidence_of(*flows[:place], *flows[place + 1 :]), newest_ms=evidence.newest_ms
        )
        assert not void(evidence, fingerprint_of(target.event_id))


def test_an_opening_learnt_late_completes_a_pair() -> None:
    """The own loan comes in after the repayment that it financed."""
    own = loan("2025-03-20", DUES, principal_minor=100_000, ingested_at_ms=at("2025-03-21", "18:00"))
    events: list[BorrowerEvent] = [
        lent("2025-03-01", 100_000, "a"),
        repaid("2025-03-02", 80_000, "b"),
        repaid("2025-03-21", 80_000, "b"),
        own,
    ]
    lines = [line for line in story(run(events, until="2025-03-31")) if "borrowing_to_repay" in line]
    assert lines == ["2025-03-20 10:00 borrowing_to_repay opened watch"]


# ---- deadlines -------------------------------------------------------------------------------------------------------


def test_the_deadline_is_when_a_pair_leaves_the_window() -> None:
    """While there are enough of them; below watch time changes nothing."""
    flows = rounds(3)
    evidence = evidence_of(*flows)
    done_ms = [one.event_time_ms for one in flows[1::2]]
    assert next_deadline_ms(evidence, {}, NOW, RULES) == done_ms[0] + 90 * DAY_MS
    assert next_deadline_ms(evidence, {}, done_ms[0] + 90 * DAY_MS, RULES) == done_ms[1] + 90 * DAY_MS
    assert next_deadline_ms(evidence, {}, done_ms[1] + 90 * DAY_MS, RULES) is None
    assert next_deadline_ms(evidence, {}, done_ms[0], RULES) is None


def test_at_a_deadline_what_happens_then_comes_after_it() -> None:
    """A repayment of that very instant is not known yet."""
    flows = rounds(2)
    last_ms = flows[-1].event_time_ms
    evidence = evidence_of(*flows)
    assert judge(evidence, {}, last_ms, None, RULES, deadline=True) is None
    assert judge(evidence, {}, last_ms + 1, None, RULES, deadline=True) is not None


# ---- laws ------------------------------------------------------------------------------------------------------------

BEGIN = at("2025-01-01", "00:00")
PLATFORMS = st.sampled_from(["a", "b", "c", "own"])
AMOUNTS = st.sampled_from([40_000, 60_000, 100_000, 150_000])
OPENED = st.sampled_from([None, Severity.WATCH, Severity.WARNING, Severity.SERIOUS])
LOANS = loans_of(
    loan("2025-01-20", DUES, principal_minor=120_000),
    loan("2025-02-10", DUES, loan_id="l-2", principal_minor=100_000),
    ended("2025-02-12", "refinanced"),
)


@st.composite
def logs(draw: st.DrawFn, days: int = 60) -> list[FundFlow]:
    """Disbursements and repayments in order of time."""
    moments = draw(st.lists(st.integers(0, days * 4), max_size=24))
    return [
        (lent if draw(st.booleans()) else repaid)(
            "2025-01-01",
            draw(AMOUNTS),
            draw(PLATFORMS),
            event_time_ms=BEGIN + moment * 6 * HOUR_MS,
            loan_id=draw(st.sampled_from([None, None, "l-1", "l-2"])),
        )
        for moment in sorted(moments)
    ]


@given(logs(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(log: list[FundFlow], dice: Random) -> None:
    """Late flows take their places: the same pairs as of every day."""
    mixed = list(log)
    dice.shuffle(mixed)
    one, other = evidence_of(*log, loans=LOANS), evidence_of(*mixed, loans=LOANS)
    newest_ms = max((one.event_time_ms for one in log), default=BEGIN)
    kept_ms = newest_ms - 15 * DAY_MS
    for day in range(80):
        known_ms = BEGIN + day * DAY_MS
        expected = [pair for pair in pairs(one, LOANS, known_ms, RULES) if pair.lent.time_ms > kept_ms]
        assert expected == [
            pair for pair in pairs(other, LOANS, known_ms, RULES) if pair.lent.time_ms > kept_ms
        ]


@given(logs(), st.integers(0, 300), OPENED)
def test_later_flows_change_no_judgement(log: list[FundFlow], quarters: int, opened: Severity | None) -> None:
    """As of an instant, the whole log says what the log up to that instant says."""
    at_ms = BEGIN + quarters * 6 * HOUR_MS
    cut = [one for one in log if one.event_time_ms <= at_ms]
    whole = judge(evidence_of(*log, loans=LOANS), LOANS, at_ms, opened, RULES)
    assert whole == judge(evidence_of(*cut, loans=LOANS), LOANS, at_ms, opened, RULES)


@settings(max_examples=60)
@given(logs(), st.integers(0, 24))
def test_state_survives_its_bytes(log: list[FundFlow], cut: int) -> None:
    """Encoding and decoding in the middle of a log changes nothing."""
    cut %= len(log) + 1
    body = msgspec.msgpack.encode(evidence_of(*log[:cut], loans=LOANS))
    restored = msgspec.msgpack.decode(body, type=RolloverEvidence)
    for one in log[cut:]:
        record_flow(restored, one, LOANS, RULES)
    assert restored == evidence_of(*log, loans=LOANS)


@given(logs(), OPENED)
def test_time_alone_changes_no_judgement_between_deadlines(
    log: list[FundFlow], opened: Severity | None
) -> None:
    """From one announced instant to the next the judgement stays as it is; without one it stays for good."""
    evidence = evidence_of(*log, loans=LOANS)
    now_ms = BEGIN + 61 * DAY_MS
    while True:
        due_ms = next_deadline_ms(evidence, LOANS, now_ms, RULES)
        until_ms = now_ms + 200 * DAY_MS if due_ms is None else due_ms
        expected = judge(evidence, LOANS, now_ms, opened, RULES)
        for between_ms in {now_ms + 1, (now_ms + until_ms) // 2, until_ms - 1}:
            assert judge(evidence, LOANS, between_ms, opened, RULES) == expected
        if due_ms is None:
            break
        now_ms = due_ms


@settings(max_examples=60, deadline=None)
@given(logs(), st.randoms(use_true_random=False), st.booleans())
def test_repayments_out_of_reach_tell_what_asking_at_each_tells(
    log: list[FundFlow], dice: Random, in_order: bool
) -> None:
    """Where there cannot be enough pairs nobody judges: the same alerts, late flows or not."""
    if not in_order:
        dice.shuffle(log)
    with pytest.MonkeyPatch.context() as asking:
        asking.setattr("models.signals.borrowing_to_repay.is_in_reach", lambda *_: True)
        expected = story(run(log, until="2025-12-31"))
    assert story(run(log, until="2025-12-31")) == expected


@settings(max_examples=40)
@given(logs(), st.sets(st.integers(0, 23), max_size=4))
def test_a_duplicate_and_a_restart_change_no_alert(log: list[FundFlow], places: set[int]) -> None:
    """Events that come twice, and an engine rebuilt from its state, alert as the plain run does."""
    plain = engine()
    broken = engine()
    alerts = []
    for offset, one in enumerate(log):
        plain.process(one, feed_of(one), offset)
        broken.process(one, feed_of(one), offset)
        if offset in places:
            output = broken.take_output(0)
            alerts += output.alerts
            progress = broken.progress()
            broken = engine()
            broken.resume(progress)
            for borrower_id, record in output.changed.items():
                assert record is not None
                broken.restore(borrower_id, record)
            broken.process(one, feed_of(one), offset)
    for risk_engine in (plain, broken):
        risk_engine.advance_together(end_of("2025-07-31"))
    assert story(plain.take_alerts(0)) == story([*alerts, *broken.take_alerts(0)])


# ---- bounds ----------------------------------------------------------------------------------------------------------


def test_the_evidence_is_bounded() -> None:
    """So many movements at most, the newest; what is old goes, and alone-standing repayments go early."""
    many = evidence_of(
        *(
            one
            for pair in zip(*[iter(rounds(100, apart_days=1))] * 2, strict=True)
            for one in (*pair, pair[1], pair[1])
        )
    )
    assert (len(many.disbursements), len(many.repayments)) == (DISBURSEMENTS_MAX, REPAYMENTS_MAX)
    assert many.disbursements[-1].time_ms == at("2025-03-30", "09:00")
    alone = [repaid("2025-01-01", 50_000, "b", event_time_ms=BEGIN + day * DAY_MS) for day in range(90)]
    assert len(evidence_of(*alone).repayments) <= 17
    old = evidence_of(*rounds(2), repaid("2025-12-01", 80_000, "b"))
    assert (len(old.disbursements), len(old.repayments)) == (0, 1)
    assert len(msgspec.msgpack.encode(RolloverEvidence())) == 4


@pytest.mark.parametrize(("apart_ms", "kept"), [(160 * DAY_MS - 1, 1), (160 * DAY_MS, 0)])
def test_what_is_too_old_leaves_no_trace(apart_ms: int, kept: int) -> None:
    """Beyond the window, two pairs' days and the latest lateness; whichever arrives first."""
    flows = rounds(1)
    newest = repaid("2025-03-30", 80_000, "b", event_time_ms=flows[0].event_time_ms + apart_ms)
    for order in ([*flows, newest], [newest, *flows]):
        evidence = evidence_of(*order)
        assert len(evidence.disbursements) == kept
    later = msgspec.structs.replace(newest, event_time_ms=newest.event_time_ms + 6 * HOUR_MS)
    assert len(evidence_of(*flows, later).repayments) == 1


@pytest.mark.parametrize(("early_ms", "kept"), [(1, 2), (0, 1)])
def test_a_lone_repayment_is_forgotten_after_two_weeks(early_ms: int, kept: int) -> None:
    """Five days, an hour of lateness and ten days; one that something was borrowed before stays."""
    lone = repaid("2025-03-30", 80_000, "b", event_time_ms=NOW - 15 * DAY_MS - HOUR_MS + early_ms)
    newest = repaid("2025-03-31", 80_000, "b", event_time_ms=NOW)
    assert len(evidence_of(lone, newest).repayments) == kept
    before = lent("2025-03-30", 80_000, "a", event_time_ms=lone.event_time_ms - 5 * DAY_MS)
    assert len(evidence_of(before, lone, newest).repayments) == 2
    at_once = lent("2025-03-30", 80_000, "a", event_time_ms=lone.event_time_ms)
    assert len(evidence_of(at_once, lone, newest).repayments) == 2
    long_before = lent("2025-03-30", 80_000, "a", event_time_ms=lone.event_time_ms - 5 * DAY_MS - 1)
    assert len(evidence_of(long_before, lone, newest).repayments) == kept
    own = loans_of(loan("2025-03-01", DUES, event_time_ms=lone.event_time_ms))
    assert len(evidence_of(lone, newest, loans=own).repayments) == 2
