"""What could the changelog be instead of whole states? `nice python -m tests.bench.changelog --borrowers 300 --rounds 8`.

With a million borrowers touched evenly hardly any is touched twice between two commits: each event writes a state. Here some
hundred borrowers of the simulator live for a year with the real engine; in each round each of them is touched once, by their
next event. Every way writes the same rounds to a real broker, in transactions like those of a worker, and all take turns, so
that a busy machine is busy for all. Then each is read back as it lies in a compacted log, and must be what was written.

| way | what an event writes |
|---|---|
| `whole` | the state, as it is said |
| `whole, lz4`, `snappy`, `zstd` | the same, and the producer compresses its batches, at the levels that the client has |
| `kept` | the state, compressed by itself with the dictionary that is shipped, behind a header that is not (what the worker does) |
| `dictionary` | the same, with a larger dictionary, trained on other borrowers of the same book |
| `sections` | a record for each field of the state that the event changed |
| `patch` | the difference to the last whole state, while it is short; else a whole state (two records a borrower at most) |
| `chain` | the difference to the state before, and each so many a whole state |

Printed for each, behind every figure its ratio to the first line: bytes an event in the log; records an event; CPU microseconds
an event of the worker (encoding; batching and sending; both) and of the broker; CPU microseconds to take a borrower back from a
compacted log, bytes made sure of; and what is to be done once more before that borrower's state can be decoded. Worker's times
are medians of the rounds, the broker's a mean, for its clock is coarse; what counts are the ratios. Last it is reckoned what
another way would cost: states now and then, and after a restart the inputs since once more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import struct
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any, Final, NamedTuple, Protocol

import lz4.block
import msgspec
import zstandard
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from models.borrower import (
    CLOCKS,
    PACKING,
    Borrower,
    check_record,
    deadlines_of,
    decode_borrower,
    encode_borrower,
)
from models.calendars import DAY_MS
from models.engine import RiskEngine
from models.events import Event, Heartbeat
from models.policy import default_policy
from models.risk.scorecard import expert_prior
from models.rules import Rules
from models.sealed import Format
from streams.kafka.local import find_broker
from streams.outputs import state_records
from streams.ports import OutputRecord
from streams.settings import Settings
from streams.simulator import SimulationSettings, write_folder
from streams.topics import TopicNames
from tests.bench.signal_cost import Course
from tests.support.world import KafkaWorld, settings_for

MONTHS: Final = 12
SPARE: Final = 1.5
"""More borrowers are simulated than are touched: some have too few events left, and the dictionary learns from others."""
WARM_UP: Final = 12
"""Rounds before anything is counted: until then whole states and differences have spread over the rounds."""
COPIES: Final = 8
"""Each round is sent so many times in one transaction: a busy worker's holds thousands of records."""
DICTIONARY_BYTES: Final = 32 * 1024
PATCH_SHARE_MAX: Final = 0.25
"""A patch longer than this part of the state is not worth it: about where the mean of whole and patches is least."""
CHAIN_LENGTH: Final = 8
STATE_BYTES_MAX: Final = 1 << 20
CODECS: Final = {None: 0, "snappy": 2, "lz4": 3, "zstd": 4}
"""The client's names, and Kafka's numbers."""
BOOK: Final = 1_000_000
SPEED: Final = 100_000
"""The target of a worker."""
_DEADLINES: Final = struct.Struct(f">{CLOCKS + 1}q")
HEADER_BYTES: Final = 5 + _DEADLINES.size
"""Version, checksum and deadlines: what a restore looks at without decoding."""
_SEALED: Final = Format()
_PLAIN: Final = Format((None, None))
_ARRAY_16: Final = struct.Struct(">BH")
_encode: Final = msgspec.msgpack.Encoder().encode
_MARK: Final = b"\xfe"
"""Begins no borrower's id: what the further records of a borrower have as key."""


# ---- who is touched --------------------------------------------------------------------------------------------------


class Life(NamedTuple):
    """One borrower's state records after successive events, late in the year."""

    borrower_id: str
    states: Sequence[bytes]


class Book(NamedTuple):
    """What is written, what a dictionary may learn from, and what the engine took for an event."""

    lives: Sequence[Life]
    samples: Sequence[bytes]
    """Bodies."""
    engine_us: float
    bytes_by_month: Sequence[float]


def simulate(borrowers: int, rounds: int, seed: int) -> Book:
    """A year, of which each borrower's last events are kept as states."""
    with tempfile.TemporaryDirectory(prefix="forewarn-changelog-") as name:
        folder = Path(name) / "book"
        count = int(borrowers * SPARE)
        write_folder(SimulationSettings(borrowers=count, months=MONTHS, seed=seed), folder)
        events = Course(folder).events
    touches = _touches(events, rounds)
    engine = RiskEngine(Rules(default_policy()), expert_prior())
    kept: dict[str, list[bytes]] = {}
    sizes: list[list[int]] = [[] for _ in range(MONTHS)]
    spent_ns, began_ms = 0, events[0][0].event_time_ms
    for number, (event, feed, offset) in enumerate(events):
        began = time.process_time_ns()
        engine.process(event, feed, offset)
        spent_ns += time.process_time_ns() - began
        if number in touches:
            assert not isinstance(event, Heartbeat)
            borrower_id = event.borrower_id
            borrower = engine.borrower(borrower_id)
            if borrower is not None:
                kept.setdefault(borrower_id, []).append(encode_borrower(borrower))
        if number % 16 == 0 and not isinstance(event, Heartbeat):
            borrower = engine.borrower(event.borrower_id)
            if borrower is not None:
                month = (event.event_time_ms - began_ms) // (30 * DAY_MS)
                sizes[max(0, min(MONTHS - 1, month))].append(len(plain(borrower)))
        if number % 4096 == 0:
            engine.take_output(0)
    lives = [(one, states) for one, states in kept.items() if len(states) == rounds]
    assert len(lives) >= borrowers, "too few borrowers with so many events: fewer rounds"
    return Book(
        [Life(one, states) for one, states in lives[:borrowers]],
        [_said(one, state) for one, states in lives[borrowers:] for state in states],
        spent_ns / len(events) / 1000,
        [mean(month) for month in sizes],
    )


def _touches(events: Sequence[tuple[Event, int, int]], rounds: int) -> frozenset[int]:
    """The last `rounds` events of each borrower, by their place."""
    left: dict[str, int] = {}
    found = []
    for number in range(len(events) - 1, -1, -1):
        event = events[number][0]
        if not isinstance(event, Heartbeat) and left.setdefault(event.borrower_id, rounds):
            left[event.borrower_id] -= 1
            found.append(number)
    return frozenset(found)


def plain(borrower: Borrower) -> bytes:
    """The state record of a borrower before bodies were compressed: version 3."""
    return _PLAIN.seal(_DEADLINES.pack(*deadlines_of(borrower)) + _encode(borrower))


def _said(borrower_id: str, record: bytes) -> bytes:
    return _encode(decode_borrower(borrower_id, record))


# ---- the ways --------------------------------------------------------------------------------------------------------


class Way(Protocol):
    """One form of the changelog."""

    name: str
    codec: str | None

    def write(self, borrower_id: str, borrower: Borrower) -> list[OutputRecord]:
        """The records of a borrower who was touched."""
        ...

    def restore(self, records: Iterable[Any]) -> dict[bytes, Any]:
        """What is kept of each borrower, made sure of and its deadlines known; the records are in the log's order."""
        ...

    def body(self, kept: Any) -> bytes:
        """The body of a state, of what is kept of a borrower until their first event."""
        ...


class Whole:
    """The state as it is said, and what the others have in common."""

    def __init__(self, codec: str | None = None) -> None:
        self.codec = codec
        self.name = f"whole, {codec}" if codec else "whole"

    def write(self, borrower_id: str, borrower: Borrower) -> list[OutputRecord]:
        return state_records({borrower_id: plain(borrower)})

    def restore(self, records: Iterable[Any]) -> dict[bytes, Any]:
        states = {record.key: record.value for record in records}
        for key, state in states.items():
            check_record(key.decode(), state)
        return states

    def body(self, kept: Any) -> bytes:
        return bytes(kept[HEADER_BYTES:])


class Kept(Whole):
    """What the worker does."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "kept"

    def write(self, borrower_id: str, borrower: Borrower) -> list[OutputRecord]:
        return state_records({borrower_id: encode_borrower(borrower)})

    def body(self, kept: Any) -> bytes:
        return PACKING.unpack(kept[HEADER_BYTES:])


class Dictionary(Whole):
    """The state compressed behind its deadlines, which stay readable; compressed it stays in memory, too."""

    def __init__(self, samples: Sequence[bytes], level: int) -> None:
        super().__init__()
        self.name = f"dictionary, level {level}"
        learnt = zstandard.train_dictionary(DICTIONARY_BYTES, [*samples])
        learnt.precompute_compress(level=level)
        self._compress = zstandard.ZstdCompressor(level=level, dict_data=learnt).compress
        self._decompress = zstandard.ZstdDecompressor(dict_data=learnt).decompress

    def write(self, borrower_id: str, borrower: Borrower) -> list[OutputRecord]:
        content = _DEADLINES.pack(*deadlines_of(borrower)) + self._compress(_encode(borrower))
        return [OutputRecord(borrower_id.encode(), _SEALED.seal(content))]

    def restore(self, records: Iterable[Any]) -> dict[bytes, Any]:
        states = {record.key: record.value for record in records}
        for state in states.values():
            _DEADLINES.unpack_from(_SEALED.unseal(state)[1])
        return states

    def body(self, kept: Any) -> bytes:
        return self._decompress(kept[HEADER_BYTES:])


class Sections(Whole):
    """A record for each field that changed, and one for the deadlines."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "sections"
        self._former: dict[str, list[bytes]] = {}

    def write(self, borrower_id: str, borrower: Borrower) -> list[OutputRecord]:
        sections = [
            _DEADLINES.pack(*deadlines_of(borrower)),
            *map(_encode, msgspec.structs.astuple(borrower)),
        ]
        former = self._former.get(borrower_id) or [b""] * len(sections)
        self._former[borrower_id] = sections
        key = borrower_id.encode()
        return [
            OutputRecord(_MARK + bytes((place,)) + key, _SEALED.seal(section))
            for place, section in enumerate(sections)
            if section != former[place]
        ]

    def restore(self, records: Iterable[Any]) -> dict[bytes, Any]:
        found: dict[bytes, list[Any]] = {}
        count = len(Borrower.__struct_fields__) + 1
        for record in records:
            sections = found.setdefault(record.key[2:], [b""] * count)
            sections[record.key[1]] = _SEALED.unseal(record.value)[1]
        for sections in found.values():
            _DEADLINES.unpack_from(sections[0])
        return found

    def body(self, kept: Any) -> bytes:
        return _ARRAY_16.pack(0xDC, len(kept) - 1) + b"".join(kept[1:])


class Patches(Whole):
    """The difference to the last whole state, beside it; whoever is restored begins with a whole one."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "patch"
        self._whole: dict[str, bytes] = {}

    def write(self, borrower_id: str, borrower: Borrower) -> list[OutputRecord]:
        state, whole, key = plain(borrower), self._whole.get(borrower_id), borrower_id.encode()
        if whole is not None:
            patch = lz4.block.compress(state, store_size=False, dict=whole)
            if len(patch) < PATCH_SHARE_MAX * len(state):
                return [OutputRecord(_MARK + key, _SEALED.seal(patch))]
        self._whole[borrower_id] = state
        return [OutputRecord(key, state)]

    def restore(self, records: Iterable[Any]) -> dict[bytes, Any]:
        states: dict[bytes, bytes] = {}
        patches: dict[bytes, Any] = {}
        for record in records:
            if record.key.startswith(_MARK):
                patches[record.key[1:]] = _SEALED.unseal(record.value)[1]
            else:
                states[record.key] = record.value
                patches.pop(record.key, None)  # of an older whole state
        for key, patch in patches.items():
            states[key] = _patched(states[key], patch)
        for key, state in states.items():
            check_record(key.decode(), state)
        return states


class Chain(Whole):
    """The difference to the state before, in as many places as there are between two whole ones."""

    def __init__(self) -> None:
        super().__init__()
        self.name = f"chain of {CHAIN_LENGTH}"
        self._former: dict[str, tuple[int, bytes]] = {}

    def write(self, borrower_id: str, borrower: Borrower) -> list[OutputRecord]:
        state, key = plain(borrower), borrower_id.encode()
        place, former = self._former.get(borrower_id, (zlib.crc32(key), b""))
        place = (place + 1) % CHAIN_LENGTH
        self._former[borrower_id] = place, state
        if place == 0 or not former:
            return [OutputRecord(key, state)]
        patch = lz4.block.compress(state, store_size=False, dict=former)
        return [OutputRecord(_MARK + bytes((place,)) + key, _SEALED.seal(patch))]

    def restore(self, records: Iterable[Any]) -> dict[bytes, Any]:
        states: dict[bytes, bytes] = {}
        patches: dict[bytes, list[Any]] = {}
        for record in records:
            if record.key.startswith(_MARK):
                patches.setdefault(record.key[2:], []).append(_SEALED.unseal(record.value)[1])
            else:
                states[record.key] = record.value
                patches.pop(record.key, None)
        for key, chain in patches.items():
            for patch in chain:
                states[key] = _patched(states[key], patch)
        for key, state in states.items():
            check_record(key.decode(), state)
        return states


def _patched(state: bytes, patch: Any) -> bytes:
    return bytes(lz4.block.decompress(patch, uncompressed_size=STATE_BYTES_MAX, dict=state))


# ---- writing and reading ---------------------------------------------------------------------------------------------


class Written:
    """What a way has written, and what it cost."""

    def __init__(self, way: Way, producer: Any) -> None:
        self.way = way
        self.producer = producer
        self.encode_us: list[float] = []
        self.send_us: list[float] = []
        self.broker_us: list[float] = []
        self.restore_us: list[float] = []
        self.touch_us: list[float] = []
        self.log_bytes = 0
        self.records = 0
        self.compacted: dict[bytes, bytes] = {}
        """As a log compacted to its end holds them: in the order of their last writing."""

    def encode(self, touched: Sequence[tuple[str, Borrower]]) -> list[OutputRecord]:
        """A round as records."""
        began = time.process_time_ns()
        records = [record for one, borrower in touched for record in self.way.write(one, borrower)]
        self.encode_us.append((time.process_time_ns() - began) / len(touched) / 1000)
        for record in records:
            assert record.key is not None
            assert record.value is not None
            self.compacted.pop(record.key, None)
            self.compacted[record.key] = record.value
        return records

    def count(self, records: Sequence[OutputRecord]) -> None:
        """The bytes that a log holds of these records."""
        self.records += len(records)
        self.log_bytes += sum(map(len, batches_of(records, self.way.codec)))

    async def send(self, topic: str, records: Sequence[OutputRecord], events: int, broker: Broker) -> None:
        """Write a round `COPIES` times, in one transaction."""
        began, broker_began = time.process_time_ns(), broker.cpu_us()
        producer = self.producer
        await producer.begin_transaction()
        sent, batch = [], producer.create_batch()
        for key, value, _ in [*records] * COPIES:
            if batch.append(timestamp=1, key=key, value=value, headers=[]) is None:
                sent.append(await producer.send_batch(batch, topic, partition=0))
                batch = producer.create_batch()
                batch.append(timestamp=1, key=key, value=value, headers=[])
        sent.append(await producer.send_batch(batch, topic, partition=0))
        await asyncio.gather(*sent)
        await producer.commit_transaction()
        self.send_us.append((time.process_time_ns() - began) / events / COPIES / 1000)
        self.broker_us.append((broker.cpu_us() - broker_began) / events / COPIES)

    def restore(self) -> dict[bytes, Any]:
        """Read the compacted log, as batches from the broker."""
        records = [OutputRecord(key, value) for key, value in self.compacted.items()]
        batches = batches_of(records, self.way.codec)
        began = time.process_time_ns()
        kept = self.way.restore(record for batch in batches for record in _read(batch))
        self.restore_us.append((time.process_time_ns() - began) / len(kept) / 1000)
        began = time.process_time_ns()
        for one in kept.values():
            self.way.body(one)
        self.touch_us.append((time.process_time_ns() - began) / len(kept) / 1000)
        return kept


class Broker:
    """The broker's process."""

    def __init__(self) -> None:
        """Of several Java processes it is the one that started last."""
        started = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                stat = (folder / "stat").read_text()
                if "(java)" in stat:
                    started.append((int(stat.rsplit(")", 1)[1].split()[19]), folder / "stat"))
        self._stat = max(started)[1]

    def cpu_us(self) -> float:
        """What it has used; to ten milliseconds, so only sums of many rounds tell."""
        fields = self._stat.read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1e6


def batches_of(records: Sequence[OutputRecord], codec: str | None) -> list[bytes]:
    """As they lie in the log, in batches of the size that the worker makes."""
    done, size = [], Settings().producer_batch_bytes_max
    builder = BatchBuilder(size, CODECS[codec], is_transactional=1)
    for key, value, _ in records:
        if builder.append(timestamp=1, key=key, value=value, headers=[]) is None:
            done.append(bytes(builder._build()))
            builder = BatchBuilder(size, CODECS[codec], is_transactional=1)
            builder.append(timestamp=1, key=key, value=value, headers=[])
    return [*done, bytes(builder._build())]


def _read(batch: bytes) -> Iterator[Any]:
    held = MemoryRecords(batch)
    while held.has_next():
        found = held.next_batch()
        assert found is not None
        yield from found


# ---- the measurement -------------------------------------------------------------------------------------------------


async def measure(book: Book, settings: Settings, rounds: int) -> list[Written]:
    """Let all ways take turns, round by round, and then read back."""
    topic, broker = TopicNames(settings.topic_prefix).state, Broker()
    ways: list[Way] = [
        *(Whole(codec) for codec in CODECS), Kept(), Dictionary(book.samples, -1), Dictionary(book.samples, 3), Sections(), Patches(),
        Chain(),
    ]  # fmt: skip
    all_written = []
    for number, way in enumerate(ways):
        producer: Any = AIOKafkaProducer(
            bootstrap_servers=settings.broker,
            transactional_id=f"{settings.topic_prefix}changelog-{number}",
            compression_type=way.codec,
            max_batch_size=settings.producer_batch_bytes_max,
        )
        await producer.start()
        all_written.append(Written(way, producer))
    for number in range(WARM_UP + rounds):
        touched = [
            (life.borrower_id, decode_borrower(life.borrower_id, life.states[number])) for life in book.lives
        ]
        for written in rotated(all_written, number):
            records = written.encode(touched)
            if number >= WARM_UP:
                written.count(records)
                await written.send(topic, records, len(touched), broker)
        if number < WARM_UP:
            for written in all_written:
                written.encode_us.clear()
    for written in all_written:
        await written.producer.stop()
    expected = {life.borrower_id.encode(): _said(life.borrower_id, life.states[-1]) for life in book.lives}
    for number in range(rounds):
        for written in rotated(all_written, number):
            kept = written.restore()
            found = {key: written.way.body(one) for key, one in kept.items()}
            assert found == expected, f"{written.way.name} does not bring back what was written"
    return all_written


def rotated(all_written: Sequence[Written], number: int) -> list[Written]:
    """Another one first in each round: whoever is first meets the borrowers cold."""
    place = number % len(all_written)
    return [*all_written[place:], *all_written[:place]]


def show(book: Book, all_written: Sequence[Written], rounds: int) -> None:
    """The table; each figure with its ratio to whole states."""
    events = len(book.lives) * rounds
    print(
        f"{'':22} {'bytes':>13} {'records':>8} {'encode':>13} {'send':>13} {'both':>13} {'broker':>13} {'restore':>13} {'touch':>7}"
    )
    first: list[float] = []
    for written in all_written:
        encode_us, send_us = median(written.encode_us), median(written.send_us)
        figures = [
            written.log_bytes / events, encode_us, send_us, encode_us + send_us, mean(written.broker_us),
            median(written.restore_us),
        ]  # fmt: skip
        first = first or figures
        cells = [f"{figure:7,.1f} {figure / base:5.2f}" for figure, base in zip(figures, first, strict=True)]
        cells.insert(1, f"{written.records / events:8.2f}")
        print(f"{written.way.name:22} {' '.join(cells)} {median(written.touch_us):7.1f}")


def reckon() -> None:
    """States only now and then, and after a restart the inputs since once more: what it saves, and what it costs."""
    print(
        f"\nstates only each so many seconds, at {SPEED:,} events/s, {BOOK:,} borrowers touched evenly (reckoned):"
    )
    for seconds in (1, 5, 10, 60, 600):
        touches = SPEED * seconds / BOOK
        share = (1 - math.exp(-touches)) / touches
        print(
            f"{seconds:4} s: {share:4.0%} of today's states; at that speed up to {seconds} s of inputs at the next restart"
        )


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.changelog", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--borrowers", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    book = simulate(given.borrowers, WARM_UP + given.rounds, given.seed)
    months = ", ".join(f"{size:,.0f}" for size in book.bytes_by_month)
    print(
        f"bytes of the state that an event changes, by month of the year: {months}; engine {book.engine_us:.1f} µs an event\n"
    )
    with find_broker() as broker:
        settings = settings_for("changelog", broker.bootstrap_servers, partitions=1)
        KafkaWorld(settings)
        all_written = asyncio.run(measure(book, settings, given.rounds))
    show(book, all_written, given.rounds)
    reckon()


if __name__ == "__main__":
    main()
