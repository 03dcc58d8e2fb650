"""Reads topics whole, as a `read_committed` reader sees them, and asks how far a group has committed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from streams.kafka.inspection import InspectionError, Inspector
from streams.kafka.logs import KafkaLogs
from streams.ports import RawRecord
from streams.settings import Settings
from streams.topics import TopicNames

_FETCH_BYTES: Final = 8 * 1024 * 1024
_READ_SECONDS: Final = 60.0
"""A topic that cannot be read to its end by then is hidden behind a transaction that hangs open."""

Partitions = list[list[RawRecord]]
"""The records of a topic, by partition."""


def read_topics(settings: Settings, topics: Sequence[str], partitions: int) -> list[Partitions]:
    """Everything committed in some topics, up to where they end now.

    Raises:
        TimeoutError: a partition cannot be read to its end.
    """
    return asyncio.run(_read(settings, topics, partitions))


async def _read(settings: Settings, topics: Sequence[str], partitions: int) -> list[Partitions]:
    logs = KafkaLogs(settings)
    await logs.start()
    try:
        # Not the ends that this reader may reach by now: those behind anything that hangs open.
        ranges = await logs.ranges(topics, range(partitions))
    finally:
        await logs.stop()
    left = {TopicPartition(*place): held.end for place, held in ranges.items()}
    found: dict[Any, list[RawRecord]] = {place: [] for place in left}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.broker,
        client_id="chaos-reader",
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=_FETCH_BYTES,
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    try:
        consumer.assign(list(left))
        await consumer.seek_to_beginning(*left)
        async with asyncio.timeout(_READ_SECONDS):
            while left:
                for place, records in (await consumer.getmany(*left, timeout_ms=100)).items():
                    found[place] += records
                left = {place: end for place, end in left.items() if await consumer.position(place) < end}
    finally:
        await consumer.stop()
    return [[found[TopicPartition(topic, number)] for number in range(partitions)] for topic in topics]


class CommittedWatch:
    """Tells what a group has still to commit, also while brokers come and go."""

    def __init__(self, settings: Settings) -> None:
        """Connects when asked."""
        self._settings = settings
        self._names = TopicNames(settings.topic_prefix).inputs

    def left(self) -> int | None:
        """Records not committed, without those that the merge must hold back; None where nobody can tell just now.

        Behind the closing heartbeats, which all have the same place, it holds back the last one of every topic but the
        first.
        """
        try:
            with Inspector(self._settings) as inspector:
                lags = inspector.lags(self._names, self._settings.group_id)
        except InspectionError:
            return None
        return sum(max(0, lag.lag - (lag.topic != self._names[0])) for lag in lags)
