"""Small workloads for the pipeline: records for the input topics, drawn from a seed, in the order of their production."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from models.alerts import Alert
from models.events import TOPICS
from streams.partitioner import partition_of
from streams.ports import RawRecord

BASE_MS = 1_700_000_000_000


class Produced(NamedTuple):
    """One record to write to an input topic."""

    feed: int
    partition: int
    key: bytes | None
    value: bytes


def event_bytes(feed: int, borrower_id: str, event_id: str, at_ms: int) -> bytes:
    """A valid event of the feed, as plain as it can be."""
    plain: dict[str, object] = {"event_id": event_id, "borrower_id": borrower_id, "event_time_ms": at_ms}
    match TOPICS[feed]:
        case "credit-queries":
            plain |= {"type": "credit_query", "institution_id": "bank-1", "purpose": "loan_application"}
        case "fund-flows":
            plain |= {
                "type": "fund_flow",
                "account_id": "a",
                "direction": "out",
                "amount_minor": 100,
                "currency": "CNY",
                "category": "living",
            }
        case "repayments":
            plain |= {"type": "repayment", "loan_id": "l", "amount_minor": 1}
        case "servicing":
            plain |= {"type": "contact_attempted", "channel": "phone", "outcome": "reached"}
    return msgspec.json.encode(plain)


def heartbeat_bytes(at_ms: int) -> bytes:
    """A heartbeat, at its place in the order of delivery."""
    return msgspec.json.encode({"type": "heartbeat", "event_time_ms": at_ms, "ingested_at_ms": at_ms})


def events(
    seed: int, count: int, partitions: int, *, borrowers: int = 50, garbage: float = 0.0
) -> Iterator[Produced]:
    """Events of random borrowers on random feeds, a second apart; some are garbage with a readable key."""
    dice = random.Random(seed)
    for number in range(count):
        feed = dice.randrange(len(TOPICS))
        borrower_id = f"borrower-{dice.randrange(borrowers)}"
        at_ms = BASE_MS + number * 1_000 + dice.randrange(3_000)
        key = borrower_id.encode()
        value = event_bytes(feed, borrower_id, f"e{seed}-{number}", at_ms)
        if dice.random() < garbage:
            value = value[: dice.randrange(len(value))]
        yield Produced(feed, partition_of(key, partitions), key, value)


def closing(count: int, partitions: int) -> Iterator[Produced]:
    """Two rounds of heartbeats behind everything: the second lets the merge take the whole of the first."""
    for round_number in (1, 2):
        for feed in range(len(TOPICS)):
            for partition in range(partitions):
                at_ms = BASE_MS + (count + 10 + round_number) * 1_000
                yield Produced(feed, partition, None, heartbeat_bytes(at_ms))


def alerts_of(partitions: Sequence[Sequence[RawRecord]]) -> list[list[Alert]]:
    """The alerts of a topic, by partition."""
    decoder = msgspec.json.Decoder(Alert)
    return [[decoder.decode(record.value or b"") for record in records] for records in partitions]


def comparable(partitions: Sequence[Sequence[Alert]]) -> list[list[dict[str, object]]]:
    """Alerts without what may differ between equal runs: when they were detected, and so their hashes."""
    compared = []
    for alerts in partitions:
        plain = [msgspec.to_builtins(alert) for alert in alerts]
        for document in plain:
            del document["detected_at_ms"]
            del document["chain"]
        compared.append(plain)
    return compared
