"""Reads all that the topics hold of one borrower: events, refusals, alerts, risk and state. It reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec import Struct

from models.alerts import Alert
from models.borrower import Borrower, decode_borrower
from models.events import TOPICS, Event
from models.limits import FUTURE_TOLERANCE_MS
from models.timeline import Refusal
from streams.codec import Decoder, KeptRecord, NotAnEvent, RecordDecoder
from streams.dead_letters import Letter, read_letter
from streams.looking import Looker
from streams.partitioner import partition_of
from streams.progress import decode_progress, progress_key
from streams.pseudonym import Pseudonyms, is_pseudonym
from streams.topics import TopicNames

RECORDS_MAX: Final = 200_000
"""Records of each input partition that are looked through for the timeline, the newest: a matter of seconds."""


class History(Struct, frozen=True, kw_only=True):
    """What was found."""

    partition: int
    events: list[Event]
    refusals: list[Refusal]
    alerts: list[Alert]
    """Every revision, in order of publication."""
    risk: bytes | None
    """The record of `borrower-risk`."""
    state: Borrower | None
    state_bytes: int | None
    watermark_ms: int
    """How far the borrower's task is in event time; -1 where it has not begun."""
    is_cut: bool
    """Whether older events may be in the topics that were not looked at."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of the borrower at all."""
        return not (self.events or self.alerts or self.refusals or self.risk or self.state)


def read_history(
    inspector: Looker,
    names: TopicNames,
    borrower_id: str,
    *,
    since_ms: int | None = None,
    records_max: int = RECORDS_MAX,
    pseudonyms: Pseudonyms | None = None,
    decoders: Sequence[RecordDecoder] | None = None,
) -> History:
    """Read what there is of a borrower.

    Args:
        inspector: connected.
        names: of the topics.
        borrower_id: whose; with `pseudonyms`, the own id or the pseudonym.
        since_ms: older events are not asked for, which saves reading.
        records_max: of each input partition.
        pseudonyms: as the workers make them.
        decoders: as the workers have them, by feed; those of the contract unless given.

    Raises:
        InspectionError: Kafka does not answer, or a topic is missing.
        CorruptStateError, CorruptProgressError: a record of the changelog cannot be trusted.
    """
    partition, borrower_id = find_borrower(inspector, names, borrower_id, pseudonyms)
    key = borrower_id.encode()
    readers = decoders or [Decoder(topic) for topic in TOPICS]
    reader = _Reader(inspector, names, partition, key, since_ms, records_max, pseudonyms, readers)
    state = inspector.latest(names.state, partition, key)
    progress = inspector.latest_near_end(names.state, partition, progress_key(partition))
    events = reader.events()
    return History(
        partition=partition,
        events=events,
        refusals=reader.refusals(),
        alerts=reader.alerts(),
        risk=inspector.latest(names.borrower_risk, partition, key),
        state=None if state is None else decode_borrower(borrower_id, state),
        state_bytes=None if state is None else len(state),
        watermark_ms=-1 if progress is None else max(decode_progress(progress).engine.watermarks_ms),
        is_cut=reader.is_cut,
    )


def find_borrower(
    inspector: Looker, names: TopicNames, borrower_id: str, pseudonyms: Pseudonyms | None
) -> tuple[int, str]:
    """The partition of a borrower, and the id under which the workers know them.

    A pseudonym does not tell its partition: it is looked for among those of whom risk was published, else it is the first.
    """
    count = inspector.require(names.state)
    if not is_pseudonym(borrower_id):
        partition = partition_of(borrower_id.encode(), count)
        return partition, borrower_id if pseudonyms is None else pseudonyms.of(borrower_id)
    key = borrower_id.encode()
    found = (
        record.partition for record in inspector.read(names.borrower_risk, range(count)) if record.key == key
    )
    return next(found, 0), borrower_id


class _Reader:
    """Looks through one partition number."""

    def __init__(
        self,
        inspector: Looker,
        names: TopicNames,
        partition: int,
        key: bytes,
        since_ms: int | None,
        records_max: int,
        pseudonyms: Pseudonyms | None,
        decoders: Sequence[RecordDecoder],
    ) -> None:
        self._decoders = decoders
        self.is_cut = False
        self._pseudonyms = pseudonyms
        self._inspector = inspector
        self._names = names
        self._partition = partition
        self._key = key
        self._since_ms = since_ms
        self._records_max = records_max

    def events(self) -> list[Event]:
        """What came in and could be read; what could not is among the refusals."""
        found: list[Event] = []
        for topic, decoder in zip(TOPICS, self._decoders, strict=True):
            name = self._names.of(topic)
            for record in self._inspector.read(name, [self._partition], from_offset=self._begin(name)):
                if self._is_own(record.key):
                    headers = [(one, value or b"") for one, value in record.headers]
                    kept = KeptRecord(record.value, record.key, record.timestamp_ms, headers)
                    found += [one for one in decoder.decode_all([kept]) if not isinstance(one, NotAnEvent)]
        return found

    def refusals(self) -> list[Refusal]:
        """What was turned away, by the dead letters."""
        found: list[Refusal] = []
        topic = self._names.dead_letters
        for record in self._inspector.read(topic, [self._partition], from_offset=self._begin(topic)):
            if not self._is_own(record.key):
                continue
            letter = read_letter(
                record.partition,
                record.offset,
                record.key,
                record.value,
                [(name, value or b"") for name, value in record.headers],
            )
            if isinstance(letter, Letter):
                at_ms = record.timestamp_ms if letter.produced_at_ms is None else letter.produced_at_ms
                found.append(Refusal(at_ms, letter.topic, letter.origin_offset, letter.reason))
        return found

    def _is_own(self, key: bytes | None) -> bool:
        """Whether a record of the input topics is the borrower's: their keys are never pseudonyms."""
        if self._pseudonyms is None or not key:
            return key == self._key
        return self._pseudonyms.of(key.decode(errors="replace")).encode() == self._key

    def alerts(self) -> list[Alert]:
        """Every revision ever, for an alert may be open for years."""
        decode = msgspec.json.Decoder(Alert).decode
        return [
            decode(record.value)
            for record in self._inspector.read(self._names.alerts, [self._partition])
            if record.key == self._key and record.value is not None
        ]

    def _begin(self, topic: str) -> int:
        """Where to begin reading: nothing that happened since `since_ms` was produced more than a day before it."""
        start, end = self._inspector.span(topic, self._partition)
        begin = start
        if self._since_ms is not None:
            produced_ms = max(0, self._since_ms - FUTURE_TOLERANCE_MS)
            found = self._inspector.offset_at(topic, self._partition, produced_ms)
            begin = end if found is None else max(start, found)
        if end - begin > self._records_max:
            self.is_cut = True
            begin = end - self._records_max
        return begin
