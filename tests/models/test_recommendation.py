"""The next step, rung by rung: what moves it up, what holds it back, and who must look first."""

from __future__ import annotations

from typing import get_args

import pytest

from models.alerts import Finding, Severity, SignalName, Stage
from models.recommendation import CONTACT_STAGES, Circumstances, needs_human_review, stage_of
from tests.support.events import rules

RULES = rules()


def stage(severity: Severity, circumstances: Circumstances, signal: SignalName = "missed_payment") -> Stage:
    """The step for a severity in given circumstances."""
    return stage_of(signal, Finding(severity, ()), circumstances, RULES)


@pytest.mark.parametrize(
    ("severity", "bucket", "expected"),
    [
        (Severity.WATCH, "1-30", "remind"),
        (Severity.WARNING, "1-30", "call"),
        (Severity.SERIOUS, "31-60", "negotiate"),
        (Severity.CRITICAL, "91-270", "assign_agency"),
        (Severity.CRITICAL, "271-360", "legal_notice"),
        (Severity.CRITICAL, ">360", "field_visit"),
    ],
)
def test_the_step_follows_severity_and_bucket(severity: Severity, bucket: str, expected: Stage) -> None:
    """From the kindest step to the hardest."""
    assert stage(severity, Circumstances(bucket=bucket, overdue_minor=10**7)) == expected


@pytest.mark.parametrize(
    ("circumstances", "expected"),
    [
        (Circumstances(), "remind"),
        (Circumstances(earlier_episodes=2), "remind"),
        (Circumstances(earlier_episodes=3), "call"),
        (Circumstances(worst_before=Severity.WARNING), "remind"),
        (Circumstances(worst_before=Severity.SERIOUS), "call"),
        (Circumstances(is_restructured=True), "call"),
        (Circumstances(has_refused=True), "negotiate"),
        (Circumstances(is_restructured=True, has_refused=True), "negotiate"),
    ],
)
def test_history_and_answers_begin_higher(circumstances: Circumstances, expected: Stage) -> None:
    """Where a reminder was of no use before, the first step is a call; a refusal asks for its reason."""
    assert stage(Severity.WATCH, circumstances) == expected


def test_history_never_makes_a_heavy_step() -> None:
    """Agency, court and visit follow days past due alone."""
    worst = Circumstances(
        earlier_episodes=99, worst_before=Severity.CRITICAL, is_restructured=True, has_refused=True
    )

    assert stage(Severity.SERIOUS, worst) == "negotiate"


@pytest.mark.parametrize(
    ("overdue_minor", "expected"),
    [(None, "field_visit"), (0, "negotiate"), (49_999, "negotiate"), (50_000, "field_visit")],
)
def test_a_small_amount_goes_no_further_than_negotiating(overdue_minor: int | None, expected: Stage) -> None:
    """On both sides of the policy's amount."""
    assert stage(Severity.CRITICAL, Circumstances(bucket=">360", overdue_minor=overdue_minor)) == expected


@pytest.mark.parametrize(
    ("before", "expected"),
    [("remind", "remind"), ("call", "call"), ("field_visit", "assign_agency"), (None, "assign_agency")],
)
def test_a_promise_holds_the_step_where_it_was(before: Stage | None, expected: Stage) -> None:
    """It never goes up meanwhile; it may go down, and an alert without a step yet begins where it must."""
    waiting = Circumstances(has_promised=True, stage_before=before, overdue_minor=10**7)

    assert stage(Severity.CRITICAL, waiting) == expected


@pytest.mark.parametrize("signal", get_args(SignalName))
def test_every_signal_has_a_step_for_every_severity(signal: SignalName) -> None:
    """Nothing is left without a recommendation."""
    for severity in Severity:
        assert stage(severity, Circumstances(), signal) in get_args(Stage)


@pytest.mark.parametrize(
    ("step", "severity", "is_restricted", "expected"),
    [
        ("remind", Severity.CRITICAL, False, False),
        ("remind", Severity.WATCH, True, True),
        ("negotiate", Severity.CRITICAL, False, False),
        ("assign_agency", Severity.WATCH, False, True),
        ("legal_notice", Severity.WATCH, False, True),
        ("field_visit", Severity.WATCH, False, True),
        ("review_limit", Severity.WARNING, False, False),
        ("review_limit", Severity.SERIOUS, False, True),
    ],
)
def test_what_weighs_heavily_is_for_a_person(
    step: Stage, severity: Severity, *, is_restricted: bool, expected: bool
) -> None:
    """Heavy steps, deep cuts of a limit, and whoever stands on a list."""
    assert needs_human_review(step, severity, is_restricted=is_restricted) is expected


def test_limits_on_attempts_bind_every_step_that_contacts_somebody() -> None:
    """All but the letter of a court, a look at the limit, and nothing."""
    assert set(get_args(Stage)) - CONTACT_STAGES == {"legal_notice", "review_limit", "none"}
