"""Promises that only a real broker can break: what the client does when the broker refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from streams.clock import SystemClock
from streams.kafka.local import Broker
from streams.kafka.ports import KafkaPorts
from streams.metrics import PlainMetrics
from streams.pipeline import Pipeline, PipelineError
from streams.ports import EngineMaker, Logs, OutputRecord
from streams.settings import Settings
from streams.topics import MESSAGE_BYTES, OUTPUT_RECORD_BYTES_MAX, TopicNames
from tests.support.fake_engine import FakeEngineMaker
from tests.support.house import undisturbed
from tests.support.workload import Produced, alerts_of, closing, comparable, events
from tests.support.world import (
    KafkaWorld,
    assigned,
    no_handover,
    poll_records,
    produce,
    read_kafka,
    settings_for,
    values,
)

pytestmark = pytest.mark.kafka

REPAYMENTS = 2
UNREADABLE = b"no json at all, " * 500


def worker(settings: Settings) -> Pipeline:
    """A worker with the fake engine, in this process."""

    async def prepare(logs: Logs) -> EngineMaker:
        return FakeEngineMaker()

    return Pipeline(KafkaPorts(settings), prepare, settings, SystemClock(), PlainMetrics())


def limit(settings: Settings, topic: str, message_bytes: int) -> None:
    """Let the broker refuse larger batches."""
    admin = KafkaAdminClient(bootstrap_servers=settings.broker)
    configs = {MESSAGE_BYTES: str(message_bytes)}
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])
    admin.close()


async def group_offset(settings: Settings, topic: str) -> int | None:
    """What the group committed of partition 0."""
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=settings.broker, group_id=settings.group_id, enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        offset: int | None = await consumer.committed(TopicPartition(topic, 0))
        return offset
    finally:
        await consumer.stop()


async def test_nothing_of_a_transaction_is_seen_when_the_broker_refuses_a_record(broker: Broker) -> None:
    """A dead letter larger than its topic allows: the rest is not committed without it, and the pipeline ends."""
    settings = settings_for("promise", broker.bootstrap_servers, clock="event", until_end=True, partitions=1)
    await asyncio.to_thread(KafkaWorld, settings)
    names = TopicNames(settings.topic_prefix)
    await asyncio.to_thread(limit, settings, names.dead_letters, len(UNREADABLE) // 2)
    records = [Produced(REPAYMENTS, 0, b"borrower-1", UNREADABLE), *events(1, 200, 1), *closing(200, 1)]
    await produce(settings, records)

    with pytest.raises(PipelineError):
        async with asyncio.timeout(60):
            await worker(settings).run()
    seen = [await read_kafka(settings, topic) for topic in (names.alerts, names.dead_letters, names.state)]
    position = await group_offset(settings, names.inputs[REPAYMENTS])
    await asyncio.to_thread(limit, settings, names.dead_letters, OUTPUT_RECORD_BYTES_MAX)
    async with asyncio.timeout(60):
        await worker(settings).run()
    expected = await asyncio.to_thread(undisturbed, records, 1)

    assert seen == [[[]], [[]], [[]]]
    assert position is None
    assert comparable(alerts_of(await read_kafka(settings, names.alerts))) == comparable(expected.alerts())
    assert [one.value for one in (await read_kafka(settings, names.dead_letters))[0]] == [UNREADABLE]


async def test_offsets_of_a_transaction_that_is_taken_back_never_count(broker: Broker) -> None:
    """Neither while it is open nor after it was aborted: the position moves with what it stands for, or not at all."""
    settings = settings_for("promise", broker.bootstrap_servers, partitions=1)
    await asyncio.to_thread(KafkaWorld, settings)
    names = TopicNames(settings.topic_prefix)
    sink = KafkaPorts(settings).sink(0)
    await sink.open()
    await sink.begin()
    await sink.send(names.alerts, [OutputRecord(b"borrower-1", b"{}")], 1)
    await sink.flush()
    await sink.send_offsets((5, 6, 7, 8, 9))
    while_open = await group_offset(settings, names.inputs[REPAYMENTS])
    await sink.abort()
    await sink.close()

    assert while_open is None
    assert await group_offset(settings, names.inputs[REPAYMENTS]) is None


async def test_events_that_their_producer_took_back_are_never_read(broker: Broker) -> None:
    """A feed may be transactional itself: what it aborted is no event, and what comes behind is not held up."""
    settings = settings_for("promise", broker.bootstrap_servers, partitions=1)
    await asyncio.to_thread(KafkaWorld, settings)
    topic = TopicNames(settings.topic_prefix).inputs[REPAYMENTS]
    feeding = KafkaPorts(settings).sink(0)
    await feeding.open()
    for value, is_kept in ((b"taken back", False), (b"kept", True)):
        await feeding.begin()
        await feeding.send(topic, [OutputRecord(b"borrower-1", value)], 1)
        await feeding.flush()
        await (feeding.commit() if is_kept else feeding.abort())
    await feeding.close()
    source = KafkaPorts(settings).source()
    await source.start(no_handover)
    await assigned(source)
    source.open(0, (0, 0, 0, 0, 0))
    read = await poll_records(source, 1)
    await source.stop()

    assert {place: values(records) for place, records in read.items()} == {(REPAYMENTS, 0): [b"kept"]}
