"""Bytes to events, or to a reject with its reason: bad input is a value here, never an exception.

The strict decoder does the work for honest input. Only when it refuses does the slow path ask why, and
mend what the contract wants mended: an unknown word, except in `type` and `direction`, becomes `other`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple, Protocol, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from models.events import TOPICS, TYPES_BY_TOPIC, BorrowerEvent, Event, Heartbeat, Topic
from models.limits import (
    FUTURE_TOLERANCE_MS,
    IDENTIFIER_CHARACTERS_MAX,
    NESTING_DEPTH_MAX,
    PAYLOAD_BYTES_MAX,
)
from models.rejects import PayloadReason, RejectReason
from streams.ports import ReadRecord

CONTRACT_HEADER: Final = "forewarn.contract"
"""Marks a record of a mapped feed that is in the contract's own form: what a release writes beside the lender's records."""


class NotAnEvent(Struct, frozen=True):
    """What a record is that brings no event."""


class Ignored(NotAnEvent, frozen=True):
    """A record of a lender's topic that the mapping says is not for us: counted, and passed over."""


class Reject(NotAnEvent, frozen=True):
    """A refused record: as much as could be read of it, and why it was refused."""

    reason: RejectReason
    topic: Topic
    borrower_id: str | None
    event_id: str | None
    event_time_ms: int | None
    detail: str


class KeptRecord(NamedTuple):
    """A record read again, as a decoder wants it."""

    value: bytes | None
    key: bytes | None
    timestamp: int
    headers: Sequence[tuple[str, bytes]] = ()


class RecordDecoder(Protocol):
    """Makes events of the records of one topic, in whatever form they come."""

    @property
    def unknown_words(self) -> Counter[str]:
        """How often each field held a word the contract does not know; whoever reads it may clear it."""
        ...

    def decode_all(self, records: Sequence[ReadRecord]) -> Sequence[Event | Reject | Ignored]:
        """Decode a batch: one result for each record, in their order."""
        ...


class Decoder:
    """Decodes the records of one topic in the contract's own form."""

    def __init__(self, topic: Topic, *, keyed: bool = True) -> None:
        """`keyed` is False for files, which have no record key to compare `borrower_id` with."""
        self.topic = topic
        self.unknown_words: Counter[str] = Counter()
        """How often each field held a word the contract does not know; bounded by the contract's fields."""
        self._keyed = keyed
        self._union: Any = Union[TYPES_BY_TOPIC[topic]]  # noqa: UP007 - built from a tuple at run time
        self._decode = msgspec.json.Decoder(self._union).decode

    def decode(self, payload: bytes | None, key: bytes | None, known_by_ms: int) -> Event | Reject:
        """Decode one record.

        Args:
            payload: the record's value, UTF-8 JSON.
            key: the record's key; ignored for files.
            known_by_ms: when the record is known to have existed: its timestamp, or the time of the run.
        """
        if not payload or len(payload) > PAYLOAD_BYTES_MAX:
            return self._reject("too-large" if payload else "empty", "", payload or b"", key)
        if not payload.isascii() and not _is_utf8(payload):
            return self._reject("invalid-utf8", "not UTF-8", payload, key)
        if len(payload) > 2 * NESTING_DEPTH_MAX and _is_too_deep(payload):
            return self._reject("too-deep", f"nested deeper than {NESTING_DEPTH_MAX}", payload, key)
        try:
            event = self._decode(payload)
        except msgspec.ValidationError as error:
            mended = self._mend_words(payload)
            if mended is None:
                reason = _reason_of(error, payload) if _is_json(payload) else "not-json"
                return self._reject(reason, _unquoted(error), payload, key)
            event = mended
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return self._reject("not-json", _unquoted(error), payload, key)
        ingested_at_ms = event.ingested_at_ms
        if ingested_at_ms is None:
            if event.event_time_ms > known_by_ms + FUTURE_TOLERANCE_MS:
                return self._reject("future-dated", "event_time_ms lies ahead", payload, key)
        elif (
            event.event_time_ms > ingested_at_ms + FUTURE_TOLERANCE_MS
            or ingested_at_ms > known_by_ms + FUTURE_TOLERANCE_MS
        ):
            return self._reject("future-dated", "event_time_ms or ingested_at_ms lies ahead", payload, key)
        if self._keyed and type(event) is not Heartbeat and event.borrower_id.encode() != key:
            return self._reject("key-mismatch", "the record's key is not borrower_id", payload, key)
        return event  # type: ignore[no-any-return] # the decoder was built from the union at run time

    def decode_all(self, records: Sequence[ReadRecord]) -> Sequence[Event | Reject]:
        """Decode a batch: one result for each record, in their order."""
        decode = self.decode
        return [decode(record.value, record.key, record.timestamp) for record in records]

    def _mend_words(self, payload: bytes) -> Event | None:
        """Replace unknown words by `other` and decode again; None where that is not what is wrong."""
        document = _readable_fields(payload)
        words_by_field = _WORDS_BY_TYPE.get(str(document.get("type")), {})
        unknown = [
            field
            for field, words in words_by_field.items()
            if isinstance(document.get(field), str) and document[field] not in words
        ]
        if not unknown:
            return None
        document.update(dict.fromkeys(unknown, "other"))
        try:
            event: Event = msgspec.convert(document, self._union)
        except msgspec.ValidationError:
            return None
        self.unknown_words.update(f"{document['type']}.{field}" for field in unknown)
        return event

    def _reject(self, reason: PayloadReason, detail: str, payload: bytes, key: bytes | None) -> Reject:
        return self.refused(reason, detail, _readable_fields(payload), key)

    def refused(
        self, reason: PayloadReason, detail: str, fields: Mapping[str, Any], key: bytes | None
    ) -> Reject:
        """A refusal with what its fields, by the contract's names, tell of whose record it is and when it happened."""
        borrower_id = _text(key) if self._keyed else _string(fields.get("borrower_id"))
        event_time_ms = fields.get("event_time_ms")
        return Reject(
            reason=reason,
            topic=self.topic,
            borrower_id=borrower_id,
            event_id=_string(fields.get("event_id")),
            event_time_ms=event_time_ms if _is_time(event_time_ms) else None,
            detail=detail,
        )


def unfit_text(payload: bytes) -> tuple[PayloadReason, str] | None:
    """Why bytes are not read as JSON at all; None where they may be."""
    if len(payload) > PAYLOAD_BYTES_MAX:
        return "too-large", ""
    if not payload.isascii() and not _is_utf8(payload):
        return "invalid-utf8", "not UTF-8"
    if len(payload) > 2 * NESTING_DEPTH_MAX and _is_too_deep(payload):
        return "too-deep", f"nested deeper than {NESTING_DEPTH_MAX}"
    return None


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_json(payload: bytes) -> bool:
    """Whether the whole payload is JSON: the strict decoder stops at the first field that does not fit."""
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True


def _is_too_deep(payload: bytes) -> bool:
    if payload.count(b"[") + payload.count(b"{") <= NESTING_DEPTH_MAX:
        return False
    depth = 0
    for bracket in _BRACKETS.finditer(payload):
        match bracket.group():
            case b"[" | b"{":
                depth += 1
                if depth > NESTING_DEPTH_MAX:
                    return True
            case b"]" | b"}":
                depth -= 1
    return False


_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
"""Strings are matched whole, so that brackets inside them do not count."""


def _unquoted(error: Exception) -> str:
    """What the decoder says and where, without the words of the payload that it quotes: they may be anybody's secret.

    Reasons travel further than payloads: into headers, lists, tickets.
    """
    said = str(error)
    quote = _QUOTE.search(said)
    if quote is None:
        return said
    where = _PATH.search(said)
    return said[: quote.start()].rstrip() + ("" if where is None else where.group())


_QUOTE: Final = re.compile("['\"]")
_PATH: Final = re.compile(r" - at `\$[.A-Za-z0-9_\[\]]*`\Z")
"""Where in the payload; names of the contract's fields only, for it names no other."""


def _reason_of(error: msgspec.ValidationError, payload: bytes) -> PayloadReason:
    """Name the refusal of the strict decoder by what it says and where."""
    what, _, where = str(error).partition(" - at `")
    field = where.rstrip("`").rpartition(".")[2]
    if where in ("", "$`") and "required field" not in what:
        return "not-an-object"
    if field == "type":
        return _reason_of_type(payload)
    if "required field" in what:
        return "missing-field"
    if field == "direction" and what.startswith("Invalid enum value"):
        return "unknown-direction"
    if what.endswith(">= 0"):
        if field.endswith("_minor"):
            return "negative-amount"
        return "negative-time" if field.endswith("_ms") else "negative-number"
    if "Number out of range" in what or "<= 9223372036854775807" in what or ">= -9223372036854775808" in what:
        return "integer-overflow"
    if "RFC3339" in what:
        return "impossible-date"
    if "of length" in what:
        return "too-many-instalments" if "array" in what else "invalid-identifier"
    return "wrong-type"


def _reason_of_type(payload: bytes) -> PayloadReason:
    word = _readable_fields(payload).get("type")
    if not isinstance(word, str):
        return "wrong-type"
    return "wrong-topic" if word in _ALL_TYPES else "unknown-type"


def _readable_fields(payload: bytes) -> dict[str, Any]:
    """The top-level fields of a refused record, as far as it can be read at all."""
    if len(payload) > PAYLOAD_BYTES_MAX or _is_too_deep(payload):
        return {}
    try:
        document = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return document if isinstance(document, dict) else {}


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= IDENTIFIER_CHARACTERS_MAX else None


def _text(key: bytes | None) -> str | None:
    try:
        return _string(key.decode()) if key else None
    except UnicodeDecodeError:
        return None


def _is_time(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


@cache
def _words_of(event_type: type[Struct]) -> dict[str, frozenset[str]]:
    """The enumerated fields of a type that may hold `other`, with their words."""
    words_by_field: dict[str, frozenset[str]] = {}
    for field, annotation in get_type_hints(event_type).items():
        for option in (annotation, *get_args(annotation)):
            if get_origin(option) is Literal and "other" in get_args(option):
                words_by_field[field] = frozenset(get_args(option))
    return words_by_field


def tag_of(event_type: type[Struct]) -> str:
    """The contract's word for an event type."""
    return str(event_type.__struct_config__.tag)


_WORDS_BY_TYPE: Final = {tag_of(event_type): _words_of(event_type) for event_type in get_args(BorrowerEvent)}
_ALL_TYPES: Final = {tag_of(event_type) for topic in TOPICS for event_type in TYPES_BY_TOPIC[topic]}
