"""How long do alerts stop when one worker is restarted? `python -m tests.bench.handover --borrowers 100000`.

Real Kafka with one broker, eight tasks, two real worker processes, a book of borrowers with state. Every tenth of a second an
event goes to each task. One worker gets SIGTERM and is started again as soon as it has ended. For each task the longest time
from an event's being readable to the commit of the transaction that holds it is printed: its alert is readable from then on.
Before that, the same while nothing happens; after it, what the workers said and when, counted from the SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from models.calendars import DAY_MS
from models.events import REPAYMENTS, Event
from models.rulebook import SINCE_EVER_MS, Adopted, Span
from streams.clock import SystemClock
from streams.kafka import admin
from streams.kafka.local import find_broker
from streams.kafka.ports import KafkaPorts
from streams.partitioner import partition_of
from streams.ports import OutputRecord
from streams.progress import Progress, decode_progress, encode_progress, progress_key
from streams.settings import Settings, load_settings
from streams.topics import TopicNames
from tests.support.events import engine, feed_of, flow, in_order, loan, local, paid, query
from tests.support.kafka import unique

ROOT: Final = Path(__file__).resolve().parents[2]
TASKS: Final = 8
TRICKLE_SECONDS: Final = 0.1
"""An event a task so often: also the grain of what is measured."""
QUIET_SECONDS: Final = 10.0
"""Before and after: long enough for a rebalance that nobody asked for to show."""
PATIENCE_SECONDS: Final = 180.0
TEMPLATES: Final = 200
"""Borrowers whose states are made by the engine; the others have copies under their own names."""
STATES_AT_ONCE: Final = 5_000
_TOLD: Final = re.compile(r"(generation \d+: tasks .*|task \d+ open: .*|task \d+: changelog read.*)$")


class Worker:
    """A worker process, and what it says, with the time."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.told: list[tuple[float, str]] = []
        environment = os.environ | {
            f"FOREWARN_{field.upper()}": str(value)
            for field in Settings.__struct_fields__
            if (value := getattr(settings, field)) is not None and field != "until_end"
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streams.cli", "worker"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True).start()

    def _listen(self, said: IO[str]) -> None:
        for line in said:
            if (found := _TOLD.search(line)) is not None:
                self.told.append((time.monotonic(), found.group()))

    def opened(self) -> int:
        """How often it has opened a task."""
        return sum(" open: " in line for _, line in self.told)


@contextmanager
def workers_of(settings: Settings) -> Iterator[list[Worker]]:
    """Two workers; whoever lives at the end is killed."""
    workers = [Worker(name, settings) for name in "AB"]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()


# ---- the book --------------------------------------------------------------------------------------------------------


def templates(now_ms: int) -> list[bytes]:
    """State records of borrowers who borrow, earn, spend and pay in time until today."""
    today = now_ms // DAY_MS * DAY_MS
    days = [local(today + day * DAY_MS)[:10] for day in range(-180, 181, 30)]
    records = []
    for number in range(TEMPLATES):
        risk_engine = engine()
        borrower = f"t-{number}"
        events: list[Event] = [
            loan(days[0], [(day, 50_000 + number) for day in days[1:]], borrower),
            *(paid(day, 50_000 + number, "01:00", borrower) for day in days[1:6]),
            *(flow(day, 900_000 + number, borrower=borrower) for day in days[:6]),
            *(flow(day, 3_000, "living", "out", borrower=borrower) for day in days[:6] * 3),
            *(query(days[index % 6], f"lender-{index}", borrower) for index in range(number % 5)),
        ]
        for offset, event in enumerate(in_order(event for event in events if event.event_time_ms < today)):
            risk_engine.process(event, feed_of(event), offset)
        record = risk_engine.take_output(detected_at_ms=0).changed[borrower]
        assert record is not None
        records.append(record)
    return records


async def write_book(settings: Settings, borrowers: int) -> list[list[str]]:
    """Write state and progress of all tasks as the workers would; return the borrowers by task."""
    clock = SystemClock()
    states = templates(clock.now_ms())
    by_task: list[list[str]] = [[] for _ in range(TASKS)]
    for number in range(borrowers):
        borrower_id = f"b-{number:07d}"
        by_task[partition_of(borrower_id.encode(), TASKS)].append(borrower_id)
    for task, ids in enumerate(by_task):
        await _write_task(settings, task, ids, states, clock.now_ms())
    size = sum(map(len, states)) / len(states)
    print(f"{borrowers:,} borrowers written, {size:,.0f} bytes of state each", flush=True)
    return by_task


async def _write_task(
    settings: Settings, task: int, ids: Sequence[str], states: Sequence[bytes], now_ms: int
) -> None:
    names = TopicNames(settings.topic_prefix)
    progress = Progress(
        task=task,
        partition_count=TASKS,
        offsets=(0,) * 4,
        merge_keys_ms=(0,) * 4,
        engine=engine(partition=task).progress(),
        policy_version="bench",
        card_version="bench",
        policies=Adopted(0, (Span(SINCE_EVER_MS, "bench"),)),
        cards=Adopted(0, (Span(SINCE_EVER_MS, "bench"),)),
    )
    sink = KafkaPorts(settings).sink(task)
    await sink.open()
    try:
        for begin in range(0, len(ids), STATES_AT_ONCE):
            await sink.begin()
            records = [
                OutputRecord(borrower_id.encode(), states[place % len(states)])
                for place, borrower_id in enumerate(ids[begin : begin + STATES_AT_ONCE])
            ]
            records.append(OutputRecord(progress_key(task), encode_progress(progress)))
            await sink.send(names.state, records, now_ms)
            await sink.flush()
            await sink.send_offsets(progress.offsets)
            await sink.commit()
    finally:
        await sink.close()


# ---- the trickle, and when it arrives --------------------------------------------------------------------------------


class Watch:
    """When each event was readable, and when its transaction was."""

    def __init__(self) -> None:
        self.sent: list[list[float]] = [[] for _ in range(TASKS)]
        """By task: when the event at each offset was acknowledged."""
        self.committed: list[list[float]] = [[] for _ in range(TASKS)]
        """By task: when the transaction that holds the event at each offset was readable."""

    def longest(self, task: int, from_second: float, to_second: float) -> float:
        """The longest wait of an event sent in between; one that still waits has waited until now."""
        now = time.monotonic()
        waits = [
            (self.committed[task][offset] if offset < len(self.committed[task]) else now) - sent
            for offset, sent in enumerate(self.sent[task])
            if from_second <= sent <= to_second
        ]
        return max(waits, default=0.0)

    @property
    def behind(self) -> int:
        """Events whose transaction is not readable yet."""
        return sum(
            len(sent) - len(committed) for sent, committed in zip(self.sent, self.committed, strict=True)
        )


async def trickle(settings: Settings, by_task: Sequence[Sequence[str]], watch: Watch) -> None:
    """An event to every task, again and again."""
    producer: Any = AIOKafkaProducer(bootstrap_servers=settings.broker)
    topic = TopicNames(settings.topic_prefix).inputs[REPAYMENTS]
    clock = SystemClock()
    await producer.start()
    try:
        number = 0
        while True:
            number += 1
            sent = []
            for task, ids in enumerate(by_task):
                borrower_id = ids[number % len(ids)]
                event = {
                    "type": "repayment",
                    "event_id": f"drip-{number}",
                    "borrower_id": borrower_id,
                    "event_time_ms": clock.now_ms(),
                    "loan_id": "l-1",
                    "amount_minor": 1,
                }
                value = msgspec.json.encode(event)
                sent.append(await producer.send(topic, value, key=borrower_id.encode(), partition=task))
            await asyncio.gather(*sent)
            for times in watch.sent:
                times.append(time.monotonic())
            await asyncio.sleep(TRICKLE_SECONDS)
    finally:
        await producer.stop()


async def look(settings: Settings, watch: Watch) -> None:
    """Read the progress records of all tasks as they become readable."""
    topic = TopicNames(settings.topic_prefix).state
    keys = {progress_key(task) for task in range(TASKS)}
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=settings.broker, isolation_level="read_committed", fetch_max_wait_ms=50
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, task) for task in range(TASKS)])
        await consumer.seek_to_end()
        while True:
            arrived = await consumer.getmany(timeout_ms=50)
            now = time.monotonic()
            for records in arrived.values():
                for record in records:
                    if record.key in keys:
                        progress = decode_progress(record.value)
                        times = watch.committed[progress.task]
                        times.extend([now] * (progress.offsets[REPAYMENTS] - len(times)))
    finally:
        await consumer.stop()


# ---- the restart -----------------------------------------------------------------------------------------------------


async def until(condition: Any, what: str) -> None:
    """Wait for something."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up_at, what
        await asyncio.sleep(0.02)


async def measure(settings: Settings, borrowers: int) -> None:
    """Everything, from the book to the table."""
    by_task = await write_book(settings, borrowers)
    watch = Watch()
    with workers_of(settings) as workers:
        beside = [
            asyncio.create_task(look(settings, watch)),
            asyncio.create_task(trickle(settings, by_task, watch)),
        ]
        try:
            await until(lambda: sum(worker.opened() for worker in workers) >= TASKS, "workers start")
            await until(lambda: watch.behind <= 2 * TASKS, "workers catch up")
            await asyncio.sleep(QUIET_SECONDS)
            quiet_from = time.monotonic()
            await asyncio.sleep(QUIET_SECONDS)

            stopped_at = time.monotonic()
            workers[0].process.send_signal(signal.SIGTERM)
            await until(lambda: workers[0].process.poll() is not None, "worker A ends")
            ended_at = time.monotonic()
            workers.append(Worker("A again", settings))
            await until(lambda: workers[-1].opened() >= TASKS // 2, "worker A is back")
            await asyncio.sleep(QUIET_SECONDS)
            tell(watch, workers, quiet_from, stopped_at, ended_at)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)


def tell(
    watch: Watch, workers: Sequence[Worker], quiet_from: float, stopped_at: float, ended_at: float
) -> None:
    """The table, and what happened when."""
    now = time.monotonic()
    print("\ntask  longest wait while quiet  longest wait during the restart")
    worst = 0.0
    for task in range(TASKS):
        quiet = watch.longest(task, quiet_from, stopped_at - 1)
        during = watch.longest(task, stopped_at - 1, now)
        worst = max(worst, during)
        print(f"{task:>4}  {quiet:>22.2f} s  {during:>29.2f} s")
    print(f"\nlongest: {worst:.2f} s\n\nseconds after SIGTERM\n{ended_at - stopped_at:7.2f}  A has ended")
    moments = sorted(
        (second - stopped_at, worker.name, line)
        for worker in workers
        for second, line in worker.told
        if second >= stopped_at
    )
    for second, name, line in moments:
        print(f"{second:7.2f}  {name}: {line}")


def main() -> None:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--borrowers", type=int, default=100_000)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="another setting")
    options = parser.parse_args()
    name = unique("handover")
    with find_broker() as broker:
        settings = load_settings(
            {},
            {
                "broker": broker.bootstrap_servers,
                "topic_prefix": f"{name}.",
                "group_id": name,
                "partitions": TASKS,
                **dict(pair.split("=", 1) for pair in options.set),
            },
        )
        admin.apply(settings.broker, settings)
        asyncio.run(measure(settings, options.borrowers))


if __name__ == "__main__":
    main()
