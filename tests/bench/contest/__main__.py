"""How fast is Forewarn beside others? `tests/bench/run --events 1000000 --rounds 3`.

Starts a real Kafka, writes one simulated log, and lets every system run on it in turn, round after round, each in processes of its own
that are started anew. Ours does everything it does; the others do the small common job of `tests/bench/JOB.md`, and their
outputs are checked before their time counts. `--compare REV` lets two revisions of our own worker run instead.
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from streams.kafka import admin
from streams.kafka.local import BrokerUnavailableError, find_broker
from streams.kafka.removal import remove_topics
from streams.settings import Settings, load_settings
from tests.bench.contest import log
from tests.bench.contest.figures import Figures, Summary, UnmeasurableError, compared, summary, table
from tests.bench.contest.race import Race, WrongError
from tests.bench.contest.systems import ROOT, AbsentError, System, all_systems, ours
from tests.support.kafka import unique

ROUNDS_FOR_A_CLAIM: Final = 3


class Report(Struct, frozen=True):
    """Everything that was found, as it is written to `--out`."""

    events: int
    records: int
    """With heartbeats: what the rates count."""
    rounds: int
    seed: int
    partitions: int
    warm_share: float
    machine: Mapping[str, str]
    systems: Sequence[Summary]
    not_measured: Mapping[str, str]
    runs: Mapping[str, Mapping[int, Figures]]
    alerts: Mapping[str, int]
    """So many alert records a worker of ours put out, in each round."""


def contest(
    race: Race, systems: Mapping[str, System], rounds: int, first: str
) -> tuple[list[Summary], dict[str, str], dict[str, dict[int, Figures]]]:
    """Let all run in turn, each round beginning with another one; who fails is told of, and does not run again.

    Returns summaries, who was not measured and why, and all runs; ratios are to the system `first`.
    """
    absent: dict[str, str] = {}
    runs: dict[str, dict[int, Figures]] = {}
    for name, system in systems.items():
        try:
            system.prepare()
        except AbsentError as error:
            absent[system.name] = str(error)
            print(f"{name}: not measured: {error}", file=sys.stderr, flush=True)
    names = [name for name, system in systems.items() if system.name not in absent]
    for number in range(1, rounds + 1):
        turn = number % len(names) if names else 0
        for name in [*names[turn:], *names[:turn]]:
            system = systems[name]
            if system.name in absent:
                continue
            try:
                figures = race.run(system)
            except (WrongError, UnmeasurableError) as error:
                absent[system.name] = f"round {number}: {error}"
                runs.pop(name, None)
                print(f"round {number} {name}: not measured: {error}", file=sys.stderr, flush=True)
                continue
            runs.setdefault(name, {})[number] = figures
            print(
                f"round {number} {name}: {figures.events_per_second:,.0f} events/s, "
                f"{figures.cpu_seconds_per_million:.1f} CPU s a million, {figures.memory_peak_mib:,.0f} MiB "
                f"({figures.events:,} in {figures.seconds:.1f} s)",
                file=sys.stderr,
                flush=True,
            )
    base = runs.get(first, {})
    summaries = [
        summary(systems[name].name, systems[name].guarantee, by_round, base)
        for name, by_round in runs.items()
    ]
    return summaries, absent, runs


@contextmanager
def sources_of(revision: str) -> Iterator[Path]:
    """The tree of a revision, in a folder of its own."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", revision, "models", "streams"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"--compare {revision}: {done.stderr.decode(errors='replace').strip()}")
    with tempfile.TemporaryDirectory(prefix="forewarn-revision-") as folder:
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tree:
            tree.extractall(folder, filter="data")
        yield Path(folder)


def machine() -> dict[str, str]:
    """What the figures were found on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cpus": str(os.cpu_count()),
        "python": platform.python_version(),
        "aiokafka": version("aiokafka"),
        "msgspec": version("msgspec"),
    }


def run(options: argparse.Namespace, systems: Mapping[str, System], first: str) -> Report:
    """Broker, log, rounds."""
    os.sched_setaffinity(0, options.broker_cpus)  # the broker is started by this process, and inherits it
    own = unique("bench")
    with find_broker() as broker:
        settings: Settings = load_settings(
            {},
            {
                "broker": broker.bootstrap_servers,
                "topic_prefix": f"{own}.",
                "partitions": options.partitions,
                "clock": "event",
                "session_timeout_ms": 30_000,
            },
        )
        try:
            admin.apply(settings.broker, settings)
            print(f"writing {options.events:,} simulated events", file=sys.stderr, flush=True)
            reference = log.write(settings, options.events, options.seed)
            records = sum(reference.records.values())
            print(f"{records:,} records with heartbeats; {len(reference.due):,} outputs due", file=sys.stderr)
            race = Race(settings, reference, warm_share=options.warm_share, cpus=options.system_cpus)
            summaries, absent, runs = contest(race, systems, options.rounds, first)
        finally:
            remove_topics(settings)  # the broker may be one that stays
    return Report(
        events=options.events,
        records=records,
        rounds=options.rounds,
        seed=options.seed,
        partitions=options.partitions,
        warm_share=options.warm_share,
        machine=machine(),
        systems=summaries,
        not_measured=absent,
        runs=runs,
        alerts=race.alerts,
    )


def told(report: Report) -> None:
    """Print the table, and what is to be known beside it."""
    print(
        f"\n{report.records:,} records, {report.partitions} partitions, {report.rounds} rounds, "
        f"{report.machine['cpus']} CPUs ({report.machine['cpu']})\n"
    )
    print(table(report.systems, report.not_measured))
    if report.rounds < ROUNDS_FOR_A_CLAIM:
        print(f"\nfewer than {ROUNDS_FOR_A_CLAIM} rounds: a look, no measurement")


def tell_comparison(report: Report, revision: str) -> None:
    """Print how fast the tree is beside the revision."""
    found = compared(report.runs.get("tree", {}), report.runs.get("revision", {}))
    if found is None:
        print("\nno round in which both ran")
        return
    (least, middle, most), (cheapest, cost, dearest) = found.events_per_second, found.cpu
    print(
        f"\nthis tree does {middle:.3f} × the events/s of {revision} ({least:.3f}–{most:.3f} over {found.rounds} rounds), "
        f"with {cost:.3f} × its CPU time ({cheapest:.3f}–{dearest:.3f})"
    )
    if len(set(report.alerts.values())) > 1:
        print(f"they do not put out as many alerts: {dict(report.alerts)}")


def cpus(text: str) -> frozenset[int]:
    """`0`, `0,2` or `0-3`."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return frozenset(found)


def parsed() -> argparse.Namespace:
    """The command line."""
    everybody = list(all_systems())
    allowed = frozenset(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(
        prog="tests/bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="of the log; default 1,000,000")
    parser.add_argument("--rounds", type=int, default=ROUNDS_FOR_A_CLAIM, help="default 3")
    parser.add_argument(
        "--systems",
        default=",".join(everybody),
        metavar="NAMES",
        help=f"with commas; default all: {', '.join(everybody)}",
    )
    parser.add_argument("--out", type=Path, metavar="JSON", help="write everything there, too")
    parser.add_argument(
        "--compare",
        metavar="REV",
        help="this tree beside a revision of git, both in the pure form, and no others",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--warm-share", type=float, default=0.2, help="of the log: not measured; default 0.2")
    parser.add_argument(
        "--system-cpus",
        type=cpus,
        default=allowed,
        metavar="LIST",
        help="pin every system there, as 0 or 0-1",
    )
    parser.add_argument(
        "--broker-cpus",
        type=cpus,
        default=allowed,
        metavar="LIST",
        help="pin the broker and the watcher there",
    )
    options = parser.parse_args()
    options.systems = options.systems.split(",")
    if unknown := sorted(set(options.systems) - set(everybody)):
        parser.error(f"--systems: unknown {', '.join(unknown)}; known are {', '.join(everybody)}")
    if not (options.system_cpus | options.broker_cpus) <= allowed:
        parser.error(f"--system-cpus, --broker-cpus: there are {sorted(allowed)}")
    if options.events < 1 or options.rounds < 1 or not 0 < options.warm_share < 1:
        parser.error("--events and --rounds are positive, --warm-share lies between 0 and 1")
    return options


def main() -> None:
    """Run; Ctrl-C and SIGTERM leave nothing running."""
    options = parsed()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if options.compare is not None:
            with sources_of(options.compare) as root:
                pair = {"tree": ours("pure", "this tree"), "revision": ours("pure", options.compare, root)}
                report = run(options, pair, "tree")
        else:
            everybody = all_systems()
            chosen = {name: everybody[name] for name in options.systems}
            report = run(options, chosen, "ours" if "ours" in chosen else options.systems[0])
    except BrokerUnavailableError as error:
        raise SystemExit(f"tests/bench/run: {error}") from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    told(report)
    if options.out is not None:
        options.out.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    if options.compare is not None:
        tell_comparison(report, options.compare)
    if report.not_measured:
        sys.exit(1)


if __name__ == "__main__":
    main()
