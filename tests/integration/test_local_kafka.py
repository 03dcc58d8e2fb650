"""The broker we bring along: it works, it can be hurt on purpose, and it never stays behind."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from streams.kafka.local import (
    Broker,
    BrokerStartError,
    BrokerUnreachableError,
    LocalKafka,
    NamedBroker,
    find_broker,
)
from streams.kafka.local.answers import answering_brokers
from streams.kafka.local.processes import GuardedProcesses
from tests.support.kafka import create_topic, unique
from tests.support.processes import processes_naming, wait_until

pytestmark = pytest.mark.kafka

OWNER = """
import sys
from streams.kafka.local import LocalKafka
from streams.kafka.local.answers import answering_brokers

with LocalKafka() as kafka:
    try:
        print(kafka.folder, flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        print(len(answering_brokers(kafka.bootstrap_servers, timeout_seconds=30.0)), flush=True)
"""


@contextmanager
def owner_process() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another Python, in a session of its own, that owns a local Kafka; yields it and the Kafka's folder."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as owner:
        try:
            assert owner.stdout is not None
            yield owner, Path(owner.stdout.readline().strip())
        finally:
            owner.kill()


def assert_nothing_stays(folder: Path) -> None:
    """Fail unless the broker, its guard and their folder go away."""
    wait_until(lambda: not processes_naming(str(folder)), "the broker and its guard have ended")
    assert not folder.exists()


async def read(servers: str, topic: str, count: int) -> list[tuple[bytes | None, bytes | None]]:
    """Return key and value of the topic's first records; it has one partition."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    await consumer.start()
    try:
        records = [await asyncio.wait_for(consumer.getone(), timeout=60) for _ in range(count)]
    finally:
        await consumer.stop()
    return [(record.key, record.value) for record in records]


async def write(servers: str, topic: str, key: bytes, value: bytes) -> None:
    """Return when all in-sync replicas have the record."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, acks="all", max_request_size=2_000_000)
    await producer.start()
    try:
        await asyncio.wait_for(producer.send_and_wait(topic, value, key=key), timeout=60)
    finally:
        await producer.stop()


async def test_a_record_comes_back_as_it_was_sent(broker: Broker) -> None:
    """What is written to the broker of the test run can be read from it."""
    topic = unique("there-and-back")
    await create_topic(broker, topic)
    await write(broker.bootstrap_servers, topic, b"borrower", b'{"amount_minor": 1}')

    assert await read(broker.bootstrap_servers, topic, 1) == [(b"borrower", b'{"amount_minor": 1}')]


async def test_a_rejected_megabyte_fits_with_its_headers(broker: Broker) -> None:
    """A record of one MiB plus most of the 64 KiB margin is accepted where the topic allows it."""
    topic = unique("wide")
    value = b"x" * (1024 * 1024 + 60 * 1024)
    await create_topic(broker, topic, configs={"max.message.bytes": str(1_048_588 + 64 * 1024)})
    await write(broker.bootstrap_servers, topic, b"borrower", value)

    assert await read(broker.bootstrap_servers, topic, 1) == [(b"borrower", value)]


async def test_three_brokers_survive_the_loss_of_any_one() -> None:
    """With one of three brokers killed, acknowledged writes go on; it comes back on its port, with its data."""
    with LocalKafka(3) as kafka:
        await create_topic(kafka, "replicated", replicas=3)
        await write(kafka.bootstrap_servers, "replicated", b"before", b"1")
        kafka.kill(0)

        assert not kafka.running(0)
        await write(",".join(kafka.addresses[1:]), "replicated", b"meanwhile", b"2")

        kafka.start(0)

        assert answering_brokers(kafka.addresses[0], timeout_seconds=60.0) == frozenset(kafka.addresses)
        assert await read(kafka.addresses[0], "replicated", 2) == [(b"before", b"1"), (b"meanwhile", b"2")]


async def test_a_stopped_broker_keeps_its_data() -> None:
    """What was acknowledged is still there after an orderly restart, and nothing is when the block has ended."""
    with LocalKafka() as kafka:
        folder = kafka.folder
        await create_topic(kafka, "kept")
        await write(kafka.bootstrap_servers, "kept", b"key", b"value")
        kafka.restart(0)

        assert await read(kafka.bootstrap_servers, "kept", 1) == [(b"key", b"value")]
    assert_nothing_stays(folder)


def test_nothing_stays_after_kill_9_of_the_owner() -> None:
    """An owner that can no longer clean up leaves neither Java nor folder behind."""
    with owner_process() as (owner, folder):
        assert len(processes_naming(str(folder))) == 2  # the guard and one broker
        owner.kill()
        owner.wait()
        assert_nothing_stays(folder)


def test_nothing_stays_after_an_exception() -> None:
    """An exception inside the block passes through, and ends the broker."""
    folders = []
    with pytest.raises(LookupError), LocalKafka() as kafka:  # noqa: PT012 - the block is what is tested
        folders.append(kafka.folder)
        raise LookupError
    assert_nothing_stays(folders[0])


def test_ctrl_c_reaches_the_owner_and_not_the_broker() -> None:
    """A terminal interrupts its whole process group: the broker still answers while its owner drains."""
    with owner_process() as (owner, folder):
        os.killpg(owner.pid, signal.SIGINT)
        assert owner.stdout is not None

        assert owner.stdout.readline() == "1\n"
        assert owner.wait() == 0
        assert_nothing_stays(folder)


def test_nothing_stays_when_the_guard_does_not_come_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the moment between the folder and the guard who would remove it."""

    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("subprocess.Popen", interrupted)

    with pytest.raises(KeyboardInterrupt):
        GuardedProcesses()
    assert list(tmp_path.iterdir()) == []


def test_nothing_stays_after_the_guard_itself_is_killed() -> None:
    """Without its guard a broker is killed by the kernel, and closing removes the folder."""
    with pytest.raises(BrokerStartError, match="guard"), LocalKafka() as kafka:  # noqa: PT012 - as above
        folder = kafka.folder
        (guard,) = [
            pid
            for pid in processes_naming(str(folder))
            if b"guard.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(guard, signal.SIGKILL)
        wait_until(lambda: not processes_naming(str(folder)), "the kernel has ended the broker")
        kafka.running(0)
    assert not folder.exists()


def test_a_broker_that_dies_at_start_shows_why() -> None:
    """The error carries the end of the broker's own log, and does not make the caller wait for a timeout."""
    with (
        pytest.raises(BrokerStartError, match="num\\.io\\.threads"),
        LocalKafka(settings={"num.io.threads": "none"}),
    ):
        pass


def test_every_broker_wants_its_proxy() -> None:
    """Too few proxies are refused before anything is started."""
    with pytest.raises(ValueError, match="3 brokers want as many proxies, not 1"):
        LocalKafka(3, proxies=["127.0.0.1:1"])


def test_a_named_broker_is_checked_and_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `FOREWARN_BROKER` names nothing that answers, that is the error; no other broker is started."""
    monkeypatch.setenv("FOREWARN_BROKER", "127.0.0.1:1")
    with (
        pytest.raises(BrokerUnreachableError, match=r"127\.0\.0\.1:1"),
        find_broker(answer_timeout_seconds=0.5),
    ):
        pass


def test_a_named_broker_is_used(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `FOREWARN_BROKER` names a Kafka, that one is used."""
    monkeypatch.setenv("FOREWARN_BROKER", broker.bootstrap_servers)
    with find_broker() as found:
        assert found == NamedBroker(broker.bootstrap_servers)
