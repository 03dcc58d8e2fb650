"""The producer of the command line: what ends it is what is told."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.kafka import idempotent
from streams.kafka.idempotent import idempotent_producer
from streams.settings import Settings


class _Producer:
    """A client that finds nobody, and ends as it was told to when it is stopped."""

    end: BaseException

    def __init__(self, **options: object) -> None:
        """Any options do."""

    async def start(self) -> None:
        raise KafkaConnectionError("nobody there")

    async def stop(self) -> None:
        raise self.end


@pytest.mark.parametrize(
    "end", [asyncio.CancelledError(), KafkaConnectionError("still nobody"), OSError("cut")]
)
async def test_an_end_amid_a_broken_connection_does_not_hide_why(
    end: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client may let the cancellation of its own tasks out of `stop`: what comes out is that nobody was there."""
    monkeypatch.setattr(_Producer, "end", end, raising=False)
    monkeypatch.setattr(idempotent, "AIOKafkaProducer", _Producer)

    with pytest.raises(KafkaConnectionError, match="nobody there"):
        async with idempotent_producer(Settings(), "test", 1_000):
            raise AssertionError("nobody could be written to")


async def test_a_fault_in_stopping_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no broker that is away explains is a fault, and is not passed over."""
    monkeypatch.setattr(_Producer, "end", RuntimeError("a fault"), raising=False)
    monkeypatch.setattr(idempotent, "AIOKafkaProducer", _Producer)

    with pytest.raises(RuntimeError, match="a fault"):
        async with idempotent_producer(Settings(), "test", 1_000):
            raise AssertionError("nobody could be written to")
