"""Lines to the input topics: what `replay`, `simulate --to-kafka` and `demo` share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import partial

from models.rules import Rules
from streams.clock import Clock
from streams.event_files import Line
from streams.kafka.feeding import EventTimePace, feed
from streams.kafka.inspection import Inspector
from streams.partitioner import partition_of
from streams.replay import LINE_BYTES_MAX, ReplayError, replay_plan, require_inputs
from streams.settings import Settings
from streams.topics import names_of


def count_partitions(settings: Settings) -> int:
    """How many partitions the input topics have.

    Raises:
        InspectionError: no broker.
        ReplayError: a topic is missing, or they differ.
    """
    names = names_of(settings)
    if settings.mapping_file is not None or names.lenders:
        raise ReplayError(
            "this installation reads a lender's own topics (mapping_file, ..._topic): events in the contract's form go to one that "
            "does not, under another prefix"
        )
    with Inspector(settings) as inspector:
        return require_inputs(inspector.partition_counts(names.inputs))


def send(
    lines: Iterable[Line],
    settings: Settings,
    rules: Rules,
    partitions: int,
    *,
    clock: Clock,
    known_by_ms: int,
    until: date | None = None,
    speed: float | None = None,
) -> int:
    """Write lines and heartbeats to the input topics; return how many records they are.

    Raises:
        FeedingError: the broker went away.
        ReplayError: `until` lies in the future.
    """
    place = partial(_partition_of, partitions=partitions, known={})
    plan = replay_plan(lines, rules, partitions, place, known_by_ms=known_by_ms, until=until)
    pace = None if speed is None else EventTimePace(speed, clock)
    return asyncio.run(feed(plan, settings, clock=clock, pace=pace))


def counted(lines: Iterable[Line], total: int, progress: Callable[[int, int], None]) -> Iterator[Line]:
    """The lines, with a report of progress now and then."""
    for done, line in enumerate(lines, start=1):
        if done % _REPORTED_EVERY_LINES == 0:
            progress(done, total)
        yield line


def sendable(lines: Iterable[Line], too_large: list[Line]) -> Iterator[Line]:
    """All lines but those that no broker takes; these are put aside, to be told of."""
    for line in lines:
        if len(line.raw) > LINE_BYTES_MAX:
            too_large.append(line)
        else:
            yield line


_REPORTED_EVERY_LINES = 10_000
"""Lines between two reports of progress: a tenth of a second."""

_KNOWN_MAX = 1_000_000
"""Borrowers whose partition is remembered: hashing one takes 4 µs, looking it up 0.1 µs."""


def _partition_of(key: bytes, partitions: int, known: dict[bytes, int]) -> int:
    partition = known.get(key)
    if partition is None:
        if len(known) >= _KNOWN_MAX:
            known.clear()
        partition = known[key] = partition_of(key, partitions)
    return partition
