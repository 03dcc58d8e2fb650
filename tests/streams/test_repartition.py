"""The book moves to another number of partitions, and no alert is another one for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from models.alerts import Alert, ChainHead
from models.events import TOPICS
from models.policy import Policy, parse_policy
from streams.bootstrap import build_pipeline
from streams.memory.broker import MemoryBroker
from streams.memory.ports import MemoryPorts
from streams.memory.virtual_time import VirtualClock
from streams.metrics import PlainMetrics
from streams.partitioner import partition_of
from streams.ports import OutputRecord
from streams.progress import decode_progress, is_progress_key
from streams.reference import content_records
from streams.repartition import Moved, RepartitionError, Side, merged, repartition
from streams.scorecards import LEARNING_KEY, Learning
from streams.settings import Settings
from streams.simulator import SimulationSettings, write_folder
from streams.topics import EXAMPLES_PARTITION, TopicNames
from tests.support.equality import by_borrower, open_linked_distress

CUT_MS = 1_748_736_000_000
"""2025-06-01: five of the eight months are before it."""
END_MS = 1_756_684_800_000

Line = tuple[int, str, str, bytes]
"""When it came, topic, borrower, payload."""


class Book(NamedTuple):
    """The events before the cut and those after it, each in the order in which the lender learnt of them."""

    before: list[Line]
    after: list[Line]


class World:
    """A broker, and installations on it, told apart by their prefixes."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.broker = MemoryBroker(self.clock)

    def side(self, prefix: str, partitions: int) -> Side:
        """An installation; its topics are made."""
        settings = self.settings(prefix, partitions)
        ports = MemoryPorts(self.broker, settings)
        ports.create_topics()
        return Side(ports, TopicNames(prefix), partitions)

    @staticmethod
    def settings(prefix: str, partitions: int) -> Settings:
        return Settings(
            clock="event", until_end=True, partitions=partitions, topic_prefix=prefix, learning=False
        )

    def produce(self, side: Side, lines: list[Line], end_ms: int | None) -> None:
        """Events, and behind them the heartbeats of a replay; without, each task has come as far as its own events."""
        for _, topic, borrower, payload in lines:
            key = borrower.encode()
            self.broker.produce(side.names.prefix + topic, partition_of(key, side.partitions), key, payload)
        if end_ms is None:
            return
        beat = json.dumps({"type": "heartbeat", "event_time_ms": end_ms}).encode()
        for topic in side.names.inputs:
            for partition in range(side.partitions):
                self.broker.produce(topic, partition, b"", beat)

    def publish(self, side: Side, policy: Policy | None) -> None:
        """Put a policy in force since ever."""
        for key, value in [] if policy is None else content_records(policy):
            self.broker.produce(side.names.policies, 0, key, value)

    async def work(self, side: Side) -> None:
        """One worker, until everything is consumed."""
        settings = self.settings(side.names.prefix, side.partitions)
        await build_pipeline(settings, PlainMetrics(), ports=side.ports, clock=self.clock).run()

    def alerts(self, side: Side) -> list[Alert]:
        decode = msgspec.json.Decoder(Alert).decode
        read = self.broker.read_committed(side.names.alerts)
        return [decode(record.value) for records in read for record in records if record.value is not None]

    def risks(self, side: Side) -> dict[bytes, Any]:
        """What `borrower-risk` says at last of everybody."""
        read = self.broker.read_committed(side.names.borrower_risk)
        return {
            record.key: json.loads(record.value)
            for records in read
            for record in records
            if record.key is not None and record.value is not None
        }


def lines_of(folder: Path) -> Iterator[Line]:
    """The events of a folder."""
    for topic in TOPICS:
        for line in (folder / f"{topic}.jsonl").read_bytes().splitlines():
            event = json.loads(line)
            yield event.get("ingested_at_ms", event["event_time_ms"]), topic, event["borrower_id"], line


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """A simulated book in order: of events in order no alert depends on the number of partitions (`test_laws.py`)."""
    folder = tmp_path_factory.mktemp("book")
    settings = SimulationSettings(seed=7, borrowers=60, months=8, late_share=0)
    write_folder(settings, folder)
    lines = sorted(lines_of(folder))
    return Book([line for line in lines if line[0] < CUT_MS], [line for line in lines if line[0] >= CUT_MS])


async def moved(
    book: Book, *, old: int, new: int, cut_ms: int | None = CUT_MS, policy: Policy | None = None
) -> tuple[World, Side, Side, Moved]:
    """A world in which the number of partitions was changed at the cut."""
    world = World()
    before, after = world.side("", old), world.side("wide.", new)
    world.publish(before, policy)
    world.produce(before, book.before, cut_ms)
    await world.work(before)
    found = await repartition(before, after, world.clock)
    world.produce(after, book.after, END_MS)
    await world.work(after)
    return world, before, after, found


async def never_moved(
    book: Book, partitions: int, cut_ms: int | None, policy: Policy | None
) -> tuple[World, Side]:
    """The same world without the change."""
    world = World()
    side = world.side("", partitions)
    world.publish(side, policy)
    world.produce(side, book.before, cut_ms)
    await world.work(side)
    world.produce(side, book.after, END_MS)
    await world.work(side)
    return world, side


@pytest.mark.parametrize("cut_ms", [CUT_MS, None], ids=["all-as-far", "each-as-far-as-its-events"])
@pytest.mark.parametrize(("old", "new"), [(3, 5), (4, 2)])
async def test_alerts_are_those_of_an_engine_that_never_changed(
    book: Book, old: int, new: int, cut_ms: int | None
) -> None:
    """More partitions or fewer, tasks equally far or not, under a policy of the house: the same alerts, revision by revision."""
    policy = parse_policy("[signals.missed_payment]\ngrace_days = 2\n", "house.toml")
    never, only = await never_moved(book, old, cut_ms, policy)
    world, before, after, _ = await moved(book, old=old, new=new, cut_ms=cut_ms, policy=policy)

    expected, found = never.alerts(only), world.alerts(before) + world.alerts(after)
    assert len(world.alerts(after)) > 20
    assert {alert.policy_version for alert in world.alerts(after)} == {policy.version}
    assert by_borrower(expected) == by_borrower(found)
    assert open_linked_distress(expected) == open_linked_distress(found)
    assert never.risks(only).keys() == world.risks(after).keys()


async def test_everybody_is_where_their_events_will_be(book: Book) -> None:
    """Each state and risk is in the borrower's partition; each task begins at its inputs' first record, with a new chain."""
    world = World()
    before, after = world.side("", 3), world.side("wide.", 5)
    world.produce(before, book.before, CUT_MS)
    await world.work(before)

    found = await repartition(before, after, world.clock)

    states = world.broker.read_committed(after.names.state)
    keys = [(task, record) for task, records in enumerate(states) for record in records]
    everybody = {line[2] for line in book.before}
    borrowers = [(task, record.key) for task, record in keys if not is_progress_key(record.key or b"")]
    assert all(task == partition_of(key or b"", 5) for task, key in borrowers)
    assert {(key or b"").decode() for _, key in borrowers} == everybody
    assert found.borrowers == len(borrowers) == len(everybody)
    assert found.risks == len(world.risks(before))
    progresses = [decode_progress(r.value or b"") for _, r in keys if is_progress_key(r.key or b"")]
    assert [progress.task for progress in progresses] == list(range(5))
    assert {progress.offsets for progress in progresses} == {(0,) * (len(TOPICS) + 1)}
    assert {progress.engine.chain for progress in progresses} == {ChainHead()}
    counts = [len(records) for records in world.broker.read_committed(before.names.alerts)]
    assert {task: head.sequence for task, head in found.heads.items()} == dict(enumerate(counts))


async def test_a_record_that_is_not_processed_stops_it(book: Book) -> None:
    """Nothing is left behind: the refusal says where it lies, before anything is written."""
    world = World()
    before, after = world.side("", 3), world.side("wide.", 5)
    world.produce(before, book.before, CUT_MS)
    await world.work(before)
    _, topic, borrower, payload = book.after[0]
    key = borrower.encode()
    world.broker.produce(topic, partition_of(key, 3), key, payload)

    with pytest.raises(RepartitionError, match=r"partition \d: 1 records are not processed"):
        await repartition(before, after, world.clock)

    assert not any(world.broker.read_committed(after.names.state))


async def test_a_prefix_that_is_in_use_is_refused(book: Book) -> None:
    """A second attempt onto the same topics would write everything twice."""
    world, before, after, _ = await moved(book, old=3, new=5)

    with pytest.raises(RepartitionError, match=r"wide\.alerts.*wide\.forewarn-state.*: not empty"):
        await repartition(before, after, world.clock)


async def test_nothing_to_move_is_said() -> None:
    """An installation that never worked needs no more than new topics."""
    world = World()

    with pytest.raises(RepartitionError, match="no state to move"):
        await repartition(world.side("", 3), world.side("wide.", 5), world.clock)


async def test_pseudonyms_are_refused() -> None:
    """Their partition is that of the original id, which nobody knows any more."""
    world = World()
    before, after = world.side("", 1), world.side("wide.", 2)
    world.produce(before, [], CUT_MS)
    await world.work(before)
    world.broker.produce(before.names.state, 0, b"p1." + b"a" * 32, b"state")

    with pytest.raises(RepartitionError, match="ids are pseudonyms"):
        await repartition(before, after, world.clock)


@pytest.mark.parametrize("at_once", [1, 6])
async def test_learning_goes_on_at_the_same_example(book: Book, at_once: int) -> None:
    """Offsets are others in the new topic, for the marks of transactions lie elsewhere: the next example is the same."""
    world = World()
    before, after = world.side("", 3), world.side("wide.", 5)
    world.produce(before, book.before, CUT_MS)
    await world.work(before)
    sink = before.ports.sink(0)
    await sink.open()
    for first in range(0, 6, at_once):  # one in a transaction: every second offset is a mark
        await sink.begin()
        examples = [OutputRecord(b"k", str(first + number).encode()) for number in range(at_once)]
        await sink.send(before.names.training_examples, examples, 5, EXAMPLES_PARTITION)
        await sink.flush()
        await sink.commit()
    await sink.close()
    old = world.broker.read_committed(before.names.training_examples)[0]
    learning = Learning(3, old[-3].offset + 1, b"what was learnt")
    world.broker.produce(before.names.scorecards, 0, LEARNING_KEY, msgspec.json.encode(learning))

    found = await repartition(before, after, world.clock)

    new = world.broker.read_committed(after.names.training_examples)[0]
    assert [record.value for record in new] == [record.value for record in old]
    assert found.examples == len(old)
    (kept,) = [r.value for r in world.broker.read_committed(after.names.scorecards)[0]]
    resumed = msgspec.json.decode(kept or b"", type=Learning)
    assert msgspec.structs.replace(resumed, examples_offset=0) == msgspec.structs.replace(
        learning, examples_offset=0
    )
    assert next(r.value for r in new if r.offset >= resumed.examples_offset) == b"4"


async def test_a_task_begins_with_the_least_that_any_had_reached(book: Book) -> None:
    """No deadline may lie behind a watermark unjudged; of policies and cards the task counts that has taken up least."""
    world = World()
    before = world.side("", 3)
    world.produce(before, book.before, CUT_MS)
    await world.work(before)
    found = [
        decode_progress(record.value or b"")
        for records in world.broker.read_committed(before.names.state)
        for record in records[-1:]
    ]
    slow = msgspec.structs.replace(
        found[1], engine=msgspec.structs.replace(found[1].engine, watermarks_ms=(5, 9, 7, 8, 9))
    )
    ahead = msgspec.structs.replace(
        found[2], policies=msgspec.structs.replace(found[2].policies, publication=4)
    )

    (first, *_) = merged([found[0], slow, ahead], 7)

    assert first.engine.watermarks_ms == (5, 9, 7, 8, 9)
    assert first.policies.publication == 0
    assert first.partition_count == 7
