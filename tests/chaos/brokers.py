"""What can be known of the brokers of a local Kafka, and what can be done to them on purpose.

Brokers are numbered from 0, as `LocalKafka` does. Everything blocks; it may be called from any thread, also where an event
loop runs. What never becomes true within its limit is an `AssertionError` that says what was seen last.

    lost = kill_transaction_coordinator(cluster, settings.transactional_id(0), seconds_down=8)
    with below_min_in_sync(cluster, topics, index=1):
        ...                                          # acks=all is refused: one broker is down, three have to agree
    rolling_restart(cluster)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, TypeVar

from aiokafka import errors as kafka_errors
from aiokafka.conn import create_conn
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.metadata import MetadataRequest
from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError

from streams.kafka.local import LocalKafka

HEALTHY_SECONDS: Final = 60.0
"""A restarted broker has caught up in a second or two; the machine may be busy, and its data large."""

MOVE_SECONDS: Final = 30.0
"""How long a new leader or coordinator may take: a dead broker is noticed after 5 s, a state log has to be read."""

REQUEST_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1
_GROUP: Final = 0
_TRANSACTION: Final = 1
_MIN_IN_SYNC: Final = "min.insync.replicas"

T = TypeVar("T")


class Replicas(NamedTuple):
    """One partition: where it is led, where it is, and where it is complete; all as broker numbers."""

    topic: str
    partition: int
    leader: int | None
    replicas: tuple[int, ...]
    in_sync: frozenset[int]

    @property
    def healthy(self) -> bool:
        """Whether it is led, and complete everywhere."""
        return self.leader is not None and self.in_sync == frozenset(self.replicas)


# --- looking ----------------------------------------------------------------------------------------


def group_coordinator(cluster: LocalKafka, group_id: str) -> int:
    """Return the broker that coordinates a group."""
    return _coordinator(cluster, _GROUP, group_id)


def transaction_coordinator(cluster: LocalKafka, transactional_id: str) -> int:
    """Return the broker that coordinates the transactions of a `transactional.id`."""
    return _coordinator(cluster, _TRANSACTION, transactional_id)


def leader(cluster: LocalKafka, topic: str, partition: int) -> int | None:
    """Return the broker that leads a partition; None while there is none."""
    found = [one for one in replicas(cluster, [topic]) if one.partition == partition]
    assert found, f"{topic} has no partition {partition}"
    return found[0].leader


def replicas(cluster: LocalKafka, topics: Sequence[str] | None = None) -> list[Replicas]:
    """Return the partitions of some topics, or of all, internal ones too, as a running broker knows them."""
    return _ask_until(
        lambda: _partitions(cluster, _running(cluster)[0], topics),
        lambda _: True,
        REQUEST_SECONDS,
        "metadata",
    )


def unhealthy(cluster: LocalKafka) -> list[Replicas]:
    """Return the partitions that any running broker knows as offline or under-replicated."""
    found: set[Replicas] = set()
    for index in _running(cluster):
        found.update(one for one in _partitions(cluster, index, None) if not one.healthy)
    return sorted(found, key=lambda one: (one.topic, one.partition))


def wait_until_healthy(cluster: LocalKafka, *, seconds: float = HEALTHY_SECONDS) -> None:
    """Return when all running brokers know every partition as led, and complete on every broker it has to be on."""
    _ask_until(lambda: unhealthy(cluster), lambda found: not found, seconds, "all partitions healthy")


# --- changing ---------------------------------------------------------------------------------------


def move_leader(cluster: LocalKafka, topic: str, partition: int, to: int) -> None:
    """Make a broker the leader of a partition it has a replica of; returns when it is."""
    (before,) = [one for one in replicas(cluster, [topic]) if one.partition == partition]
    assert to in before.replicas, f"broker {to} has no replica of {topic}-{partition}"
    place = TopicPartition(topic, partition)
    preferred = [to, *(index for index in before.replicas if index != to)]
    with _admin(cluster) as admin:
        refused = admin.alter_partition_reassignments({place: [index + 1 for index in preferred]})[place]
        assert refused is None, f"{topic}-{partition} to {preferred}: {refused}"
        _ask_until(
            lambda: admin.list_partition_reassignments([place]),
            lambda moving: not moving,
            MOVE_SECONDS,
            "order",
        )

        def elected() -> int | None:
            admin.elect_leaders(0, {topic: [partition]})
            return leader(cluster, topic, partition)

        _ask_until(elected, lambda now: now == to, MOVE_SECONDS, f"broker {to} leads {topic}-{partition}")


def move_leaders(cluster: LocalKafka, topics: Sequence[str]) -> int:
    """Make the next replica the leader, of every partition of some topics; return how many were moved."""
    moved = 0
    for one in replicas(cluster, topics):
        following = one.replicas[1:] if one.leader == one.replicas[0] else one.replicas
        target = next((index for index in following if index in one.in_sync and index != one.leader), None)
        if target is not None:
            move_leader(cluster, one.topic, one.partition, target)
            moved += 1
    return moved


def set_min_in_sync(cluster: LocalKafka, topics: Sequence[str], count: int) -> None:
    """Set how many replicas have to have a record before `acks=all` is answered."""
    with _admin(cluster) as admin:
        _set_min_in_sync(admin, dict.fromkeys(topics, str(count)))


# --- hurting ----------------------------------------------------------------------------------------


def kill_and_restart(cluster: LocalKafka, index: int, seconds_down: float) -> None:
    """Kill a broker, leave it dead for a while, start it; returns when everything is healthy again."""
    cluster.kill(index)
    try:
        time.sleep(seconds_down)
    finally:
        cluster.start(index)
    wait_until_healthy(cluster)


def rolling_restart(cluster: LocalKafka) -> None:
    """Restart one broker after the other in an orderly way, each when everything is healthy again."""
    for index in range(len(cluster.addresses)):
        cluster.restart(index)
        wait_until_healthy(cluster)


def freeze(cluster: LocalKafka, index: int, seconds: float) -> None:
    """Freeze a broker for a while: its connections stay and nothing answers; returns when all is healthy again."""
    cluster.pause(index)
    try:
        time.sleep(seconds)
    finally:
        cluster.resume(index)
    wait_until_healthy(cluster)


def kill_group_coordinator(cluster: LocalKafka, group_id: str, seconds_down: float) -> int:
    """`kill_and_restart` the broker that coordinates a group; return which it was."""
    index = group_coordinator(cluster, group_id)
    kill_and_restart(cluster, index, seconds_down)
    return index


def kill_transaction_coordinator(cluster: LocalKafka, transactional_id: str, seconds_down: float) -> int:
    """`kill_and_restart` the broker that coordinates the transactions of an id; return which it was."""
    index = transaction_coordinator(cluster, transactional_id)
    kill_and_restart(cluster, index, seconds_down)
    return index


@contextmanager
def below_min_in_sync(cluster: LocalKafka, topics: Sequence[str], *, index: int = 0) -> Iterator[None]:
    """Let some topics accept nothing with `acks=all` for as long as a block lasts, as too few replicas are in sync.

    All replicas have to agree, and the broker of the given number is dead. The block begins when all the others know that (a
    leader that did not would write a record and wait in vain); behind it everything is as it was, and healthy. `topics` must be replicated on all three brokers.
    """
    with _admin(cluster) as admin:
        before = _min_in_sync(admin, topics)
        _set_min_in_sync(admin, dict.fromkeys(topics, str(len(cluster.addresses))))
    try:
        cluster.kill(index)
        try:
            _ask_until(
                lambda: [
                    one
                    for alive in _running(cluster)
                    for one in _partitions(cluster, alive, topics)
                    if index in one.in_sync or one.leader is None
                ],
                lambda not_yet: not not_yet,
                MOVE_SECONDS,
                f"broker {index} is out of sync",
            )
            yield
        finally:
            cluster.start(index)
    finally:
        with _admin(cluster) as admin:
            _set_min_in_sync(admin, before)
        wait_until_healthy(cluster)


# --- inside -----------------------------------------------------------------------------------------


def _running(cluster: LocalKafka) -> list[int]:
    found = [index for index in range(len(cluster.addresses)) if cluster.running(index)]
    assert found, "no broker is running"
    return found


@contextmanager
def _admin(cluster: LocalKafka) -> Iterator[Any]:
    admin = KafkaAdminClient(
        bootstrap_servers=[cluster.addresses[index] for index in _running(cluster)],
        client_id="chaos",
        request_timeout_ms=int(REQUEST_SECONDS * 1000),
    )
    try:
        yield admin
    finally:
        admin.close()


def _min_in_sync(admin: Any, topics: Sequence[str]) -> dict[str, str]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    found = admin.describe_configs(resources, config_filter="all")["topic"]
    return {topic: str(found[topic][_MIN_IN_SYNC]["value"]) for topic in topics}


def _set_min_in_sync(admin: Any, wanted: dict[str, str]) -> None:
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic, configs={_MIN_IN_SYNC: value})
        for topic, value in wanted.items()
    ]

    def alter() -> dict[str, str]:
        admin.alter_configs(resources)
        return _min_in_sync(admin, list(wanted))

    _ask_until(alter, lambda found: found == wanted, MOVE_SECONDS, f"{_MIN_IN_SYNC}: {wanted}")


def _coordinator(cluster: LocalKafka, kind: int, key: str) -> int:
    """Ask until there is one, and it is alive: what a dead broker coordinated moves only when it is missed."""

    def ask() -> int | None:
        answer = _request(cluster, _running(cluster)[0], FindCoordinatorRequest(key, kind))
        return answer.coordinator_id - 1 if answer.error_code == 0 else None

    def alive(index: int | None) -> bool:
        return index is not None and cluster.running(index)

    found = _ask_until(ask, alive, MOVE_SECONDS, f"a coordinator for {key}")
    assert found is not None
    return found


def _partitions(cluster: LocalKafka, index: int, topics: Sequence[str] | None) -> list[Replicas]:
    answer = _request(cluster, index, MetadataRequest(None if topics is None else list(topics)))
    found = []
    for error_code, topic, *_internal, partitions in answer.topics:
        if topics is not None and error_code != 0:
            raise kafka_errors.for_code(error_code)(topic)
        for _error_code, partition, node, nodes, in_sync, *_offline in partitions:
            where = None if node < 0 else node - 1
            assigned = tuple(number - 1 for number in nodes)
            found.append(Replicas(topic, partition, where, assigned, frozenset(n - 1 for n in in_sync)))
    return sorted(found, key=lambda one: (one.topic, one.partition))


def _request(cluster: LocalKafka, index: int, request: Any) -> Any:
    """Ask one broker one thing, over a connection of its own, in a loop of its own."""

    async def ask() -> Any:
        host, _, port = cluster.addresses[index].rpartition(":")
        timeout_ms = int(REQUEST_SECONDS * 1000)
        connection = await create_conn(host, int(port), client_id="chaos", request_timeout_ms=timeout_ms)
        try:
            return await connection.send(request)
        finally:
            connection.close()

    return _run(ask())


def _run(what: Coroutine[Any, Any, T]) -> T:
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="chaos") as pool:
        return pool.submit(asyncio.run, what).result()


def _ask_until(question: Callable[[], T], enough: Callable[[T], bool], seconds: float, what: str) -> T:
    """Ask until the answer will do; a broker that refuses or is away just now is asked again."""
    deadline = time.monotonic() + seconds
    while True:
        seen: object
        try:
            answer = question()
        except (kafka_errors.KafkaError, KafkaError, OSError) as error:
            seen = error
        else:
            if enough(answer):
                return answer
            seen = answer
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}; seen: {seen!r}"
        time.sleep(_POLL_SECONDS)
