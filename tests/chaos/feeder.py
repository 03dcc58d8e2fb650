"""Writes a cycle's records to the input topics, in their order and at a pace, whatever befalls the brokers.

Acknowledged by all replicas, idempotent, retried for minutes. Where a send fails all the same, a new producer sends again
all that was not acknowledged: then the log may hold records twice or in another order, and the log is what counts.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec import Struct

from streams.clock import Clock
from streams.replay import PlannedRecord
from streams.topics import TopicNames

_TICK_SECONDS: Final = 0.05
_REQUEST_TIMEOUT_MS: Final = 60_000
"""A batch is retried for so long: no fault lasts half of it."""
_PATIENCE_SECONDS: Final = 180.0
"""For one feeding, whatever befalls it."""
_STOP_SECONDS: Final = 5.0
_TRIES_MAX: Final = 5
"""New producers: more is no fault of a broker any more."""
_BATCH_BYTES_MAX: Final = 256 * 1024


class FeedingFailedError(Exception):
    """The records are not all in the log."""


class Pace(Struct, frozen=True):
    """How fast: a rate, and from one record on another one for so many records."""

    per_second: float
    burst_from: int = 0
    burst_records: int = 0
    burst_factor: float = 1.0

    def due_at(self, number: int) -> float:
        """Seconds after the start at which a record is due."""
        fast = min(max(number - self.burst_from, 0), self.burst_records)
        return (number - fast + fast / self.burst_factor) / self.per_second

    def seconds(self, records: int) -> float:
        """How long it takes to feed so many."""
        return self.due_at(records)


class Feeder:
    """Feeds in a thread of its own."""

    def __init__(self, broker: str, names: TopicNames, clock: Clock) -> None:
        """`broker`: where to connect."""
        self._broker = broker
        self._names = names
        self._clock = clock
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._given_up = threading.Event()
        self.resent = 0
        """Records that were sent again by another producer."""

    def feed(self, records: Sequence[PlannedRecord], pace: Pace | None) -> None:
        """Write records and return when all are in the log; None is as fast as it goes.

        Raises:
            FeedingFailedError: they are not.
        """
        self.start(records, pace)
        self.join()

    def start(self, records: Sequence[PlannedRecord], pace: Pace | None) -> None:
        """Begin to write; `join` waits for the end."""
        assert self._thread is None, "one feeding at a time"
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(records, pace), name="feeder", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait until all is in the log.

        Raises:
            FeedingFailedError: it is not.
        """
        assert self._thread is not None
        self._thread.join()
        self._thread = None
        if self._failure is not None:
            raise FeedingFailedError(f"feeding failed: {self._failure!r}") from self._failure

    def close(self) -> None:
        """Give up what is not fed yet."""
        self._given_up.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, records: Sequence[PlannedRecord], pace: Pace | None) -> None:
        try:
            asyncio.run(self._within_patience(records, pace))
        except Exception as error:  # noqa: BLE001 - raised where somebody waits
            self._failure = error

    async def _within_patience(self, records: Sequence[PlannedRecord], pace: Pace | None) -> None:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            began_ms = self._clock.monotonic_ms()
            waiting = deque(enumerate(records))
            for tries_left in reversed(range(_TRIES_MAX)):
                try:
                    await self._send_all(waiting, pace, began_ms)
                except KafkaError:
                    if tries_left == 0:
                        raise
                    self.resent += len(waiting)
                else:
                    return

    async def _send_all(
        self, waiting: deque[tuple[int, PlannedRecord]], pace: Pace | None, began_ms: int
    ) -> None:
        """Send what waits; on an error exactly what is not acknowledged waits again."""
        producer: Any = AIOKafkaProducer(
            bootstrap_servers=self._broker,
            client_id="chaos-feeder",
            enable_idempotence=True,
            acks="all",
            max_batch_size=_BATCH_BYTES_MAX,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        places: dict[tuple[str, int], asyncio.Lock] = defaultdict(asyncio.Lock)
        underway: deque[tuple[list[tuple[int, PlannedRecord]], asyncio.Future[Any]]] = deque()
        try:
            await producer.start()
            while waiting and not self._given_up.is_set():
                tick = self._take_due(waiting, pace, began_ms)
                for batch in _by_place(tick):
                    underway.append((batch, asyncio.ensure_future(self._send(producer, batch, places))))
                while underway and underway[0][1].done():
                    underway[0][1].result()
                    underway.popleft()
                await asyncio.sleep(_TICK_SECONDS if pace is not None else 0)
            while underway and not self._given_up.is_set():
                await underway[0][1]
                underway.popleft()
        finally:
            if self._given_up.is_set():
                for _, sent in underway:
                    sent.cancel()
            await asyncio.gather(*(sent for _, sent in underway), return_exceptions=True)
            again = [
                entry
                for batch, sent in underway
                if sent.cancelled() or sent.exception() is not None
                for entry in batch
            ]
            waiting.extendleft(sorted(again, key=lambda entry: entry[0], reverse=True))
            await _stop(producer)

    def _take_due(
        self, waiting: deque[tuple[int, PlannedRecord]], pace: Pace | None, began_ms: int
    ) -> list[tuple[int, PlannedRecord]]:
        passed = (self._clock.monotonic_ms() - began_ms) / 1000
        tick: list[tuple[int, PlannedRecord]] = []
        while (
            waiting
            and len(tick) < _TICK_RECORDS_MAX
            and (pace is None or pace.due_at(waiting[0][0]) <= passed)
        ):
            tick.append(waiting.popleft())
        return tick

    async def _send(
        self,
        producer: Any,
        batch: list[tuple[int, PlannedRecord]],
        places: dict[tuple[str, int], asyncio.Lock],
    ) -> None:
        topic, partition = self._names.inputs[batch[0][1].topic_index], batch[0][1].partition
        now_ms = self._clock.now_ms()
        acknowledged = []
        # Where the client makes several wait, it does not say who goes first: here whoever came first.
        async with places[topic, partition]:
            builder = producer.create_batch()
            for _, record in batch:
                if builder.append(key=record.key, value=record.value, timestamp=now_ms) is None:
                    acknowledged.append(await producer.send_batch(builder, topic, partition=partition))
                    builder = producer.create_batch()
                    builder.append(key=record.key, value=record.value, timestamp=now_ms)
            acknowledged.append(await producer.send_batch(builder, topic, partition=partition))
        await asyncio.gather(*acknowledged)


_TICK_RECORDS_MAX: Final = 4_000
"""Records taken at once without a pace: some milliseconds of work."""


def _by_place(
    tick: list[tuple[int, PlannedRecord]],
) -> list[list[tuple[int, PlannedRecord]]]:
    """The records of a tick, those of each topic and partition together, in order."""
    places: dict[tuple[int, int], list[tuple[int, PlannedRecord]]] = {}
    for entry in tick:
        places.setdefault((entry[1].topic_index, entry[1].partition), []).append(entry)
    return list(places.values())


async def _stop(producer: Any) -> None:
    try:
        await asyncio.wait_for(producer.stop(), _STOP_SECONDS)
    except (KafkaError, TimeoutError, OSError):
        return  # all that mattered was acknowledged, or is sent again
