"""Regulatory classes, each boundary on both sides, and restructured loans under watch."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.classification import Pack, classify
from models.ledger import Standing, standing
from models.signals.missed_payment import judge
from tests.support.events import at, ended, loan, paid, rescheduled, rules
from tests.support.ledgers import ledger_of

RULES = rules()
GOOD = Standing(
    days_past_due=0,
    overdue_minor=0,
    instalments_past_due=0,
    outstanding_minor=100_000,
    oldest_due_day=None,
    next_due_day=None,
    next_due_minor=0,
    worst_days_past_due=0,
    restructured=False,
    closed=None,
    credit_limit_minor=None,
)


def class_of(pack: Pack, days: int, *, worst: int | None = None, restructured: bool = False) -> str | None:
    """The class of a loan so many days past due."""
    now = msgspec.structs.replace(
        GOOD,
        days_past_due=days,
        worst_days_past_due=days if worst is None else worst,
        restructured=restructured,
    )
    found = classify(now, pack)
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("days", "tier"),
    [
        (0, "normal"),
        (1, "special_mention"),
        (90, "special_mention"),
        (91, "substandard"),
        (270, "substandard"),
        (271, "doubtful"),
        (360, "doubtful"),
        (361, "loss"),
        (9_999, "loss"),
    ],
)
def test_five_tiers(days: int, tier: str) -> None:
    """Any overdue; more than 90, 270, 360 days."""
    assert class_of("cn-2023", days) == tier


@pytest.mark.parametrize(
    ("days", "stage"), [(0, "stage_1"), (30, "stage_1"), (31, "stage_2"), (90, "stage_2"), (91, "stage_3")]
)
def test_stages(days: int, stage: str) -> None:
    """More than 30, more than 90 days."""
    assert class_of("ifrs9", days) == stage


@pytest.mark.parametrize(
    ("worst", "days", "tier"),
    [
        (0, 0, "special_mention"),
        (90, 0, "special_mention"),
        (91, 0, "substandard"),
        (91, 271, "doubtful"),
        (50, 91, "substandard"),
    ],
)
def test_a_restructured_loan_is_special_mention_at_best(worst: int, days: int, tier: str) -> None:
    """And substandard at best where it was non-performing before; days past due since then may lower it further."""
    assert class_of("cn-2023", days, worst=max(worst, days), restructured=True) == tier


@pytest.mark.parametrize(("days", "stage"), [(0, "stage_2"), (31, "stage_2"), (91, "stage_3")])
def test_a_restructured_loan_is_in_stage_2_at_best(days: int, stage: str) -> None:
    """No fresh loan, while it is watched."""
    assert class_of("ifrs9", days, restructured=True) == stage


@pytest.mark.parametrize(("days", "rule"), [(0, "restructured"), (1, "days_past_due"), (91, "days_past_due")])
def test_the_rule_that_set_the_class_is_named(days: int, rule: str) -> None:
    """Where both ask for the same class, days past due do."""
    now = msgspec.structs.replace(GOOD, days_past_due=days, worst_days_past_due=days, restructured=True)
    found = classify(now, "cn-2023")

    assert found is not None
    assert found.rule == rule


def test_the_watch_of_a_restructured_loan_lasts_a_year() -> None:
    """365 days after the new schedule the class follows days past due alone."""
    held = ledger_of(
        loan("2025-01-01", [("2025-01-10", 100_000)]),
        rescheduled("2025-01-20", [("2027-01-10", 100_000)]),
        rules=RULES,
    )
    names = [
        found.name
        for day in ("2025-01-21", "2026-01-19", "2026-01-20")
        if (found := classify(standing(held, at(day), RULES), "cn-2023")) is not None
    ]

    assert names == ["special_mention", "special_mention", "normal"]


def test_a_written_off_loan_is_a_loss_and_one_that_ended_otherwise_has_no_class() -> None:
    """Nothing is owed any more that could be classified."""
    due = loan("2025-01-01", [("2025-01-10", 100_000)])
    gone, settled = (
        ledger_of(due, ended("2025-01-20", reason), rules=RULES) for reason in ("written_off", "settled")
    )
    of_gone = [classify(standing(gone, at("2025-02-01"), RULES), pack) for pack in ("cn-2023", "ifrs9")]

    assert [found.name for found in of_gone if found is not None] == ["loss", "stage_3"]
    assert classify(standing(settled, at("2025-02-01"), RULES), "cn-2023") is None


@given(
    st.integers(min_value=0, max_value=500),
    st.integers(min_value=0, max_value=500),
    st.booleans(),
    st.sampled_from(("cn-2023", "ifrs9")),
)
def test_more_days_past_due_never_raise_the_class(
    one: int, other: int, restructured: bool, pack: Pack
) -> None:
    """Nor does a restructuring."""
    order = ["normal", "special_mention", "substandard", "doubtful", "loss", "stage_1", "stage_2", "stage_3"]
    less, more = sorted((one, other))

    def rank(days: int, *, marked: bool) -> int:
        return order.index(class_of(pack, days, restructured=marked) or "")

    assert rank(less, marked=restructured) <= rank(more, marked=restructured)
    assert rank(one, marked=False) <= rank(one, marked=True)


@pytest.mark.parametrize(
    ("pack", "expected"),
    [("cn-2023", "substandard"), ("ifrs9", "stage_3"), ("none", None)],
)
def test_the_alert_shows_the_class_that_the_policy_selects(pack: str, expected: str | None) -> None:
    """Beside the bucket, with the rule that set it; nothing where no pack is selected."""
    selected = rules(f"[classification]\npack = '{pack}'")
    held = ledger_of(loan("2025-01-01", [("2025-01-10", 100_000)]), paid("2025-01-05", 1_000), rules=selected)
    finding = judge(held, at("2025-04-11", "00:00"), selected, deadline=True)
    assert finding is not None
    evidence = finding.reasons[0].evidence

    assert evidence["days_past_due"] == 91
    assert evidence.get("classification") == expected
    assert evidence.get("classification_rule") == (None if expected is None else "days_past_due")
