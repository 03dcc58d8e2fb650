"""AUC, KS, log-loss and calibration against their definitions; fading; segments; a restart."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.risk.prequential import (
    OTHER_SEGMENTS,
    SEGMENTS_MAX,
    Figures,
    Prequential,
    UnusableEvaluationError,
)

GRID = [1 / (1 + math.exp(-(place + 0.5) / 8)) for place in range(-40, 40)]
"""One score in the middle of each of eighty bins: ties of the histogram are ties of the scores."""
EXAMPLES = st.lists(st.tuples(st.sampled_from(GRID), st.booleans()), min_size=1, max_size=60)
FOREVER = 1e12
Examples = list[tuple[float, bool]]


def figures_of(examples: Examples, half_life: float = FOREVER) -> Figures:
    """Judge examples in order."""
    evaluation = Prequential(half_life)
    for probability, is_bad in examples:
        evaluation.add(probability, is_bad=is_bad)
    return evaluation.figures()


# ---- definitions ---------------------------------------------------------------------------------------------------


@given(EXAMPLES)
@settings(deadline=None)
def test_auc_is_the_share_of_pairs_in_the_right_order(examples: Examples) -> None:
    """Over all pairs of a bad and a good one; a tie counts half, and without both kinds there is none."""
    bads = [probability for probability, is_bad in examples if is_bad]
    goods = [probability for probability, is_bad in examples if not is_bad]
    auc = figures_of(examples).auc
    if not bads or not goods:
        assert auc is None
    else:
        pairs = [1.0 if bad > good else 0.5 if bad == good else 0.0 for bad, good in product(bads, goods)]
        assert auc == pytest.approx(sum(pairs) / len(pairs), abs=1e-9)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([20, 2_000, 10_000]))
@settings(deadline=None)
def test_who_is_never_wrong_is_no_better_than_that(goods: int, bads: int, half_life: int) -> None:
    """AUC and KS are one and never more, whatever fading makes of the weights: the guard takes the root of 1 - AUC."""
    examples = [(0.1 + 0.1 * (place % 2), False) for place in range(goods)]
    examples += [(0.7 + 0.1 * (place % 3), True) for place in range(bads)]
    figures = figures_of(examples, half_life)

    for figure in (figures.auc, figures.ks):
        assert figure is not None
        assert figure == pytest.approx(1.0)
        assert figure <= 1


@given(EXAMPLES)
@settings(deadline=None)
def test_ks_is_the_largest_distance_of_the_distributions(examples: Examples) -> None:
    """At any cut-off, between the share of bads and the share of goods at or below it."""
    bads = [probability for probability, is_bad in examples if is_bad]
    goods = [probability for probability, is_bad in examples if not is_bad]
    ks = figures_of(examples).ks
    if not bads or not goods:
        assert ks is None
    else:
        expected = max(
            abs(sum(bad <= cut for bad in bads) / len(bads) - sum(good <= cut for good in goods) / len(goods))
            for cut in GRID
        )
        assert ks == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
@settings(deadline=None)
def test_log_loss_and_means_are_exact_for_any_scores(examples: Examples) -> None:
    """Between bins, too; a certainty that was wrong costs 35, not infinity."""
    found = figures_of(examples)
    clipped = [(min(max(probability, 1e-15), 1 - 1e-15), is_bad) for probability, is_bad in examples]
    losses = [-math.log(probability if is_bad else 1 - probability) for probability, is_bad in clipped]
    assert found.log_loss == pytest.approx(sum(losses) / len(losses), rel=1e-9, abs=1e-12)
    assert found.examples == pytest.approx(len(examples), rel=1e-6)
    assert found.bad_rate == pytest.approx(sum(is_bad for _, is_bad in examples) / len(examples))
    assert found.mean_probability == pytest.approx(
        sum(probability for probability, _ in examples) / len(examples), abs=1e-9
    )


def test_calibration_holds_each_tenth_to_what_happened() -> None:
    """Ten scores of a hundred examples each: a tenth is off by 0.1, one by 0.05 the other way, eight are right."""
    probabilities = [place / 20 + 0.1 for place in range(10)]
    bads = [round(100 * probability) for probability in probabilities]
    bads[2] += 10
    bads[7] -= 5
    examples = [
        (probability, number < count)
        for probability, count in zip(probabilities, bads, strict=True)
        for number in range(100)
    ]
    found = figures_of(examples)
    assert [decile.share for decile in found.deciles] == pytest.approx([0.1] * 10)
    assert [decile.mean_probability for decile in found.deciles] == pytest.approx(probabilities)
    assert [decile.bad_rate for decile in found.deciles] == pytest.approx([count / 100 for count in bads])
    assert found.calibration_error == pytest.approx((0.1 + 0.05) / 10)


def test_equal_scores_stay_together() -> None:
    """A thousand equal scores are one group, compared as a whole."""
    found = figures_of([(0.3, number % 2 == 0) for number in range(1_000)])
    assert len(found.deciles) == 1
    assert found.calibration_error == pytest.approx(0.2)
    assert found.auc == pytest.approx(0.5)


def test_of_nothing_nothing_is_told() -> None:
    """Before the first example every figure is absent."""
    assert Prequential().figures() == Figures(0.0, None, None, None, None, None, None, ())


# ---- fading --------------------------------------------------------------------------------------------------------


@given(EXAMPLES, st.integers(1, 50))
@settings(deadline=None)
def test_an_example_fades_by_half_with_each_half_life(examples: Examples, half_life: int) -> None:
    """The log-loss is the mean weighted by a half to the power of age by half-life."""
    found = figures_of(examples, half_life)
    weights = [0.5 ** (age / half_life) for age in range(len(examples))][::-1]
    losses = [-math.log(probability if is_bad else 1 - probability) for probability, is_bad in examples]
    expected = sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights)
    assert found.log_loss == pytest.approx(expected, rel=1e-9)
    assert found.examples == pytest.approx(sum(weights), rel=1e-9)


def test_what_is_long_past_is_forgotten_without_overflow() -> None:
    """After thousands of half-lives the figures are those of the latest examples."""
    found = figures_of([(0.9, False)] * 3_000 + [(0.1, False)] * 100, half_life=1)
    assert found.log_loss == pytest.approx(-math.log(0.9), rel=1e-9)
    assert found.examples == pytest.approx(2.0, rel=1e-9)


# ---- segments ------------------------------------------------------------------------------------------------------


def test_segments_are_told_apart_up_to_a_bound() -> None:
    """Each segment has its own figures; those beyond the bound are told together."""
    evaluation = Prequential(FOREVER)
    for number in range(SEGMENTS_MAX + 3):
        evaluation.add(0.2, is_bad=False, segment=f"s-{number:02}")
    evaluation.add(0.2, is_bad=True, segment="s-00")
    evaluation.add(0.2, is_bad=True)
    found = evaluation.by_segment()
    assert len(found) == SEGMENTS_MAX + 1
    assert found["s-00"].bad_rate == pytest.approx(0.5)
    assert found["s-01"].bad_rate == 0
    assert found[OTHER_SEGMENTS].examples == pytest.approx(3)
    assert evaluation.figures().examples == pytest.approx(SEGMENTS_MAX + 5)


# ---- restart -------------------------------------------------------------------------------------------------------


@given(EXAMPLES, EXAMPLES)
@settings(deadline=None, max_examples=30)
def test_restore_and_continue_is_continue(before: Examples, after: Examples) -> None:
    """Wherever it is cut, the bytes at the end are the same."""
    evaluation = Prequential(7)
    for probability, is_bad in before:
        evaluation.add(probability, is_bad=is_bad, segment=str(is_bad))
    restored = Prequential.from_bytes(evaluation.to_bytes())
    for probability, is_bad in after:
        evaluation.add(probability, is_bad=is_bad, segment="a")
        restored.add(probability, is_bad=is_bad, segment="a")
    assert restored.to_bytes() == evaluation.to_bytes()


def test_bytes_that_cannot_be_trusted_are_refused() -> None:
    """A flipped bit is an error, never a guess."""
    record = bytearray(Prequential().to_bytes())
    record[-1] ^= 1
    with pytest.raises(UnusableEvaluationError, match="checksum"):
        Prequential.from_bytes(bytes(record))
