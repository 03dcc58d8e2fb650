"""What the rebalance listener does, where the client would only log."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from streams.kafka.source import KafkaSource
from streams.ports import Assignment, PortError
from streams.settings import Settings
from streams.topics import TopicNames


class Consumer:
    """As much of the client as the listener touches."""

    def __init__(self) -> None:
        self.paused: set[TopicPartition] = set()
        self.sought: dict[TopicPartition, int] = {}
        self._coordinator = SimpleNamespace(generation=7)
        self._fetcher = SimpleNamespace(error_future=None)

    def pause(self, partition: TopicPartition) -> None:
        self.paused.add(partition)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought[partition] = offset


def joined() -> tuple[KafkaSource, Consumer]:
    """A source that has joined."""
    source = KafkaSource(Settings())
    consumer = Consumer()
    source._consumer = consumer
    return source, consumer


def partitions(*tasks: int) -> set[Any]:
    """All topics of some tasks."""
    return {TopicPartition(topic, task) for topic in TopicNames("").consumed for task in tasks}


def test_an_assignment_closes_every_gate() -> None:
    """Nothing is read before the task is restored and sought."""
    source, consumer = joined()
    source.on_partitions_assigned(partitions(0, 3))

    assert source.assignment == Assignment(7, frozenset({0, 3}))
    assert consumer.paused == set(consumer.sought) == partitions(0, 3)


def test_a_split_task_is_never_worked_on() -> None:
    """An assignment that splits a task is raised to the pipeline, with what is missing."""
    source, _ = joined()
    source.on_partitions_assigned(partitions(0, 1) - {TopicPartition("repayments", 1)})

    with pytest.raises(PortError, match="splits tasks, repayments-1 are elsewhere"):
        _ = source.assignment


def test_nothing_the_listener_meets_is_swallowed() -> None:
    """Whatever goes wrong while the gates are closed ends the worker."""
    source, consumer = joined()
    del consumer._coordinator
    source.on_partitions_assigned(partitions(0))

    with pytest.raises(PortError, match="assignment failed"):
        _ = source.assignment


def test_no_task_is_an_assignment_too() -> None:
    """A worker beyond the number of partitions stands by."""
    source, _ = joined()
    source.on_partitions_assigned(set())

    assert source.assignment == Assignment(7, frozenset())


class Leaving:
    """A client that ends its own tasks in its own way."""

    def __init__(self, dies_of: BaseException | None = None, *, hangs: bool = False) -> None:
        self.cut = False
        self._dies_of = dies_of
        self._hangs = hangs
        self._client = SimpleNamespace(close=self._close)

    async def stop(self) -> None:
        if self._hangs:
            await asyncio.Event().wait()
        if self._dies_of is not None:
            raise self._dies_of

    async def _close(self) -> None:
        self.cut = True


@pytest.mark.parametrize("dies_of", [asyncio.CancelledError(), OSError("gone")])
async def test_what_leaving_dies_of_hides_nothing(dies_of: BaseException) -> None:
    """The client lets a cancelled task's error out of its stop: it must not pass for the worker's own cancellation."""
    source = KafkaSource(Settings())
    source._consumer = leaving = Leaving(dies_of)
    await source.stop()

    assert leaving.cut


async def test_leaving_has_a_limit() -> None:
    """A client that never finishes is given up, and its connections are cut."""
    source = KafkaSource(Settings(source_stop_timeout_ms=1))
    source._consumer = leaving = Leaving(hangs=True)
    await source.stop()

    assert leaving.cut


async def test_our_own_cancellation_goes_through() -> None:
    """Who cancels a source that is leaving gets the cancellation, and no wait for the limit."""
    source = KafkaSource(Settings())
    source._consumer = Leaving(hangs=True)
    stopping = asyncio.create_task(source.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping


async def test_a_client_that_fetches_no_more_is_an_error() -> None:
    """The client's own polls would be empty for ever."""
    source, consumer = joined()
    fetching: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    fetching.set_exception(OSError("unforeseen"))
    consumer._fetcher = SimpleNamespace(error_future=fetching)

    with pytest.raises(PortError, match=r"ended by itself: OSError\('unforeseen'\)"):
        await source.poll(0)
