from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calendars import DAY_MS
from models.judging import Fate
from models.score_judging import ScoreCounter, score_report

HORIZON_DAYS = 60
OBSERVATIONS = st.lists(
    st.tuples(st.integers(0, 300), st.floats(0, 1), st.booleans(), st.booleans()), max_size=30
)


def counted(observations: list[tuple[int, float, bool, bool]]) -> ScoreCounter:
    """Observations by day, probability, whether bad in time, and whether past due."""
    counter = ScoreCounter(HORIZON_DAYS)
    for day, probability, is_bad, is_past_due in observations:
        bad_ms = (day + 10) * DAY_MS if is_bad else None
        fate = Fate(bad_ms, (day + HORIZON_DAYS) * DAY_MS)
        counter.add(fate, day * DAY_MS, probability, is_past_due=is_past_due)
    return counter


@pytest.mark.parametrize(("bad_day", "counts"), [(60, (0, 0)), (61, (1, 1)), (120, (1, 1)), (121, (1, 0))])
def test_bad_is_who_goes_bad_within_the_horizon(bad_day: int, counts: tuple[int, int]) -> None:
    """Observed on day 60: bad already is not observed, bad on the sixtieth day after is bad, later is good."""
    counter = ScoreCounter(HORIZON_DAYS)
    counter.add(Fate(bad_day * DAY_MS, bad_day * DAY_MS), 60 * DAY_MS, 0.5, is_past_due=False)
    report = score_report([counter.counts], HORIZON_DAYS)

    assert (report.observations, report.observations_bad) == counts


@pytest.mark.parametrize(("observed_days", "count"), [(59, 0), (60, 1)])
def test_good_is_only_who_is_observed_to_the_end_of_the_horizon(observed_days: int, count: int) -> None:
    """Who may yet go bad is neither."""
    counter = ScoreCounter(HORIZON_DAYS)
    counter.add(Fate(None, observed_days * DAY_MS), 0, 0.5, is_past_due=False)

    assert score_report([counter.counts], HORIZON_DAYS).observations == count


def test_the_figures_of_four_observations() -> None:
    """Three of four pairs in order, one tied decile apart: by hand."""
    report = score_report(
        [
            counted(
                [(0, 0.1, False, False), (0, 0.4, False, False), (0, 0.3, True, True), (40, 0.8, True, False)]
            ).counts
        ],
        HORIZON_DAYS,
    )

    assert (report.auc, report.ks, report.auc_not_past_due) == (0.75, 0.5, 1.0)
    assert report.log_loss == pytest.approx(0.5108, abs=1e-4)
    assert report.log_loss_of_the_rate == pytest.approx(0.6931, abs=1e-4)
    assert report.calibration_error == pytest.approx((0.1 + 0.4 + 0.7 + 0.2) / 4)
    assert report.roc == ((0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0))
    assert [period.observations for period in report.periods] == [3, 1]


@given(OBSERVATIONS, st.integers(0, 30))
def test_it_does_not_matter_who_counts(observations: list[tuple[int, float, bool, bool]], cut: int) -> None:
    """In one counter or in two, in any order: the same report."""
    parts = [counted(observations[cut:]).counts, counted(observations[:cut][::-1]).counts]

    assert score_report(parts, HORIZON_DAYS) == score_report([counted(observations).counts], HORIZON_DAYS)
