"""A scorecard: binned features, one weight a bin, a logistic sum. The form credit officers know."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, cached_property
from itertools import pairwise
from math import exp, isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from models.alerts import Tier
from models.risk.features import FEATURES
from models.risk.prior import BIAS, PRIOR

if TYPE_CHECKING:
    from models.rules import Rules

WEIGHT_MAX: Final = 50.0
"""Largest weight of a bin, in log-odds: beyond 37 a probability is 1 to double precision anyway."""


class Contribution(NamedTuple):
    """What one feature added: its value, and the log-odds above the bias."""

    feature: str
    value: float
    weight: float


class Scorecard(Struct, frozen=True, dict=True):
    """A plain weight table: probability = logistic(bias + one weight a feature).

    `edges[i]` are the ascending bin edges of feature i; a value on an edge belongs to the bin above it. `weights[i]`
    holds one weight more than there are edges, in log-odds.
    """

    features: tuple[str, ...]
    edges: tuple[tuple[float, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    bias: float

    def __post_init__(self) -> None:
        """Raise `ValueError` where the table does not fit together."""
        if not len(self.features) == len(self.edges) == len(self.weights):
            raise ValueError("a scorecard needs edges and weights for each feature")
        if len(set(self.features)) != len(self.features):
            raise ValueError("a scorecard names each feature once")
        if not _is_weight(self.bias):
            raise ValueError(f"bias {self.bias} is not within ±{WEIGHT_MAX}")
        for name, edges, weights in zip(self.features, self.edges, self.weights, strict=True):
            if len(weights) != len(edges) + 1:
                raise ValueError(f"{name}: {len(edges)} edges make {len(edges) + 1} bins, not {len(weights)}")
            if not all(map(isfinite, edges)) or any(low >= high for low, high in pairwise(edges)):
                raise ValueError(f"{name}: edges must be finite and ascend: {edges}")
            if not all(map(_is_weight, weights)):
                raise ValueError(f"{name}: weights must be within ±{WEIGHT_MAX}: {weights}")

    @cached_property
    def version(self) -> str:
        """Hash of the content: equal tables have equal versions, whether 1 was written or 1.0."""
        numbers = [[list(map(float, row)) for row in table] for table in (self.edges, self.weights)]
        content = msgspec.json.encode([self.features, *numbers, float(self.bias)])
        return hashlib.sha256(content).hexdigest()[:16]

    @cached_property
    def _columns(self) -> tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]:
        return tuple(zip(self.edges, self.weights, strict=True))

    def score(self, features: Sequence[float]) -> float:
        """The probability for features in the card's order; another number of them is a `ValueError`."""
        log_odds = self.bias
        for (edges, weights), value in zip(self._columns, features, strict=True):
            assert value == value, "a feature is not a number"  # noqa: PLR0124 - the cheapest test for NaN
            log_odds += weights[bisect_right(edges, value)]
        return _logistic(log_odds)

    def ceiling(self, lows: Sequence[float], highs: Sequence[float]) -> float:
        """The highest probability of any features between `lows` and `highs`, both included, in the card's order."""
        log_odds = self.bias
        for (edges, weights), low, high in zip(self._columns, lows, highs, strict=True):
            first = bisect_right(edges, low)
            if low == high:
                log_odds += weights[first]
            else:
                log_odds += max(weights[first : bisect_right(edges, high) + 1])
        return _logistic(log_odds)

    def reasons(self, features: Sequence[float], count: int = 3) -> tuple[Contribution, ...]:
        """The features that raise the probability most, largest first; ties in the card's order."""
        contributions = [
            Contribution(name, value, weights[bisect_right(edges, value)])
            for name, edges, weights, value in zip(
                self.features, self.edges, self.weights, features, strict=True
            )
        ]
        raising = [contribution for contribution in contributions if contribution.weight > 0]
        return tuple(sorted(raising, key=lambda contribution: -contribution.weight)[:count])


@cache
def expert_prior() -> Scorecard:
    """The card of day one; `models.risk.prior` says what each weight rests on."""
    names = tuple(feature.name for feature in FEATURES)
    return Scorecard(
        features=names,
        edges=tuple(tuple(float(bin_.edge) for bin_ in PRIOR[name][1:]) for name in names),
        weights=tuple(tuple(bin_.weight for bin_ in PRIOR[name]) for name in names),
        bias=BIAS,
    )


def tier_of(probability: float, rules: Rules) -> Tier:
    """The policy's tier of a probability; a tier begins at its threshold."""
    tiers = rules.policy.risk.tiers
    if probability >= tiers.severe:
        return "severe"
    if probability >= tiers.high:
        return "high"
    return "medium" if probability >= tiers.medium else "low"


def priority(probability: float, exposure_minor: int, rules: Rules) -> int:
    """Rank alerts across borrowers, 0 to 1000, by probability × exposure.

    1000 · p · e / (e + h), with h = the policy's `priority_exposure_minor`, the exposure that counts half: what is at
    stake saturates, so that one huge loan at little risk does not stand before everybody else. Never falls when the
    probability or the exposure rises.
    """
    half_minor = rules.policy.risk.priority_exposure_minor
    exposure_minor = max(exposure_minor, 0)
    return round(1000 * probability * (exposure_minor / (exposure_minor + half_minor)))


def _is_weight(value: float) -> bool:
    return abs(value) <= WEIGHT_MAX


def _logistic(log_odds: float) -> float:
    if log_odds >= 0:
        return 1 / (1 + exp(-log_odds))
    odds = exp(log_odds)
    return odds / (1 + odds)
