"""Two worlds with the same ports, memory and Kafka, and what a test does in them that a worker never does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec
from aiokafka import AIOKafkaProducer
from kafka import KafkaAdminClient, TopicPartition

from streams.clock import SystemClock
from streams.kafka.admin import apply
from streams.kafka.logs import KafkaLogs
from streams.kafka.ports import KafkaPorts
from streams.memory.broker import MemoryBroker
from streams.memory.ports import MemoryPorts
from streams.ports import Assignment, Headers, Ports, RawRecord, Source
from streams.settings import Settings
from streams.topics import MESSAGE_BYTES, TopicNames
from tests.support.kafka import unique
from tests.support.workload import Produced

PATIENCE_SECONDS = 60.0
"""Far beyond what anything takes: a test that fails by this has found something."""


class World(Protocol):
    """A broker, the ports to it, and a hand to move things."""

    settings: Settings
    names: TopicNames
    ports: Ports

    async def produce(
        self,
        topic: str,
        partition: int,
        values: Sequence[bytes | None],
        *,
        key: bytes | None,
        headers: Headers = (),
    ) -> None:
        """Write records outside any transaction."""
        ...

    async def read_committed(self, topic: str) -> list[list[RawRecord]]:
        """Everything committed, by partition."""
        ...

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Let retention delete."""
        ...

    async def create_topic(self, topic: str, batch_bytes_max: int) -> None:
        """Make a topic of as many partitions as there are tasks, which refuses larger batches."""
        ...


class MemoryWorld:
    """Everything in this process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.names = TopicNames(settings.topic_prefix)
        self.broker = MemoryBroker(SystemClock())
        memory_ports = MemoryPorts(self.broker, settings)
        memory_ports.create_topics()
        self.ports: Ports = memory_ports

    async def produce(
        self,
        topic: str,
        partition: int,
        values: Sequence[bytes | None],
        *,
        key: bytes | None,
        headers: Headers = (),
    ) -> None:
        for value in values:
            self.broker.produce(topic, partition, key, value, headers)

    async def read_committed(self, topic: str) -> list[list[RawRecord]]:
        return [list(records) for records in self.broker.read_committed(topic)]

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        self.broker.log(topic, partition).delete_before(offset)

    async def create_topic(self, topic: str, batch_bytes_max: int) -> None:
        self.broker.create_topic(topic, self.settings.partitions, batch_bytes_max)


class KafkaWorld:
    """Topics of its own on a real broker."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.names = TopicNames(settings.topic_prefix)
        self.ports: Ports = KafkaPorts(settings)
        apply(settings.broker, settings)

    async def produce(
        self,
        topic: str,
        partition: int,
        values: Sequence[bytes | None],
        *,
        key: bytes | None,
        headers: Headers = (),
    ) -> None:
        producer: Any = AIOKafkaProducer(bootstrap_servers=self.settings.broker, max_request_size=2**21)
        await producer.start()
        try:
            sent = [
                await producer.send(topic, value, key=key or b"", partition=partition, headers=list(headers))
                for value in values
            ]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    async def read_committed(self, topic: str) -> list[list[RawRecord]]:
        return await read_kafka(self.settings, topic)

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        def delete() -> None:
            admin = KafkaAdminClient(bootstrap_servers=self.settings.broker)
            admin.delete_records({TopicPartition(topic, partition): offset})
            admin.close()

        await asyncio.to_thread(delete)

    async def create_topic(self, topic: str, batch_bytes_max: int) -> None:
        wanted = {
            "num_partitions": self.settings.partitions,
            "replication_factor": 1,
            "configs": {MESSAGE_BYTES: str(batch_bytes_max)},
        }

        def create() -> None:
            admin = KafkaAdminClient(bootstrap_servers=self.settings.broker)
            admin.create_topics({topic: wanted})
            admin.wait_for_topics([topic])
            admin.close()

        await asyncio.to_thread(create)


async def read_kafka(settings: Settings, topic: str) -> list[list[RawRecord]]:
    """Everything committed in a topic, by partition."""
    logs = KafkaLogs(settings)
    await logs.start()
    try:
        count = (await logs.partition_counts([topic]))[topic]
        return [
            [record async for records in logs.read(topic, partition) for record in records]
            for partition in range(count)
        ]
    finally:
        await logs.stop()


async def produce(settings: Settings, records: Iterable[Produced]) -> None:
    """Write records to the input topics on Kafka, each partition in order."""
    names = TopicNames(settings.topic_prefix).inputs
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=settings.broker, enable_idempotence=True, linger_ms=20, max_batch_size=2**18
    )
    await producer.start()
    try:
        for record in records:
            await producer.send(names[record.feed], record.value, key=record.key, partition=record.partition)
        await producer.flush()
    finally:
        await producer.stop()


def settings_for(name: str, broker: str = "nowhere:0", **changes: Any) -> Settings:
    """Settings under names that nobody else uses."""
    own = unique(name)
    plain = Settings(
        broker=broker,
        topic_prefix=f"{own}-",
        group_id=own,
        transactional_id_prefix=own,
        partitions=2,
        replication_factor=1,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=500,
    )
    return msgspec.structs.replace(plain, **changes)


async def no_handover() -> None:
    """For sources whose handing over is not looked at."""


async def assigned(source: Source, tasks: int | None = None) -> Assignment:
    """Wait until a source holds an assignment, of so many tasks where given; polling goes on meanwhile."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            assignment = source.assignment
            if assignment is not None and tasks in (None, len(assignment.tasks)):
                return assignment
            await source.poll(20)


async def poll_records(source: Source, count: int) -> dict[tuple[int, int], list[RawRecord]]:
    """Poll until so many records have come."""
    found: dict[tuple[int, int], list[RawRecord]] = {}
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(map(len, found.values())) < count:
            for fetched in await source.poll(20):
                found.setdefault((fetched.feed, fetched.task), []).extend(fetched.records)
    return found


def values(records: Sequence[RawRecord]) -> list[bytes | None]:
    """What records say."""
    return [record.value for record in records]
