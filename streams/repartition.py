"""Another number of partitions: the book moves, borrower by borrower, to the tasks of an installation under another prefix.

    fence the old tasks ─ all consumed? ─ policies, cards, examples ─ states, risks ─ still as it was? ─ positions, in one transaction

Nothing under the old prefix is changed, so the way back is the old prefix. Until the positions are written, and they come last
and together, a worker refuses the new one. What makes it sound stands in `decisions/0013-another-number-of-partitions.md`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from models.alerts import ChainHead
from models.engine import EngineProgress
from models.events import TOPICS
from streams.clock import Clock
from streams.metrics import PlainMetrics
from streams.partitioner import partition_of
from streams.ports import Logs, OutputRecord, Ports, RawRecord, Sink
from streams.progress import Progress, encode_progress, progress_key
from streams.pseudonym import is_pseudonym
from streams.restore import Changelog, read_changelog
from streams.scorecards import LEARNING_KEY, Learning
from streams.topics import EXAMPLES_PARTITION, TopicNames

RECORDS_AT_ONCE: Final = 5_000
"""In one transaction: some megabytes, far below every time limit of a producer."""
REFERENCE_PARTITION: Final = 0


T = TypeVar("T")


class RepartitionError(Exception):
    """It was not done; the message says why and what to do. Workers refuse a new prefix that was left half written."""


class Moved(Struct, frozen=True):
    """What was moved."""

    borrowers: int
    risks: int
    examples: int
    heads: dict[int, ChainHead]
    """Where the chain of each old partition ended: what the old log of alerts is proven against."""


class Side(Struct, frozen=True):
    """An installation: its ports, its topics, and how many tasks it has."""

    ports: Ports
    names: TopicNames
    partitions: int


async def partition_count(ports: Ports, names: TopicNames) -> int:
    """How many tasks an installation has.

    Raises:
        RepartitionError: its topics are missing, or unequal.
    """
    logs = ports.logs()
    await logs.start()
    try:
        counts = await logs.partition_counts([*names.consumed, names.state])
    finally:
        await logs.stop()
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise RepartitionError(f"topics missing or unequal in partitions: {dict(counts)}")
    return next(iter(counts.values()))


async def repartition(old: Side, new: Side, clock: Clock) -> Moved:
    """Move everything that `old` knows of its borrowers to the topics of `new`, which exist and are empty.

    No worker may run, on either side, and producers have stopped: what is found to be otherwise is refused.

    Raises:
        RepartitionError: not everything is consumed; somebody writes; the new topics are not empty; ids are pseudonyms.
        RestoreError: a changelog cannot be trusted.
        PortError: Kafka did not do as asked.
    """
    await _fence(old)
    logs = old.ports.logs()
    await logs.start()
    try:
        before = await _ends(logs, old)
        await _require_empty(logs, new)
        progresses = await _all_consumed(logs, old, clock)
        async with _opened(new.ports.sink(0)) as sink:
            writer = _Writer(sink, clock)
            await _move_policies(logs, old, new, writer)
            examples = await _move_learning(logs, old, new, writer)
            borrowers, risks = 0, 0
            for task in range(old.partitions):
                changelog = await read_changelog(logs, old.names, task, PlainMetrics(), clock)
                borrowers += await _move_states(changelog, new, writer)
                risks += await _move_risks(logs, old, task, new, writer)
            if await _ends(logs, old) != before:
                raise RepartitionError(
                    "the old topics have grown meanwhile: stop workers and producers, delete the new topics, and begin again"
                )
            await writer.write(
                new.names.state,
                {
                    task: [OutputRecord(progress_key(task), encode_progress(progress))]
                    for task, progress in enumerate(merged(progresses, new.partitions))
                },
            )
    finally:
        await logs.stop()
    return Moved(borrowers, risks, examples, {one.task: one.engine.chain for one in progresses})


def merged(progresses: Sequence[Progress], partitions: int) -> list[Progress]:
    """Where each new task begins, as of where all old tasks have come to.

    A feed's watermark is the least of all: no deadline of anybody lies before it unjudged, and what each borrower was judged
    up to stands in their own state. Policies and cards are those of the task that has taken up least, for what came since is
    taken up again, from its topic. The inputs are new: they are read from their first record, and no alert is chained yet.
    """
    least = min(progresses, key=lambda one: (one.policies.publication, one.engine.watermarks_ms[-1]))
    least_of_cards = min(progresses, key=lambda one: (one.cards.publication, one.engine.watermarks_ms[-1]))
    watermarks_ms = tuple(map(min, zip(*(one.engine.watermarks_ms for one in progresses), strict=True)))
    merge_keys_ms = tuple(map(min, zip(*(one.merge_keys_ms for one in progresses), strict=True)))
    engine = EngineProgress(watermarks_ms, (-1,) * len(TOPICS), ChainHead())
    return [
        Progress(
            task=task,
            partition_count=partitions,
            offsets=(0,) * (len(TOPICS) + 1),
            merge_keys_ms=merge_keys_ms,
            engine=engine,
            policy_version=least.policy_version,
            card_version=least_of_cards.card_version,
            policies=least.policies,
            cards=least_of_cards.cards,
        )
        for task in range(partitions)
    ]


# ---- refusing ----------------------------------------------------------------------------------------------------


async def _fence(side: Side) -> None:
    """End every transaction that a worker may have left open; one that still runs writes no more."""
    for task in range(side.partitions):
        async with _opened(side.ports.sink(task)):
            pass


async def _ends(logs: Logs, side: Side) -> Mapping[tuple[str, int], int]:
    ranges = await logs.ranges([*side.names.consumed, side.names.state], range(side.partitions))
    return {place: held.end for place, held in ranges.items()}


async def _require_empty(logs: Logs, side: Side) -> None:
    names = side.names
    of_tasks = [names.state, names.alerts, names.borrower_risk, names.dead_letters, names.linked_risk]
    ranges = {
        **await logs.ranges(of_tasks, range(side.partitions)),
        **await logs.ranges(
            [names.policies, names.scorecards, names.training_examples], [REFERENCE_PARTITION]
        ),
    }
    written = sorted({topic for (topic, _), held in ranges.items() if held.end > 0})
    if written:
        raise RepartitionError(
            f"{', '.join(written)}: not empty. Name a prefix that nobody has used, or delete its topics"
        )


async def _all_consumed(logs: Logs, side: Side, clock: Clock) -> list[Progress]:
    """Where every task stands, made sure that nothing is left to read: before anything is written."""
    found = []
    for task in range(side.partitions):
        changelog = await read_changelog(logs, side.names, task, PlainMetrics(), clock)
        await _require_consumed(logs, side, task, changelog.progress)
        if changelog.progress is not None:
            found.append(changelog.progress)
    if not found:
        raise RepartitionError("there is no state to move: `forewarn topics apply` is all it takes")
    return found


async def _require_consumed(logs: Logs, side: Side, task: int, progress: Progress | None) -> None:
    ranges = await logs.ranges(side.names.consumed, [task])
    for place, name in enumerate(side.names.consumed):
        held = ranges[name, task]
        position = held.start if progress is None else progress.offsets[place]
        left = 0
        if position < held.end:
            # The mark of a transaction takes an offset too, and nobody ever reads it.
            async for records in logs.read(name, task):
                left += sum(record.offset >= position for record in records)
        if left:
            raise RepartitionError(
                f"{name}, partition {task}: {left} records are not processed. Stop the producers, let the workers finish "
                f"(`forewarn lag`; with the clock `event`: `forewarn worker --until-end`), stop them, and begin again"
            )


# ---- moving ------------------------------------------------------------------------------------------------------


class _Writer:
    """Writes to the new topics, a transaction at a time."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    async def write(
        self, topic: str, by_partition: Mapping[int, Sequence[OutputRecord]], timestamp_ms: int | None = None
    ) -> None:
        """All of it or nothing."""
        at_ms = self._clock.now_ms() if timestamp_ms is None else timestamp_ms
        await self._sink.begin()
        for partition, records in by_partition.items():
            await self._sink.send(topic, records, at_ms, partition)
        await self._sink.flush()
        await self._sink.commit()


async def _move_policies(logs: Logs, old: Side, new: Side, writer: _Writer) -> None:
    for record in await _last_of_each_key(logs, old.names.policies, REFERENCE_PARTITION):
        await _copy(record, record.value, new.names.policies, writer)


async def _move_learning(logs: Logs, old: Side, new: Side, writer: _Writer) -> int:
    """Examples in their order, then the cards; learning goes on at the same example, which has another offset now."""
    offsets: list[int] = []
    async for records in logs.read(old.names.training_examples, EXAMPLES_PARTITION):
        for some in _some_at_once(records):
            copied = [OutputRecord(record.key, record.value, record.headers) for record in some]
            await writer.write(new.names.training_examples, {EXAMPLES_PARTITION: copied})
        offsets += [record.offset for record in records]
    for record in await _last_of_each_key(logs, old.names.scorecards, REFERENCE_PARTITION):
        value = record.value
        if record.key == LEARNING_KEY and value is not None:
            learning = msgspec.json.decode(value, type=Learning)
            taken = sum(offset < learning.examples_offset for offset in offsets)
            at = await _offset_behind(logs, new.names.training_examples, taken)
            value = msgspec.json.encode(msgspec.structs.replace(learning, examples_offset=at))
        await _copy(record, value, new.names.scorecards, writer)
    return len(offsets)


async def _offset_behind(logs: Logs, topic: str, taken: int) -> int:
    """The offset behind the first so many records of the examples' partition."""
    behind, left = 0, taken
    async for records in logs.read(topic, EXAMPLES_PARTITION):
        if left == 0:
            break
        behind = records[min(left, len(records)) - 1].offset + 1
        left -= min(left, len(records))
    return behind


async def _copy(record: RawRecord, value: bytes | None, topic: str, writer: _Writer) -> None:
    """With its time: it tells when a policy or card was published."""
    copied = OutputRecord(record.key, value, record.headers)
    await writer.write(topic, {REFERENCE_PARTITION: [copied]}, record.timestamp)


async def _move_states(changelog: Changelog, new: Side, writer: _Writer) -> int:
    return await _move(new.names.state, changelog.states.items(), new.partitions, writer)


async def _move_risks(logs: Logs, old: Side, task: int, new: Side, writer: _Writer) -> int:
    kept = await _last_of_each_key(logs, old.names.borrower_risk, task)
    risks = [(record.key, record.value) for record in kept if record.key is not None]
    living = ((key, value) for key, value in risks if value is not None)
    return await _move(new.names.borrower_risk, living, new.partitions, writer)


async def _move(topic: str, records: Iterable[tuple[bytes, bytes]], partitions: int, writer: _Writer) -> int:
    """Each record to its borrower's partition; how many there were."""
    moved = 0
    for some in _some_at_once(records):
        by_partition: dict[int, list[OutputRecord]] = {}
        for key, value in some:
            if is_pseudonym(key.decode()):
                raise RepartitionError(
                    "ids are pseudonyms, and only the original id tells the partition: replay the inputs under another prefix "
                    "and group"
                )
            by_partition.setdefault(partition_of(key, partitions), []).append(OutputRecord(key, value))
        await writer.write(topic, by_partition)
        moved += len(some)
    return moved


async def _last_of_each_key(logs: Logs, topic: str, partition: int) -> list[RawRecord]:
    """In the order of their offsets, as a compacted log would hold them."""
    last: dict[bytes | None, RawRecord] = {}
    async for records in logs.read(topic, partition):
        for record in records:
            last.pop(record.key, None)
            last[record.key] = record
    return list(last.values())


def _some_at_once(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, RECORDS_AT_ONCE)):
        yield some


@asynccontextmanager
async def _opened(sink: Sink) -> AsyncIterator[Sink]:
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()
