"""From the client's errors to ours, around every call and within its named time limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka import errors as kafka_errors

from streams import time_limits
from streams.kafka.denials import denial
from streams.ports import BrokerUnavailableError, FencedError, PortError

_FENCED_CODES: Final = frozenset({90})
"""PRODUCER_FENCED (KIP-588): newer brokers answer it, the client does not know it by name."""

_CANCEL_SECONDS: Final = 1.0
"""To die of having been cancelled: what takes longer is left to the end of the process."""


@asynccontextmanager
async def limited(timeout_ms: int, limit_name: str, what: str) -> AsyncIterator[None]:
    """Run a call to the client within a time limit.

    Raises:
        FencedError: another producer has the transactional id.
        BrokerUnavailableError: no broker answers.
        PortError: anything else that the client reports, or the limit passed.
    """
    try:
        async with time_limits.limited(timeout_ms, limit_name, what):
            yield
    except (kafka_errors.ProducerFenced, kafka_errors.InvalidProducerEpoch) as error:
        raise _fenced(what) from error
    except kafka_errors.KafkaConnectionError as error:
        raise BrokerUnavailableError(f"{what}: no broker answers: {error}") from error
    except kafka_errors.KafkaError as error:
        if getattr(error, "errno", None) in _FENCED_CODES or isinstance(
            error.__cause__, kafka_errors.ProducerFenced | kafka_errors.InvalidProducerEpoch
        ):
            raise _fenced(what) from error
        raise PortError(f"{what} failed: {denial(error) or repr(error)}") from error


async def ended(stopping: Coroutine[Any, Any, object], seconds: float) -> BaseException | None:
    """Let a client stop, within a limit; return what it died of, if it did.

    In a task of its own: the client stops its own tasks by cancelling them, and lets the `CancelledError` of one that
    was just waiting to fetch again out of `stop`. Here that would pass for our own cancellation, and hide why we stop.
    """
    task = asyncio.ensure_future(stopping)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        unfinished = not task.done()
        task.cancel()
    if unfinished:
        await asyncio.wait([task], timeout=_CANCEL_SECONDS)
        return TimeoutError(f"not done within {seconds:g} s")
    return asyncio.CancelledError("inside the client") if task.cancelled() else task.exception()


def retrieve_error(future: asyncio.Future[Any]) -> None:
    """Look at the outcome of what nobody may come to await: the loop would tell its error, when another has told it."""
    if not future.cancelled():
        future.exception()


def _fenced(what: str) -> FencedError:
    return FencedError(
        f"{what}: fenced, another worker has taken this task over, or the broker has ended the transaction. Was this process "
        f"stalled for longer than its session, or a transaction open for longer than transaction_timeout_ms?"
    )
