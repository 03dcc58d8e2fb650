"""What does a probability cost, and what learning? `nice python -m tests.bench.observing --borrowers 300`.

Simulates a book, builds every borrower's picture, and observes and scores each as of the last event, a kind of evidence at a time.
Then the engine takes the whole book, observing and not, a round each in turn: what observing adds is the difference, for all
events, with state and examples taken as a worker commits. So much is spent to learn; what scoring costs in the engine's path
is how often the engine scores, times what a score takes.
Processor time, the best of several rounds, in microseconds; the machine's own pace is told beside it as the time of a fixed
sum, so that two runs can be compared by their ratios.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from models.borrower import Borrower
from models.engine import RiskEngine
from models.policy import default_policy, parse_policy
from models.risk.features import KINDS
from models.risk.observation import observe
from models.risk.scorecard import Scorecard, broad_prior, expert_prior
from models.rules import Rules
from streams.app import GC_THRESHOLDS
from streams.simulator import SimulationSettings, write_folder
from streams.simulator.horizon import Horizon
from tests.bench.quality.pictures import pictures_of
from tests.bench.signal_cost import Course

_ROUNDS = 5
_EVERY_DAYS = (30, 150, 300)
"""How often borrowers are observed."""
_EVENTS_PER_COMMIT = 8192
"""As many as `forewarn backtest` takes between two writes."""
_Item = TypeVar("_Item")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--borrowers", type=int, default=300)
    options = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)
    rules, card = Rules(default_policy()), broad_prior()
    settings = SimulationSettings(borrowers=options.borrowers)
    at_ms = rules.calendar.midnight_ms(Horizon(settings).end_day)
    with tempfile.TemporaryDirectory(prefix="forewarn-observing-") as folder:
        write_folder(settings, Path(folder))
        borrowers = list(pictures_of(Path(folder), rules).values())
        course = Course(Path(folder))
    features = [observe(borrower, at_ms, rules) for borrower in borrowers]
    print(f"{'a fixed sum':<24}{best_us(sum, [range(100)] * len(borrowers)):8.2f} us")
    print(f"{'score':<24}{best_us(card.score, features):8.2f} us")
    for kinds in ((), *((kind,) for kind in sorted(KINDS)), tuple(KINDS)):
        name = "all" if len(kinds) > 1 else "".join(kinds) or "nothing but the ledger"

        def look(borrower: Borrower, kinds: tuple[str, ...] = kinds) -> object:
            return observe(borrower, at_ms, rules, kinds=frozenset(KINDS & set(kinds)))

        print(f"{'observe ' + name:<24}{best_us(look, borrowers):8.2f} us")
    print_path(course, best_us(expert_prior().score, [expert_prior().pick(one) for one in features]))


def print_path(course: Course, score_us: float) -> None:
    """Let engines take the book in turn, and print what observing adds to each event, and scoring has of it."""
    policies = {"off": "[model]\nobserves = false"} | {
        f"every {days} days": f"[model]\nobserves_every_days = {days}" for days in _EVERY_DAYS
    }
    best: dict[str, float] = {}
    for _ in range(_ROUNDS):
        for name, override in policies.items():
            took_us = _round_us(course, Rules(parse_policy(override, name)))
            best[name] = min(took_us, best.get(name, took_us))
    print(
        f"\n{'an event in the engine':<24}{best['off']:8.2f} us, of {len(course.events):,}, observing nobody"
    )
    for name in list(policies)[1:]:
        print(f"{'observing ' + name:<24}{best[name] - best['off']:+8.2f} us")
    often = _scores_an_event(course)
    print(f"{'scoring':<24}{often * score_us:8.2f} us, {often:.3f} times an event")


def _round_us(course: Course, rules: Rules) -> float:
    """Processor time of an event, in a new engine."""
    engine = RiskEngine(rules, expert_prior())
    gc.collect()
    begin = time.process_time_ns()
    _take_all(engine, course)
    return (time.process_time_ns() - begin) / len(course.events) / 1000


def _take_all(engine: RiskEngine, course: Course) -> None:
    for number, (event, feed, offset) in enumerate(course.events, start=1):
        engine.process(event, feed, offset)
        if number % _EVENTS_PER_COMMIT == 0:
            engine.take_output(0)
    engine.take_output(0)


def _scores_an_event(course: Course) -> float:
    """How often the engine asks the card, by event: for alerts, looks and observations."""
    count = 0

    def counted(card: Scorecard, features: Sequence[float]) -> float:
        nonlocal count
        count += 1
        return score(card, features)

    score = Scorecard.score
    setattr(Scorecard, "score", counted)  # noqa: B010 - a method is no attribute to assign to, says mypy
    try:
        _take_all(RiskEngine(Rules(default_policy()), expert_prior()), course)
    finally:
        setattr(Scorecard, "score", score)  # noqa: B010
    return count / len(course.events)


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
