"""Is the worker's memory flat? `python -m tests.bench.soak --minutes 30`: real Kafka, one real worker, half of its top speed.

A backlog of some six years tells the top speed, by its second half, when states have grown; then the same endless book, of
a fixed number of borrowers, goes on at half of it, with a fresh worker. Event time runs thousands of times as fast as the
clock, so windows, memories of ids and what is kept of closed loans (five years) reach their bounds within the first part
of the time: with many more borrowers, take more minutes and a longer backlog. Every ten seconds the worker's memory is
looked at, and how far behind it is; at the end the slope is told by least squares over the last 70 %. Exit status 1: not flat, or the worker could not keep up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from itertools import chain, islice
from pathlib import Path
from typing import IO, Final

import msgspec
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from msgspec import Struct

from streams.clock import SystemClock
from streams.kafka import admin
from streams.kafka.feeding import feed
from streams.kafka.inspection import Inspector
from streams.kafka.local import find_broker
from streams.replay import PlannedRecord
from streams.settings import Settings, load_settings
from streams.topics import TopicNames
from tests.bench.contest.processes import LOG_TAIL_CHARACTERS
from tests.bench.endless_book import EndlessBook
from tests.support.kafka import unique

ROOT: Final = Path(__file__).resolve().parents[2]
START: Final = date(1975, 1, 1)
"""Half an hour is some thirty years of a small book, and nothing of it may lie ahead of the clock."""
SAMPLE_EVERY_SECONDS: Final = 10.0
TOLD_EVERY_SECONDS: Final = 60.0
TICK_SECONDS: Final = 0.05
"""The feeder writes twenty times a second what is due."""
WARM_SHARE: Final = 0.2
"""After it the state has its size."""
FITTED_SHARE: Final = 0.7
"""The last part of the time, through which the line is laid."""
FLAT_SHARE: Final = 0.03
"""What the line may rise by over its whole length, as a part of the memory after warm-up: less than what the allocator
and the collector move from one sample to the next."""
LAG_SECONDS_MAX: Final = 5.0
"""More records behind than are fed in this time: the worker does not keep up, and its memory says nothing."""
PATIENCE_SECONDS: Final = 1200.0
LOOK_SECONDS: Final = 0.2
"""From look to look while the top speed is told: little beside the seconds between two commits."""
COMMITS_MIN: Final = 3
"""So that what is lost between a commit and the look that sees it weighs little."""
DISK_FREE_BYTES_MIN: Final = 5 * 2**30

_INPUT_LIMITS: Final = {"segment.bytes": str(16 * 2**20), "retention.bytes": str(512 * 2**20)}
_OUTPUT_LIMITS: Final = {"segment.bytes": str(16 * 2**20), "retention.bytes": str(64 * 2**20)}
_STATE_LIMITS: Final = {"segment.bytes": str(32 * 2**20), "segment.ms": "60000"}


class Sample(Struct, frozen=True):
    """What was seen at an instant."""

    second: float
    rss_mib: float
    anonymous_mib: float
    events: int
    """Processed and committed since the start of the worker."""
    lag: int
    state_bytes: float
    """Mean size of the states written just now; 0 where none was."""
    event_years: float
    disk_free_gib: float


class Pace:
    """Lets go so many records a second, whatever their event time is."""

    def __init__(self, per_second: float, tick_seconds: float = TICK_SECONDS) -> None:
        self._per_second = per_second
        self._tick_seconds = tick_seconds
        self._began = time.monotonic()
        self._count = 0

    def seconds_until(self, place_ms: int) -> float:
        """Nothing, until a whole tick is ahead of its time."""
        self._count += 1
        ahead = self._count / self._per_second - (time.monotonic() - self._began)
        return ahead if ahead > self._tick_seconds else 0.0


class Until:
    """Cuts an endless plan off when told so."""

    def __init__(self) -> None:
        self.ended = False

    def cut(self, plan: Iterator[PlannedRecord]) -> Iterator[PlannedRecord]:
        """The plan, until `ended`."""
        for record in plan:
            if self.ended:
                return
            yield record


def limit_topics(settings: Settings) -> None:
    """Let Kafka forget what the run does not need any more: the disk must not fill."""
    names = TopicNames(settings.topic_prefix)
    limits = {
        **dict.fromkeys(names.inputs, _INPUT_LIMITS),
        **dict.fromkeys((names.alerts, names.dead_letters), _OUTPUT_LIMITS),
        **dict.fromkeys((names.state, names.borrower_risk), _STATE_LIMITS),
    }
    client = KafkaAdminClient(bootstrap_servers=settings.broker.split(","))
    client.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, configs=configs) for name, configs in limits.items()]
    )
    client.close()


@contextmanager
def worker_process(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One real worker; what it says goes into a file."""
    told = {
        f"FOREWARN_{name.upper()}": str(getattr(settings, name))
        for name in ("broker", "topic_prefix", "group_id", "transactional_id_prefix", "clock")
    }
    with log.open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "worker"],
            cwd=ROOT,
            env=os.environ | told,
            stdout=said,
            stderr=said,
        )
        try:
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()


class Watcher:
    """Looks at the worker and at how far it is."""

    def __init__(
        self, settings: Settings, process: subprocess.Popen[bytes], log: Path, inspector: Inspector
    ) -> None:
        self._settings = settings
        self._process = process
        self._log = log
        self._inspector = inspector
        self._names = TopicNames(settings.topic_prefix)
        self._began = time.monotonic()

    def progress(self) -> tuple[int, int]:
        """(records processed and committed, records behind)."""
        if self._process.poll() is not None:
            said = self._log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:]
            raise SystemExit(
                f"the worker has ended with status {self._process.returncode}. It said last:\n{said}"
            )
        lags = self._inspector.lags(self._names.inputs, self._settings.group_id)
        return sum(lag.committed or 0 for lag in lags), sum(lag.lag for lag in lags)

    def state_bytes(self) -> float:
        """The mean of what is written to the changelog just now."""
        self._inspector.begin(self._names.state, range(self._settings.partitions), from_beginning=False)
        read = self._inspector.poll(300)
        sizes = [len(one.value) for one in read if one.value is not None and one.key and one.key[0] != 0xFF]
        return sum(sizes) / len(sizes) if sizes else 0.0

    def sample(self, book: EndlessBook) -> Sample:
        """All of it."""
        events, lag = self.progress()
        rollup = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text(encoding="ascii")
        fields = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
        rss, anonymous = (int(fields[name].split()[0]) / 1024 for name in ("Rss", "Anonymous"))
        return Sample(
            second=round(time.monotonic() - self._began, 1),
            rss_mib=round(rss, 1),
            anonymous_mib=round(anonymous, 1),
            events=events,
            lag=lag,
            state_bytes=round(self.state_bytes()),
            event_years=round((book.now_ms / 86_400_000 + 719_163 - START.toordinal()) / 365.25, 2),
            disk_free_gib=round(shutil.disk_usage("/tmp").free / 2**30, 1),
        )


def top_speed(watcher: Watcher, loaded: int) -> float:
    """Events a second through the second half of a backlog: when the state has grown, an event costs more.

    From a commit to a commit: a worker with a backlog of minutes commits only every few seconds, and between two of them
    nobody sees it move.
    """
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    processed, _ = watcher.progress()
    commits: list[tuple[float, int]] = []
    while processed < loaded:
        time.sleep(LOOK_SECONDS)
        seen = processed
        processed, _ = watcher.progress()
        if seen < processed and processed >= 0.5 * loaded:
            commits.append((time.monotonic(), processed))
        if time.monotonic() > give_up_at:
            raise SystemExit(f"{processed} of {loaded} records after {PATIENCE_SECONDS:.0f} s")
    return speed_between(commits)


def speed_between(commits: Sequence[tuple[float, int]]) -> float:
    """Events a second from the first to the last of commits: seconds, and events processed by then."""
    if len(commits) < COMMITS_MIN:
        raise SystemExit(f"{len(commits)} commits are too few to tell a speed: take a larger backlog")
    (began, first), (ended, last) = commits[0], commits[-1]
    return (last - first) / (ended - began)


def slope_per_hour(samples: Sequence[Sample]) -> float:
    """MiB an hour, by least squares."""
    seconds = [sample.second for sample in samples]
    mean_s, mean_mib = sum(seconds) / len(seconds), sum(one.rss_mib for one in samples) / len(samples)
    above = sum((one.second - mean_s) * (one.rss_mib - mean_mib) for one in samples)
    return above / sum((second - mean_s) ** 2 for second in seconds) * 3600


def tell(sample: Sample, before: Sample | None, fed_per_second: float) -> None:
    """One line of the table."""
    if before is None:
        print(f"{'minute':>6} {'events':>12} {'a second':>9} {'behind':>8} {'RSS MiB':>8} {'heap MiB':>8} "
              f"{'B/state':>8} {'years':>6} {'disk GiB':>8}")  # fmt: skip
    rate = fed_per_second
    if before is not None and sample.second > before.second:
        rate = (sample.events - before.events) / (sample.second - before.second)
    print(
        f"{sample.second / 60:6.1f} {sample.events:12,} {rate:9,.0f} {sample.lag:8,} {sample.rss_mib:8.1f} "
        f"{sample.anonymous_mib:8.1f} {sample.state_bytes:8,.0f} {sample.event_years:6.2f} {sample.disk_free_gib:8.1f}",
        flush=True,
    )


async def watch(
    watcher: Watcher, book: EndlessBook, seconds: float, per_second: float, out: IO[str]
) -> list[Sample]:
    """A sample every ten seconds, a line every minute."""
    samples: list[Sample] = []
    told: Sample | None = None
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        sample = await asyncio.to_thread(watcher.sample, book)
        samples.append(sample)
        out.write(json.dumps(msgspec.to_builtins(sample)) + "\n")
        out.flush()
        if told is None or sample.second - told.second >= TOLD_EVERY_SECONDS - 1:
            tell(sample, told, per_second)
            told = sample
        if sample.disk_free_gib * 2**30 < DISK_FREE_BYTES_MIN:
            raise SystemExit("the disk is nearly full")
        await asyncio.sleep(min(SAMPLE_EVERY_SECONDS, max(0.0, seconds - passed)))
    return samples


def verdict(samples: Sequence[Sample], per_second: float) -> bool:
    """Print the figures of the whole run; return whether memory was flat and the worker kept up."""
    length = samples[-1].second - samples[0].second
    fitted = [one for one in samples if one.second >= samples[0].second + (1 - FITTED_SHARE) * length]
    warm = next(one for one in samples if one.second >= samples[0].second + WARM_SHARE * length)
    slope = slope_per_hour(fitted)
    rise = slope * (fitted[-1].second - fitted[0].second) / 3600
    lag = max(one.lag for one in fitted)
    flat = rise <= FLAT_SHARE * warm.rss_mib
    kept_up = lag <= LAG_SECONDS_MAX * per_second
    print(
        f"\nRSS {warm.rss_mib:.1f} MiB after warm-up (minute {warm.second / 60:.1f}), {samples[-1].rss_mib:.1f} MiB at the "
        f"end, {max(one.rss_mib for one in samples):.1f} MiB at most; slope {slope:+.1f} MiB an hour over the last "
        f"{(fitted[-1].second - fitted[0].second) / 60:.0f} minutes ({rise:+.1f} MiB, {rise / warm.rss_mib:+.1%})\n"
        f"at most {lag:,} records behind\n"
        f"memory is {'flat' if flat else 'NOT flat'}; the worker {'kept up' if kept_up else 'did NOT keep up'}"
    )
    return flat and kept_up


async def soak(settings: Settings, arguments: argparse.Namespace, out: IO[str]) -> bool:
    """The whole run."""
    book = EndlessBook(
        arguments.seed,
        arguments.borrowers,
        settings.partitions,
        spending_per_month=arguments.spending,
        start=START,
    )
    plan = book.records()
    clock = SystemClock()
    loaded = await feed(chain(islice(plan, arguments.backlog), book.closing()), settings, clock=clock)
    log = Path(arguments.out).with_suffix(".worker.log")
    with worker_process(settings, log) as process, Inspector(settings) as inspector:
        fastest = await asyncio.to_thread(top_speed, Watcher(settings, process, log, inspector), loaded)
    per_second = arguments.load * fastest
    ends_ms = book.now_ms + (book.now_ms - book.began_ms) * per_second * arguments.minutes * 60 / loaded
    if ends_ms > clock.now_ms():
        raise SystemExit(
            "the book would come to lie in the future, where events are refused: take more --borrowers"
        )
    # Another process: what the backlog took and gave back would hide what grows later.
    with worker_process(settings, log) as process, Inspector(settings) as inspector:
        watcher = Watcher(settings, process, log, inspector)
        print(
            f"{arguments.borrowers:,} borrowers, {settings.partitions} partitions; top speed {fastest:,.0f} events/s through a "
            f"backlog of {loaded:,}; fed with {per_second:,.0f} events/s for {arguments.minutes:g} minutes",
            flush=True,
        )
        until = Until()
        feeding = asyncio.create_task(feed(until.cut(plan), settings, clock=clock, pace=Pace(per_second)))
        watching = asyncio.create_task(watch(watcher, book, arguments.minutes * 60, per_second, out))
        done, _ = await asyncio.wait([feeding, watching], return_when=asyncio.FIRST_COMPLETED)
        if feeding in done:
            watching.cancel()
            raise SystemExit(f"the feeder has ended: {feeding.exception()}")
        until.ended = True
        samples = await watching
        await feeding
    return verdict(samples, per_second)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--borrowers", type=int, default=3_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--spending", type=float, default=15.0, help="payments a borrower makes in a month")
    parser.add_argument(
        "--backlog", type=int, default=4_000_000, help="records that the top speed is measured with"
    )
    parser.add_argument("--load", type=float, default=0.5, help="of the top speed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="soak.jsonl", help="samples go there, the worker's log beside it")
    arguments = parser.parse_args()
    with find_broker() as broker:
        own = unique("soak")
        settings = load_settings(
            {},
            {
                "broker": broker.bootstrap_servers,
                "topic_prefix": f"{own}.",
                "group_id": own,
                "transactional_id_prefix": own,
                "partitions": arguments.partitions,
                "clock": "event",
            },
        )
        admin.apply(settings.broker, settings)
        limit_topics(settings)
        with Path(arguments.out).open("w", encoding="utf-8") as out:
            passed = asyncio.run(soak(settings, arguments, out))
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
