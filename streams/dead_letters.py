"""Dead letters: the refused record as it was, and why, in the headers that Kafka Connect's dead letter queues use.

Tools that read those queues read ours (KIP-298). Key and value are the record's own bytes; its own headers stay in front.

What becomes of a letter is written behind it, to the same partition of the same topic: a *receipt*, a record without a
value, says that the letter at an offset was retried or released. So nothing is retried twice, whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Literal, get_args

from msgspec import Struct

from models.borrower import nameless
from models.events import Topic
from models.rejects import RejectReason
from streams.ports import OutputRecord, RawRecord

CONNECT_PREFIX: Final = "__connect.errors."
REASON_HEADER: Final = "forewarn.reject.reason"
TIMESTAMP_HEADER: Final = "forewarn.reject.timestamp_ms"
"""When the refused record was produced: `retry` and readers know by it what was known when."""

RETRY_COUNT_HEADER: Final = "forewarn.retry.count"
"""How often a record was retried: 1, 2, ... It stays with the record, so a letter that comes back carries it."""
RETRY_OF_HEADER: Final = "forewarn.retry.of"
"""`PARTITION/OFFSET` at which the record stood when it was refused for the first time."""
RECEIPT_OFFSET_HEADER: Final = "forewarn.receipt.offset"
RECEIPT_HEADER: Final = "forewarn.receipt"

Settled = Literal["retried", "released"]
"""What became of a letter."""

_RETRY_HEADERS: Final = frozenset({RETRY_COUNT_HEADER, RETRY_OF_HEADER})
_LETTER_HEADERS: Final = frozenset({REASON_HEADER, TIMESTAMP_HEADER, RECEIPT_OFFSET_HEADER, RECEIPT_HEADER})
"""Ours, said anew by each letter."""
_PLACE_BYTES: Final = 40
"""`PARTITION/OFFSET`, and a count, are shorter."""
_HEADERS_BYTES_MAX: Final = 16 * 1024
"""Own headers of a refused record are kept up to this size: the output's headroom must hold them and ours."""
_MESSAGE_CHARACTERS_MAX: Final = 1_000
"""Of a decoder's message. It quotes nothing of the payload (`streams.codec`); the bytes are in the value, and only there."""


def dead_letter(
    record: RawRecord, topic: str, task: int, reason: RejectReason, detail: str, connector: str
) -> OutputRecord:
    """The dead letter of a refused record.

    Args:
        record: as read.
        topic: its topic, with prefix.
        task: its partition.
        reason: the word out of the closed list.
        detail: what the decoder or the engine said.
        connector: who refused it: `connector.name`.
    """
    own = _own_headers(record.headers)
    if sum(len(name) + len(value or b"") for name, value in own) > _HEADERS_BYTES_MAX:
        own = [
            header for header in own if header[0] in _RETRY_HEADERS and len(header[1] or b"") < _PLACE_BYTES
        ]
    kind = "decode" if detail else "process"
    said = {
        "topic": topic,
        "partition": str(task),
        "offset": str(record.offset),
        "connector.name": connector,
        "task.id": str(task),
        "stage": "VALUE_CONVERTER" if kind == "decode" else "TASK_PUT",
        "class.name": "streams.codec.Decoder" if kind == "decode" else "models.engine.RiskEngine",
        "exception.class.name": "streams.codec.Reject",
        "exception.message": f"{reason}: {detail[:_MESSAGE_CHARACTERS_MAX]}" if detail else reason,
    }
    headers = [
        *own,
        *((CONNECT_PREFIX + name, text.encode()) for name, text in said.items()),
        (REASON_HEADER, reason.encode()),
        (TIMESTAMP_HEADER, str(record.timestamp).encode()),
    ]
    return OutputRecord(record.key, record.value, headers)


def _own_headers(headers: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return [
        (name, value)
        for name, value in headers
        if not name.startswith(CONNECT_PREFIX) and name not in _LETTER_HEADERS
    ]


class Letter(Struct, frozen=True):
    """A dead letter as it stands in its topic. What its headers do not say is None: then it is none of ours."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    """All of them."""
    reason: str | None
    message: str | None
    topic: str | None
    """Where the refused record stood: topic with prefix, partition, offset."""
    origin_partition: int | None
    origin_offset: int | None
    produced_at_ms: int | None
    """When the refused record was produced."""
    tries: int
    """How often it was retried before it came here."""


class Receipt(Struct, frozen=True):
    """What became of the letter at an offset of the same partition."""

    partition: int
    letter_offset: int
    settled: Settled


def read_letter(
    partition: int,
    offset: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes]],
) -> Letter | Receipt:
    """Make sense of a record of the dead letters' topic."""
    said = {name: (data or b"").decode(errors="replace") for name, data in headers}
    settled_offset = _number(said.get(RECEIPT_OFFSET_HEADER))
    if value is None and settled_offset is not None:
        for word in get_args(Settled):
            if said.get(RECEIPT_HEADER) == word:
                return Receipt(partition, settled_offset, word)
    return Letter(
        partition=partition,
        offset=offset,
        key=key,
        value=value,
        headers=headers,
        reason=said.get(REASON_HEADER),
        message=said.get(CONNECT_PREFIX + "exception.message"),
        topic=said.get(CONNECT_PREFIX + "topic"),
        origin_partition=_number(said.get(CONNECT_PREFIX + "partition")),
        origin_offset=_number(said.get(CONNECT_PREFIX + "offset")),
        produced_at_ms=_number(said.get(TIMESTAMP_HEADER)),
        tries=_number(said.get(RETRY_COUNT_HEADER)) or 0,
    )


def returned_record(letter: Letter) -> OutputRecord:
    """The refused record once more: its own key, bytes and headers, and how many tries this makes."""
    own = _own_headers(letter.headers)
    first = first_place(own)
    headers = [
        *((name, value) for name, value in own if name not in _RETRY_HEADERS),
        (RETRY_COUNT_HEADER, str(letter.tries + 1).encode()),
        (
            RETRY_OF_HEADER,
            "{}/{}".format(*(first or (letter.origin_partition, letter.origin_offset))).encode(),
        ),
    ]
    return OutputRecord(letter.key, letter.value, headers)


def first_place(headers: Iterable[tuple[str, bytes]]) -> tuple[int, int] | None:
    """Partition and offset at which a retried record was refused for the first time; None where it never was."""
    for name, value in headers:
        if name == RETRY_OF_HEADER and value and len(value) < _PLACE_BYTES:
            partition, _, offset = value.decode(errors="replace").partition("/")
            place = _number(partition), _number(offset)
            if place[0] is not None and place[1] is not None:
                return place[0], place[1]
    return None


def name_of_retried(topic: Topic, partition: int, headers: Iterable[tuple[str, bytes]]) -> str | None:
    """The name under which a record without a readable `event_id` has been missing since it was refused first.

    However often it is retried, it is one record. None where it was not retried, or came from another partition.
    """
    first = first_place(headers)
    return nameless(topic, first[1]) if first is not None and first[0] == partition else None


def receipt_record(letter: Letter, settled: Settled) -> OutputRecord:
    """What is written behind a letter when it is settled."""
    headers = [(RECEIPT_OFFSET_HEADER, str(letter.offset).encode()), (RECEIPT_HEADER, settled.encode())]
    return OutputRecord(letter.key, None, headers)


def _number(text: str | None) -> int | None:
    """A plain number as we write them; None for anything else."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 20 else None
