"""The transactional producer of one task, over aiokafka: every call within a named time limit, every send awaited."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams.kafka.errors import ended, limited, retrieve_error
from streams.kafka.security import aiokafka_options
from streams.ports import OutputRecord, PortError
from streams.settings import Settings
from streams.topics import names_of

logger = logging.getLogger(__name__)

_NO_HEADERS: Final[list[tuple[str, bytes]]] = []
"""The client wants a list and does not change it."""
_REQUEST_MS_MIN: Final = 2_000
"""However short the limits: a broker that is just busy must not be asked the same again and again."""
_TRIES_IN_LIMIT: Final = 6
"""How often one request fits into the shortest limit of a step: an answer that was lost, or a broker that froze, costs one
try and not the process. Asked again, the broker knows what it has done: batches have numbers, a commit is one."""


class KafkaSink:
    """See `streams.ports.Sink`. Its `transactional.id` is fixed for the task, which is what fences a zombie."""

    def __init__(self, settings: Settings, task: int, inputs: Sequence[str] | None = None) -> None:
        """Connects only in `open`. `inputs`: whose offsets it commits, the events' topics unless given."""
        self._settings = settings
        self._task = task
        self._inputs = inputs or names_of(settings).consumed
        self._producer: Any = None
        self._sent: list[asyncio.Future[Any]] = []

    async def open(self) -> None:
        """Fence the former producer and finish its transaction."""
        settings = self._settings
        shortest_ms = min(settings.send_timeout_ms, settings.offsets_timeout_ms, settings.commit_timeout_ms)
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.broker,
            client_id=f"{settings.group_id}-task-{self._task}",
            transactional_id=settings.transactional_id(self._task),
            transaction_timeout_ms=settings.transaction_timeout_ms,
            max_batch_size=settings.producer_batch_bytes_max,
            request_timeout_ms=max(_REQUEST_MS_MIN, shortest_ms // _TRIES_IN_LIMIT),
            **aiokafka_options(settings),
        )
        self._producer.client.coordinator_lookup = _asked_again(self._producer.client.coordinator_lookup)
        start = asyncio.ensure_future(self._start())
        try:
            await asyncio.shield(start)
        except asyncio.CancelledError:
            # A request on its way would fence whoever has the task next: it has to be over before tasks move.
            await asyncio.wait([start])
            raise

    async def _start(self) -> None:
        settings = self._settings
        async with limited(
            settings.producer_start_timeout_ms, "producer_start_timeout_ms", self._what("producer start")
        ):
            await self._producer.start()

    async def begin(self) -> None:
        """Begin a transaction."""
        async with limited(self._settings.begin_timeout_ms, "begin_timeout_ms", self._what("begin")):
            await self._producer.begin_transaction()

    async def send(
        self, topic: str, records: Sequence[OutputRecord], timestamp_ms: int, partition: int | None = None
    ) -> None:
        """Hand over records; a whole batch costs the client one future instead of one for each record."""
        async with limited(self._settings.send_timeout_ms, "send_timeout_ms", self._what(f"send to {topic}")):
            place = self._task if partition is None else partition
            batch = self._producer.create_batch()
            append = batch.append
            for key, value, own_headers in records:
                headers = list(own_headers) if own_headers else _NO_HEADERS
                if append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is not None:
                    continue
                await self._send_batch(batch, topic, place)
                batch = self._producer.create_batch()
                append = batch.append
                if append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is None:
                    raise PortError(f"{self._what(f'send to {topic}')}: a record fits into no batch")
            if batch.record_count():
                await self._send_batch(batch, topic, place)

    async def _send_batch(self, batch: Any, topic: str, partition: int) -> None:
        while True:
            try:
                self._sent.append(await self._producer.send_batch(batch, topic, partition=partition))
            except KafkaTimeoutError:
                continue  # the queue was full for as long as one request may take; ours is the step's limit
            return

    async def flush(self) -> None:
        """Wait until every record handed over is in the log."""
        sent, self._sent = self._sent, []
        if not sent:
            return
        async with limited(self._settings.send_timeout_ms, "send_timeout_ms", self._what("acknowledgement")):
            await asyncio.wait(sent)
            failed = [error for future in sent if (error := future.exception()) is not None]
            if failed:
                raise failed[0]

    async def send_offsets(self, offsets: Sequence[int]) -> None:
        """Make the group's offsets of this task part of the transaction."""
        positions = {
            TopicPartition(name, self._task): OffsetAndMetadata(offset, "")
            for name, offset in zip(self._inputs, offsets, strict=True)
        }
        async with limited(self._settings.offsets_timeout_ms, "offsets_timeout_ms", self._what("offsets")):
            await self._producer.send_offsets_to_transaction(positions, self._settings.group_id)

    async def commit(self) -> None:
        """Commit; an error leaves open whether it is committed."""
        async with limited(self._settings.commit_timeout_ms, "commit_timeout_ms", self._what("commit")):
            await self._producer.commit_transaction()

    async def abort(self) -> None:
        """Take the transaction back."""
        self._sent.clear()
        async with limited(self._settings.abort_timeout_ms, "abort_timeout_ms", self._what("abort")):
            await self._producer.abort_transaction()

    async def close(self) -> None:
        """Let go of the connections; what the broker still knows of an open transaction, the next producer ends."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        timeout_seconds = self._settings.producer_stop_timeout_ms / 1000
        _retrieve_errors(producer)
        failure = await ended(producer.stop(), timeout_seconds)
        _retrieve_errors(producer)  # what fails only now that all is let go
        if failure is not None:
            logger.warning("%s: %r; connections are cut", self._what("stop"), failure)
            await ended(producer.client.close(), timeout_seconds)

    def _what(self, call: str) -> str:
        return f"{call} of producer {self._settings.transactional_id(self._task)}"


def _asked_again(
    lookup: Callable[[int, str], Coroutine[Any, Any, int]],
) -> Callable[[int, str], Coroutine[Any, Any, int]]:
    """Have the client look for a coordinator again where the connection breaks while it asks, as where there is none.

    It would give the producer up; but where a coordinator is looked for, connections do break.
    """

    async def look_up(kind: int, key: str) -> int:
        try:
            return await lookup(kind, key)
        except KafkaConnectionError as error:
            raise NodeNotReadyError(str(error)) from error

    return look_up


def _retrieve_errors(producer: Any) -> None:
    """Look at errors that the client keeps for nobody: told once where they happened, the loop would tell them again."""
    batches = producer._message_accumulator._batches.values()  # noqa: SLF001 - nothing public gives them
    transaction = producer._txn_manager  # noqa: SLF001 - as above
    kept = [batch._drain_waiter for waiting in batches for batch in waiting]  # noqa: SLF001 - as above
    kept += [future for _group, _offsets, future in transaction._pending_txn_offsets]  # noqa: SLF001 - as above
    kept.append(transaction._transaction_waiter)  # noqa: SLF001 - as above
    for future in kept:
        if future is not None:
            future.add_done_callback(retrieve_error)
