"""How good is the score? `nice python -m tests.bench.quality --csv UCI_Credit_Card.csv`.

Every model learns from the same examples in the same order, and scores the same others.

- `outcomes`: the 30,000 card clients of the UCI data become events, the events pictures, the pictures features as of 31 October 2005; what
  is to be told is whether October's payment was missed. Each seed shuffles the clients and cuts them in half.
- `stream`: the same clients; learnt are the examples that the stream itself made by then (30 days past due within 60 days of an
  observation, `models/risk/labels.py`), scored all clients, against October's payment.
- `simulator`: a simulated book of the second version a seed; learnt is what had matured after two thirds of the time, scored what was
  observed later. Beside it what a forecaster who sees the latent hazard would score.
- `drift`: a simulated book a seed, in which at a stroke three times as many default, and others than before; all examples in the order in which they matured.

Prints a Markdown table a part, and what the targets say of it. µs an example are processor time of learning, on one core, prediction included.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from random import Random
from statistics import fmean, mean
from typing import Final

from msgspec import Struct

from models.risk.features import Features
from models.risk.scorecard import broad_prior, expert_prior
from tests.bench.observing import best_us
from tests.bench.quality.contenders import CONTENDERS, Examples
from tests.bench.quality.drifting import DriftReport, drift_report
from tests.bench.quality.figures import Exact, exact, mean_of
from tests.bench.quality.simulated import Part, simulated_part
from tests.bench.quality.uci import Client, read_clients, read_stream

_OURS: Final = "our scorecard, online"
_TREES: Final = "LightGBM, in batch"
_SCALED: Final = "River logistic regression, scaled"
_NO_PROBABILITIES: Final = frozenset({"worst days past due"})
_SLOW: Final = frozenset({"River adaptive random forest"})
_NEAR: Final = 0.02
"""Of AUC and of calibration error: the targets' tolerance."""


class Row(Struct, frozen=True):
    """One model: means over the seeds."""

    model: str
    kept: Exact
    """On the examples kept apart."""
    prequential: Exact | None
    """On those learnt from, each judged before it was learnt from."""
    us_per_example: float | None


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--csv", type=Path, help="UCI_Credit_Card.csv, for outcomes and stream")
    parser.add_argument(
        "--parts", default="outcomes,stream,simulator,drift", help="which, with commas between"
    )
    parser.add_argument("--seeds", default="1,2,3", help="one cut in half, or one book, a seed")
    parser.add_argument(
        "--clients", type=int, help="of the UCI data only the first so many, for a quick look"
    )
    parser.add_argument("--borrowers", type=int, default=1_500, help="of a simulated book")
    parser.add_argument(
        "--drift-seeds",
        default="1,2,3,4,5,6",
        help="one book a seed in which the world changes: more of them, for a window of 5,000 examples holds some 100 bads",
    )
    parser.add_argument(
        "--drift-borrowers", type=int, default=3_400, help="of the books in which the world changes"
    )
    parser.add_argument(
        "--forest", action="store_true", help="the adaptive random forest as well: 1 ms an example"
    )
    options = parser.parse_args()
    seeds, drift_seeds = (
        [int(seed) for seed in told.split(",")] for told in (options.seeds, options.drift_seeds)
    )
    names = [name for name in CONTENDERS if options.forest or name not in _SLOW]
    parts: dict[str, Callable[[], None]] = {
        "outcomes": lambda: _outcomes(read_clients(options.csv, options.clients), seeds, names),
        "stream": lambda: _stream(*read_stream(options.csv), names),
        "simulator": lambda: _simulator(_parts_of(seeds, options.borrowers), names),
        "drift": lambda: _drift([drift_report(seed, options.drift_borrowers) for seed in drift_seeds]),
    }
    for name in options.parts.split(","):
        print(f"\n## {name}\n", flush=True)
        parts[name]()


# ---- the parts -------------------------------------------------------------------------------------------------------


def _outcomes(clients: list[Client], seeds: list[int], names: list[str]) -> None:
    rows = measure(names, [halves(clients, seed) for seed in seeds])
    print(table(list(rows.values())))
    ours, scaled = rows[_OURS], rows[_SCALED]
    _say("AUC at least 0.75", ours.kept.auc, ours.kept.auc >= 0.75)
    _say_near(rows)
    if ours.prequential is not None and scaled.prequential is not None:
        own, other = ours.prequential.log_loss or 0.0, scaled.prequential.log_loss or 0.0
        _say("prequential log-loss below scaled logistic regression's", own - other, own < other)
    _pace(rows[_OURS].us_per_example or 0.0, [client.features for client in clients])


def _pace(learning_us: float, features: list[Features]) -> None:
    a_second = 1e6 / learning_us
    _say("learning at least 10,000 examples a second on one core", a_second, a_second >= 10_000)
    for name, card in (("the card of day one", expert_prior()), ("a card of all features", broad_prior())):
        cost_us = best_us(card.score, [card.pick(each) for each in features[:2_000]])
        _say(f"scoring by {name} at most 3 microseconds", cost_us, cost_us <= 3)


def _stream(examples: Examples, clients: list[Client], names: list[str]) -> None:
    bads = sum(is_bad for _, is_bad in examples)
    print(f"{len(examples)} examples had matured, {bads} of them bad; {len(clients)} clients are scored.\n")
    rows = measure(names, [(examples, _pairs(clients))])
    print(table(list(rows.values())))
    ours = rows[_OURS].kept.auc
    _say("AUC at least 0.73", ours, ours >= 0.73)
    _say_near(rows)


def _simulator(parts: list[Part], names: list[str]) -> None:
    for part in parts:
        print(part.told())
    print()
    rows = measure(names, [(part.learnt, part.kept) for part in parts])
    oracle = mean_of([exact(part.oracle, [is_bad for _, is_bad in part.kept]) for part in parts])
    print(table([*rows.values(), Row("oracle: sees the latent hazard", oracle, None, None)]))
    _say_near(rows)
    error = rows[_OURS].kept.calibration_error or 0.0
    _say("calibration error at most 0.02", error, error <= _NEAR)


def _parts_of(seeds: list[int], borrowers: int) -> list[Part]:
    with ProcessPoolExecutor() as pool:
        return list(pool.map(simulated_part, seeds, repeat(borrowers)))


def _drift(reports: list[DriftReport]) -> None:
    for report in reports:
        print(report.table(), end="\n\n")
    below = fmean(report.before_auc - report.after_auc for report in reports)
    _say(
        "10,000 to 20,000 examples later the prequential AUC is at most 0.02 below its old level",
        below,
        below <= _NEAR,
    )


def _say_near(rows: dict[str, Row]) -> None:
    below = rows[_TREES].kept.auc - rows[_OURS].kept.auc
    _say("AUC at most 0.02 below LightGBM's on the same past", below, below <= _NEAR)


def _say(target: str, figure: float, is_met: bool) -> None:
    print(f"\n{'met' if is_met else 'NOT MET'}: {target}: {figure:.4f}", flush=True)


# ---- measuring -------------------------------------------------------------------------------------------------------


def measure(names: list[str], parts: list[tuple[Examples, Examples]]) -> dict[str, Row]:
    """Each model over all parts: what is learnt from, and what is scored; on all cores."""
    with ProcessPoolExecutor() as pool:
        waiting = {name: [pool.submit(_measure_one, name, *part) for part in parts] for name in names}
        done = {name: [future.result() for future in futures] for name, futures in waiting.items()}
    return {name: _row(name, measured) for name, measured in done.items()}


def _measure_one(name: str, learnt: Examples, others: Examples) -> tuple[Exact, Exact | None, float | None]:
    scored = CONTENDERS[name](learnt, others)
    kept = exact(
        scored.scores, [is_bad for _, is_bad in others], are_probabilities=name not in _NO_PROBABILITIES
    )
    if scored.prequential is None:
        return kept, None, scored.us_per_example
    return kept, exact(scored.prequential, [is_bad for _, is_bad in learnt]), scored.us_per_example


def _row(name: str, measured: list[tuple[Exact, Exact | None, float | None]]) -> Row:
    prequential = [before for _, before, _ in measured if before is not None]
    costs = [cost for _, _, cost in measured if cost is not None]
    return Row(
        name,
        mean_of([kept for kept, _, _ in measured]),
        mean_of(prequential) if prequential else None,
        mean(costs) if costs else None,
    )


def halves(clients: list[Client], seed: int) -> tuple[Examples, Examples]:
    """The clients in another order, cut in the middle."""
    shuffled = _pairs(clients)
    Random(seed).shuffle(shuffled)
    middle = len(shuffled) // 2
    return shuffled[:middle], shuffled[middle:]


def _pairs(clients: list[Client]) -> list[tuple[Features, bool]]:
    return [(client.features, client.is_bad) for client in clients]


def table(rows: list[Row]) -> str:
    """As Markdown."""
    lines = [
        "| model | AUC | KS | log-loss | calibration error | prequential AUC | prequential log-loss | µs an example |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        before = row.prequential
        cells = [
            row.model,
            f"{row.kept.auc:.4f}",
            f"{row.kept.ks:.4f}",
            _shown(row.kept.log_loss, 4),
            _shown(row.kept.calibration_error, 4),
            _shown(None if before is None else before.auc, 4),
            _shown(None if before is None else before.log_loss, 4),
            _shown(row.us_per_example, 1),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(number: float | None, digits: int) -> str:
    return "–" if number is None else f"{number:.{digits}f}"


if __name__ == "__main__":
    main()
