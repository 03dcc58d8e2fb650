"""How fast is the pipeline? Real Kafka, one process: `python -m tests.bench.pipeline --engine none --events 400000`.

`none` shows what everything but the engine costs, `fake` adds a changelog, `real` is the worker as it is. Prints events a
second of wall time and microseconds of client CPU an event, from the first record processed to the last commit.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import pstats
import time
from collections.abc import Iterable
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from models.events import Event
from models.policy import default_policy
from models.rejects import StateReason
from models.risk.scorecard import expert_prior
from models.rules import Rules
from streams.app import GC_THRESHOLDS
from streams.bootstrap import RiskEngineMaker
from streams.clock import SystemClock
from streams.kafka.local import find_broker
from streams.kafka.ports import KafkaPorts
from streams.metrics import PlainMetrics
from streams.metrics_catalogue import CounterName
from streams.pipeline import Pipeline
from streams.ports import EngineMaker, Logs
from streams.settings import Settings
from streams.topics import TopicNames
from tests.support.fake_engine import FakeEngine, FakeEngineMaker
from tests.support.workload import Produced, closing, events
from tests.support.world import KafkaWorld, settings_for


class IdleEngine(FakeEngine):
    """Does nothing with an event."""

    def process(self, event: Event, feed: int, offset: int) -> StateReason | None:
        return None


class IdleEngineMaker(FakeEngineMaker):
    """Makes idle engines."""

    kind = IdleEngine


class Timed(PlainMetrics):
    """Knows when the first record was processed."""

    def __init__(self) -> None:
        super().__init__()
        self.began = 0.0
        self.cpu_began = 0.0

    def count(self, name: CounterName, amount: float = 1, *labels: str) -> None:
        if name == "events" and not self.began:
            self.began, self.cpu_began = time.perf_counter(), time.process_time()
        super().count(name, amount, *labels)


def maker(engine: str) -> EngineMaker:
    """The engine asked for."""
    match engine:
        case "none":
            return IdleEngineMaker()
        case "fake":
            return FakeEngineMaker(alert_every=1_000)
        case _:
            return RiskEngineMaker(Rules(default_policy()), expert_prior())


async def load(settings: Settings, records: Iterable[Produced]) -> None:
    """Fill the input topics."""
    names = TopicNames(settings.topic_prefix).inputs
    producer: Any = AIOKafkaProducer(bootstrap_servers=settings.broker, max_batch_size=2**18)
    await producer.start()
    batches: dict[tuple[str, int], Any] = {}
    for record in records:
        place = (names[record.feed], record.partition)
        batch = batches.get(place) or producer.create_batch()
        if batch.append(timestamp=None, key=record.key, value=record.value) is None:
            await producer.send_batch(batch, place[0], partition=place[1])
            batch = producer.create_batch()
            batch.append(timestamp=None, key=record.key, value=record.value)
        batches[place] = batch
    for (topic, partition), batch in batches.items():
        await producer.send_batch(batch, topic, partition=partition)
    await producer.flush()
    await producer.stop()


async def measure(settings: Settings, engine: str, count: int, borrowers: int, profile: str | None) -> str:
    """Load, run to the end, and say how fast it was."""
    await load(settings, events(1, count, settings.partitions, borrowers=borrowers))
    await load(settings, closing(count, settings.partitions))
    metrics = Timed()

    async def prepare(logs: Logs) -> EngineMaker:
        return maker(engine)

    pipeline = Pipeline(KafkaPorts(settings), prepare, settings, SystemClock(), metrics)
    gc.collect()
    gc.set_threshold(*GC_THRESHOLDS)
    profiler = cProfile.Profile()
    if profile is not None:
        profiler.enable()
    await pipeline.run()
    wall, cpu = time.perf_counter() - metrics.began, time.process_time() - metrics.cpu_began
    if profile is not None:
        profiler.disable()
        pstats.Stats(profiler).sort_stats(profile).print_stats(40)
    commits, states = metrics.total("commits"), metrics.total("state_records")
    took_ms = metrics.sums["commit_seconds"] / commits * 1000
    return (
        f"engine {engine}: {count / wall:,.0f} events/s, {cpu / count * 1e6:.2f} µs CPU an event "
        f"({settings.partitions} partitions, {commits} commits of {took_ms:.0f} ms, {states} states)"
    )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=("none", "fake", "real"), default="none")
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--borrowers", type=int, default=10_000)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--profile", help="sort by: tottime, cumtime")
    arguments = parser.parse_args()
    with find_broker() as broker:
        for _ in range(arguments.runs):
            settings = settings_for(
                "bench",
                broker.bootstrap_servers,
                clock="event",
                until_end=True,
                partitions=arguments.partitions,
            )
            settings = msgspec.structs.replace(settings, session_timeout_ms=30_000)
            KafkaWorld(settings)
            said = measure(
                settings, arguments.engine, arguments.events, arguments.borrowers, arguments.profile
            )
            print(asyncio.run(said))


if __name__ == "__main__":
    main()
