"""What a cycle feeds: a simulated book in the order of delivery, with the heartbeats of a replay, and all that spoils a feed.

Duplicates, events out of their order, late events, poison: each drawn from the seed. What the workers must make of it is read
from the log afterwards, so nothing here has to be kept in mind.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Final

import msgspec
from msgspec import Struct

from models.events import TOPICS
from models.policy import default_policy
from models.rules import Rules
from streams.codec import Decoder
from streams.event_files import Line
from streams.partitioner import partition_of
from streams.replay import PlannedRecord, replay_plan
from streams.simulator import SimulationSettings, simulate

PARTITIONS: Final = 8
START: Final = date(2025, 1, 1)
KNOWN_BY_MS: Final = 1_760_000_000_000
"""Behind all that the book holds: what is to be refused is made so here."""
HOT_BORROWER: Final = "hot-borrower"
_DUPLICATE_SHARE: Final = 0.01
_DISORDER_SHARE: Final = 0.01
_POISON_SHARE: Final = 0.003
_LATE_SHARE: Final = 0.03
_MOVED_PLACES_MAX: Final = 300
"""How far a duplicate or an event out of order lies behind its own place."""


class BookShape(Struct, frozen=True):
    """How much, and how it is spread."""

    borrowers: int = 400
    months: int = 3
    hot_share: float = 0.0
    """The part of all events that belongs to one borrower."""


def make_book(seed: int, shape: BookShape) -> list[PlannedRecord]:
    """All records of a cycle in the order in which to send them; the last are the closing heartbeats (`closing_count`)."""
    dice = random.Random(seed)
    records = list(_replayed(seed, shape))
    split = len(records) - closing_count()
    events, closing = records[:split], records[split:]
    if shape.hot_share:
        events = list(_heated(events, shape.hot_share))
    return [*_spoiled(events, dice), *closing]


def closing_count() -> int:
    """The two rounds of heartbeats behind everything, one for each topic and partition."""
    return 2 * len(TOPICS) * PARTITIONS


def is_heartbeat(record: PlannedRecord) -> bool:
    """Whether it moves time only."""
    return record.key is None and b'"heartbeat"' in record.value


def _replayed(seed: int, shape: BookShape) -> Iterator[PlannedRecord]:
    settings = SimulationSettings(
        seed=seed,
        borrowers=shape.borrowers,
        months=shape.months,
        start=START,
        late_share=_LATE_SHARE,
        # What linked borrowers tell each other comes in no fixed order; all else is compared to the last byte.
        linked_share=0,
        # More befalls these borrowers than any lender's: a cycle is to have many alerts in few events.
        job_loss_share=0.2,
        income_cut_share=0.1,
        stacking_share=0.25,
        forgetful_share=0.25,
        silent_share=0.1,
    )
    decoders = {topic: Decoder(topic, keyed=False) for topic in TOPICS}
    lines = (
        Line(
            topic_index=TOPICS.index(delivery.topic),
            file=delivery.topic,
            number=0,
            place_ms=delivery.place_ms,
            raw=delivery.payload,
            content=decoders[delivery.topic].decode(delivery.payload, None, KNOWN_BY_MS),
        )
        for delivery in simulate(settings)
    )
    return replay_plan(lines, Rules(default_policy()), PARTITIONS, _place, known_by_ms=KNOWN_BY_MS)


def _place(key: bytes) -> int:
    return partition_of(key, PARTITIONS)


def _spoiled(records: Iterable[PlannedRecord], dice: random.Random) -> Iterator[PlannedRecord]:
    """The same records with duplicates, disorder and poison among them."""
    moved: list[tuple[int, PlannedRecord]] = []
    for number, record in enumerate(records):
        while moved and moved[0][0] <= number:
            yield moved.pop(0)[1]
        if is_heartbeat(record):
            yield record
            continue
        draw = dice.random()
        later = number + dice.randrange(1, _MOVED_PLACES_MAX)
        if draw < _DISORDER_SHARE:
            moved.append((later, record))
            moved.sort(key=lambda entry: entry[0])
            continue
        yield record
        if draw < _DISORDER_SHARE + _DUPLICATE_SHARE:
            moved.append((later, record))
            moved.sort(key=lambda entry: entry[0])
        elif draw < _DISORDER_SHARE + _DUPLICATE_SHARE + _POISON_SHARE:
            yield _poisoned(record, dice)
    yield from (record for _, record in moved)


def _poisoned(record: PlannedRecord, dice: random.Random) -> PlannedRecord:
    """Something that a worker must refuse."""
    value, partition = record.value, record.partition
    match dice.randrange(5):
        case 0:
            value = value[: dice.randrange(len(value))]
        case 1:
            value = b"\xff\xfe" + value
        case 2:
            value = b'{"type": "unheard_of"}'
        case 3:
            document = msgspec.json.decode(value)
            document |= {"event_id": "from-the-future", "event_time_ms": KNOWN_BY_MS * 2}
            value = msgspec.json.encode(document)
        case _:
            partition = (partition + 1) % PARTITIONS
    return msgspec.structs.replace(record, value=value, partition=partition)


def _heated(records: Iterable[PlannedRecord], share: float) -> Iterator[PlannedRecord]:
    """The same records, and so many of one borrower among them that its share is as wanted."""
    key = HOT_BORROWER.encode()
    each = share / (1 - share)
    owed = 0.0
    number = 0
    for record in records:
        yield record
        if is_heartbeat(record):
            continue
        owed += each
        while owed >= 1:
            owed -= 1
            number += 1
            document = _hot_event(number, record.place_ms)
            topic_index = TOPICS.index("credit-queries" if number % 4 == 0 else "fund-flows")
            value = msgspec.json.encode(document)
            yield PlannedRecord(topic_index, _place(key), key, value, record.place_ms)


def _hot_event(number: int, at_ms: int) -> dict[str, object]:
    common: dict[str, object] = {
        "event_id": f"hot-{number}",
        "borrower_id": HOT_BORROWER,
        "event_time_ms": at_ms,
    }
    if number % 4 == 0:
        institution = f"bank-{number % 400}"
        return common | {"type": "credit_query", "institution_id": institution, "purpose": "loan_application"}
    return common | {
        "type": "fund_flow",
        "account_id": "hot-account",
        "direction": "out",
        "amount_minor": 100 + number,
        "currency": "CNY",
        "category": "living",
    }
