"""The scorecard that learns: bins times FTRL-Proximal logistic regression, one example at a time.

FTRL (McMahan et al., Ad Click Prediction: a View from the Trenches, KDD 2013, algorithm 1) gives each bin its own learning
rate: a bin seen a thousand times moves little, a bin seen for the first time moves at once. River's
`linear_model.LogisticRegression` with `optim.FTRLProximal`, one 0/1 input a bin and one that is always 1 for the bias, is the
reference: a property test holds weights and probabilities to it. The step is written out here because it is four times as
quick, and because the whole state is then two plain tables (`models/decisions/0010-the-card-that-learns.md`).

**Learning starts from a card**, the expert prior of all features on day one. A weight w is kept as the pair z, n of FTRL; for a weight that
was never seen z is chosen so that the update's own formula returns the card's. `prior_pull` is how firmly FTRL then holds on
to it: the curvature of a quadratic penalty around the card's weight. A bad rate of p adds p(1-p) of curvature an example,
so a pull of 1 weighs as much as some twenty examples of a bin with five per cent bad.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import sqrt
from typing import Annotated, Final

from msgspec import Meta, Struct

from models.risk.scorecard import Scorecard, logistic
from models.sealed import SealedState

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]


class TrainingSettings(Struct, frozen=True, array_like=True):
    """The constants of the step; the defaults are measured (`models/decisions/0010-the-card-that-learns.md`)."""

    alpha: Positive = 0.1
    """Learning rate of a bin that has seen nothing: alpha / beta."""
    beta: Positive = 1.0
    """How slowly the rate falls at first: as alpha / (beta + root of the summed squared gradients)."""
    prior_pull: NotNegative = 1.0
    """How firmly the weights are held to those of the starting card (FTRL's `l2`)."""
    prior_gradients: NotNegative = 0.0
    """Squared gradients that each bin of the starting card counts as having seen: above 0 it learns more slowly."""


class TrainingState(Struct, array_like=True):
    """All that learning depends on; the weights follow from z and n."""

    settings: TrainingSettings
    features: list[str]
    edges: list[list[float]]
    z: list[float]
    n: list[float]
    examples: int = 0
    bads: int = 0


KEPT_AFTER_DRIFT: Final = 0.1
"""Part of the squared gradients seen that still counts after a drift: rates are three times as high again. Measured: of half
the weights changed at a stroke, 0.872 of an attainable 0.881 AUC in the second ten thousand examples, 0.843 without."""
_BIAS: Final = 0
"""Where the bias stands among the weights: the bin in which everybody is."""


class UnusableTrainingError(Exception):
    """The bytes hold no state that learning could go on from; the message says why."""


_SEALED: Final = SealedState(TrainingState, UnusableTrainingError, "state of training")


class Trainer:
    """Learns a scorecard's weights from matured examples, in their order; its bins stay those of the starting card."""

    def __init__(self, state: TrainingState) -> None:
        """Go on from `state`, which is taken over; its tables fit together."""
        self._state = state
        self._w = [
            -z / _stiffness(n, state.settings) if z else 0.0 for z, n in zip(state.z, state.n, strict=True)
        ]
        self._columns: list[tuple[list[float], int]] = []
        first = _BIAS + 1
        for edges in state.edges:
            self._columns.append((edges, first))
            first += len(edges) + 1
        assert first == len(self._w), "one weight a bin"

    @staticmethod
    def starting_with(card: Scorecard, settings: TrainingSettings | None = None) -> Trainer:
        """Begin with the weights of a card, usually `broad_prior()`."""
        settings = TrainingSettings() if settings is None else settings
        weights = [card.bias, *(weight for row in card.weights for weight in row)]
        n = [settings.prior_gradients] * len(weights)
        z = [-weight * _stiffness(seen, settings) for weight, seen in zip(weights, n, strict=True)]
        edges = [list(map(float, row)) for row in card.edges]
        return Trainer(TrainingState(settings, list(card.features), edges, z, n))

    @property
    def features(self) -> tuple[str, ...]:
        """In which order values are taken."""
        return tuple(self._state.features)

    @property
    def examples(self) -> int:
        """Examples learnt from."""
        return self._state.examples

    @property
    def bads(self) -> int:
        """Those of them that went bad."""
        return self._state.bads

    def predict_one(self, values: Sequence[float]) -> float:
        """The probability of bad, for values in the order of `features`; it changes nothing."""
        return logistic(self._log_odds(self._bins(values)))

    def learn_one(self, values: Sequence[float], *, is_bad: bool) -> float:
        """Learn from one example; return the probability that was predicted before."""
        state, weights = self._state, self._w
        settings = state.settings
        alpha, beta, pull = settings.alpha, settings.beta, settings.prior_pull
        bins = self._bins(values)
        probability = logistic(self._log_odds(bins))
        gradient = probability - is_bad
        squared = gradient * gradient
        z, n = state.z, state.n
        for index in (_BIAS, *bins):
            seen = n[index]
            root_before = sqrt(seen)
            n[index] = seen = seen + squared
            root = sqrt(seen)
            z[index] = held = z[index] + gradient - (root - root_before) / alpha * weights[index]
            weights[index] = -held / ((beta + root) / alpha + pull)
        state.examples += 1
        state.bads += is_bad
        return probability

    def quicken(self, keep: float = KEPT_AFTER_DRIFT) -> None:
        """Let every bin learn faster again, as if it had seen only a part of its examples; no weight changes.

        For when the world has changed: rates that fell over years would take years to follow.
        """
        state = self._state
        for index, weight in enumerate(self._w):
            state.n[index] *= keep
            state.z[index] = -weight * _stiffness(state.n[index], state.settings)

    def card(self) -> Scorecard:
        """The weights as a table: it scores to the last bit as `predict_one` does."""
        rows = [tuple(self._w[first : first + len(edges) + 1]) for edges, first in self._columns]
        return Scorecard(
            features=self.features,
            edges=tuple(map(tuple, self._state.edges)),
            weights=tuple(rows),
            bias=self._w[_BIAS],
        )

    def to_bytes(self) -> bytes:
        """The whole state: `from_bytes` goes on from it as if nothing had happened."""
        return _SEALED.to_bytes(self._state)

    @staticmethod
    def from_bytes(record: bytes) -> Trainer:
        """The trainer whose state `to_bytes` gave.

        Raises:
            UnusableTrainingError: damaged, of a version that is not known, or tables that do not fit together.
        """
        state = _SEALED.from_bytes(record)
        bins = 1 + sum(len(edges) + 1 for edges in state.edges)
        if not (len(state.features) == len(state.edges) and len(state.z) == len(state.n) == bins):
            raise UnusableTrainingError("state of training: its tables do not fit together")
        return Trainer(state)

    def _bins(self, values: Sequence[float]) -> list[int]:
        return [
            first + bisect_right(edges, value)
            for (edges, first), value in zip(self._columns, values, strict=True)
        ]

    def _log_odds(self, bins: list[int]) -> float:
        """Summed in the card's order, so that the card's probability is the same to the last bit."""
        weights = self._w
        log_odds = weights[_BIAS]
        for index in bins:
            log_odds += weights[index]
        return log_odds


def _stiffness(n: float, settings: TrainingSettings) -> float:
    """By what z is divided: how much gradient it takes to move a weight by one."""
    return (settings.beta + sqrt(n)) / settings.alpha + settings.prior_pull
