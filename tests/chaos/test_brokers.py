"""What the chaos run does to brokers happens, on three real ones, and is over when it says so."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError, NotEnoughReplicasError

from streams.kafka.local import NamedBroker
from tests.chaos import brokers
from tests.chaos.proxy import END_TXN, ProxiedKafka
from tests.support.kafka import create_topic, unique

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def kafka() -> Iterator[ProxiedKafka]:
    """Three brokers, each behind its proxy."""
    with ProxiedKafka(3) as kafka:
        yield kafka


async def replicated_topic(kafka: ProxiedKafka) -> str:
    """Make a topic of one partition on all three brokers."""
    topic = unique("chaos")
    await create_topic(NamedBroker(kafka.direct_servers), topic, replicas=3)
    return topic


@asynccontextmanager
async def producer(servers: str, **options: Any) -> AsyncIterator[Any]:
    """A producer that waits for all in-sync replicas."""
    made = AIOKafkaProducer(bootstrap_servers=servers, acks="all", **options)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


async def readable(servers: str, topic: str, count: int) -> list[bytes]:
    """Return the first committed values of a topic."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        return [(await asyncio.wait_for(consumer.getone(), 30)).value for _ in range(count)]
    finally:
        await consumer.stop()


async def test_a_commit_whose_answer_is_lost_is_a_commit(kafka: ProxiedKafka) -> None:
    """The client asks again and is told yes; a `read_committed` reader sees the records once."""
    topic = await replicated_topic(kafka)
    async with producer(kafka.bootstrap_servers, transactional_id=topic) as transactional:
        for value in (b"cut", b"not cut"):
            await transactional.begin_transaction()
            await (await transactional.send(topic, value))
            if value == b"cut":
                kafka.faults.strike(END_TXN, "cut")
            await transactional.commit_transaction()

    assert kafka.faults.struck(END_TXN, "cut") == 1
    assert await readable(kafka.direct_servers, topic, 2) == [b"cut", b"not cut"]


async def test_a_leader_is_moved(kafka: ProxiedKafka) -> None:
    """Leadership is where it was ordered to, and the partition is whole."""
    topic = await replicated_topic(kafka)
    (before,) = brokers.replicas(kafka.cluster, [topic])
    target = before.replicas[1]

    brokers.move_leader(kafka.cluster, topic, 0, target)
    assert brokers.leader(kafka.cluster, topic, 0) == target

    assert brokers.move_leaders(kafka.cluster, [topic]) == 1
    assert brokers.leader(kafka.cluster, topic, 0) not in {None, target}
    brokers.wait_until_healthy(kafka.cluster)


async def test_what_a_killed_broker_coordinated_moves(kafka: ProxiedKafka) -> None:
    """While it is dead others coordinate, and its partitions are unhealthy; once it is back all is whole."""
    cluster, name = kafka.cluster, unique("coordinated")
    index = brokers.transaction_coordinator(cluster, name)
    brokers.group_coordinator(cluster, name)  # from here on there is a topic of offsets
    cluster.kill(index)
    try:
        assert brokers.transaction_coordinator(cluster, name) != index
        assert brokers.group_coordinator(cluster, name) != index
        assert brokers.unhealthy(cluster)
    finally:
        cluster.start(index)
    brokers.wait_until_healthy(cluster)

    assert brokers.unhealthy(cluster) == []


async def test_below_the_minimum_in_sync_nothing_is_accepted(kafka: ProxiedKafka) -> None:
    """`acks=all` is refused for as long as the block lasts, and accepted again behind it."""
    topic = await replicated_topic(kafka)
    async with producer(kafka.direct_servers, request_timeout_ms=1_000) as hasty:
        with brokers.below_min_in_sync(kafka.cluster, [topic], index=1):
            with pytest.raises((NotEnoughReplicasError, KafkaTimeoutError)):
                await hasty.send_and_wait(topic, b"refused")
            assert any(one.topic == topic for one in brokers.unhealthy(kafka.cluster))
        await hasty.send_and_wait(topic, b"accepted")

    assert await readable(kafka.direct_servers, topic, 1) == [b"accepted"]
