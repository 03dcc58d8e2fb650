"""Writes single records for the command line, and knows of each that it is in the log before it goes on.

The producer is idempotent and every replica in sync acknowledges: a record is neither lost nor, by the client's own
retries, written twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.clock import Clock
from streams.ports import OutputRecord
from streams.settings import Settings

_BATCH_BYTES_MAX: Final = 256 * 1024
"""A single larger record still gets a batch of its own."""
_STOP_TIMEOUT_SECONDS: Final = 10.0
"""Everything is acknowledged before the producer stops: only connections are left to close."""


class WritingError(Exception):
    """Kafka did not take the records; the message says why."""


class Written(NamedTuple):
    """One record and where it goes."""

    topic: str
    partition: int
    record: OutputRecord


class RecordWriter:
    """A context that holds a producer."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        """`clock` stamps the records with the time of production."""
        self._settings = settings
        self._clock = clock
        self._producer: Any = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            WritingError: nobody answers within `start_timeout_ms`.
        """
        # While a broker is away the client says so ten times a second; what matters is raised.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
        settings = self._settings
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.broker,
            client_id="forewarn-writer",
            enable_idempotence=True,
            acks="all",
            max_batch_size=_BATCH_BYTES_MAX,
            request_timeout_ms=settings.send_timeout_ms,
        )
        try:
            async with asyncio.timeout(settings.start_timeout_ms / 1000):
                await self._producer.start()
        except (KafkaError, TimeoutError, OSError) as error:
            await self._stop()
            raise self._failure(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def write(self, records: Iterable[Written]) -> None:
        """Write records and wait until all are in the log; within a partition they keep their order.

        Raises:
            WritingError: one is not, within `send_timeout_ms`; others may be.
        """
        by_place: dict[tuple[str, int], list[OutputRecord]] = {}
        for topic, partition, record in records:
            by_place.setdefault((topic, partition), []).append(record)
        sent: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(self._settings.send_timeout_ms / 1000):
                for (topic, partition), batch in by_place.items():
                    sent += await self._send(topic, partition, batch)
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError, OSError) as error:
            for future in sent:
                future.add_done_callback(_look)
            raise self._failure(error) from error

    async def _send(
        self, topic: str, partition: int, records: Iterable[OutputRecord]
    ) -> list[asyncio.Future[Any]]:
        sent = []
        batch = self._producer.create_batch()
        for record in records:
            if not self._append(batch, record):
                sent.append(await self._producer.send_batch(batch, topic, partition=partition))
                batch = self._producer.create_batch()
                added = self._append(batch, record)
                assert added, "a new batch takes any one record"
        sent.append(await self._producer.send_batch(batch, topic, partition=partition))
        return sent

    def _append(self, batch: Any, record: OutputRecord) -> bool:
        appended = batch.append(
            timestamp=self._clock.now_ms(),
            key=record.key,
            value=record.value,
            headers=list(record.headers),
        )
        return appended is not None

    async def _stop(self) -> None:
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_SECONDS):
                await self._producer.stop()
        except (KafkaError, TimeoutError, OSError):
            return  # all that mattered was acknowledged, or its error is already on its way up

    def _failure(self, error: Exception) -> WritingError:
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return WritingError(f"Kafka at {self._settings.broker} did not take all records: {why}")


def _look(acknowledged: asyncio.Future[Any]) -> None:
    """Look at the outcome of a batch that nobody may come to await, when another one failed before it."""
    if not acknowledged.cancelled():
        acknowledged.exception()
