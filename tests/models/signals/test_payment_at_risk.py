"""The signal on both sides of its thresholds, what does not count, how it ends, and the laws of its evidence."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Finding, Severity
from models.balances import (
    ACCOUNTS_MAX,
    HISTORY_DAYS,
    LATE_DAYS,
    LINKS_MAX,
    BalanceEvidence,
    most_minor,
    record_flow,
    record_link,
    sight,
    totals,
)
from models.calendars import DAY_MS, HOUR_MS, date_of_day
from models.events import AccountUnlinked, FundFlow, LoanOpened, Repayment
from models.income import IncomeEvidence
from models.income_level import PAY_SLACK_DAYS, awaited_pays
from models.ledger import close
from models.rules import Rules
from models.signals.payment_at_risk import is_near, judge, next_deadline_ms, resolution
from tests.support.events import at, ended, flow, loan, paid, rescheduled, rules, run, story
from tests.support.means import (
    balances_of,
    by_time,
    day_number,
    days_before,
    every_day,
    income_of,
    loans_of,
    monthly_pay,
    one_loan,
    told,
    unlinked,
)

RULES = rules()
DUE = "2025-06-20"
NOW_MS = at("2025-06-18", "00:00")
NOBODY = IncomeEvidence()
OPEN = Severity.WATCH


def found(
    *flows: FundFlow | AccountUnlinked,
    now_ms: int = NOW_MS,
    opened: Severity | None = None,
    owed: list[LoanOpened | Repayment] | None = None,
    income: IncomeEvidence = NOBODY,
    own_rules: Rules = RULES,
    deadline: bool = False,
) -> Finding | None:
    """Judge one instalment of 1,000.00 due on the twentieth, by default two days before."""
    loans = loans_of(*(owed or [one_loan(DUE)]))
    return judge(loans, balances_of(*flows), income, now_ms, opened, own_rules, deadline=deadline)


def severity_of(finding: Finding | None) -> Severity | None:
    """The severity alone."""
    return None if finding is None else finding.severity


# ---- thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("balance_minor", "severity"),
    [
        (100_000, None),
        (99_999, Severity.WATCH),
        (50_000, Severity.WATCH),
        (49_999, Severity.WARNING),
        (10_000, Severity.WARNING),
        (9_999, Severity.SERIOUS),
        (-5_000, Severity.SERIOUS),
    ],
)
def test_coverage_sets_the_severity(balance_minor: int, severity: Severity | None) -> None:
    """Below all of it is watch, below half warning, below a tenth serious; an overdraft is nothing."""
    assert severity_of(found(told("2025-06-17", balance_minor))) == severity


def test_of_instalments_as_badly_covered_the_first_is_told() -> None:
    """That is the one to act on."""
    finding = found(told("2025-06-17", 0), owed=[one_loan("2025-06-19"), one_loan(DUE, loan_id="l-2")])

    assert finding is not None
    assert finding.reasons[0].evidence["due_date"] == "2025-06-19"


@pytest.mark.parametrize(
    ("day", "severity"), [("2025-06-17", Severity.WARNING), ("2025-06-18", Severity.SERIOUS)]
)
def test_it_is_serious_two_days_before_at_the_earliest(day: str, severity: Severity) -> None:
    """Three days before there is time to find the money."""
    assert severity_of(found(told("2025-06-16", 0), now_ms=at(day, "00:00"))) == severity


@pytest.mark.parametrize(
    ("now", "severity"),
    [
        ("2025-06-14", None),
        ("2025-06-15", Severity.WATCH),
        ("2025-06-20", Severity.WATCH),
        ("2025-06-21", None),
    ],
)
def test_an_instalment_is_near_from_five_days_before_to_its_due_date(
    now: str, severity: Severity | None
) -> None:
    """The horizon begins and ends at local midnights; after the due date `missed_payment` speaks."""
    assert severity_of(found(told("2025-06-13", 80_000), now_ms=at(now, "00:00"))) == severity


@pytest.mark.parametrize(
    ("balance_minor", "opened", "severity"),
    [
        (109_999, Severity.WATCH, Severity.WATCH),
        (110_000, Severity.WATCH, None),
        (59_999, Severity.WARNING, Severity.WARNING),
        (60_000, Severity.WARNING, Severity.WATCH),
        (59_999, Severity.WATCH, Severity.WATCH),
        (19_999, Severity.SERIOUS, Severity.SERIOUS),
        (20_000, Severity.SERIOUS, Severity.WARNING),
        (100_000, None, None),
    ],
)
def test_an_open_alert_eases_a_tenth_later(
    balance_minor: int, opened: Severity | None, severity: Severity | None
) -> None:
    """A severity holds until coverage is a tenth above the threshold that it fell below."""
    assert severity_of(found(told("2025-06-17", balance_minor), opened=opened)) == severity


def test_the_policy_sets_horizon_and_thresholds() -> None:
    """Other numbers in the policy judge by those."""
    own = rules(
        "[signals.payment_at_risk]\nahead_days = 2\nserious_days = 0\n"
        "severity = { watch = 0.8, warning = 0.4, serious = 0.2 }"
    )
    assert found(told("2025-06-16", 0), now_ms=at("2025-06-17"), own_rules=own) is None
    assert severity_of(found(told("2025-06-16", 0), own_rules=own)) == Severity.WARNING
    assert severity_of(found(told("2025-06-16", 0), now_ms=at(DUE), own_rules=own)) == Severity.SERIOUS
    assert found(told("2025-06-17", 80_000), own_rules=own) is None


# ---- what counts -----------------------------------------------------------------------------------------------------


def test_money_is_looked_at_as_of_the_last_midnight() -> None:
    """What moves today changes nothing before tomorrow."""
    flows = (told("2025-06-17", 100_000), told("2025-06-18", 0, "09:00"))
    assert found(*flows, now_ms=at("2025-06-18", "23:59")) is None
    assert severity_of(found(*flows, now_ms=at("2025-06-19", "00:00"))) == Severity.SERIOUS


def test_the_last_balance_of_a_day_counts_whenever_it_is_learnt() -> None:
    """An earlier balance that arrives later is no news."""
    assert found(told("2025-06-17", 100_000, "15:00"), told("2025-06-17", 0, "09:00")) is None
    assert found(told("2025-06-17", 0, "09:00"), told("2025-06-17", 100_000, "15:00")) is None


def test_accounts_add_up_and_an_overdraft_takes_nothing() -> None:
    """Two accounts of half an instalment cover it, whatever a third owes."""
    flows = [told("2025-06-17", 50_000, account_id=name) for name in ("a", "b")]
    assert found(*flows, told("2025-06-17", -70_000, account_id="c")) is None
    assert found(flows[0]) is not None


def test_currencies_are_kept_apart() -> None:
    """Dollars do not cover yuan, and a loan in dollars is judged by dollars."""
    flows = [told("2025-06-17", 500_000, currency="USD", account_id="u"), told("2025-06-17", 30_000)]
    finding = found(*flows)
    assert finding is not None
    assert (finding.severity, finding.reasons[0].evidence["currency"]) == (Severity.WARNING, "CNY")
    assert found(*flows, owed=[one_loan(DUE, currency="USD")]) is None


def test_of_two_currencies_the_worse_is_told() -> None:
    """Severity first, then coverage."""
    flows = [told("2025-06-17", 40_000, currency="USD", account_id="u"), told("2025-06-17", 80_000)]
    both: list[LoanOpened | Repayment] = [one_loan(DUE), one_loan(DUE, currency="USD", loan_id="l-2")]
    finding = found(*flows, owed=both)
    assert finding is not None
    assert (finding.severity, finding.reasons[0].evidence["currency"]) == (Severity.WARNING, "USD")


def test_instalments_of_all_loans_add_up_to_each_due_date() -> None:
    """The first of two is covered, both together are not."""
    owed: list[LoanOpened | Repayment] = [one_loan("2025-06-19"), one_loan(DUE, loan_id="l-2")]
    finding = found(told("2025-06-17", 120_000), owed=owed)
    assert finding is not None
    assert finding.severity == Severity.WATCH
    facts = finding.reasons[0].evidence
    assert (facts["due_minor"], facts["due_date"], facts["coverage"]) == (200_000, DUE, 0.6)


def test_the_worst_due_date_is_told() -> None:
    """What is due tomorrow and not there weighs more than what is due on the fifth day."""
    owed: list[LoanOpened | Repayment] = [one_loan("2025-06-19"), one_loan("2025-06-23", loan_id="l-2")]
    finding = found(told("2025-06-17", 5_000), owed=owed)
    assert finding is not None
    assert (finding.severity, finding.reasons[0].evidence["due_date"]) == (Severity.SERIOUS, "2025-06-19")


def test_paid_and_past_due_loans_do_not_count() -> None:
    """An instalment paid ahead is over; a loan past due is `missed_payment`'s."""
    assert found(told("2025-06-17", 0), owed=[one_loan(DUE), paid("2025-06-10", 100_000)]) is None
    late = loan("2025-01-01", [("2025-05-20", 100_000), (DUE, 100_000)])
    assert found(told("2025-06-17", 0), owed=[late]) is None
    assert (
        severity_of(found(told("2025-06-17", 0), owed=[late, paid("2025-06-01", 100_000)]))
        == Severity.SERIOUS
    )


@pytest.mark.parametrize(("short_minor", "severity"), [(100, None), (101, Severity.WATCH)])
def test_what_is_short_by_the_tolerance_asks_for_nothing(short_minor: int, severity: Severity | None) -> None:
    """One yuan of another instalment needs no cover; a fen more does."""
    owed: list[LoanOpened | Repayment] = [one_loan(DUE), one_loan("2025-06-19", short_minor, loan_id="l-2")]
    assert severity_of(found(told("2025-06-17", 100_000), owed=owed)) == severity


def test_a_loan_whose_past_due_rest_is_within_the_tolerance_still_counts() -> None:
    """It is not past due: `missed_payment` is silent about it, so its next instalment is ours; a fen more and it is not."""
    owed = loan("2025-01-01", [("2025-05-20", 100_000), (DUE, 100_000)])
    assert found(told("2025-06-17", 0), owed=[owed, paid("2025-05-20", 99_900)]) is not None
    assert found(told("2025-06-17", 0), owed=[owed, paid("2025-05-20", 99_899)]) is None


def test_a_loan_counts_from_its_opening() -> None:
    """What is agreed later asked for nothing before."""
    owed: list[LoanOpened | Repayment] = [loan("2025-06-18", [(DUE, 100_000)])]
    assert found(told("2025-06-17", 0), owed=owed, now_ms=at("2025-06-18", "09:59")) is None
    assert found(told("2025-06-17", 0), owed=owed, now_ms=at("2025-06-18", "10:00")) is not None


# ---- pay that is awaited ---------------------------------------------------------------------------------------------


def test_pay_awaited_by_the_due_date_covers() -> None:
    """Pay on the nineteenth covers what is due on the twentieth, and two days before, not what is due on the sixteenth."""
    income = income_of(*monthly_pay("2025-01-19", 5))
    assert found(told("2025-06-17", 0), income=income) is None
    assert found(told("2025-06-15", 0), income=income, owed=[one_loan("2025-06-16")], now_ms=at("2025-06-16"))
    assert not found(
        told("2025-06-15", 0), income=income, owed=[one_loan("2025-06-17")], now_ms=at("2025-06-16")
    )


def test_pay_on_the_due_date_covers() -> None:
    """Money that comes in the morning pays in the evening."""
    assert found(told("2025-06-17", 0), income=income_of(*monthly_pay("2025-01-20", 5))) is None


def test_pay_of_another_currency_does_not_cover() -> None:
    """Nothing here knows rates."""
    assert found(told("2025-06-17", 0), income=income_of(*monthly_pay("2025-01-19", 5, currency="USD")))


def test_the_usual_amount_is_what_covers() -> None:
    """Pay that is too small is counted for what it is."""
    finding = found(told("2025-06-17", 10_000), income=income_of(*monthly_pay("2025-01-19", 5, 50_000)))
    assert finding is not None
    assert (finding.severity, finding.reasons[0].evidence["awaited_minor"]) == (Severity.WATCH, 50_000)


def test_overdue_pay_covers_no_more() -> None:
    """Three days over the usual gap pay is still on its way; on the fourth nobody counts on it."""
    income = income_of(
        *monthly_pay("2025-01-14", 5)
    )  # the next on the fourteenth of June, 31 days after the last
    last_day = day_number("2025-05-14") + 31 + PAY_SLACK_DAYS
    assert awaited_pays(income, "CNY", last_day, last_day, RULES)
    assert not awaited_pays(income, "CNY", last_day + 1, last_day + 9, RULES)
    assert found(told("2025-06-17", 0), income=income) is not None
    assert found(told("2025-06-16", 0), income=income, now_ms=at("2025-06-17")) is None


def test_two_pays_are_no_rhythm() -> None:
    """Nobody knows when the third comes."""
    assert found(told("2025-06-17", 0), income=income_of(*monthly_pay("2025-04-19", 2)))
    assert found(told("2025-06-17", 0), income=income_of(*monthly_pay("2025-03-19", 3))) is None


def test_weekly_pay_is_awaited_week_by_week() -> None:
    """Two pays fall into ten days."""
    weekly = [flow(days_before("2025-06-13", 7 * n), 30_000) for n in reversed(range(8))]
    awaited = awaited_pays(
        income_of(*weekly), "CNY", day_number("2025-06-18"), day_number("2025-06-27"), RULES
    )
    assert awaited == [
        (day_number("2025-06-18"), 30_000),
        (day_number("2025-06-25"), 30_000),
    ]


def test_pay_of_today_is_still_awaited() -> None:
    """Balances are those of the last midnight, and so is the pay: it is never counted nowhere."""
    income = income_of(*monthly_pay("2025-01-18", 6))
    assert found(told("2025-06-17", 0), income=income, now_ms=at("2025-06-18", "23:00")) is None


# ---- what we cannot see ----------------------------------------------------------------------------------------------


def test_nothing_is_found_without_balances() -> None:
    """A feed without balances tells nothing."""
    assert found() is None
    assert found(flow("2025-06-17", 100, "living", "out")) is None


@pytest.mark.parametrize(("last", "severity"), [("2025-06-08", Severity.SERIOUS), ("2025-06-07", None)])
def test_old_balances_do_not_count(last: str, severity: Severity | None) -> None:
    """Ten days old still counts, eleven do not: then nothing is known."""
    assert severity_of(found(told(last, 0))) == severity


def test_an_account_that_fell_silent_may_hold_the_money() -> None:
    """It moved often and has stood still for eleven days: whoever sees the other one only sees nothing."""
    silent = [told(day, 3_000, account_id="s") for day in ("2025-06-01", "2025-06-04", "2025-06-07")]
    assert found(*silent, told("2025-06-17", 0)) is None
    assert found(*silent, told("2025-06-08", 3_000, account_id="s"), told("2025-06-17", 0)) is not None


def test_an_account_that_hardly_ever_moves_still_holds_what_it_held() -> None:
    """Savings are there though nobody touches them, and are no reason to see nothing."""
    savings = told("2025-05-20", 100_000, account_id="s")
    assert found(savings, told("2025-06-17", 0)) is None
    assert found(told("2025-05-20", 3_000, account_id="s"), told("2025-06-17", 0)) is not None


def test_three_days_within_thirty_are_a_habit() -> None:
    """Twenty-nine days from the first to the last of them are; thirty are not."""
    for first, is_found in (("2025-05-09", False), ("2025-05-08", True)):
        moved = [told(day, 3_000, account_id="s") for day in (first, "2025-05-20", "2025-06-07")]
        assert (found(*moved, told("2025-06-17", 0)) is not None) == is_found


def test_an_unlinked_account_may_hold_the_money() -> None:
    """From the midnight after its unlinking on; a flow since then shows that it is seen again."""
    flows = (told("2025-06-16", 0), told("2025-06-16", 0, account_id="b"))
    assert found(*flows, now_ms=at("2025-06-17")) is not None
    assert found(*flows, unlinked("2025-06-16", "18:00"), now_ms=at("2025-06-17")) is None
    assert found(*flows, unlinked("2025-06-17"), now_ms=at("2025-06-17", "18:00")) is not None
    assert found(*flows, unlinked("2025-06-16", "18:00"), told("2025-06-17", 0)) is not None


def test_an_account_linked_again_is_seen_again() -> None:
    """The last word counts."""
    evidence = balances_of(told("2025-06-16", 0), unlinked("2025-06-16", "18:00"))
    record_link(evidence, "acc-1", at("2025-06-17"), linked=True)
    assert judge(loans_of(one_loan(DUE)), evidence, NOBODY, NOW_MS, None, RULES) is not None


def test_an_account_out_of_sight_is_forgotten_in_the_end() -> None:
    """Its days leave the history, and the others are what there is."""
    gone = [told(days_before("2025-06-18", HISTORY_DAYS - n), 3_000, account_id="s") for n in range(3)]
    assert found(*gone, told("2025-06-17", 0)) is None
    assert found(*gone, told("2025-06-18", 0), now_ms=at("2025-06-19")) is not None


# ---- reasons ---------------------------------------------------------------------------------------------------------


def test_the_reason_can_be_checked_line_by_line() -> None:
    """The evidence holds the very numbers compared, and both texts say the same."""
    finding = found(told("2025-06-17", 10_000), income=income_of(*monthly_pay("2025-01-19", 5, 25_000)))
    assert finding is not None
    assert finding.actionable
    (reason,) = finding.reasons
    assert reason.code == "PAR-COVERAGE"
    assert reason.evidence == {
        "coverage": 0.35,
        "threshold": 0.5,
        "due_minor": 100_000,
        "balance_minor": 10_000,
        "awaited_minor": 25_000,
        "currency": "CNY",
        "due_date": DUE,
        "accounts": 1,
        "balance_date": "2025-06-17",
    }
    assert reason.text.en == (
        "1,000.00 CNY fall due up to 2025-06-20; seen are 100.00 CNY, and pay of 250.00 CNY is awaited by then: "
        "35 % covered (this severity holds below 50 %)."
    )
    assert reason.text.zh == (
        "截至 2025-06-20 应还 1,000.00 CNY；可见余额 100.00 CNY，此前预计到账收入 250.00 CNY："
        "覆盖 35 %（低于 50 % 即为此级别）。"
    )


# ---- the life of an alert --------------------------------------------------------------------------------------------


def told_of(*events: object, until: str = "2025-06-25") -> list[str]:
    """The alerts of this signal."""
    return [line for line in story(run(by_time(events), until=until)) if "payment_at_risk" in line]  # type: ignore[arg-type]  # events of every type


POOR = every_day("2025-06-10", "2025-06-24", 30_000)


def test_missed_payment_takes_over_at_the_midnight_that_ends_the_due_date() -> None:
    """Opened five days before, found passed when the instalment was missed."""
    alerts = run(by_time([one_loan(DUE), *POOR]), until="2025-06-25")
    assert story(alerts) == [
        "2025-06-15 00:00 payment_at_risk opened warning",
        "2025-06-21 00:00 missed_payment opened watch",
        "2025-06-21 00:00 payment_at_risk resolved warning passed",
    ]
    assert alerts[0].recommendation.stage == "pre_due_remind"


def test_paying_resolves_as_paid() -> None:
    """At once, not at the next midnight."""
    assert told_of(one_loan(DUE), *POOR, paid("2025-06-18", 100_000)) == [
        "2025-06-15 00:00 payment_at_risk opened warning",
        "2025-06-18 12:00 payment_at_risk resolved warning paid",
    ]


def test_money_that_comes_resolves_at_the_next_midnight() -> None:
    """Things are as they should be; nothing was paid yet."""
    flows = [*every_day("2025-06-10", "2025-06-16", 30_000), *every_day("2025-06-17", "2025-06-24", 200_000)]
    assert told_of(one_loan(DUE), *flows, paid("2025-06-20", 100_000)) == [
        "2025-06-15 00:00 payment_at_risk opened warning",
        "2025-06-18 00:00 payment_at_risk resolved warning",
    ]


def test_a_new_schedule_and_an_end_say_so() -> None:
    """Rescheduled and closed loans are told by their name."""
    later = rescheduled("2025-06-17", [("2025-08-20", 100_000)], first=2)
    assert told_of(one_loan(DUE), *POOR, later)[-1] == (
        "2025-06-17 12:00 payment_at_risk resolved warning rescheduled"
    )
    assert told_of(one_loan(DUE), *POOR, ended("2025-06-17", "sold"))[-1] == (
        "2025-06-17 12:00 payment_at_risk resolved warning sold"
    )


def test_an_account_out_of_sight_ends_the_alert_as_passed() -> None:
    """We cannot say any more that money is missing."""
    assert told_of(one_loan(DUE), *every_day("2025-06-10", "2025-06-16", 30_000), unlinked("2025-06-17")) == [
        "2025-06-15 00:00 payment_at_risk opened warning",
        "2025-06-18 00:00 payment_at_risk resolved warning passed",
    ]


def test_a_drained_account_escalates_near_the_due_date() -> None:
    """Serious two days before: then somebody helps."""
    flows = [*every_day("2025-06-10", "2025-06-16", 80_000), *every_day("2025-06-17", "2025-06-24", 1_000)]
    alerts = run(by_time([one_loan(DUE), *flows]), until="2025-06-19")
    assert story(alerts) == [
        "2025-06-15 00:00 payment_at_risk opened watch",
        "2025-06-18 00:00 payment_at_risk escalated serious",
    ]
    assert alerts[1].recommendation.stage == "assist"


def test_a_balance_learnt_late_retracts() -> None:
    """The money was there all along: the alert should not have opened."""
    flows = every_day("2025-06-10", "2025-06-17", 30_000)
    rich = told("2025-06-13", 300_000, "20:00", account_id="acc-2", ingested_at_ms=at("2025-06-18"))
    lines = [*by_time([one_loan(DUE), *flows, paid("2025-06-16", 1)]), rich]
    assert [line for line in story(run(lines, until="2025-06-19")) if "payment_at_risk" in line] == [
        "2025-06-15 00:00 payment_at_risk opened warning",
        "2025-06-13 20:00 payment_at_risk retracted warning",
    ]


def test_the_next_instalment_may_be_warned_of_again() -> None:
    """The cooldown is over after ten days; a flicker within it is none."""
    both = loan("2025-04-01", [("2025-05-20", 100_000), (DUE, 100_000)])
    flows = every_day("2025-05-01", "2025-06-24", 30_000)
    assert told_of(both, *flows, paid("2025-05-20", 100_000), paid("2025-06-20", 100_000)) == [
        "2025-05-15 00:00 payment_at_risk opened warning",
        "2025-05-20 12:00 payment_at_risk resolved warning paid",
        "2025-06-15 00:00 payment_at_risk opened warning",
        "2025-06-20 12:00 payment_at_risk resolved warning paid",
    ]


# ---- deadlines -------------------------------------------------------------------------------------------------------


def test_the_deadlines_are_the_midnights_while_an_instalment_is_near() -> None:
    """From the day it comes near to the midnight that ends its due date; without balances there are none."""
    loans, evidence = loans_of(one_loan(DUE)), balances_of(told("2025-05-01", 0))
    assert next_deadline_ms(loans, evidence, at("2025-05-02"), OPEN, RULES) == at("2025-06-15", "00:00")
    assert next_deadline_ms(loans, evidence, at("2025-06-15", "00:00"), OPEN, RULES) == at(
        "2025-06-16", "00:00"
    )
    assert next_deadline_ms(loans, evidence, at("2025-06-20", "08:00"), OPEN, RULES) == at(
        "2025-06-21", "00:00"
    )
    assert next_deadline_ms(loans, evidence, at("2025-06-21", "00:00"), OPEN, RULES) is None
    assert next_deadline_ms(loans, BalanceEvidence(), at("2025-05-02"), OPEN, RULES) is None


def test_who_has_enough_is_looked_at_three_times() -> None:
    """Five days before, two days before, and on the due date; then it is over."""
    loans, evidence = loans_of(one_loan(DUE)), balances_of(told("2025-05-01", 0))
    days = ["2025-05-02"]
    while (due_ms := next_deadline_ms(loans, evidence, at(days[-1]), None, RULES)) is not None:
        days.append(date_of_day(RULES.calendar.day_of(due_ms)).isoformat())
    assert days[1:] == ["2025-06-15", "2025-06-18", "2025-06-20", "2025-06-21"]


@pytest.mark.parametrize(
    ("now", "near"),
    [("2025-06-14", False), ("2025-06-15", True), ("2025-06-20", True), ("2025-06-21", False)],
)
def test_late_balances_matter_while_an_instalment_is_near(now: str, near: bool) -> None:
    """From five days before to the due date."""
    assert is_near(loans_of(one_loan(DUE)), at(now), RULES) == near


def test_at_a_midnight_what_happens_then_belongs_to_the_day_that_begins() -> None:
    """A payment of that very instant comes too late for the deadline, and in time for the event."""
    owed: list[LoanOpened | Repayment] = [one_loan(DUE), paid("2025-06-18", 100_000, "00:00")]
    assert found(told("2025-06-17", 0), owed=owed) is None
    assert found(told("2025-06-17", 0), owed=owed, deadline=True) is not None


def test_a_resolution_names_what_ended_it() -> None:
    """Missed is passed, covered is nothing, paid is paid."""
    poor = balances_of(told("2025-06-17", 0))
    opened_ms = at("2025-06-15", "00:00")
    assert resolution(loans_of(one_loan(DUE)), poor, opened_ms, at("2025-06-21"), RULES) == "passed"
    assert resolution(loans_of(one_loan(DUE)), poor, opened_ms, at("2025-06-18"), RULES) is None
    assert resolution(loans_of(one_loan(DUE)), poor, at(DUE, "00:00"), at("2025-06-21"), RULES) == "passed"
    assert resolution(loans_of(one_loan(DUE)), poor, opened_ms, at(DUE), RULES) is None
    sold_loan = loans_of(one_loan("2025-06-15"))
    close(sold_loan["l-1"], ended("2025-06-15", "sold"), RULES)
    assert resolution(sold_loan, poor, opened_ms, at("2025-06-15", "13:00"), RULES) == "sold"
    far = loans_of(one_loan("2025-06-20"))
    close(far["l-1"], ended("2025-06-15", "sold"), RULES)
    assert resolution(far, poor, opened_ms, at("2025-06-15", "13:00"), RULES) == "sold"
    both = loans_of(one_loan(DUE), paid("2025-06-18", 100_000))
    assert resolution(both, poor, opened_ms, at("2025-06-18"), RULES) == "paid"
    both |= loans_of(one_loan(DUE, loan_id="l-2"))
    close(both["l-2"], ended("2025-06-18", "sold", loan_id="l-2"), RULES)
    assert resolution(both, poor, opened_ms, at("2025-06-18"), RULES) == "sold"


# ---- laws ------------------------------------------------------------------------------------------------------------

BEGIN = day_number("2025-05-01")
MOMENTS = st.tuples(st.integers(0, 70), st.sampled_from([0, 0, 9, 15, 23])).map(
    lambda moment: RULES.calendar.midnight_ms(BEGIN + moment[0]) + moment[1] * HOUR_MS
)


@st.composite
def logs(draw: st.DrawFn) -> list[FundFlow]:
    """Flows that tell balances of a few accounts, at most one an instant and account."""
    keys = draw(st.lists(st.tuples(MOMENTS, st.sampled_from("abc")), max_size=25, unique=True))
    return [
        told(
            "2025-05-01",
            draw(st.sampled_from([-1, 0, 30_000, 90_000, 150_000])),
            event_time_ms=time_ms,
            account_id=account,
            category=draw(st.sampled_from(["living", "rent"])),
        )
        for time_ms, account in sorted(keys)
    ]


OPENED = st.sampled_from([None, Severity.WATCH, Severity.WARNING, Severity.SERIOUS])
LOANS = loans_of(
    loan("2025-04-01", [("2025-05-20", 100_000), (DUE, 100_000)]),
    one_loan("2025-06-18", loan_id="l-2"),
    paid("2025-05-19", 100_000),
)


@given(logs(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(log: list[FundFlow], dice: Random) -> None:
    """The same balances in another order look the same at every midnight within the history."""
    mixed = list(log)
    dice.shuffle(mixed)
    one, other = balances_of(*log), balances_of(*mixed)
    newest = max((account.days[-1] for account in one.accounts), default=BEGIN)
    for day in range(newest - LATE_DAYS, newest + 20):
        assert sight(one, "CNY", day, 10, RULES) == sight(other, "CNY", day, 10, RULES)
    assert totals(one, "CNY", newest - 10, newest) == totals(other, "CNY", newest - 10, newest)


@given(logs(), st.integers(0, 90), st.integers(0, 12))
def test_balances_are_added_up_day_by_day(log: list[FundFlow], first: int, days: int) -> None:
    """Each account's last balance before a midnight, summed; what is seen is no more than what is there."""
    evidence = balances_of(*log)
    first_day = BEGIN + first
    expected: list[int] = []
    for day in range(first_day, first_day + days + 1):
        known = [
            max(0, account.closings[3 * account.days.index(before[-1]) + 1])
            for account in evidence.accounts
            if (before := [one for one in account.days if one < day])
        ]
        expected.append(sum(known) if known else -1)
    assert totals(evidence, "CNY", first_day, first_day + days) == expected
    seen, most = sight(evidence, "CNY", first_day, 10, RULES), most_minor(evidence, "CNY", first_day)
    assert seen.total_minor == most if not seen.is_blind else seen.total_minor <= most


@given(logs(), st.integers(0, 70), OPENED)
def test_later_balances_change_no_judgement(log: list[FundFlow], days: int, opened: Severity | None) -> None:
    """As of an instant, the whole log says what the log up to that instant says."""
    newest_ms = max((one.event_time_ms for one in log), default=NOW_MS)
    at_ms = max(RULES.calendar.midnight_ms(BEGIN + days), newest_ms - LATE_DAYS * DAY_MS)
    cut = [one for one in log if one.event_time_ms <= at_ms]
    whole = judge(LOANS, balances_of(*log), NOBODY, at_ms, opened, RULES)
    assert whole == judge(LOANS, balances_of(*cut), NOBODY, at_ms, opened, RULES)


@settings(max_examples=60)
@given(logs(), st.integers(0, 25))
def test_state_survives_its_bytes(log: list[FundFlow], cut: int) -> None:
    """Encoding and decoding in the middle of a log changes nothing."""
    cut %= len(log) + 1
    restored = msgspec.msgpack.decode(msgspec.msgpack.encode(balances_of(*log[:cut])), type=BalanceEvidence)
    for one in log[cut:]:
        record_flow(restored, one, RULES)
    assert restored == balances_of(*log)


@given(logs(), OPENED)
def test_time_alone_changes_no_judgement_between_deadlines(
    log: list[FundFlow], opened: Severity | None
) -> None:
    """From one announced midnight to the next the judgement stays as it is."""
    evidence = balances_of(told("2025-05-01", 50_000), *log)
    now_ms = at("2025-05-21", "00:00")
    while (due_ms := next_deadline_ms(LOANS, evidence, now_ms, OPEN, RULES)) is not None:
        expected = judge(LOANS, evidence, NOBODY, now_ms, opened, RULES)
        for between_ms in {now_ms + HOUR_MS, (now_ms + due_ms) // 2, due_ms - 1}:
            assert judge(LOANS, evidence, NOBODY, between_ms, opened, RULES) == expected
        now_ms = due_ms
    assert now_ms == at("2025-06-21", "00:00")


def test_the_evidence_is_bounded() -> None:
    """Accounts, days and links have their limits, and the newest are kept."""
    flows = every_day("2024-01-01", "2025-06-17", 1_000)
    assert len(balances_of(*flows).accounts[0].days) == HISTORY_DAYS + LATE_DAYS + 1
    many = balances_of(*(told(days_before(DUE, 30 - n), n, account_id=f"a{n}") for n in range(20)))
    assert [account.account_id for account in many.accounts] == [
        f"a{n}" for n in range(20 - ACCOUNTS_MAX, 20)
    ]
    for number in range(30):
        record_link(many, f"a{number}", number, linked=False)
        record_link(many, "a0", number, linked=True)
    assert len(many.links) == 16
    assert len(many.links["a0"]) == LINKS_MAX
    assert len(balances_of(told("2025-06-17", 1), told("2025-01-01", 1, account_id="old")).accounts) == 1
