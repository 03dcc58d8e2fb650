"""Topics read without a group, over aiokafka: the changelog, policies, scorecards, and where partitions begin and end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import UnknownTopicOrPartitionError
from aiokafka.structs import TopicPartition

from streams.kafka.errors import ended, limited
from streams.kafka.parsed import take_as_parsed
from streams.kafka.security import aiokafka_options
from streams.ports import LogRange, PortError, RawRecord
from streams.settings import Settings

logger = logging.getLogger(__name__)

_FETCH_BYTES: Final = 1024 * 1024
"""A restore reads big pieces, but such as the processor's cache holds: they are copied from buffer to buffer. Decoding one takes
some 3 ms, so heartbeats go on between."""
_REQUEST_TIMEOUT_MS: Final = 5_000
"""A broker that froze is passed over for the next one, twice within `start_timeout_ms`; the largest fetch fits in at 1 MB/s."""
_POLL_MS: Final = 200
_STOP_SECONDS: Final = 5.0


class KafkaLogs:
    """See `streams.ports.Logs`."""

    def __init__(self, settings: Settings) -> None:
        """Connects only in `start`."""
        self._settings = settings
        self._client: Any = None
        self._probe: Any = None
        self._readable_probe: Any = None

    async def start(self) -> None:
        """Connect."""
        settings = self._settings
        self._client = AIOKafkaClient(
            bootstrap_servers=settings.broker,
            client_id=f"{settings.group_id}-logs",
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            **aiokafka_options(settings),
        )
        # Not read_committed: an end must be the log's, not where an open transaction begins.
        self._probe = self._asker("probe", "read_uncommitted")
        self._readable_probe = self._asker("readable-probe", "read_committed")
        async with limited(settings.start_timeout_ms, "start_timeout_ms", f"connecting to {settings.broker}"):
            # Side by side: each may have to wait for a broker that does not answer before it asks the next.
            await asyncio.gather(self._client.bootstrap(), self._probe.start(), self._readable_probe.start())

    def _asker(self, name: str, isolation_level: str) -> Any:
        """Return a client for questions about offsets.

        It has one limit for a request and for a question that may take several: when they are equal the question ends
        first, nobody notices that the connection is dead, and the next question hangs on it as well. So the question's
        limit, which is ours, is left to `limited`.
        """
        settings = self._settings
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.broker,
            client_id=f"{settings.group_id}-{name}",
            isolation_level=isolation_level,
            request_timeout_ms=settings.offsets_query_timeout_ms + _REQUEST_TIMEOUT_MS,
            **aiokafka_options(settings),
        )
        consumer._client._request_timeout_ms = _REQUEST_TIMEOUT_MS  # noqa: SLF001 - see above
        return consumer

    async def stop(self) -> None:
        """Disconnect."""
        client, probes = self._client, (self._probe, self._readable_probe)
        self._client = self._probe = self._readable_probe = None
        stopping = [probe.stop() for probe in probes if probe is not None]
        if client is not None:
            stopping.append(client.close())
        for failure in await asyncio.gather(*(ended(one, _STOP_SECONDS) for one in stopping)):
            if failure is not None:
                logger.warning("disconnecting from %s: %r", self._settings.broker, failure)

    async def partition_counts(self, topics: Sequence[str]) -> Mapping[str, int]:
        """The number of partitions of each topic."""
        settings = self._settings
        async with limited(
            settings.offsets_query_timeout_ms, "offsets_query_timeout_ms", "asking for topics"
        ):
            cluster = await self._client.fetch_all_metadata()
        return {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in topics}

    async def ranges(
        self, topics: Sequence[str], partitions: Sequence[int]
    ) -> Mapping[tuple[str, int], LogRange]:
        """What the given partitions of the given topics hold."""
        settings = self._settings
        asked = [TopicPartition(topic, partition) for topic in topics for partition in partitions]
        async with limited(
            settings.offsets_query_timeout_ms, "offsets_query_timeout_ms", "asking for log ranges"
        ):
            await _require_visible(self._probe, topics)
            starts = await self._probe.beginning_offsets(asked)
            ends = await self._probe.end_offsets(asked)
        return {(one.topic, one.partition): LogRange(starts[one], ends[one]) for one in asked}

    async def readable_ends(
        self, topics: Sequence[str], partitions: Sequence[int]
    ) -> Mapping[tuple[str, int], int]:
        """Up to where committed records can be read."""
        settings = self._settings
        asked = [TopicPartition(topic, partition) for topic in topics for partition in partitions]
        async with limited(
            settings.offsets_query_timeout_ms, "offsets_query_timeout_ms", "asking for readable ends"
        ):
            await _require_visible(self._readable_probe, topics)
            ends = await self._readable_probe.end_offsets(asked)
        return {(one.topic, one.partition): ends[one] for one in asked}

    async def read(self, topic: str, partition: int) -> AsyncIterator[Sequence[RawRecord]]:
        """Read everything committed until the position reaches the end as of now."""
        settings = self._settings
        what = f"reading {topic}, partition {partition}"
        place = TopicPartition(topic, partition)
        end = (await self.ranges([topic], [partition]))[topic, partition].end
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.broker,
            client_id=f"{settings.group_id}-reader",
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
            fetch_max_wait_ms=_POLL_MS,
            **aiokafka_options(settings),
        )
        try:
            async with limited(settings.start_timeout_ms, "start_timeout_ms", what):
                await consumer.start()
                consumer.assign([place])
                await consumer.seek_to_beginning(place)
            stalled_ms = 0
            position = await consumer.position(place)
            while position < end:
                async with limited(settings.restore_stall_timeout_ms, "restore_stall_timeout_ms", what):
                    records = await _fetched(consumer, place)
                    reached = await consumer.position(place)
                if records:
                    yield records
                stalled_ms = 0 if reached > position else stalled_ms + _POLL_MS
                position = reached
                if stalled_ms >= settings.restore_stall_timeout_ms:
                    raise PortError(
                        f"{what} stands at offset {reached} of {end} for {stalled_ms / 1000:g} s "
                        f"(restore_stall_timeout_ms): a transaction may hang open on this partition"
                    )
        finally:
            await ended(consumer.stop(), _STOP_SECONDS)


async def _fetched(consumer: Any, place: TopicPartition) -> list[RawRecord]:
    """What the next fetch brings, but for its first record as parsed: that one alone is asked for, and the others wait by then."""
    first = (await consumer.getmany(place, timeout_ms=_POLL_MS, max_records=1)).get(place)
    if not first:
        return []
    take_as_parsed(consumer)
    return [*first, *(await consumer.getmany(place)).get(place, ())]


async def _require_visible(probe: Any, topics: Sequence[str]) -> None:
    """Make sure that we are allowed to know of the topics: asked for offsets of others, the client asks until the limit.

    Raises:
        TopicAuthorizationFailedError: we are not.
    """
    for topic in dict.fromkeys(topics):
        with suppress(
            UnknownTopicOrPartitionError
        ):  # it may be about to be made: the question itself will tell
            await probe._client._wait_on_metadata(topic)  # noqa: SLF001 - nothing public tells it
