"""How well probabilities foretold what happened: each example is judged before it is learnt from.

Kept of the examples is a histogram of their scores by log-odds, goods and bads apart, in which the old fade: bounded memory,
whatever the number of examples. Log-loss and calibration come of exact sums; AUC and KS take the examples of one bin of the
histogram, an eighth of log-odds wide, for ties. (Prequential evaluation with fading factors: Gama, Sebastião and Rodrigues,
On evaluating stream learning algorithms, Machine Learning 90, 2013.)
"""

from __future__ import annotations

from math import log
from typing import Final

from msgspec import Struct

from models.sealed import SealedState

HALF_LIFE_EXAMPLES: Final = 10_000
"""An example counts half once so many came after it: half of what is told is of the last ten thousand."""
SEGMENTS_MAX: Final = 16
"""Segments told apart; the examples of further ones are told together."""
OTHER_SEGMENTS: Final = "…"
"""Stands for segments beyond those."""
DECILES: Final = 10
_BINS_PER_LOG_ODDS: Final = 8
LOG_ODDS_MAX: Final = 8.0
"""Beyond it, 0.03 % and 99.97 %, all scores are one bin."""
_BINS: Final = int(2 * LOG_ODDS_MAX * _BINS_PER_LOG_ODDS)
_CERTAIN: Final = 1e-15
"""Nearer to 0 or 1 no probability counts, so that one mistake does not weigh endlessly."""
_UNIT_MAX: Final = 2.0**40
"""When new examples weigh so much, all weights are divided by it; a power of two rounds nothing."""


class Decile(Struct, frozen=True):
    """A tenth of the examples, by score: what was foretold, and what happened."""

    share: float
    mean_probability: float
    bad_rate: float


class Figures(Struct, frozen=True):
    """How good probabilities were; None where there is nothing to tell it from."""

    examples: float
    """By weight: the old count less."""
    bad_rate: float | None
    mean_probability: float | None
    auc: float | None
    """Of a bad and a good one drawn at random, how often the bad one has the higher score; a tie counts half."""
    ks: float | None
    """Largest distance between the distributions of the scores of bads and goods (Kolmogorov and Smirnov)."""
    log_loss: float | None
    calibration_error: float | None
    """Mean over the examples of |mean probability - bad rate| of their decile."""
    deciles: tuple[Decile, ...]
    """Lowest scores first. Equal scores stay together, so that there may be fewer than ten."""


class Histogram(Struct, array_like=True):
    """Scores and outcomes of examples, the newest weighing `unit`."""

    goods: list[float]
    bads: list[float]
    probabilities: list[float]
    """By bin: the sum over its examples."""
    losses: float = 0.0
    unit: float = 1.0

    def add(self, probability: float, *, is_bad: bool, growth: float) -> None:
        """Count one example; every earlier one now weighs 1 / `growth` of what it did."""
        self.unit *= growth
        if self.unit > _UNIT_MAX:
            self._rescale()
        probability = min(max(probability, _CERTAIN), 1 - _CERTAIN)
        place = int((log(probability / (1 - probability)) + LOG_ODDS_MAX) * _BINS_PER_LOG_ODDS)
        place = min(max(place, 0), _BINS - 1)
        outcomes = self.bads if is_bad else self.goods
        outcomes[place] += self.unit
        self.probabilities[place] += self.unit * probability
        self.losses -= self.unit * log(probability if is_bad else 1 - probability)

    def _rescale(self) -> None:
        self.goods = [weight / _UNIT_MAX for weight in self.goods]
        self.bads = [weight / _UNIT_MAX for weight in self.bads]
        self.probabilities = [weight / _UNIT_MAX for weight in self.probabilities]
        self.losses /= _UNIT_MAX
        self.unit /= _UNIT_MAX

    def figures(self) -> Figures:
        """What the examples so far tell."""
        goods, bads = sum(self.goods), sum(self.bads)
        total = goods + bads
        deciles = self._deciles(total)
        return Figures(
            examples=total / self.unit,
            bad_rate=bads / total if total else None,
            mean_probability=sum(self.probabilities) / total if total else None,
            auc=self._auc(goods, bads) if goods and bads else None,
            ks=self._ks(goods, bads) if goods and bads else None,
            log_loss=self.losses / total if total else None,
            calibration_error=sum(
                decile.share * abs(decile.mean_probability - decile.bad_rate) for decile in deciles
            )
            if total
            else None,
            deciles=deciles,
        )

    def _auc(self, goods: float, bads: float) -> float:
        below = pairs = 0.0
        for good, bad in zip(self.goods, self.bads, strict=True):
            pairs += bad * (below + good / 2)
            below += good
        return min(pairs / (goods * bads), 1.0)  # rounding may go beyond

    def _ks(self, goods: float, bads: float) -> float:
        below_good = below_bad = furthest = 0.0
        for good, bad in zip(self.goods, self.bads, strict=True):
            below_good += good
            below_bad += bad
            furthest = max(furthest, abs(below_good / goods - below_bad / bads))
        return min(furthest, 1.0)

    def _deciles(self, total: float) -> tuple[Decile, ...]:
        """A bin belongs to the tenth in which the middle of its examples lies."""
        sums = [[0.0, 0.0, 0.0] for _ in range(DECILES)]
        below = 0.0
        for good, bad, probability in zip(self.goods, self.bads, self.probabilities, strict=True):
            weight = good + bad
            if weight:
                place = min(int(DECILES * (below + weight / 2) / total), DECILES - 1)
                tenth = sums[place]
                tenth[0] += weight
                tenth[1] += probability
                tenth[2] += bad
                below += weight
        return tuple(
            Decile(weight / total, probability / weight, bad / weight)
            for weight, probability, bad in sums
            if weight
        )


class _State(Struct, array_like=True):
    half_life_examples: float
    overall: Histogram
    segments: dict[str, Histogram]


class UnusableEvaluationError(Exception):
    """The bytes hold no state that an evaluation could go on from; the message says why."""


_SEALED: Final = SealedState(_State, UnusableEvaluationError, "state of evaluation")


class Prequential:
    """Figures of one source of probabilities, overall and by segment."""

    def __init__(self, half_life_examples: float = HALF_LIFE_EXAMPLES) -> None:
        """Begin with nothing."""
        assert half_life_examples >= 1, "less than one example is no memory"
        self._state = _State(float(half_life_examples), _empty(), {})
        self._growth = 2.0 ** (1 / half_life_examples)

    def add(self, probability: float, *, is_bad: bool, segment: str | None = None) -> None:
        """Judge one example, in the order in which they matured. Within a segment its own examples are what makes it old."""
        self._state.overall.add(probability, is_bad=is_bad, growth=self._growth)
        if segment is not None:
            self._segment(segment).add(probability, is_bad=is_bad, growth=self._growth)

    def figures(self) -> Figures:
        """Over all examples."""
        return self._state.overall.figures()

    def by_segment(self) -> dict[str, Figures]:
        """By segment, in order of name."""
        return {name: self._state.segments[name].figures() for name in sorted(self._state.segments)}

    def to_bytes(self) -> bytes:
        """The whole state: `from_bytes` goes on from it as if nothing had happened."""
        return _SEALED.to_bytes(self._state)

    @staticmethod
    def from_bytes(record: bytes) -> Prequential:
        """The evaluation whose state `to_bytes` gave.

        Raises:
            UnusableEvaluationError: damaged, or of a version that is not known.
        """
        state = _SEALED.from_bytes(record)
        evaluation = Prequential(state.half_life_examples)
        evaluation._state = state
        return evaluation

    def _segment(self, name: str) -> Histogram:
        segments = self._state.segments
        found = segments.get(name)
        if found is None:
            if len(segments) >= SEGMENTS_MAX:
                name = OTHER_SEGMENTS
            found = segments.setdefault(name, _empty())
        return found


def _empty() -> Histogram:
    return Histogram([0.0] * _BINS, [0.0] * _BINS, [0.0] * _BINS)
