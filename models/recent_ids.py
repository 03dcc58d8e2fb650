"""Duplicates: a bounded memory of the event ids of one borrower and topic.

Two generations of 48-bit hashes. When the current one is full it becomes the previous, and what falls out raises the
floor: an event that is not newer than anything forgotten cannot be told from a duplicate any more.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct
from xxhash import xxh3_64_digest

_HASH_BYTES: Final = 6
"""48 bits: with 64 ids remembered, two different ids meet once in 4 * 10**12 events; and then the second counts as a duplicate. Hashes
do not compress: of 64 bits, they were two fifths of a state."""


class Acquaintance(Enum):
    """What the memory can say of an event id."""

    NEW = "new"
    DUPLICATE = "duplicate"
    FORGOTTEN = "forgotten"


NEW: Final = Acquaintance.NEW
"""Asked of the class it takes five times as long, at every event."""


class RecentIds(Struct, array_like=True, gc=False):
    """The memory of one topic; hashes packed, latest event time of each generation, and the floor in event time."""

    current: bytes = b""
    previous: bytes = b""
    current_latest_ms: int = -1
    previous_latest_ms: int = -1
    floor_ms: int = -1


def fingerprint_of(event_id: str) -> bytes:
    """The hash under which an event id is remembered; made anew for each kind of evidence, quicker than looked up."""
    return xxh3_64_digest(event_id.encode())[:_HASH_BYTES]


def recognise(ids: RecentIds, fingerprint: bytes, event_time_ms: int) -> Acquaintance:
    """Say whether an event was seen before; remembers nothing."""
    if _contains(ids.current, fingerprint) or _contains(ids.previous, fingerprint):
        return Acquaintance.DUPLICATE
    return Acquaintance.FORGOTTEN if event_time_ms <= ids.floor_ms else NEW


def remember(ids: RecentIds, fingerprint: bytes, event_time_ms: int, per_generation: int) -> None:
    """Remember a new event; a full generation makes room for the next, and the oldest raises the floor."""
    current = ids.current
    if len(current) >= per_generation * _HASH_BYTES:
        ids.floor_ms = max(ids.floor_ms, ids.previous_latest_ms)
        ids.previous, ids.previous_latest_ms = current, ids.current_latest_ms
        current, ids.current_latest_ms = b"", -1
    ids.current = current + fingerprint
    if event_time_ms > ids.current_latest_ms:
        ids.current_latest_ms = event_time_ms


def _contains(packed: bytes, fingerprint: bytes) -> bool:
    """Whether a fingerprint is there as a whole, not across two others."""
    place = packed.find(fingerprint)
    while place > 0 and place % _HASH_BYTES:
        place = packed.find(fingerprint, place + 1)
    return place >= 0
