"""What learning was worth: what was foretold when borrowers were observed, beside what the expert prior would have said."""

from __future__ import annotations

import msgspec
import pytest

from models.calendars import DAY_MS
from models.learning_judging import LearningJudge
from models.policy import default_policy
from models.risk.examples import Example
from models.risk.labels import Outcome
from models.risk.scorecard import expert_prior
from tests.support.examples import FIRST_WEEK_MS, example

RISK = default_policy().risk
DAY_ONE = FIRST_WEEK_MS - FIRST_WEEK_MS % (30 * DAY_MS)
"""Where thirty days begin."""


def seen(probability: float, outcome: Outcome, *, day: int = 0, institutions: float = 0.0) -> Example:
    """An example that was observed on a day with a probability."""
    return msgspec.structs.replace(
        example(institutions, outcome), probability=probability, observed_ms=DAY_ONE + day * DAY_MS
    )


def test_nothing_matured_is_nothing_to_tell() -> None:
    """No figure is made up."""
    report = LearningJudge().report(RISK, ())

    assert report.examples == {"good": 0, "bad": 0, "censored": 0}
    assert (report.in_force.auc, report.in_force.log_loss, report.periods) == (None, None, ())


def test_the_card_in_force_is_judged_by_what_it_said_then() -> None:
    """It put the bad one first and the prior did not: an AUC of one against none."""
    judge = LearningJudge()
    judge.take(seen(0.9, "bad", institutions=0.0))
    judge.take(seen(0.1, "good", institutions=9.0))
    report = judge.report(RISK, ())

    assert (report.in_force.auc, report.expert_prior.auc) == (1.0, 0.0)
    assert report.in_force.log_loss == pytest.approx(0.1054)
    assert report.in_force.calibration_error == pytest.approx(0.1)


def test_the_prior_is_asked_about_the_same_features() -> None:
    """Where the prior was in force, both are the same to four decimals."""
    judge = LearningJudge()
    prior = expert_prior()
    outcomes: tuple[Outcome, ...] = ("good", "bad", "good", "bad")
    for institutions, outcome in zip((0.0, 3.0, 6.0, 9.0), outcomes, strict=True):
        one = example(institutions, outcome)
        judge.take(msgspec.structs.replace(one, probability=prior.score(one.values(prior.features))))
    report = judge.report(RISK, ())

    assert report.in_force == report.expert_prior
    (period,) = report.periods
    assert (period.auc, period.ks, period.log_loss) == (
        period.auc_of_the_prior,
        period.ks_of_the_prior,
        period.log_loss_of_the_prior,
    )


def test_periods_are_of_the_day_of_observation() -> None:
    """Thirty days each, in order, whatever the order of maturing."""
    judge = LearningJudge()
    outcomes: tuple[Outcome, ...] = ("bad", "good", "bad", "good")
    for day, outcome in zip((31, 0, 29, 30), outcomes, strict=True):
        judge.take(seen(0.2, outcome, day=day))
    periods = judge.report(RISK, ()).periods

    assert [(period.from_ms, period.examples, period.examples_bad) for period in periods] == [
        (DAY_ONE, 2, 1),
        (DAY_ONE + 30 * DAY_MS, 2, 1),
    ]


def test_what_is_censored_is_counted_and_judges_nothing() -> None:
    """A dispute says nothing of the probability."""
    judge = LearningJudge()
    judge.take(seen(0.99, "censored"))
    report = judge.report(RISK, ())

    assert report.examples == {"good": 0, "bad": 0, "censored": 1}
    assert report.periods == ()
