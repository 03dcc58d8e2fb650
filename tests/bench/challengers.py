"""What challengers cost, and what they tell: `nice python -m tests.bench.challengers UCI_Credit_Card.csv [--one-in 8]`.

The 30,000 card clients as examples (features as of 31 October 2005, October's outcome as label), shuffled, learnt from in that
order by the card and, one in so many, by the challengers. Prints figures on the sample as a Markdown table, processor time of a
sampled example and what the card's own learning takes beside it; with `--memory` what the challengers hold instead.
"""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from models.risk.challengers import CHALLENGERS, ChallengerLimits, Challengers
from models.risk.examples import Example
from models.risk.issuing import Issuing
from models.risk.learning import Learner
from models.risk.scorecard import expert_prior
from tests.bench.quality.uci import Client, read_clients
from tests.support.examples import example

_MIB: Final = 2**20


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("csv", type=Path, help="UCI_Credit_Card.csv")
    parser.add_argument("--one-in", type=int, default=8, help="share of the examples that is sampled")
    parser.add_argument(
        "--examples", type=int, default=30_000, help="so many; beyond 30,000 clients come again"
    )
    parser.add_argument("--memory", action="store_true", help="what the challengers hold, instead of times")
    options = parser.parse_args()
    examples = examples_of(read_clients(options.csv), options.examples)
    gc.collect()
    gc.freeze()
    alone = learn(examples, Challengers(models={}))
    limits = ChallengerLimits(sampled_one_in=options.one_in, waiting_max=len(examples))
    challengers = Challengers(limits)
    beside = learn(examples, challengers)
    if options.memory:
        tracemalloc.start()
    begin = time.process_time()
    count = challengers.work(len(examples))
    spent = time.process_time() - begin
    held, _ = tracemalloc.get_traced_memory()
    compared = challengers.compared()
    if compared is None:
        print("too few examples were judged")
        return
    print("| model | AUC | KS | log-loss | calibration error |\n|---|---|---|---|---|")
    for name, figures in compared.models.items():
        shown = (figures.auc, figures.ks, figures.log_loss, figures.calibration_error)
        print(f"| {name} | {' | '.join(f'{value or 0:.4f}' for value in shown)} |")
    print(f"\njudged on {compared.judged} of {len(examples)} examples")
    if options.memory:
        print(f"{held / _MIB:.1f} MiB are held by the challengers after {count} sampled examples")
        return
    print(f"{spent / count * 1e6:.0f} µs a sampled example of {len(CHALLENGERS)} challengers")
    print(f"{alone:.1f} µs an example of the card alone, {beside:.1f} with its sample kept aside")


def examples_of(clients: Sequence[Client], count: int) -> list[Example]:
    """In an order drawn by a seed; borrowers are told apart by their place in it."""
    shuffled = list(clients)
    Random(1).shuffle(shuffled)
    found = []
    for place in range(count):
        client = shuffled[place % len(shuffled)]
        one = example(0, "bad" if client.is_bad else "good", borrower=place)
        found.append(msgspec.structs.replace(one, features=client.features._asdict()))
    return found


def learn(examples: Sequence[Example], challengers: Challengers) -> float:
    """Let the card learn, the challengers' sample kept aside; return µs an example."""
    issuing = Issuing(Learner(expert_prior()))
    begin = time.process_time()
    for offset, one in enumerate(examples):
        issuing.take(offset, one)
        challengers.offer(offset, one, issuing.learner.foretold)
    return (time.process_time() - begin) / len(examples) * 1e6


if __name__ == "__main__":
    main()
