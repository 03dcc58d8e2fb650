"""All that is remembered of one borrower, and its bytes: explicit, versioned, checked.

A record is a fixed header (version, CRC-32 of all that follows it, the next deadline of each clock) and a msgpack body.
The deadlines can be read without decoding the body, so that a million borrowers come back in seconds.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final

import msgspec
from msgspec import Struct

from models.deadlines import NEVER
from models.episodes import Episode
from models.events import TOPICS, Origin, RepaymentsEvent
from models.income import IncomeEvidence
from models.institutions import InstitutionEvidence
from models.ledger import Loan
from models.recent_ids import RecentIds

STATE_VERSION: Final = 1
CLOCKS: Final = len(TOPICS) + 1
"""One clock a feed (its watermark), and the task's highest watermark, which windows and cooldowns follow."""
HIGHEST: Final = len(TOPICS)


class PendingJudgement(Struct, array_like=True):
    """A judgement that waits for a deadline before it: what to judge, as of when, and what caused it."""

    signal: int
    loan_id: str | None
    at_ms: int
    event_time_ms: int
    origin: Origin


class WaitingEvent(Struct, array_like=True):
    """An event that waits for its loan (or a reversal that waits for its payment), with its origin."""

    event: RepaymentsEvent
    origin: Origin


class Borrower(Struct, array_like=True):
    """One borrower's picture, by kind of evidence, and the life of its alerts."""

    deadlines_ms: list[int]
    """The next unjudged deadline by clock; `NEVER` where there is none."""
    judged_ms: list[int]
    """The latest instant judged by clock."""
    seen: list[RecentIds]
    """Recent event ids by topic."""
    loans: dict[str, Loan]
    income: IncomeEvidence
    institutions: InstitutionEvidence
    episodes: list[Episode]
    pending: list[PendingJudgement]
    waiting: list[WaitingEvent]
    incomplete: dict[str, int]
    """Rejected records missing from this picture: name to event time; bounded, then `INCOMPLETE_MORE`."""
    first_event_ms: int


INCOMPLETE_MORE: Final = "…"
"""Stands for rejected records beyond those remembered by name."""


def new_borrower(first_event_ms: int) -> Borrower:
    """A borrower of whom nothing is known yet."""
    return Borrower(
        deadlines_ms=[NEVER] * CLOCKS,
        judged_ms=[-1] * CLOCKS,
        seen=[RecentIds() for _ in TOPICS],
        loans={},
        income=IncomeEvidence(),
        institutions=InstitutionEvidence(),
        episodes=[],
        pending=[],
        waiting=[],
        incomplete={},
        first_event_ms=first_event_ms,
    )


class CorruptStateError(Exception):
    """A state record whose bytes are not what was written."""


_HEADER: Final = struct.Struct(f">BI{CLOCKS}q")
_CHECKED_FROM: Final = struct.calcsize(">BI")
_encode_body = msgspec.msgpack.Encoder().encode
_decode_body = msgspec.msgpack.Decoder(Borrower).decode


def encode_borrower(borrower: Borrower) -> bytes:
    """The state record of a borrower."""
    body = _encode_body(borrower)
    record = bytearray(_HEADER.pack(STATE_VERSION, 0, *borrower.deadlines_ms) + body)
    struct.pack_into(">I", record, 1, zlib.crc32(memoryview(record)[_CHECKED_FROM:]))
    return bytes(record)


def decode_borrower(borrower_id: str, record: bytes) -> Borrower:
    """The borrower of a state record.

    Raises:
        CorruptStateError: the bytes are damaged or of a version that this program does not know.
    """
    if len(record) <= _HEADER.size:
        msg = f"state of borrower {borrower_id!r}: {len(record)} bytes are too few"
        raise CorruptStateError(msg)
    version, checksum = struct.unpack_from(">BI", record)
    if version != STATE_VERSION:
        msg = f"state of borrower {borrower_id!r}: version {version} is unknown, this program knows {STATE_VERSION}"
        raise CorruptStateError(msg)
    if zlib.crc32(memoryview(record)[_CHECKED_FROM:]) != checksum:
        msg = f"state of borrower {borrower_id!r}: checksum does not match, the record is damaged"
        raise CorruptStateError(msg)
    return _decode_body(memoryview(record)[_HEADER.size :])


def peek_deadlines_ms(record: bytes) -> tuple[int, ...]:
    """The next deadline by clock, read from the header alone."""
    return _HEADER.unpack_from(record)[2:]
