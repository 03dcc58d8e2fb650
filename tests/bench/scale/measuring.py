"""One book on one Kafka: written, restored, worked through, fed for a while, restored again."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from streams.clock import SystemClock
from streams.kafka import admin
from streams.kafka.feeding import feed
from streams.kafka.inspection import Inspector
from streams.kafka.removal import remove_topics
from streams.replay import PlannedRecord
from streams.settings import Settings, load_settings
from streams.topics import TopicNames
from tests.bench.contest.figures import Curve, measured, total
from tests.bench.scale import changelog
from tests.bench.scale.book import Book
from tests.bench.scale.figures import MIB, Loaded, Restored, Sized, Worked
from tests.bench.scale.lives import Lives
from tests.bench.scale.workers import Worker, workers
from tests.bench.soak import DISK_FREE_BYTES_MIN, Pace, Watcher
from tests.support.kafka import unique

WARM_SHARE: Final = 0.2
"""Of a backlog: restores, first fetches, and borrowers who are touched first."""
POLL_SECONDS: Final = 0.2
STALLED_AFTER_SECONDS: Final = 120.0
SETTLED_SECONDS: Final = 3.0
"""After the last task is open, before memory is looked at."""
_CHANGELOG_READ: Final = re.compile(r"task \d+: changelog read, (\d+) records")


class Load(Struct, frozen=True):
    """What a worker is fed with, when it has worked through its backlog."""

    minutes: float
    share: float
    """Of the speed at which it went through the backlog."""


Say = Callable[[str], None]


class Weighed:
    """Counts the bytes of keys and payloads that pass."""

    def __init__(self) -> None:
        self.bytes = 0
        self.records = 0

    def all(self, plan: Iterator[PlannedRecord]) -> Iterator[PlannedRecord]:
        """The same records."""
        for record in plan:
            self.bytes += len(record.value) + len(record.key or b"")
            self.records += 1
            yield record


class Scene:
    """A book in topics of its own, made as `forewarn topics apply` makes them."""

    def __init__(
        self, broker: str, lives: Lives, borrowers: int, partitions: int, folder: Path, say: Say
    ) -> None:
        """`say` hears what is found meanwhile."""
        own = unique("scale")
        self.settings: Settings = load_settings(
            {},
            {
                "broker": broker,
                "topic_prefix": f"{own}.",
                "group_id": own,
                "transactional_id_prefix": own,
                "partitions": partitions,
                "clock": "event",
                "session_timeout_ms": 30_000,
            },
        )
        self.book = Book(lives, borrowers, partitions)
        self.folder = folder
        self.say = say
        self.weighed = Weighed()
        self._state_topic = TopicNames(self.settings.topic_prefix).state
        self._written = 0
        """Records of the inputs."""

    def fill(self) -> float:
        """Make the topics and write the changelog; return bytes a borrower."""
        admin.apply(self.settings.broker, self.settings)
        return asyncio.run(changelog.write(self.settings, self.book.states())) / self.book.borrowers

    def feed(self, events: int, pace: Pace | None = None) -> int:
        """Write the next events to the inputs; return how many records they are, with heartbeats."""
        plan = self.weighed.all(self.book.records(events))
        written = asyncio.run(feed(plan, self.settings, clock=SystemClock(), pace=pace))
        self._written += written
        return written

    def restored(self) -> Restored:
        """Start a worker that finds nothing to do, wait until it holds everybody, and let it go.

        Raises:
            SystemExit: it holds others than it should.
        """
        log_bytes = changelog.bytes_on_disk(self.settings, self._state_topic)
        with workers(self.settings, 1, self.folder) as (worker,):
            seconds, cpu_seconds = worker.wait_until_ready()
            time.sleep(SETTLED_SECONDS)
            found = Restored(
                seconds=round(seconds, 2),
                cpu_seconds=round(cpu_seconds, 2),
                borrowers=round(worker.figure("forewarn_borrowers")),
                resident_bytes=worker.resident_bytes,
                log_bytes=log_bytes,
                log_records=sum(
                    map(int, _CHANGELOG_READ.findall(worker.seen.log.read_text(encoding="utf-8")))
                ),
            )
        if found.borrowers < self.book.borrowers:
            raise SystemExit(f"the worker holds {found.borrowers:,} of {self.book.borrowers:,} borrowers")
        self.say(
            f"{found.borrowers:,} borrowers restored in {found.seconds:.1f} s ({found.cpu_seconds:.1f} s of CPU) from "
            f"{found.log_records:,} records, {found.log_bytes / MIB:,.0f} MiB; {found.resident_bytes / MIB:,.0f} MiB resident"
        )
        return found

    @contextmanager
    def working(self, count: int) -> Iterator[tuple[Sequence[Worker], Worked]]:
        """Let so many workers go through what is in the inputs; they stay while the context lasts."""
        began_with = self._processed()
        with workers(self.settings, count, self.folder) as started, Inspector(self.settings) as inspector:
            watcher = Watcher(self.settings, started[0].seen.process, started[0].seen.log, inspector)
            ready_seconds = max(worker.wait_until_ready()[0] for worker in started)
            self.say(f"{count} worker(s) ready after {ready_seconds:.1f} s with the backlog waiting")
            progress = self._follow(started, watcher, began_with)
            for worker in started:
                worker.seen.sample()
            cpu = total({(0, number): worker.seen.cpu for number, worker in enumerate(started)})
            figures = measured(
                progress,
                cpu,
                self._written - began_with,
                warm_share=WARM_SHARE,
                memory_peak_mib=sum(worker.seen.memory_peak_mib for worker in started),
            )
            self.say(
                f"{figures.events_per_second:,.0f} events/s, {figures.cpu_seconds_per_million:,.1f} µs of CPU an event"
            )
            processed, states, state_bytes = (
                sum(worker.figure(f"forewarn_{name}_total") for worker in started)
                for name in ("processed", "state_records", "state_written_bytes")
            )
            yield (
                started,
                Worked(
                    workers=count,
                    ready_seconds=round(ready_seconds, 2),
                    events=figures.events,
                    events_per_second=round(figures.events_per_second, 1),
                    cpu_us_per_event=round(figures.cpu_seconds_per_million, 2),
                    resident_bytes=max(worker.resident_bytes for worker in started),
                    resident_peak_bytes=round(figures.memory_peak_mib * 2**20),
                    state_bytes_per_event=round(state_bytes / processed, 1),
                    states_per_event=round(states / processed, 3),
                ),
            )

    def load(self, worker: Worker, load: Load, events_per_second: float) -> Loaded:
        """Feed a worker that is up to date, at a share of its speed.

        Raises:
            SystemExit: it has ended, or the disk is nearly full.
        """
        per_second = load.share * events_per_second
        minutes_left = load.minutes
        before, behind = self._written, 0
        with Inspector(self.settings) as inspector:
            watcher = Watcher(self.settings, worker.seen.process, worker.seen.log, inspector)
            while minutes_left > 0:
                minutes = min(1.0, minutes_left)
                self.feed(max(1, round(per_second * minutes * 60)), Pace(per_second))
                minutes_left -= minutes
                _, behind = watcher.progress()
                self.say(
                    f"fed with {per_second:,.0f} events/s, {minutes_left:.0f} minutes left; {behind:,} records behind"
                )
                if shutil.disk_usage(tempfile.gettempdir()).free < DISK_FREE_BYTES_MIN:
                    raise SystemExit("the disk is nearly full")
            self._follow([worker], watcher, self._written)
            self.say("caught up")
        return Loaded(
            load.minutes, round(per_second, 1), self._written - before, behind, worker.resident_bytes
        )

    def remove(self) -> None:
        """Leave nothing in Kafka."""
        remove_topics(self.settings)

    def _processed(self) -> int:
        with Inspector(self.settings) as inspector:
            names = TopicNames(self.settings.topic_prefix)
            return sum(one.committed or 0 for one in inspector.lags(names.inputs, self.settings.group_id))

    def _follow(self, started: Sequence[Worker], watcher: Watcher, began_with: int) -> Curve:
        """How many records were done by when, until nothing but closing heartbeats is left."""
        curve: list[tuple[float, float]] = []
        left_at_end = self.settings.partitions * len(TopicNames("").inputs)
        moved_at, moved_to = time.monotonic(), -1
        while True:
            asked_at = time.time()
            done, behind = watcher.progress()
            now = (asked_at + time.time()) / 2
            if done > moved_to:
                moved_at, moved_to = time.monotonic(), done
                curve.append((now, float(max(0, done - began_with))))
            if behind <= left_at_end:
                return curve
            for worker in started:
                if worker.seen.process.poll() is not None:
                    raise SystemExit(f"a worker has ended. It said last:\n{worker.seen.log_tail}")
            if time.monotonic() - moved_at > STALLED_AFTER_SECONDS:
                raise SystemExit(f"no progress for {STALLED_AFTER_SECONDS:.0f} s, {behind:,} records behind")
            time.sleep(POLL_SECONDS)


def measured_size(scene: Scene, events: int, load: Load | None) -> Sized:
    """All that is measured of a book on one worker."""
    state_bytes = scene.fill()
    first, fresh = scene.restored(), scene.restored()
    scene.feed(events)
    loaded = None
    with scene.working(1) as ((worker,), worked):
        if load is not None:
            loaded = scene.load(worker, load, worked.events_per_second)
    return Sized(
        borrowers=scene.book.borrowers,
        partitions=scene.settings.partitions,
        state_bytes_per_borrower=round(state_bytes, 1),
        input_bytes_per_event=round(scene.weighed.bytes / scene.weighed.records, 1),
        first=first,
        fresh=fresh,
        worked=worked,
        after=scene.restored(),
        load=loaded,
    )


def measured_workers(scene: Scene, events: int, counts: Sequence[int]) -> list[Worked]:
    """How several workers share a book: each number of them goes through as many events, one after the other."""
    scene.fill()
    found = []
    for count in counts:
        scene.feed(events)
        with scene.working(count) as (_, worked):
            found.append(worked)
    return found
