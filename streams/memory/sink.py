"""The transactional producer of one task over the memory broker, with the habits of the Kafka client.

What is handed over is delivered in the background. `commit` waits for it to arrive or to fail, and commits either way: that
nothing has failed is found out by `flush` alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeVar

from streams.memory.broker import ConcurrentTransactionsError, MemoryBroker, offsets_by_partition
from streams.memory.network import Network
from streams.ports import OutputRecord
from streams.settings import Settings
from streams.time_limits import limited
from streams.topics import names_of

T = TypeVar("T")

_ASK_AGAIN_SECONDS: Final = 0.02
"""How soon the client asks again where the broker is not ready: as Kafka's does."""


class MemorySink:
    """See `streams.ports.Sink`."""

    def __init__(
        self,
        broker: MemoryBroker,
        settings: Settings,
        task: int,
        network: Network,
        inputs: Sequence[str] | None = None,
    ) -> None:
        """Fences only in `open`. `inputs`: whose offsets it commits, the events' topics unless given."""
        self._broker = broker
        self._network = network
        self._settings = settings
        self._topics = inputs or names_of(settings).consumed
        self._task = task
        self._id = settings.transactional_id(task)
        self._epoch = 0
        self._begun = False
        """Whether there is a transaction that the broker has to hear the end of."""
        self._sent: list[asyncio.Task[None]] = []
        self._last: dict[tuple[str, int], asyncio.Task[None]] = {}
        """By topic and partition: behind which delivery the next one has to wait."""

    async def open(self) -> None:
        """Fence the former producer."""
        start = asyncio.ensure_future(self._start())
        try:
            await asyncio.shield(start)
        except asyncio.CancelledError:
            # A request on its way would fence whoever has the task next: it has to be over before tasks move.
            await asyncio.gather(start, return_exceptions=True)
            raise

    async def _start(self) -> None:
        timeout_ms = self._settings.producer_start_timeout_ms
        async with limited(timeout_ms, "producer_start_timeout_ms", self._what("producer start")):
            self._epoch = await self._asked(
                "open",
                lambda: self._broker.open_producer(self._id, self._settings.transaction_timeout_ms),
            )

    async def begin(self) -> None:
        """Begin a transaction: the broker hears of it with the first batch."""
        await self._network.step("begin")
        self._begun = False

    async def send(
        self, topic: str, records: Sequence[OutputRecord], timestamp_ms: int, partition: int | None = None
    ) -> None:
        """Hand over; nobody who reads committed sees it yet."""
        place = topic, self._task if partition is None else partition
        self._broker.log(*place)
        await self._network.step("send")
        self._begun = True
        for batch in _batches(records, self._settings.producer_batch_bytes_max):
            delivery = asyncio.create_task(
                self._deliver(self._last.get(place), place, batch, timestamp_ms),
                name=f"delivery to {topic}, partition {place[1]}",
            )
            self._last[place] = delivery
            self._sent.append(delivery)

    async def _deliver(
        self,
        before: asyncio.Task[None] | None,
        place: tuple[str, int],
        records: Sequence[OutputRecord],
        timestamp_ms: int,
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        await self._asked(
            "deliver",
            lambda: self._broker.send(self._id, self._epoch, *place, records, timestamp_ms),
        )

    async def flush(self) -> None:
        """Wait until every record handed over is in the log."""
        await self._network.step("flush")
        async with limited(self._settings.send_timeout_ms, "send_timeout_ms", self._what("acknowledgement")):
            failed = await self._arrived()
        if failed:
            raise failed[0]
        await self._network.step("flushed")

    async def _arrived(self) -> list[BaseException]:
        """Wait for everything handed over; return what became of that which did not arrive."""
        if self._sent:
            await asyncio.wait(self._sent)
        sent, self._sent = self._sent, []
        return [error for delivery in sent if (error := delivery.exception()) is not None]

    async def send_offsets(self, offsets: Sequence[int]) -> None:
        """Make offsets part of the transaction."""
        by_partition = offsets_by_partition(self._topics, self._task, offsets)
        group = self._settings.group_id
        async with limited(self._settings.offsets_timeout_ms, "offsets_timeout_ms", self._what("offsets")):
            await self._asked(
                "send_offsets",
                lambda: self._broker.send_offsets(self._id, self._epoch, group, by_partition),
            )
        self._begun = True

    async def commit(self) -> None:
        """Commit what has arrived, whether or not everything has."""
        async with limited(self._settings.commit_timeout_ms, "commit_timeout_ms", self._what("commit")):
            await self._end("commit", commit=True)

    async def abort(self) -> None:
        """Take back."""
        async with limited(self._settings.abort_timeout_ms, "abort_timeout_ms", self._what("abort")):
            await self._end("abort", commit=False)

    async def _end(self, step: str, *, commit: bool) -> None:
        await self._arrived()
        if self._begun:
            await self._network.call(step, lambda: self._broker.end(self._id, self._epoch, commit=commit))
        self._begun = False

    async def close(self) -> None:
        """Stop waiting for whatever is on its way."""
        sent, self._sent = self._sent, []
        for delivery in sent:
            delivery.cancel()
        await asyncio.gather(*sent, return_exceptions=True)

    async def _asked(self, step: str, effect: Callable[[], T]) -> T:
        """Ask the broker, and ask again as long as it still ends the transaction before."""
        while True:
            try:
                return await self._network.call(step, effect)
            except ConcurrentTransactionsError:
                await asyncio.sleep(_ASK_AGAIN_SECONDS)

    def _what(self, call: str) -> str:
        return f"{call} of producer {self._id}"


def _batches(records: Sequence[OutputRecord], bytes_max: int) -> Iterator[Sequence[OutputRecord]]:
    """Cut where a batch would become too large; a single larger record is one of its own."""
    start = size = 0
    for index, record in enumerate(records):
        own = len(record.key or b"") + len(record.value or b"")
        if size + own > bytes_max and index > start:
            yield records[start:index]
            start, size = index, 0
        size += own
    if start < len(records):
        yield records[start:]
