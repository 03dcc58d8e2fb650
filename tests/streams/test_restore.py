"""A restore says how far it is, and what it cannot trust: where, whose, and what to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec
import pytest

from models.alerts import ChainHead
from models.borrower import encode_borrower, new_borrower
from models.engine import EngineProgress
from models.risk.scorecard import expert_prior
from models.rulebook import SINCE_EVER_MS, Adopted, Span
from streams.bootstrap import RiskEngineMaker
from streams.memory.broker import MemoryRecord
from streams.memory.virtual_time import VirtualClock, run_virtual
from streams.metrics import PlainMetrics
from streams.metrics_catalogue import GaugeName
from streams.partitioner import partition_of
from streams.pipeline import Pipeline
from streams.ports import EngineMaker, LogRange, Logs
from streams.progress import Progress, encode_progress, progress_key
from streams.restore import Changelog, Position, RestoreError, fill_engine, read_changelog
from streams.topics import TopicNames
from tests.support.events import engine, rules
from tests.support.house import PARTITIONS, House

NAMES = TopicNames("p-")
TASK = 3
ENGINE_PROGRESS = EngineProgress((-1,) * 5, (-1,) * 4, ChainHead())
PROGRESS = Progress(
    task=TASK,
    partition_count=8,
    offsets=(0,) * 5,
    merge_keys_ms=(0,) * 4,
    engine=ENGINE_PROGRESS,
    policy_version="p",
    card_version="c",
    policies=Adopted(0, (Span(SINCE_EVER_MS, "p"),)),
    cards=Adopted(0, (Span(SINCE_EVER_MS, "c"),)),
)
POSITION = Position((0,) * 4, (0,) * 4, ENGINE_PROGRESS)


class SlowLogs:
    """A changelog that takes its time: a batch of records, then a pause."""

    def __init__(self, records: Sequence[tuple[bytes, bytes | None]], *, batch: int, seconds: float) -> None:
        self._records = [
            MemoryRecord(2 * place, 0, key, value, ()) for place, (key, value) in enumerate(records)
        ]
        self._batch = batch
        self._seconds = seconds

    async def start(self) -> None:
        """Nothing to connect."""

    async def stop(self) -> None:
        """Nothing to disconnect."""

    async def partition_counts(self, topics: Sequence[str]) -> Mapping[str, int]:
        return dict.fromkeys(topics, 8)

    async def ranges(
        self, topics: Sequence[str], partitions: Sequence[int]
    ) -> Mapping[tuple[str, int], LogRange]:
        return {(t, p): LogRange(0, 2 * len(self._records)) for t in topics for p in partitions}

    async def readable_ends(
        self, topics: Sequence[str], partitions: Sequence[int]
    ) -> Mapping[tuple[str, int], int]:
        return {place: held.end for place, held in (await self.ranges(topics, partitions)).items()}

    async def read(self, topic: str, partition: int) -> AsyncIterator[Sequence[MemoryRecord]]:
        for begin in range(0, len(self._records), self._batch):
            await asyncio.sleep(self._seconds)
            yield self._records[begin : begin + self._batch]


class RememberingMetrics(PlainMetrics):
    """Keeps every value of every gauge."""

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[float]] = {}

    def set(self, name: GaugeName, value: float, *labels: str) -> None:
        super().set(name, value, *labels)
        self.history.setdefault(name, []).append(value)


def book(count: int) -> list[tuple[bytes, bytes | None]]:
    """Borrowers, and the progress record behind them."""
    borrowers = [(f"b-{number}".encode(), encode_borrower(new_borrower(number))) for number in range(count)]
    return [*borrowers, (progress_key(TASK), encode_progress(PROGRESS))]


def restored(records: Sequence[tuple[bytes, bytes | None]], metrics: PlainMetrics) -> Changelog:
    """Read a changelog that brings twenty records a second."""

    async def main() -> Changelog:
        logs = SlowLogs(records, batch=20, seconds=1)
        return await read_changelog(logs, NAMES, TASK, metrics, VirtualClock())

    return run_virtual(main())


def filled(records: Sequence[tuple[bytes, bytes | None]]) -> int:
    """Read a changelog and give it to an engine; return how many borrowers it then knows."""

    async def main() -> int:
        logs = SlowLogs(records, batch=20, seconds=0)
        changelog = await read_changelog(logs, NAMES, TASK, PlainMetrics(), VirtualClock())
        risk_engine = engine()
        await fill_engine(risk_engine, changelog, POSITION, logs)
        return risk_engine.borrower_count

    return run_virtual(main())


def test_the_log_tells_rate_and_time_left_every_few_seconds(caplog: pytest.LogCaptureFixture) -> None:
    """One line in five seconds, and one at the end."""
    with caplog.at_level(logging.INFO, logger="streams.restore"):
        restored(book(239), PlainMetrics())

    assert caplog.messages == [
        "task 3 restores: 100 records read, offset 199 of 480, 20 records/s, 7 s left",
        "task 3 restores: 200 records read, offset 399 of 480, 20 records/s, 2 s left",
        "task 3: changelog read, 240 records, 20 records/s",
    ]


def test_gauges_count_down_and_are_zero_when_it_is_done() -> None:
    """Records read, records left, seconds left: by task, and nothing stays behind."""
    metrics = RememberingMetrics()

    restored(book(59), metrics)

    assert metrics.history["restored_records"] == [20, 40, 60, 0]
    assert metrics.history["restore_remaining_records"] == [81, 41, 1, 0]
    assert metrics.history["restore_remaining_seconds"][-1] == 0
    assert {labels[1] for labels in metrics.gauges if labels[0].startswith("restore")} == {str(TASK)}


def test_gauges_are_zero_when_a_restore_fails() -> None:
    """Nobody watches a restore that is over."""
    metrics = PlainMetrics()

    with pytest.raises(RestoreError, match="no progress record"):
        restored(book(59)[:-1], metrics)

    assert set(metrics.gauges.values()) == {0}


def test_sound_records_all_come_back() -> None:
    """The last one of each key, without those that were deleted."""
    assert filled([*book(50), (b"b-7", None)]) == 49


def test_a_corrupt_borrower_is_named_with_the_place_of_its_last_record() -> None:
    """Before the gate opens: topic, partition, offset, key, what is wrong and what to do."""
    records = book(50)
    damaged = bytearray(records[9][1] or b"")
    damaged[-1] ^= 4
    records.append((b"b-9", bytes(damaged)))

    with pytest.raises(RestoreError) as caught:
        filled(records)

    message = str(caught.value)
    assert message.startswith(
        "p-forewarn-state, partition 3, offset 102, key b'b-9': state of borrower 'b-9': "
    )
    assert "its checksum does not fit its bytes" in message
    assert "under another prefix and group" in message


def test_a_damaged_record_that_was_replaced_is_nobodys_state() -> None:
    """Only the last record of a key counts."""
    assert filled([(b"b-9", b"\x01damaged"), *book(50)]) == 50


def test_a_key_that_is_no_borrowers_id_is_named() -> None:
    """Keys are UTF-8; anything else was written by somebody else."""
    with pytest.raises(RestoreError, match=r"partition 3, offset 2, key b'\\xc3\('"):
        filled([*book(0), (b"\xc3(", b"x")])


def test_a_worker_with_a_damaged_record_ends_before_it_reads_anything() -> None:
    """Gate shut, nothing written: the input stays where it was."""

    async def main() -> int:
        house = House()
        partition = partition_of(b"b-1", PARTITIONS)
        sound = encode_borrower(new_borrower(5))
        house.broker.produce(house.names.state, partition, b"b-1", sound[:-1] + b"\x7f")
        own = msgspec.structs.replace(PROGRESS, task=partition, partition_count=PARTITIONS)
        house.broker.produce(house.names.state, partition, progress_key(partition), encode_progress(own))
        house.load(1, 50)

        async def prepare(logs: Logs) -> EngineMaker:
            return RiskEngineMaker(rules(), expert_prior())

        worker = Pipeline(house.ports, prepare, house.settings, house.clock, house.metrics)
        with pytest.raises(RestoreError, match=f"partition {partition}, offset 0, key b'b-1'"):
            await worker.run()
        return len(house.broker.read_committed(house.names.state)[partition])

    assert run_virtual(main()) == 2
