"""Which flows are income, what of them is kept, and what had come by an instant."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calendars import DAY_MS
from models.events import CounterpartyKind, FlowCategory, FundFlow
from models.income import (
    ACCOUNTS_MAX,
    ACTIVE_WEEKS_MAX,
    AS_OF_DAYS,
    LINKS_MAX,
    SOURCES_MAX,
    IncomeEvidence,
    has_regular_run,
    is_active,
    monday_of,
    record_flow,
    record_link,
    record_unlink,
    week_of,
    weeks_up_to,
)
from models.limits import INT64_MAX
from models.pays import Pays, next_counting_day, pays_as_of, recognised
from tests.support.events import at, rules
from tests.support.incomes import STABLE, flow, flows_of

RULES = rules()
DAY_OF = RULES.calendar.day_of


def recorded(*flows: FundFlow) -> IncomeEvidence:
    """Record flows in the order given."""
    evidence = IncomeEvidence()
    for one in flows:
        record_flow(evidence, one, RULES)
    return evidence


def income_of(evidence: IncomeEvidence, at_ms: int) -> list[Pays]:
    """What is income as of an instant."""
    return recognised(pays_as_of(evidence, at_ms, RULES.calendar), 0)


def came_by(evidence: IncomeEvidence, at_ms: int) -> int:
    """The sum of all income as of an instant."""
    return sum(sum(pays.amounts) for pays in income_of(evidence, at_ms))


def months(count: int, **fields: Any) -> list[FundFlow]:
    """Pay on the 10th of each month from January 2025 on."""
    return [flow(at(f"2025-{month:02d}-10"), 1000, **fields) for month in range(1, count + 1)]


def living(day: str) -> FundFlow:
    """Day-to-day life."""
    return flow(at(day), 1, category="living", payer="m", kind="merchant", direction="out")


# ---- what is income ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("category", ["salary", "pension", "benefit", "business_income"])
def test_four_categories_are_income_at_once(category: FlowCategory) -> None:
    """One inflow of a category of income is income."""
    evidence = recorded(flow(at("2025-01-10"), 1000, category=category))
    assert came_by(evidence, at("2025-01-10")) == 1000


@pytest.mark.parametrize(
    "category",
    [
        "loan_disbursement",
        "refund",
        "own_transfer",
        "loan_repayment",
        "securities",
        "cash",
        "gambling",
        "other",
    ],
)
def test_no_other_category_ever_is(category: FlowCategory) -> None:
    """However regular, an inflow of any other category is none."""
    evidence = recorded(*months(9, category=category))
    assert income_of(evidence, at("2025-12-31")) == []


def test_outflows_and_nothing_are_no_income() -> None:
    """Money that goes out, and an inflow of zero, are none."""
    evidence = recorded(flow(at("2025-01-10"), 1000, direction="out"), flow(at("2025-01-10"), 0))
    assert income_of(evidence, at("2025-12-31")) == []


def test_a_payer_without_category_is_income_from_the_third_similar_pay_on() -> None:
    """Two pays may be chance; the third makes all three income, and as of an earlier instant still none."""
    evidence = recorded(*months(3, category=None, kind=None))
    assert came_by(evidence, at("2025-03-09")) == 0
    assert came_by(evidence, at("2025-03-10")) == 3000


@pytest.mark.parametrize("kind", ["self", "linked", "lender", "aggregator"])
def test_regular_inflows_of_some_kinds_never_are(kind: CounterpartyKind) -> None:
    """Own money, relatives, lenders and aggregators are no payers."""
    evidence = recorded(*months(9, category=None, kind=kind))
    assert income_of(evidence, at("2025-12-31")) == []


@pytest.mark.parametrize("kind", [None, "employer", "merchant", "government", "other"])
def test_regular_inflows_of_other_kinds_are(kind: CounterpartyKind | None) -> None:
    """Whoever else pays regularly is a payer."""
    evidence = recorded(*months(3, category=None, kind=kind))
    assert came_by(evidence, at("2025-12-31")) == 3000


def test_an_employer_without_category_is_income_at_once() -> None:
    """Who calls itself an employer needs no third pay: a new job must not look like none for two months."""
    evidence = recorded(*months(1, category=None, kind="employer"))
    assert came_by(evidence, at("2025-12-31")) == 1000


def test_without_counterparty_or_for_an_own_loan_nothing_is_regular() -> None:
    """A regular inflow from nobody in particular, or of an own loan, is none."""
    nobody = recorded(*months(9, category=None, payer=None, kind=None))
    of_a_loan = recorded(
        *(msgspec.structs.replace(one, loan_id="l") for one in months(9, category=None, kind=None))
    )
    assert income_of(nobody, at("2025-12-31")) == []
    assert income_of(of_a_loan, at("2025-12-31")) == []


def test_a_pay_without_category_from_a_known_payer_is_income() -> None:
    """A bank that forgets the category once takes nothing away."""
    pays = months(4)
    pays[2] = msgspec.structs.replace(pays[2], category=None, counterparty_kind=None)
    (payer,) = income_of(recorded(*pays), at("2025-12-31"))
    assert payer.amounts == [1000] * 4


def test_a_known_payer_is_known_on_every_account() -> None:
    """Who pays declared income into one account pays income into another, and keeps its room as a candidate."""
    once = flow(at("2025-05-10"), 500, category=None, kind=None, account="acct-2")
    others = [
        flow(at("2025-06-01") + n * DAY_MS, 7 + n, category=None, kind=None, payer=f"p-{n}")
        for n in range(40)
    ]
    assert came_by(recorded(*months(4), once), at("2025-12-31")) == 4500
    assert came_by(recorded(*months(4), once, *others), at("2025-12-31")) == 4500


@pytest.mark.parametrize(
    ("days", "amounts", "regular"),
    [
        ([0, 30, 60], [100, 100, 100], True),
        ([0, 31, 59], [100, 150, 120], True),
        ([0, 31, 59], [100, 151, 120], False),
        ([0, 7, 14], [100, 100, 100], True),
        ([0, 4, 14], [100, 100, 100], True),
        ([0, 4, 15], [100, 100, 100], False),
        ([0, 100, 200], [1, 1, 1], True),
        ([0, 101, 202], [1, 1, 1], False),
        ([0, 30], [100, 100], False),
        ([0, 3, 60, 90, 120, 300], [9, 1, 100, 100, 100, 7], True),
    ],
)
def test_regular_is_three_in_a_row(days: list[int], amounts: list[int], regular: bool) -> None:
    """Similar gaps (1.6 times and 4 days), similar amounts (1.5 times), at least once a quarter; then and later."""
    assert has_regular_run(days, amounts) is regular


# ---- what had come by an instant ---------------------------------------------------------------------------------


def test_pay_counts_from_its_very_millisecond() -> None:
    """The first flow of a week counts at its instant and not before."""
    instant = at("2025-01-10", "09:30")
    evidence = recorded(flow(instant, 1000))
    assert came_by(evidence, instant - 1) == 0
    assert came_by(evidence, instant) == 1000


def test_the_rest_of_a_week_counts_from_the_end_of_its_first_day_and_from_its_own_end() -> None:
    """The second part of a pay counts from midnight on the same day, from Monday on a later one."""
    evidence = recorded(
        flow(at("2025-01-06", "09:00"), 100),
        flow(at("2025-01-06", "10:00"), 20),
        flow(at("2025-01-08", "09:00"), 3),
        flow(at("2025-01-12", "09:00"), 4),
    )
    counted = [
        came_by(evidence, at(day, time))
        for day, time in (
            ("2025-01-06", "08:59"),
            ("2025-01-06", "23:59"),
            ("2025-01-07", "00:00"),
            ("2025-01-12", "23:59"),
            ("2025-01-13", "00:00"),
        )
    ]
    assert counted == [0, 100, 120, 120, 127]


def test_what_counts_later_is_announced() -> None:
    """Until the midnight or the Monday from which all counts, and not beyond."""
    evidence = recorded(flow(at("2025-01-06", "09:00"), 100))

    def next_day(day: str) -> int | None:
        return next_counting_day(evidence, DAY_OF(at(day)))

    assert next_day("2025-01-06") is None
    record_flow(evidence, flow(at("2025-01-06", "10:00"), 20), RULES)
    assert next_day("2025-01-06") == DAY_OF(at("2025-01-07"))
    assert next_day("2025-01-07") is None
    record_flow(evidence, flow(at("2025-01-08"), 3), RULES)
    assert next_day("2025-01-08") == DAY_OF(at("2025-01-13"))
    assert next_day("2025-01-13") is None


def test_a_week_of_many_pays_is_judged_a_few_times_only() -> None:
    """First pay, second pay day; what follows in the week is awaited already. Out of order it matters again."""
    evidence = IncomeEvidence()
    days = ("2025-01-06", "2025-01-07", "2025-01-07", "2025-01-08", "2025-01-10", "2025-01-13", "2025-01-10")
    mattered = [record_flow(evidence, flow(at(day), 5), RULES) for day in days]
    assert mattered == [True, True, False, False, False, True, True]
    record_flow(evidence, living("2025-01-21"), RULES)
    assert record_flow(evidence, flow(at("2025-01-14"), 5), RULES)
    assert record_flow(evidence, flow(at("2025-01-15"), 5), RULES)


def test_a_week_is_one_entry_on_its_last_pay_day() -> None:
    """Daily pay becomes weekly pay; a Sunday and the Monday after are two weeks."""
    evidence = recorded(*(flow(at(f"2025-01-{day:02d}"), 10) for day in (6, 7, 8, 12, 13)))
    (payer,) = income_of(evidence, at("2025-02-01"))
    assert payer.days == [DAY_OF(at("2025-01-12")), DAY_OF(at("2025-01-13"))]
    assert payer.amounts == [40, 10]


@given(st.randoms(use_true_random=False), st.integers(0, AS_OF_DAYS // 7))
def test_the_past_is_exact_for_so_many_days(dice: Random, weeks: int) -> None:
    """Within `AS_OF_DAYS` of the newest pay, every Monday tells what a plain sum over the log does."""
    newest = at("2025-12-28", "20:00")
    flows = [
        flow(newest - dice.randint(0, 130 * DAY_MS), dice.randint(1, 99), payer=dice.choice("ab"))
        for _ in range(dice.randint(1, 200))
    ]
    evidence = recorded(flow(newest, 1, payer="c"), *flows)
    monday = RULES.calendar.midnight_ms(monday_of(week_of(DAY_OF(newest)) - weeks))
    expected = sum(one.amount_minor for one in flows if one.event_time_ms < monday)
    counted = [pays for pays in pays_as_of(evidence, monday - 1, RULES.calendar) if pays.days[-1]]
    assert sum(sum(pays.amounts) for pays in counted) <= expected
    counted = pays_as_of(evidence, monday, RULES.calendar)
    assert sum(sum(pays.amounts) for pays in counted) == expected + sum(
        one.amount_minor for one in flows if one.event_time_ms == monday
    )


@given(st.randoms(use_true_random=False))
def test_any_order_of_arrival_leaves_the_same(dice: Random) -> None:
    """The same flows in another order are kept as the same weeks and first pay days."""
    flows = [
        flow(at("2024-01-01") + dice.randint(0, 900 * DAY_MS), dice.randint(1, 99), payer=dice.choice("ab"))
        for _ in range(dice.randint(1, 120))
    ]
    one = recorded(*flows)
    dice.shuffle(flows)
    other = recorded(*flows)

    def by_payer(evidence: IncomeEvidence) -> list[object]:
        return sorted(msgspec.to_builtins(evidence.sources), key=lambda source: source[1])

    assert by_payer(one) == by_payer(other)


# ---- limits ------------------------------------------------------------------------------------------------------


def test_the_state_of_a_salaried_borrower_is_small() -> None:
    """Thirteen months of monthly pay and daily life take less than 300 bytes, three years less than 420."""
    dice = Random("small")
    flows = flows_of(STABLE["monthly"](dice), dice, RULES)
    year = [one for one in flows if one.event_time_ms < flows[0].event_time_ms + 400 * DAY_MS]
    again = [msgspec.structs.replace(one, event_time_ms=one.event_time_ms + 730 * DAY_MS) for one in flows]
    assert len(msgspec.msgpack.encode(recorded(*year))) < 300
    assert len(msgspec.msgpack.encode(recorded(*flows, *again))) < 420


def test_the_state_of_daily_pay_is_bounded() -> None:
    """Ten years of five pays a day stay below 1.5 KiB, since a week is one entry."""
    evidence = IncomeEvidence()
    for day in range(3650):
        for hour in range(5):
            at_ms = at("2015-01-01", "08:00") + day * DAY_MS + hour * 3_600_000
            record_flow(evidence, flow(at_ms, 10_000, category="business_income"), RULES)
    assert len(msgspec.msgpack.encode(evidence)) < 1536


def test_declared_payers_beyond_the_limit_share_a_source() -> None:
    """No declared income is dropped: what has no room of its own is counted together."""
    flows = [flow(at("2025-01-10"), 1, payer=f"e-{n}", account=f"a-{n % 3}") for n in range(SOURCES_MAX + 9)]
    evidence = recorded(*flows)
    assert len(evidence.sources) == SOURCES_MAX + 1
    assert came_by(evidence, at("2025-02-10")) == SOURCES_MAX + 9


def test_currencies_beyond_the_limit_make_no_further_sources() -> None:
    """A flood of made-up currencies ends at a bound."""
    flows = [flow(at("2025-01-10"), 1, currency=f"X{n}") for n in range(99)]
    assert len(recorded(*flows).sources) == SOURCES_MAX + 4


def test_a_new_candidate_takes_the_room_of_the_stalest_that_is_no_income() -> None:
    """A regular payer without category keeps its room however many others come."""
    regular = months(4, category=None, kind=None, payer="regular")
    others = [
        flow(at("2025-05-01") + n * DAY_MS, 7 + n, category=None, kind=None, payer=f"p-{n}")
        for n in range(40)
    ]
    evidence = recorded(*regular, *others)
    assert len(evidence.sources) == SOURCES_MAX
    assert came_by(evidence, at("2025-12-31")) == 4000
    assert "p-39" in {source.counterparty_id for source in evidence.sources}


def test_candidates_are_refused_once_all_are_regular() -> None:
    """Where every candidate is income, one more finds no room, and says that nothing changed."""
    evidence = IncomeEvidence()
    for n in range(SOURCES_MAX):
        for one in months(3, category=None, kind=None, payer=f"r-{n}"):
            record_flow(evidence, one, RULES)
    assert not record_flow(evidence, flow(at("2025-04-10"), 1, category=None, kind=None, payer="x"), RULES)


def test_accounts_beyond_the_limit_still_bring_income() -> None:
    """Only their silence cannot be told."""
    flows = [flow(at("2025-01-10"), 1, account=f"a-{n}") for n in range(ACCOUNTS_MAX + 5)]
    evidence = recorded(*flows)
    assert len(evidence.accounts) == ACCOUNTS_MAX
    assert came_by(evidence, at("2025-02-10")) == ACCOUNTS_MAX + 5
    assert not record_flow(evidence, flow(at("2025-02-10"), 1, account="new", direction="out"), RULES)
    assert not record_unlink(evidence, "new", at("2025-02-11"))


def test_long_names_are_kept_short_and_apart() -> None:
    """Two long ids that begin alike remain two payers and two accounts."""
    long = "x" * 200
    evidence = recorded(
        flow(at("2025-01-10"), 1, payer=long + "1", account=long + "1"),
        flow(at("2025-01-10"), 1, payer=long + "2", account=long + "2"),
        flow(at("2025-01-11"), 1, payer="m", account=long + "2", direction="out"),
    )
    assert len(evidence.sources) == len(evidence.accounts) == 2
    assert all(len(source.counterparty_id) <= 32 for source in evidence.sources)


def test_sums_stay_within_64_bits() -> None:
    """Absurd amounts saturate, so that the state can always be written."""
    evidence = recorded(*(flow(at("2025-01-10", f"{hour:02d}:00"), INT64_MAX) for hour in range(9)))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(evidence), type=IncomeEvidence) == evidence


def test_income_older_than_any_judgement_asks_for_is_not_kept() -> None:
    """Years later the first pays are gone, and a pay that old is not taken in any more."""
    evidence = recorded(flow(at("2020-01-10"), 1), flow(at("2025-01-10"), 1))
    assert not record_flow(evidence, flow(at("2020-02-10"), 1), RULES)
    assert [len(source.days) for source in evidence.sources] == [1]


# ---- accounts ----------------------------------------------------------------------------------------------------


def test_plain_flows_mark_weeks_and_matter_after_a_silence_only() -> None:
    """Day-to-day life changes no judgement; the first flow after an idle week may."""
    evidence = IncomeEvidence()
    days = ("2025-01-06", "2025-01-07", "2025-01-12", "2025-01-13", "2025-01-27", "2025-01-28")
    mattered = [record_flow(evidence, living(day), RULES) for day in days]
    assert mattered == [True, False, False, False, True, False]
    week = week_of(DAY_OF(at("2025-01-06")))
    (account,) = evidence.accounts
    assert weeks_up_to(account, week + 3) == account.active_weeks == 0b1101
    assert weeks_up_to(account, week + 1) == 0b11
    assert weeks_up_to(account, week + 4) == 0b11010
    assert is_active(account, week, week)
    assert not is_active(account, week + 2, week + 2)
    assert not is_active(account, week + 4, week + 9)


def test_a_late_flow_marks_its_week() -> None:
    """Learnt late, it still breaks the silence of its time; far too late it is out of memory."""
    evidence = IncomeEvidence()
    record_flow(evidence, living("2025-06-02"), RULES)
    assert record_flow(evidence, living("2025-05-12"), RULES)
    assert not record_flow(evidence, living("2025-05-13"), RULES)
    assert not record_flow(evidence, living("2020-05-13"), RULES)
    assert evidence.accounts[0].active_weeks == 0b1001


def test_a_flow_after_years_forgets_the_weeks_before() -> None:
    """The memory of weeks is a window that moves on."""
    evidence = recorded(living("2015-01-06"), living("2025-01-06"))
    assert evidence.accounts[0].active_weeks == 1
    assert evidence.accounts[0].active_weeks < 1 << ACTIVE_WEEKS_MAX


def test_own_transfers_are_no_life_of_an_account() -> None:
    """What sweeps the pay away follows the pay and says nothing of its own."""
    evidence = recorded(flow(at("2025-01-06"), 1, category="own_transfer", direction="out"))
    assert evidence.accounts == []


def test_links_are_kept_in_order_of_time_and_bounded() -> None:
    """Late or many, the newest so many links remain, in order."""
    evidence = IncomeEvidence()
    for minute in (30, 10, 20):
        record_unlink(evidence, "a", minute)
        record_link(evidence, "a", minute + 5)
    assert evidence.accounts[0].links == [20, 31, 40, 51, 60, 71]
    for minute in range(100, 200):
        assert record_unlink(evidence, "a", minute)
    assert evidence.accounts[0].links == [minute * 2 for minute in range(200 - LINKS_MAX, 200)]
