"""What the pipeline may rely on, held against both implementations of the ports."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest

from streams.kafka.local import Broker
from streams.ports import LINKED, FencedError, LogRange, OutputRecord, PortError, PositionLostError, Sink
from streams.topics import EXAMPLES_PARTITION, OUTPUT_RECORD_BYTES_MAX
from tests.support.world import (
    PATIENCE_SECONDS,
    KafkaWorld,
    MemoryWorld,
    World,
    assigned,
    no_handover,
    poll_records,
    settings_for,
    values,
)

MakeWorld = Callable[..., World]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def make_world(request: pytest.FixtureRequest) -> MakeWorld:
    """Makes a world, with changed settings."""
    if request.param == "memory":
        return lambda **changes: MemoryWorld(settings_for("contract", **changes))
    broker: Broker = request.getfixturevalue("broker")
    return lambda **changes: KafkaWorld(settings_for("contract", broker.bootstrap_servers, **changes))


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """A world with two tasks."""
    return make_world()


@pytest.fixture
async def sinks(world: World) -> AsyncIterator[Callable[[], Any]]:
    """Opens sinks of task 0, and closes them in the end."""
    opened: list[Sink] = []

    async def open_sink() -> Sink:
        sink = world.ports.sink(0)
        opened.append(sink)
        await sink.open()
        return sink

    yield open_sink
    for sink in opened:
        await sink.close()


def records(*contents: bytes) -> list[OutputRecord]:
    """Records with one key."""
    return [OutputRecord(b"k", content) for content in contents]


# ---- source --------------------------------------------------------------------------------------------------------


async def test_a_lone_member_gets_every_task(world: World) -> None:
    """The only worker holds all tasks, of a generation that counts."""
    source = world.ports.source()
    await source.start(no_handover)
    assignment = await assigned(source)
    await source.stop()

    assert assignment.tasks == {0, 1}
    assert assignment.generation > 0


async def test_only_open_tasks_are_read_from_their_offset_on(world: World) -> None:
    """A closed task gives nothing; an open one gives everything from the given offset, as it was written."""
    for task in (0, 1):
        await world.produce(world.names.inputs[2], task, [b"a", b"b", b"c"], key=b"k", headers=[("h", b"1")])
    source = world.ports.source()
    await source.start(no_handover)
    await assigned(source)

    source.open(1, (0, 0, 1, 0, 0))
    found = await poll_records(source, 2)
    await source.stop()

    (read,) = found.values()
    assert list(found) == [(2, 1)]
    assert [(record.offset, record.key, record.value) for record in read] == [
        (1, b"k", b"b"),
        (2, b"k", b"c"),
    ]
    assert [list(record.headers) for record in read] == [[("h", b"1")]] * 2
    assert all(record.timestamp > 1_600_000_000_000 for record in read)


async def test_a_paused_partition_waits_and_loses_nothing(world: World) -> None:
    """What was written meanwhile comes after `resume`, once and in order."""
    source = world.ports.source()
    await source.start(no_handover)
    await assigned(source)
    source.open(0, (0, 0, 0, 0, 0))
    await world.produce(world.names.inputs[0], 0, [b"1", b"2"], key=b"k")
    before = await poll_records(source, 2)

    source.pause(0, 0)
    await world.produce(world.names.inputs[0], 0, [b"3", b"4"], key=b"k")
    await world.produce(world.names.inputs[1], 0, [b"other"], key=b"k")
    meanwhile = await poll_records(source, 1)
    source.resume(0, 0)
    after = await poll_records(source, 2)
    await source.stop()

    assert values(before[0, 0]) == [b"1", b"2"]
    assert list(meanwhile) == [(1, 0)]
    assert values(after[0, 0]) == [b"3", b"4"]


async def test_with_everything_paused_nothing_comes(world: World) -> None:
    """Pausing the last open partition does not open the others."""
    source = world.ports.source()
    await source.start(no_handover)
    await assigned(source)
    source.open(0, (0, 0, 0, 0, 0))
    for feed in range(4):
        source.pause(feed, 0)
        await world.produce(world.names.inputs[feed], 0, [b"1"], key=b"k")
    polled = [await source.poll(100) for _ in range(5)]
    source.resume(2, 0)
    after = await poll_records(source, 1)
    await source.stop()

    assert polled == [[]] * 5
    assert list(after) == [(2, 0)]


async def test_a_poll_brings_a_bounded_share_of_every_partition(make_world: MakeWorld) -> None:
    """A long partition comes in pieces, in order and whole; a short one does not wait until it is through."""
    world = make_world(poll_records_max=20)
    contents = [str(number).encode() for number in range(95)]
    await world.produce(world.names.inputs[0], 0, contents, key=b"k")
    await world.produce(world.names.inputs[2], 0, [b"a", b"b"], key=b"k")
    source = world.ports.source()
    await source.start(no_handover)
    await assigned(source)
    source.open(0, (0, 0, 0, 0, 0))
    polls: list[dict[int, list[bytes | None]]] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while sum(len(one) for poll in polls for one in poll.values()) < 97:
            polls.append({fetched.feed: values(fetched.records) for fetched in await source.poll(20)})
            await asyncio.sleep(0.05)
    await source.stop()

    assert [one for poll in polls for one in poll.get(0, [])] == contents
    assert max(len(one) for poll in polls for one in poll.values()) == 10
    short, last = ([number for number, poll in enumerate(polls) if feed in poll][-1] for feed in (2, 0))
    assert short < last


async def test_caught_up_and_position_follow_what_was_polled(world: World) -> None:
    """After the last record the source is caught up, and its position is the end."""
    await world.produce(world.names.inputs[3], 0, [b"1", b"2", b"3"], key=b"k")
    source = world.ports.source()
    await source.start(no_handover)
    await assigned(source)
    source.open(0, (0, 0, 0, 0, 0))
    started = source.position(3, 0)
    await poll_records(source, 3)
    async with asyncio.timeout(30):
        while not source.caught_up(3, 0):
            await source.poll(20)
    position, unread = source.position(3, 0), source.unread(3, 0)
    source.open(0, (0, 0, 0, 1, 0))
    left = source.unread(3, 0)
    await source.stop()

    assert (started, position, unread) == (0, 3, 0)
    assert left in (0, 2), "the broker tells again with the next fetch, or has not forgotten"


async def test_members_share_whole_tasks_after_handing_over(world: World) -> None:
    """A second member gets one of the two tasks, after the first was asked to hand over; leaving gives it back."""
    handed_over: list[str] = []
    first, second = world.ports.source(), world.ports.source()

    async def hand_over() -> None:
        handed_over.append("asked")
        assert first.assignment is None

    await first.start(hand_over)
    alone = await assigned(first, 2)
    starting = asyncio.create_task(second.start(no_handover))
    shared, _ = await asyncio.gather(assigned(first, 1), starting)
    other = await assigned(second, 1)
    asked = len(handed_over)
    stopping = asyncio.create_task(second.stop())
    again, _ = await asyncio.gather(assigned(first, 2), stopping)
    await first.stop()

    assert asked >= 1
    assert shared.tasks | other.tasks == {0, 1}
    assert shared.generation == other.generation > alone.generation
    assert again.tasks == {0, 1}
    assert again.generation > shared.generation


async def test_a_position_that_retention_deleted_is_an_error(world: World) -> None:
    """Reading where the log no longer begins never jumps silently to where it does."""
    await world.produce(world.names.inputs[0], 0, [b"1", b"2", b"3"], key=b"k")
    await world.delete_before(world.names.inputs[0], 0, 2)
    source = world.ports.source()
    await source.start(no_handover)
    await assigned(source)
    source.open(0, (1, 0, 0, 0, 0))

    with pytest.raises(PositionLostError, match=r"no longer holds|is not within"):
        await poll_records(source, 1)
    await source.stop()


async def test_group_offsets_are_those_of_the_last_commit(world: World, sinks: Callable[[], Any]) -> None:
    """Before any commit there are none; an aborted transaction's never count."""
    source = world.ports.source()
    await source.start(no_handover)
    await assigned(source)
    nothing = await source.committed(0)
    sink = await sinks()
    await sink.begin()
    await sink.send(world.names.alerts, records(b"a"), 1)
    await sink.flush()
    await sink.send_offsets((1, 2, 3, 4, 5))
    await sink.commit()
    await sink.begin()
    await sink.send_offsets((5, 6, 7, 8, 9))
    await sink.abort()
    async with asyncio.timeout(30):
        while (something := await source.committed(0)) == nothing:
            await source.poll(20)
    await source.stop()

    assert nothing == (None,) * 5
    assert something == (1, 2, 3, 4, 5)


# ---- sink ----------------------------------------------------------------------------------------------------------


async def test_only_committed_records_are_read(world: World, sinks: Callable[[], Any]) -> None:
    """An aborted transaction's records are never seen, a committed one's all at once and in order."""
    sink = await sinks()
    await sink.begin()
    await sink.send(world.names.alerts, records(b"gone"), 1)
    await sink.flush()
    await sink.abort()
    await sink.begin()
    await sink.send(world.names.alerts, records(b"1", b"2"), 1_700_000_000_000)
    await sink.send(world.names.dead_letters, records(b"3"), 1_700_000_000_000)
    await sink.flush()
    await sink.commit()
    alerts = await world.read_committed(world.names.alerts)
    dead = await world.read_committed(world.names.dead_letters)

    assert [values(partition) for partition in alerts] == [[b"1", b"2"], []]
    assert [values(partition) for partition in dead] == [[b"3"], []]
    assert {record.timestamp for record in alerts[0]} == {1_700_000_000_000}


async def test_messages_go_to_other_tasks_and_are_read_beside_the_feeds(
    world: World, sinks: Callable[[], Any]
) -> None:
    """A transaction of one task writes into another one's partition; whoever has that task reads it, once committed, at `LINKED`."""
    source = world.ports.source()
    await source.start(no_handover)
    await assigned(source)
    source.open(1, (0, 0, 0, 0, 0))
    sink = await sinks()
    await sink.begin()
    await sink.send(world.names.linked_risk, records(b"gone"), 1, 1)
    await sink.flush()
    await sink.abort()
    await sink.begin()
    await sink.send(world.names.linked_risk, records(b"own"), 1)
    await sink.send(world.names.linked_risk, records(b"1"), 1, 1)
    await sink.send(world.names.linked_risk, records(b"2"), 1, 1)
    await sink.flush()
    await sink.commit()
    found = await poll_records(source, 2)
    end = (await world.read_committed(world.names.linked_risk))[1][-1].offset + 1
    async with asyncio.timeout(PATIENCE_SECONDS):
        while source.position(LINKED, 1) <= end:  # a marker stands behind the last record
            await source.poll(20)
    await source.stop()

    assert {place: values(read) for place, read in found.items()} == {(LINKED, 1): [b"1", b"2"]}


async def test_all_tasks_write_into_the_one_partition_of_the_examples(world: World) -> None:
    """Two transactions of two tasks at once in the only partition: what is committed is read, what is taken back is not."""
    topic, place = world.names.training_examples, EXAMPLES_PARTITION
    logs = world.ports.logs()
    await logs.start()
    tasks = [world.ports.sink(number) for number in range(2)]
    for sink in tasks:
        await sink.open()
        await sink.begin()
    for number, sink in enumerate(tasks):
        await sink.send(topic, records(b"from %d" % number), 1, place)
        await sink.flush()
    await tasks[1].commit()
    await tasks[0].abort()
    await tasks[0].begin()
    await tasks[0].send(topic, records(b"again"), 1, place)
    await tasks[0].flush()
    await tasks[0].commit()
    found = [record.value async for batch in logs.read(topic, place) for record in batch]
    counts = await logs.partition_counts([topic])
    for sink in tasks:
        await sink.close()
    await logs.stop()

    assert counts == {topic: 1}
    assert found == [b"from 1", b"again"]


async def test_a_new_sink_fences_the_old_and_ends_its_transaction(
    world: World, sinks: Callable[[], Any]
) -> None:
    """What the old one still had open is taken back, and its commit fails as fenced."""
    zombie = await sinks()
    await zombie.begin()
    await zombie.send(world.names.alerts, records(b"zombie"), 1)
    await zombie.flush()
    successor = await sinks()

    with pytest.raises(FencedError):
        await zombie.commit()
    await successor.begin()
    await successor.send(world.names.alerts, records(b"successor"), 1)
    await successor.flush()
    await successor.commit()
    read = await world.read_committed(world.names.alerts)

    assert values(read[0]) == [b"successor"]


async def test_a_fenced_sink_can_send_nothing_either(world: World, sinks: Callable[[], Any]) -> None:
    """A zombie that begins anew is told before anything of it is committed."""
    zombie = await sinks()
    await sinks()

    async def transaction() -> None:
        await zombie.begin()
        await zombie.send(world.names.alerts, records(b"zombie"), 1)
        await zombie.flush()
        await zombie.send_offsets((9, 9, 9, 9, 9))
        await zombie.commit()

    with pytest.raises(FencedError):
        await transaction()
    assert values((await world.read_committed(world.names.alerts))[0]) == []


async def test_bytes_come_out_as_they_went_in(world: World, sinks: Callable[[], Any]) -> None:
    """Any bytes, no key, no value, several headers: a dead letter is the record it was."""
    letters = [
        OutputRecord(None, bytes(range(256)), [("a", b"\xff"), ("b", b"")]),
        OutputRecord(b"\x00key", None, ()),
        OutputRecord(None, None, [("only", b"headers")]),
    ]
    sink = await sinks()
    await sink.begin()
    await sink.send(world.names.dead_letters, letters, 1)
    await sink.flush()
    await sink.commit()
    read = (await world.read_committed(world.names.dead_letters))[0]

    assert [OutputRecord(one.key, one.value, list(one.headers)) for one in read] == [
        OutputRecord(one.key, one.value, list(one.headers)) for one in letters
    ]


async def test_large_transactions_arrive_whole_and_in_order(world: World, sinks: Callable[[], Any]) -> None:
    """Megabytes in many batches, and one record as large as the topic allows."""
    largest = os.urandom(OUTPUT_RECORD_BYTES_MAX - 200)
    many = [OutputRecord(b"k", b"%06d" % number + bytes(2_000)) for number in range(1_000)]
    sink = await sinks()
    await sink.begin()
    await sink.send(world.names.state, [*many, OutputRecord(b"k", largest)], 1)
    await sink.flush()
    await sink.commit()
    read = (await world.read_committed(world.names.state))[0]

    assert values(read) == [*(record.value for record in many), largest]


async def test_a_missing_topic_is_an_error_in_time(make_world: MakeWorld) -> None:
    """Sending to a topic that is not there fails within its limit and never hangs."""
    world = make_world(send_timeout_ms=2_000)
    sink = world.ports.sink(0)
    await sink.open()
    await sink.begin()

    with pytest.raises(PortError):
        await sink.send("nobody-made-this-topic", records(b"x"), 1)
    await sink.close()


async def test_only_flush_tells_that_a_record_was_refused(world: World, sinks: Callable[[], Any]) -> None:
    """Handing over succeeds, and so does the commit: without the waiting in between a lost record is lost in silence."""
    narrow = f"{world.names.prefix}narrow"
    await world.create_topic(narrow, batch_bytes_max=1_000)
    sink = await sinks()
    await sink.begin()
    await sink.send(narrow, records(os.urandom(5_000)), 1)
    await sink.send(world.names.alerts, records(b"arrives"), 1)
    await sink.commit()
    await sink.begin()
    await sink.send(world.names.alerts, records(b"taken back"), 1)
    await sink.send(narrow, records(os.urandom(5_000)), 1)
    with pytest.raises(PortError):
        await sink.flush()
    await sink.abort()

    assert [values(partition) for partition in await world.read_committed(narrow)] == [[], []]
    assert values((await world.read_committed(world.names.alerts))[0]) == [b"arrives"]


async def test_a_transaction_without_anything_leaves_nothing(world: World, sinks: Callable[[], Any]) -> None:
    """The broker never hears of it: not even a marker is written, and the next one is as good as ever."""
    sink = await sinks()
    await sink.begin()
    await sink.flush()
    await sink.commit()
    await sink.begin()
    await sink.send(world.names.alerts, records(b"1"), 1)
    await sink.flush()
    await sink.commit()
    logs = world.ports.logs()
    await logs.start()
    found = LogRange(0, 0)
    async with asyncio.timeout(30):  # a commit is answered a moment before its marker is written
        while found.end < 2:
            found = (await logs.ranges([world.names.alerts], [0]))[world.names.alerts, 0]
    await logs.stop()

    assert found == LogRange(0, 2)


async def test_what_nobody_ends_in_time_is_taken_back_and_fenced(make_world: MakeWorld) -> None:
    """Readers go on behind a transaction whose producer stands still, and it cannot commit any more."""
    world = make_world(transaction_timeout_ms=1_000)
    sink = world.ports.sink(0)
    await sink.open()
    await sink.begin()
    await sink.send(world.names.alerts, records(b"too late"), 1)
    await sink.flush()
    logs = world.ports.logs()
    await logs.start()
    async with asyncio.timeout(PATIENCE_SECONDS):
        ends: Mapping[tuple[str, int], int] = {}
        while ends.get((world.names.alerts, 0)) != 2:
            await asyncio.sleep(0.05)
            ends = await logs.readable_ends([world.names.alerts], [0])
    await logs.stop()

    with pytest.raises(FencedError):
        await sink.commit()
    assert values((await world.read_committed(world.names.alerts))[0]) == []
    await sink.close()


async def test_a_fenced_sink_leaves_no_group_offsets(world: World, sinks: Callable[[], Any]) -> None:
    """Offsets that a zombie has sent, before or after it was fenced, never count."""
    source = world.ports.source()
    await source.start(no_handover)
    await assigned(source)
    zombie = await sinks()
    await zombie.begin()
    await zombie.send_offsets((7, 7, 7, 7, 7))
    successor = await sinks()
    with pytest.raises(FencedError):
        await zombie.send_offsets((9, 9, 9, 9, 9))
    await successor.begin()
    await successor.send_offsets((1, 2, 3, 4, 5))
    await successor.commit()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while None in (found := await source.committed(0)):  # each feed is asked for apart
            await source.poll(20)
    await source.stop()

    assert found == (1, 2, 3, 4, 5)


# ---- logs ----------------------------------------------------------------------------------------------------------


async def test_a_log_is_read_to_its_end_over_markers_and_aborted_records(
    world: World, sinks: Callable[[], Any]
) -> None:
    """The end is a position: a log that ends in a marker or in aborted records ends all the same."""
    sink = await sinks()
    for content, commit in ((b"1", True), (b"gone", False), (b"2", True), (b"gone too", False)):
        await sink.begin()
        await sink.send(world.names.state, records(content), 1)
        await sink.flush()
        await (sink.commit() if commit else sink.abort())
    logs = world.ports.logs()
    await logs.start()
    async with asyncio.timeout(30):
        read = [record.value async for batch in logs.read(world.names.state, 0) for record in batch]
    counts = await logs.partition_counts([world.names.state, world.names.policies, "nobody-made-this-topic"])
    ranges = await logs.ranges([world.names.state], [0, 1])
    empty = [batch async for batch in logs.read(world.names.state, 1)]
    await logs.stop()

    assert read == [b"1", b"2"]
    assert counts == {world.names.state: 2, world.names.policies: 1, "nobody-made-this-topic": 0}
    assert ranges == {(world.names.state, 0): LogRange(0, 8), (world.names.state, 1): LogRange(0, 0)}
    assert empty == []


async def test_a_restore_sees_everything_its_predecessor_committed(
    world: World, sinks: Callable[[], Any]
) -> None:
    """After `open` the former producer's transaction is over: committed and read, or taken back."""
    predecessor = await sinks()
    await predecessor.begin()
    await predecessor.send(world.names.state, records(b"whole"), 1)
    await predecessor.flush()
    await predecessor.commit()
    await predecessor.begin()
    await predecessor.send(world.names.state, records(b"torn"), 1)
    await predecessor.flush()
    await sinks()
    logs = world.ports.logs()
    await logs.start()
    async with asyncio.timeout(30):
        read = [record.value async for batch in logs.read(world.names.state, 0) for record in batch]
    await logs.stop()

    assert read == [b"whole"]


async def test_a_log_begins_where_retention_left_it(world: World) -> None:
    """Deleted records are neither read nor waited for."""
    await world.produce(world.names.alerts, 0, [b"1", b"2", b"3"], key=b"k")
    await world.delete_before(world.names.alerts, 0, 2)
    logs = world.ports.logs()
    await logs.start()
    ranges = await logs.ranges([world.names.alerts], [0])
    read = [record.value async for batch in logs.read(world.names.alerts, 0) for record in batch]
    await logs.stop()

    assert ranges[world.names.alerts, 0] == LogRange(2, 3)
    assert read == [b"3"]


async def test_a_log_is_read_on_when_the_transaction_in_its_way_has_ended(
    world: World, sinks: Callable[[], Any]
) -> None:
    """What stands behind an open transaction waits for it; what was appended after the reading began is not waited for."""
    await world.produce(world.names.state, 0, [b"before"], key=b"k")
    sink = await sinks()
    await sink.begin()
    await sink.send(world.names.state, records(b"inside"), 1)
    await sink.flush()
    await world.produce(world.names.state, 0, [b"behind"], key=b"k")
    logs = world.ports.logs()
    await logs.start()
    read: list[bytes | None] = []
    begun = asyncio.Event()

    async def read_all() -> None:
        async for batch in logs.read(world.names.state, 0):
            read.extend(record.value for record in batch)
            begun.set()

    reading = asyncio.create_task(read_all())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await begun.wait()
        barred = list(read)
        await sink.commit()
        await reading
    await logs.stop()

    assert barred == [b"before"]
    assert read == [b"before", b"inside", b"behind"]
