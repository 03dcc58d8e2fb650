"""Gathers what releases refused records: the events, and behind them the receipts of their letters."""

from __future__ import annotations

from collections.abc import Mapping

from models.events import TOPICS, Topic
from models.rules import Rules
from streams.dead_letters import Letter, Settled, receipt_record
from streams.kafka.inspection import InspectionError, Inspector
from streams.kafka.writing import Written
from streams.mapping.loading import decoders_from
from streams.partitioner import partition_of
from streams.progress import decode_progress, progress_key
from streams.releasing import (
    HOLDING_TOPICS,
    held_borrower,
    missing_name,
    release_time_ms,
    releasing_more,
    releasing_record,
)
from streams.retrying import Place
from streams.settings import Settings
from streams.topics import names_of


class Releases:
    """What is to be written for the letters added."""

    def __init__(
        self,
        inspector: Inspector,
        settings: Settings,
        rules: Rules,
        now_ms: int,
        settled: Mapping[tuple[int, int], Settled],
    ) -> None:
        """`rules` tell the allowed lateness; `settled` what became of letters, by partition and offset.

        Raises:
            MappingError: the mapping cannot be used.
        """
        self.events: list[Written] = []
        self.receipts: list[Written] = []
        self.told: list[str] = []
        """A line a letter."""
        self.places: set[Place] = set()
        """By which the letters released can be named."""
        self._inspector = inspector
        self._names = names_of(settings)
        self._decoders = decoders_from(settings)
        self._rules = rules
        self._now_ms = now_ms
        self._settled = settled
        self._watermarks_ms: dict[int, tuple[int, ...]] = {}

    def add(self, letter: Letter) -> None:
        """Release a letter, if it holds somebody and was not released before.

        Raises:
            InspectionError: Kafka does not answer, or no worker has ever worked on the partition.
            CorruptProgressError: the state of its partition cannot be read.
        """
        borrower_id = held_borrower(letter)
        topic = next((one for one in HOLDING_TOPICS if self._names.of(one) == letter.topic), None)
        partition, offset = letter.origin_partition, letter.origin_offset
        became = self._settled.get((letter.partition, letter.offset))
        if borrower_id is None or topic is None or partition is None or offset is None:
            return
        if became == "released":
            return
        name = missing_name(letter, topic, self._decoders[TOPICS.index(topic)])
        event_id = f"released:{letter.partition}/{letter.offset}"
        record = releasing_record(borrower_id, name, event_id, self._time_ms(topic, partition))
        self.events.append(Written(self._names.of(topic), partition, record))
        receipt = receipt_record(letter, "released")
        self.receipts.append(Written(self._names.dead_letters, letter.partition, receipt))
        origin = Place(letter.topic, partition, offset)
        self.told.append(f"{origin}  borrower {borrower_id}  {name}")
        self.places |= {Place(None, letter.partition, letter.offset), origin}

    def add_more(self, borrower_id: str) -> None:
        """Release what was refused of a borrower beyond the records remembered by name.

        Raises:
            InspectionError, CorruptProgressError: see `add`.
        """
        topic = HOLDING_TOPICS[0]
        name = self._names.of(topic)
        partition = partition_of(borrower_id.encode(), self._inspector.require(name))
        event_id = f"released:more:{self._now_ms}"
        record = releasing_more(borrower_id, event_id, self._time_ms(topic, partition))
        self.events.append(Written(name, partition, record))

    def _time_ms(self, topic: Topic, partition: int) -> int:
        feed = TOPICS.index(topic)
        if partition not in self._watermarks_ms:
            self._watermarks_ms[partition] = self._read_watermarks_ms(partition)
        watermark_ms = self._watermarks_ms[partition][feed]
        return release_time_ms(watermark_ms, self._rules.lateness_ms[feed], self._now_ms)

    def _read_watermarks_ms(self, partition: int) -> tuple[int, ...]:
        record = self._inspector.latest(self._names.state, partition, progress_key(partition))
        if record is None:
            raise InspectionError(
                f"no worker has worked on partition {partition} yet: nothing is on hold there"
            )
        return decode_progress(record).engine.watermarks_ms
