"""How a miss may end, each way of it: plans, waivers, settlements, compensation, write-offs; and what is remembered."""

from __future__ import annotations

import pytest

from models.events import Event, PaymentKind, ScheduleReason
from models.ledger import Loan, standing
from models.signals.missed_payment import judge, resolution
from tests.support.events import at, ended, loan, paid, rescheduled, rules, run, story
from tests.support.ledgers import LoanEvent, ledger_of

RULES = rules()
DUE = "2025-01-10"
OPENED_MS = at("2025-01-11", "00:00")


def two(*events: LoanEvent) -> Loan:
    """Instalments of 1,000.00 due on 10 January and on 10 February."""
    return ledger_of(loan("2025-01-01", [(DUE, 100_000), ("2025-02-10", 100_000)]), *events, rules=RULES)


def how(held: Loan, day: str) -> str | None:
    """What ended the miss of 10 January, as of a noon; "missed" while it lasts."""
    if judge(held, at(day), RULES) is not None:
        return "missed"
    return resolution(held, OPENED_MS, at(day), RULES)


# ---- plans -------------------------------------------------------------------------------------------------------

PLANS: tuple[ScheduleReason, ...] = ("extension", "hardship", "restructure", "other")


@pytest.mark.parametrize("reason", PLANS)
def test_a_plan_ends_the_miss_and_is_watched_for_a_year(reason: ScheduleReason) -> None:
    """Days count from the new dates; the worst before is kept; on the 366th day the mark is gone."""
    held = two(rescheduled("2025-01-25", [("2025-06-10", 200_000)], reason=reason))

    assert how(held, "2025-01-26") == "rescheduled"
    assert standing(held, at("2025-06-11"), RULES).days_past_due == 1
    marks = [standing(held, at(day, "11:59"), RULES).restructured for day in ("2025-01-26", "2026-01-25")]
    assert marks == [True, True]
    assert not standing(held, at("2026-01-25", "12:00"), RULES).restructured
    assert standing(held, at("2026-01-25"), RULES).worst_days_past_due >= 15


def test_an_extension_before_the_due_date_leaves_no_miss() -> None:
    """Agreed in time, due later: the old date passes without an alert."""
    events: list[Event] = [
        loan("2025-01-01", [(DUE, 100_000)]),
        rescheduled("2025-01-08", [("2025-02-10", 100_000)], reason="extension"),
    ]

    assert story(run(events, until="2025-02-09")) == []
    assert story(run(events, until="2025-02-10")) == ["2025-02-11 00:00 missed_payment opened watch"]


def test_a_hardship_plan_of_small_instalments_is_judged_on_them() -> None:
    """Half as much each month: paid as agreed, nothing is past due; the first that is not paid is."""
    plan = [(f"2025-0{month}-10", 50_000) for month in (2, 3, 4, 5)]
    held = two(
        rescheduled("2025-01-25", plan, reason="hardship"),
        paid("2025-02-10", 50_000),
        paid("2025-03-10", 50_000),
    )

    assert judge(held, at("2025-04-11", "00:00") - 1, RULES) is None
    finding = judge(held, at("2025-04-11", "00:00"), RULES, deadline=True)
    assert finding is not None
    assert [reason.code for reason in finding.reasons] == ["MP-DPD", "MP-RESTRUCTURED"]


# ---- waivers and settlements -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paid_minor", "waived_minor", "expected"),
    [
        (100_000, 0, "paid"),
        (99_000, 1_000, "paid"),
        (50_000, 50_000, "paid"),
        (49_999, 50_001, "compensated"),
    ],
)
def test_who_was_forgiven_more_than_was_paid_did_not_cure(
    paid_minor: int, waived_minor: int, expected: str
) -> None:
    """A waived fee takes nothing from who paid; half waived is still paid, more is not."""
    held = two(paid("2025-01-20", paid_minor), paid("2025-01-21", waived_minor, kind="waiver"))

    assert how(held, "2025-01-22") == expected
    assert standing(held, at("2025-01-22"), RULES).overdue_minor == 0


@pytest.mark.parametrize(
    ("kind", "expected"), [("cash", "paid"), ("other", "paid"), ("collateral", "compensated")]
)
def test_collateral_that_was_taken_is_no_cure(kind: PaymentKind, expected: str) -> None:
    """The money came of the lender's security."""
    assert how(two(paid("2025-01-20", 100_000, kind=kind)), "2025-01-21") == expected


@pytest.mark.parametrize(
    ("paid_minor", "expected"),
    [(None, "paid"), (60_000, "compensated"), (99_899, "compensated"), (99_900, "paid"), (100_000, "paid")],
)
def test_a_loan_settled_for_less_than_was_past_due_was_not_cured(
    paid_minor: int | None, expected: str
) -> None:
    """Short by more than the tolerance; without any payment the end is taken at its word."""
    payments = [] if paid_minor is None else [paid("2025-01-20", paid_minor)]
    held = two(*payments, ended("2025-01-25", "settled", time="15:00"))
    # What is paid up at noon of the 20th has ended the miss already, as paid.
    assert how(held, "2025-01-26") == expected


def test_settled_early_is_paid_whatever_was_not_yet_due() -> None:
    """The second instalment's interest is spared."""
    held = two(paid("2025-01-20", 190_000), ended("2025-01-20", "settled", time="15:00"))

    assert how(held, "2025-01-26") == "paid"
    assert standing(held, at("2025-01-26"), RULES).outstanding_minor == 0


# ---- write-offs --------------------------------------------------------------------------------------------------


def test_what_is_recovered_after_a_write_off_reopens_nothing() -> None:
    """The loan stays written off; the alert is over."""
    events: list[Event] = [
        loan("2025-01-01", [(DUE, 100_000)]),
        ended("2025-01-25", "written_off"),
        paid("2025-02-01", 10_000),
    ]

    assert story(run(events, until="2025-03-01"))[-1] == (
        "2025-01-25 12:00 missed_payment resolved warning written_off"
    )
