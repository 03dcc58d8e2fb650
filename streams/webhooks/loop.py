"""Reading and committing for one endpoint: one loop, in each worker; the group shares the partitions of `alerts` out.

    join ─ [ producer (fences) ─ position ─ seek ] ─ [ poll ─ deliver ─ begin │ dead letters │ offset │ commit ]

An offset is committed when everything before it is delivered, given up or not for this endpoint; dead letters go into the same
transaction. Whoever dies between a delivery and its commit has it delivered again, under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from typing import Final

import msgspec

from streams.clock import Clock
from streams.metrics import Metrics
from streams.ports import Assignment, FencedError, Fetched, Logs, PortError, Ports, Sink, Source
from streams.settings import Settings
from streams.topics import TopicNames
from streams.webhooks.endpoints import Endpoint
from streams.webhooks.sender import Sender
from streams.webhooks.shift import Shift

logger = logging.getLogger(__name__)

_POLL_MS: Final = 200
_COMMIT_EVERY_MS: Final = 500
"""How much is delivered again, at most, when a worker dies: what was delivered within so long."""
_CLOSE_SECONDS: Final = 5.0
"""How long requests under way may take when the partitions move, below `handover_timeout_ms`; what is cut off comes again."""
_FETCH_BYTES: Final = 64 * 1024
"""The least that can be asked for at once: some thirty alerts a partition."""
_PAUSES_SECONDS: Final = (1, 2, 5, 10, 30, 30, 30, 30, 30, 30)
"""Between a failure of Kafka and the next attempt; after as many in a row it is given up, after some three minutes."""


class WebhookError(Exception):
    """Why deliveries to an endpoint ended; the message is what the operator reads."""


class _GoneError(Exception):
    """The endpoint answered 410."""


def webhook_settings(settings: Settings, endpoint: Endpoint) -> Settings:
    """The same installation with the endpoint's group and producers, which are named after topics and endpoint alone."""
    name = f"{settings.topic_prefix}webhook-{endpoint.name}"
    return msgspec.structs.replace(
        settings, group_id=name, transactional_id_prefix=name, fetch_partition_bytes_max=_FETCH_BYTES
    )


def webhook_inputs(settings: Settings) -> tuple[str, ...]:
    """What is read."""
    return (TopicNames(settings.topic_prefix).alerts,)


class WebhookLoop:
    """What one worker does for one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        sender: Sender,
        ports: Ports,
        settings: Settings,
        clock: Clock,
        metrics: Metrics,
        dice: random.Random,
    ) -> None:
        """`ports` and `settings`: with `webhook_inputs` and `webhook_settings`; `dice` draw the jitter of retries."""
        names = TopicNames(settings.topic_prefix)
        self._alerts, self._letters = names.alerts, names.webhook_dead_letters
        self._endpoint, self._sender = endpoint, sender
        self._ports, self._clock, self._metrics, self._dice = ports, clock, metrics, dice
        self._stopping = asyncio.Event()
        self._failures = 0
        """In a row."""
        self._sinks: dict[int, Sink] = {}
        self._shift: Shift | None = None
        self._is_reading = False
        self._committed_at_ms = 0

    def stop(self) -> None:
        """Let requests under way end, commit, and leave the group."""
        self._stopping.set()

    async def run(self) -> None:
        """Deliver until `stop`, or until the endpoint says that it is no more.

        Raises:
            WebhookError: Kafka failed again and again, or where to go on cannot be made out.
        """
        self._show_zeros()
        try:
            while not self._stopping.is_set():
                try:
                    await self._as_member()
                except PortError as failure:
                    await self._pause(failure)
        except _GoneError:
            logger.error(  # noqa: TRY400 - the message says it all
                "webhook endpoint %s answered 410 Gone: nothing is sent to it any more until a worker starts anew; what was "
                "not delivered waits in %s",
                self._endpoint.name,
                self._alerts,
            )
            self._metrics.set("webhook_disabled", 1, self._endpoint.name)

    def _show_zeros(self) -> None:
        """What happens for the first time must show as an increase."""
        for outcome in ("delivered", "dead_lettered", "filtered"):
            self._metrics.count("webhook_messages", 0, self._endpoint.name, outcome)
        self._metrics.set("webhook_disabled", 0, self._endpoint.name)

    async def _as_member(self) -> None:
        logs, source = self._ports.logs(), self._ports.source()
        try:
            await self._sender.start()
            await logs.start()
            await source.start(_hand_over)
            generation = -1
            while not self._stopping.is_set():
                assignment = source.assignment
                if assignment is None or assignment.generation != generation:
                    await self._let_go()
                    generation = -1
                if assignment is None:
                    await source.poll(_POLL_MS)
                elif generation == -1:
                    generation = await self._take_over(logs, source, assignment)
                else:
                    await self._turn(source)
            await self._let_go()
        finally:
            await self._abandon()
            await source.stop()
            await logs.stop()
            await self._sender.close()

    async def _pause(self, failure: PortError) -> None:
        """Wait before the next attempt, or give up."""
        if self._failures == len(_PAUSES_SECONDS):
            raise WebhookError(f"webhook endpoint {self._endpoint.name}: {failure}") from failure
        logger.warning("webhook endpoint %s: once more after a failure: %s", self._endpoint.name, failure)
        seconds = _PAUSES_SECONDS[self._failures]
        self._failures += 1
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    # ---- partitions come and go ----------------------------------------------------------------------------------

    async def _take_over(self, logs: Logs, source: Source, assignment: Assignment) -> int:
        """Go on where the group stands; return the generation, or -1 where partitions moved meanwhile."""
        shift = Shift(self._endpoint, self._alerts, self._sender, self._clock, self._metrics, self._dice)
        for task in sorted(assignment.tasks):
            # Whoever had the partition can commit no more: where the group stands now, it stays.
            sink = self._sinks[task] = self._ports.sink(task)
            await sink.open()
            (committed,) = await source.committed(task)
            shift.begin(task, await self._first(logs, task, committed))
            shift.ledgers[task].committed = committed
        if source.assignment != assignment:
            return -1
        self._shift = shift
        self._read(source)
        return assignment.generation

    async def _first(self, logs: Logs, task: int, committed: int | None) -> int:
        held = (await logs.ranges([self._alerts], [task]))[self._alerts, task]
        if committed is None:
            return held.end if self._endpoint.begin == "end" else held.start
        if committed > held.end:
            raise WebhookError(
                f"webhook endpoint {self._endpoint.name}: {self._alerts}-{task} ends at offset {held.end}, and the group has "
                f"delivered up to {committed}: this is another topic. Give the endpoint another name, or reset its group"
            )
        if committed < held.start:
            logger.warning(
                "webhook endpoint %s: up to %d alerts of %s-%d were deleted before they were delivered",
                self._endpoint.name,
                held.start - committed,
                self._alerts,
                task,
            )
        return max(committed, held.start)

    async def _let_go(self) -> None:
        """Deliver no more, and commit what is settled; another worker may have gone on from there by now."""
        if self._shift is not None:
            await self._shift.close(_CLOSE_SECONDS)
            self._shift.raise_failure()
            try:
                await self._commit(self._shift)
            except FencedError as error:
                logger.info("webhook endpoint %s: %s", self._endpoint.name, error)
        await self._abandon()

    async def _abandon(self) -> None:
        """Deliver no more; what was not committed is delivered again. A producer that failed is good for nothing else."""
        shift, sinks = self._shift, self._sinks
        self._shift, self._sinks, self._is_reading = None, {}, False
        try:
            if shift is not None:
                await shift.close(0)
        finally:
            for sink in sinks.values():
                await sink.close()
            self._metrics.set("webhook_pending", 0, self._endpoint.name)

    # ---- deliveries ----------------------------------------------------------------------------------------------

    async def _turn(self, source: Source) -> None:
        shift = self._shift
        assert shift is not None
        shift.raise_failure()
        if shift.is_gone:
            await self._let_go()
            raise _GoneError
        if not self._is_reading and shift.pending <= self._endpoint.pending_max // 2:
            self._read(source)
        self._take(shift, source, await source.poll(_POLL_MS))
        now_ms = self._clock.monotonic_ms()
        if now_ms - self._committed_at_ms >= _COMMIT_EVERY_MS:
            await self._commit(shift)
            self._committed_at_ms = now_ms
            self._metrics.set("webhook_pending", shift.pending, self._endpoint.name)

    def _take(self, shift: Shift, source: Source, fetched: Sequence[Fetched]) -> None:
        """Take what there is room for. The rest is read again when there is: it waits in Kafka, and only for this endpoint."""
        for task, record in ((one.task, record) for one in fetched for record in one.records):
            if shift.pending >= self._endpoint.pending_max:
                for each in shift.ledgers:
                    source.close(each)
                self._is_reading = False
                return
            shift.take(task, record)

    def _read(self, source: Source) -> None:
        assert self._shift is not None
        for task, ledger in self._shift.ledgers.items():
            source.open(task, [ledger.next])
        self._is_reading = True

    async def _commit(self, shift: Shift) -> None:
        """Tell the group what is settled, with its dead letters, each partition in a transaction."""
        for task, ledger in shift.ledgers.items():
            position, letters = ledger.position, ledger.letters()
            if position == ledger.committed:
                continue
            sink = self._sinks[task]
            await sink.begin()
            if letters:
                await sink.send(self._letters, letters, self._clock.now_ms())
            # The client commits although a send failed: nothing is committed before every record is acknowledged.
            await sink.flush()
            await sink.send_offsets([position])
            await sink.commit()
            ledger.wrote(position)
            self._failures = 0


async def _hand_over() -> None:
    """Nothing has to be finished: whoever comes next fences us, and what was not committed is delivered again."""
