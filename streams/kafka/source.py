"""The input topics as one member of the group, over aiokafka.

The client sends no heartbeats until the listener's `on_partitions_assigned` returns and only logs what it raises: so here the
listener closes all gates and remembers, and everything else happens in `poll`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import errors as kafka_errors
from aiokafka.structs import TopicPartition

from streams.kafka.assignor import TaskAssignor
from streams.kafka.denials import denial
from streams.kafka.errors import ended, limited
from streams.kafka.parsed import take_as_parsed
from streams.kafka.security import aiokafka_options
from streams.ports import Assignment, Fetched, PortError, PositionLostError
from streams.settings import Settings
from streams.topics import names_of

logger = logging.getLogger(__name__)

_POLL_SLACK_SECONDS: Final = 0.5
"""The client's own poll waits for a new assignment without a limit; this is ours."""
_FETCH_BYTES_MAX: Final = 16 * 1024 * 1024
"""One fetch over all partitions: bounds what the client holds beside the partitions' own limit."""
_NOBODYS: Final = (TopicPartition("", 0),)
"""Asked for where no partition is open: nothing comes, but errors do. Asking for none would ask for all."""


class KafkaSource(ConsumerRebalanceListener):  # type: ignore[misc] # the library has no type information
    """See `streams.ports.Source`."""

    def __init__(self, settings: Settings, inputs: Sequence[str] | None = None) -> None:
        """Connects only in `start`. `inputs`: what is read, the events' topics unless given."""
        self._settings = settings
        self._inputs = inputs or names_of(settings).consumed
        self._feeds = {name: feed for feed, name in enumerate(self._inputs)}
        self._consumer: Any = None
        self._on_handover: Callable[[], Awaitable[None]] | None = None
        self._assignment: Assignment | None = None
        self._failure: PortError | None = None
        self._open: list[TopicPartition] = []
        self._paused: set[TopicPartition] = set()
        """Partitions that `poll` asks for: assigned, opened, not paused."""

    async def start(self, on_handover: Callable[[], Awaitable[None]]) -> None:
        """Join the group; the first assignment comes later."""
        settings = self._settings
        self._on_handover = on_handover
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.broker,
            client_id=f"{settings.group_id}-source",
            group_id=settings.group_id,
            enable_auto_commit=False,
            isolation_level="read_committed",
            # A position is always set by us; one that is no longer there must be an error, never a silent jump.
            auto_offset_reset="none",
            partition_assignment_strategy=[TaskAssignor()],
            fetch_max_wait_ms=settings.fetch_wait_ms,
            max_partition_fetch_bytes=settings.fetch_partition_bytes_max,
            fetch_max_bytes=_FETCH_BYTES_MAX,
            # What hangs is given up while the session still lives: a heartbeat to a frozen broker must not outlast it. A
            # join that takes longer, because others still hand over, is asked for again under the same member id.
            request_timeout_ms=settings.session_timeout_ms,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            max_poll_interval_ms=settings.poll_interval_max_ms,
            **aiokafka_options(settings),
        )
        async with limited(settings.start_timeout_ms, "start_timeout_ms", f"connecting to {settings.broker}"):
            await self._consumer.start()
        # Subscribed only now: with topics given before, `start` would wait for the group's other members.
        self._consumer.subscribe(topics=list(self._inputs), listener=self)

    async def stop(self) -> None:
        """Leave the group."""
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        failure = await ended(consumer.stop(), self._settings.source_stop_timeout_ms / 1000)
        if failure is not None:
            logger.warning("leaving group %s: %r; connections are cut", self._settings.group_id, failure)
            await ended(consumer._client.close(), 1)  # noqa: SLF001 - `stop` does it last, if it gets so far

    # ---- the listener --------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Tasks may move. Heartbeats go on while this waits."""
        self._assignment = None
        self._open = []
        self._paused = set()
        assert self._on_handover is not None
        await self._on_handover()

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Close every gate and remember; what goes wrong here is raised where somebody listens."""
        try:
            self._assignment = self._closed_assignment(set(assigned))
        except Exception as error:  # noqa: BLE001 - the client would only log it
            self._failure = (
                error if isinstance(error, PortError) else PortError(f"assignment failed: {error!r}")
            )

    def _closed_assignment(self, partitions: set[TopicPartition]) -> Assignment:
        tasks = frozenset(partition.partition for partition in partitions)
        whole = {TopicPartition(name, task) for name in self._inputs for task in tasks}
        if partitions != whole:
            missing = ", ".join(f"{topic}-{task}" for topic, task in sorted(whole - partitions))
            raise PortError(
                f"the assignment splits tasks, {missing} are elsewhere: another assignor is at work"
            )
        for partition in partitions:
            # With a position set at once the client looks for none of its own.
            self._consumer.pause(partition)
            self._consumer.seek(partition, 0)
        generation = self._consumer._coordinator.generation  # noqa: SLF001 - nothing public tells it
        return Assignment(generation, tasks)

    # ---- reading -------------------------------------------------------------------------------------------------

    @property
    def assignment(self) -> Assignment | None:
        """What this worker holds."""
        if self._failure is not None:
            raise self._failure
        return self._assignment

    async def poll(self, timeout_ms: int) -> list[Fetched]:
        """Return what has arrived."""
        self._raise_dead_fetcher()
        take_as_parsed(self._consumer)
        if self._paused and not self._open:
            # Asked for no partition in particular, the client would give those that are paused here.
            await asyncio.sleep(timeout_ms / 1000)
            return []
        try:
            async with asyncio.timeout(timeout_ms / 1000 + _POLL_SLACK_SECONDS):
                batches = await self._taken(timeout_ms)
        except TimeoutError:
            return []
        except kafka_errors.OffsetOutOfRangeError as error:
            raise PositionLostError(self._lost(error)) from error
        except kafka_errors.KafkaError as error:
            raise PortError(f"reading the input topics failed: {denial(error) or repr(error)}") from error
        return [
            Fetched(self._feeds[partition.topic], partition.partition, records)
            for partition, records in batches.items()
        ]

    async def _taken(self, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        """Some of what waits of every partition; where nothing does, of what comes first.

        The client's own limit is one for all partitions, and the first would leave nothing to the others.
        """
        asked, tasks = self._open or _NOBODYS, 1 if self._assignment is None else len(self._assignment.tasks)
        records_max = max(1, self._settings.poll_records_max // max(1, tasks))
        taken: dict[TopicPartition, list[Any]] = {}
        for partition in [one for one in asked if one in self._consumer._fetcher._records]:  # noqa: SLF001 - spares a call for each
            taken |= await self._consumer.getmany(partition, max_records=records_max)
        if not taken:
            taken = await self._consumer.getmany(*asked, timeout_ms=timeout_ms, max_records=records_max)
        return taken

    def _raise_dead_fetcher(self) -> None:
        """The client does not look at its own task that fetches: when that has died, polls are empty for ever."""
        fetching = self._consumer._fetcher.error_future  # noqa: SLF001 - nothing public tells it
        if fetching.done():
            died = None if fetching.cancelled() else fetching.exception()
            why = "cancelled" if died is None else denial(died) or repr(died)
            raise PortError(f"reading the input topics has ended by itself: {why}")

    @staticmethod
    def _lost(error: Exception) -> str:
        lost = error.args[0] if error.args else {}
        found = ", ".join(f"{topic}-{task} offset {offset}" for (topic, task), offset in dict(lost).items())
        return (
            f"next to read was {found}, which the log no longer holds: retention was faster than this worker. Records that "
            f"were never processed are gone; feed them again under another prefix and group, and keep the inputs longer"
        )

    def open(self, task: int, offsets: Sequence[int]) -> None:
        """Read a task's partitions from `offsets` on."""
        self.close(task)
        for partition, offset in zip(self._partitions(task), offsets, strict=True):
            self._consumer.seek(partition, offset)
            self._consumer.resume(partition)
            self._open.append(partition)

    def close(self, task: int) -> None:
        """Read a task's partitions no more."""
        self._open = [partition for partition in self._open if partition.partition != task]
        self._paused = {partition for partition in self._paused if partition.partition != task}
        for partition in self._partitions(task):
            self._consumer.pause(partition)

    def pause(self, feed: int, task: int) -> None:
        """Ask for a partition no more. The client keeps the one fetch it may hold, so nothing is fetched twice."""
        partition = TopicPartition(self._inputs[feed], task)
        self._open.remove(partition)
        self._paused.add(partition)

    def resume(self, feed: int, task: int) -> None:
        """Ask for a partition again."""
        partition = TopicPartition(self._inputs[feed], task)
        self._paused.discard(partition)
        self._open.append(partition)

    def position(self, feed: int, task: int) -> int:
        """The offset that the next poll begins with."""
        state = self._state(feed, task)
        return 0 if state is None or state.position is None else int(state.position)

    def caught_up(self, feed: int, task: int) -> bool:
        """Whether everything readable, as far as the broker has told, was polled."""
        state = self._state(feed, task)
        return state is not None and state.lso is not None and state.position >= state.lso

    def unread(self, feed: int, task: int) -> int:
        """How many offsets are readable, as far as the broker has told, and were not polled; 0 where it has told nothing yet."""
        state = self._state(feed, task)
        known = state is not None and state.lso is not None and state.position is not None
        return max(0, state.lso - state.position) if known else 0

    def _state(self, feed: int, task: int) -> Any:
        # What `consumer.position` and `last_stable_offset` look at, without a coroutine and its checks: asked every turn.
        assignment = self._consumer._subscription.subscription.assignment  # noqa: SLF001 - see above
        return assignment.state_value(TopicPartition(self._inputs[feed], task)) if assignment else None

    async def committed(self, task: int) -> tuple[int | None, ...]:
        """The group's offsets of a task."""
        settings = self._settings
        what = f"asking for the offsets of group {settings.group_id}"
        async with limited(settings.offsets_query_timeout_ms, "offsets_query_timeout_ms", what):
            return tuple([await self._consumer.committed(partition) for partition in self._partitions(task)])

    def _partitions(self, task: int) -> list[TopicPartition]:
        return [TopicPartition(name, task) for name in self._inputs]
