"""A world that changes at a stroke: how the scorecard's prequential AUC falls, and when it has recovered."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from typing import Final

from msgspec import Struct

from models.risk.drift import DriftWatch
from models.risk.examples import Example
from models.risk.scorecard import broad_prior
from models.risk.training import Trainer
from streams.simulator import SimulationSettings
from streams.simulator.horizon import Horizon
from tests.bench.quality.contenders import Examples
from tests.bench.quality.figures import exact
from tests.bench.quality.simulated import book_settings, foreseen, pairs, read_examples

WITHIN_EXAMPLES: Final = 20_000
"""How soon it must have recovered (issue: "inside 20,000 examples")."""
_WINDOW: Final = 5_000
_MONTHS: Final = 24
_SHIFT_MONTH: Final = 9
_BOOKS: Final = 8
"""Simulated each by a process, and told together: nothing of one borrower depends on most others."""


class DriftReport(Struct, frozen=True):
    """Prequential AUC by window of 5,000 examples; the first that was observed after the change is example 0."""

    windows: list[tuple[int, float, float | None, float]]
    """First example, AUC with quickening, AUC without, AUC of the oracle."""
    before_auc: float
    """Of the two windows before the change."""
    after_auc: float
    """Of the two windows that end 20,000 examples after it."""
    drifts: list[int]
    """Where a drift for the worse was found."""

    def table(self) -> str:
        """As Markdown."""
        lines = ["| examples since the change | ours | without quickening | oracle |", "|---|---|---|---|"]
        lines += [
            f"| {first:,} to {first + _WINDOW:,} | {ours:.4f} | {plain:.4f} | {oracle:.4f} |"
            for first, ours, plain, oracle in self.windows
        ]
        found = ", ".join(f"{place:,}" for place in self.drifts) or "none"
        return "\n".join(lines) + f"\n\nDrifts for the worse were found at: {found}."


def drift_report(seed: int, borrowers: int) -> DriftReport:
    """Simulate, learn, and look; too few borrowers for 20,000 examples after the change are a `ValueError`."""
    books = [
        book_settings(_BOOKS * seed + number, borrowers // _BOOKS, _MONTHS, _SHIFT_MONTH)
        for number in range(_BOOKS)
    ]
    horizon = Horizon(books[0])
    change_ms = horizon.midnight_ms(horizon.months[_SHIFT_MONTH][0])
    with ProcessPoolExecutor() as pool:
        told = sorted(chain(*pool.map(_examples_of, books)), key=lambda each: each[0].matured_ms)
    examples = [example for example, _ in told]
    change = next(place for place, example in enumerate(examples) if example.observed_ms >= change_ms)
    if change + WITHIN_EXAMPLES > len(examples) or change < 2 * _WINDOW:
        raise ValueError(
            f"too few examples, {change:,} of {len(examples):,} before the change: more borrowers"
        )
    learnt = pairs(examples)
    outcomes = [is_bad for _, is_bad in learnt]
    ours, drifts = _prequential(learnt, quickens=True)
    plain, _ = _prequential(learnt, quickens=False)
    oracle = [probability for _, probability in told]

    def auc(scores: list[float], first: int, after: int) -> float:
        return exact(scores[first:after], outcomes[first:after]).auc

    starts = range(change % _WINDOW, len(examples) - _WINDOW + 1, _WINDOW)
    return DriftReport(
        windows=[
            (
                first - change,
                auc(ours, first, first + _WINDOW),
                auc(plain, first, first + _WINDOW),
                auc(oracle, first, first + _WINDOW),
            )
            for first in starts
        ],
        before_auc=auc(ours, change - 2 * _WINDOW, change),
        after_auc=auc(ours, change + WITHIN_EXAMPLES - 2 * _WINDOW, change + WITHIN_EXAMPLES),
        drifts=[place - change for place in drifts],
    )


def _examples_of(settings: SimulationSettings) -> list[tuple[Example, float]]:
    examples = read_examples(settings)
    return list(zip(examples, foreseen(examples, settings), strict=True))


def _prequential(learnt: Examples, *, quickens: bool) -> tuple[list[float], list[int]]:
    """Each probability before it was learnt from, and the places at which what goes wrong drifted for the worse."""
    trainer, watch = Trainer.starting_with(broad_prior()), DriftWatch()
    probabilities: list[float] = []
    drifts: list[int] = []
    for place, (features, is_bad) in enumerate(learnt):
        probability = trainer.learn_one(features, is_bad=is_bad)
        probabilities.append(probability)
        if any(drift.is_worse for drift in watch.add(probability, is_bad=is_bad)):
            drifts.append(place)
            if quickens:
                trainer.quicken()
    return probabilities, drifts
