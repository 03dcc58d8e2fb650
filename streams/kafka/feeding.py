"""Writes a planned replay to the input topics, as fast as Kafka takes it or at a given pace.

Records are put into batches here and handed over whole: a record costs 1-2 µs this way, and 20 µs through `send`. The
order within a partition is that of the plan.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from streams.clock import Clock
from streams.kafka.denials import denial
from streams.kafka.errors import retrieve_error
from streams.kafka.idempotent import idempotent_producer
from streams.replay import PlannedRecord
from streams.settings import Settings
from streams.topics import TopicNames, names_of

REQUEST_TIMEOUT_MS: Final = 30_000
"""A leader change takes seconds; after this the broker counts as gone."""

_FLUSHED_EVERY_RECORDS: Final = 50_000
"""Half-full batches are sent this often, so that a silent topic's heartbeats keep up with a busy topic's events."""

_TURN_RECORDS: Final = 500
"""Records between two turns of the network: some milliseconds."""

_UNACKNOWLEDGED_MAX: Final = 256
"""Batches handed over and not acknowledged: bounds memory, and how late an error is noticed."""


class FeedingError(Exception):
    """The records could not all be written; the message says why. What was written stays."""


class Pace(Protocol):
    """Tells how long to wait before a record."""

    def seconds_until(self, place_ms: int) -> float:
        """Seconds until the record's time has come; zero or less: now."""
        ...


class EventTimePace:
    """`speed` times as fast as the events once came."""

    def __init__(self, speed: float, clock: Clock) -> None:
        """The first record with a place in time starts the stop-watch."""
        assert speed > 0
        self._speed = speed
        self._clock = clock
        self._first: tuple[int, int] | None = None

    def seconds_until(self, place_ms: int) -> float:
        """Seconds until the record's time has come."""
        if place_ms < 0:
            return 0.0
        now_ms = self._clock.monotonic_ms()
        if self._first is None:
            self._first = (place_ms, now_ms)
        first_place_ms, began_ms = self._first
        return (began_ms - now_ms + (place_ms - first_place_ms) / self._speed) / 1000


async def feed(
    plan: Iterable[PlannedRecord],
    settings: Settings,
    *,
    clock: Clock,
    pace: Pace | None = None,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write all records of the plan; return how many they are.

    Args:
        plan: in the order in which to write.
        settings: name broker and topic prefix.
        clock: stamps the records with the time of production: their event time is inside.
        pace: None is as fast as it goes.
        progress: told now and then how many records are done.

    Raises:
        FeedingError: no broker, or it did not take a batch within the time limit.
    """
    try:
        async with idempotent_producer(settings, "forewarn-replay", REQUEST_TIMEOUT_MS) as producer:
            writer = _Writer(producer, names_of(settings), clock)
            return await _feed(writer, plan, pace, progress)
    except (KafkaError, TimeoutError, OSError) as error:
        raise FeedingError(
            f"Kafka at {settings.broker} did not take all records: {_words_of(error)}"
        ) from error


async def _feed(
    writer: _Writer,
    plan: Iterable[PlannedRecord],
    pace: Pace | None,
    progress: Callable[[int], None] | None,
) -> int:
    count = 0
    for count, record in enumerate(plan, start=1):
        if pace is not None and (seconds := pace.seconds_until(record.place_ms)) > 0:
            await writer.flush()
            await asyncio.sleep(seconds)
        if not writer.add(record):
            await writer.ship(record.topic_index, record.partition)
            added = writer.add(record)
            assert added, "a new batch takes any one record"
        if count % _TURN_RECORDS == 0:
            await asyncio.sleep(0)
            if count % _FLUSHED_EVERY_RECORDS == 0:
                await writer.flush()
                if progress is not None:
                    progress(count)
    await writer.finish()
    if progress is not None:
        progress(count)
    return count


class _Writer:
    """The open batches, one for each topic and partition, and those on their way."""

    def __init__(self, producer: AIOKafkaProducer, names: TopicNames, clock: Clock) -> None:
        self._producer = producer
        self._names = names
        self._clock = clock
        self._open: dict[tuple[int, int], Any] = {}
        self._underway: deque[asyncio.Future[Any]] = deque()
        self._now_ms = clock.now_ms()

    def add(self, record: PlannedRecord) -> bool:
        """Put a record into its batch; False where the batch is full and must be shipped first."""
        place = (record.topic_index, record.partition)
        batch = self._open.get(place)
        if batch is None:
            self._now_ms = self._clock.now_ms()
            batch = self._open[place] = self._producer.create_batch()
        appended = batch.append(key=record.key, value=record.value, timestamp=self._now_ms)
        return appended is not None

    async def ship(self, topic_index: int, partition: int) -> None:
        """Hand a batch over, if there is one; wait where too many are underway."""
        batch = self._open.pop((topic_index, partition), None)
        if batch is None:
            return
        batch.close()
        topic = self._names.inputs[topic_index]
        acknowledged = await self._producer.send_batch(batch, topic, partition=partition)
        acknowledged.add_done_callback(retrieve_error)
        self._underway.append(acknowledged)
        while self._underway and (len(self._underway) > _UNACKNOWLEDGED_MAX or self._underway[0].done()):
            await self._underway.popleft()

    async def flush(self) -> None:
        """Hand all batches over."""
        for topic_index, partition in list(self._open):
            await self.ship(topic_index, partition)

    async def finish(self) -> None:
        """Hand all batches over and wait until they are in the log."""
        await self.flush()
        while self._underway:
            await self._underway.popleft()


def _words_of(error: Exception) -> str:
    match error:
        case KafkaTimeoutError():
            return f"no acknowledgement within {REQUEST_TIMEOUT_MS / 1000:g} s"
        case TimeoutError():
            return "no answer in time"
        case _:
            return denial(error) or str(error) or type(error).__name__
