"""Looks at topics for the command line: records as a `read_committed` reader sees them, partition counts, lag.

Nothing here joins the group of the workers or commits anything, so looking never disturbs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, RetriableError

from streams.kafka.denials import denial
from streams.kafka.reaching import require_reachable
from streams.kafka.security import kafka_python_options
from streams.ports import BrokerRefusedError, BrokerUnavailableError
from streams.settings import Settings

REQUEST_TIMEOUT_MS: Final = 12_000
"""A living broker answers in milliseconds; a leader change takes seconds."""

RETRIES_SECONDS: Final = 10.0
"""How long a broker may say "not yet" (a coordinator that is just being made)."""

_RETRY_SECONDS: Final = 0.2
_POLL_MS: Final = 200
"""How long an empty poll waits."""
_POLL_RECORDS_MAX: Final = 5_000
_NEAR_END_RECORDS: Final = 2_000
"""How far before the end the latest record of a key is looked for first: most transactions are smaller."""
_NEAR_END_GROWTH: Final = 8

T = TypeVar("T")


class InspectionError(Exception):
    """Kafka did not answer, or not with what was asked for; the message says what to do."""


class Read(NamedTuple):
    """One record."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class PartitionLag(NamedTuple):
    """How far the workers are behind in one partition."""

    topic: str
    partition: int
    end: int
    committed: int | None
    """The next record to be processed; None while nothing was committed."""
    lag: int


class Inspector:
    """A context that holds a connection."""

    def __init__(self, settings: Settings) -> None:
        """`settings` name the broker, and how long to look for it (`start_timeout_ms`)."""
        self._settings = settings
        self._servers = settings.broker.split(",")
        self._consumer: Any = None
        self._admin: Any = None
        self._ends: dict[Any, int] = {}
        self._next: dict[Any, int] = {}
        """The offset behind what `poll` has given out, by partition."""

    def __enter__(self) -> Self:
        """Connect.

        Raises:
            InspectionError: nobody answers within `start_timeout_ms`.
        """
        require_broker(self._settings)
        try:
            self._consumer = KafkaConsumer(
                bootstrap_servers=self._servers,
                bootstrap_timeout_ms=self._settings.start_timeout_ms,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                client_id="forewarn-inspection",
                group_id=None,
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                auto_offset_reset="earliest",
                isolation_level="read_committed",
                max_poll_records=_POLL_RECORDS_MAX,
                # In this client's pure Python a checksum takes twenty times as long as reading; the broker made sure of it.
                check_crcs=False,
                **kafka_python_options(self._settings),
            )
        except (KafkaError, OSError, ValueError) as error:
            raise _no_answer(self._settings, str(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._admin is not None:
            self._admin.close()
        self._consumer.close(autocommit=False, timeout_ms=_POLL_MS)

    def partition_counts(self, topics: Sequence[str]) -> dict[str, int]:
        """Partitions of each topic; 0 where it does not exist."""
        return {topic: len(self._ask(self._partitions, topic)) for topic in topics}

    def require(self, topic: str) -> int:
        """Return the partitions of a topic that must be there.

        Raises:
            InspectionError: it is not; the message names the command that makes it.
        """
        count = self.partition_counts([topic])[topic]
        if count == 0:
            raise InspectionError(
                f"topic {topic} is missing, or hidden from this user: run `forewarn topics apply`"
            )
        return count

    def begin(
        self,
        topic: str,
        partitions: Sequence[int],
        *,
        from_beginning: bool = True,
        from_offset: int | None = None,
    ) -> None:
        """Stand at the beginning, the end or an offset of some partitions, for `poll`."""
        consumer = self._consumer
        assigned = [TopicPartition(topic, partition) for partition in partitions]
        self._ends = self._ask(consumer.end_offsets, assigned, REQUEST_TIMEOUT_MS)
        consumer.assign(assigned)
        if from_offset is not None:
            self._next = dict.fromkeys(assigned, from_offset)
        elif from_beginning:
            self._next = self._ask(consumer.beginning_offsets, assigned, REQUEST_TIMEOUT_MS)
        else:
            self._next = dict(self._ends)
        self._seek()

    def poll(self, wait_ms: int = 0) -> list[Read]:
        """Return the committed records that have arrived; within a partition in order."""
        arrived = self._ask(self._taken, wait_ms)
        return [_read(record) for records in arrived.values() for record in records]

    def _taken(self, wait_ms: int) -> dict[Any, list[Any]]:
        """What the client gives out. Where it fails meanwhile it has moved on and forgotten what it had taken: so it goes back."""
        try:
            arrived: dict[Any, list[Any]] = self._consumer.poll(wait_ms)
        except KafkaError:
            self._seek()
            raise
        for partition, records in arrived.items():
            self._next[partition] = records[-1].offset + 1
        return arrived

    def _seek(self) -> None:
        for partition, offset in self._next.items():
            self._consumer.seek(partition, offset)

    def read(
        self, topic: str, partitions: Sequence[int], *, from_offset: int | None = None
    ) -> Iterator[Read]:
        """Yield the committed records of a topic up to where it ended when reading began.

        Args:
            topic: with prefix.
            partitions: which of it.
            from_offset: where to begin in each; what retention deleted is left out.

        Raises:
            InspectionError: Kafka does not answer.
        """
        self.begin(topic, partitions, from_offset=from_offset)
        ends = dict(self._ends)
        left = set(ends)
        while left:
            for record in self.poll(_POLL_MS):
                if record.offset < ends[TopicPartition(topic, record.partition)]:
                    yield record
            left = {
                partition
                for partition in left
                if self._ask(self._consumer.position, partition) < ends[partition]
            }

    def span(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that the log still holds, and the one behind the last that is committed."""
        asked = TopicPartition(topic, partition)
        start = self._ask(self._consumer.beginning_offsets, [asked], REQUEST_TIMEOUT_MS)[asked]
        end = self._ask(self._consumer.end_offsets, [asked], REQUEST_TIMEOUT_MS)[asked]
        return int(start), int(end)

    def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int | None:
        """The first offset produced at an instant or later; None where there is none."""
        asked = TopicPartition(topic, partition)
        found = self._ask(self._consumer.offsets_for_times, {asked: timestamp_ms})[asked]
        return None if found is None else int(found.offset)

    def latest_near_end(self, topic: str, partition: int, key: bytes) -> bytes | None:
        """As `latest`, for a key that is written again and again: looked for from the end, in growing steps."""
        start, end = self.span(topic, partition)
        step = _NEAR_END_RECORDS
        while True:
            begin = max(start, end - step)
            value, is_found = None, False
            for record in self.read(topic, [partition], from_offset=begin):
                if record.key == key:
                    value, is_found = record.value, True
            if is_found or begin == start:
                return value
            step *= _NEAR_END_GROWTH

    def latest(self, topic: str, partition: int, key: bytes) -> bytes | None:
        """Return the last value written under a key; None where there is none or it was deleted."""
        value = None
        for record in self.read(topic, [partition]):
            if record.key == key:
                value = record.value
        return value

    def lags(
        self, topics: Sequence[str], group_id: str, *, transactional: Collection[str] = ()
    ) -> list[PartitionLag]:
        """How far the group is behind in every partition of the topics.

        Of those that are written in transactions the records are counted, for the mark of a transaction takes an offset too,
        and nobody ever reads it.
        """
        partitions = [
            TopicPartition(topic, partition) for topic in topics for partition in range(self.require(topic))
        ]
        begins = self._ask(self._consumer.beginning_offsets, partitions, REQUEST_TIMEOUT_MS)
        ends = self._ask(self._consumer.end_offsets, partitions, REQUEST_TIMEOUT_MS)
        committed = self._committed(group_id)
        lags = []
        for partition in partitions:
            known = committed.get(partition)
            position = known if known is not None else begins[partition]
            lag = max(0, ends[partition] - position)
            if lag and partition.topic in transactional:
                lag = sum(1 for _ in self.read(partition.topic, [partition.partition], from_offset=position))
            lags.append(PartitionLag(partition.topic, partition.partition, ends[partition], known, lag))
        return lags

    def _partitions(self, topic: str) -> set[int]:
        return self._consumer.partitions_for_topic(topic) or set()

    def _committed(self, group_id: str) -> Mapping[Any, int]:
        """What the group committed, straight from its coordinator: this consumer is no member."""
        if self._admin is None:
            self._admin = self._ask(
                KafkaAdminClient,
                bootstrap_servers=self._servers,
                bootstrap_timeout_ms=self._settings.start_timeout_ms,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                client_id="forewarn-inspection",
                **kafka_python_options(self._settings),
            )
        offsets = self._ask(self._admin.list_group_offsets, {group_id: None})[group_id]
        return {partition: found.offset for partition, found in offsets.items() if found.offset >= 0}

    def _ask(self, question: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Ask Kafka; what it says "not yet" to is asked again, for a while."""
        give_up_at = time.monotonic() + RETRIES_SECONDS
        while True:
            try:
                return question(*arguments, **options)
            except (KafkaError, OSError) as error:
                if (denied := denial(error)) is not None:
                    raise InspectionError(
                        f"asking Kafka at {self._settings.broker} failed: {denied}"
                    ) from error
                if not isinstance(error, RetriableError) or time.monotonic() > give_up_at:
                    raise _no_answer(self._settings, str(error)) from error
                time.sleep(_RETRY_SECONDS)


def require_broker(settings: Settings) -> None:
    """Look for the broker that the settings name.

    It is asked before kafka-python is, which leaves sockets open where nobody answers.

    Raises:
        InspectionError: nobody answers within `start_timeout_ms`, or we are refused.
    """
    try:
        require_reachable(settings)
    except BrokerRefusedError as error:
        raise InspectionError(str(error)) from error
    except BrokerUnavailableError as error:
        raise InspectionError(f"{error}. Name a running one with --bootstrap or FOREWARN_BROKER") from error


def _no_answer(settings: Settings, why: str) -> InspectionError:
    return InspectionError(
        f"Kafka at {settings.broker} does not answer: {why}. Name a running one with --bootstrap or FOREWARN_BROKER"
    )


def _read(record: Any) -> Read:
    return Read(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )
