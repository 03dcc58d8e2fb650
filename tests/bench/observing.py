"""What does a probability cost? `nice python -m tests.bench.observing --borrowers 300`.

Simulates a book, builds every borrower's picture, and observes and scores each as of the last event, a kind of evidence at a time.
Processor time, the best of several rounds, in microseconds; the machine's own pace is told beside it as the time of a fixed
sum, so that two runs can be compared by their ratios.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from models.borrower import Borrower
from models.policy import default_policy
from models.risk.features import KINDS
from models.risk.observation import observe
from models.risk.scorecard import broad_prior
from models.rules import Rules
from streams.simulator import SimulationSettings, write_folder
from streams.simulator.horizon import Horizon
from tests.bench.quality.pictures import pictures_of

_ROUNDS = 5
_Item = TypeVar("_Item")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--borrowers", type=int, default=300)
    options = parser.parse_args()
    rules, card = Rules(default_policy()), broad_prior()
    settings = SimulationSettings(borrowers=options.borrowers)
    at_ms = rules.calendar.midnight_ms(Horizon(settings).end_day)
    with tempfile.TemporaryDirectory(prefix="forewarn-observing-") as folder:
        write_folder(settings, Path(folder))
        borrowers = list(pictures_of(Path(folder), rules).values())
    features = [observe(borrower, at_ms, rules) for borrower in borrowers]
    print(f"{'a fixed sum':<24}{best_us(sum, [range(100)] * len(borrowers)):8.2f} us")
    print(f"{'score':<24}{best_us(card.score, features):8.2f} us")
    for kinds in ((), *((kind,) for kind in sorted(KINDS)), tuple(KINDS)):
        name = "all" if len(kinds) > 1 else "".join(kinds) or "nothing but the ledger"

        def look(borrower: Borrower, kinds: tuple[str, ...] = kinds) -> object:
            return observe(borrower, at_ms, rules, kinds=frozenset(KINDS & set(kinds)))

        print(f"{'observe ' + name:<24}{best_us(look, borrowers):8.2f} us")


def best_us(work: Callable[[_Item], object], items: Iterable[_Item]) -> float:
    """Processor time of one call, the mean over the items, in the best of several rounds."""
    best = float("inf")
    listed = list(items)
    for _ in range(_ROUNDS):
        begin = time.process_time_ns()
        for item in listed:
            work(item)
        best = min(best, (time.process_time_ns() - begin) / len(listed) / 1000)
    return best


if __name__ == "__main__":
    main()
