"""Figures of probabilities that were counted: by probability to four decimals, how many went bad and how many did not.

Every count is an integer, so the figures are the same whatever the order in which was counted, and however many counters there were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from typing import Final

from models.report import CalibrationDecile

STEPS: Final = 10_000
"""Probabilities are counted as alerts show them, to four decimals."""
_DECILES: Final = 10
_DECIMALS: Final = 4
_ROC_POINTS_MAX: Final = 200
"""Of the curve: more cannot be told apart in a plot."""

Cells = Mapping[int, tuple[int, int]]
"""By probability in ten-thousandths: goods and bads, lowest first."""


def in_order(cells: Mapping[int, list[int]]) -> Cells:
    """What was counted, as the figures need it."""
    return {step: (cells[step][0], cells[step][1]) for step in sorted(cells)}


def totals(cells: Cells) -> tuple[int, int]:
    """Goods and bads."""
    return sum(good for good, _ in cells.values()), sum(bad for _, bad in cells.values())


def auc(cells: Cells) -> float | None:
    """Of a bad and a good one drawn at random, how often the bad one has the higher probability; a tie counts half."""
    goods, bads = totals(cells)
    if not goods or not bads:
        return None
    below = twice_pairs = 0
    for good, bad in cells.values():
        twice_pairs += bad * (2 * below + good)
        below += good
    return rounded(twice_pairs / (2 * goods * bads))


def ks(cells: Cells) -> float | None:
    """Largest distance between the distributions of goods and bads (Kolmogorov and Smirnov)."""
    goods, bads = totals(cells)
    if not goods or not bads:
        return None
    below_good = below_bad = 0
    furthest = 0.0
    for good, bad in cells.values():
        below_good += good
        below_bad += bad
        furthest = max(furthest, abs(below_good / goods - below_bad / bads))
    return rounded(furthest)


def log_loss(cells: Cells) -> float | None:
    """Mean of -log(probability of what happened); none is taken for nearer to 0 or 1 than half a step."""
    total = sum(map(sum, cells.values()))
    if not total:
        return None
    loss = 0.0
    for step, (good, bad) in cells.items():
        probability = min(max(step / STEPS, 0.5 / STEPS), 1 - 0.5 / STEPS)
        loss -= bad * log(probability) + good * log(1 - probability)
    return rounded(loss / total)


def deciles(cells: Cells) -> tuple[CalibrationDecile, ...]:
    """Tenths of the observations, lowest probabilities first. Equal ones stay together, so that there may be fewer."""
    total = sum(map(sum, cells.values()))
    sums = [[0, 0, 0] for _ in range(_DECILES)]
    below = 0
    for step, (good, bad) in cells.items():
        count = good + bad
        tenth = sums[min(_DECILES * (2 * below + count) // (2 * total), _DECILES - 1)]
        tenth[0] += count
        tenth[1] += count * step
        tenth[2] += bad
        below += count
    return tuple(
        CalibrationDecile(
            observations=count,
            mean_probability=rounded(steps / STEPS / count),
            bad_rate=rounded(bad / count),
        )
        for count, steps, bad in sums
        if count
    )


def calibration_error(tenths: Sequence[CalibrationDecile]) -> float | None:
    """Mean over the observations of |mean probability - bad rate| of their decile."""
    total = sum(tenth.observations for tenth in tenths)
    if not total:
        return None
    return rounded(sum(t.observations * abs(t.mean_probability - t.bad_rate) for t in tenths) / total)


def roc(cells: Cells) -> tuple[tuple[float, float], ...]:
    """Share of goods and share of bads above each probability, from (0, 0) to (1, 1)."""
    goods, bads = totals(cells)
    if not goods or not bads:
        return ()
    points = [(0.0, 0.0)]
    above_good = above_bad = 0
    for good, bad in reversed(list(cells.values())):
        above_good += good
        above_bad += bad
        points.append((rounded(above_good / goods), rounded(above_bad / bads)))
    every = -(-len(points) // _ROC_POINTS_MAX)
    return (*points[:-1:every], points[-1])


def rounded(value: float) -> float:
    """A figure as it is told."""
    return round(value, _DECIMALS)
