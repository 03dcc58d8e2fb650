"""From the log to a task that is ready: fence, read state and position, compare witnesses, build the engine.

Nothing here is left to chance: what does not fit together is refused with what was found and what to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from models.borrower import CorruptStateError
from models.engine import EngineProgress
from models.events import TOPICS
from streams.clock import Clock
from streams.metrics import Metrics
from streams.metrics_catalogue import GaugeName
from streams.ports import Engine, LogRange, Logs, PositionLostError, RawRecord, Source
from streams.progress import CorruptProgressError, Progress, decode_progress, is_progress_key, progress_key
from streams.restore_progress import RestoreProgress
from streams.settings import Settings
from streams.topics import TopicNames

logger = logging.getLogger(__name__)

_WITNESS_RETRY_MS: Final = 200
_RESTORED_AT_ONCE: Final = 5_000
"""Borrowers handed to the engine before heartbeats get their turn: about 20 ms, half of it their checksums."""
_GAUGES: Final[tuple[GaugeName, ...]] = (
    "restored_records",
    "restore_remaining_records",
    "restore_remaining_seconds",
)
_WAYS_OUT: Final = "Nothing was opened or written. Restore the topic from a sound copy, or replay the inputs under another prefix and group"


class RestoreError(Exception):
    """A task that must not be opened: the message says what was found and what to do."""


class Position(Struct, frozen=True):
    """Where a task goes on, by feed, and the engine's own part of it."""

    offsets: tuple[int, ...]
    merge_keys_ms: tuple[int, ...]
    engine: EngineProgress | None


class Changelog(Struct, frozen=True):
    """What the changelog holds of a task: the progress record, and every borrower's last state."""

    topic: str
    partition: int
    progress: Progress | None
    states: dict[bytes, bytes]


async def read_changelog(
    logs: Logs, names: TopicNames, task: int, metrics: Metrics, clock: Clock
) -> Changelog:
    """Read a task's changelog to its end. The producer must have been started before: it ends the former one's writing.

    Says how far it is, in the log every few seconds and in the metrics.

    Raises:
        RestoreError: the progress record cannot be trusted.
    """
    held = (await logs.ranges([names.state], [task]))[names.state, task]
    reading = RestoreProgress(held.start, held.end, clock.monotonic_ms())
    reader = _ChangelogReader(names.state, task)
    try:
        async for records in logs.read(names.state, task):
            reader.take(records)
            reading.add(len(records), records[-1].offset)
            now_ms = clock.monotonic_ms()
            _show(reading, now_ms, task, metrics)
            if reading.is_report_due(now_ms):
                logger.info("task %d restores: %s", task, reading.told(now_ms))
    finally:
        for gauge in _GAUGES:
            metrics.set(gauge, 0, str(task))
    logger.info(
        "task %d: changelog read, %d records, %.0f records/s",
        task,
        reading.records,
        reading.records_per_second(clock.monotonic_ms()),
    )
    return reader.changelog()


def _show(reading: RestoreProgress, now_ms: int, task: int, metrics: Metrics) -> None:
    metrics.set("restored_records", reading.records, str(task))
    metrics.set("restore_remaining_records", reading.remaining, str(task))
    seconds_left = reading.seconds_left(now_ms)
    if seconds_left is not None:
        metrics.set("restore_remaining_seconds", seconds_left, str(task))


class _ChangelogReader:
    """Keeps the last record of every key."""

    def __init__(self, topic: str, partition: int) -> None:
        self._topic = topic
        self._partition = partition
        self._own_key = progress_key(partition)
        self._states: dict[bytes, bytes] = {}
        self._progress: bytes | None = None
        self._progress_offset = -1

    def take(self, records: Sequence[RawRecord]) -> None:
        """Read on."""
        states = self._states
        for record in records:
            key, value = record.key, record.value
            if key == self._own_key:
                self._progress = value
                self._progress_offset = record.offset
            elif key is None or is_progress_key(key):
                raise RestoreError(
                    f"{self._topic}, partition {self._partition}, offset {record.offset}: a record of something else; the "
                    f"topic must be written by Forewarn alone, one group for each prefix"
                )
            elif value is None:
                states.pop(key, None)
            else:
                states[key] = value

    def changelog(self) -> Changelog:
        """What was read."""
        topic, partition = self._topic, self._partition
        if self._progress is None:
            if self._states:
                raise RestoreError(
                    f"{topic}, partition {partition}: {len(self._states)} borrowers but no progress record, so nothing "
                    f"tells how far they are; restore the topic, or begin anew under another prefix and group"
                )
            return Changelog(topic, partition, None, {})
        try:
            return Changelog(topic, partition, decode_progress(self._progress), self._states)
        except CorruptProgressError as error:
            raise RestoreError(
                f"{topic}, partition {partition}: progress record not readable, offset {self._progress_offset}: {error}. "
                f"{_WAYS_OUT}"
            ) from error


async def decide_position(
    progress: Progress | None,
    task: int,
    *,
    source: Source,
    logs: Logs,
    names: TopicNames,
    settings: Settings,
    clock: Clock,
    partition_count: int,
) -> Position:
    """Where to go on: the progress record, if the group's offsets do not contradict it and the log still holds it.

    Raises:
        RestoreError: the witnesses differ, or the number of partitions has changed.
        PositionLostError: retention was faster than the worker.
    """
    ranges = await logs.ranges(names.consumed, [task])
    starts = [ranges[name, task] for name in names.consumed]
    if progress is None:
        await _refuse_orphaned_offsets(source, task, names, settings)
        return Position(tuple(held.start for held in starts), (0,) * len(TOPICS), None)
    if progress.partition_count != partition_count:
        raise RestoreError(
            f"task {task}: its state was written for {progress.partition_count} partitions, the input topics now have "
            f"{partition_count}: borrowers would be on the wrong tasks. Replay the inputs under another prefix and group, "
            f"or go back to {progress.partition_count} partitions"
        )
    await _compare_witnesses(progress, source, names, settings, clock)
    _refuse_lost_positions(progress.offsets, starts, task, names)
    return Position(progress.offsets, progress.merge_keys_ms, progress.engine)


async def fill_engine(engine: Engine, changelog: Changelog, position: Position, logs: Logs) -> None:
    """Give the engine its borrowers back, each record made sure of; heartbeats go on meanwhile.

    Raises:
        RestoreError: a borrower's record cannot be trusted; the message says where it is.
    """
    for number, (key, state) in enumerate(changelog.states.items(), start=1):
        try:
            engine.restore(key.decode(), state)
        except (CorruptStateError, UnicodeDecodeError) as error:
            offset = await _last_offset_of(key, changelog, logs)
            raise RestoreError(
                f"{changelog.topic}, partition {changelog.partition}, offset {offset}, key {key!r}: {error}. {_WAYS_OUT}"
            ) from error
        if number % _RESTORED_AT_ONCE == 0:
            await asyncio.sleep(0)
    if position.engine is not None:
        engine.resume(position.engine)


async def _last_offset_of(key: bytes, changelog: Changelog, logs: Logs) -> int:
    """Where a key was written last: read again, so that not every restore keeps an offset for each borrower."""
    offset = -1
    async for records in logs.read(changelog.topic, changelog.partition):
        for record in records:
            if record.key == key:
                offset = record.offset
    return offset


async def _compare_witnesses(
    progress: Progress, source: Source, names: TopicNames, settings: Settings, clock: Clock
) -> None:
    """The group's offsets must agree; a marker may still be on its way, so ask again for a while."""
    deadline_ms = clock.monotonic_ms() + settings.witness_timeout_ms
    while True:
        committed = await source.committed(progress.task)
        differing = [
            f"{name}: group {theirs}, progress {ours}"
            for name, theirs, ours in zip(names.consumed, committed, progress.offsets, strict=True)
            if theirs is not None and theirs != ours
        ]
        if not differing:
            return
        if clock.monotonic_ms() >= deadline_ms:
            raise RestoreError(
                f"task {progress.task}: the offsets of group {settings.group_id} and the progress record differ after "
                f"{settings.witness_timeout_ms / 1000:g} s: {'; '.join(differing)}. Somebody has moved the group's "
                f"offsets, or two installations share group or topics. State belongs to the progress record: set the "
                f"group's offsets to it, or delete the group"
            )
        await asyncio.sleep(_WITNESS_RETRY_MS / 1000)


async def _refuse_orphaned_offsets(source: Source, task: int, names: TopicNames, settings: Settings) -> None:
    committed = await source.committed(task)
    if any(offset is not None for offset in committed):
        found = ", ".join(f"{name} {offset}" for name, offset in zip(names.consumed, committed, strict=True))
        raise RestoreError(
            f"task {task}: group {settings.group_id} has offsets ({found}) but {names.state} has no progress record: the "
            f"state that belongs to them is gone. Restore the topic, or delete the group to begin anew"
        )


def _refuse_lost_positions(
    offsets: Sequence[int], held: Sequence[LogRange], task: int, names: TopicNames
) -> None:
    lost = [
        f"{name}: next to read {offset}, the log holds {log.start} to {log.end}"
        for name, offset, log in zip(names.consumed, offsets, held, strict=True)
        if not log.start <= offset <= log.end
    ]
    if lost:
        raise PositionLostError(
            f"task {task}: {'; '.join(lost)}. Records that were never processed are gone (retention), or the topic was made "
            f"anew. Feed them again under another prefix and group, and give the inputs a longer retention"
        )
