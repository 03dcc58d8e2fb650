"""A broker in memory that keeps what Kafka promises and the pipeline leans on.

Partitions with offsets that markers occupy too, transactions with `read_committed`, fencing by transactional id, group
offsets, retention and compaction. One contract suite holds it and real Kafka to the same rules.

As with Kafka, the end of a transaction is decided at one instant and written to its partitions after that: until every
marker is there, the producer's next transaction and the next producer have to wait, and nobody reads beyond. The group's
offsets may become visible later still.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Final, Literal, NamedTuple

from streams.clock import Clock
from streams.ports import FencedError, Headers, LogRange, OutputRecord, PortError

_OFFSET: Final = attrgetter("offset")


class ConcurrentTransactionsError(Exception):
    """The transaction before is still being ended: the client asks again."""


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
    timeout: asyncio.TimerHandle | None = None
    """Ends it, if nobody else does."""


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
        stable = self.last_stable
        last = {
            entry.record.key: entry.offset
            for entry in self._entries
            if entry.offset < stable
            and entry.record is not None
            and (entry.transaction is None or entry.transaction.state == "committed")
        }
        self._entries = [
            entry
            for entry in self._entries
            if entry.record is None or entry.offset >= stable or last.get(entry.record.key) == entry.offset
        ]


@dataclass(slots=True)
class _Producer:
    epoch: int = 0
    timeout_ms: int = 0
    transaction: Transaction | None = None
    markers_due: int = 0
    """Markers of its last transaction that are still to be written."""
    late_offsets: deque[dict[tuple[str, str, int], int]] = field(default_factory=deque)
    """Committed and not visible yet, in order."""


def _no_delay_ms() -> int:
    return 0


class MemoryBroker:
    """Topics, transactional ids and group offsets."""

    def __init__(self, clock: Clock) -> None:
        """`clock` stamps the records."""
        self.marker_delay_ms: Callable[[], int] = _no_delay_ms
        """Told for every marker: how long after the end of its transaction it is written."""
        self.offsets_delay_ms: Callable[[], int] = _no_delay_ms
        """Told for every commit: how long after it the group's offsets become visible."""
        self.transactions_timed_out = 0
        self._clock = clock
        self._topics: dict[str, list[PartitionLog]] = {}
        self._batch_bytes_max: dict[str, int] = {}
        self._producers: dict[str, _Producer] = {}
        self._offsets: dict[tuple[str, str, int], int] = {}
        self._changed: dict[asyncio.Future[None], None] = {}

    # ---- topics --------------------------------------------------------------------------------------------------

    def create_topic(self, name: str, partitions: int, batch_bytes_max: int | None = None) -> None:
        """Make a topic; where given, it refuses larger batches, as `max.message.bytes` does."""
        assert name not in self._topics, name
        self._topics[name] = [PartitionLog() for _ in range(partitions)]
        if batch_bytes_max is not None:
            self._batch_bytes_max[name] = batch_bytes_max

    def add_partitions(self, name: str, partitions: int) -> None:
        """Let a topic grow to so many partitions, as an operator may."""
        logs = self._topics[name]
        logs.extend(PartitionLog() for _ in range(partitions - len(logs)))

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

    def open_producer(self, transactional_id: str, timeout_ms: int) -> int:
        """Fence the former producer of this id, abort what it left open, return the new epoch.

        Args:
            transactional_id: whose.
            timeout_ms: how long a transaction may stay open before the broker aborts it.

        Raises:
            ConcurrentTransactionsError: markers of the former's transaction are still to be written.
        """
        producer = self._producers.setdefault(transactional_id, _Producer())
        producer.epoch += 1
        producer.timeout_ms = timeout_ms
        if producer.transaction is not None:
            self._end(producer, commit=False)
        _refuse_while_ending(producer)
        return producer.epoch

    def send(
        self,
        transactional_id: str,
        epoch: int,
        topic: str,
        partition: int,
        records: Sequence[OutputRecord],
        timestamp_ms: int,
    ) -> None:
        """Write a batch as part of the open transaction; the first begins it.

        Raises:
            FencedError: `epoch` is not the latest.
            PortError: no such partition, or the batch is larger than the topic allows.
            ConcurrentTransactionsError: the transaction before is still being ended.
        """
        log = self.log(topic, partition)
        transaction = self._transaction(transactional_id, epoch)
        size = sum(len(record.key or b"") + len(record.value or b"") for record in records)
        if size > self._batch_bytes_max.get(topic, size):
            raise PortError(f"{topic}, partition {partition}: a batch of {size} bytes is too large")
        for record in records:
            log.append(record, timestamp_ms, transaction)

    def send_offsets(
        self, transactional_id: str, epoch: int, group: str, offsets: Mapping[tuple[str, int], int]
    ) -> None:
        """Make group offsets part of the open transaction; raises as `send` does."""
        transaction = self._transaction(transactional_id, epoch)
        for (topic, partition), offset in offsets.items():
            self.log(topic, partition)
            transaction.offsets[group, topic, partition] = offset

    def end(self, transactional_id: str, epoch: int, *, commit: bool) -> None:
        """Commit the open transaction, or abort it; of one that nothing arrived of there is nothing to end.

        Raises:
            FencedError: `epoch` is not the latest.
        """
        producer = self._checked(transactional_id, epoch)
        if producer.transaction is not None:
            self._end(producer, commit=commit)

    def _transaction(self, transactional_id: str, epoch: int) -> Transaction:
        """The open transaction, begun where there is none."""
        producer = self._checked(transactional_id, epoch)
        _refuse_while_ending(producer)
        if producer.transaction is None:
            transaction = producer.transaction = Transaction()
            transaction.timeout = asyncio.get_running_loop().call_later(
                producer.timeout_ms / 1000, self._time_out, producer, transaction
            )
        return producer.transaction

    def _time_out(self, producer: _Producer, transaction: Transaction) -> None:
        """Nobody ended it in time: abort it, and fence whoever still believes in it."""
        assert producer.transaction is transaction
        self.transactions_timed_out += 1
        producer.epoch += 1
        self._end(producer, commit=False)

    def _end(self, producer: _Producer, *, commit: bool) -> None:
        transaction, producer.transaction = producer.transaction, None
        assert transaction is not None
        assert transaction.timeout is not None
        transaction.timeout.cancel()
        transaction.state = "committed" if commit else "aborted"
        producer.markers_due = len(transaction.logs)
        for log in transaction.logs:
            _later(self.marker_delay_ms(), partial(self._mark, producer, log, transaction))
        if commit and transaction.offsets:
            producer.late_offsets.append(transaction.offsets)
            _later(self.offsets_delay_ms(), partial(self._show_offsets, producer))

    def _mark(self, producer: _Producer, log: PartitionLog, transaction: Transaction) -> None:
        log.mark(transaction)
        producer.markers_due -= 1
        self._notify()

    def _show_offsets(self, producer: _Producer) -> None:
        self._offsets.update(producer.late_offsets.popleft())

    def _checked(self, transactional_id: str, epoch: int) -> _Producer:
        producer = self._producers[transactional_id]
        if producer.epoch != epoch:
            raise FencedError(
                f"producer {transactional_id}: fenced, epoch {epoch} was followed by {producer.epoch}"
            )
        return producer

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
        self._changed[future] = None
        try:
            await asyncio.wait([future], timeout=timeout_seconds)
        finally:
            del self._changed[future]

    def _notify(self) -> None:
        for future in self._changed:
            if not future.done():
                future.set_result(None)


def _refuse_while_ending(producer: _Producer) -> None:
    if producer.markers_due:
        raise ConcurrentTransactionsError


def _later(delay_ms: int, call: Callable[[], None]) -> None:
    """Do something at once, or after a while."""
    if delay_ms == 0:
        call()
    else:
        asyncio.get_running_loop().call_later(delay_ms / 1000, call)


def offsets_by_partition(
    topics: Sequence[str], partition: int, offsets: Sequence[int]
) -> dict[tuple[str, int], int]:
    """From offsets in the order of the topics to offsets by partition."""
    return {(topic, partition): offset for topic, offset in zip(topics, offsets, strict=True)}
