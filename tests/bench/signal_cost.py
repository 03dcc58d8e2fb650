"""What do the signals cost? `nice python -m tests.bench.signal_cost --borrowers 500 --months 12 --rounds 5`.

Simulates one book and lets two engines take its events in the order in which `forewarn backtest` does: the engine of the
revision that had the first three signals only (`missed_payment`, `income_drop`, `multi_platform_borrowing`), unpacked from
this repository's history, and the engine as it is here. The ratio of their CPU times is what was added since: not the
judging of the other signals alone, but also their evidence, the bytes of their state, the fuller ledger, what servicing
reports, holds, combinations and reviews. The older engine passes over what it does not know. (A switch that leaves signals
out of today's table would flatter: evidence would still be recorded, and be counted on both sides.) Observing borrowers for the
model to learn from is no signal, and turned off: `python -m tests.bench.observing` tells what it costs.

Each engine lives in a process of its own, with the worker's thresholds of garbage collection; both take turns, a round each,
so that a busy machine is busy for both. Counted is CPU time from an empty engine to the last event, with alerts and state
taken as often as a worker commits; decoding is left out. Printed: medians of the rounds, their ratio, and the range of the
ratios of neighbouring rounds. A last round times every event by itself (clock and all: these sums are a little larger) and
prints microseconds an event by type; deadlines that an event's watermark passes are told apart.

`--digest` prints a digest of all alerts of the engine here, all fields, and stops: the same before and after a change that must
change no alert.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from models.engine import RiskEngine
from models.events import Event, Heartbeat
from models.policy import Policy, default_policy, parse_policy
from models.risk.scorecard import expert_prior
from models.rules import Rules
from streams.app import GC_THRESHOLDS
from streams.codec import Reject
from streams.event_files import EventFolder
from streams.simulator import SimulationSettings, write_folder

BEFORE: Final = "e8d54c1"
"""The last revision with the first three signals only."""
_ROOT: Final = Path(__file__).parents[2]
_LATER_MS: Final = 10**13
"""The time of the run: everything simulated lies in its past."""
_EVENTS_PER_COMMIT: Final = 8192
"""As many lines as `forewarn backtest` takes between two writes; a busy worker's commit holds more."""
_DEADLINES: Final = "(deadlines)"
_OUTPUT: Final = "(alerts and state taken)"


# ---- one engine, in a process of its own -----------------------------------------------------------------------------


def _policy() -> Policy:
    return (
        parse_policy("[model]\nobserves = false", "signals alone")
        if "model" in Policy.__struct_fields__
        else default_policy()
    )


class Course:
    """The events of a folder, decoded once, for one engine after another. Runs in either revision: keep to what both have."""

    def __init__(self, folder: Path) -> None:
        """Decode; what is rejected is counted and left out."""
        self.events: list[tuple[Event, int, int]] = []
        self.rejects = 0
        offsets: Counter[int] = Counter()
        for line in EventFolder(folder, _LATER_MS):
            if isinstance(line.content, Reject):
                self.rejects += 1
                continue
            self.events.append((line.content, line.topic_index, offsets[line.topic_index]))
            offsets[line.topic_index] += 1
        self._rules = Rules(_policy())

    def round(self) -> dict[str, Any]:
        """CPU seconds from an empty engine to the last event, and the alerts there were."""
        engine = RiskEngine(self._rules, expert_prior())
        alerts = 0
        gc.collect()
        began = time.process_time()
        process = engine.process
        for number, (event, feed, offset) in enumerate(self.events, start=1):
            process(event, feed, offset)
            if number % _EVENTS_PER_COMMIT == 0:
                alerts += len(engine.take_output(0).alerts)
        alerts += len(engine.take_output(0).alerts)
        return {
            "seconds": time.process_time() - began,
            "alerts": alerts,
            "events": len(self.events),
            "rejects": self.rejects,
        }

    def by_type(self) -> dict[str, tuple[int, float]]:
        """By type of event: how many, and CPU seconds in all."""
        engine = RiskEngine(self._rules, expert_prior())
        lateness_ms = self._rules.lateness_ms
        counts: Counter[str] = Counter()
        spent_ns: Counter[str] = Counter()
        clock = time.process_time_ns
        gc.collect()
        for number, (event, feed, offset) in enumerate(self.events, start=1):
            lateness = 0 if isinstance(event, Heartbeat) else lateness_ms[feed]
            tag = str(event.__struct_config__.tag)
            began = clock()
            engine.advance(feed, event.event_time_ms - lateness)
            advanced = clock()
            engine.process(event, feed, offset)
            spent_ns[tag] += clock() - advanced
            spent_ns[_DEADLINES] += advanced - began
            counts[tag] += 1
            if number % _EVENTS_PER_COMMIT == 0:
                began = clock()
                engine.take_output(0)
                spent_ns[_OUTPUT] += clock() - began
        counts[_DEADLINES] = counts[_OUTPUT] = len(self.events)
        return {tag: (count, spent_ns[tag] / 1e9) for tag, count in counts.items()}

    def digest(self) -> str:
        """Of all alerts, all fields, in the order in which they are published."""
        engine = RiskEngine(self._rules, expert_prior())
        told = hashlib.sha256()
        for number, (event, feed, offset) in enumerate(self.events, start=1):
            engine.process(event, feed, offset)
            if number % _EVENTS_PER_COMMIT == 0:
                told.update(msgspec.json.encode(engine.take_alerts(0)))
        told.update(msgspec.json.encode(engine.take_alerts(0)))
        return told.hexdigest()


def serve(folder: Path) -> None:
    """Do a round for each line of the standard input that asks for one."""
    gc.set_threshold(*GC_THRESHOLDS)
    course = Course(folder)
    gc.freeze()
    for line in sys.stdin:
        answer = course.by_type() if line.strip() == "by_type" else course.round()
        print(json.dumps(answer), flush=True)


class Child:
    """An engine of some revision, in a process."""

    def __init__(self, root: Path, folder: Path) -> None:
        """Start it in a checkout of that revision; it decodes the folder before it answers."""
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, "--serve", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
        )

    def ask(self, what: str) -> dict[str, Any]:
        """Wait for what it measured."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(what, file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def end(self) -> None:
        """Let it go."""
        self._process.communicate()


# ---- both ------------------------------------------------------------------------------------------------------------


@contextmanager
def revision(name: str) -> Iterator[Path]:
    """The tree of a revision, unpacked."""
    packed = subprocess.run(
        ["git", "-C", str(_ROOT), "archive", name, "models", "streams"], check=True, stdout=subprocess.PIPE
    ).stdout
    with tempfile.TemporaryDirectory(prefix="forewarn-before-") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed)) as tree:
            tree.extractall(folder, filter="data")
        yield Path(folder)


def compare(folder: Path, rounds: int) -> None:
    """Let both engines take turns, and print."""
    with revision(BEFORE) as root:
        children = {"first three": Child(root, folder), "all": Child(_ROOT, folder)}
        taken: dict[str, list[dict[str, Any]]] = {name: [] for name in children}
        for _ in range(rounds):
            for name, child in children.items():
                taken[name].append(child.ask("round"))
        seconds = {name: [one["seconds"] for one in own] for name, own in taken.items()}
        for name, own in taken.items():
            events, typical = own[0]["events"], median(seconds[name])
            print(
                f"{name:12} {typical:8.2f} s CPU, {typical / events * 1e6:6.2f} µs an event ({events:,} events, "
                f"{own[0]['rejects']:,} not known), {own[0]['alerts']:,} revisions of alerts"
            )
        ratios = sorted(after / before for before, after in zip(*seconds.values(), strict=True))
        ratio = median(seconds["all"]) / median(seconds["first three"])
        print(f"ratio        {ratio:8.3f} (rounds: {ratios[0]:.3f} to {ratios[-1]:.3f})")
        print_by_type(*(child.ask("by_type") for child in children.values()))
        for child in children.values():
            child.end()


def print_by_type(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Microseconds an event by type, what weighs most first."""
    total = sum(spent for _, spent in before.values())
    print(f"\n{'':26} {'events':>9} {'µs before':>10} {'µs after':>10} {'added, of all before':>21}")
    for tag, (count, spent) in sorted(after.items(), key=lambda row: -row[1][1]):
        known, spent_before = before.get(tag, (0, 0.0))
        each_before = spent_before / known * 1e6 if known else 0.0
        share = (spent - spent_before) / total
        print(f"{tag:26} {count:9,} {each_before:10.2f} {spent / count * 1e6:10.2f} {share:21.1%}")


def main() -> None:
    """Read the command line; measure, or do a child's part."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.signal_cost", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--borrowers", type=int, default=500)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--digest", action="store_true", help="print a digest of the alerts and stop")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        serve(given.serve)
        return
    with tempfile.TemporaryDirectory(prefix="forewarn-signal-cost-") as name:
        folder = Path(name) / "book"
        settings = SimulationSettings(borrowers=given.borrowers, months=given.months, seed=given.seed)
        write_folder(settings, folder)
        if given.digest:
            print(Course(folder).digest())
        else:
            compare(folder, given.rounds)


if __name__ == "__main__":
    main()
