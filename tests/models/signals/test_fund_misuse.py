"""The signal on both sides of its thresholds, what is a loan's money and what is not, its life, and its laws."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.alerts import Finding, Severity
from models.calendars import DAY_MS, HOUR_MS
from models.events import BorrowerEvent, EventVoided, FundFlow, LoanOpened
from models.fund_use import (
    DISBURSEMENTS_MAX,
    EARNED,
    FLOWS_MAX,
    Flow,
    FundUseEvidence,
    Use,
    around,
    record_flow,
    use_of,
)
from models.ledger import Loan, open_loan
from models.policy import PolicyError
from models.rules import Rules
from models.signals.fund_misuse import judge, next_deadline_ms, resolution
from tests.support.events import at, end_of, ended, engine, event_id, feed_of, flow, loan, rules, run, story
from tests.support.means import by_time

RULES = rules()
DUES = [("2026-01-20", 100_000)]
NOW = at("2025-03-31")
LENT = 1_000_000
"""Ten thousand, disbursed on the first of March at nine."""


def opened(**fields: Any) -> LoanOpened:
    """The own loan: opened on the first of March at half past eight."""
    values = {"event_time_ms": at("2025-03-01", "08:30"), "principal_minor": LENT} | fields
    return loan("2025-03-01", DUES, **values)


def inflow(day: str, amount: int, time: str = "09:00", **fields: Any) -> FundFlow:
    """Money in, by default pay."""
    category = fields.pop("category", "salary")
    return flow(day, amount, category, "in", **({"event_time_ms": at(day, time)} | fields))


def lent(day: str = "2025-03-01", amount: int = LENT, time: str = "09:00", **fields: Any) -> FundFlow:
    """The disbursement of an own loan."""
    return inflow(day, amount, time, category="loan_disbursement", **({"loan_id": "l-1"} | fields))


def spent(
    day: str, amount: int, category: str = "securities", time: str = "15:00", **fields: Any
) -> FundFlow:
    """Money out, by default to a broker."""
    return flow(day, amount, category, "out", **({"event_time_ms": at(day, time)} | fields))


def loans_of(*events: LoanOpened) -> dict[str, Loan]:
    """The own loans."""
    return {event.loan_id: open_loan(event, RULES) for event in events}


ONE = loans_of(opened())


def evidence_of(*flows: FundFlow, loans: dict[str, Loan] = ONE, own_rules: Rules = RULES) -> FundUseEvidence:
    """Evidence in the order given."""
    evidence = FundUseEvidence()
    for one in flows:
        record_flow(evidence, one, loans, own_rules)
    return evidence


def used(
    *flows: FundFlow,
    loans: dict[str, Loan] = ONE,
    loan_id: str = "l-1",
    now_ms: int = NOW,
    own_rules: Rules = RULES,
) -> int:
    """What went of a loan's money to where it must not."""
    evidence = evidence_of(*flows, loans=loans, own_rules=own_rules)
    use = use_of(evidence, loans, loan_id, now_ms, now_ms, own_rules)
    return 0 if use is None else use.total_minor


def found(
    *flows: FundFlow,
    loans: dict[str, Loan] = ONE,
    now_ms: int = NOW,
    opened_at: Severity | None = None,
    own_rules: Rules = RULES,
) -> Finding | None:
    """Judge the own loan."""
    evidence = evidence_of(*flows, loans=loans, own_rules=own_rules)
    return judge(evidence, loans, "l-1", now_ms, opened_at, own_rules)


def severity_of(finding: Finding | None) -> Severity | None:
    """The severity alone."""
    return None if finding is None else finding.severity


# ---- thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "severity"),
    [
        (199_999, None),
        (200_000, Severity.WATCH),
        (499_999, Severity.WATCH),
        (500_000, Severity.WARNING),
        (799_999, Severity.WARNING),
        (800_000, Severity.SERIOUS),
        (9_000_000, Severity.SERIOUS),
    ],
)
def test_the_fraction_of_the_principal_sets_the_severity(amount: int, severity: Severity | None) -> None:
    """A fifth is watch, half warning, four fifths serious, and a cent less is not."""
    assert severity_of(found(lent(), spent("2025-03-02", amount))) == severity


@pytest.mark.parametrize(("amount", "severity"), [(199_999, None), (200_000, Severity.SERIOUS)])
def test_small_amounts_are_no_misuse(amount: int, severity: Severity | None) -> None:
    """Two thousand at least, even if it is all of a small loan."""
    small = loans_of(opened(principal_minor=200_000))
    assert severity_of(found(lent(amount=200_000), spent("2025-03-02", amount), loans=small)) == severity


@pytest.mark.parametrize(
    ("amount", "opened_at", "severity"),
    [
        (750_000, Severity.SERIOUS, Severity.SERIOUS),
        (749_999, Severity.SERIOUS, Severity.WARNING),
        (450_000, Severity.WARNING, Severity.WARNING),
        (449_999, Severity.WARNING, Severity.WATCH),
        (750_000, Severity.WARNING, Severity.WARNING),
        (450_000, Severity.WATCH, Severity.WATCH),
        (199_999, Severity.WATCH, None),
    ],
)
def test_an_open_alert_eases_a_twentieth_later(
    amount: int, opened_at: Severity, severity: Severity | None
) -> None:
    """A severity holds until the fraction is so much below its threshold; the minimum always holds."""
    assert severity_of(found(lent(), spent("2025-03-02", amount), opened_at=opened_at)) == severity


@pytest.mark.parametrize(("amount", "severity"), [(300_000, Severity.WATCH), (299_999, None)])
def test_watch_holds_down_to_its_own_margin(amount: int, severity: Severity | None) -> None:
    """A loan of twenty thousand: fifteen hundredths keep an alert open."""
    large = loans_of(opened(principal_minor=2 * LENT))
    flows = [lent(amount=2 * LENT), spent("2025-03-02", amount)]
    assert severity_of(found(*flows, loans=large, opened_at=Severity.WATCH)) == severity
    assert found(*flows, loans=large) is None


def test_the_policy_sets_the_thresholds() -> None:
    """Other numbers in the policy judge by those."""
    own = rules(
        "[signals.fund_misuse]\nwatch_days = 2\namount_minor_min = 1\n"
        "severity = { watch = 0.1, warning = 0.2, serious = 0.3 }"
    )
    for amount, severity in (
        (99_999, None),
        (100_000, Severity.WATCH),
        (200_000, Severity.WARNING),
        (300_000, Severity.SERIOUS),
    ):
        assert (
            severity_of(found(lent(), spent("2025-03-03", amount, time="09:00"), own_rules=own)) == severity
        )
    assert found(lent(), spent("2025-03-03", LENT, time="09:01"), own_rules=own) is None


# ---- the watch -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "time", "expected"),
    [
        ("2025-03-01", "08:59", 0),
        ("2025-03-01", "09:00", LENT),
        ("2025-03-15", "09:00", LENT),
        ("2025-03-15", "09:01", 0),
    ],
)
def test_money_is_followed_for_fourteen_days(day: str, time: str, expected: int) -> None:
    """From the instant of the disbursement on, which comes first of what happens at once."""
    assert used(lent(), spent(day, LENT, time=time)) == expected


def test_what_is_spent_at_the_instant_of_the_disbursement_is_judged_at_once() -> None:
    """The money is in sight as of that instant already."""
    flows = [lent(), spent("2025-03-01", LENT, time="09:00")]
    assert severity_of(found(*flows, now_ms=flows[0].event_time_ms)) == Severity.SERIOUS


def test_never_more_than_was_disbursed() -> None:
    """What is spent beyond it came from elsewhere."""
    assert used(lent(), spent("2025-03-02", 700_000), spent("2025-03-03", 700_000)) == LENT


def test_the_finding_stands_for_the_days_it_is_remembered() -> None:
    """Fourteen and sixty days after the disbursement it is over, to the millisecond."""
    flows = [lent(), spent("2025-03-02", LENT)]
    over_ms = flows[0].event_time_ms + 74 * DAY_MS
    assert found(*flows, now_ms=over_ms - 1) is not None
    assert found(*flows, now_ms=over_ms) is None
    evidence = evidence_of(*flows)
    assert next_deadline_ms(evidence, ONE, "l-1", NOW, RULES) == over_ms
    assert next_deadline_ms(evidence, ONE, "l-1", over_ms - 1, RULES) == over_ms
    assert next_deadline_ms(evidence, ONE, "l-1", over_ms, RULES) is None
    assert next_deadline_ms(evidence_of(lent()), ONE, "l-1", NOW, RULES) is None
    at_once = evidence_of(lent(), spent("2025-03-01", LENT, time="09:00"))
    assert next_deadline_ms(at_once, ONE, "l-1", NOW, RULES) == over_ms
    before = evidence_of(spent("2025-03-01", LENT, time="08:59"), lent())
    assert next_deadline_ms(before, ONE, "l-1", NOW, RULES) is None


# ---- what is forbidden -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["securities", "property", "gambling"])
def test_each_forbidden_category_counts(category: str) -> None:
    """Where the purpose is not known, all three are."""
    assert used(lent(), spent("2025-03-02", LENT, category)) == LENT


@pytest.mark.parametrize(
    "category", ["living", "rent", "cash", "own_transfer", "loan_repayment", "fee", None]
)
def test_other_spending_does_not_count(category: Any) -> None:
    """That is what money is for, or nobody knows."""
    assert used(lent(), spent("2025-03-02", LENT, category)) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"purpose": "mortgage"},
        {"product": "mortgage"},
        {"purpose": "home_purchase"},
        {"purpose": "other", "product": "mortgage"},
    ],
)
def test_a_mortgage_may_go_to_property(fields: dict[str, str]) -> None:
    """By its purpose or its product; to securities it may not."""
    mortgage = loans_of(opened(**fields))
    assert used(lent(), spent("2025-03-02", LENT, "property"), loans=mortgage) == 0
    assert used(lent(), spent("2025-03-02", LENT, "securities"), loans=mortgage) == LENT


def test_the_lender_adds_purposes_of_its_own() -> None:
    """What the default says of other purposes stays."""
    own = rules('[signals.fund_misuse.forbidden_by_purpose]\nbrokerage = ["gambling"]')
    flows = [lent(), spent("2025-03-02", LENT, "securities")]
    assert used(*flows, loans=loans_of(opened(purpose="brokerage")), own_rules=own) == 0
    assert used(*flows, loans=loans_of(opened(purpose="renovation")), own_rules=own) == LENT
    mortgage = loans_of(opened(purpose="mortgage"))
    assert used(lent(), spent("2025-03-02", LENT, "property"), loans=mortgage, own_rules=own) == 0


def test_a_segment_may_add_purposes() -> None:
    """The table is the lender's there too; a category that is none is refused by name."""
    text = (
        "[segments.shops]\nmatch = { product = 'shop' }\n"
        "[segments.shops.signals.fund_misuse.forbidden_by_purpose]\nstock = ['gambling']"
    )
    assert rules(text).policy.segments
    with pytest.raises(PolicyError, match="forbidden"):
        rules("[signals.fund_misuse]\nforbidden = ['cash']")


# ---- other money -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["salary", "business_income", "refund", "other", None, "benefit"])
def test_other_money_is_taken_first(category: Any) -> None:
    """Six hundred thousand came in besides: four hundred thousand of the loan are left."""
    other = inflow("2025-03-02", 600_000, category=category)
    assert used(lent(), other, spent("2025-03-03", LENT)) == 400_000


def test_other_money_counts_once() -> None:
    """What it paid for once it pays no more."""
    flows = [
        lent(),
        inflow("2025-03-02", 300_000),
        spent("2025-03-03", 200_000),
        spent("2025-03-04", 300_000),
    ]
    assert used(*flows[:3]) == 0
    assert used(*flows) == 200_000


@pytest.mark.parametrize(
    ("day", "time", "expected"),
    [
        ("2025-01-31", "14:59", LENT),
        ("2025-01-31", "15:00", 400_000),
        ("2025-03-03", "15:00", 400_000),
        ("2025-03-03", "15:01", LENT),
    ],
)
def test_other_money_counts_for_a_month_and_not_before_it_comes(day: str, time: str, expected: int) -> None:
    """Thirty-one days to the minute; at one instant it came first."""
    flows = by_time([lent(), inflow(day, 600_000, time), spent("2025-03-03", LENT)])
    assert used(*flows) == expected  # type: ignore[arg-type]  # flows alone


def test_what_was_spent_before_the_loan_is_gone() -> None:
    """The pay of February that went to securities in February explains nothing in March."""
    flows = [inflow("2025-02-20", 600_000), spent("2025-02-21", 500_000), lent(), spent("2025-03-03", LENT)]
    assert used(*flows) == 900_000


def test_what_was_on_the_account_is_other_money() -> None:
    """The balance after the disbursement tells; what is explained by pay in sight is not counted twice."""
    rich = lent(balance_after_minor=LENT + 700_000)
    assert used(rich, spent("2025-03-03", LENT)) == 300_000
    assert used(inflow("2025-02-25", 500_000), rich, spent("2025-03-03", LENT)) == 300_000
    assert used(inflow("2025-02-25", 900_000), rich, spent("2025-03-03", LENT)) == 100_000
    assert used(lent(balance_after_minor=LENT - 700_000), spent("2025-03-03", LENT)) == LENT


def test_loans_of_others_are_other_money() -> None:
    """Borrowed elsewhere, it is somebody else's to ask; of an own platform it is not."""
    elsewhere = lent("2025-03-02", 600_000, loan_id=None, counterparty_id="a")
    assert used(lent(), elsewhere, spent("2025-03-03", LENT)) == 400_000
    own = rules('own_institutions = ["a"]')
    assert used(lent(), elsewhere, spent("2025-03-03", LENT), own_rules=own) == LENT


def test_transfers_between_own_accounts_count_net() -> None:
    """Money that goes round comes back as what it was; what comes in beyond it is other money."""
    there = spent("2025-03-02", 500_000, "own_transfer")
    back = inflow("2025-03-02", 500_000, "16:00", category="own_transfer")
    more = inflow("2025-03-02", 300_000, "17:00", category="other", counterparty_kind="self")
    assert used(lent(), there, back, spent("2025-03-03", LENT)) == LENT
    assert used(lent(), there, back, more, spent("2025-03-03", LENT)) == 700_000


def test_money_back_undoes_what_was_taken() -> None:
    """A deposit returned is no purchase; from another category it is other money, for what comes after it."""
    flows = [lent(), spent("2025-03-02", 900_000, "property")]
    back = inflow("2025-03-04", 500_000, category="property")
    assert used(*flows, back) == 400_000
    assert used(*flows, inflow("2025-03-04", 500_000, category="securities")) == 900_000
    again = spent("2025-03-05", 300_000, "property")
    assert used(*flows, back, again) == 700_000
    assert used(*flows, inflow("2025-03-04", 2_000_000, category="property"), again) == 0
    assert used(*flows, inflow("2025-03-16", 500_000, category="property")) == 900_000


def test_currencies_are_kept_apart() -> None:
    """Dollars explain no yuan, and a purchase in dollars is not the loan's."""
    assert used(lent(), inflow("2025-03-02", LENT, currency="USD"), spent("2025-03-03", LENT)) == LENT
    assert used(lent(), spent("2025-03-03", LENT, currency="USD")) == 0
    dollars = loans_of(opened(currency="USD"))
    assert used(lent(), spent("2025-03-03", LENT), loans=dollars) == 0


# ---- disbursements ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "severity"), [(199_999, None), (200_000, Severity.WATCH), (LENT, Severity.WATCH)]
)
def test_an_opening_stands_for_a_disbursement_that_is_not_seen(
    amount: int, severity: Severity | None
) -> None:
    """The money may have gone to a shop: never more than watch."""
    assert severity_of(found(spent("2025-03-02", amount))) == severity
    assert severity_of(found(spent("2025-03-02", amount), opened_at=Severity.WATCH)) == severity


@pytest.mark.parametrize(
    ("name", "day", "time", "severity"),
    [
        ("own", "2025-03-06", "08:30", Severity.SERIOUS),
        ("own", "2025-03-06", "08:31", Severity.WATCH),
        (None, "2025-03-06", "08:30", Severity.SERIOUS),
        ("own", "2025-02-24", "08:30", Severity.SERIOUS),
        ("elsewhere", "2025-03-02", "08:30", None),
    ],
)
def test_a_nameless_disbursement_near_the_opening_is_the_loan_s(
    name: str | None, day: str, time: str, severity: Severity | None
) -> None:
    """From its platform or from nobody by name, within five days of the opening; else the opening counts."""
    money = lent(day, time=time, loan_id=None, counterparty_id=name)
    assert severity_of(found(money, spent("2025-03-07", 900_000))) == severity


@pytest.mark.parametrize(
    "fields",
    [{"credit_limit_minor": LENT}, {"principal_minor": 0}],
    ids=["a credit line", "a card"],
)
def test_a_loan_that_opens_without_money_has_nothing_to_misuse(fields: dict[str, int]) -> None:
    """Until it is drawn; then it is compared with its principal, or with what was drawn."""
    line = loans_of(opened(**fields))
    assert found(spent("2025-03-02", LENT), loans=line) is None
    drawn = found(lent(amount=500_000), spent("2025-03-02", LENT), loans=line)
    assert drawn is not None
    assert drawn.reasons[0].evidence["fraction"] == (0.5 if "credit_limit_minor" in fields else 1)


def test_what_the_platform_of_a_voided_loan_lent_is_money_of_others() -> None:
    """It explains spending as any other lender's does; while its loan stood, it was that loan's."""
    both = loans_of(opened(), opened(loan_id="l-2", platform_id="p-2"))
    flows = (lent(), lent("2025-03-02", LENT, loan_id=None, counterparty_id="p-2"), spent("2025-03-03", LENT))
    standing = used(*flows, loans=both)
    both["l-2"].is_voided = True

    assert standing == LENT
    assert used(*flows, loans=both) == used(*flows) == 0


def test_loans_that_were_taken_on_voided_or_closed_are_not_judged() -> None:
    """The living book began elsewhere; what ended is not watched."""
    flows = [spent("2025-03-02", LENT)]
    for fields in (
        {"is_taken_on": True},
        {"is_voided": True},
        {"closed_ms": NOW, "closing_reason": "settled"},
    ):
        loans = {"l-1": msgspec.structs.replace(ONE["l-1"], **fields)}
        assert found(*flows, loans=loans) is None
    loans = {"l-1": msgspec.structs.replace(ONE["l-1"], closed_ms=NOW + 1, closing_reason="settled")}
    assert found(*flows, loans=loans) is not None


def test_tranches_add_up_and_leave_one_by_one() -> None:
    """Each is followed for its own fourteen days, and forgotten at its own time."""
    second = lent("2025-03-20", 400_000)
    flows = [lent(amount=600_000), spent("2025-03-02", 600_000), second, spent("2025-03-21", 400_000)]
    assert used(*flows) == LENT
    first_over_ms = flows[0].event_time_ms + 74 * DAY_MS
    evidence = evidence_of(*flows)
    assert next_deadline_ms(evidence, ONE, "l-1", NOW, RULES) == first_over_ms
    assert used(*flows, now_ms=first_over_ms - 1) == LENT
    assert used(*flows, now_ms=first_over_ms) == 400_000


# ---- several loans ---------------------------------------------------------------------------------------------------

TWO = loans_of(opened(), opened(loan_id="l-2", event_time_ms=at("2025-03-01", "08:40")))


def test_of_two_loans_the_older_money_goes_first() -> None:
    """One payment is put down once: to the first loan as far as it goes, then to the second."""
    flows = [lent(), lent(time="09:30", loan_id="l-2"), spent("2025-03-02", 1_300_000)]
    assert [used(*flows, loans=TWO, loan_id=name) for name in TWO] == [LENT, 300_000]


def test_a_loan_that_allows_it_pays_first() -> None:
    """The mortgage buys the flat, not the consumer loan beside it."""
    both = loans_of(opened(), opened(loan_id="l-2", purpose="mortgage"))
    flows = [lent(), lent(time="09:30", loan_id="l-2"), spent("2025-03-02", 1_300_000, "property")]
    assert [used(*flows, loans=both, loan_id=name) for name in both] == [300_000, 0]


# ---- reasons ---------------------------------------------------------------------------------------------------------


def test_the_reason_can_be_checked_line_by_line() -> None:
    """Amounts by category, the fraction and its threshold, and the days; both texts say the same."""
    finding = found(lent(), spent("2025-03-02", 300_000, "property"), spent("2025-03-04", 250_000))
    assert finding is not None
    (reason,) = finding.reasons
    assert (finding.severity, reason.code) == (Severity.WARNING, "FM-FLOW")
    assert reason.evidence == {
        "fraction": 0.55,
        "threshold": 0.5,
        "used_minor": 550_000,
        "disbursed_minor": LENT,
        "principal_minor": LENT,
        "currency": "CNY",
        "disbursed_date": "2025-03-01",
        "disbursement_seen": "yes",
        "first_date": "2025-03-02",
        "last_date": "2025-03-04",
        "watch_days": 14,
        "property_minor": 300_000,
        "securities_minor": 250_000,
    }
    assert reason.text.en == (
        "Of a loan of 10,000.00 CNY disbursed from 2025-03-01 on, no other money in sight explains "
        "3,000.00 CNY to property, 2,500.00 CNY to securities (2025-03-02 to 2025-03-04): 55 % of it; "
        "this severity holds from 50 %."
    )
    assert reason.text.zh == (
        "2025-03-01 起发放的 10,000.00 CNY 贷款中，3,000.00 CNY 流向房产、2,500.00 CNY 流向证券"
        "（2025-03-02 至 2025-03-04），无法由其他可见资金解释：占 55 %；达到 50 % 即为此级别。"
    )


# ---- the life of an alert --------------------------------------------------------------------------------------------


def told_of(events: list[BorrowerEvent], until: str = "2025-06-30") -> list[str]:
    """The alerts of this signal."""
    return [line for line in story(run(by_time(events), until=until)) if "fund_misuse" in line]


def test_it_opens_rises_and_passes() -> None:
    """With each payment; seventy-four days after the disbursement it is over."""
    flows = [spent("2025-03-02", 300_000), spent("2025-03-04", 300_000), spent("2025-03-06", 300_000)]
    assert told_of([opened(), lent(), *flows]) == [
        "2025-03-02 15:00 fund_misuse opened watch",
        "2025-03-04 15:00 fund_misuse escalated warning",
        "2025-03-06 15:00 fund_misuse escalated serious",
        "2025-05-14 09:00 fund_misuse resolved serious passed",
    ]


def test_somebody_asks_first_and_a_person_decides() -> None:
    """A call at watch and warning; at serious a limit is looked at, by a person."""
    events: list[BorrowerEvent] = [
        opened(),
        lent(),
        spent("2025-03-02", 300_000),
        spent("2025-03-06", 600_000),
    ]
    steps = [
        (alert.loan_id, alert.recommendation.stage, alert.recommendation.human_review_required)
        for alert in run(events)
        if alert.signal == "fund_misuse"
    ]
    assert steps == [("l-1", "call", False), ("l-1", "review_limit", True)]


@pytest.mark.parametrize("use", ["securities", "property", "gambling"])
def test_money_that_comes_back_ends_it(use: str) -> None:
    """Things are as they should be: no name is given to that."""
    back = inflow("2025-03-05", 900_000, "10:00", category=use)
    assert told_of([opened(), lent(), spent("2025-03-02", 900_000, use), back]) == [
        "2025-03-02 15:00 fund_misuse opened serious",
        "2025-03-05 10:00 fund_misuse resolved serious",
    ]


def test_the_end_of_the_loan_ends_it() -> None:
    """By its name."""
    events: list[BorrowerEvent] = [
        opened(),
        lent(),
        spent("2025-03-02", 900_000),
        ended("2025-03-20", "sold"),
    ]
    assert told_of(events)[-1] == "2025-03-20 12:00 fund_misuse resolved serious sold"
    assert resolution(FundUseEvidence(), ONE, "l-1", NOW, at("2025-06-30"), RULES) == "passed"


def test_pay_learnt_late_retracts() -> None:
    """The money was there all along."""
    late = inflow("2025-03-02", 950_000, "10:00", ingested_at_ms=at("2025-03-03"))
    events: list[BorrowerEvent] = [opened(), lent(), spent("2025-03-02", 900_000), late]
    assert [line for line in story(run(events, until="2025-06-30")) if "fund_misuse" in line] == [
        "2025-03-02 15:00 fund_misuse opened serious",
        "2025-03-02 10:00 fund_misuse retracted serious",
    ]


def test_of_one_instant_pay_may_arrive_last() -> None:
    """Systems that know days only: it came first all the same."""
    gone, pay = spent("2025-03-02", 900_000, time="12:00"), inflow("2025-03-02", 900_000, "12:00")
    events: list[BorrowerEvent] = [opened(), lent(), gone, pay]
    assert story(run(events))[-1] == "2025-03-02 12:00 fund_misuse resolved serious"


def test_a_disbursement_learnt_late_raises_what_was_watch() -> None:
    """The opening stood for it until it was seen."""
    late = lent(ingested_at_ms=at("2025-03-03"))
    lines = [
        line
        for line in story(run([opened(), spent("2025-03-02", 900_000), late], until="2025-03-31"))
        if "fund_misuse" in line
    ]
    assert lines == [
        "2025-03-02 15:00 fund_misuse opened watch",
        "2025-03-01 09:00 fund_misuse escalated serious",
    ]


def test_an_opening_learnt_late_opens() -> None:
    """The flows came before their loan."""
    flows = [lent(), spent("2025-03-02", 900_000)]
    late = opened(ingested_at_ms=at("2025-03-03"))
    lines = [line for line in story(run([*flows, late], until="2025-03-31")) if "fund_misuse" in line]
    assert lines == ["2025-03-02 15:00 fund_misuse opened serious"]


@pytest.mark.parametrize("which", [0, 1])
def test_a_void_retracts(which: int) -> None:
    """A returned purchase, or a disbursement taken back: what is left is judged once more."""
    flows = [lent(amount=300_000), spent("2025-03-02", 300_000)]
    voided = EventVoided(
        event_id=event_id(),
        borrower_id="b-1",
        event_time_ms=at("2025-03-03"),
        target_event_id=flows[which].event_id,
    )
    line = opened(credit_limit_minor=LENT)
    events: list[BorrowerEvent] = [line, *flows, voided]
    risk_engine = engine()
    for offset, one in enumerate(events):
        risk_engine.process(one, feed_of(flows[0]) if one is voided else feed_of(one), offset)
    told = [one for one in story(risk_engine.take_alerts(0)) if "fund_misuse" in one]
    assert told == [
        "2025-03-02 15:00 fund_misuse opened watch",
        "2025-03-03 12:00 fund_misuse retracted watch",
    ]


def test_at_a_deadline_what_happens_then_comes_after_it() -> None:
    """A payment of that very instant is not known yet."""
    flows = [lent(), spent("2025-03-02", LENT)]
    evidence, last_ms = evidence_of(*flows), flows[-1].event_time_ms
    assert judge(evidence, ONE, "l-1", last_ms, None, RULES, deadline=True) is None
    assert judge(evidence, ONE, "l-1", last_ms, None, RULES) is not None


# ---- laws ------------------------------------------------------------------------------------------------------------

BEGIN = at("2025-02-01", "00:00")
BOTH = loans_of(
    opened(),
    opened(loan_id="l-2", event_time_ms=at("2025-03-05"), purpose="mortgage", principal_minor=600_000),
)
OPENED = st.sampled_from([None, Severity.WATCH, Severity.WARNING, Severity.SERIOUS])
WORDS = [
    ("in", "salary"),
    ("in", "own_transfer"),
    ("in", "securities"),
    ("in", "loan_disbursement"),
    ("out", "own_transfer"),
    ("out", "securities"),
    ("out", "property"),
    ("out", "living"),
]


@st.composite
def logs(draw: st.DrawFn) -> list[FundFlow]:
    """Money in and out in order of time, with a disbursement among it."""
    moments = draw(st.lists(st.integers(0, 240), max_size=20))
    flows = [lent(), lent("2025-03-05", 600_000, loan_id="l-2", balance_after_minor=900_000)]
    flows = flows[: draw(st.integers(0, 2))]
    for moment in moments:
        direction, category = draw(st.sampled_from(WORDS))
        flows.append(
            flow(
                "2025-02-01",
                draw(st.sampled_from([100_000, 250_000, 600_000])),
                category,
                direction,  # type: ignore[arg-type]  # of the list above
                event_time_ms=BEGIN + moment * 6 * HOUR_MS,
                counterparty_id=draw(st.sampled_from([None, "own", "a"])),
            )
        )
    return sorted(flows, key=lambda one: one.event_time_ms)


def uses(evidence: FundUseEvidence, at_ms: int) -> list[Use | None]:
    """Of both loans."""
    return [use_of(evidence, BOTH, name, at_ms, at_ms, RULES) for name in BOTH]


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 100), max_size=20),
    st.lists(st.integers(0, 100), max_size=4),
    st.integers(0, 30),
    st.integers(0, 30),
    st.integers(0, 100),
)
def test_what_lies_around_disbursements_is_kept(
    times: list[int], draws: list[int], before: int, after: int, recent: int
) -> None:
    """Found by halving, it is what comparing each flow with each disbursement finds."""
    flows = [Flow(time_ms, EARNED, b"", 1, "CNY") for time_ms in sorted(times)]
    expected = [
        one
        for one in flows
        if one.time_ms > recent or any(draw - before <= one.time_ms <= draw + after for draw in draws)
    ]
    assert around(flows, draws, before, after, recent) == expected


@given(logs(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(log: list[FundFlow], dice: Random) -> None:
    """Late flows take their places: the same as of every day."""
    mixed = list(log)
    dice.shuffle(mixed)
    one, other = evidence_of(*log, loans=BOTH), evidence_of(*mixed, loans=BOTH)
    for day in range(0, 110, 3):
        assert uses(one, BEGIN + day * DAY_MS) == uses(other, BEGIN + day * DAY_MS)


@given(logs(), st.integers(0, 300), OPENED)
def test_later_flows_change_no_judgement(
    log: list[FundFlow], quarters: int, opened_at: Severity | None
) -> None:
    """As of an instant, the whole log says what the log up to that instant says."""
    at_ms = BEGIN + quarters * 6 * HOUR_MS
    whole = evidence_of(*log, loans=BOTH)
    cut = evidence_of(*(one for one in log if one.event_time_ms <= at_ms), loans=BOTH)
    for name in BOTH:
        expected = judge(whole, BOTH, name, at_ms, opened_at, RULES)
        assert expected == judge(cut, BOTH, name, at_ms, opened_at, RULES)


@given(logs(), st.integers(1, 5))
def test_how_often_what_is_old_is_forgotten_changes_no_use(log: list[FundFlow], slower: int) -> None:
    """Once in two weeks, as it is done, or with every flow."""
    rarely, always = FundUseEvidence(), FundUseEvidence()
    for one in log:
        apart_ms = one.event_time_ms - BEGIN
        flow = msgspec.structs.replace(one, event_time_ms=BEGIN + slower * apart_ms)
        record_flow(rarely, flow, BOTH, RULES)
        always.forget_ms = 0
        record_flow(always, flow, BOTH, RULES)
        assert uses(rarely, flow.event_time_ms) == uses(always, flow.event_time_ms)


@settings(max_examples=60)
@given(logs(), st.integers(0, 24))
def test_state_survives_its_bytes(log: list[FundFlow], cut: int) -> None:
    """Encoding and decoding in the middle of a log changes nothing."""
    cut %= len(log) + 1
    body = msgspec.msgpack.encode(evidence_of(*log[:cut], loans=BOTH))
    restored = msgspec.msgpack.decode(body, type=FundUseEvidence)
    for one in log[cut:]:
        record_flow(restored, one, BOTH, RULES)
    assert restored == evidence_of(*log, loans=BOTH)


@given(logs(), OPENED)
def test_time_alone_changes_no_judgement_between_deadlines(
    log: list[FundFlow], opened_at: Severity | None
) -> None:
    """From one announced instant to the next the judgement stays as it is; without one it stays for good."""
    evidence = evidence_of(*log, loans=BOTH)
    for name in BOTH:
        now_ms = at("2025-03-05", "12:00") + 1
        while True:
            due_ms = next_deadline_ms(evidence, BOTH, name, now_ms, RULES)
            until_ms = now_ms + 200 * DAY_MS if due_ms is None else due_ms
            expected = judge(evidence, BOTH, name, now_ms, opened_at, RULES, deadline=True)
            for between_ms in {now_ms + 1, (now_ms + until_ms) // 2, until_ms - 1}:
                between = judge(evidence, BOTH, name, between_ms, opened_at, RULES, deadline=True)
                assert between == expected
            if due_ms is None:
                break
            now_ms = due_ms


@given(logs())
def test_what_is_found_is_in_proportion(log: list[FundFlow]) -> None:
    """Never more than was disbursed, nor than went there; a loan that allows property shows none of it."""
    evidence = evidence_of(*log, loans=BOTH)
    gone = sum(one.amount_minor for one in log if one.category in ("securities", "property"))
    found_minor = 0
    for use in uses(evidence, BEGIN + 65 * DAY_MS):
        if use is not None:
            assert 0 <= use.total_minor <= use.disbursed_minor
            found_minor += use.total_minor
    assert found_minor <= gone
    mortgage = use_of(evidence, BOTH, "l-2", BEGIN + 65 * DAY_MS, BEGIN + 65 * DAY_MS, RULES)
    assert mortgage is None or "property" not in mortgage.used_minor


@settings(max_examples=40)
@given(logs(), st.sets(st.integers(0, 21), max_size=4))
def test_a_duplicate_and_a_restart_change_no_alert(log: list[FundFlow], places: set[int]) -> None:
    """Events that come twice, and an engine rebuilt from its state, alert as the plain run does."""
    openings = [opened(), opened(loan_id="l-2", event_time_ms=at("2025-03-05"), purpose="mortgage")]
    events: list[BorrowerEvent] = sorted([*openings, *log], key=lambda one: one.event_time_ms)
    plain, broken, alerts = engine(), engine(), []
    for offset, one in enumerate(events):
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
    """So many flows and disbursements at most; inflows of one day become one before anything is lost."""
    hourly = [
        inflow("2025-03-01", 100, event_time_ms=at("2025-03-01") + hour * HOUR_MS) for hour in range(300)
    ]
    busy = evidence_of(*hourly)
    assert len(busy.flows) == FLOWS_MAX
    assert sum(one.amount_minor for one in busy.flows) == 30_000
    gambler = evidence_of(*(spent("2025-03-02", 100 + n) for n in range(FLOWS_MAX + 5)))
    assert len(gambler.flows) == FLOWS_MAX
    many = evidence_of(*(lent("2025-03-02", 100 + n, loan_id=None) for n in range(DISBURSEMENTS_MAX + 5)))
    assert len(many.disbursed) == DISBURSEMENTS_MAX
    assert len(msgspec.msgpack.encode(FundUseEvidence())) == 6


def test_what_is_near_no_disbursement_is_forgotten() -> None:
    """Two months of pay later little is left; around a loan that is watched everything stays."""
    monthly = [inflow(f"2025-{month:02}-10", 500_000) for month in range(1, 13)]
    assert len(evidence_of(*monthly, loans={}).flows) == 2
    assert len(evidence_of(*monthly[:5]).flows) == 4
    assert evidence_of(lent(), inflow("2026-01-01", 1)).disbursed == []


def test_a_plain_outflow_leaves_no_trace() -> None:
    """Most flows are spending that says nothing."""
    evidence = FundUseEvidence()
    assert not record_flow(evidence, spent("2025-03-02", 100, "living"), ONE, RULES)
    assert evidence == FundUseEvidence()
