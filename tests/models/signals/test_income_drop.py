"""`income_drop` on both sides of its thresholds and deadlines, and what it must not mistake for a loss."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from models.alerts import Finding, Severity
from models.calendars import DAY_MS, day_of_date
from models.events import FundFlow
from models.income import IncomeEvidence, record_flow, record_link, record_unlink
from models.income_level import income_from
from models.income_outlook import awaits_pay, is_plain, lost_fraction, outlook_of, steady_income
from models.limits import INT64_MAX
from models.rules import Rules
from models.signals.income_drop import judge, next_deadline_ms, resolution
from tests.support.events import at, local, rules
from tests.support.incomes import drive, flow

RULES = rules()
PAY = 1_000_000
MONTHS = ("2025-03-10", "2025-04-10", "2025-05-10", "2025-06-10", "2025-07-10", "2025-08-10")
"""Six pays far from the Spring Festivals of 29 January 2025 and 17 February 2026."""
SIX_LATER = ("2025-11-10", "2025-12-10", "2026-01-10", "2026-02-10", "2026-03-10", "2026-04-10")
FOLLOWED = "2025-09-18"
"""The pay of 10 August no longer stands where another came since: 31 days to the next, and 7 more."""
ABSENT = "2025-09-25"
"""Nor does it where none came: 45 days for a change of employer."""


def recorded(*flows: FundFlow, rules: Rules = RULES) -> IncomeEvidence:
    """Record flows in the order given."""
    evidence = IncomeEvidence()
    for one in flows:
        record_flow(evidence, one, rules)
    return evidence


def pays(*days: str, amount: int = PAY, **fields: Any) -> list[FundFlow]:
    """Pay on each of the days."""
    return [flow(at(day), amount, **fields) for day in days]


def living(first: str, last: str, every_days: int = 3, account: str = "acct-1") -> list[FundFlow]:
    """Day-to-day spending."""
    return [
        flow(at_ms, 100, category="living", payer="m", kind="merchant", account=account, direction="out")
        for at_ms in range(at(first), at(last) + 1, every_days * DAY_MS)
    ]


def in_time(*flows: FundFlow) -> list[FundFlow]:
    """In order of time."""
    return sorted(flows, key=lambda one: one.event_time_ms)


def found(
    evidence: IncomeEvidence,
    day: str,
    time: str = "00:00",
    opened: tuple[Severity, str] | None = None,
    rules: Rules = RULES,
) -> Finding | None:
    """Judge at a local day and time."""
    severity, opened_day = opened or (None, None)
    opened_ms = None if opened_day is None else at(opened_day, "00:00")
    return judge(evidence, at(day, time), severity, opened_ms, rules)


def severity_of(
    evidence: IncomeEvidence,
    day: str,
    time: str = "00:00",
    opened: tuple[Severity, str] | None = None,
    rules: Rules = RULES,
) -> Severity | None:
    """The severity found, if any."""
    finding = found(evidence, day, time, opened, rules)
    return None if finding is None else finding.severity


def codes_of(finding: Finding | None) -> list[str]:
    """The codes of its reasons."""
    return [] if finding is None else [reason.code for reason in finding.reasons]


def due(
    evidence: IncomeEvidence, day: str, opened: tuple[Severity, str] | None = None, rules: Rules = RULES
) -> str | None:
    """The next deadline after noon of a day, as local day and time."""
    severity, opened_day = opened or (None, None)
    opened_ms = None if opened_day is None else at(opened_day, "00:00")
    due_ms = next_deadline_ms(evidence, at(day), severity, opened_ms, rules)
    return None if due_ms is None else local(due_ms)


# ---- thresholds --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "severity"),
    [
        (1_000_000, None),
        (700_001, None),
        (700_000, Severity.WATCH),
        (500_001, Severity.WATCH),
        (500_000, Severity.WARNING),
        (200_001, Severity.WARNING),
        (200_000, Severity.SERIOUS),
        (1, Severity.SERIOUS),
    ],
)
def test_the_part_lost_sets_the_severity(amount: int, severity: Severity | None) -> None:
    """30 % lost is watch, 50 % warning, 80 % serious, and one fen more in hand is not."""
    evidence = recorded(*pays(*MONTHS), *pays("2025-09-10", amount=amount))
    assert severity_of(evidence, "2025-09-17", "23:59") is None
    assert severity_of(evidence, FOLLOWED) == severity


def test_the_policy_sets_the_thresholds() -> None:
    """Other fractions judge by those."""
    other = rules("[signals.income_drop]\nseverity = { watch = 0.1, warning = 0.2, serious = 0.3 }")
    evidence = recorded(*pays(*MONTHS), *pays("2025-09-10", amount=899_999), rules=other)
    assert severity_of(evidence, FOLLOWED, rules=other) == Severity.WATCH
    evidence = recorded(*pays(*MONTHS), *pays("2025-09-10", amount=700_000), rules=other)
    assert severity_of(evidence, FOLLOWED, rules=other) == Severity.SERIOUS


def test_absent_income_is_serious_at_the_midnight_after_a_job_change_would_have_ended() -> None:
    """To the millisecond: 45 days after the last pay have ended."""
    evidence = recorded(*pays(*MONTHS))
    midnight = at(ABSENT, "00:00")
    assert judge(evidence, midnight - 1, None, None, RULES) is None
    finding = judge(evidence, midnight, None, None, RULES)
    assert finding is not None
    assert (finding.severity, finding.actionable, codes_of(finding)) == (
        Severity.SERIOUS,
        True,
        ["ID-ABSENT"],
    )
    assert due(evidence, "2025-08-10") == f"{ABSENT} 00:00"


def test_without_allowance_for_a_job_change_absence_shows_a_week_after_the_expected_day() -> None:
    """The policy may trade false alarms at a change of employer for eight days' notice."""
    early = rules("[signals.income_drop]\njob_change_days = 0")
    evidence = recorded(*pays(*MONTHS), rules=early)
    assert severity_of(evidence, "2025-09-17", "23:59", rules=early) is None
    assert severity_of(evidence, FOLLOWED, rules=early) == Severity.SERIOUS


@pytest.mark.parametrize("category", ["pension", "benefit"])
def test_nobody_changes_a_pension(category: str) -> None:
    """A pension or benefit that fails to come shows a week after its day."""
    evidence = recorded(*pays(*MONTHS, category=category, payer="fund", kind="government"))
    assert severity_of(evidence, "2025-09-17", "23:59") is None
    assert severity_of(evidence, FOLLOWED) == Severity.SERIOUS


@pytest.mark.parametrize(("first", "history_days"), [("2025-05-13", 89), ("2025-05-12", 90)])
def test_ninety_days_of_history_are_needed(first: str, history_days: int) -> None:
    """From the first to the last full pay; then there are deadlines, too."""
    evidence = recorded(*pays(first, "2025-06-10", "2025-07-10", "2025-08-10"))
    assert severity_of(evidence, "2025-10-10") == (Severity.SERIOUS if history_days >= 90 else None)
    assert (due(evidence, "2025-08-10") is None) is (history_days < 90)


@pytest.mark.parametrize(("first", "looked_at"), [("2025-05-13", None), ("2025-05-12", f"{ABSENT} 00:00")])
def test_the_history_of_several_payers_is_from_the_first_pay_to_the_last(
    first: str, looked_at: str | None
) -> None:
    """Ninety days together are enough for a deadline, whoever paid first and whoever last."""
    flows = [*pays(first, "2025-06-12"), *pays("2025-07-10", "2025-08-10", payer="employer-2")]
    assert due(recorded(*flows), "2025-08-11") == looked_at


def test_a_low_pay_adds_nothing_to_the_history() -> None:
    """The history ends with the last pay before the loss."""
    evidence = recorded(*pays("2025-05-13", "2025-06-10", "2025-07-10", "2025-08-10"))
    for one in pays("2025-09-10", "2025-10-10", amount=100_000):
        record_flow(evidence, one, RULES)
    assert severity_of(evidence, "2025-10-20") is None


# ---- what is no loss ---------------------------------------------------------------------------------------------


def test_a_triple_bonus_makes_the_next_pay_no_loss() -> None:
    """The usual income is what is usual."""
    evidence = recorded(*pays(*MONTHS[:-1]), *pays("2025-08-10", amount=3 * PAY), *pays("2025-09-10"))
    assert severity_of(evidence, "2025-09-30") is None


def test_a_bonus_every_quarter_is_never_usual() -> None:
    """Twelve days before every third pay, twice the pay: it stands at most of the looks, and still is a bonus."""
    bonus_days = ("2024-09-13", "2024-12-14", "2025-03-20", "2025-06-14")
    pay_days = [f"2024-{month:02d}-27" for month in range(9, 13)] + [
        f"2025-{month:02d}-27" for month in range(1, 8)
    ]
    flows = in_time(*pays(*pay_days), *pays(*bonus_days, amount=2 * PAY))
    assert severity_of(recorded(*flows), "2025-07-28") is None
    assert drive(flows, at("2025-08-30", "00:00"), RULES) == []


@pytest.mark.parametrize(("amount", "severity"), [(700_000, Severity.WATCH), (700_001, None)])
def test_what_stands_at_most_looks_is_usual_though_most_pays_are_lower(
    amount: int, severity: Severity | None
) -> None:
    """Every other pay is a quarter more, which is no bonus yet, and stands beside the next one: a loss is measured by it."""
    elsewhere = rules("[signals.income_drop]\nspring_festival_days = 0")
    higher = ("2025-05-17", "2025-07-18", "2025-09-18", "2025-11-19")
    lower = ("2025-02-25", "2025-04-16", "2025-06-17", "2025-08-18", "2025-10-19", "2025-12-20")
    varied = in_time(*pays(*higher, amount=1_000_000), *pays(*lower, amount=800_000))
    evidence = recorded(*varied, *pays("2026-01-20", amount=amount), rules=elsewhere)
    assert severity_of(evidence, "2026-02-11", rules=elsewhere) is None
    assert severity_of(evidence, "2026-02-12", rules=elsewhere) == severity


def test_a_small_extra_payment_is_no_pay_cut() -> None:
    """An allowance three weeks after the pay does not replace it, and two of them a month neither."""
    extras = [one for month in ("08", "09") for one in pays(f"2025-{month}-20", f"2025-{month}-30", amount=9)]
    flows = in_time(*pays(*MONTHS, "2025-09-10"), *extras)
    assert drive(flows, at("2025-10-10", "00:00"), RULES) == []


def test_pay_in_two_parts_is_one_pay() -> None:
    """Sixty percent on the 10th and the rest on the 15th is full pay, before and after the second part."""
    parts = [
        one
        for month in range(3, 10)
        for one in (
            *pays(f"2025-{month:02d}-10", amount=600_000),
            *pays(f"2025-{month:02d}-15", amount=400_000),
        )
    ]
    assert drive(parts, at("2025-10-20", "00:00"), RULES) == []


def test_two_pays_a_month_from_one_employer_are_one_income() -> None:
    """Base pay on the 5th, the variable part on the 20th: neither is a loss beside the other."""
    parts = [
        one
        for month in range(3, 11)
        for one in (
            *pays(f"2025-{month:02d}-05", amount=700_000),
            *pays(f"2025-{month:02d}-20", amount=300_000),
        )
    ]
    assert drive(parts, at("2025-10-31", "00:00"), RULES) == []


@pytest.mark.parametrize(("first_new", "alarms"), [("2025-09-24", 0), ("2025-09-25", 1)])
def test_a_change_of_employer_may_take_45_days(first_new: str, alarms: int) -> None:
    """New pay on the 45th day is in time; a day later the loss had been told, and is resolved by the pay."""
    flows = [*pays(*MONTHS), *pays(first_new, "2025-10-24", payer="employer-2", amount=900_000)]
    episodes = drive(flows, at("2025-11-20", "00:00"), RULES)
    assert len(episodes) == alarms
    assert [local(one.closed_ms or 0) for one in episodes] == [f"{first_new} 12:00"] * alarms
    assert [one.resolution for one in episodes] == [None] * alarms


def test_a_new_employers_first_pay_may_be_for_part_of_a_month() -> None:
    """Half a pay from a new employer is no loss until its second pay is half as well."""
    half = [*pays(*MONTHS), *pays("2025-09-10", payer="employer-2", amount=500_000)]
    assert severity_of(recorded(*half), ABSENT) is None
    full = [*half, *pays("2025-10-10", payer="employer-2")]
    assert severity_of(recorded(*full), "2025-11-01") is None
    half_again = [*half, *pays("2025-10-10", payer="employer-2", amount=500_000)]
    assert severity_of(recorded(*half_again), "2025-11-01") == Severity.WARNING
    less = [*pays(*MONTHS), *pays("2025-09-10", payer="employer-2", amount=350_000)]
    assert severity_of(recorded(*less), ABSENT) == Severity.WARNING


def test_side_income_below_three_tenths_may_stay_away() -> None:
    """A quarter of the income missing is no alert."""
    flows = [*pays(*MONTHS, "2025-09-10"), *pays(*MONTHS, amount=333_333, payer="side")]
    assert severity_of(recorded(*in_time(*flows)), "2025-10-01") is None


@pytest.mark.parametrize(
    ("after", "first_loss"),
    [
        # Due on 10 February, five days before the festival of 2026-02-17: two weeks late or small, so the next one tells.
        ("2026-01-10", "2026-03-18"),
        # Due on 11 March; but the pay of 8 February may have come two weeks early.
        ("2026-02-08", "2026-04-02"),
        # Due on 25 March; the pay of 22 February cannot have been early.
        ("2026-02-22", "2026-04-09"),
        # Due on 5 December, far from it.
        ("2025-11-05", "2025-12-21"),
    ],
)
def test_a_festival_makes_the_waiting_longer(after: str, first_loss: str) -> None:
    """Three weeks are added where pay is due near the Spring Festival, one after an early pay, and none elsewhere."""
    year, month, day = map(int, after.split("-"))
    before = [
        f"{year - (month - back < 1)}-{(month - back - 1) % 12 + 1:02d}-{day:02d}" for back in range(6, 0, -1)
    ]
    evidence = recorded(*pays(*before, after))
    assert due(evidence, after) == f"{first_loss} 00:00"
    assert severity_of(evidence, first_loss) == Severity.SERIOUS
    assert judge(evidence, at(first_loss, "00:00") - 1, None, None, RULES) is None


def test_a_small_pay_at_the_festival_is_forgiven_once() -> None:
    """Half a pay in the festival's month is no loss; half a pay the month after as well is one."""
    before = pays("2025-09-10", "2025-10-10", "2025-11-10", "2025-12-10", "2026-01-10")
    small = pays("2026-02-10", amount=500_000)
    back = drive([*before, *small, *pays("2026-03-12")], at("2026-04-01", "00:00"), RULES)
    again = drive([*before, *small, *pays("2026-03-12", amount=500_000)], at("2026-04-01", "00:00"), RULES)
    assert back == []
    assert [(local(one.opened_ms), one.worst) for one in again] == [("2026-03-18 00:00", Severity.WARNING)]


def test_where_there_is_no_such_festival_nothing_is_added() -> None:
    """A lender elsewhere switches it off."""
    elsewhere = rules("[signals.income_drop]\nspring_festival_days = 0")
    evidence = recorded(*pays("2025-09-10", "2025-10-10", "2025-11-10", "2025-12-10", "2026-01-10"))
    assert due(evidence, "2026-01-10", rules=elsewhere) == "2026-02-25 00:00"


# ---- what is one -------------------------------------------------------------------------------------------------


def test_the_loss_of_the_bigger_of_two_employers_is_found() -> None:
    """Six of ten parts gone is a warning, and the reason names what is left."""
    flows = in_time(
        *pays(*MONTHS, amount=600_000),
        *pays(*(month[:-2] + "20" for month in MONTHS), "2025-09-20", amount=400_000, payer="employer-2"),
    )
    finding = found(recorded(*flows), ABSENT)
    assert finding is not None
    assert (finding.severity, codes_of(finding)) == (Severity.WARNING, ["ID-DROP"])
    assert finding.reasons[0].evidence["income_minor"] == 400_000


def test_weekly_pay_that_stops_is_found_after_three_weeks() -> None:
    """The last pay stands through 21 days."""
    first = at("2025-03-07")
    weekly = [flow(first + week * 7 * DAY_MS, PAY) for week in range(20)]
    evidence = recorded(*weekly)
    last_day = day_of_date(date(2025, 3, 7)) + 19 * 7
    due_ms = next_deadline_ms(evidence, weekly[-1].event_time_ms, None, None, RULES)
    assert due_ms == RULES.calendar.midnight_ms(last_day + 22)
    finding = judge(evidence, due_ms, None, None, RULES)
    assert finding is not None
    assert (finding.severity, codes_of(finding)) == (Severity.SERIOUS, ["ID-ABSENT"])


@pytest.mark.parametrize(
    ("days_apart", "amounts", "usual_minor"),
    [
        # 10,400 of two pays, which vary by 200: each such sum shares one pay with the next, half of the variation shows.
        (15, [500_000, 520_000, 540_000], 1_020_000),
        # 10,436.57 of eight pays, as a month's part of them, which vary by 217.43: of such sums more is hidden.
        (7, [200_000, 200_000, 260_000, 300_000, 180_000], 1_043_657 - 21_743 - 21_743 // 2),
    ],
)
def test_what_pay_ordinarily_varies_by_is_not_usual(
    days_apart: int, amounts: list[int], usual_minor: int
) -> None:
    """And half as much again where a month's income is the sum of more than two pays."""
    evidence = IncomeEvidence()
    for number in range(180 // days_apart + 1):
        at_ms = at("2025-03-07") + number * days_apart * DAY_MS
        record_flow(evidence, flow(at_ms, amounts[number % len(amounts)]), RULES)
    finding = found(evidence, "2025-12-01")

    assert finding is not None
    assert finding.reasons[0].evidence["usual_income_minor"] == usual_minor


def test_a_decline_by_and_by_rises_through_the_severities() -> None:
    """A tenth less each month: watch at 70 %, warning at half of what was usual when it opened."""
    amounts = [10, 10, 10, 10, 10, 10, 9, 8, 7, 6, 5, 4, 4]
    days = [f"2025-{month:02d}-10" for month in range(1, 13)] + ["2026-01-10"]
    flows = [flow(at(day), amount * 100_000) for day, amount in zip(days, amounts, strict=True)]
    (episode,) = drive(flows, at("2026-01-31", "00:00"), RULES)
    assert local(episode.opened_ms) == "2025-09-18 00:00"
    assert episode.worst == Severity.WARNING
    finding = found(recorded(*flows), "2025-09-18")
    assert finding is not None
    assert finding.reasons[0].evidence["expected_by_date"] == "2025-09-17"


def test_irregular_payers_are_waited_for_as_long_as_they_have_let_wait() -> None:
    """Who once paid after 50 days is waited for 53."""
    days = ("2025-03-10", "2025-04-09", "2025-05-29", "2025-06-28", "2025-07-29", "2025-08-10")
    assert due(recorded(*pays(*days)), "2025-08-10") == "2025-10-03 00:00"


# ---- hysteresis and the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opened", "amount", "severity"),
    [
        (Severity.WATCH, 750_000, Severity.WATCH),
        (Severity.WATCH, 750_001, None),
        (Severity.WARNING, 550_000, Severity.WARNING),
        (Severity.WARNING, 550_001, Severity.WATCH),
        (Severity.SERIOUS, 250_000, Severity.SERIOUS),
        (Severity.SERIOUS, 250_001, Severity.WARNING),
        (Severity.SERIOUS, 750_001, None),
        (Severity.WATCH, 500_000, Severity.WARNING),
        (Severity.WATCH, 500_001, Severity.WATCH),
    ],
)
def test_an_open_alert_eases_with_a_margin(opened: Severity, amount: int, severity: Severity | None) -> None:
    """It keeps its severity until the loss is 5 % below its threshold, and rises at the threshold itself."""
    evidence = recorded(*pays(*MONTHS), *pays("2025-09-10", amount=amount))
    assert severity_of(evidence, "2025-09-26", opened=(opened, ABSENT)) == severity


def test_income_that_returns_resolves_at_its_instant() -> None:
    """The pay itself ends the alert, and the way it ended is that income returned."""
    evidence = recorded(*pays(*MONTHS, "2025-10-20"))
    opened = (Severity.SERIOUS, ABSENT)
    assert severity_of(evidence, "2025-10-20", "11:59", opened) == Severity.SERIOUS
    assert found(evidence, "2025-10-20", "12:00", opened) is None
    assert resolution(evidence, at(ABSENT, "00:00"), at("2025-10-20"), RULES) is None


def test_what_is_usual_stays_what_it_was_before_the_opening() -> None:
    """Five months into the loss, it is still measured against the income before."""
    low = pays("2025-09-10", "2025-10-10", "2025-11-10", "2025-12-10", "2026-01-10", amount=450_000)
    evidence = recorded(*pays(*MONTHS), *low)
    finding = found(evidence, "2026-02-01", opened=(Severity.WARNING, FOLLOWED))
    assert finding is not None
    assert finding.reasons[0].evidence["usual_income_minor"] == PAY
    assert finding.severity == Severity.WARNING


def test_a_level_of_180_days_is_the_new_normal() -> None:
    """The alert ends as passed, and does not open again."""
    low = [
        one
        for month in ("2025-09", "2025-10", "2025-11", "2025-12", "2026-01", "2026-02", "2026-03", "2026-04")
        for one in pays(f"{month}-10", amount=450_000)
    ]
    (episode,) = drive([*pays(*MONTHS), *low], at("2026-06-30", "00:00"), RULES)[:1]
    assert local(episode.opened_ms) == f"{FOLLOWED} 00:00"
    assert episode.closed_ms == episode.opened_ms + 180 * DAY_MS
    assert episode.resolution == "passed"
    (_, after) = drive([*pays(*MONTHS), *low], at("2026-06-30", "00:00"), RULES)
    assert local(after.opened_ms) == "2026-05-26 00:00"
    assert after.worst == Severity.SERIOUS


@pytest.mark.parametrize(("first", "severity"), [(600_000, None), (600_001, Severity.WARNING)])
def test_a_level_has_settled_within_a_band(first: int, severity: Severity | None) -> None:
    """Fifteen hundredths of the usual income between then and now, and not a fen more."""
    low = pays("2025-09-10", "2025-10-10", amount=first) + pays(*SIX_LATER, amount=450_000)
    opened = (Severity.WARNING, FOLLOWED)

    assert severity_of(recorded(*pays(*MONTHS), *low), "2026-03-16", opened=opened) == Severity.WARNING
    assert severity_of(recorded(*pays(*MONTHS), *low), "2026-03-17", opened=opened) == severity


def test_a_level_has_settled_when_180_days_are_alike() -> None:
    """What it was 180 days before the look counts no more; it is looked at every 30 days."""
    low = pays("2025-09-10", amount=650_000) + pays("2025-10-10", *SIX_LATER, amount=450_000)
    evidence = recorded(*pays(*MONTHS), *low)
    opened = (Severity.WARNING, "2025-09-15")

    assert severity_of(evidence, "2026-04-12", opened=opened) == Severity.WARNING
    assert severity_of(evidence, "2026-04-13", opened=opened) is None


@pytest.mark.parametrize(("amount", "how"), [(750_000, "passed"), (750_001, None)])
def test_an_alert_that_is_over_has_passed_while_the_loss_would_keep_it_open(
    amount: int, how: str | None
) -> None:
    """At a quarter lost the pay has not returned; a fen more, and it has."""
    evidence = recorded(*pays(*MONTHS), *pays("2025-09-10", amount=amount))

    assert resolution(evidence, at(FOLLOWED, "00:00"), at("2025-09-20"), RULES) == how


def test_no_income_for_180_days_is_a_normal_too() -> None:
    """Half a year after the loss the alert ends as passed, nothing opens again, and no deadline is left."""
    evidence = recorded(*pays(*MONTHS))
    (episode,) = drive(pays(*MONTHS), at("2028-01-01", "00:00"), RULES)
    assert episode.closed_ms == episode.opened_ms + 180 * DAY_MS
    assert episode.resolution == "passed"
    assert severity_of(evidence, "2026-03-23", "23:59") == Severity.SERIOUS
    assert severity_of(evidence, "2026-03-24") is None
    assert due(evidence, "2026-03-24") is None


def test_a_level_that_falls_again_has_not_settled() -> None:
    """A cut and, months later, no pay at all: 180 days after the cut the alert goes on, and ends in its bound."""
    low = pays("2025-09-10", "2025-10-10", "2025-11-10", "2025-12-10", amount=450_000)
    (episode, *_) = drive([*pays(*MONTHS), *low], at("2028-01-01", "00:00"), RULES)
    assert episode.worst == Severity.SERIOUS
    assert episode.closed_ms is not None
    assert 180 * DAY_MS < episode.closed_ms - episode.opened_ms <= 270 * DAY_MS


def test_a_late_pay_disproves_what_was_found() -> None:
    """Learnt after the deadline, a pay that came in time leaves nothing to find as of the deadline."""
    evidence = recorded(*pays(*MONTHS, "2025-11-10"))
    assert severity_of(evidence, ABSENT) == Severity.SERIOUS
    record_flow(evidence, pays("2025-09-12")[0], RULES)
    assert severity_of(evidence, ABSENT) is None


# ---- what cannot be seen -----------------------------------------------------------------------------------------


def test_an_account_that_fell_silent_as_a_whole_is_not_a_lost_job() -> None:
    """Spending every few days, then nothing at all since before the pay was due: watch, not to be acted on."""
    evidence = recorded(*in_time(*pays(*MONTHS), *living("2025-03-11", "2025-08-30")))
    finding = found(evidence, ABSENT)
    assert finding is not None
    assert (finding.severity, finding.actionable) == (Severity.WATCH, False)
    assert codes_of(finding) == ["ID-CANNOT-SEE"]
    assert finding.reasons[0].evidence["cause"] == "silent"
    assert finding.reasons[0].text.en == (
        "The account that received 10,000.00 CNY of 10,000.00 CNY a month has fallen silent as a whole: whether that "
        "income still comes cannot be seen."
    )
    assert finding.reasons[0].text.zh == (
        "每月 10,000.00 CNY 中有 10,000.00 CNY 到账的账户已整体静默：无法判断该收入是否仍在发放。"
    )


def test_an_account_that_lives_on_without_pay_is_a_lost_job() -> None:
    """Spending goes on after the pay failed to come, or until it did: serious."""
    for last in ("2025-09-24", "2025-09-10"):
        evidence = recorded(*in_time(*pays(*MONTHS), *living("2025-03-11", last)))
        finding = found(evidence, ABSENT)
        assert finding is not None
        assert (finding.severity, finding.actionable) == (Severity.SERIOUS, True)


def test_an_account_with_nothing_but_pay_never_is_silent() -> None:
    """Sweeping the pay away is no life of its own, so the absence of pay is all there is to see."""
    sweeps = [
        flow(one.event_time_ms + 1000, PAY, category="own_transfer", direction="out") for one in pays(*MONTHS)
    ]
    evidence = recorded(*in_time(*pays(*MONTHS), *sweeps))
    assert severity_of(evidence, ABSENT) == Severity.SERIOUS


def test_an_account_with_a_rent_a_month_is_judged_by_its_own_habit() -> None:
    """One flow a month two days after the pay: silent once more than its usual silence has passed."""
    rents = [
        flow(one.event_time_ms + 2 * DAY_MS, 300, category="rent", direction="out") for one in pays(*MONTHS)
    ]
    paid_on = [*rents, flow(at("2025-09-12"), 300, category="rent", direction="out")]
    assert codes_of(found(recorded(*in_time(*pays(*MONTHS), *rents)), ABSENT)) == ["ID-CANNOT-SEE"]
    assert codes_of(found(recorded(*in_time(*pays(*MONTHS), *paid_on)), ABSENT)) == ["ID-ABSENT"]


def test_a_handful_of_flows_is_no_habit_to_fall_silent_from() -> None:
    """Flows in two weeks, the last after the last pay: their end says nothing, the absence of pay does."""
    flows = in_time(*pays(*MONTHS), *living("2025-08-04", "2025-08-13"))
    assert severity_of(recorded(*flows), ABSENT) == Severity.SERIOUS


def test_pay_that_came_to_a_silent_account_would_come_again() -> None:
    """Life on the account ended two months before the last pay: its silence is nothing new."""
    flows = in_time(*pays(*MONTHS), *living("2025-03-11", "2025-06-20"))
    assert severity_of(recorded(*flows), ABSENT) == Severity.SERIOUS


@pytest.mark.parametrize(("last", "code"), [("2025-07-27", "ID-ABSENT"), ("2025-07-28", "ID-CANNOT-SEE")])
def test_the_account_lived_a_week_before_the_last_pay_or_later(last: str, code: str) -> None:
    """In whole weeks: the pay came in that of 4 August."""
    flows = in_time(*pays(*MONTHS), *living("2025-03-11", last, every_days=1))

    assert codes_of(found(recorded(*flows), ABSENT)) == [code]


@pytest.mark.parametrize(("last", "code"), [("2025-09-09", "ID-CANNOT-SEE"), ("2025-09-10", "ID-DROP")])
def test_other_pay_shows_the_account_from_the_expected_day_on(last: str, code: str) -> None:
    """The missing pay was expected on 10 September: one of the day before tells nothing of it."""
    flows = in_time(
        *pays(*MONTHS, amount=600_000),
        *pays(*MONTHS[:-1], "2025-08-20", last, amount=400_000, payer="employer-2"),
        *living("2025-03-11", "2025-08-30"),
    )

    assert codes_of(found(recorded(*flows), ABSENT)) == [code]


def test_an_account_with_other_pay_is_not_silent() -> None:
    """A second employer goes on paying into it: the first one's pay is lost in our sight."""
    flows = in_time(
        *pays(*MONTHS, amount=600_000),
        *pays(*(month[:-2] + "20" for month in MONTHS), "2025-09-20", amount=400_000, payer="employer-2"),
        *living("2025-03-11", "2025-08-30"),
    )
    finding = found(recorded(*flows), ABSENT)
    assert finding is not None
    assert (finding.severity, finding.actionable) == (Severity.WARNING, True)


@pytest.mark.parametrize(("unseen", "codes"), [(300_000, ["ID-CANNOT-SEE"]), (299_999, [])])
def test_what_cannot_be_seen_is_told_from_watch_on(unseen: int, codes: list[str]) -> None:
    """Three tenths of the income on an unlinked account is worth a word, a fen less is not."""
    flows = in_time(
        *pays(*MONTHS, "2025-09-10", amount=PAY - unseen),
        *pays(*MONTHS, amount=unseen, payer="employer-2", account="acct-2"),
    )
    evidence = recorded(*flows)
    record_unlink(evidence, "acct-2", at("2025-08-20"))
    assert codes_of(found(evidence, ABSENT)) == codes


def test_a_sign_of_life_makes_a_silent_account_a_lost_job() -> None:
    """Flows on the account again and still no pay: serious from the end of that week on."""
    flows = in_time(*pays(*MONTHS), *living("2025-03-11", "2025-08-30"), *living("2025-10-15", "2025-10-15"))
    (episode,) = drive(flows, at("2025-10-25", "00:00"), RULES)
    assert local(episode.opened_ms) == f"{ABSENT} 00:00"
    evidence = recorded(*flows)
    opened = (Severity.WATCH, ABSENT)
    assert severity_of(evidence, "2025-10-19", "23:59", opened) == Severity.WATCH
    assert severity_of(evidence, "2025-10-20", opened=opened) == Severity.SERIOUS
    assert due(evidence, "2025-10-15", opened) == "2025-10-20 00:00"


def test_life_after_a_silence_is_seen_though_it_was_asked_before() -> None:
    """Nothing is kept of a borrower whose pay is missing: a sign of life changes the answer."""
    evidence = recorded(*in_time(*pays(*MONTHS), *living("2025-03-11", "2025-08-30")))
    due(evidence, ABSENT)
    assert lost_fraction(evidence, at("2025-10-20"), RULES) == 0.0
    record_flow(evidence, living("2025-10-15", "2025-10-15")[0], RULES)
    assert lost_fraction(evidence, at("2025-10-20"), RULES) == 1.0


def test_links_that_were_known_ahead_are_seen_in_their_time() -> None:
    """Nothing is kept where an account was unlinked: what was linked again afterwards is waited for anew."""
    evidence = recorded(*pays(*MONTHS))
    record_unlink(evidence, "acct-1", at("2025-08-20"))
    record_link(evidence, "acct-1", at("2025-08-25"))
    assert due(evidence, "2025-08-22") == f"{ABSENT} 00:00"
    assert due(evidence, "2025-08-26") == "2025-10-10 00:00"


def test_other_accounts_do_not_show_where_the_pay_went() -> None:
    """Each account is judged by itself: the pay account is silent though another lives."""
    flows = in_time(
        *pays(*MONTHS),
        *living("2025-03-11", "2025-08-30"),
        *living("2025-03-11", "2025-10-30", account="acct-2"),
    )
    assert codes_of(found(recorded(*flows), ABSENT)) == ["ID-CANNOT-SEE"]


def test_an_unlinked_account_is_not_a_lost_job() -> None:
    """Unlinked before the pay failed to come: watch, not to be acted on; unlinked after, the loss had been seen."""
    finding = None
    for day, severity in (("2025-09-24", Severity.WATCH), ("2025-09-25", Severity.SERIOUS)):
        evidence = recorded(*in_time(*pays(*MONTHS), *living("2025-03-11", "2025-09-20")))
        record_unlink(evidence, "acct-1", at(day))
        finding = finding or found(evidence, "2025-10-05")
        assert severity_of(evidence, "2025-10-05") == severity
    assert finding is not None
    assert not finding.actionable
    assert finding.reasons[0].evidence["cause"] == "unlinked"
    assert "a month was unlinked: whether" in finding.reasons[0].text.en
    assert "账户已解除授权：" in finding.reasons[0].text.zh


@pytest.mark.parametrize(("day", "cause"), [("2025-08-09", "silent"), ("2025-08-10", "unlinked")])
def test_an_account_may_go_out_of_sight_on_the_day_of_its_last_pay(day: str, cause: str) -> None:
    """Before that day we had seen pay in spite of the unlink."""
    evidence = recorded(*in_time(*pays(*MONTHS), *living("2025-03-11", "2025-08-08")))
    record_unlink(evidence, "acct-1", at(day, "13:00"))
    finding = found(evidence, ABSENT)

    assert finding is not None
    assert finding.reasons[0].evidence["cause"] == cause


def test_flows_on_an_unlinked_account_show_that_we_see_it() -> None:
    """A feed that goes on in spite of the unlink is sight: from the end of its week on the missing pay counts."""
    before = living("2025-03-11", "2025-09-09", every_days=1)
    evidence = recorded(*in_time(*pays(*MONTHS), *before))
    record_unlink(evidence, "acct-1", at("2025-09-10"))
    assert record_flow(evidence, living("2025-09-16", "2025-09-16")[0], RULES)
    assert severity_of(evidence, ABSENT) == Severity.SERIOUS


def test_a_fall_that_is_surely_no_loss_is_not_looked_at() -> None:
    """A pay a little below the one before it: that one stands no more, but only the last one's end may be a loss."""
    evidence = recorded(*pays(*MONTHS[:-1]), *pays(MONTHS[-1], amount=PAY * 98 // 100))
    outlook = outlook_of(evidence, at("2025-08-12"), RULES)
    assert outlook.plain is not None
    assert outlook.steady is not None
    assert outlook.steady.spans == ((PAY * 98 // 100, day_of_date(date.fromisoformat(ABSENT))),)
    assert due(evidence, "2025-08-12") == f"{ABSENT} 00:00"
    evidence = recorded(*pays(*MONTHS[:-1]), *pays(MONTHS[-1], amount=PAY * 69 // 100))
    assert due(evidence, "2025-08-12") == "2025-08-18 00:00"


@pytest.mark.parametrize(
    ("habit", "looked_at"),
    [
        (("2025-03-11", "2025-04-10", "2025-05-30"), "2025-09-27 00:00"),
        (("2025-03-10", "2025-04-09", "2025-05-30"), "2025-09-23 00:00"),
    ],
)
def test_falls_are_looked_through_for_as_long_as_the_next_pay_is_waited_for(
    habit: tuple[str, ...], looked_at: str
) -> None:
    """To the 38th day after the newest pay, on which a full one falls after a gap of 50 days; after one of 51 a day later.

    What is left is enough either way: only the first of them is no deadline, and the other payer's end is the next.
    """
    full, lower = pays(*habit, "2025-06-30", "2025-07-30"), pays("2025-08-15", amount=PAY * 95 // 100)
    side = pays(*[day[:8] + "12" for day in MONTHS], amount=10_000, payer="employer-2")
    assert due(recorded(*in_time(*full, *lower, *side)), "2025-08-17") == looked_at


LOWER = pays(*MONTHS[:-1]) + pays(MONTHS[-1], amount=PAY * 98 // 100)
SIDE = pays(*[day[:8] + "05" for day in MONTHS], amount=100_000, payer="employer-2")


@pytest.mark.parametrize(
    ("flows", "after", "spans"),
    [
        (pays(*MONTHS), "2025-08-10", [(PAY, ABSENT)]),
        (in_time(*LOWER, *SIDE), "2025-08-12", [(1_100_000, "2025-08-18"), (1_080_000, "2025-09-20")]),
    ],
)
def test_steady_income_is_kept_until_it_falls(
    flows: list[FundFlow], after: str, spans: list[tuple[int, str]]
) -> None:
    """From the day on that follows the last that is not over, and fall by fall what would be told anew."""
    evidence = recorded(*flows)
    outlook_of(evidence, at("2025-08-12"), RULES)
    day = day_of_date(date.fromisoformat(after))
    steady = steady_income(evidence, day + 1, RULES)
    assert steady is not None
    assert steady.on(day) is None
    day += 1
    for amount, until in spans:
        until_day = day_of_date(date.fromisoformat(until))
        assert steady.on(day) == steady.on(until_day - 1) == (amount, until_day)
        known, known_until_day = income_from(recorded(*flows), "CNY", day, RULES)
        assert known is not None
        assert (known.amount_minor, known_until_day) == (amount, until_day)
        day = until_day
    assert steady.on(day) is None


def test_one_payers_newest_pay_is_enough_by_itself() -> None:
    """Declared or an employer's, until it stands no more; not a candidate's, and not beside another payer's."""
    declared, employers = pays(*MONTHS), pays(*MONTHS, category=None, kind="employer")
    for paid in (declared, employers):
        evidence = recorded(*paid)
        assert is_plain(evidence, at(MONTHS[-1]), RULES)
        assert is_plain(evidence, at(ABSENT, "00:00") - 1, RULES)
        assert not is_plain(evidence, at(ABSENT, "00:00"), RULES)
    evidence = recorded(*declared)
    assert not is_plain(evidence, at(MONTHS[-1]) - 1, RULES)
    assert not is_plain(recorded(*pays(*MONTHS, category=None, kind=None)), at(MONTHS[-1]), RULES)
    record_flow(evidence, flow(at("2025-08-10"), 1, payer="other"), RULES)
    assert not is_plain(evidence, at(MONTHS[-1]), RULES)


def test_an_account_that_was_linked_once_is_as_good_as_one_always_seen() -> None:
    """Its newest pay is enough by itself; not so any more once it was unlinked."""
    evidence = recorded(*pays(*MONTHS))
    record_link(evidence, "acct-1", at("2025-03-01"))
    assert is_plain(evidence, at(MONTHS[-1]), RULES)
    record_unlink(evidence, "acct-1", at("2025-08-20"))
    assert not is_plain(evidence, at("2025-08-20"), RULES)


def test_pay_of_a_known_length_may_be_lost() -> None:
    """Before the first pay is as old as the policy asks for, the last one's end is no deadline."""
    evidence = recorded(*pays("2025-05-10", "2025-06-10", "2025-07-10"))
    for days, expected in ((61, "2025-08-25 00:00"), (62, None)):
        own = rules(f"[signals.income_drop]\nhistory_days_min = {days}\n")
        due_ms = next_deadline_ms(evidence, at("2025-07-10"), None, None, own)
        assert (None if due_ms is None else local(due_ms)) == expected


def test_life_counts_where_pay_is_awaited_only() -> None:
    """Not while pay surely stands, nor on another account; with two payers from two weeks on.

    What is kept of income says nothing else: a restart forgets it, and must judge the same.
    """
    evidence = recorded(*pays(*MONTHS))
    assert not awaits_pay(evidence, "acct-1", at("2025-09-24"), RULES)
    assert awaits_pay(evidence, "acct-1", at(ABSENT), RULES)
    assert not awaits_pay(evidence, "acct-2", at(ABSENT), RULES)
    record_flow(evidence, flow(at("2025-08-12"), 1, payer="other"), RULES)
    assert not awaits_pay(evidence, "acct-1", at("2025-08-24"), RULES)
    assert awaits_pay(evidence, "acct-1", at("2025-08-25"), RULES)
    assert outlook_of(evidence, at("2025-08-13"), RULES).until_ms > at("2025-08-25")
    assert awaits_pay(evidence, "acct-1", at("2025-08-25"), RULES)


def test_life_counts_beside_another_payer_who_has_long_been_silent() -> None:
    """Each account is asked by its own pay: two weeks old it stands, a day later nobody knows without looking."""
    long_gone = pays("2025-04-20", "2025-05-20", payer="other", account="acct-2")
    evidence = recorded(*in_time(*pays(*MONTHS), *long_gone))
    assert not awaits_pay(evidence, "acct-1", at("2025-08-24"), RULES)
    assert awaits_pay(evidence, "acct-1", at("2025-08-25"), RULES)
    assert awaits_pay(evidence, "acct-2", at("2025-08-24"), RULES)


def test_life_counts_in_the_week_in_which_pay_comes_after_a_silence() -> None:
    """Whatever came this week may be a fen that stands for nothing: what came before tells, until the week is over."""
    evidence = recorded(*pays(*MONTHS, "2025-09-29"))
    assert awaits_pay(evidence, "acct-1", at("2025-09-29", "18:00"), RULES)
    assert awaits_pay(evidence, "acct-1", at("2025-10-05"), RULES)
    assert not awaits_pay(evidence, "acct-1", at("2025-10-06"), RULES)


def test_an_account_linked_again_is_given_time_to_show_the_pay() -> None:
    """The alert ends with the link; the waiting begins anew, and then a missing pay is one."""
    evidence = recorded(*pays(*MONTHS))
    record_unlink(evidence, "acct-1", at("2025-09-01"))
    opened = (Severity.WATCH, ABSENT)
    assert severity_of(evidence, "2025-10-01", opened=opened) == Severity.WATCH
    record_link(evidence, "acct-1", at("2025-10-02"))
    assert severity_of(evidence, "2025-10-01", opened=opened) == Severity.WATCH
    assert severity_of(evidence, "2025-10-02", "12:00", opened) is None
    assert resolution(evidence, at(ABSENT, "00:00"), at("2025-10-02"), RULES) is None
    assert due(evidence, "2025-10-02") == "2025-11-17 00:00"
    assert severity_of(evidence, "2025-11-16", "23:59") is None
    assert severity_of(evidence, "2025-11-17") == Severity.SERIOUS


def test_an_account_linked_again_in_time_is_waited_for_from_the_link_on() -> None:
    """Its last pay still stood: nothing is looked at before the new waiting ends."""
    evidence = recorded(*pays(*MONTHS))
    record_unlink(evidence, "acct-1", at("2025-09-01"))
    record_link(evidence, "acct-1", at("2025-09-05"))

    assert due(evidence, "2025-09-06") == "2025-10-21 00:00"
    record_link(evidence, "acct-1", at("2025-03-01"))
    assert due(evidence, "2025-09-06") == "2025-10-21 00:00"


def test_a_loss_in_sight_counts_though_another_part_is_out_of_sight() -> None:
    """One employer's account is unlinked, the other employer stops: the second is judged, the first named."""
    flows = in_time(
        *pays(*MONTHS, amount=600_000), *pays(*MONTHS, amount=400_000, payer="employer-2", account="acct-2")
    )
    evidence = recorded(*flows)
    record_unlink(evidence, "acct-2", at("2025-08-20"))
    finding = found(evidence, ABSENT)
    assert finding is not None
    assert (finding.severity, finding.actionable) == (Severity.WARNING, True)
    assert codes_of(finding) == ["ID-ABSENT", "ID-CANNOT-SEE"]
    assert finding.reasons[0].evidence["unseen_minor"] == 400_000


# ---- currencies --------------------------------------------------------------------------------------------------


def test_the_currency_with_most_pays_is_judged() -> None:
    """Amounts of two currencies are never added; a second currency that stops is no loss."""
    both = [
        *pays(*MONTHS, "2025-09-10"),
        *pays(*MONTHS[2:], amount=9 * PAY, currency="JPY", payer="employer-2"),
    ]
    assert severity_of(recorded(*in_time(*both)), "2025-10-10") is None
    main_stops = [*pays(*MONTHS), *pays("2025-07-10", "2025-08-10", "2025-09-10", currency="JPY")]
    finding = found(recorded(*in_time(*main_stops)), ABSENT)
    assert finding is not None
    assert finding.reasons[0].evidence["currency"] == "CNY"


# ---- reasons -----------------------------------------------------------------------------------------------------


def test_the_reason_of_an_absence_can_be_checked_line_by_line() -> None:
    """The numbers compared, the dates, and both texts."""
    finding = found(recorded(*pays(*MONTHS)), ABSENT)
    assert finding is not None
    (reason,) = finding.reasons
    assert reason.evidence == {
        "lost_fraction": 1,
        "threshold": 0.8,
        "income_minor": 0,
        "usual_income_minor": 1_000_000,
        "period_days": 30,
        "currency": "CNY",
        "last_income_date": "2025-08-10",
        "expected_by_date": "2025-09-24",
        "history_days": 153,
        "unseen_minor": 0,
    }
    assert reason.text.en == (
        "No recognised income any more: the last came on 2025-08-10, the next was awaited until 2025-09-24. "
        "Usual are 10,000.00 CNY a month; this severity holds from 80 % lost."
    )
    assert reason.text.zh == (
        "已无可识别收入：最近一笔在 2025-08-10，下一笔最迟应于 2025-09-24 到账。"
        "平时每月 10,000.00 CNY；损失达到 80 % 即为此级别。"
    )


def test_the_reason_of_a_drop_can_be_checked_line_by_line() -> None:
    """The numbers compared, the dates, and both texts."""
    finding = found(recorded(*pays(*MONTHS), *pays("2025-09-10", amount=433_333)), FOLLOWED)
    assert finding is not None
    (reason,) = finding.reasons
    assert reason.code == "ID-DROP"
    assert reason.evidence["lost_fraction"] == 0.5667
    assert reason.evidence["threshold"] == 0.5
    assert reason.text.en == (
        "Recognised income is 4,333.33 CNY a month, usual are 10,000.00 CNY: 56.7 % lost; this severity holds "
        "from 50 %. Pay of the usual size was awaited until 2025-09-17."
    )
    assert reason.text.zh == (
        "可识别收入为每月 4,333.33 CNY，平时为 10,000.00 CNY：损失 56.7 %；达到 50 % 即为此级别。"
        "正常金额的收入最迟应于 2025-09-17 到账。"
    )


def test_a_held_severity_names_the_threshold_that_holds_it() -> None:
    """Between margin and threshold the number compared is the threshold less the margin."""
    evidence = recorded(*pays(*MONTHS), *pays("2025-09-10", amount=240_000))
    finding = found(evidence, "2025-09-26", opened=(Severity.SERIOUS, ABSENT))
    assert finding is not None
    assert finding.reasons[0].evidence["threshold"] == 0.75


# ---- nothing to judge --------------------------------------------------------------------------------------------


def test_of_nobody_nothing_is_found() -> None:
    """An empty picture, and one of spending alone, give no finding and no deadline."""
    for evidence in (IncomeEvidence(), recorded(*living("2025-03-11", "2025-08-30"))):
        assert found(evidence, "2025-09-01") is None
        assert due(evidence, "2025-09-01") is None
        assert lost_fraction(evidence, at("2025-09-01"), RULES) is None


def test_absurd_amounts_stay_within_64_bits() -> None:
    """Whatever is paid, the numbers of a reason can be written."""
    flows = [one for n in range(5) for one in pays(*MONTHS, amount=INT64_MAX, payer=f"employer-{n}")]
    finding = found(recorded(*in_time(*flows), *pays("2025-09-10", amount=1)), "2025-10-20")
    assert finding is not None
    assert finding.reasons[0].evidence["usual_income_minor"] == INT64_MAX
    assert msgspec.json.decode(msgspec.json.encode(finding))["severity"] == Severity.SERIOUS


def test_the_smallest_amounts_are_judged_too() -> None:
    """One fen a quarter beside a real pay rounds to no level, and disturbs nothing."""
    fens = pays("2025-01-05", "2025-04-05", "2025-07-05", amount=1, payer="fen")
    assert severity_of(recorded(*in_time(*fens, *pays(*MONTHS))), ABSENT) == Severity.SERIOUS


def test_the_part_lost_is_a_feature_too() -> None:
    """Zero while pay comes, the fraction once it fails, unknown without history."""
    evidence = recorded(*pays(*MONTHS), *pays("2025-09-10", amount=400_000))
    assert lost_fraction(evidence, at("2025-09-10"), RULES) == 0
    assert lost_fraction(evidence, at(FOLLOWED), RULES) == pytest.approx(0.6)
    assert lost_fraction(recorded(*pays(*MONTHS[:3])), at("2025-05-11"), RULES) is None
    for first, fraction in (("2025-05-13", None), ("2025-05-12", pytest.approx(0.6))):
        known = pays(first, *MONTHS[3:]) + pays("2025-09-10", amount=400_000)
        assert lost_fraction(recorded(*known), at(FOLLOWED), RULES) == fraction


def test_the_part_lost_is_told_as_of_its_instant_whatever_was_asked_before() -> None:
    """From the very midnight on at which the full pay stands no more, and of an instant before it nothing, also afterwards."""
    evidence = recorded(*pays(*MONTHS[:-1]), *pays(MONTHS[-1], amount=PAY * 85 // 100))
    assert is_plain(evidence, at(MONTHS[-1]), RULES)
    fall_ms = at("2025-08-18", "00:00")
    for asked_ms, fraction in (
        (at("2025-08-12"), 0.0),
        (fall_ms - 1, 0.0),
        (fall_ms, 0.15),
        (at("2025-08-20"), 0.15),
        (at("2025-08-15"), 0.0),
        (fall_ms, 0.15),
    ):
        assert lost_fraction(evidence, asked_ms, RULES) == pytest.approx(fraction)


def test_the_part_lost_is_told_anew_after_a_link_that_was_known_ahead() -> None:
    """In the same week: lost in our sight, in spite of the unlink, until the account is linked again and waited for."""
    lived = in_time(*pays(*MONTHS), *living("2025-03-11", "2025-09-09", every_days=1))
    evidence = recorded(*lived)
    record_unlink(evidence, "acct-1", at("2025-09-10"))
    record_flow(evidence, living("2025-09-16", "2025-09-16")[0], RULES)
    record_link(evidence, "acct-1", at("2025-10-01"))
    assert lost_fraction(evidence, at("2025-09-30"), RULES) == 1.0
    assert lost_fraction(evidence, at("2025-10-02"), RULES) == 0.0
