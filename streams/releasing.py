"""Release: somebody answers for a refused record, and its borrower's alerts may be acted on again.

It goes the way of every event, so that it is ordered, kept and repeated like one: an `event_voided` that takes the refused
record back, on the topic and partition where it was refused.
"""

from __future__ import annotations

from typing import Final

import msgspec

from models.borrower import INCOMPLETE_MORE, nameless
from models.events import REPAYMENTS, SERVICING, TOPICS, EventVoided, Topic
from streams.codec import CONTRACT_HEADER, KeptRecord, RecordDecoder, Reject
from streams.dead_letters import Letter, name_of_retried
from streams.ports import OutputRecord

HOLDING_TOPICS: Final[tuple[Topic, ...]] = (TOPICS[REPAYMENTS], TOPICS[SERVICING])
"""A refused record of another topic holds nobody."""


def held_borrower(letter: Letter) -> str | None:
    """Whose alerts a letter of a holding topic holds; None where no borrower can be told, so that none is held."""
    if letter.reason == "wrong-partition" or not letter.key:
        return None
    try:
        return letter.key.decode()
    except UnicodeDecodeError:
        return None


def missing_name(letter: Letter, topic: Topic, decoder: RecordDecoder) -> str:
    """The name under which the record is missing from its borrower's picture: its `event_id`, else where it stood first.

    `decoder`: that of the topic's records.
    """
    assert letter.origin_partition is not None
    assert letter.origin_offset is not None
    record = KeptRecord(letter.value, letter.key, letter.produced_at_ms or 0, letter.headers)
    (found,) = decoder.decode_all([record])
    event_id = found.event_id if isinstance(found, Reject) else getattr(found, "event_id", None)
    return (
        event_id
        or name_of_retried(topic, letter.origin_partition, letter.headers)
        or nameless(topic, letter.origin_offset)
    )


def releasing_record(borrower_id: str, target: str, event_id: str, event_time_ms: int) -> OutputRecord:
    """The event that takes a refused record back.

    Args:
        borrower_id: whose it is.
        target: the name under which it is missing.
        event_id: of the release itself; the same for the same letter, so that a repeat is a duplicate.
        event_time_ms: see `release_time_ms`.
    """
    event = EventVoided(
        event_id=event_id, borrower_id=borrower_id, event_time_ms=event_time_ms, target_event_id=target
    )
    # Where the feed is a lender's own, with a mapping, this says that the record is none of the lender's.
    return OutputRecord(borrower_id.encode(), msgspec.json.encode(event), [(CONTRACT_HEADER, b"1")])


def releasing_more(borrower_id: str, event_id: str, event_time_ms: int) -> OutputRecord:
    """The event that takes back what was refused beyond the records remembered by name."""
    return releasing_record(borrower_id, INCOMPLETE_MORE, event_id, event_time_ms)


def release_time_ms(watermark_ms: int, lateness_ms: int, now_ms: int) -> int:
    """When a release happens: as late as it may without moving the watermark of its feed.

    So it is newer than anything forgotten, and a replay of years ago does not leap to today.
    """
    return min(now_ms, max(watermark_ms, 0) + lateness_ms)
