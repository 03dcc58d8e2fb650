"""A producer for records outside any transaction, as the command line writes them.

It is idempotent and every replica in sync acknowledges: a record is neither lost nor, by the client's own retries,
written twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.kafka.errors import ended
from streams.kafka.security import aiokafka_options
from streams.settings import Settings

_BATCH_BYTES_MAX: Final = 256 * 1024
"""Larger batches gain nothing measurable; thirty-two partitions of them are 8 MiB. A single larger record still gets a
batch of its own."""

_STOP_TIMEOUT_SECONDS: Final = 10.0
"""Everything is acknowledged before the producer stops: only connections are left to close."""

_OF_A_BROKER_AWAY: Final = (KafkaError, TimeoutError, OSError, asyncio.CancelledError)
"""What stopping may end with then: all that mattered was acknowledged, or its error is already on its way up."""


@asynccontextmanager
async def idempotent_producer(
    settings: Settings, client_id: str, request_timeout_ms: int
) -> AsyncIterator[AIOKafkaProducer]:
    """Connect for as long as the context lasts. Whoever writes waits for every acknowledgement before it ends.

    Args:
        settings: name the broker.
        client_id: by which the broker's log knows who writes.
        request_timeout_ms: after this without an acknowledgement a batch counts as not written.

    Raises:
        KafkaError, OSError: nobody can be reached.
        TimeoutError: nobody answers within `start_timeout_ms`.
    """
    # While a broker is away the client says so ten times a second; what matters is raised.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.broker,
        client_id=client_id,
        enable_idempotence=True,
        acks="all",
        max_batch_size=_BATCH_BYTES_MAX,
        request_timeout_ms=request_timeout_ms,
        **aiokafka_options(settings),
    )
    try:
        async with asyncio.timeout(settings.start_timeout_ms / 1000):
            await producer.start()
        yield producer
    finally:
        failure = await ended(producer.stop(), _STOP_TIMEOUT_SECONDS)
        if failure is not None and not isinstance(failure, _OF_A_BROKER_AWAY):
            raise failure
