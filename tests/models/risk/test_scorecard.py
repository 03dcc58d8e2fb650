"""The scorecard as a table, the prior's marks, and the ranking of alerts."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.policy import default_policy, parse_policy
from models.risk.features import FEATURES, Features
from models.risk.prior import FIRST_WEIGHED, PRIOR
from models.risk.scorecard import (
    WEIGHT_MAX,
    Contribution,
    Scorecard,
    broad_prior,
    expert_prior,
    priority,
    tier_of,
)
from models.rules import Rules
from tests.support.cards import cards

RULES = Rules(default_policy())
SMALL = Scorecard(
    features=("days", "share"), edges=((1.0, 7.0), (0.5,)), weights=((0.0, 1.0, 2.5), (-0.5, 0.25)), bias=-1.0
)
CLEAN = Features(income_visible=1, utilisation=0.5, relation_days=500, open_loans=1)


def logistic(log_odds: float) -> float:
    """Turn log-odds into a probability by the textbook formula."""
    return 1 / (1 + math.exp(-log_odds))


def first_score(features: Features) -> float:
    """What the card of day one says."""
    return expert_prior().score(expert_prior().pick(features))


# ---- the table ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "log_odds"),
    [
        ((0, 0), -1.5),
        ((0.999, 0.499), -1.5),
        ((1, 0), -0.5),
        ((6.999, 0.5), 0.25),
        ((7, 0.5), 1.75),
        ((1e9, 1e9), 1.75),
        ((-1e9, -1e9), -1.5),
    ],
)
def test_a_value_on_an_edge_belongs_to_the_bin_above(values: tuple[float, float], log_odds: float) -> None:
    """The score is the logistic of the bias and one weight a feature, on both sides of each edge."""
    assert SMALL.score(values) == pytest.approx(logistic(log_odds), abs=1e-12)


def test_the_number_of_features_must_fit() -> None:
    """Too few or too many values are an error, not a score."""
    for values in ((1.0,), (1.0, 2.0, 3.0)):
        with pytest.raises(ValueError, match="weighs 2 features, not"):
            SMALL.score(values)


def test_a_value_that_is_no_number_stops() -> None:
    """NaN falls in no bin: whoever passes it has a fault, and it does not become a score."""
    with pytest.raises(AssertionError, match="not a number"):
        SMALL.score((float("nan"), 0.0))


@given(st.floats(-1e308, 1e308), st.floats(-1e308, 1e308))
def test_a_score_is_a_probability(days: float, share: float) -> None:
    """Whatever the values, the score lies strictly between 0 and 1."""
    assert 0 < SMALL.score((days, share)) < 1


def test_extreme_weights_do_not_overflow() -> None:
    """The largest weights allowed give 0 and 1 to double precision, not an error."""
    for sign in (-1, 1):
        names = tuple(f"f{number}" for number in range(40))
        card = Scorecard(names, ((),) * 40, ((sign * WEIGHT_MAX,),) * 40, sign * WEIGHT_MAX)
        assert card.score([0.0] * 40) == pytest.approx((1 + sign) / 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"edges": ((1.0, 7.0),)}, "for each feature"),
        ({"features": ("days", "days")}, "once"),
        ({"weights": ((0.0, 1.0), (0.0, 1.0))}, "days: 2 edges make 3 bins, not 2"),
        ({"edges": ((7.0, 1.0), (0.5,))}, "ascend"),
        ({"edges": ((1.0, 1.0), (0.5,))}, "ascend"),
        ({"edges": ((1.0, math.inf), (0.5,))}, "finite"),
        ({"weights": ((0.0, 1.0, math.nan), (0.0, 1.0))}, "within"),
        ({"weights": ((0.0, 1.0, 50.1), (0.0, 1.0))}, "within"),
        ({"bias": -math.inf}, "bias"),
    ],
)
def test_a_table_that_does_not_fit_together_is_refused(change: dict[str, Any], message: str) -> None:
    """Each way to build an impossible card is an error that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        msgspec.structs.replace(SMALL, **change)


def test_the_version_is_the_content() -> None:
    """Equal tables have equal versions, also read back from bytes; any other number makes another version."""
    again = msgspec.json.decode(msgspec.json.encode(SMALL), type=Scorecard)
    assert again == SMALL
    assert again.version == SMALL.version
    assert msgspec.structs.replace(SMALL, edges=((1, 7), (0.5,))).version == SMALL.version
    others = [
        msgspec.structs.replace(SMALL, bias=-1.0000001),
        msgspec.structs.replace(SMALL, features=("days", "part")),
        msgspec.structs.replace(SMALL, edges=((1.0, 8.0), (0.5,))),
        msgspec.structs.replace(SMALL, weights=((0.0, 1.0, 2.5), (-0.5, 0.26))),
    ]
    assert len({SMALL.version, *(card.version for card in others)}) == 5


@given(st.permutations(range(len(Features._fields))), st.integers(0, len(Features._fields)))
def test_a_card_picks_its_own_features(order: list[int], count: int) -> None:
    """Any of them in any order, by name."""
    names = tuple(Features._fields[place] for place in order[:count])
    card = Scorecard(names, ((),) * count, ((0.0,),) * count, 0.0)
    assert tuple(card.pick(Features(*range(len(Features._fields))))) == tuple(order[:count])


def test_a_card_of_a_feature_that_nobody_knows_picks_nothing() -> None:
    """It cannot be used in this release, and says so."""
    with pytest.raises(ValueError, match="not in"):
        SMALL.pick(Features())


@given(st.data())
def test_nothing_between_two_bounds_is_above_the_ceiling_or_below_the_floor(data: st.DataObject) -> None:
    """No feature between the bounds goes beyond them, and they are the most and the least that their bins can add."""
    card = data.draw(cards())
    values = st.floats(-5, 105)
    pairs = [sorted((data.draw(values), data.draw(values))) for _ in card.features]
    lows, highs = [low for low, _ in pairs], [high for _, high in pairs]
    ceiling = card.ceiling(lows, highs)
    floor = card.floor(lows, highs)
    assert floor <= card.score([data.draw(st.floats(low, high)) for low, high in pairs]) <= ceiling
    columns = list(zip(card.edges, card.weights, lows, highs, strict=True))
    most, least = (
        [
            end((low, *(e for e in edges if low <= e <= high)), key=lambda v: weights[_place(edges, v)])
            for edges, weights, low, high in columns
        ]
        for end in (max, min)
    )
    assert (card.score(most), card.score(least)) == (ceiling, floor)


def _place(edges: tuple[float, ...], value: float) -> int:
    return sum(edge <= value for edge in edges)


def test_reasons_are_what_raises_the_probability_most() -> None:
    """Largest first, only what raises, at most as many as asked for."""
    days, share = Contribution("days", 9, 2.5), Contribution("share", 0.6, 0.25)
    assert SMALL.reasons((9, 0.6)) == (days, share)
    assert SMALL.reasons((9, 0.6), count=1) == (days,)
    assert SMALL.reasons((0, 0.6)) == (share,)
    assert SMALL.reasons((0, 0)) == ()


# ---- the prior ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "low", "high"),
    [
        ({}, 0.01, 0.02),
        ({"utilisation": 0.1, "relation_days": 2000}, 0.005, 0.02),
        ({"days_past_due": 1, "worst_days_past_due": 1, "missed_instalments": 1}, 0.10, 0.15),
        ({"days_past_due": 6, "worst_days_past_due": 6, "missed_instalments": 1}, 0.10, 0.15),
        ({"days_past_due": 7, "worst_days_past_due": 7, "missed_instalments": 1}, 0.30, 0.45),
        ({"days_past_due": 29, "worst_days_past_due": 29, "missed_instalments": 1}, 0.30, 0.45),
        ({"days_past_due": 30, "worst_days_past_due": 30, "missed_instalments": 1}, 0.90, 0.99),
        ({"income_lost_fraction": 0.8}, 0.05, 0.10),
        ({"new_institutions": 5}, 0.08, 0.12),
        ({"income_lost_fraction": 0.8, "new_institutions": 5}, 0.25, 0.40),
    ],
)
def test_the_prior_meets_its_marks(changes: dict[str, float], low: float, high: float) -> None:
    """The probabilities by which the weights were set hold."""
    assert low <= first_score(CLEAN._replace(**changes)) <= high


def test_the_prior_has_a_reason_for_each_weight_of_each_feature() -> None:
    """It covers the documented features, each bin says why, and the first begins below everything."""
    assert set(PRIOR) == {feature.name for feature in FEATURES}
    for bins in PRIOR.values():
        assert bins[0].edge == -math.inf
        assert all(bin_.reason for bin_ in bins)


_RISING = (
    "days_past_due",
    "worst_days_past_due",
    "overdue_share",
    "missed_instalments",
    "income_lost_fraction",
)


@given(
    st.sampled_from([*_RISING, "new_institutions", "open_loans"]),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_more_trouble_is_never_less_risk(name: str, one: float, other: float) -> None:
    """In every feature that means trouble the probability never falls as it grows."""
    low, high = sorted((one, other))
    assert first_score(CLEAN._replace(**{name: low})) <= first_score(CLEAN._replace(**{name: high}))


def test_a_longer_relation_is_never_more_risk() -> None:
    """The probability never rises with the age of the relation."""
    scores = [first_score(CLEAN._replace(relation_days=days)) for days in (0, 89, 90, 364, 365, 1095, 9000)]
    assert scores == sorted(scores, reverse=True)


def test_the_prior_is_one_card() -> None:
    """It is built once, and names the features in their order."""
    assert expert_prior() is expert_prior()
    assert expert_prior().features == Features._fields[: len(FIRST_WEIGHED)]


def test_learning_starts_from_all_features_and_the_weights_of_day_one() -> None:
    """Every documented feature is there to be learnt; those of the card of day one weigh the same in both."""
    first, broad = expert_prior(), broad_prior()
    assert broad.features == Features._fields
    assert (broad.bias, broad.edges[: len(first.edges)]) == (first.bias, first.edges)
    assert broad.weights[: len(first.weights)] == first.weights


# ---- tier and priority -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probability", "tier"),
    [
        (0.0, "low"),
        (0.0499, "low"),
        (0.05, "medium"),
        (0.1499, "medium"),
        (0.15, "high"),
        (0.3999, "high"),
        (0.4, "severe"),
        (1.0, "severe"),
    ],
)
def test_a_tier_begins_at_its_threshold(probability: float, tier: str) -> None:
    """On both sides of each of the default policy's thresholds."""
    assert tier_of(probability, RULES) == tier


def test_priority_has_fixed_points() -> None:
    """Nothing at stake or no risk is 0; the exposure that counts half gives half; the end of the range is 1000."""
    half = RULES.policy.risk.priority_exposure_minor
    assert priority(0.9, 0, RULES) == 0
    assert priority(0.0, half, RULES) == 0
    assert priority(0.5, half, RULES) == 250
    assert priority(1.0, half, RULES) == 500
    assert priority(1.0, 2**63 - 1, RULES) == 1000
    assert priority(1.0, -5, RULES) == 0


PROBABILITIES = st.floats(0, 1)
EXPOSURES = st.integers(0, 2**63 - 1)


@given(PROBABILITIES, PROBABILITIES, EXPOSURES, EXPOSURES, st.integers(1, 10**15))
def test_priority_rises_with_probability_and_exposure(
    one_p: float, other_p: float, one_e: int, other_e: int, half: int
) -> None:
    """It stays within 0 and 1000 and never falls when either rises, for any half-way exposure."""
    rules = Rules(parse_policy(f"[risk]\npriority_exposure_minor = {half}", "test.toml"))
    (low_p, high_p), (low_e, high_e) = sorted((one_p, other_p)), sorted((one_e, other_e))
    lowest, by_p, by_e = (
        priority(low_p, low_e, rules),
        priority(high_p, low_e, rules),
        priority(low_p, high_e, rules),
    )
    assert 0 <= lowest <= min(by_p, by_e)
    assert max(by_p, by_e) <= priority(high_p, high_e, rules) <= 1000
