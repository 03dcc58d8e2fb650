"""The signal on both sides of its thresholds, what counts as debt and income, how it ends, and its laws."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import debts, evidence, income_outlook
from models.alerts import Finding, Severity
from models.borrower import Borrower, new_borrower
from models.calendars import DAY_MS, HOUR_MS
from models.deadlines import NEVER
from models.debts import (
    LAPSE_DAYS,
    LATE_DAYS,
    LENDERS_MAX,
    SUMMARIES_MAX,
    DebtEvidence,
    most_elsewhere_minor,
    next_change_day,
    regular_repayments,
    summary_minor,
)
from models.events import TOPICS, CreditSummary, Event, FundFlow, Heartbeat, LoanOpened, Origin, Repayment
from models.income import IncomeEvidence
from models.income_level import REMEMBERED_DAYS, income_from, monthly_income
from models.ledger import Line, Loan
from models.obligations import BILL_STANDS_DAYS, dues_of, enters_month_day, month_later
from models.rules import Rules
from models.short_ids import short_id
from models.signal_table import OVER_INDEBTEDNESS
from models.signals import income_drop
from models.signals.over_indebtedness import (
    is_out_of_reach,
    judge,
    next_deadline_ms,
    next_finding_ms,
    resolution,
    stands,
)
from tests.support.events import (
    at,
    billed,
    ended,
    engine,
    event_id,
    feed_of,
    flow,
    loan,
    local,
    paid,
    rules,
    run,
    story,
)
from tests.support.ledgers import ledger_of
from tests.support.means import by_time, day_number, days_before, income_of, loans_of, monthly_pay

RULES = rules()
NOW_MS = at("2025-06-15", "00:00")
TODAY = day_number("2025-06-15")
PAY = income_of(*monthly_pay("2025-01-10", 6, 1_000_000))
"""10,000.00 a month, five months of it."""


def months(amount_minor: int, day: int = 20, **fields: Any) -> LoanOpened:
    """A loan of twelve instalments from the first month of 2025 on."""
    return loan(
        "2024-12-15", [(f"2025-{month:02d}-{day:02d}", amount_minor) for month in range(1, 13)], **fields
    )


def up_to_date(amount_minor: int, **fields: Any) -> list[LoanOpened | Repayment]:
    """The same with all instalments paid that fell due."""
    loan_id = fields.get("loan_id", "l-1")
    return [months(amount_minor, **fields), paid("2025-06-01", 5 * amount_minor, loan_id=loan_id)]


def repaid(when: str, amount_minor: int, lender: str | None = "p2p-1", **fields: Any) -> FundFlow:
    """A repayment elsewhere."""
    return flow(
        when,
        amount_minor,
        "loan_repayment",
        "out",
        counterparty_id=lender,
        counterparty_kind="lender",
        **fields,
    )


def summary(when: str, monthly_due_minor: int | None, source: str = "bureau") -> CreditSummary:
    """What a vendor tells."""
    return CreditSummary(
        event_id=event_id(),
        borrower_id="b-1",
        event_time_ms=at(when),
        source=source,
        window_days=30,
        applications=1,
        institutions=1,
        monthly_due_minor=monthly_due_minor,
    )


def debts_of(*events: FundFlow | CreditSummary, own_rules: Rules = RULES) -> DebtEvidence:
    """Debts elsewhere in the order given."""
    evidence = DebtEvidence()
    for event in events:
        if isinstance(event, FundFlow):
            debts.record_flow(evidence, event, own_rules)
        else:
            debts.record_summary(evidence, event, own_rules)
    return evidence


def found(
    own_minor: int = 0,
    *elsewhere: FundFlow | CreditSummary,
    opened: Severity | None = None,
    owed: list[LoanOpened | Repayment] | None = None,
    income: IncomeEvidence = PAY,
    now_ms: int = NOW_MS,
    own_rules: Rules = RULES,
) -> Finding | None:
    """Judge a borrower who earns 10,000.00 a month."""
    loans = loans_of(*(owed if owed is not None else up_to_date(own_minor)))
    return judge(loans, debts_of(*elsewhere), income, now_ms, opened, own_rules)


def severity_of(finding: Finding | None) -> Severity | None:
    """The severity alone."""
    return None if finding is None else finding.severity


# ---- thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own_minor", "severity"),
    [
        (549_999, None),
        (550_000, Severity.WATCH),
        (699_999, Severity.WATCH),
        (700_000, Severity.WARNING),
        (999_999, Severity.WARNING),
        (1_000_000, Severity.SERIOUS),
    ],
)
def test_the_ratio_sets_the_severity(own_minor: int, severity: Severity | None) -> None:
    """Half of the income is watch, seven tenths warning, all of it serious."""
    assert severity_of(found(own_minor)) == severity


@pytest.mark.parametrize(
    ("own_minor", "opened", "severity"),
    [
        (500_000, Severity.WATCH, Severity.WATCH),
        (499_999, Severity.WATCH, None),
        (650_000, Severity.WARNING, Severity.WARNING),
        (649_999, Severity.WARNING, Severity.WATCH),
        (650_000, Severity.WATCH, Severity.WATCH),
        (950_000, Severity.SERIOUS, Severity.SERIOUS),
        (949_999, Severity.SERIOUS, Severity.WARNING),
        (500_000, None, None),
    ],
)
def test_an_open_alert_eases_later_than_it_rose(
    own_minor: int, opened: Severity | None, severity: Severity | None
) -> None:
    """A severity holds until the ratio is five points below its threshold."""
    assert severity_of(found(own_minor, opened=opened)) == severity


def test_the_policy_sets_the_thresholds() -> None:
    """Other numbers in the policy judge by those."""
    own = rules("[signals.over_indebtedness]\nseverity = { watch = 0.2, warning = 0.3, serious = 1.5 }")
    assert severity_of(found(200_000, own_rules=own)) == Severity.WATCH
    assert severity_of(found(1_499_999, own_rules=own)) == Severity.WARNING


@pytest.mark.parametrize(("first", "is_found"), [("2025-03-12", True), ("2025-03-13", False)])
def test_income_must_be_known_for_long_enough(first: str, is_found: bool) -> None:
    """Ninety days from the first to the last pay are enough, eighty-nine are not."""
    income = income_of(flow(first, 900_000), flow("2025-04-10", 900_000), flow("2025-06-10", 900_000))
    assert (found(900_000, income=income) is not None) == is_found


def test_without_income_nothing_is_found() -> None:
    """Nobody knows what the debts are to be compared with."""
    assert found(5_000_000, income=IncomeEvidence()) is None
    assert found(5_000_000, income=income_of(*monthly_pay("2025-01-10", 6, 9, currency="USD"))) is None


# ---- own debts -------------------------------------------------------------------------------------------------------


def test_a_month_holds_one_monthly_instalment() -> None:
    """Never none and never two, on whatever day one looks, also at the ends of months."""
    for due in (1, 15, 28):
        owed: list[LoanOpened | Repayment] = [months(600_000, due)]
        for day in range(TODAY - 130, TODAY):
            finding = found(owed=owed, now_ms=RULES.calendar.midnight_ms(day), income=PAST_PAY)
            assert finding is not None, day
            assert finding.reasons[0].evidence["own_due_minor"] == 600_000


PAST_PAY = income_of(*monthly_pay("2024-07-10", 12, 1_000_000))


def test_paying_ahead_is_not_being_less_in_debt() -> None:
    """The instalment of this month still counts after it was paid."""
    assert severity_of(found(owed=[*up_to_date(600_000), paid("2025-06-14", 600_000)])) == Severity.WATCH


def test_loans_add_up_and_ended_ones_do_not_count() -> None:
    """Two loans of three tenths each are watch; one that is paid off, or not yet begun, is none."""
    both = [*up_to_date(300_000), *up_to_date(300_000, loan_id="l-2")]
    assert severity_of(found(owed=both)) == Severity.WATCH
    assert found(owed=[*both, paid("2025-06-14", 7 * 300_000, loan_id="l-2")]) is None
    later = loan("2025-06-16", [("2025-07-01", 900_000)], loan_id="l-3")
    assert found(owed=[*up_to_date(100_000), later]) is None


def test_what_is_past_due_is_not_counted_again() -> None:
    """`missed_payment` speaks of it."""
    assert found(owed=[months(400_000)]) is None


def card(due: str, *payments: Repayment) -> Loan:
    """A card whose statement of 30,000.00 asks for 3,000.00 at least."""
    opening = loan("2025-01-02", [], loan_id="card", principal_minor=0, credit_limit_minor=9_000_000)
    bill = billed(days_before(due, 20), due, 3_000_000, 1, loan_id="card", minimum_due_minor=300_000)
    return ledger_of(opening, bill, *payments, rules=RULES)


def card_minor(due: str, *payments: Repayment) -> int:
    """What the month of the judgement holds of it, beside a loan."""
    loans = loans_of(*up_to_date(600_000)) | {"card": card(due, *payments)}
    finding = judge(loans, DebtEvidence(), PAY, NOW_MS, None, RULES)
    assert finding is not None
    own_minor = finding.reasons[0].evidence["own_due_minor"]
    assert isinstance(own_minor, int)
    return own_minor - 600_000


def test_of_a_card_the_minimum_counts() -> None:
    """Not the statement, which nobody has to pay at once; paid off, it is no debt."""
    assert card_minor("2025-06-20") == 300_000
    assert card_minor("2025-06-20", paid("2025-06-10", 300_000, loan_id="card")) == 300_000
    assert card_minor("2025-06-20", paid("2025-06-10", 3_000_000, loan_id="card")) == 0


@pytest.mark.parametrize(
    ("due", "left_minor", "counted_minor"),
    [
        ("2025-06-14", 2_700_000, 300_000),
        ("2025-06-14", 101, 300_000),
        ("2025-06-14", 100, 0),
        ("2025-05-15", 2_700_000, 300_000),
        ("2025-05-14", 2_700_000, 0),
    ],
)
def test_a_bill_stands_for_the_next_one(due: str, left_minor: int, counted_minor: int) -> None:
    """For a month after its due date, while more than the tolerance of its statement is left: the debt goes on."""
    payment = paid(days_before(due, 1), 3_000_000 - left_minor, loan_id="card")

    assert card_minor(due, payment) == counted_minor


def test_a_card_opens_no_alert_anew_with_each_bill() -> None:
    """One alert from the first bill until the card is paid off, though nothing falls due between a due date and the next bill."""
    pays = monthly_pay("2025-01-10", 8, 1_000_000)
    dues = [paid(f"2025-{month:02d}-19", 400_000) for month in range(1, 9)]
    opening = loan("2025-04-01", [], loan_id="card", principal_minor=0, credit_limit_minor=9_000_000)
    bills = [
        billed(
            f"2025-{month:02d}-05",
            f"2025-{month:02d}-25",
            2_000_000,
            month,
            loan_id="card",
            minimum_due_minor=200_000,
        )
        for month in (5, 6, 7)
    ]
    minimums = [paid(f"2025-{month:02d}-24", 200_000, loan_id="card") for month in (5, 6)]
    whole = paid("2025-07-20", 2_000_000, loan_id="card")

    assert told_of(months(400_000), *pays, *dues, opening, *bills, *minimums, whole, until="2025-08-15") == [
        "2025-05-05 09:00 over_indebtedness opened watch",
        "2025-07-20 12:00 over_indebtedness resolved watch",
    ]


def test_time_changes_what_a_bill_stands_for_at_a_deadline_only() -> None:
    """When the due date has passed, and when the next bill has not come for a month."""
    loans = loans_of(*up_to_date(600_000)) | {
        "card": card("2025-06-18", paid("2025-06-10", 300_000, loan_id="card"))
    }
    now_ms = NOW_MS
    seen = set()
    for _ in range(40):
        due_ms = next_deadline_ms(loans, DebtEvidence(), PAY, now_ms, RULES)
        if due_ms is None:
            break
        expected = judge(loans, DebtEvidence(), PAY, now_ms, None, RULES)
        seen.add(None if expected is None else expected.severity)
        assert judge(loans, DebtEvidence(), PAY, due_ms - 1, None, RULES) == expected
        now_ms = due_ms
    assert {Severity.WATCH, Severity.WARNING} <= seen


def test_currencies_are_kept_apart() -> None:
    """A loan in dollars is not compared with yuan."""
    assert found(owed=[*up_to_date(300_000), *up_to_date(300_000, loan_id="l-2", currency="USD")]) is None


@pytest.mark.parametrize(
    ("dollars_earned", "currency", "ratio"),
    [(1_000_000, "CNY", 0.6), (600_000, "CNY", 0.6), (500_000, "USD", 0.72)],
)
def test_of_two_currencies_the_worse_is_told(dollars_earned: int, currency: str, ratio: float) -> None:
    """And where both are as bad, the first by name."""
    owed = [*up_to_date(600_000), *up_to_date(360_000, loan_id="l-2", currency="USD")]
    in_dollars = monthly_pay("2025-01-10", 6, dollars_earned, currency="USD", account_id="acc-2")
    finding = found(owed=owed, income=income_of(*monthly_pay("2025-01-10", 6, 1_000_000), *in_dollars))

    assert finding is not None
    assert (finding.reasons[0].evidence["currency"], finding.reasons[0].evidence["ratio"]) == (
        currency,
        ratio,
    )


# ---- debts elsewhere -------------------------------------------------------------------------------------------------


def test_a_summary_counts_while_fresh() -> None:
    """From the next midnight on, for forty-five days."""
    assert found(300_000, summary("2025-06-15", 300_000), now_ms=at("2025-06-15", "23:00")) is None
    told = summary("2025-05-01", 300_000)
    assert severity_of(found(300_000, told)) == Severity.WATCH
    assert summary_minor(debts_of(told), day_number("2025-06-15"), 45) == 300_000
    assert summary_minor(debts_of(told), day_number("2025-06-16"), 45) is None
    assert found(300_000, summary("2025-05-01", None)) is None


def test_of_several_sources_the_largest_counts_and_of_one_the_newest() -> None:
    """They look at the same debts."""
    evidence = debts_of(
        summary("2025-06-01", 900_000, "a"),
        summary("2025-06-02", 100_000, "a"),
        summary("2025-06-01", 300_000, "b"),
    )
    assert summary_minor(evidence, TODAY, 45) == 300_000


def test_a_summary_goes_before_repayments_seen() -> None:
    """Who reads the bureau needs not guess from flows."""
    flows = [repaid("2025-05-12", 600_000), repaid("2025-06-12", 600_000)]
    assert severity_of(found(1_000, *flows)) == Severity.WATCH
    assert found(1_000, *flows, summary("2025-06-01", 0)) is None


def test_a_summary_names_no_currency() -> None:
    """It is read in that of the own loans where they have one only."""
    both = [*up_to_date(300_000), *up_to_date(1, loan_id="l-2", currency="USD")]
    assert found(owed=both[:2], income=PAY) is None
    assert found(300_000, summary("2025-06-01", 300_000)) is not None
    assert found(0, summary("2025-06-01", 300_000), owed=both) is None


def repayments_seen(*flows: FundFlow, day: int = TODAY, own: tuple[str, ...] = ()) -> tuple[int, int]:
    """A month of regular repayments, and to how many lenders."""
    return regular_repayments(debts_of(*flows), "CNY", day, own, RULES)


def test_only_regular_repayments_count() -> None:
    """A month without one before it is none; the smaller of two counts."""
    assert repayments_seen(repaid("2025-06-12", 500_000)) == (0, 0)
    assert repayments_seen(repaid("2025-05-12", 100_000), repaid("2025-06-12", 500_000)) == (100_000, 1)
    assert repayments_seen(repaid("2025-05-12", 500_000), repaid("2025-06-12", 100_000)) == (100_000, 1)


@pytest.mark.parametrize(
    ("before", "monthly_minor"),
    [("2025-05-19", 0), ("2025-05-18", 100), ("2025-04-19", 100), ("2025-04-18", 0)],
)
def test_the_month_before_is_25_to_54_days_back(before: str, monthly_minor: int) -> None:
    """Gaps of twenty-five to fifty-four days are another month's; nearer ones are the same month's."""
    assert repayments_seen(repaid(before, 100), repaid("2025-06-12", 100))[0] == monthly_minor


def test_weekly_and_half_monthly_repayments_are_a_month_of_them() -> None:
    """Four weeks of a weekly loan, two halves of a half-monthly one."""
    weekly = [repaid(days_before("2025-06-12", 7 * n), 100) for n in reversed(range(9))]
    halves = [repaid(days_before("2025-06-12", 15 * n), 100) for n in reversed(range(5))]
    assert repayments_seen(*weekly) == (400, 1)
    assert repayments_seen(*halves) == (200, 1)


def test_who_is_paid_no_more_lapses() -> None:
    """Forty days after the last payment it still counts, a day later not."""
    flows = [repaid("2025-04-12", 100), repaid("2025-05-12", 100)]
    last = day_number("2025-05-12")
    assert repayments_seen(*flows, day=last + LAPSE_DAYS) == (100, 1)
    assert repayments_seen(*flows, day=last + LAPSE_DAYS + 1) == (0, 0)


def test_own_platforms_and_unnamed_payments_do_not_count() -> None:
    """They are in the ledger, or may be."""
    monthly = [("2025-05-12", 100), ("2025-06-12", 100)]
    assert repayments_seen(*(repaid(*one) for one in monthly), own=("p2p-1",)) == (0, 0)
    assert repayments_seen(*(repaid(*one, lender=None) for one in monthly)) == (0, 0)
    assert repayments_seen(*(repaid(*one, loan_id="l-1") for one in monthly)) == (0, 0)
    assert repayments_seen(*(repaid(*one, currency="USD") for one in monthly)) == (0, 0)
    own = rules('own_institutions = ["us"]\ninstitution_aliases = { p2p-1 = "us" }')
    evidence = debts_of(*(repaid(*one) for one in monthly), own_rules=own)
    assert regular_repayments(evidence, "CNY", TODAY, (), own) == (0, 0)


@pytest.mark.parametrize(("now", "is_elsewhere"), [("11:59", True), ("12:00", False), ("12:01", False)])
def test_a_platform_is_an_own_one_from_the_opening_of_the_first_loan_on(
    now: str, *, is_elsewhere: bool
) -> None:
    """Before that very instant, what it was paid is a debt elsewhere."""
    first_there = loan("2025-06-15", [], event_time_ms=at("2025-06-15"), loan_id="l-2", platform_id="p2p-1")
    flows = [repaid("2025-05-12", 300_000), repaid("2025-06-12", 300_000)]
    finding = found(0, *flows, owed=[*up_to_date(300_000), first_there], now_ms=at("2025-06-15", now))

    assert (finding is not None) == is_elsewhere


def test_repayments_of_today_count_from_tomorrow_on() -> None:
    """As of midnights, like all that is seen on accounts."""
    flows = [repaid("2025-05-12", 100), repaid("2025-06-15", 100)]
    assert repayments_seen(*flows) == (0, 0)
    assert repayments_seen(*flows, day=TODAY + 1) == (100, 1)


# ---- income ----------------------------------------------------------------------------------------------------------


def test_income_that_was_lost_is_remembered_for_a_while() -> None:
    """That is `income_drop`'s to tell; no debt grew by it."""
    income = income_of(*monthly_pay("2024-10-10", 6, 1_000_000))
    last = day_number("2025-03-10")
    for day, amount_minor in ((last + REMEMBERED_DAYS, 1_000_000), (last + REMEMBERED_DAYS + 1, None)):
        known = monthly_income(income, "CNY", day, RULES)
        assert (None if known is None else known.amount_minor) == amount_minor


def test_pay_of_today_counts_from_tomorrow_on() -> None:
    """As of midnights: the judgement is the same all day."""
    income = income_of(*monthly_pay("2025-01-10", 5, 500_000), flow("2025-06-15", 2_000_000))
    assert severity_of(found(500_000, income=income, now_ms=at("2025-06-15", "23:00"))) == Severity.SERIOUS
    assert found(500_000, income=income, now_ms=at("2025-06-16", "00:00")) is None


# ---- reasons ---------------------------------------------------------------------------------------------------------


def test_the_reason_can_be_checked_line_by_line() -> None:
    """The evidence holds the very numbers compared, and both texts say the same."""
    finding = found(350_000, repaid("2025-05-12", 250_000), repaid("2025-06-12", 250_000))
    assert finding is not None
    (reason,) = finding.reasons
    assert reason.code == "OI-RATIO"
    assert reason.evidence == {
        "ratio": 0.6,
        "threshold": 0.55,
        "own_due_minor": 350_000,
        "elsewhere_due_minor": 250_000,
        "elsewhere_source": "repayments",
        "elsewhere_lenders": 1,
        "income_minor": 1_000_000,
        "income_history_days": 151,
        "last_income_date": "2025-06-10",
        "currency": "CNY",
    }
    assert reason.text.en == (
        "3,500.00 CNY fall due here within a month and 2,500.00 CNY elsewhere (repayments seen): 60 % of the recognised "
        "income of 10,000.00 CNY a month (this severity holds from 55 %)."
    )
    assert reason.text.zh == (
        "一个月内本机构应还 3,500.00 CNY，他处应还 2,500.00 CNY（所见还款）：占可识别月收入 10,000.00 CNY 的 60 %"
        "（达到 55 % 即为此级别）。"
    )


# ---- deadlines -------------------------------------------------------------------------------------------------------


def next_look(*due: tuple[str, int], elsewhere: CreditSummary | None = None) -> str | None:
    """The day at whose beginning a loan of these instalments is looked at again, as of 15 June."""
    loans = loans_of(loan("2025-01-15", due))
    evidence = DebtEvidence() if elsewhere is None else debts_of(elsewhere)
    due_ms = next_deadline_ms(loans, evidence, PAY, NOW_MS, RULES)
    return None if due_ms is None else local(due_ms)


@pytest.mark.parametrize(
    ("due", "looked_at"),
    [
        ("2025-06-15", "2025-06-16 00:00"),
        ("2025-06-16", "2025-06-17 00:00"),
        ("2025-07-15", "2025-06-16 00:00"),
    ],
)
def test_a_look_is_due_when_an_instalment_leaves_or_enters_the_month(due: str, looked_at: str) -> None:
    """The day after its due date, and the first day from which to the same day of the next month it lies."""
    assert next_look((due, 600_000)) == looked_at


def test_debts_just_high_enough_to_keep_an_alert_are_watched_until_they_lapse() -> None:
    """At 50 % of the income an open alert stays: when the summary is too old it must end."""
    watched = [next_look(elsewhere=summary("2025-05-01", minor)) for minor in (500_000, 499_999)]

    assert watched == ["2025-06-16 00:00", "2025-07-26 00:00"]


# ---- the life of an alert --------------------------------------------------------------------------------------------


def told_of(*events: Event, until: str = "2025-07-31") -> list[str]:
    """The alerts of this signal."""
    return [line for line in story(run(by_time(events), until=until)) if "over_indebtedness" in line]


def test_a_new_loan_opens_and_its_end_closes() -> None:
    """At once, for both are known."""
    second = loan("2025-05-05", [(f"2025-{month:02d}-25", 400_000) for month in range(5, 13)], loan_id="l-2")
    pays = monthly_pay("2025-01-10", 7, 1_000_000)
    dues = [paid(f"2025-{month:02d}-19", 200_000) for month in range(1, 8)]
    alerts = run(
        by_time([months(200_000), second, *pays, *dues, ended("2025-06-20", loan_id="l-2")]),
        until="2025-06-21",
    )
    assert [line for line in story(alerts) if "over_" in line] == [
        "2025-05-05 10:00 over_indebtedness opened watch",
        "2025-06-20 12:00 over_indebtedness resolved watch",
    ]
    assert {alert.recommendation.stage for alert in alerts if alert.status == "opened"} >= {"review_limit"}


def test_the_second_repayment_elsewhere_opens_at_midnight() -> None:
    """Then it is seen to be regular."""
    pays = monthly_pay("2025-01-10", 7, 1_000_000)
    dues = [paid(f"2025-{month:02d}-19", 200_000) for month in range(1, 8)]
    elsewhere = [repaid("2025-04-12", 500_000), repaid("2025-05-12", 500_000)]
    assert told_of(months(200_000), *pays, *dues, *elsewhere) == [
        "2025-05-13 00:00 over_indebtedness opened warning",
        "2025-06-22 00:00 over_indebtedness resolved warning",
    ]


def test_without_an_own_loan_there_is_nothing_to_review() -> None:
    """And an alert ends with the last of them."""
    pays = monthly_pay("2025-01-10", 6, 1_000_000)
    assert told_of(*pays, summary("2025-06-01", 5_000_000)) == []
    assert found(0, summary("2025-06-01", 5_000_000), owed=[]) is None
    loans = loans_of(*up_to_date(500_000))
    assert resolution(loans, PAY, NOW_MS, RULES) is None
    assert resolution({}, PAY, NOW_MS, RULES) == "passed"
    assert resolution(loans, IncomeEvidence(), NOW_MS, RULES) == "passed"


def test_pay_learnt_late_retracts() -> None:
    """A second employer's pay that was there all along."""
    pays = monthly_pay("2024-12-10", 6, 600_000)
    extra = [
        flow(
            f"2025-0{n}-12",
            600_000,
            counterparty_id="e-2",
            ingested_at_ms=at("2025-05-20"),
        )
        for n in range(1, 6)
    ]
    second = loan("2025-05-05", [("2025-05-25", 400_000), ("2025-06-25", 400_000)], loan_id="l-2")
    lines = [*by_time([*pays, second]), *extra]
    told = [line for line in story(run(lines, until="2025-05-21")) if "over_" in line]
    assert told[0] == "2025-05-05 10:00 over_indebtedness opened watch"
    assert any("retracted" in line for line in told)


# ---- deadlines and laws ----------------------------------------------------------------------------------------------


def test_small_pay_after_a_silence_is_looked_at_when_it_counts() -> None:
    """Where only the memory of income stands, any pay takes its place: nobody waits for that memory to fade."""
    small = flow("2025-09-14", 160_000, "salary", counterparty_id="employer")
    income = income_of(*monthly_pay("2025-01-10", 6, 1_000_000), small)
    loans, after_ms = loans_of(*up_to_date(200_000)), at("2025-09-14", "18:00")
    assert next_deadline_ms(loans, DebtEvidence(), income, after_ms, RULES) == at("2025-09-15", "00:00")
    assert found(200_000, income=income, now_ms=at("2025-09-14", "00:00")) is None
    assert severity_of(found(200_000, income=income, now_ms=at("2025-09-15", "00:00"))) == Severity.SERIOUS


def looked_into(*pays: FundFlow) -> IncomeEvidence:
    """Income, with what `income_drop` leaves beside it once it has been looked at."""
    income = income_of(*[one for one in by_time(pays) if isinstance(one, FundFlow)])
    income_drop.next_deadline_ms(income, at("2025-06-13"), None, None, RULES)
    steady = income_outlook.steady_income(income, TODAY, RULES)
    assert steady is not None
    assert steady.on(TODAY) is not None
    return income


@pytest.mark.parametrize(("own_minor", "severity"), [(549_999, None), (550_000, Severity.WATCH)])
def test_income_that_is_remembered_changes_no_threshold(own_minor: int, severity: Severity | None) -> None:
    """What is kept of a look at income puts debts out of reach below the threshold, not at it."""
    assert (
        severity_of(found(own_minor, income=looked_into(*monthly_pay("2025-01-10", 6, 1_000_000))))
        == severity
    )


def test_income_that_is_remembered_is_that_of_its_currency() -> None:
    """Plenty of yuan, looked into, put no debts in dollars out of reach."""
    dollars = monthly_pay("2025-01-10", 6, 100_000, currency="USD", account_id="acc-2")
    income = looked_into(*monthly_pay("2025-01-10", 6, 1_000_000), *dollars)
    assert severity_of(found(owed=up_to_date(100_000, currency="USD"), income=income)) == Severity.SERIOUS


def two_payers() -> IncomeEvidence:
    """10,000.00 a month and, from somebody else, 1,000.00: the pays of June are the last, and no longer stand in July."""
    side = monthly_pay("2025-01-04", 6, 100_000, counterparty_id="another")
    pays = by_time([*monthly_pay("2025-01-10", 6, 1_000_000), *side])
    return income_of(*[one for one in pays if isinstance(one, FundFlow)])


def next_finding(day: str, own_minor: int, income: IncomeEvidence) -> str | None:
    """When something may be found, asked for at a midnight, where nothing is now."""
    loans, after_ms = loans_of(*up_to_date(own_minor)), at(day, "00:00")
    due_ms = next_finding_ms(loans, DebtEvidence(), income, after_ms, RULES, may_be_found=False)
    return None if due_ms is None else local(due_ms)


def test_a_fall_within_nine_days_that_leaves_enough_brings_no_look() -> None:
    """The smaller pay falls on 20 July, the larger on the 26th, and then the last known counts until it is forgotten."""
    expected = {
        "2025-07-10": "2025-07-20 00:00",
        "2025-07-11": "2025-07-26 00:00",
        "2025-07-16": "2025-07-26 00:00",
        "2025-07-17": "2025-10-09 00:00",
    }
    assert {day: next_finding(day, 200_000, two_payers()) for day in expected} == expected


def test_who_is_in_reach_is_looked_at_when_something_changes_and_not_daily() -> None:
    """The instalment of the twentieth leaves the month on the 21st; whose debts are too small waits for income to fall."""
    assert next_finding("2025-06-16", 550_000, PAY) == "2025-06-21 00:00"
    assert next_finding("2025-06-16", 549_999, PAY) == "2025-07-26 00:00"


def in_debt(own_minor: int, income: IncomeEvidence) -> Borrower:
    """A borrower with a loan."""
    borrower = new_borrower(0)
    borrower.loans, borrower.income = loans_of(*up_to_date(own_minor)), income
    return borrower


def test_debts_are_out_of_reach_until_income_is_known_to_fall() -> None:
    """To the very midnight, and never where they are in reach now; without an own loan, for good."""
    out, within = in_debt(200_000, two_payers()), in_debt(700_000, two_payers())
    fall_ms = RULES.calendar.midnight_ms(day_number("2025-07-20"))
    without_a_loan = in_debt(0, two_payers())
    without_a_loan.loans.clear()
    assert is_out_of_reach(out, NOW_MS, fall_ms, RULES)
    assert not is_out_of_reach(out, NOW_MS, fall_ms + 1, RULES)
    assert not is_out_of_reach(within, NOW_MS, NOW_MS, RULES)
    assert is_out_of_reach(without_a_loan, NOW_MS, NEVER, RULES)


@pytest.mark.parametrize(
    ("day", "later"),
    [
        ("2025-01-15", "2025-02-15"),
        ("2025-01-31", "2025-02-28"),
        ("2024-01-31", "2024-02-29"),
        ("2025-12-31", "2026-01-31"),
        ("2025-02-28", "2025-03-28"),
    ],
)
def test_a_month_later_is_the_same_day_of_the_next_month(day: str, later: str) -> None:
    """Or its last day, where it has no such day."""
    assert month_later(day_number(day)) == day_number(later)


@given(st.integers(0, 60_000))
def test_a_day_enters_the_month_at_one_day(due: int) -> None:
    """From it on the day lies within a month, before it does not."""
    day = enters_month_day(due)
    assert month_later(day) > due >= day
    assert month_later(day - 1) <= due


def test_far_dates_stop_nobody() -> None:
    """The calendar ends in the year 9999."""
    assert month_later(2_932_896) == 2_932_927


BEGIN = day_number("2025-01-01")
FLOWS = st.lists(
    st.builds(
        lambda day, hour, lender, amount: repaid(
            "2025-01-01",
            amount,
            lender,
            event_time_ms=RULES.calendar.midnight_ms(BEGIN + day) + hour * HOUR_MS,
        ),
        st.integers(0, 180),
        st.sampled_from([0, 9, 23]),
        st.sampled_from(["x", "y", "own"]),
        st.sampled_from([100_000, 300_000]),
    ),
    max_size=25,
)
SUMMARIES = st.lists(
    st.builds(
        lambda day, due, source: summary(days_before("2025-06-29", day), due, source),
        st.integers(0, 180),
        st.sampled_from([0, 200_000, 600_000]),
        st.sampled_from(["a", "b"]),
    ),
    max_size=SUMMARIES_MAX,
)
LOANS = loans_of(*up_to_date(300_000))


@given(FLOWS, SUMMARIES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(
    flows: list[FundFlow], summaries: list[CreditSummary], dice: Random
) -> None:
    """The same debts in another order are the same on every day that may be asked for."""
    mixed: list[FundFlow | CreditSummary] = [*flows, *summaries]
    dice.shuffle(mixed)
    one, other = debts_of(*flows, *summaries), debts_of(*mixed)
    for day in range(max(one.newest_day, BEGIN) - LATE_DAYS, BEGIN + 260, 7):
        assert regular_repayments(one, "CNY", day, ("own",), RULES) == regular_repayments(
            other, "CNY", day, ("own",), RULES
        )
        assert summary_minor(one, day, 45) == summary_minor(other, day, 45)


@given(FLOWS, SUMMARIES, st.integers(0, LATE_DAYS))
def test_later_debts_change_no_answer(
    flows: list[FundFlow], summaries: list[CreditSummary], back_days: int
) -> None:
    """As of a midnight, all that is known says what was known then."""
    log: list[FundFlow | CreditSummary] = [*by_time([*flows, *summaries])]  # type: ignore[list-item]  # both are events
    whole = debts_of(*log)
    day = max(whole.newest_day, BEGIN + 100) - back_days
    cut = debts_of(*(event for event in log if event.event_time_ms < RULES.calendar.midnight_ms(day)))
    assert regular_repayments(whole, "CNY", day, (), RULES) == regular_repayments(cut, "CNY", day, (), RULES)
    assert summary_minor(whole, day, 45) == summary_minor(cut, day, 45)


@given(FLOWS, SUMMARIES, st.sampled_from([None, Severity.WATCH, Severity.WARNING, Severity.SERIOUS]))
def test_time_alone_changes_no_judgement_between_deadlines(
    flows: list[FundFlow], summaries: list[CreditSummary], opened: Severity | None
) -> None:
    """From one announced midnight to the next the judgement stays as it is."""
    evidence = debts_of(*flows, *summaries)
    now_ms = at("2025-04-01", "00:00")
    for _ in range(60):
        due_ms = next_deadline_ms(LOANS, evidence, PAY, now_ms, RULES)
        if due_ms is None:
            break
        assert due_ms > now_ms
        assert RULES.calendar.midnight_ms(RULES.calendar.day_of(due_ms)) == due_ms
        expected = judge(LOANS, evidence, PAY, now_ms, opened, RULES)
        for between_ms in {now_ms + HOUR_MS, (now_ms + due_ms) // 2, due_ms - 1}:
            assert judge(LOANS, evidence, PAY, min(between_ms, due_ms - 1), opened, RULES) == expected
        now_ms = due_ms


PAYS = st.lists(
    st.builds(
        lambda day, hour, payer, amount: flow(
            "2025-01-01",
            amount,
            "salary",
            counterparty_id=payer,
            event_time_ms=RULES.calendar.midnight_ms(BEGIN + day) + hour * HOUR_MS,
        ),
        st.sampled_from([*range(0, 180, 30), *range(0, 180, 7), 150, 151, 152, 153, 160, 161, 179]),
        st.sampled_from([0, 9, 10, 23]),
        st.sampled_from(["employer", "employer", "another"]),
        st.sampled_from([300_000, 1_000_000, 1_050_000]),
    ),
    max_size=30,
)


def paid_by(pays: list[FundFlow]) -> IncomeEvidence:
    """Pay in order of time, with what is always known of it."""
    steady = [flow(f"2024-{month:02d}-10", 1_000_000) for month in range(6, 13)]
    return income_of(*steady, *[one for one in by_time(pays) if isinstance(one, FundFlow)])


def without_memory(income: IncomeEvidence) -> IncomeEvidence:
    """As a restart finds it: nothing derived is kept beside it."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(income), type=IncomeEvidence)


@given(PAYS, st.lists(st.integers(BEGIN, BEGIN + 250), min_size=1, max_size=12))
def test_what_is_remembered_of_income_is_what_would_be_told_anew(
    pays: list[FundFlow], days: list[int]
) -> None:
    """Income is the same with and without what was asked before, and holds for as long as is said."""
    income = paid_by(pays)
    for day in days:
        known, until_day = income_from(income, "CNY", day, RULES)
        assert (known, until_day) == income_from(without_memory(income), "CNY", day, RULES)
        for later in (day + 1, (day + min(until_day, day + 60)) // 2, min(until_day, day + 60) - 1):
            if day < later < until_day:
                assert income_from(without_memory(income), "CNY", later, RULES) == (known, until_day)


@given(PAYS, st.integers(0, 60), st.sampled_from([20_000, 200_000, 400_000]))
def test_when_to_look_does_not_depend_on_who_asked_before(pays: list[FundFlow], days: int, owed: int) -> None:
    """A deadline stands in the state: an engine that was begun again in between comes to the same."""
    income = paid_by(pays)
    asked_ms = income.recent[-1].time_ms
    after_ms = asked_ms + days * DAY_MS
    loans = loans_of(*up_to_date(owed))
    income_drop.next_deadline_ms(income, asked_ms, None, None, RULES)

    anew = next_finding_ms(loans, DebtEvidence(), without_memory(income), after_ms, RULES, may_be_found=False)
    assert next_finding_ms(loans, DebtEvidence(), income, after_ms, RULES, may_be_found=False) == anew


@given(PAYS)
def test_income_remembered_at_a_pay_is_that_of_the_debts(pays: list[FundFlow]) -> None:
    """No less than what is kept of steady income is compared with debts, from the next day on until it falls."""
    income = paid_by(pays)
    after_ms = income.recent[-1].time_ms
    income_drop.next_deadline_ms(income, after_ms, None, None, RULES)
    steady = income_outlook.steady_income(income, RULES.calendar.day_of(after_ms) + 1, RULES)
    if steady is None:
        return
    assert steady.on(steady.after_day) is None
    day = steady.after_day + 1
    while (span := steady.on(day)) is not None:
        least_minor, end_day = span
        while day < end_day:
            known, until_day = income_from(without_memory(income), "CNY", day, RULES)
            assert known is not None
            assert known.amount_minor >= least_minor
            day = min(until_day, end_day)


@given(
    FLOWS, SUMMARIES, PAYS, st.integers(0, 200), st.sampled_from([50_000, 250_000, 400_000]), st.booleans()
)
def test_nothing_is_found_before_the_next_look(
    flows: list[FundFlow],
    summaries: list[CreditSummary],
    pays: list[FundFlow],
    day: int,
    own_minor: int,
    may_be_found: bool,
) -> None:
    """Time alone lets nothing be found (or, where that is asked for, cease to be) before; the memory of a look changes nothing."""
    loans, debts_seen, income = loans_of(*up_to_date(own_minor)), debts_of(*flows, *summaries), paid_by(pays)
    after_ms = RULES.calendar.midnight_ms(BEGIN + day) + 12 * HOUR_MS
    now = judge(loans, debts_seen, income, after_ms, None, RULES)
    income_drop.next_deadline_ms(income, after_ms, None, None, RULES)

    def look(known: IncomeEvidence) -> int | None:
        return next_finding_ms(loans, debts_seen, known, after_ms, RULES, may_be_found=may_be_found)

    due_ms = look(income)
    assert due_ms == look(without_memory(income))
    if now is not None and not may_be_found:
        return
    last_day = (
        BEGIN + day + 70 if due_ms is None else min(RULES.calendar.day_of(due_ms) - 1, BEGIN + day + 70)
    )
    for later in range(BEGIN + day + 1, last_day + 1):
        at_ms = RULES.calendar.midnight_ms(later)
        anew = judge(loans, debts_seen, without_memory(income), at_ms, None, RULES, deadline=True)
        assert severity_of(anew) == severity_of(now), later


@given(FLOWS, SUMMARIES, PAYS, st.integers(0, 200), st.sampled_from(Severity), st.booleans())
def test_an_alert_stands_where_its_severity_is_found_again(
    flows: list[FundFlow],
    summaries: list[CreditSummary],
    pays: list[FundFlow],
    day: int,
    opened: Severity,
    deadline: bool,
) -> None:
    """Without the reasons, the same as the whole judgement."""
    borrower = new_borrower(0)
    borrower.loans, borrower.debts = loans_of(*up_to_date(400_000)), debts_of(*flows, *summaries)
    borrower.income = paid_by(pays)
    at_ms = RULES.calendar.midnight_ms(BEGIN + day)
    finding = judge(borrower.loans, borrower.debts, borrower.income, at_ms, opened, RULES, deadline=deadline)
    is_found = severity_of(finding) == opened
    assert stands(borrower, at_ms, at_ms - deadline, opened, RULES) == is_found


@given(FLOWS, SUMMARIES, st.integers(0, 240))
def test_no_debts_elsewhere_exceed_what_they_may_come_to(
    flows: list[FundFlow], summaries: list[CreditSummary], first: int
) -> None:
    """On no later day is more owed elsewhere than was said, and nothing changes but on days that were told."""
    evidence = debts_of(*flows, *summaries)
    most_minor = most_elsewhere_minor(evidence, BEGIN + first, 45)
    change_day = BEGIN + first
    known: object = None
    for day in range(BEGIN + first, BEGIN + first + 60):
        owed_minor, lenders = regular_repayments(evidence, "CNY", day, (), RULES)
        told_minor = summary_minor(evidence, day, 45)
        assert max(owed_minor, told_minor or 0) <= most_minor
        if day == change_day:
            change_day = next_change_day(evidence, day, 45)
        else:
            assert known == (owed_minor, lenders, told_minor)
        known = owed_minor, lenders, told_minor


@given(
    st.lists(st.tuples(st.integers(0, 120), st.integers(1, 9)), max_size=12),
    st.lists(st.integers(0, 120), max_size=2, unique=True),
    st.integers(0, 150),
)
def test_the_months_of_a_loan_are_those_of_its_lines(
    dues: list[tuple[int, int]], bills: list[int], first: int
) -> None:
    """The most that any month holds, and the days on which the month from today changes, against adding up every day."""
    lines = [Line(BEGIN + day, n, 0, amount) for n, (day, amount) in enumerate(dues)]
    lines += [Line(BEGIN + day, 99, 0, 5, is_bill=True) for day in bills]
    owed = loans_of(loan("2025-01-01", []))["l-1"]
    owed.lines = sorted(lines, key=lambda line: line.due_day)

    def month_from(day: int) -> list[Line]:
        due = [line for line in owed.lines if day <= line.due_day < month_later(day)]
        last_day = max((line.due_day for line in owed.lines if line.due_day < day), default=0)
        if due or day - last_day > BILL_STANDS_DAYS:
            return due
        return [line for line in owed.lines if line.due_day == last_day and line.is_bill]

    months_minor = [sum(line.due_minor for line in month_from(BEGIN + day)) for day in range(first, 200)]
    assert dues_of(owed).most_from(BEGIN + first) >= max(months_minor)
    if not bills:
        assert dues_of(owed).most_from(BEGIN + first) == max(months_minor)
    change_day = dues_of(owed).next_change_day(BEGIN + first)
    for day in range(BEGIN + first, min(change_day, BEGIN + 200)):
        assert month_from(day) == month_from(BEGIN + first)


def test_a_loan_that_is_billed_anew_is_added_up_anew() -> None:
    """What is kept beside a loan holds for the same lines only."""
    owed = loans_of(loan("2025-01-01", [("2025-06-20", 100)]))["l-1"]
    assert dues_of(owed).most_from(TODAY) == 100
    owed.lines.append(Line(TODAY + 6, 2, 0, 50))
    assert dues_of(owed).most_from(TODAY) == 150


def is_touched(*events: Event) -> bool:
    """Whether the last of these events has the signal judged."""
    *before, last = events
    assert not isinstance(last, Heartbeat)
    risk_engine = engine()
    for offset, event in enumerate(by_time(before)):
        risk_engine.process(event, feed_of(event), offset)
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    noted = evidence.record(
        borrower, last, Origin(TOPICS[feed_of(last)], 0, 0, None), risk_engine.rules_at(0)
    )
    return (OVER_INDEBTEDNESS, None) in noted.touched


@pytest.mark.parametrize(("elsewhere_minor", "touched"), [(100_000, False), (400_000, True)])
def test_debts_are_judged_only_where_they_may_come_to_enough(elsewhere_minor: int, *, touched: bool) -> None:
    """Whatever is learnt of debts that stay far below every threshold is written down and left alone."""
    known: list[Event] = [*monthly_pay("2025-01-10", 6, 1_000_000), months(200_000)]
    known += [paid(f"2025-{month:02d}-19", 200_000) for month in range(1, 6)]
    first = repaid("2025-05-12", elsewhere_minor)
    second = loan("2025-06-14", [("2025-06-25", elsewhere_minor)], loan_id="l-2")
    assert is_touched(*known, summary("2025-06-14", elsewhere_minor)) == touched
    assert is_touched(*known, first, repaid("2025-06-14", elsewhere_minor)) == touched
    assert is_touched(*known, second) == touched


def test_with_an_alert_all_debts_are_judged() -> None:
    """One that is open shows what is new, and one that has ended may come back."""
    known: list[Event] = [*monthly_pay("2025-01-10", 6, 1_000_000), months(600_000)]
    assert is_touched(*known, summary("2025-06-14", 1))


@given(FLOWS, SUMMARIES, st.integers(0, 50))
def test_state_survives_its_bytes(flows: list[FundFlow], summaries: list[CreditSummary], cut: int) -> None:
    """Encoding and decoding in the middle of a log changes nothing."""
    log: list[FundFlow | CreditSummary] = [*flows, *summaries]
    cut %= len(log) + 1
    restored = msgspec.msgpack.decode(msgspec.msgpack.encode(debts_of(*log[:cut])), type=DebtEvidence)
    for event in log[cut:]:
        if isinstance(event, FundFlow):
            debts.record_flow(restored, event, RULES)
        else:
            debts.record_summary(restored, event, RULES)
    assert restored == debts_of(*log)


def test_the_evidence_is_bounded() -> None:
    """Lenders, payments and summaries have their limits, and the newest are kept."""
    many = debts_of(*(repaid(days_before("2025-06-15", 60 - n), 1, f"p{n}") for n in range(60)))
    assert [lender.counterparty_id for lender in many.lenders] == [
        f"p{n}" for n in range(60 - LENDERS_MAX, 60)
    ]
    daily = debts_of(*(repaid(days_before("2025-06-15", 400 - n), 1) for n in range(400)))
    assert len(daily.lenders[0].paid) // 2 == LAPSE_DAYS + 55 + LATE_DAYS + 1
    told = debts_of(*(summary(days_before("2025-06-15", 60 - n), n) for n in range(60)))
    assert [one.monthly_due_minor for one in told.summaries] == list(range(60 - SUMMARIES_MAX, 60))
    assert len(short_id("x" * 33)) == 16
