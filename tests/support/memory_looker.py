"""A `Looker` at topics in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from streams.memory.broker import MemoryBroker


class SeenInMemory(NamedTuple):
    """A record as a looker sees it."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class MemoryLooker:
    """See `streams.looking.Looker`."""

    def __init__(self, broker: MemoryBroker, partition_count: int) -> None:
        """`partition_count` of every topic."""
        self._broker = broker
        self._partition_count = partition_count

    def require(self, topic: str) -> int:
        return self._partition_count

    def read(
        self, topic: str, partitions: Sequence[int], *, from_offset: int | None = None
    ) -> Iterator[SeenInMemory]:
        for partition in partitions:
            log = self._broker.log(topic, partition)
            begin = log.start if from_offset is None else max(log.start, min(from_offset, log.end))
            records, _ = log.read(begin, log.end - begin + 1, committed=True)
            for one in records:
                yield SeenInMemory(partition, one.offset, one.timestamp, one.key, one.value, one.headers)

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        held = self._broker.range(topic, partition)
        return held.start, held.end

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        found = (
            record.offset for record in self.read(topic, [partition]) if record.timestamp_ms >= timestamp_ms
        )
        return next(found, None)

    def latest(self, topic: str, partition: int, key: bytes) -> bytes | None:
        value = None
        for record in self.read(topic, [partition]):
            if record.key == key:
                value = record.value
        return value

    def latest_near_end(self, topic: str, partition: int, key: bytes) -> bytes | None:
        return self.latest(topic, partition, key)
