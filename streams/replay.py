"""Turns a folder of events into the records of the input topics, with the heartbeats that keep the merge going.

A worker with `clock = "event"` takes a record only when every topic of its partition shows a record at or beyond it in
the order of delivery. A feed that is silent for one partition would stop it; so every topic and partition gets
heartbeats, each with the feed's watermark so far (over all partitions) and its own place in the order of delivery:

- one at the local midnight that begins a day of delivery, before the first record of that day,
- one right before the record with which the feed's watermark reaches or passes a local midnight,
- with `until`, one for each local midnight up to the one that ends that date,
- one at the end, behind everything, with the feed's final watermark, and one that closes.

So no partition ever waits for more than the records of a day, and every partition judges what is due at a midnight
between the same records as a backtest does, which has only one partition. A rejected line has no place of its own in the
merge; where its time can be read, a heartbeat before it gives it the place that it has in a backtest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Final

import msgspec
from msgspec import Struct

from models.calendars import Calendar, day_of_date
from models.events import TOPICS, BorrowerEvent, Event, Heartbeat
from models.limits import FUTURE_TOLERANCE_MS, PAYLOAD_BYTES_MAX
from models.rules import Rules
from streams.codec import Reject
from streams.event_files import NO_PLACE_MS, Line

UNKEYED_PARTITION: Final = 0
"""Where a rejected line goes whose borrower cannot be read."""

LINE_BYTES_MAX: Final = PAYLOAD_BYTES_MAX + 8 * 1024
"""A line beyond the payload's limit is sent, to be rejected, as far as the input topics take it with key and batch."""

PartitionOf = Callable[[bytes], int]
"""The partition of a record's key."""


class ReplayError(Exception):
    """A replay that cannot be made: the message says why."""


class PlannedRecord(Struct, frozen=True, gc=False):
    """A record to be sent: the topic as an index into `TOPICS`, and the place in the order of delivery."""

    topic_index: int
    partition: int
    key: bytes | None
    value: bytes
    place_ms: int


def replay_plan(
    lines: Iterable[Line],
    rules: Rules,
    partitions: int,
    partition_of: PartitionOf,
    *,
    known_by_ms: int,
    until: date | None = None,
) -> Iterator[PlannedRecord]:
    """Yield the records to send, in the order in which to send them.

    Args:
        lines: in the order of delivery. Rejected ones are sent as they are.
        rules: the policy's lateness and time zone.
        partitions: of every input topic.
        partition_of: places a borrower.
        known_by_ms: the time of the run, with which the lines were read.
        until: at the end every feed's watermark is moved to the local midnight that ends this date.

    Raises:
        ReplayError: `until` lies so far ahead that its heartbeats would be rejected.
    """
    horizon_ms = known_by_ms + FUTURE_TOLERANCE_MS
    if until is not None and until_midnight_ms(until, rules.calendar) > horizon_ms:
        raise ReplayError(f"until {until}: lies in the future; a worker would reject a heartbeat from there")
    heartbeats = _Heartbeats(rules, partitions)
    for line in lines:
        content = line.content
        if isinstance(content, Reject):
            yield from _rejected(line, content, partition_of, heartbeats, horizon_ms)
            continue
        yield from heartbeats.before(line, content)
        if isinstance(content, Heartbeat):
            for partition in range(partitions):
                yield PlannedRecord(line.topic_index, partition, None, line.raw, line.place_ms)
        else:
            key = content.borrower_id.encode()
            partition = partition_of(key)
            yield from heartbeats.before_late(line, content, partition)
            yield PlannedRecord(line.topic_index, partition, key, line.raw, line.place_ms)
    yield from heartbeats.at_the_end(until)


def until_midnight_ms(until: date, calendar: Calendar) -> int:
    """The local midnight that ends the date."""
    return calendar.midnight_ms(day_of_date(until) + 1)


def _rejected(
    line: Line, reject: Reject, partition_of: PartitionOf, heartbeats: _Heartbeats, horizon_ms: int
) -> Iterator[PlannedRecord]:
    """A line that the worker will reject, as it is."""
    key = None if reject.borrower_id is None else reject.borrower_id.encode()
    partition = UNKEYED_PARTITION if key is None else partition_of(key)
    if line.place_ms != NO_PLACE_MS:
        yield from heartbeats.before_reject(line.topic_index, partition, line.place_ms, horizon_ms)
    yield PlannedRecord(line.topic_index, partition, key, line.raw, line.place_ms)


class _Heartbeats:
    """Knows each feed's watermark, and which midnights are still to come."""

    def __init__(self, rules: Rules, partitions: int) -> None:
        self._calendar = rules.calendar
        self._lateness_ms = rules.lateness_ms
        self._partitions = partitions
        self._watermarks_ms = [0] * len(TOPICS)
        self._next_midnights_ms = [0] * len(TOPICS)
        self._next_day_ms = 0
        self._last_place_ms = 0
        self._place_before_ms = 0
        self._beaten_ms = 0

    def before(self, line: Line, event: Event) -> Iterator[PlannedRecord]:
        """What must be sent before an accepted record."""
        topic_index, place_ms = line.topic_index, line.place_ms
        self._place_before_ms = self._last_place_ms
        self._last_place_ms = place_ms
        if place_ms >= self._next_day_ms:
            yield from self._begin_day(place_ms)
        watermark_ms = event.event_time_ms
        if not isinstance(event, Heartbeat):
            watermark_ms -= self._lateness_ms[topic_index]
        if watermark_ms > self._watermarks_ms[topic_index]:
            self._watermarks_ms[topic_index] = watermark_ms
            if watermark_ms >= self._next_midnights_ms[topic_index]:
                self._next_midnights_ms[topic_index] = self._midnight_after(watermark_ms)
                yield from self._beat(topic_index, place_ms)

    def before_late(self, line: Line, event: BorrowerEvent, partition: int) -> Iterator[PlannedRecord]:
        """Before an event that is out of order: how late it is depends on how far every feed has come.

        Topics that follow its own in the order of ties are told at the place before, so that none is told too late.
        """
        topic_index = line.topic_index
        if event.event_time_ms - self._lateness_ms[topic_index] >= self._watermarks_ms[topic_index]:
            return
        for other in range(len(TOPICS)):
            place_ms = line.place_ms if other <= topic_index else max(self._place_before_ms, self._beaten_ms)
            yield PlannedRecord(other, partition, None, self._value(other, place_ms), place_ms)

    def before_reject(
        self, topic_index: int, partition: int, place_ms: int, horizon_ms: int
    ) -> Iterator[PlannedRecord]:
        """What gives a rejected record its place. From beyond the horizon it comes last, so the last place will do."""
        if place_ms > horizon_ms:
            place_ms = self._last_place_ms
        self._last_place_ms = place_ms
        if place_ms >= self._next_day_ms:
            yield from self._begin_day(place_ms)
        value = self._value(topic_index, place_ms)
        yield PlannedRecord(topic_index, partition, None, value, place_ms)

    def at_the_end(self, until: date | None) -> Iterator[PlannedRecord]:
        """Final watermarks for each topic and partition, behind everything, and what lets the merge take them."""
        if until is not None:
            yield from self._midnights_until(until_midnight_ms(until, self._calendar))
        for _ in ("final watermarks", "closing"):
            # Not before its own event time either: nobody has learnt what is yet to come.
            self._last_place_ms = max(self._last_place_ms + 1, *self._watermarks_ms)
            for topic_index in range(len(TOPICS)):
                yield from self._beat(topic_index, self._last_place_ms)

    def _midnights_until(self, until_ms: int) -> Iterator[PlannedRecord]:
        """Lead all feeds on together, a day at a time: what is due is judged in the order of time, as in a backtest."""
        spoken_ms = [watermark_ms for watermark_ms in self._watermarks_ms if watermark_ms > 0]
        midnight_ms = self._midnight_after(min(spoken_ms)) if spoken_ms else until_ms
        while midnight_ms <= until_ms:
            self._last_place_ms = max(self._last_place_ms + 1, midnight_ms)
            for topic_index, watermark_ms in enumerate(self._watermarks_ms):
                if watermark_ms < midnight_ms:
                    self._watermarks_ms[topic_index] = midnight_ms
                    yield from self._beat(topic_index, self._last_place_ms)
            midnight_ms = self._midnight_after(midnight_ms)

    def _begin_day(self, place_ms: int) -> Iterator[PlannedRecord]:
        self._next_day_ms = self._midnight_after(place_ms)
        begin_ms = max(self._calendar.midnight_ms(self._calendar.day_of(place_ms)), 0)
        for topic_index in range(len(TOPICS)):
            yield from self._beat(topic_index, begin_ms)

    def _midnight_after(self, instant_ms: int) -> int:
        return self._calendar.midnight_ms(self._calendar.day_of(instant_ms) + 1)

    def _beat(self, topic_index: int, place_ms: int) -> Iterator[PlannedRecord]:
        self._beaten_ms = place_ms
        value = self._value(topic_index, place_ms)
        for partition in range(self._partitions):
            yield PlannedRecord(topic_index, partition, None, value, place_ms)

    def _value(self, topic_index: int, place_ms: int) -> bytes:
        return msgspec.json.encode(
            Heartbeat(event_time_ms=self._watermarks_ms[topic_index], ingested_at_ms=place_ms)
        )


def require_inputs(partition_counts: Mapping[str, int]) -> int:
    """Return the number of partitions that all input topics share.

    Args:
        partition_counts: by topic; 0 where it does not exist.

    Raises:
        ReplayError: one is missing, or they differ.
    """
    counts = set(partition_counts.values())
    if len(counts) == 1 and (count := counts.pop()) > 0:
        return count
    found = ", ".join(f"{topic} {count or 'missing'}" for topic, count in partition_counts.items())
    raise ReplayError(
        f"input topics missing, hidden from this user, or unequal in partitions ({found}): run `forewarn topics apply`"
    )
