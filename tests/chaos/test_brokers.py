"""What the chaos run does to brokers happens, on three real ones, and is over when it says so."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError, NotEnoughReplicasError, RequestTimedOutError

from streams.kafka.local import NamedBroker
from streams.kafka.logs import KafkaLogs
from streams.kafka.producer import KafkaSink
from streams.kafka.source import KafkaSource
from streams.ports import LogRange, OutputRecord
from tests.chaos import brokers
from tests.chaos.proxy import END_TXN, FIND_COORDINATOR, LIST_OFFSETS, ProxiedKafka
from tests.support.kafka import create_topic, unique
from tests.support.world import PATIENCE_SECONDS, no_handover, settings_for

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
        return [(await asyncio.wait_for(consumer.getone(), PATIENCE_SECONDS)).value for _ in range(count)]
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


async def test_below_the_minimum_in_sync_nothing_is_accepted(kafka: ProxiedKafka) -> None:
    """One broker is dead: `acks=all` is refused, others coordinate what it did; behind the block all is whole again."""
    cluster, topic = kafka.cluster, await replicated_topic(kafka)
    index = brokers.transaction_coordinator(cluster, topic)
    async with producer(kafka.direct_servers, request_timeout_ms=1_000) as hasty:
        with brokers.below_min_in_sync(cluster, [topic], index=index):
            with pytest.raises((NotEnoughReplicasError, KafkaTimeoutError, RequestTimedOutError)):
                await hasty.send_and_wait(topic, b"refused")
            assert brokers.transaction_coordinator(cluster, topic) != index
            assert brokers.group_coordinator(cluster, topic) != index
            assert any(one.topic == topic for one in brokers.unhealthy(cluster))
    assert brokers.unhealthy(cluster) == []
    async with producer(kafka.direct_servers) as patient:
        await patient.send_and_wait(topic, b"accepted")

    assert await readable(kafka.direct_servers, topic, 1) == [b"accepted"]


async def test_an_answer_that_never_comes_costs_one_try(kafka: ProxiedKafka) -> None:
    """A commit whose answer is lost without a trace is asked for again well within its limit, and is one commit.

    Looking for the coordinator meets trouble as well: that is no reason to give up either.
    """
    topic = await replicated_topic(kafka)
    sink = KafkaSink(settings_for("mute", kafka.bootstrap_servers, commit_timeout_ms=8_000), 0)
    await sink.open()
    try:
        for value in (b"mute", b"heard"):
            await sink.begin()
            await sink.send(topic, [OutputRecord(b"key", value)], 0)
            await sink.flush()
            if value == b"mute":
                kafka.faults.strike(END_TXN, "swallow")
                kafka.faults.strike(FIND_COORDINATOR, "cut")
            await sink.commit()
    finally:
        await sink.close()

    assert kafka.faults.struck(END_TXN, "swallow") == kafka.faults.struck(FIND_COORDINATOR, "cut") == 1
    assert await readable(kafka.direct_servers, topic, 2) == [b"mute", b"heard"]


async def test_a_broker_that_does_not_answer_is_passed_over(
    kafka: ProxiedKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker connects by way of the next one named; and where a connection goes silent later, it makes another."""
    topic = await replicated_topic(kafka)
    brokers.move_leader(kafka.cluster, topic, 0, 1)
    settings = settings_for("silent", kafka.bootstrap_servers, session_timeout_ms=2_000)
    monkeypatch.setattr("streams.kafka.logs._REQUEST_TIMEOUT_MS", 2_000)
    logs, source = KafkaLogs(settings), KafkaSource(settings)
    try:
        with kafka.partitioned(0):
            await asyncio.gather(logs.start(), source.start(no_handover))
        kafka.faults.strike(LIST_OFFSETS, "swallow")
        assert await logs.ranges([topic], [0]) == {(topic, 0): LogRange(0, 0)}
    finally:
        await asyncio.gather(logs.stop(), source.stop())
    assert kafka.faults.struck(LIST_OFFSETS, "swallow") == 1
