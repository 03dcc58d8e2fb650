"""The ports over the memory broker: what one process holds of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from streams.memory.broker import MemoryBroker, MemoryRecord, PartitionLog
from streams.memory.group import MemoryGroup
from streams.memory.network import DirectNetwork, Network
from streams.memory.sink import MemorySink
from streams.ports import (
    Assignment,
    Fetched,
    LogRange,
    Logs,
    PortError,
    PositionLostError,
    Sink,
    Source,
)
from streams.settings import Settings
from streams.time_limits import limited
from streams.topics import names_of, topic_specs

T = TypeVar("T")

_READ_RECORDS: Final = 2_000
"""Records of a log that are read at once."""
_WAIT_SECONDS: Final = 0.02
"""How long is waited before a log is looked at again that an open transaction bars."""


class MemorySource:
    """See `streams.ports.Source`."""

    def __init__(
        self,
        broker: MemoryBroker,
        group: MemoryGroup,
        settings: Settings,
        network: Network,
        inputs: Sequence[str] | None = None,
    ) -> None:
        """A member to be. `inputs`: what is read, the events' topics unless given."""
        self.member_id = ""
        self.claimed: frozenset[int] = frozenset()
        self.epoch = 0
        self._broker = broker
        self._network = network
        self._group = group
        self._settings = settings
        self._topics = inputs or names_of(settings).consumed
        self._on_handover: Callable[[], Awaitable[None]] | None = None
        self._assignment: Assignment | None = None
        self._stopped = False
        self._positions: dict[tuple[int, int], int] = {}
        self._paused: set[tuple[int, int]] = set()

    async def start(self, on_handover: Callable[[], Awaitable[None]]) -> None:
        """Join the group; the first assignment comes later."""
        self._on_handover = on_handover
        async with limited(self._settings.start_timeout_ms, "start_timeout_ms", "joining the group"):
            await self._network.call("join", lambda: self._group.join(self))

    async def stop(self) -> None:
        """Leave the group, or leave it to the end of the session."""
        self._stopped = True
        self._assignment = None
        self._positions.clear()
        try:
            async with asyncio.timeout(self._settings.source_stop_timeout_ms / 1000):
                await self._network.call("leave", lambda: self._group.leave(self))
        except (TimeoutError, PortError):
            return

    async def rejoin(self) -> None:
        """What the client does when it is told that it is no member any more."""
        await self.revoke()
        if not self._stopped:
            self._group.join(self)

    async def revoke(self) -> None:
        """The group is about to share out anew."""
        await self._network.attention()
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
        await self._network.step("poll")
        fetched = self._fetch()
        if fetched or timeout_ms == 0:
            await asyncio.sleep(0)
            return fetched
        await self._broker.wait_for_change(timeout_ms / 1000)
        return self._fetch()

    def _fetch(self) -> list[Fetched]:
        fetched: list[Fetched] = []
        tasks = 1 if self._assignment is None else len(self._assignment.tasks)
        share = max(1, self._settings.poll_records_max // max(1, tasks))
        for (feed, task), position in self._positions.items():
            if (feed, task) in self._paused:
                continue
            log = self._broker.log(self._topics[feed], task)
            records_max = min(self._network.fetch_records_max(), share)
            if records_max == 0:
                continue
            try:
                records, self._positions[feed, task] = log.read(position, records_max, committed=True)
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

    def unread(self, feed: int, task: int) -> int:
        """How many offsets are readable and were not polled."""
        end = self._broker.log(self._topics[feed], task).last_stable
        return max(0, end - self._positions.get((feed, task), end))

    async def committed(self, task: int) -> tuple[int | None, ...]:
        """The group's offsets of a task."""
        group = self._settings.group_id
        async with limited(
            self._settings.offsets_query_timeout_ms, "offsets_query_timeout_ms", "asking for group offsets"
        ):
            return await self._network.call(
                "committed",
                lambda: tuple(self._broker.committed(group, topic, task) for topic in self._topics),
            )


class MemoryLogs:
    """See `streams.ports.Logs`."""

    def __init__(self, broker: MemoryBroker, settings: Settings, network: Network) -> None:
        """Reads `broker`."""
        self._broker = broker
        self._settings = settings
        self._network = network

    async def start(self) -> None:
        """Connect."""
        async with limited(self._settings.start_timeout_ms, "start_timeout_ms", "connecting"):
            await self._network.call("connect", lambda: None)

    async def stop(self) -> None:
        """Nothing to disconnect."""

    async def partition_counts(self, topics: Sequence[str]) -> Mapping[str, int]:
        """The number of partitions of each topic."""
        return await self._asked(
            "partition_counts", lambda: {topic: self._broker.partition_count(topic) for topic in topics}
        )

    async def ranges(
        self, topics: Sequence[str], partitions: Sequence[int]
    ) -> Mapping[tuple[str, int], LogRange]:
        """What the given partitions hold."""
        places = [(topic, partition) for topic in topics for partition in partitions]
        return await self._asked("ranges", lambda: {place: self._broker.range(*place) for place in places})

    async def readable_ends(
        self, topics: Sequence[str], partitions: Sequence[int]
    ) -> Mapping[tuple[str, int], int]:
        """Up to where committed records can be read."""
        places = [(topic, partition) for topic in topics for partition in partitions]
        return await self._asked(
            "readable_ends", lambda: {place: self._broker.log(*place).last_stable for place in places}
        )

    async def read(self, topic: str, partition: int) -> AsyncIterator[Sequence[MemoryRecord]]:
        """Read everything committed until the position reaches the end as of now."""
        held = (await self.ranges([topic], [partition]))[topic, partition]
        log, position = self._broker.log(topic, partition), held.start
        stalled_since = asyncio.get_running_loop().time()
        while position < held.end:
            before = position
            records, position = await self._asked("read", partial(_read, log, before))
            if records:
                yield records
            now = asyncio.get_running_loop().time()
            if position > before:
                stalled_since = now
            elif now - stalled_since >= self._settings.restore_stall_timeout_ms / 1000:
                raise PortError(
                    f"{topic}, partition {partition}: a transaction hangs open at offset {position}"
                )
            else:
                await asyncio.sleep(_WAIT_SECONDS)

    async def _asked(self, step: str, effect: Callable[[], T]) -> T:
        async with limited(
            self._settings.offsets_query_timeout_ms, "offsets_query_timeout_ms", f"asking for {step}"
        ):
            return await self._network.call(step, effect)


def _read(log: PartitionLog, position: int) -> tuple[list[MemoryRecord], int]:
    """Read on, over what retention has deleted meanwhile."""
    return log.read(max(position, log.start), _READ_RECORDS, committed=True)


class MemoryPorts:
    """See `streams.ports.Ports`. Made once for an installation; each further process gets its own by `over`."""

    def __init__(
        self,
        broker: MemoryBroker,
        settings: Settings,
        network: Network | None = None,
        group: MemoryGroup | None = None,
        inputs: Sequence[str] | None = None,
    ) -> None:
        """`settings` name prefix and group; a group is made unless one is given, and reads the events' topics."""
        topic = (inputs or names_of(settings).consumed)[0]
        self._inputs = inputs
        self.broker = broker
        self.group = group or MemoryGroup(lambda: broker.partition_count(topic))
        self._settings = settings
        self._network = network or DirectNetwork()

    def over(self, network: Network) -> MemoryPorts:
        """The same broker and group, as a process sees them behind its own network."""
        return MemoryPorts(self.broker, self._settings, network, self.group, self._inputs)

    def create_topics(self) -> None:
        """Make every topic that `topics apply` makes."""
        for spec in topic_specs(self._settings):
            self.broker.create_topic(spec.name, spec.partitions)

    def source(self) -> Source:
        """A member of the group."""
        return MemorySource(self.broker, self.group, self._settings, self._network, self._inputs)

    def sink(self, task: int) -> Sink:
        """The producer of a task."""
        return MemorySink(self.broker, self._settings, task, self._network, self._inputs)

    def logs(self) -> Logs:
        """A reader."""
        return MemoryLogs(self.broker, self._settings, self._network)
