"""The records of a lender's topic to events, by a mapping: the fast way first, and the plain way where that refuses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import msgspec

from models.events import Event
from models.limits import PAYLOAD_BYTES_MAX
from streams.codec import CONTRACT_HEADER, Decoder, Ignored, KeptRecord, Reject, unfit_text
from streams.mapping.compiled import compile_mapping
from streams.mapping.errors import NotCompiledError, UnfitError
from streams.mapping.reading import Read, Unread, read_document
from streams.mapping.spec import FeedMapping, IgnoreRule
from streams.ports import ReadRecord

_IGNORED: Final = Ignored()
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
"""A number that is only handed on keeps the digits it came with."""
_read_json: Final = msgspec.json.Decoder(float_hook=Decimal).decode


class Documents(Protocol):
    """How bytes become a document: names to values, lists, and what the format knows of dates and decimals."""

    def __call__(self, payload: bytes) -> Any:
        """Read one record.

        Raises:
            UnfitError: it is none, by the bytes alone.
        """
        ...


def json_document(payload: bytes) -> Any:
    """JSON with every number as it was written. See `Documents`."""
    unfit = unfit_text(payload)
    if unfit is not None:
        raise UnfitError(*unfit)
    try:
        return _read_json(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnfitError("not-json", "not JSON") from error


def _is_text(payload: bytes) -> bool:
    return unfit_text(payload) is None


def _is_not_too_large(payload: bytes) -> bool:
    return len(payload) <= PAYLOAD_BYTES_MAX


class MappedDecoder:
    """Decodes the records of one feed by its mapping. See `streams.codec.RecordDecoder`."""

    def __init__(
        self, mapping: FeedMapping, documents: Documents = json_document, *, keyed: bool = True
    ) -> None:
        """`keyed` as for `Decoder`."""
        self.topic = mapping.topic
        self.mapping = mapping
        self.slow_because: str | None = None
        """Why there is no fast way; None where there is one."""
        self.document = documents
        self._decoder = Decoder(mapping.topic, keyed=keyed)
        self._fast = None
        is_json = mapping.format == "json"
        try:
            self._fast = compile_mapping(
                mapping,
                keyed=keyed,
                fits=_is_text if is_json else _is_not_too_large,
                document=None if is_json else documents,
            )
        except NotCompiledError as error:
            self.slow_because = str(error)
        if is_json and self._fast is not None and self._takes_ours():
            self._fast, self.slow_because = None, "it takes records of Forewarn's own for the lender's"

    @property
    def unknown_words(self) -> Counter[str]:
        """See `streams.codec.RecordDecoder`."""
        return self._decoder.unknown_words

    def decode_all(self, records: Sequence[ReadRecord]) -> Sequence[Event | Reject | Ignored]:
        """Decode a batch: one result for each record, in their order."""
        if self._fast is None:
            return [self._decide(record) for record in records]
        return self._fast(records, self._decide)

    def decode(self, payload: bytes | None, key: bytes | None, known_by_ms: int) -> Event | Reject | Ignored:
        """Decode one record, the plain way: see `Decoder.decode`."""
        if not payload:
            return self._decoder.decode(payload, key, known_by_ms)
        found = self.read(payload)
        if isinstance(found, IgnoreRule):
            return _IGNORED
        if isinstance(found, Unread):
            return self._decoder.refused(found.error.reason, found.error.detail, found.fields, key)
        return self._decoder.decode(_encode(found.fields), key, known_by_ms)

    def read(self, payload: bytes) -> Read | IgnoreRule | Unread:
        """What the mapping makes of a payload, before the contract has judged it."""
        if not _is_not_too_large(payload):
            return Unread(UnfitError("too-large", ""), {})
        try:
            return read_document(self.mapping, self.document(payload))
        except UnfitError as error:
            return Unread(error, {})

    def _decide(self, record: ReadRecord) -> Event | Reject | Ignored:
        if any(name == CONTRACT_HEADER for name, _ in record.headers):
            return self._decoder.decode(record.value, record.key, record.timestamp)
        return self.decode(record.value, record.key, record.timestamp)

    def _takes_ours(self) -> bool:
        """Whether the fast way, which looks at no headers, would read a record of the contract itself as the lender's."""
        assert self._fast is not None
        sample = {
            "type": "event_voided",
            "event_id": "1",
            "borrower_id": "1",
            "event_time_ms": 1,
            "target_event_id": "1",
        }
        found = self._fast([KeptRecord(_encode(sample), b"1", 1)], lambda _: _IGNORED)
        return found != [_IGNORED]
