"""The ports over the memory broker, and the groups of their sources."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from streams.assignment import Claim, assign_tasks
from streams.memory.broker import MemoryBroker, MemoryRecord, offsets_by_partition
from streams.ports import (
    Assignment,
    Fetched,
    LogRange,
    Logs,
    OutputRecord,
    PortError,
    PositionLostError,
    Sink,
    Source,
)
from streams.settings import Settings
from streams.topics import TopicNames, topic_specs

_FETCH_RECORDS_MAX: Final = 2_000
"""Records of one partition a poll: what a fetch of half a megabyte holds."""


class MemoryGroup:
    """The members of one group. Every change of membership shares the tasks out anew, all members stopping first."""

    def __init__(self, partition_count: Callable[[], int]) -> None:
        """`partition_count` tells how many tasks there are."""
        self._partition_count = partition_count
        self._members: dict[str, MemorySource] = {}
        self._joined = 0
        self._lock = asyncio.Lock()
        self.generation = 0

    async def join(self, source: MemorySource) -> None:
        """Take a member in; return when it has its assignment."""
        self._joined += 1
        source.member_id = f"member-{self._joined:04d}"
        self._members[source.member_id] = source
        await self._rebalance()

    async def leave(self, source: MemorySource) -> None:
        """Let a member go."""
        if self._members.pop(source.member_id, None) is not None:
            await self._rebalance()

    async def expel(self, source: MemorySource) -> None:
        """What happens to a member that stalls beyond its session: the others go on, and it does not know."""
        await self.leave(source)

    async def _rebalance(self) -> None:
        async with self._lock:
            for member in list(self._members.values()):
                await member.revoke()
            if not self._members:
                return
            self.generation += 1
            claims = {
                member_id: Claim(member.claimed, member.epoch) for member_id, member in self._members.items()
            }
            for member_id, tasks in assign_tasks(self._partition_count(), claims).items():
                self._members[member_id].assign(Assignment(self.generation, tasks))


class MemorySource:
    """See `streams.ports.Source`."""

    def __init__(self, broker: MemoryBroker, group: MemoryGroup, settings: Settings) -> None:
        """A member to be."""
        self.member_id = ""
        self.claimed: frozenset[int] = frozenset()
        self.epoch = 0
        self._broker = broker
        self._group = group
        self._settings = settings
        self._topics = TopicNames(settings.topic_prefix).inputs
        self._on_handover: Callable[[], Awaitable[None]] | None = None
        self._assignment: Assignment | None = None
        self._positions: dict[tuple[int, int], int] = {}
        self._paused: set[tuple[int, int]] = set()

    async def start(self, on_handover: Callable[[], Awaitable[None]]) -> None:
        """Join the group."""
        self._on_handover = on_handover
        await self._group.join(self)

    async def stop(self) -> None:
        """Leave the group."""
        self._assignment = None
        self._positions.clear()
        await self._group.leave(self)

    async def revoke(self) -> None:
        """The group is about to share out anew."""
        if self._on_handover is None or self._assignment is None:
            return
        self._assignment = None
        self._positions.clear()
        await self._on_handover()

    def assign(self, assignment: Assignment) -> None:
        """The group has shared out."""
        self._assignment = assignment
        self._positions.clear()
        self._paused.clear()
        self.claimed = assignment.tasks
        self.epoch = assignment.generation

    @property
    def assignment(self) -> Assignment | None:
        """What this worker holds."""
        return self._assignment

    async def poll(self, timeout_ms: int) -> list[Fetched]:
        """Return what has arrived."""
        fetched = self._fetch()
        if fetched or timeout_ms == 0:
            await asyncio.sleep(0)
            return fetched
        await self._broker.wait_for_change(timeout_ms / 1000)
        return self._fetch()

    def _fetch(self) -> list[Fetched]:
        fetched: list[Fetched] = []
        for (feed, task), position in self._positions.items():
            if (feed, task) in self._paused:
                continue
            log = self._broker.log(self._topics[feed], task)
            try:
                records, self._positions[feed, task] = log.read(position, _FETCH_RECORDS_MAX, committed=True)
            except LookupError as error:
                raise PositionLostError(f"{self._topics[feed]}, partition {task}: {error}") from error
            if records:
                fetched.append(Fetched(feed, task, records))
        return fetched

    def open(self, task: int, offsets: Sequence[int]) -> None:
        """Read a task's partitions from `offsets` on."""
        assert self._assignment is None or task in self._assignment.tasks, task
        self.close(task)
        for feed, offset in enumerate(offsets):
            self._positions[feed, task] = offset

    def close(self, task: int) -> None:
        """Read a task's partitions no more."""
        for feed in range(len(self._topics)):
            self._positions.pop((feed, task), None)
            self._paused.discard((feed, task))

    def pause(self, feed: int, task: int) -> None:
        """Hold one partition back."""
        self._paused.add((feed, task))

    def resume(self, feed: int, task: int) -> None:
        """Go on."""
        self._paused.discard((feed, task))

    def position(self, feed: int, task: int) -> int:
        """The offset that the next poll begins with."""
        return self._positions.get((feed, task), 0)

    def caught_up(self, feed: int, task: int) -> bool:
        """Whether everything readable was polled."""
        position = self._positions.get((feed, task))
        return position is not None and position >= self._broker.log(self._topics[feed], task).last_stable

    async def committed(self, task: int) -> tuple[int | None, ...]:
        """The group's offsets of a task."""
        await asyncio.sleep(0)
        group = self._settings.group_id
        return tuple(self._broker.committed(group, topic, task) for topic in self._topics)


class MemorySink:
    """See `streams.ports.Sink`."""

    def __init__(self, broker: MemoryBroker, settings: Settings, task: int) -> None:
        """Fences only in `open`."""
        self._broker = broker
        self._group = settings.group_id
        self._topics = TopicNames(settings.topic_prefix).inputs
        self._task = task
        self._id = settings.transactional_id(task)
        self._epoch = 0

    async def open(self) -> None:
        """Fence the former producer."""
        self._epoch = self._broker.open_producer(self._id)
        await asyncio.sleep(0)

    async def begin(self) -> None:
        """Begin a transaction."""
        self._broker.begin(self._id, self._epoch)
        await asyncio.sleep(0)

    async def send(self, topic: str, records: Sequence[OutputRecord], timestamp_ms: int) -> None:
        """Write at once; nobody who reads committed sees it yet."""
        self._broker.send(self._id, self._epoch, topic, self._task, records, timestamp_ms)
        await asyncio.sleep(0)

    async def flush(self) -> None:
        """Everything was written already."""
        await asyncio.sleep(0)

    async def send_offsets(self, offsets: Sequence[int]) -> None:
        """Make offsets part of the transaction."""
        by_partition = offsets_by_partition(self._topics, self._task, offsets)
        self._broker.send_offsets(self._id, self._epoch, self._group, by_partition)
        await asyncio.sleep(0)

    async def commit(self) -> None:
        """Commit."""
        self._broker.end(self._id, self._epoch, commit=True)
        await asyncio.sleep(0)

    async def abort(self) -> None:
        """Take back."""
        self._broker.end(self._id, self._epoch, commit=False)
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Nothing is held."""


class MemoryLogs:
    """See `streams.ports.Logs`."""

    def __init__(self, broker: MemoryBroker) -> None:
        """Reads `broker`."""
        self._broker = broker

    async def start(self) -> None:
        """Nothing to connect."""

    async def stop(self) -> None:
        """Nothing to disconnect."""

    async def partition_counts(self, topics: Sequence[str]) -> Mapping[str, int]:
        """The number of partitions of each topic."""
        return {topic: self._broker.partition_count(topic) for topic in topics}

    async def ranges(
        self, topics: Sequence[str], partitions: Sequence[int]
    ) -> Mapping[tuple[str, int], LogRange]:
        """What the given partitions hold."""
        await asyncio.sleep(0)
        return {
            (topic, partition): self._broker.range(topic, partition)
            for topic in topics
            for partition in partitions
        }

    async def readable_ends(
        self, topics: Sequence[str], partitions: Sequence[int]
    ) -> Mapping[tuple[str, int], int]:
        """Up to where committed records can be read."""
        await asyncio.sleep(0)
        return {
            (topic, partition): self._broker.log(topic, partition).last_stable
            for topic in topics
            for partition in partitions
        }

    async def read(self, topic: str, partition: int) -> AsyncIterator[Sequence[MemoryRecord]]:
        """Read everything committed until the position reaches the end as of now."""
        log = self._broker.log(topic, partition)
        end, position = log.end, log.start
        while position < end:
            records, reached = log.read(max(position, log.start), _FETCH_RECORDS_MAX, committed=True)
            if reached == position:
                raise PortError(
                    f"{topic}, partition {partition}: a transaction hangs open at offset {reached}"
                )
            position = reached
            if records:
                yield records
            await asyncio.sleep(0)


class MemoryPorts:
    """See `streams.ports.Ports`. One for all workers of a group."""

    def __init__(self, broker: MemoryBroker, settings: Settings) -> None:
        """`settings` name prefix and group."""
        self.broker = broker
        self.group = MemoryGroup(lambda: broker.partition_count(TopicNames(settings.topic_prefix).inputs[0]))
        self._settings = settings

    def create_topics(self) -> None:
        """Make every topic that `topics apply` makes."""
        for spec in topic_specs(self._settings):
            self.broker.create_topic(spec.name, spec.partitions)

    def source(self) -> Source:
        """A member of the group."""
        return MemorySource(self.broker, self.group, self._settings)

    def sink(self, task: int) -> Sink:
        """The producer of a task."""
        return MemorySink(self.broker, self._settings, task)

    def logs(self) -> Logs:
        """A reader."""
        return MemoryLogs(self.broker)
