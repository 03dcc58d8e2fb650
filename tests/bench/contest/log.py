"""One log for all: a simulated book, written to the input topics once, with the reference of what the job makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count, islice
from typing import Final

from models.events import SERVICING, TOPICS
from models.policy import default_policy
from models.rules import Rules
from streams.clock import SystemClock
from streams.codec import Decoder
from streams.event_files import Line, file_of
from streams.kafka.feeding import feed
from streams.partitioner import partition_of
from streams.replay import PlannedRecord, replay_plan
from streams.settings import Settings
from streams.simulator import SimulationSettings, simulate
from tests.bench.contest.job import Reference

EVENTS_PER_BORROWER: Final = 95
"""In a year, fewer than the simulator's hundred: the last days of the book are cut off."""
JOB_FEEDS: Final = tuple(index for index in range(len(TOPICS)) if index != SERVICING)
"""Servicing takes no part: the job has no use for it, and a fortieth of the events would be ours alone."""


def lines(events: int, seed: int, known_by_ms: int) -> Iterator[Line]:
    """So many simulated events in the order of delivery."""
    book = SimulationSettings(seed=seed, borrowers=max(1, events // EVENTS_PER_BORROWER + 1))
    decoders = [Decoder(topic, keyed=False) for topic in TOPICS]
    feeds = {topic: index for index, topic in enumerate(TOPICS)}
    numbers = count(1)
    every = (
        Line(
            index,
            file_of(delivery.topic),
            next(numbers),
            delivery.place_ms,
            delivery.payload,
            decoders[index].decode(delivery.payload, None, known_by_ms),
        )
        for delivery in simulate(book)
        if (index := feeds[delivery.topic]) in JOB_FEEDS
    )
    return islice(every, events)


def write(settings: Settings, events: int, seed: int) -> Reference:
    """Write the log, with the heartbeats of a replay; return what must come of it."""
    clock = SystemClock()
    reference = Reference()
    known: dict[bytes, int] = {}

    def place(key: bytes) -> int:
        if key not in known:
            known[key] = partition_of(key, settings.partitions)
        return known[key]

    def planned() -> Iterator[PlannedRecord]:
        now_ms = clock.now_ms()
        rules = Rules(default_policy())
        for record in replay_plan(
            lines(events, seed, now_ms), rules, settings.partitions, place, known_by_ms=now_ms
        ):
            if record.topic_index in JOB_FEEDS:
                reference.add((record.topic_index, record.partition), record.value)
            yield record

    asyncio.run(feed(planned(), settings, clock=clock))
    return reference
