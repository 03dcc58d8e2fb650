from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calendars import DAY_MS
from models.judging import Fate
from models.score_judging import ScoreCounter, score_report

HORIZON_DAYS = 60
BOOK_ENDS_MS = 1000 * DAY_MS
OBSERVATIONS = st.lists(
    st.tuples(st.integers(0, 300), st.floats(0, 1), st.booleans(), st.booleans()), max_size=30
)


def counted(observations: list[tuple[int, float, bool, bool]]) -> ScoreCounter:
    """Observations by day, probability, whether bad in time, and whether past due."""
    counter = ScoreCounter(HORIZON_DAYS, BOOK_ENDS_MS)
    for day, probability, is_bad, is_past_due in observations:
        bad_ms = (day + 10) * DAY_MS if is_bad else None
        fate = Fate(bad_ms, (day + HORIZON_DAYS) * DAY_MS)
        counter.add(fate, day * DAY_MS, probability, is_past_due=is_past_due)
    return counter


@pytest.mark.parametrize(("bad_day", "counts"), [(60, (0, 0)), (61, (1, 1)), (120, (1, 1)), (121, (1, 0))])
def test_bad_is_who_goes_bad_within_the_horizon(bad_day: int, counts: tuple[int, int]) -> None:
    """Observed on day 60: bad already is not observed, bad on the sixtieth day after is bad, later is good."""
    counter = ScoreCounter(HORIZON_DAYS, BOOK_ENDS_MS)
    counter.add(Fate(bad_day * DAY_MS, bad_day * DAY_MS), 60 * DAY_MS, 0.5, is_past_due=False)
    report = score_report([counter.counts], HORIZON_DAYS)

    assert (report.observations, report.observations_bad) == counts


@pytest.mark.parametrize(("observed_days", "count"), [(59, 0), (60, 1)])
def test_good_is_only_who_is_observed_to_the_end_of_the_horizon(observed_days: int, count: int) -> None:
    """Who may yet go bad is neither."""
    counter = ScoreCounter(HORIZON_DAYS, BOOK_ENDS_MS)
    counter.add(Fate(None, observed_days * DAY_MS), 0, 0.5, is_past_due=False)

    assert score_report([counter.counts], HORIZON_DAYS).observations == count


@pytest.mark.parametrize(("book_ends", "counts"), [(59, (0, 0)), (60, (1, 0)), (179, (1, 0)), (180, (1, 1))])
def test_nobody_is_counted_where_a_window_reaches_beyond_the_book(
    book_ends: int, counts: tuple[int, int]
) -> None:
    """Who goes bad in it is known too soon: the good ones of the same day are not known yet."""
    counter = ScoreCounter(HORIZON_DAYS, book_ends * DAY_MS)
    counter.add(Fate(10 * DAY_MS, 10 * DAY_MS), 0, 0.5, is_past_due=False)
    report = score_report([counter.counts], HORIZON_DAYS)

    assert (report.observations_bad, report.ranking.observations_bad) == counts


@pytest.mark.parametrize(
    ("bad_day", "counts"), [(60, (0, 0)), (60.9, (0, 0)), (61, (1, 1)), (240, (1, 1)), (241, (1, 0))]
)
def test_the_ranking_is_by_who_goes_bad_within_the_days_of_a_hit(
    bad_day: float, counts: tuple[int, int]
) -> None:
    """Observed on day 60: 1 to 180 days after is bad, as an alert of that day would be a hit."""
    counter = ScoreCounter(HORIZON_DAYS, BOOK_ENDS_MS)
    bad_ms = round(bad_day * DAY_MS)
    counter.add(Fate(bad_ms, bad_ms), 60 * DAY_MS, 0.5, is_past_due=False)
    ranking = score_report([counter.counts], HORIZON_DAYS).ranking

    assert (ranking.observations, ranking.observations_bad) == counts


def test_who_goes_bad_behind_the_horizon_is_good_within_it_and_ranked_as_bad() -> None:
    """A default of 90 days late cannot come within 60 days of being current: the order tells all the same."""
    counter = ScoreCounter(HORIZON_DAYS, BOOK_ENDS_MS)
    counter.add(Fate(100 * DAY_MS, 100 * DAY_MS), 0, 0.3, is_past_due=True)
    counter.add(Fate(100 * DAY_MS, 100 * DAY_MS), 0, 0.7, is_past_due=False)
    counter.add(Fate(None, 365 * DAY_MS), 0, 0.5, is_past_due=False)
    report = score_report([counter.counts], HORIZON_DAYS)

    assert (report.observations_bad, report.auc, report.roc) == (0, None, ())
    assert (report.ranking.auc, report.ranking.auc_not_past_due, report.ranking.ks) == (0.5, 1.0, 0.5)
    assert report.ranking.roc == ((0.0, 0.0), (0.0, 0.5), (1.0, 0.5), (1.0, 1.0))
    assert [period.auc for period in report.ranking.periods] == [0.5]


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
