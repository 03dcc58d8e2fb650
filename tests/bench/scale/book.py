"""A book of any size: each simulated life lived by many borrowers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from models.events import TOPICS
from models.policy import default_policy
from models.rules import Rules
from streams.codec import Decoder, NotAnEvent
from streams.event_files import Line, file_of
from streams.partitioner import partition_of
from streams.ports import OutputRecord
from streams.progress import encode_progress, progress_key
from streams.replay import PlannedRecord, replay_plan
from tests.bench.scale.lives import Lives

_LATER_MS: Final = 10**13
"""The time of the reading: everything simulated lies in its past."""
_FEEDS: Final = {topic: feed for feed, topic in enumerate(TOPICS)}


class BookEndedError(Exception):
    """More events are asked for than the lives have."""


class Book:
    """So many borrowers, in so many partitions."""

    def __init__(self, lives: Lives, borrowers: int, partitions: int) -> None:
        """Borrower `n` lives life `n` modulo the number of lives."""
        self.borrowers = borrowers
        self.partitions = partitions
        self._lives = lives
        self._lived_by = {life: number for number, life in enumerate(lives.states)}
        self._places = {key: partition_of(key, partitions) for key in map(_key, range(borrowers))}
        """By key: told once, asked with every event."""
        self._later = self._events()

    def states(self) -> Iterator[tuple[int, OutputRecord]]:
        """What a worker finds in the changelog: all borrowers, and last each task's progress record, with their partitions."""
        states = list(self._lives.states.values())
        for number, (key, partition) in enumerate(self._places.items()):
            yield partition, OutputRecord(key, states[number % len(states)])
        for task in range(self.partitions):
            progress = msgspec.structs.replace(
                self._lives.progress, task=task, partition_count=self.partitions
            )
            yield task, OutputRecord(progress_key(task), encode_progress(progress))

    def records(self, events: int) -> Iterator[PlannedRecord]:
        """The next so many events with the heartbeats of a replay; the last of them let go of everything before.

        Raises:
            BookEndedError: the lives are over before.
        """
        return replay_plan(
            self._next(events),
            Rules(default_policy()),
            self.partitions,
            self._places.__getitem__,
            known_by_ms=_LATER_MS,
        )

    def _next(self, events: int) -> Iterator[Line]:
        for _ in range(events):
            line = next(self._later, None)
            if line is None:
                raise BookEndedError(
                    f"{self.borrowers:,} borrowers have no more events in {self._lives.later_days:.0f} days: take fewer events, or say with --load-speed-max how fast it is"
                )
            yield line

    def _events(self) -> Iterator[Line]:
        """Everything that happens after the history: what happens in a life happens to all who live it, one after the other."""
        decoders = [Decoder(topic, keyed=False) for topic in TOPICS]
        step = len(self._lived_by)
        number = 0
        for delivery in self._lives.later:
            feed = _FEEDS[delivery.topic]
            event = decoders[feed].decode(delivery.payload, None, _LATER_MS)
            assert not isinstance(event, NotAnEvent), delivery
            if (first := self._lived_by.get(delivery.borrower_id)) is None:
                continue  # nothing had happened yet when the history ended
            before, after = delivery.payload.split(b'"borrower_id":"%s"' % delivery.borrower_id.encode(), 1)
            for borrower in range(first, self.borrowers, step):
                number += 1
                key = _key(borrower)
                payload = b'%s"borrower_id":"%s"%s' % (before, key, after)
                own = msgspec.structs.replace(event, borrower_id=key.decode())
                yield Line(feed, file_of(delivery.topic), number, delivery.place_ms, payload, own)


def _key(number: int) -> bytes:
    return b"k%08d" % number
