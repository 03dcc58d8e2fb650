"""The changelog from outside: written for a worker to take up, and looked at afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from kafka import KafkaAdminClient

from streams.clock import SystemClock
from streams.kafka.writing import RecordWriter, Written
from streams.ports import OutputRecord
from streams.settings import Settings
from streams.topics import TopicNames

_WRITTEN_AT_ONCE: Final = 4_000
"""Records: 16 MB, all of which must be in the log within `send_timeout_ms`, however slow the machine."""


async def write(settings: Settings, states: Iterable[tuple[int, OutputRecord]]) -> int:
    """Fill the state topic; return the bytes of keys and values.

    Raises:
        WritingError: Kafka did not take all.
    """
    topic = TopicNames(settings.topic_prefix).state
    total = 0
    left = iter(states)
    async with RecordWriter(settings, SystemClock()) as writer:
        while some := [
            Written(topic, partition, record) for partition, record in islice(left, _WRITTEN_AT_ONCE)
        ]:
            await writer.write(some)
            total += sum(len(one.record.key or b"") + len(one.record.value or b"") for one in some)
    return total


def bytes_on_disk(settings: Settings, topic: str) -> int:
    """What the brokers hold of a topic, all replicas together, indexes left out."""
    client: Any = KafkaAdminClient(bootstrap_servers=settings.broker.split(","))
    try:
        return bytes_told(client.describe_log_dirs([topic]))
    finally:
        client.close()


def bytes_told(brokers: Iterable[Mapping[str, Any]]) -> int:
    """The sum of what brokers say of their partitions (the answer to Kafka's DescribeLogDirs)."""
    return sum(
        partition["partition_size"]
        for broker in brokers
        for folder in broker["log_dirs"]
        for topic in folder["topics"]
        for partition in topic["partitions"]
    )
