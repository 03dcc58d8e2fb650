"""How long from an event to its alert? `python -m tests.bench.latency`: real Kafka, one real worker, live, at several loads.

A book of some months, up to now, gives the states their size. Then events of now come, faster and faster, until the worker does not
keep up any more: its top speed is the last rate that it held. (Through a backlog it is several times as fast, for then it writes
a borrower once for many events.) Then they come at each offered rate: payments of all borrowers, and among a hundred events three
applications of one borrower, of which the third is one new institution too many. Measured is, by the broker's clock and that of one
reader on the same machine, from the instant at which the event was appended to its topic, where it can be read, to the instant at
which the `read_committed` reader has its alert. Each load lasts as long; its first fifth is not counted. Exit status 1: at half of the top speed a target was missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event as Flag
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import plotext
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from msgspec import Struct

from models.alerts import Alert
from models.events import CREDIT_QUERIES, FUND_FLOWS, TOPICS
from streams.clock import SystemClock
from streams.kafka import admin
from streams.kafka.feeding import feed
from streams.kafka.inspection import Inspector
from streams.kafka.local import find_broker
from streams.partitioner import partition_of
from streams.replay import PlannedRecord
from streams.settings import Settings, load_settings
from streams.topics import TopicNames
from tests.bench.contest.systems import form_at_hand
from tests.bench.endless_book import EndlessBook
from tests.bench.soak import Pace, Watcher, limit_topics, worker_process
from tests.support.kafka import unique

TARGETS_MS: Final = {"p50": 100, "p99": 250, "p99.9": 1_000}
"""At half of the top speed."""
SHARES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
HALF: Final = 0.5
WARM_SHARE: Final = 0.2
TICK_SECONDS: Final = 0.01
"""The feeder writes a hundred times a second what is due."""
HISTORY_DAYS: Final = 120
ALARM_EVERY: Final = 100
"""Events, of which three apply for one borrower's credit."""
DRAIN_SECONDS: Final = 10.0
"""After a load, for the last alerts to come."""
CAUGHT_UP_SECONDS: Final = 300.0
FIRST_RATE: Final = 4_000.0
RATE_FACTOR: Final = 1.25
"""Events a second, and how many times as many they are from load to load while the top speed is looked for."""
RATE_SECONDS: Final = 15.0
KEPT_UP_SECONDS: Final = 0.5
"""A rate is held where no more events than come in this time are waiting at its end."""
_LIVE: Final = "live-"
"""What the ids of events begin with whose alerts are measured."""


class Seen(NamedTuple):
    """An alert, as its reader got it."""

    place: tuple[int, int]
    """Partition and offset of the event that caused it."""
    at_ms: float


class Latency(Struct, frozen=True):
    """What a load came to."""

    offered: float
    """Events a second."""
    written: float
    """Events a second that were appended while they were counted: less than offered, where the feeder is too slow."""
    alerts: int
    quantiles_ms: dict[str, float]
    most_ms: float
    behind: int
    """Records not processed at the end of the load: many, where the worker does not keep up."""


class LiveEvents:
    """Payments and applications of a book's borrowers as of now, each with an id of its own."""

    def __init__(self, borrowers: int, partitions: int) -> None:
        keys = [b"k%07d" % number for number in range(borrowers)]
        self._borrowers = [(key, partition_of(key, partitions)) for key in keys]
        self._count = 0

    def until(self, ends_at: float) -> Iterator[PlannedRecord]:
        """Events, until the stop-watch shows `ends_at`."""
        while time.monotonic() < ends_at:
            self._count += 1
            now_ms = time.time_ns() // 1_000_000
            alarm, place = divmod(self._count, ALARM_EVERY)
            if place < 3:
                key, partition = self._borrowers[alarm % len(self._borrowers)]
                yield self._event(
                    CREDIT_QUERIES, partition, key, now_ms, b"credit_query",
                    b'"institution_id":"new-%d","purpose":"loan_application"' % self._count,
                )  # fmt: skip
            else:
                key, partition = self._borrowers[self._count * 7919 % len(self._borrowers)]
                yield self._event(
                    FUND_FLOWS, partition, key, now_ms, b"fund_flow",
                    b'"account_id":"a","direction":"out","amount_minor":%d,"currency":"CNY","category":"living",'
                    b'"counterparty_id":"m1","counterparty_kind":"merchant"' % (500 + self._count % 20_000),
                )  # fmt: skip

    def _event(
        self, feed_index: int, partition: int, key: bytes, now_ms: int, kind: bytes, body: bytes
    ) -> PlannedRecord:
        value = b'{"type":"%s","event_id":"%s%d","borrower_id":"%s","event_time_ms":%d,%s}' % (
            kind, _LIVE.encode(), self._count, key, now_ms, body,
        )  # fmt: skip
        return PlannedRecord(feed_index, partition, key, value, now_ms)


# ---- the reader of alerts, a process of its own ----------------------------------------------------------------------


def read_alerts(settings: Settings, ready: Flag, stop: Flag, found: Queue[list[Seen]]) -> None:
    """Note when each alert came that a live application caused."""
    decode = msgspec.json.Decoder(Alert).decode
    seen: list[Seen] = []
    consumer = KafkaConsumer(
        bootstrap_servers=settings.broker.split(","), group_id=None, isolation_level="read_committed",
        check_crcs=False, fetch_min_bytes=1,
    )  # fmt: skip
    topic = TopicNames(settings.topic_prefix).alerts
    consumer.assign([TopicPartition(topic, number) for number in range(settings.partitions)])
    consumer.seek_to_end()
    for number in range(settings.partitions):
        consumer.position(TopicPartition(topic, number))
    ready.set()
    while not stop.is_set():
        polled = consumer.poll(timeout_ms=200)
        at_ms = time.time() * 1000
        for records in polled.values():
            for record in records:
                cause = decode(record.value).caused_by
                is_live = cause.event_id is not None and cause.event_id.startswith(_LIVE)
                if is_live and cause.topic == TOPICS[CREDIT_QUERIES]:
                    seen.append(Seen((cause.partition, cause.offset), at_ms))
    consumer.close(autocommit=False)
    found.put(seen)


class Reader:
    """The process that reads alerts."""

    def __init__(self, settings: Settings) -> None:
        spawn = multiprocessing.get_context("spawn")
        ready, self._stop = spawn.Event(), spawn.Event()
        self._found: Queue[list[Seen]] = spawn.Queue()
        self._process = spawn.Process(target=read_alerts, args=(settings, ready, self._stop, self._found))
        self._process.start()
        if not ready.wait(60):
            raise SystemExit("the reader of alerts has not begun within 60 s")

    def close(self) -> list[Seen]:
        """End it, and hear what it saw."""
        self._stop.set()
        seen = self._found.get(timeout=60)
        self._process.join(60)
        return seen


# ---- the broker's times ----------------------------------------------------------------------------------------------


def stamp_by_broker(settings: Settings) -> None:
    """Let the broker stamp what is written to the input topics: the time at which it can be read."""
    names = TopicNames(settings.topic_prefix)
    client = KafkaAdminClient(bootstrap_servers=settings.broker.split(","))
    stamped = {"message.timestamp.type": "LogAppendTime", "retention.bytes": "-1"}
    client.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, name, configs=stamped) for name in names.inputs]
    )
    client.close()


def appended_ms(settings: Settings) -> dict[tuple[int, int], int]:
    """When each record of the applications was appended, by partition and offset."""
    topic = TopicNames(settings.topic_prefix).inputs[CREDIT_QUERIES]
    with Inspector(settings) as inspector:
        read = inspector.read(topic, range(settings.partitions))
        return {(one.partition, one.offset): one.timestamp_ms for one in read}


# ---- the loads -------------------------------------------------------------------------------------------------------


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that is not below so great a share of all."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def offer(
    settings: Settings, live: LiveEvents, per_second: float, seconds: float, watcher: Watcher
) -> tuple[Latency, list[float]]:
    """One load: what it came to, and all latencies in milliseconds, in order."""
    reader = await asyncio.to_thread(Reader, settings)
    began_at, began_ms = time.monotonic(), time.time() * 1000
    written = await feed(
        live.until(began_at + seconds), settings, clock=SystemClock(), pace=Pace(per_second, TICK_SECONDS)
    )
    took = time.monotonic() - began_at
    _, behind = await asyncio.to_thread(watcher.progress)
    await asyncio.sleep(DRAIN_SECONDS)
    seen = await asyncio.to_thread(reader.close)
    times = await asyncio.to_thread(appended_ms, settings)
    counted_from_ms = began_ms + WARM_SHARE * seconds * 1000
    ordered = sorted(
        alert.at_ms - times[alert.place] for alert in seen if times[alert.place] >= counted_from_ms
    )
    if not ordered:
        raise SystemExit(f"no alert came at {per_second:,.0f} events/s")
    quantiles = {name: round(quantile(ordered, share), 1) for name, share in SHARES.items()}
    load = Latency(
        round(per_second), round(written / took), len(ordered), quantiles, round(ordered[-1], 1), behind
    )
    return load, ordered


async def caught_up(watcher: Watcher) -> None:
    """Wait until nothing of a load is left."""
    give_up_at = time.monotonic() + CAUGHT_UP_SECONDS
    while (await asyncio.to_thread(watcher.progress))[1] > 0:
        if time.monotonic() > give_up_at:
            raise SystemExit(f"the worker is still behind after {CAUGHT_UP_SECONDS:.0f} s")
        await asyncio.sleep(0.2)


async def held(settings: Settings, live: LiveEvents, watcher: Watcher) -> float:
    """The highest rate of those tried that the worker keeps up with, in events a second as they were written."""
    offered, best = FIRST_RATE, 0.0
    while True:
        began_at = time.monotonic()
        events = live.until(began_at + RATE_SECONDS)
        count = await feed(events, settings, clock=SystemClock(), pace=Pace(offered, TICK_SECONDS))
        written = count / (time.monotonic() - began_at)
        _, behind = await asyncio.to_thread(watcher.progress)
        await caught_up(watcher)
        if behind > KEPT_UP_SECONDS * written:
            break
        if written < 0.95 * offered:
            raise SystemExit(
                f"the feeder writes no more than {written:,.0f} events/s: no top speed can be told"
            )
        offered, best = offered * RATE_FACTOR, written
    if not best:
        raise SystemExit(f"the worker does not keep up with {FIRST_RATE:,.0f} events/s")
    return best


async def run(settings: Settings, arguments: argparse.Namespace) -> bool:
    """All loads; whether half of the top speed met the targets."""
    now = datetime.now(UTC)
    book = EndlessBook(
        arguments.seed,
        arguments.borrowers,
        settings.partitions,
        spending_per_month=15.0,
        start=(now - timedelta(days=HISTORY_DAYS)).date(),
    )
    now_ms = now.timestamp() * 1000
    history = takewhile(lambda record: record.place_ms < now_ms, book.records())
    clock = SystemClock()
    loaded = await feed(history, settings, clock=clock)
    live = LiveEvents(arguments.borrowers, settings.partitions)
    log = Path(arguments.out).with_suffix(".worker.log")
    curves: dict[str, list[float]] = {}
    with worker_process(settings, log) as process, Inspector(settings) as inspector:
        watcher = Watcher(settings, process, log, inspector)
        await caught_up(watcher)
        fastest = await held(settings, live, watcher)
        print(
            f"{arguments.borrowers:,} borrowers with {loaded:,} records of {HISTORY_DAYS} days, {settings.partitions} partitions, one worker, "
            f"models {form_at_hand()}; it holds {fastest:,.0f} events/s; {arguments.seconds:g} s a load\n\n"
            f"{'offered/s':>10} {'written/s':>10} {'alerts':>7} {'p50 ms':>8} {'p99 ms':>8} {'p99.9 ms':>9} {'most ms':>8} {'behind':>8}",
            flush=True,
        )
        told: dict[str, Latency] = {}
        for name, per_second in loads(fastest).items():
            load, ordered = await offer(settings, live, per_second, arguments.seconds, watcher)
            told[name], curves[name] = load, ordered
            shown = " ".join(
                f"{value:>{8 + (name == 'p99.9')}.1f}" for name, value in load.quantiles_ms.items()
            )
            print(f"{load.offered:10,.0f} {load.written:10,.0f} {load.alerts:7,} {shown} {load.most_ms:8.1f} {load.behind:8,}", flush=True)  # fmt: skip
            await caught_up(watcher)
    plot(curves)
    write(Path(arguments.out), fastest, told)
    missed = [
        f"{name} {told['half'].quantiles_ms[name]:.1f} ms"
        for name, most in TARGETS_MS.items()
        if told["half"].quantiles_ms[name] > most
    ]
    print(f"\nat half of the top speed {'missed: ' + ', '.join(missed) if missed else 'all targets are met'}")
    return not missed


def write(out: Path, fastest: float, told: dict[str, Latency]) -> None:
    """The figures, for other programs."""
    figures = {"top_speed": fastest, "loads": msgspec.to_builtins(told)}
    out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def loads(fastest: float) -> dict[str, float]:
    """Events a second to offer, by name: those of a fixed rate only where the worker can do them at all."""
    fixed = {f"{rate // 1000}k": float(rate) for rate in (1_000, 10_000) if rate <= 0.95 * fastest}
    return fixed | {"half": HALF * fastest, "90 %": 0.9 * fastest}


def plot(curves: dict[str, list[float]]) -> None:
    """The share of alerts that took longer, both axes logarithmic."""
    plotext.clear_figure()
    for name, ordered in curves.items():
        shares = [1 - place / len(ordered) for place in range(len(ordered))]
        plotext.plot(ordered, shares, label=name)
    plotext.xscale("log")
    plotext.yscale("log")
    plotext.plotsize(100, 24)
    plotext.theme("clear")
    plotext.title("share of alerts that took longer (down) than so many ms (across)")
    plotext.show()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load")
    parser.add_argument("--borrowers", type=int, default=5_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", default="latency.json", help="figures go there, the worker's log beside it")
    arguments = parser.parse_args()
    with find_broker() as broker:
        own = unique("latency")
        settings = load_settings(
            {},
            {
                "broker": broker.bootstrap_servers,
                "topic_prefix": f"{own}.",
                "group_id": own,
                "transactional_id_prefix": own,
                "partitions": arguments.partitions,
                "clock": "wall",
            },
        )
        admin.apply(settings.broker, settings)
        limit_topics(settings)
        stamp_by_broker(settings)
        met = asyncio.run(run(settings, arguments))
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
