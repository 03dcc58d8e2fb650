"""What became of an observed borrower, on both sides of each threshold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from models.borrower import Borrower
from models.calendars import DAY_MS
from models.events import REPAYMENTS, ClosingReason, Event, EventVoided, LoanOpened
from models.risk.examples import Example, make_observation, mature
from models.risk.labels import (
    Label,
    has_something_to_foretell,
    is_any_at_target,
    label,
    matures_ms,
    next_observation_ms,
    target_of,
)
from models.risk.scorecard import expert_prior
from tests.support.events import (
    at,
    billed,
    bounced,
    ended,
    engine,
    feed_of,
    in_order,
    loan,
    local,
    paid,
    rescheduled,
    rules,
    voided,
)
from tests.support.servicing import contact, hold, release

RULES = rules()
OBSERVED = "2025-03-01"
MATURED = "2025-04-30"
"""Sixty days later."""


def borrower_after(events: Iterable[Event]) -> Borrower:
    """The picture of b-1."""
    risk_engine = engine()
    for offset, event in enumerate(in_order(events)):
        risk_engine.process(event, REPAYMENTS if isinstance(event, EventVoided) else feed_of(event), offset)
    borrower = risk_engine.borrower("b-1")
    assert borrower is not None
    return borrower


def became(*events: Event, observed: str = OBSERVED) -> Label:
    """What became of who was observed that midnight."""
    borrower = borrower_after(events)
    observed_ms = at(observed, "00:00")
    assert is_to_foretell(borrower, observed_ms)
    matured_ms = matures_ms(borrower.loans, observed_ms, RULES)
    return label(borrower.loans, borrower.servicing, observed_ms, matured_ms, RULES)


def can(*events: Event, when: str = OBSERVED) -> bool:
    """Whether b-1 is observed that midnight."""
    return is_to_foretell(borrower_after(events), at(when, "00:00"))


def is_to_foretell(borrower: Borrower, at_ms: int) -> bool:
    """Whether there is something to foretell: an open loan, no dispute, and none at its target."""
    return has_something_to_foretell(borrower.loans, borrower.servicing, at_ms) and not is_any_at_target(
        borrower.loans, at_ms, RULES
    )


def owing(due: str, **fields: Any) -> LoanOpened:
    """A loan of long ago with one instalment."""
    return loan("2024-12-01", [(due, 100_000)], **fields)


# ---- when ----------------------------------------------------------------------------------------------------------


def test_a_borrower_is_observed_every_thirty_days_at_midnight() -> None:
    """From one observation to the next it is thirty days, and each begins a local day."""
    first_ms = next_observation_ms("b-1", at("2025-01-01"), RULES)
    second_ms = next_observation_ms("b-1", first_ms, RULES)
    assert local(first_ms).endswith("00:00")
    assert 0 < first_ms - at("2025-01-01") <= 30 * DAY_MS
    assert second_ms - first_ms == 30 * DAY_MS
    assert next_observation_ms("b-1", first_ms - 1, RULES) == first_ms


def test_a_book_is_observed_all_over_the_month() -> None:
    """Of three thousand borrowers every day takes about a hundred."""
    after_ms = at("2025-01-01", "00:00")
    days = Counter(
        (next_observation_ms(f"b-{number}", after_ms, RULES) - after_ms) // DAY_MS for number in range(3_000)
    )
    assert len(days) == 30
    assert 60 < min(days.values()) <= max(days.values()) < 140


def test_without_an_open_loan_there_is_nothing_to_foretell() -> None:
    """Before it opens, after it ends, or where it never was."""
    own = owing("2025-06-01")
    assert can(own)
    assert not can(own, when="2024-12-01")
    assert not can(own, ended("2025-02-28"))
    assert can(own, ended("2025-03-01", time="00:00"))
    assert not can(own, voided("2025-02-01", own))


def test_nobody_is_observed_at_the_target() -> None:
    """At 29 days past due yes, at 30 no."""
    assert can(owing("2025-01-31"))
    assert not can(owing("2025-01-30"))


def test_nobody_is_observed_during_a_dispute() -> None:
    """Once it is released, again."""
    own, placed = owing("2025-06-01"), hold("2025-02-10", "dispute")
    assert not can(own, placed)
    assert can(own, placed, release("2025-02-20"))
    assert can(own, hold("2025-02-10", "hardship"))


# ---- days late -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("due", "outcome", "decided"),
    [
        ("2025-03-31", "bad", "2025-04-30"),
        ("2025-04-01", "good", "2025-04-30"),
        ("2025-03-05", "bad", "2025-04-04"),
        ("2025-01-31", "bad", "2025-03-02"),
    ],
)
def test_bad_is_who_reaches_thirty_days_within_sixty(due: str, outcome: str, decided: str) -> None:
    """The thirtieth day past due counts up to the midnight of maturity itself, and not a day later."""
    found = became(owing(due))
    assert (found.outcome, local(found.decided_ms)) == (outcome, f"{decided} 00:00")


@pytest.mark.parametrize(
    ("when", "time", "outcome"), [("2025-04-03", "23:59", "good"), ("2025-04-04", "00:00", "bad")]
)
def test_paid_a_minute_before_the_target_is_good(when: str, time: str, outcome: str) -> None:
    """What falls due on 5 March is thirty days past due from the midnight that begins 4 April."""
    assert became(owing("2025-03-05"), paid(when, 100_000, time=time)).outcome == outcome


def test_a_payment_that_bounced_by_maturity_was_none() -> None:
    """The label is what was true, not what was believed: a bounce after maturity is too late to tell."""
    own, payment = owing("2025-03-05"), paid("2025-03-06", 100_000)
    assert became(own, payment).outcome == "good"
    assert became(own, payment, bounced("2025-04-20", payment)).outcome == "bad"
    assert became(own, payment, bounced("2025-05-02", payment)).outcome == "good"


def test_any_own_loan_counts_also_one_opened_meanwhile() -> None:
    """The first loan is paid; a second, opened after the observation, is not."""
    first = owing("2025-06-01")
    second = loan("2025-03-02", [("2025-03-20", 100_000), ("2025-09-20", 100_000)], loan_id="l-2")
    assert became(first, second) == Label("bad", "days_late", at("2025-04-19", "00:00"))


def test_who_turns_out_to_have_been_there_already_is_censored() -> None:
    """It bounced before the observation, and nobody had heard of it; what bounces after it is bad."""
    own, payment = owing("2025-01-05"), paid("2025-01-06", 100_000)
    assert became(own, payment, bounced("2025-03-10", payment)) == Label("bad", "days_late", at("2025-03-10"))
    early = bounced("2025-02-01", payment)
    borrower = borrower_after([own, payment, early])
    observed_ms = at(OBSERVED, "00:00")
    found = label(borrower.loans, borrower.servicing, observed_ms, at(MATURED, "00:00"), RULES)
    assert found == Label("censored", "at_target_before", observed_ms)


# ---- short loans ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("due", "days_late"), [("2024-12-31", 7), ("2025-01-01", 30)])
def test_a_loan_of_thirty_days_has_a_target_of_its_own(due: str, days_late: int) -> None:
    """By its last instalment; a card has none, and is no short loan."""
    own = next(iter(borrower_after([owing(due)]).loans.values()))
    assert target_of(own, at(OBSERVED, "00:00"), RULES).days_late == days_late
    card = loan("2024-12-01", [], credit_limit_minor=1_000)
    bill = billed("2024-12-05", "2024-12-25", 100, 1)
    known = next(iter(borrower_after([card, bill]).loans.values()))
    assert target_of(known, at(OBSERVED, "00:00"), RULES).days_late == 30


def test_a_short_loan_is_bad_after_a_week_and_matures_in_forty_five_days() -> None:
    """Seven days past due, not six; and sooner than others."""
    own = loan("2025-02-20", [("2025-03-15", 100_000)])
    assert became(own) == Label("bad", "days_late", at("2025-03-22", "00:00"))
    assert became(own, paid("2025-03-21", 100_000)) == Label(
        "good", "paid_as_agreed", at("2025-04-15", "00:00")
    )


def test_beside_a_longer_loan_a_short_one_keeps_its_own_horizon() -> None:
    """What it does after its forty-five days counts no more, though the example matures after sixty."""
    long = owing("2025-12-01", loan_id="l-2")
    late = loan("2025-02-28", [("2025-03-20", 1_000)])
    payment = paid("2025-03-19", 1_000)
    found = became(long, late, payment, bounced("2025-03-25", payment))
    assert (found.outcome, local(found.decided_ms)) == ("bad", "2025-03-27 00:00")
    assert became(long, late, payment, bounced("2025-04-16", payment)).outcome == "good"


# ---- ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("settled", "good"),
        ("cancelled", "good"),
        ("compensated", "bad"),
        ("written_off", "bad"),
        ("sold", "bad"),
        ("deceased", "censored"),
        ("refinanced", "censored"),
        ("other", "censored"),
    ],
)
def test_the_end_of_a_loan_decides_by_its_reason(reason: ClosingReason, outcome: str) -> None:
    """Within the horizon; an end after maturity decides nothing."""
    own = owing("2025-06-01")
    assert became(own, ended("2025-03-20", reason)).outcome == outcome
    assert became(own, ended("2025-04-30", reason, time="00:00")).outcome == "good"


def test_a_refinancing_censors_also_while_past_due() -> None:
    """Nobody knows what would have become of it."""
    assert became(owing("2025-02-20"), ended("2025-03-10", "refinanced")).outcome == "censored"


def test_paid_by_others_while_past_due_is_bad() -> None:
    """By the guarantor after the due date; before it, or by the borrower, it is an ordinary payment."""
    own = owing("2025-03-10")
    assert became(own, paid("2025-03-20", 100_000, payer="guarantor")).reason == "compensated"
    assert became(own, paid("2025-03-09", 100_000, payer="guarantor")).outcome == "good"
    assert became(own, paid("2025-03-20", 100_000)).outcome == "good"


def test_settled_for_less_than_was_past_due_is_bad() -> None:
    """Half was paid, and the rest forgiven by ending the loan."""
    own = owing("2025-03-10")
    assert became(own, paid("2025-03-19", 50_000), ended("2025-03-20")).reason == "compensated"
    assert became(own, paid("2025-03-19", 100_000), ended("2025-03-20")).outcome == "good"


def test_a_new_schedule_while_past_due_is_bad_and_before_it_is_not() -> None:
    """What was agreed in time is an agreement; what was agreed afterwards was a default avoided."""
    own = owing("2025-03-10")
    assert became(own, rescheduled("2025-03-20", [("2025-09-10", 100_000)])).reason == "restructured"
    assert became(own, rescheduled("2025-03-05", [("2025-09-10", 100_000)])).outcome == "good"


# ---- censored ------------------------------------------------------------------------------------------------------


def test_a_dispute_ends_the_observation() -> None:
    """Not what came before it; a default after it says nothing of the risk."""
    own = owing("2025-03-05")
    assert became(own, hold("2025-04-03", "dispute")).outcome == "censored"
    assert became(own, hold("2025-04-05", "dispute")).outcome == "bad"
    assert became(own, hold("2025-03-10", "hardship")).outcome == "bad"


def test_the_first_to_happen_decides() -> None:
    """A death after the write-off of another loan changes nothing; before it, it does."""
    own, other = owing("2025-06-01"), owing("2025-06-01", loan_id="l-2")
    sold = ended("2025-03-10", "written_off")
    assert became(own, other, sold, ended("2025-03-11", "deceased", loan_id="l-2")).outcome == "bad"
    assert became(own, other, sold, ended("2025-03-09", "deceased", loan_id="l-2")).outcome == "censored"


# ---- examples ------------------------------------------------------------------------------------------------------


def test_an_example_holds_what_was_seen_then_and_what_became_of_it() -> None:
    """Features and probability of the observation, contacts counted beside them, the borrower as a hash."""
    own = owing("2025-03-05", segment="s-1")
    before = borrower_after([own])
    observation = make_observation(before, at(OBSERVED, "00:00"), RULES, expert_prior())
    assert observation is not None
    after = borrower_after([own, contact("2025-03-09"), contact("2025-05-09")])
    example = mature("b-1", after, observation, RULES)

    assert (example.outcome, example.contacts, example.segment) == ("bad", 1, "s-1")
    assert "b-1" not in example.borrower
    assert example.features["open_loans"] == 1
    assert example.features["unreached_attempts"] == 0
    values = example.values(expert_prior().features)
    assert expert_prior().score(values) == example.probability
    assert example.card_version == expert_prior().version


def test_features_of_another_release_are_taken_by_name() -> None:
    """In the card's order; what the example does not hold has its default."""
    example = Example(
        borrower="x",
        observed_ms=0,
        matured_ms=1,
        features={"open_loans": 3.0},
        outcome="good",
        reason="paid_as_agreed",
        decided_ms=1,
        contacts=0,
        segment=None,
        probability=0.1,
        card_version="v",
    )
    assert example.values(("utilisation", "open_loans")) == (-1.0, 3.0)


def test_of_who_cannot_be_observed_there_is_no_observation() -> None:
    """Nothing is pending for a borrower at the target."""
    assert (
        make_observation(borrower_after([owing("2025-01-05")]), at(OBSERVED, "00:00"), RULES, expert_prior())
        is None
    )
