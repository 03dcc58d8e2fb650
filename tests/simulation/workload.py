"""What stands on the input topics of a seed: lives of a few borrowers, and everything that is wrong with real feeds.

Late, out of order, twice, dated in the future, torn, under a wrong key or on a wrong partition: all of it is drawn from
the dice, and all of it is in the log before the oracle looks at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final, NamedTuple

import msgspec

from models.calendars import DAY_MS, HOUR_MS
from models.events import TOPICS, Heartbeat
from streams.partitioner import partition_of
from tests.simulation.lives import DAYS, START_MS, Told, life

_BEATS_EVERY_DAYS: Final = 9
"""Heartbeats of every partition: without one from each topic, `clock = "event"` lets nothing go."""
_CLOSING_DAYS: Final = (120, 121)
"""After the beginning of the last ordinary day: behind every event, however late it came."""
_JITTER_MS: Final = 6 * DAY_MS
"""How far an event may stand behind its place: its merge key is then that of the one before it."""
_encode = msgspec.json.Encoder().encode


class Written(NamedTuple):
    """One record of an input topic."""

    feed: int
    partition: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int


class _Placed(NamedTuple):
    place_ms: int
    """Where in the order of writing."""
    record: Written


def workload(dice: Random, partitions: int) -> list[Written]:
    """Everything that is written, in the order of writing, but for what closes it."""
    placed: list[_Placed] = []
    for number in range(dice.randint(8, 16)):
        for told in life(dice, f"borrower-{number}"):
            placed.extend(_deliveries(dice, told, partitions))
    placed.extend(_poison(dice, partitions))
    placed.extend(_heartbeats(partitions))
    placed.sort(key=lambda one: one.place_ms)
    return [one.record for one in placed]


def closing(partitions: int) -> list[Written]:
    """Two rounds of heartbeats behind everything: the second lets the merge take the first."""
    ends_ms = [START_MS + (DAYS + days) * DAY_MS for days in _CLOSING_DAYS]
    return [one.record for end_ms in ends_ms for one in _beat(end_ms, end_ms, partitions)]


def _deliveries(dice: Random, told: Told, partitions: int) -> Iterator[_Placed]:
    """An event as it reaches its topic: maybe late, out of its order, dated ahead, torn or twice."""
    event, place_ms = told.event, told.event.event_time_ms
    if dice.random() < 0.06:
        place_ms += dice.randint(2 * HOUR_MS, 12 * DAY_MS)
        event = msgspec.structs.replace(event, ingested_at_ms=place_ms)
    elif dice.random() < 0.01:
        place_ms -= 2 * DAY_MS
        if dice.random() < 0.5:
            event = msgspec.structs.replace(event, ingested_at_ms=place_ms)
    key = event.borrower_id.encode()
    value = _encode(event)
    if dice.random() < 0.01:
        value = value[: dice.randrange(len(value))]
    record = Written(told.feed, partition_of(key, partitions), key, value, place_ms)
    if dice.random() < 0.15:
        place_ms += dice.randrange(_JITTER_MS)
    yield _Placed(place_ms, record)
    while dice.random() < 0.05:
        place_ms += dice.choice((0, 1, HOUR_MS, 9 * DAY_MS))
        yield _Placed(place_ms, record)


def _poison(dice: Random, partitions: int) -> Iterator[_Placed]:
    for number in range(dice.randint(0, 10)):
        at_ms = START_MS + dice.randrange(DAYS * DAY_MS)
        feed = dice.randrange(len(TOPICS))
        borrower = f"borrower-{dice.randrange(8)}".encode()
        own = partition_of(borrower, partitions)
        wrong = (own + 1) % partitions
        plain = b'{"type":"%b","event_id":"p%d","borrower_id":"%b","event_time_ms":%d,"account_id":"a"}'
        linked = plain % (b"account_linked", number, b"stray-" + borrower, at_ms)
        stray = b"stray-" + borrower
        astray = (partition_of(stray, partitions) + 1) % partitions
        records = [
            (feed, own, borrower, b"\xff\x00 not json"),
            (feed, own, borrower, None),
            (feed, wrong, None, b""),
            (feed, own, borrower, plain % (b"moon_landing", number, borrower, at_ms)),
            (1, own, borrower, linked),
            (1, astray, stray, linked),
            (2, own, borrower, plain % (b"account_linked", number, borrower, at_ms)),
        ]
        feed, partition, key, value = dice.choice(records)
        yield _Placed(at_ms, Written(feed, partition, key, value, at_ms))


def _heartbeats(partitions: int) -> Iterator[_Placed]:
    for day in range(0, DAYS, _BEATS_EVERY_DAYS):
        at_ms = START_MS + day * DAY_MS
        yield from _beat(at_ms, at_ms - 3 * HOUR_MS, partitions)


def _beat(place_ms: int, up_to_ms: int, partitions: int) -> Iterator[_Placed]:
    value = _encode(Heartbeat(event_time_ms=up_to_ms, ingested_at_ms=place_ms))
    for feed in range(len(TOPICS)):
        for partition in range(partitions):
            yield _Placed(place_ms, Written(feed, partition, None, value, place_ms))
