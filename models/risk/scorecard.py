"""A scorecard: binned features, one weight a bin, a logistic sum. The form credit officers know."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from itertools import pairwise
from math import exp, inf, isfinite, log
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct

from models.alerts import Tier
from models.risk.features import FEATURES, Features, Kind
from models.risk.prior import BIAS, FIRST_WEIGHED, PRIOR

if TYPE_CHECKING:
    from models.rules import Rules

_Row = tuple[str, float, tuple[float, ...], tuple[float, ...]]

WEIGHT_MAX: Final = 50.0
"""Largest weight of a bin, in log-odds: beyond 37 a probability is 1 to double precision anyway."""


_Column = tuple[int, float, float, tuple[float, ...], tuple[float, ...]]
"""A feature's place, the first of its edges (infinity without one) and of its weights, all edges and all weights."""


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

    @property
    def unknown_features(self) -> tuple[str, ...]:
        """Names that no feature of this release has: such a card cannot be used."""
        return tuple(name for name in self.features if name not in Features._fields)

    @cached_property
    def _columns(self) -> list[_Column]:
        """By feature, with its place, by which values are found quicker than beside it; most lie in the first bin, tried first."""
        return [
            (place, edges[0] if edges else inf, weights[0], edges, weights)
            for place, (edges, weights) in enumerate(zip(self.edges, self.weights, strict=True))
        ]

    @cached_property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of evidence that it depends on: a feature that weighs nothing in any bin need not be computed."""
        used = {name for name, row in zip(self.features, self.weights, strict=True) if any(row)}
        return frozenset(feature.kind for feature in FEATURES if feature.name in used)

    @cached_property
    def _places(self) -> tuple[int, ...]:
        return tuple(map(Features._fields.index, self.features))

    @cached_property
    def _takes_the_first(self) -> bool:
        return self._places == tuple(range(len(self.features)))

    def pick(self, features: Features) -> Sequence[float]:
        """The features in the card's own order; a name that this release does not know is a `ValueError`."""
        if self._takes_the_first:
            return features if len(self.features) == len(features) else features[: len(self.features)]
        return tuple(map(features.__getitem__, self._places))

    def score(self, features: Sequence[float]) -> float:
        """The probability for features in the card's order; another number of them is a `ValueError`."""
        if len(features) != len(self.features):
            raise ValueError(f"the card weighs {len(self.features)} features, not {len(features)}")
        return _probability(self.bias, self._columns, features)

    def ceiling(self, lows: Sequence[float], highs: Sequence[float]) -> float:
        """The highest probability of any features between `lows` and `highs`, both included, in the card's order."""
        return logistic(self.most(lows, highs))

    def most(self, lows: Sequence[float], highs: Sequence[float]) -> float:
        """The same in log-odds."""
        return _most(self.bias, self._columns, lows, highs)

    def lowered(self, kind: Kind, found: Mapping[str, float]) -> float:
        """By how much, in log-odds, the most falls with what is `found` of a kind of which anything was thought possible.

        Features that are not found have their defaults; never below 0.
        """
        most, rows = self._by_kind.get(kind, (0.0, ()))
        for name, default, edges, weights in rows:
            most -= weights[bisect_right(edges, found.get(name, default))]
        return most

    @cached_property
    def _by_kind(self) -> dict[Kind, tuple[float, list[_Row]]]:
        """By kind, the most that its features weigh together, and each one's name, default, edges and weights."""
        rows: dict[Kind, list[_Row]] = {}
        tables = dict(zip(self.features, zip(self.edges, self.weights, strict=True), strict=True))
        for feature, default in zip(FEATURES, Features(), strict=True):
            if feature.name in tables:
                rows.setdefault(feature.kind, []).append((feature.name, default, *tables[feature.name]))
        return {kind: (sum(max(row[3]) for row in own), own) for kind, own in rows.items()}

    def floor(self, lows: Sequence[float], highs: Sequence[float]) -> float:
        """The lowest, likewise."""
        log_odds = self.bias
        for edges, weights, low, high in zip(self.edges, self.weights, lows, highs, strict=True):
            log_odds += min(weights[bisect_right(edges, low) : bisect_right(edges, high) + 1])
        return logistic(log_odds)

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


def _probability(bias: float, columns: list[_Column], features: Sequence[float]) -> float:
    """`Scorecard.score`, as a function: the methods of a record stay with the interpreter where the rest is compiled."""
    log_odds = bias
    for place, first_edge, first_weight, edges, weights in columns:
        value = features[place]
        log_odds += first_weight if value < first_edge else weights[bisect_right(edges, value)]
    total = sum(features)
    assert total == total, "a feature is not a number"  # noqa: PLR0124 - the cheapest test for NaN
    return logistic(log_odds)


def _most(bias: float, columns: list[_Column], lows: Sequence[float], highs: Sequence[float]) -> float:
    """`Scorecard.most`, likewise."""
    log_odds = bias
    for (_, _, _, edges, weights), low, high in zip(columns, lows, highs, strict=True):
        first = bisect_right(edges, low)
        if low == high:
            log_odds += weights[first]
        else:
            log_odds += max(weights[first : bisect_right(edges, high) + 1])
    return log_odds


@cache
def expert_prior() -> Scorecard:
    """The card of day one; `models.risk.prior` says what each weight rests on."""
    return _card_of(FIRST_WEIGHED)


@cache
def broad_prior() -> Scorecard:
    """All documented features by expert judgement: where learning starts. The weights of day one are among them."""
    return _card_of(tuple(feature.name for feature in FEATURES))


def _card_of(names: tuple[str, ...]) -> Scorecard:
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


def logit(probability: float) -> float:
    """The log-odds of a probability; infinite for 0 and 1."""
    if probability <= 0:
        return -inf
    return inf if probability >= 1 else log(probability / (1 - probability))


def logistic(log_odds: float) -> float:
    """The probability of log-odds, without overflow."""
    if log_odds >= 0:
        return 1 / (1 + exp(-log_odds))
    odds = exp(log_odds)
    return odds / (1 + odds)
