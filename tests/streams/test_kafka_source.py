"""What the rebalance listener does, where the client would only log."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from models.events import TOPICS
from streams.kafka.source import KafkaSource
from streams.ports import Assignment, PortError
from streams.settings import Settings


class Consumer:
    """As much of the client as the listener touches."""

    def __init__(self) -> None:
        self.paused: set[TopicPartition] = set()
        self.sought: dict[TopicPartition, int] = {}
        self._coordinator = SimpleNamespace(generation=7)

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
    return {TopicPartition(topic, task) for topic in TOPICS for task in tasks}


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
