"""How does it grow? `python -m tests.bench.scale --sizes 10000,100000,1000000 --workers 1,2,4`: real Kafka, real workers.

A year of some simulated borrowers gives states of real size; as many borrowers as are asked for live those lives. Their states are
written to the changelog, workers are started as users start them, take them up, and go through what happens next in all these
lives. Measured by size: events a second and CPU time an event through a backlog, bytes written to the changelog, resident memory,
and how long a restore takes: from a changelog with one record a borrower, twice, and from the one that the load has left behind,
with the settings of `forewarn topics apply`. The largest book is fed for some minutes before, at a share of the speed just
measured. Then several workers share one book. What a hundred million borrowers need follows by arithmetic.

Exit status 1: a target was missed. Takes half an hour; `--quick` shows in two minutes that it works, and its figures tell nothing.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import Final

import msgspec

from streams.kafka.local import BrokerUnavailableError, find_broker
from tests.bench.contest.__main__ import machine
from tests.bench.contest.systems import form_at_hand
from tests.bench.scale import paper
from tests.bench.scale.figures import Report, Sized, Worked, missed, not_asked, size_table, worker_table
from tests.bench.scale.lives import simulated
from tests.bench.scale.measuring import Load, Scene, measured_size, measured_workers

EVENTS_PER_BORROWER_MONTH: Final = 7.0
"""A little fewer than the simulator has: lives must not end before the events do."""


def run(options: argparse.Namespace, broker: str, folder: Path) -> Report:
    """Everything, on a Kafka that is there."""
    lives = simulated(options.lives, months_needed(options), options.seed)
    say(
        f"{len(lives.states):,} lives, {sum(map(len, lives.states.values())) / len(lives.states):,.0f} bytes a state"
    )
    sizes: list[Sized] = []
    for borrowers in options.sizes:
        load = Load(options.load_minutes, options.load) if borrowers == max(options.sizes) else None
        load = load if options.load_minutes else None
        scene = Scene(broker, lives, borrowers, options.partitions, folder, say)
        try:
            sizes.append(measured_size(scene, options.events, load))
        finally:
            scene.remove()
        say(size_table(sizes))
    worked: list[Worked] = []
    if options.workers:
        scene = Scene(broker, lives, options.workers_borrowers, options.partitions, folder, say)
        try:
            worked = measured_workers(scene, options.events, options.workers)
        finally:
            scene.remove()
    return Report(
        machine={**machine(), "models": form_at_hand()},
        seed=options.seed,
        lives=len(lives.states),
        sizes=sizes,
        workers=worked,
        workers_borrowers=options.workers_borrowers,
        paper=on_paper(sizes),
        missed=missed(sizes),
    )


def months_needed(options: argparse.Namespace) -> int:
    """Of lives behind the history, for every book to have as many events as it is asked for."""
    asked: list[float] = [options.events / borrowers for borrowers in options.sizes]
    asked.append(options.events * len(options.workers) / options.workers_borrowers)
    live: float = options.load_minutes * 60 * options.load * options.load_speed_max
    asked.append((options.events + live) / max(options.sizes))
    return ceil(max(asked) / EVENTS_PER_BORROWER_MONTH)


def on_paper(sizes: Sequence[Sized]) -> list[str]:
    """What a hundred million need, by the largest book measured."""
    first, large = sizes[0], sizes[-1]
    worker_bytes, each_bytes = paper.line_through(
        (first.borrowers, first.resident_bytes), (large.borrowers, large.resident_bytes)
    )
    start_seconds, each_seconds = paper.line_through(
        (first.borrowers, first.after.seconds), (large.borrowers, large.after.seconds)
    )
    found = paper.Measured(
        events_per_second=large.worked.events_per_second,
        worker_bytes=worker_bytes,
        bytes_per_borrower=each_bytes,
        start_seconds=start_seconds,
        restore_us_per_borrower=each_seconds * 1e6,
        state_bytes_per_borrower=large.state_bytes_per_borrower,
        changelog_bytes_per_event=large.worked.state_bytes_per_event,
        input_bytes_per_event=large.input_bytes_per_event,
    )
    return paper.told(found, paper.needs(found))


def say(text: str) -> None:
    """What is found meanwhile goes to the one who waits, not to the result."""
    print(text, file=sys.stderr, flush=True)


def told(report: Report) -> None:
    """Print everything."""
    partitions = report.sizes[0].partitions
    print(
        f"\n{partitions} partitions, one worker, models {report.machine['models']}, {report.machine['cpus']} CPUs ({report.machine['cpu']})\n\n"
        f"{size_table(report.sizes)}"
    )
    for one in report.sizes:
        if one.load is not None:
            print(
                f"\n{one.borrowers:,} borrowers were fed {one.load.events:,} records more at {one.load.offered_per_second:,.0f} a second "
                f"for {one.load.minutes:g} minutes ({one.load.behind_at_end:,} behind at the end), then restored"
            )
    if report.workers:
        print(
            f"\n{report.workers_borrowers:,} borrowers, {partitions} partitions\n\n{worker_table(report.workers)}"
        )
    print("\n" + "\n".join(report.paper))
    if report.missed:
        print("\nmissed: " + "; ".join(report.missed))
    elif unasked := not_asked(report.sizes):
        print(f"\nnot measured, so no target is told as met: {', '.join(unasked)}")
    else:
        print("\nall targets are met")


def numbers(text: str) -> list[int]:
    """`10000,100000`, each once, the least first."""
    found = sorted({int(part) for part in text.split(",") if part})
    if found and found[0] < 1:
        raise ValueError(text)
    return found


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.scale",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--sizes", type=numbers, default=[10_000, 100_000, 1_000_000], metavar="LIST", help="borrowers"
    )
    parser.add_argument("--workers", type=numbers, default=[1, 2, 4], metavar="LIST", help="'' for none")
    parser.add_argument("--workers-borrowers", type=int, default=100_000, help="in the book that they share")
    parser.add_argument(
        "--partitions", type=int, default=8, help="of each topic; default 8, as of topics apply"
    )
    parser.add_argument("--events", type=int, default=600_000, help="of each backlog; default 600,000")
    parser.add_argument(
        "--load-minutes", type=float, default=10.0, help="that the largest book is fed; default 10"
    )
    parser.add_argument(
        "--load", type=float, default=0.5, help="of the speed through the backlog; default 0.5"
    )
    parser.add_argument(
        "--load-speed-max", type=float, default=60_000, help="at most so fast it is thought to be, beforehand"
    )
    parser.add_argument("--lives", type=int, default=1_000, help="simulated borrowers, to be copied")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="JSON", help="write everything there, too")
    parser.add_argument(
        "--quick", action="store_true", help="2,000 and 10,000 borrowers, few events, half a minute of load"
    )
    options = parser.parse_args()
    if options.quick:
        options.sizes, options.workers, options.workers_borrowers = [2_000, 10_000], [1, 2], 10_000
        options.events, options.load_minutes, options.lives = 40_000, 0.5, 200
    if (
        not options.sizes
        or min(options.events, options.lives, options.partitions) < 1
        or options.load_minutes < 0
    ):
        parser.error(
            "--sizes, --events, --lives and --partitions are positive, --load-minutes is not negative"
        )
    return options


def main() -> None:
    """Run; Ctrl-C and SIGTERM leave nothing running."""
    options = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with find_broker() as broker, tempfile.TemporaryDirectory(prefix="forewarn-scale-") as folder:
            report = run(options, broker.bootstrap_servers, Path(folder))
    except BrokerUnavailableError as error:
        raise SystemExit(f"python -m tests.bench.scale: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    told(report)
    if options.out is not None:
        options.out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    sys.exit(1 if report.missed else 0)


if __name__ == "__main__":
    main()
