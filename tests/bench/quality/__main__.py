"""How good is the score? `nice python -m tests.bench.quality UCI_Credit_Card.csv --seeds 1,2,3`.

The 30,000 card clients of the UCI data become events, the events pictures, the pictures features as of 31 October 2005; what is to be
told is whether October's payment was missed.

- `--labels outcomes` (default): each seed shuffles the clients and cuts them in half. Every model learns from the outcomes of the same
  half, the online ones in its order, and scores the other half. Means over the seeds are printed.
- `--labels stream`: every model learns from the examples that the stream itself made by then (30 days past due within 60 days of an
  observation, `models/risk/labels.py`), in order of maturity, and scores all clients.

Prints a Markdown table, or JSON. µs an example are processor time of learning, on one core, prediction included.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from random import Random
from statistics import mean

import msgspec
from msgspec import Struct

from models.risk.features import Features
from tests.bench.quality.contenders import CONTENDERS, Examples
from tests.bench.quality.figures import Exact, exact
from tests.bench.quality.uci import Client, read_clients, read_stream

_NO_PROBABILITIES = frozenset({"worst days past due"})
_SLOW = frozenset({"River adaptive random forest"})


class Row(Struct, frozen=True):
    """One model: means over the seeds."""

    model: str
    kept: Exact
    """On the half kept apart."""
    prequential: Exact | None
    """On the half learnt from, each example judged before it was learnt from."""
    us_per_example: float | None


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("csv", type=Path, help="UCI_Credit_Card.csv")
    parser.add_argument(
        "--labels", choices=("outcomes", "stream"), default="outcomes", help="what is learnt from"
    )
    parser.add_argument("--seeds", default="1,2,3", help="with outcomes: one cut in half a seed")
    parser.add_argument("--clients", type=int, help="with outcomes: only the first so many, for a quick look")
    parser.add_argument(
        "--forest", action="store_true", help="the adaptive random forest as well: 1 ms an example"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    parts: list[tuple[Examples, Examples]]
    if options.labels == "stream":
        examples, clients = read_stream(options.csv)
        parts = [(examples, _pairs(clients))]
    else:
        clients = read_clients(options.csv, options.clients)
        parts = [halves(clients, int(seed)) for seed in options.seeds.split(",")]
    names = [name for name in CONTENDERS if options.forest or name not in _SLOW]
    rows = [measure(name, parts) for name in names]
    if options.json:
        sys.stdout.buffer.write(msgspec.json.encode(rows) + b"\n")
    else:
        print(table(rows))


def measure(name: str, parts: list[tuple[Examples, Examples]]) -> Row:
    """One model over all parts: what is learnt from, and what is scored."""
    kept: list[Exact] = []
    prequential: list[Exact] = []
    costs: list[float] = []
    for learnt, others in parts:
        scored = CONTENDERS[name](learnt, others)
        outcomes = [is_bad for _, is_bad in others]
        kept.append(exact(scored.scores, outcomes, are_probabilities=name not in _NO_PROBABILITIES))
        if scored.prequential is not None:
            prequential.append(exact(scored.prequential, [is_bad for _, is_bad in learnt]))
        if scored.us_per_example is not None:
            costs.append(scored.us_per_example)
    return Row(name, _mean(kept), _mean(prequential) if prequential else None, mean(costs) if costs else None)


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
        "| model | AUC | KS | log-loss | prequential AUC | prequential log-loss | µs an example |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        before = row.prequential
        cells = [
            row.model,
            f"{row.kept.auc:.4f}",
            f"{row.kept.ks:.4f}",
            _shown(row.kept.log_loss, 4),
            _shown(None if before is None else before.auc, 4),
            _shown(None if before is None else before.log_loss, 4),
            _shown(row.us_per_example, 1),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(number: float | None, digits: int) -> str:
    return "–" if number is None else f"{number:.{digits}f}"


def _mean(figures: list[Exact]) -> Exact:
    losses = [one.log_loss for one in figures if one.log_loss is not None]
    return Exact(
        auc=mean(one.auc for one in figures),
        ks=mean(one.ks for one in figures),
        log_loss=mean(losses) if losses else None,
    )


if __name__ == "__main__":
    main()
