"""A broker in memory that keeps what Kafka promises and the pipeline leans on.

Partitions with offsets that markers occupy too, transactions with `read_committed`, fencing by transactional id, groups
with generations and offsets, retention and compaction. One contract suite holds it and real Kafka to the same rules.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, Literal, NamedTuple

from streams.clock import Clock
from streams.ports import FencedError, Headers, LogRange, OutputRecord, PortError

_OFFSET: Final = attrgetter("offset")


class MemoryRecord(NamedTuple):
    """A record as read."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(slots=True, eq=False)
class Transaction:
    """What one producer has written since `begin`; the state decides who may read it."""

    state: Literal["open", "committed", "aborted"] = "open"
    logs: dict[PartitionLog, int] = field(default_factory=dict)
    """Touched partitions, and the first offset in each."""
    offsets: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """(group, topic, partition) to the next offset to read."""


@dataclass(slots=True)
class _Entry:
    offset: int
    record: MemoryRecord | None
    """None is a transaction marker."""
    transaction: Transaction | None


class PartitionLog:
    """One partition."""

    def __init__(self) -> None:
        """An empty one."""
        self._entries: list[_Entry] = []
        self._open: dict[Transaction, int] = {}
        self.start = 0
        self.end = 0

    @property
    def last_stable(self) -> int:
        """Where the first open transaction begins, else the end: what `read_committed` may read up to."""
        return min(self._open.values(), default=self.end)

    def append(self, record: OutputRecord, timestamp_ms: int, transaction: Transaction | None = None) -> int:
        """Write a record; return its offset."""
        offset = self.end
        stored = MemoryRecord(offset, timestamp_ms, record.key, record.value, tuple(record.headers))
        self._entries.append(_Entry(offset, stored, transaction))
        self.end += 1
        if transaction is not None and transaction not in self._open:
            self._open[transaction] = offset
            transaction.logs[self] = offset
        return offset

    def mark(self, transaction: Transaction) -> None:
        """Write the marker that ends a transaction here."""
        self._entries.append(_Entry(self.end, None, transaction))
        self.end += 1
        del self._open[transaction]

    def read(self, offset: int, records_max: int, *, committed: bool) -> tuple[list[MemoryRecord], int]:
        """Read from `offset` on: the records, and the position behind them and behind what is not shown.

        Raises:
            LookupError: `offset` is not in the log.
        """
        if not self.start <= offset <= self.end:
            raise LookupError(f"offset {offset} is not within {self.start} and {self.end}")
        limit = self.last_stable if committed else self.end
        records: list[MemoryRecord] = []
        for index in range(bisect_left(self._entries, offset, key=_OFFSET), len(self._entries)):
            entry = self._entries[index]
            if entry.offset >= limit or len(records) == records_max:
                return records, max(offset, min(entry.offset, limit))
            hidden = committed and entry.transaction is not None and entry.transaction.state == "aborted"
            if entry.record is not None and not hidden:
                records.append(entry.record)
        return records, max(offset, limit)

    def delete_before(self, offset: int) -> None:
        """Retention: forget everything before `offset`."""
        assert self.start <= offset <= self.end
        self.start = offset
        self._entries = [entry for entry in self._entries if entry.offset >= offset]

    def compact(self) -> None:
        """Keep each key's last committed record only, and no aborted ones. Offsets stay; tombstones stay too."""
        last = {
            entry.record.key: entry.offset
            for entry in self._entries
            if entry.record is not None
            and (entry.transaction is None or entry.transaction.state == "committed")
        }
        stable = self.last_stable
        self._entries = [
            entry
            for entry in self._entries
            if entry.record is None or entry.offset >= stable or last.get(entry.record.key) == entry.offset
        ]


@dataclass(slots=True)
class _Producer:
    epoch: int = 0
    transaction: Transaction | None = None


class MemoryBroker:
    """Topics, transactional ids and group offsets."""

    def __init__(self, clock: Clock) -> None:
        """`clock` stamps the records."""
        self._clock = clock
        self._topics: dict[str, list[PartitionLog]] = {}
        self._producers: dict[str, _Producer] = {}
        self._offsets: dict[tuple[str, str, int], int] = {}
        self._changed: set[asyncio.Future[None]] = set()

    # ---- topics --------------------------------------------------------------------------------------------------

    def create_topic(self, name: str, partitions: int) -> None:
        """Make a topic."""
        assert name not in self._topics, name
        self._topics[name] = [PartitionLog() for _ in range(partitions)]

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has; 0 where it does not exist."""
        return len(self._topics.get(topic, ()))

    def log(self, topic: str, partition: int) -> PartitionLog:
        """One partition.

        Raises:
            PortError: it does not exist.
        """
        logs = self._topics.get(topic, [])
        if partition >= len(logs):
            raise PortError(f"topic {topic} has no partition {partition}")
        return logs[partition]

    def range(self, topic: str, partition: int) -> LogRange:
        """What a partition holds."""
        log = self.log(topic, partition)
        return LogRange(log.start, log.end)

    # ---- writing -------------------------------------------------------------------------------------------------

    def produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        timestamp_ms: int | None = None,
    ) -> int:
        """Write a record outside any transaction; return its offset."""
        stamp_ms = self._clock.now_ms() if timestamp_ms is None else timestamp_ms
        offset = self.log(topic, partition).append(OutputRecord(key, value, headers), stamp_ms)
        self._notify()
        return offset

    def open_producer(self, transactional_id: str) -> int:
        """Fence the former producer of this id, abort what it left open, return the new epoch."""
        producer = self._producers.setdefault(transactional_id, _Producer())
        if producer.transaction is not None:
            self._end(producer, commit=False)
        producer.epoch += 1
        return producer.epoch

    def begin(self, transactional_id: str, epoch: int) -> None:
        """Begin a transaction."""
        producer = self._checked(transactional_id, epoch)
        assert producer.transaction is None, "a transaction is open"
        producer.transaction = Transaction()

    def send(
        self,
        transactional_id: str,
        epoch: int,
        topic: str,
        partition: int,
        records: Iterable[OutputRecord],
        timestamp_ms: int,
    ) -> None:
        """Write records as part of the open transaction."""
        transaction = self._open_transaction(transactional_id, epoch)
        log = self.log(topic, partition)
        for record in records:
            log.append(record, timestamp_ms, transaction)

    def send_offsets(
        self, transactional_id: str, epoch: int, group: str, offsets: Mapping[tuple[str, int], int]
    ) -> None:
        """Make group offsets part of the open transaction."""
        transaction = self._open_transaction(transactional_id, epoch)
        for (topic, partition), offset in offsets.items():
            self.log(topic, partition)
            transaction.offsets[group, topic, partition] = offset

    def end(self, transactional_id: str, epoch: int, *, commit: bool) -> None:
        """Commit the open transaction, or abort it."""
        self._open_transaction(transactional_id, epoch)
        self._end(self._producers[transactional_id], commit=commit)

    def _end(self, producer: _Producer, *, commit: bool) -> None:
        transaction, producer.transaction = producer.transaction, None
        assert transaction is not None
        transaction.state = "committed" if commit else "aborted"
        for log in transaction.logs:
            log.mark(transaction)
        if commit:
            self._offsets.update(transaction.offsets)
        self._notify()

    def _checked(self, transactional_id: str, epoch: int) -> _Producer:
        producer = self._producers[transactional_id]
        if producer.epoch != epoch:
            raise FencedError(
                f"producer {transactional_id}: fenced, epoch {epoch} was followed by {producer.epoch}"
            )
        return producer

    def _open_transaction(self, transactional_id: str, epoch: int) -> Transaction:
        transaction = self._checked(transactional_id, epoch).transaction
        assert transaction is not None, "no transaction is open"
        return transaction

    # ---- groups --------------------------------------------------------------------------------------------------

    def committed(self, group: str, topic: str, partition: int) -> int | None:
        """A group's offset."""
        return self._offsets.get((group, topic, partition))

    def set_committed(self, group: str, topic: str, partition: int, offset: int | None) -> None:
        """What an operator does with the group tool; None deletes the offset."""
        if offset is None:
            self._offsets.pop((group, topic, partition), None)
        else:
            self._offsets[group, topic, partition] = offset

    # ---- reading -------------------------------------------------------------------------------------------------

    def read_committed(self, topic: str) -> list[list[MemoryRecord]]:
        """Everything committed in a topic, by partition: what a consumer from the beginning sees."""
        return [
            log.read(log.start, log.end - log.start + 1, committed=True)[0]
            for log in self._topics.get(topic, ())
        ]

    async def wait_for_change(self, timeout_seconds: float) -> None:
        """Return when something was written, or after the time."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed.add(future)
        try:
            await asyncio.wait([future], timeout=timeout_seconds)
        finally:
            self._changed.discard(future)

    def _notify(self) -> None:
        for future in self._changed:
            if not future.done():
                future.set_result(None)


def offsets_by_partition(
    topics: Sequence[str], partition: int, offsets: Sequence[int]
) -> dict[tuple[str, int], int]:
    """From offsets in the order of the topics to offsets by partition."""
    return {(topic, partition): offset for topic, offset in zip(topics, offsets, strict=True)}
