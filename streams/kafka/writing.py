"""Writes single records for the command line, and knows of each that it is in the log before it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka.errors import KafkaError

from streams.clock import Clock
from streams.kafka.denials import denial
from streams.kafka.errors import retrieve_error
from streams.kafka.idempotent import idempotent_producer
from streams.ports import OutputRecord
from streams.settings import Settings


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
        self._held = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            WritingError: nobody answers within `start_timeout_ms`.
        """
        settings = self._settings
        try:
            self._producer = await self._held.enter_async_context(
                idempotent_producer(settings, "forewarn-writer", settings.send_timeout_ms)
            )
        except (KafkaError, TimeoutError, OSError) as error:
            raise self._failure(error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._held.aclose()

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
                future.add_done_callback(retrieve_error)
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

    def _failure(self, error: Exception) -> WritingError:
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        why = denial(error) or why
        return WritingError(f"Kafka at {self._settings.broker} did not take all records: {why}")
