"""A simulated book as examples: those that had matured by a day, and those that were observed from that day on."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Final

from msgspec import Struct

from models.policy import default_policy
from models.risk.examples import Example
from models.risk.features import Features
from models.risk.scorecard import expert_prior
from models.rules import Rules
from streams.simulator import SimulationSettings, write_folder
from streams.simulator.horizon import Horizon
from streams.simulator.oracle import forecasters
from tests.bench.quality.contenders import Examples
from tests.bench.quality.stream import Stream

MONTHS: Final = 18
"""Long enough that incomes are known for a year before the last examples."""
DUPLICATES: Final = 0.003
_LEARNT_SHARE: Final = 2 / 3


class Part(Struct, frozen=True):
    """What is learnt from, what is scored, and what the oracle says of the latter."""

    seed: int
    learnt: Examples
    kept: Examples
    oracle: list[float]

    def told(self) -> str:
        """How much there is of it."""
        bads = [sum(is_bad for _, is_bad in examples) for examples in (self.learnt, self.kept)]
        return (
            f"seed {self.seed}: {len(self.learnt):,} examples learnt from, {bads[0]:,} of them bad; "
            f"{len(self.kept):,} scored, {bads[1]:,} of them bad"
        )


def simulated_part(seed: int, borrowers: int) -> Part:
    """A book of the second version, cut after two thirds of its time."""
    settings = book_settings(seed, borrowers, MONTHS)
    horizon = Horizon(settings)
    days = int((horizon.end_day - horizon.start_day) * _LEARNT_SHARE)
    cut_ms = horizon.midnight_ms(horizon.start_day + days)
    examples = read_examples(settings)
    learnt = [example for example in examples if example.matured_ms <= cut_ms]
    kept = [example for example in examples if example.observed_ms >= cut_ms]
    return Part(seed, pairs(learnt), pairs(kept), foreseen(kept, settings))


def book_settings(
    seed: int, borrowers: int, months: int, shift_month: int | None = None
) -> SimulationSettings:
    """The second version, with all faults of data."""
    return SimulationSettings(
        version=2,
        seed=seed,
        borrowers=borrowers,
        months=months,
        duplicate_share=DUPLICATES,
        shift_month=shift_month,
    )


def read_examples(settings: SimulationSettings) -> list[Example]:
    """Simulate a book, and let its stream make its examples: in order of maturity, censored ones left out."""
    stream = Stream(Rules(default_policy()), expert_prior())
    with tempfile.TemporaryDirectory(prefix="forewarn-book-") as name:
        write_folder(settings, Path(name))
        return [
            example
            for example in stream.examples(Path(name), Horizon(settings).end_ms)
            if example.outcome != "censored"
        ]


def foreseen(examples: list[Example], settings: SimulationSettings) -> list[float]:
    """What the oracle says of each example: it sees the latent hazard, and the days past due as everybody does."""
    calendar = Rules(default_policy()).calendar
    oracles = {
        hashlib.sha256(oracle.person.borrower_id.encode()).hexdigest()[:16]: oracle
        for oracle in forecasters(settings)
    }
    return [
        oracles[example.borrower].probability(
            calendar.day_of(example.observed_ms), int(example.features["days_past_due"])
        )
        for example in examples
    ]


def pairs(examples: list[Example]) -> Examples:
    """Features and outcomes."""
    return [(Features(*example.values(Features._fields)), example.outcome == "bad") for example in examples]
