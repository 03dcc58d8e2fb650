"""Lenders' producers compress as they like: whatever Kafka knows is read, by the workers' client and by the command line's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from streams.kafka.inspection import Inspector
from streams.kafka.local import Broker
from streams.ports import OutputRecord
from streams.settings import Settings
from tests.support.processes import wait_until
from tests.support.world import KafkaWorld, read_kafka, settings_for

pytestmark = pytest.mark.kafka

VALUES = [b'{"type":"heartbeat","event_time_ms":%d}' % number for number in range(500)]


async def write(settings: Settings, topic: str, codec: str) -> None:
    """One compressed batch of all values into partition 0."""
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=settings.broker, compression_type=codec, max_batch_size=2**18
    )
    await producer.start()
    try:
        batch = producer.create_batch()
        for value in VALUES:
            assert batch.append(timestamp=1, key=None, value=value) is not None
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_records_are_read(broker: Broker, codec: str) -> None:
    """What stands in an input topic comes out of it byte for byte."""
    settings = settings_for(f"compressed-{codec}", broker.bootstrap_servers)
    topic = KafkaWorld(settings).names.inputs[0]
    asyncio.run(write(settings, topic, codec))

    by_worker = asyncio.run(read_kafka(settings, topic))
    with Inspector(settings) as inspector:
        by_command = [record.value for record in inspector.read(topic, [0])]

    assert [record.value for record in by_worker[0]] == VALUES
    assert by_command == VALUES


def let_the_broker_compress(settings: Settings, topic: str) -> None:
    """What an operator does who is short of disks."""
    admin: Any = KafkaAdminClient(bootstrap_servers=settings.broker)
    name, wanted = "compression.type", "zstd"
    try:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={name: wanted})])
        asked = ConfigResource(ConfigResourceType.TOPIC, topic)
        wait_until(
            lambda: (
                admin.describe_configs([asked], config_filter="all")["topic"][topic][name]["value"] == wanted
            ),
            "the topic is compressed",
        )
    finally:
        admin.close()


async def write_states(world: KafkaWorld, states: list[bytes]) -> None:
    """As a worker writes them."""
    sink = world.ports.sink(0)
    await sink.open()
    try:
        await sink.begin()
        await sink.send(world.names.state, [OutputRecord(b"b", state) for state in states], timestamp_ms=1)
        await sink.flush()
        await sink.commit()
    finally:
        await sink.close()


def test_a_changelog_that_the_broker_compresses_is_read(broker: Broker) -> None:
    """The worker writes as always, and reads back what it wrote, byte for byte."""
    settings = settings_for("compressed-state", broker.bootstrap_servers)
    world = KafkaWorld(settings)
    let_the_broker_compress(settings, world.names.state)
    states = [b"state %d " % number * 100 for number in range(200)]

    asyncio.run(write_states(world, states))

    assert [record.value for record in asyncio.run(read_kafka(settings, world.names.state))[0]] == states
