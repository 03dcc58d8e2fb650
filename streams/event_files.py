"""A folder of event files, read in the order in which its events were delivered to the lender.

A folder holds any of `repayments.jsonl`, `fund-flows.jsonl`, `credit-queries.jsonl`, `servicing.jsonl`, each maybe as
`.jsonl.gz`: one JSON object a line, lines in any order, blank lines skipped. A line's **place** is its
`ingested_at_ms`, else its `event_time_ms`; delivery is ordered by (place, topic, event time, type, event id, bytes), so it
depends on what the folder says and not on the order of its lines.

A line that the codec rejects is delivered as well: at its place where its event time can be read, else before
everything else. So its reject is never lost, and never moves the place of another line.

Only an index of the lines is kept in memory (60 bytes a line); the lines stay in the mapped files, and each is decoded
once, when it is delivered. Index and files can be handed to other processes, each of which then decodes its own lines.
"""

from __future__ import annotations

import gzip
import mmap
import shutil
import tempfile
import zlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.events import TOPICS, TYPES_BY_TOPIC, EpochMs, Event, Heartbeat, Topic
from models.judging import Outcome, Truth
from streams.codec import Decoder, Reject, tag_of

NO_PLACE_MS: Final = -1
"""The place of a line without a readable event time: before all others."""

_DELIVERED_AT_ONCE: Final = 16_384
"""Lines looked up together on delivery: enough to make the look-up cheap, little enough to be no memory at all."""

_LINE_END: Final = ord("\n")

_REPORTED_EVERY_LINES: Final = 65_536
"""Lines between two reports of progress: some tenths of a second."""

_Record = TypeVar("_Record", bound=Struct)

Progress = Callable[[int, int], None]
"""Told how much is done and how much there is, in one unit."""


class EventFilesError(Exception):
    """A folder of events that cannot be read: the message says which, and what was expected."""


class Line(Struct, frozen=True, gc=False):
    """One line as delivered: where it stands, its bytes without the line end, and what the codec made of it."""

    topic_index: int
    file: str
    number: int
    """Counted from 1, blank lines included, as an editor does."""
    place_ms: int
    """Place in the order of delivery, or `NO_PLACE_MS`."""
    raw: bytes
    content: Event | Reject


class _Header(Struct, gc=False):
    """What a line's place depends on."""

    event_time_ms: EpochMs
    ingested_at_ms: EpochMs | None = None
    type: str = ""
    event_id: str = ""
    borrower_id: str = ""


_read_header: Final = msgspec.json.Decoder(_Header).decode
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _File:
    """One topic's file: its bytes, mapped, and the index of its lines."""

    def __init__(
        self,
        topic: Topic,
        path: Path,
        known_by_ms: int,
        shard_of: Callable[[str], int] | None = None,
        unpacked: Path | None = None,
    ) -> None:
        self.topic: Topic = topic
        self.topic_index = TOPICS.index(topic)
        self.path = path
        self.name = path.name
        self.content = _map(path if unpacked is None else unpacked)
        self._shard_of = shard_of
        self._decoder = Decoder(topic, keyed=False)
        self._known_by_ms = known_by_ms
        self._ranks = {tag_of(kind): rank for rank, kind in enumerate(TYPES_BY_TOPIC[topic])}
        self.starts = array("q")
        self.ends = array("q")
        self.numbers = array("I")
        self.places = array("q")
        self.times = array("q")
        self.ranks = array("b")
        self.shards = array("h")

    def index(self) -> Iterator[int]:
        """Go through all lines once and note where each stands and when it was delivered; yield the bytes done."""
        add_start, add_end, add_number = self.starts.append, self.ends.append, self.numbers.append
        start = 0
        for number, line in enumerate(iter(self.content.readline, b""), start=1):
            end = start + len(line)
            if not line.isspace():
                self._add_place(line)
                add_start(start)
                add_end(end - 1 if line[-1] == _LINE_END else end)
                add_number(number)
            start = end
            if number % _REPORTED_EVERY_LINES == 0:
                yield start
        yield start

    def _add_place(self, line: bytes) -> None:
        try:
            header = _read_header(line)
        except _UNREADABLE:
            place_ms, time_ms, rank, borrower_id = self._place_without_header(line)
        else:
            time_ms = header.event_time_ms
            place_ms = time_ms if header.ingested_at_ms is None else header.ingested_at_ms
            rank = self._ranks.get(header.type, len(self._ranks))
            borrower_id = header.borrower_id
        if self._shard_of is not None:
            self.shards.append(self._shard_of(borrower_id) if borrower_id else 0)
        self.places.append(place_ms)
        self.times.append(time_ms)
        self.ranks.append(rank)

    def _place_without_header(self, line: bytes) -> tuple[int, int, int, str]:
        """Place, event time, rank and borrower as the codec sees them: it reads more than the header does, if more slowly."""
        content = self.decode(line.removesuffix(b"\n"))
        time_ms = NO_PLACE_MS if content.event_time_ms is None else content.event_time_ms
        borrower_id = "" if isinstance(content, Heartbeat) else content.borrower_id or ""
        if isinstance(content, Reject) or content.ingested_at_ms is None:
            return time_ms, time_ms, len(self._ranks), borrower_id
        return content.ingested_at_ms, time_ms, len(self._ranks), borrower_id

    @property
    def unknown_words(self) -> Counter[str]:
        return self._decoder.unknown_words

    def decode(self, raw: bytes) -> Event | Reject:
        return self._decoder.decode(raw, None, self._known_by_ms)


class EventColumns(NamedTuple):
    """The lines of a folder in the order of delivery, a column for each thing that is known of a line before it is decoded."""

    topics: NDArray[np.int8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    numbers: NDArray[np.uint32]
    places: NDArray[np.int64]
    times: NDArray[np.int64]
    heartbeats: NDArray[np.bool_]
    """Whether a line says of itself that it is one."""
    offsets: NDArray[np.int64]
    """Counted from 0 in each topic, as the offsets of its partition would be."""
    shards: NDArray[np.int16]
    """To which part of the borrowers the line's belongs; 0 where it names none, or where borrowers are not parted."""


class EventFolder:
    """The lines of a folder, in the order of delivery, as often as it is iterated over."""

    def __init__(
        self,
        folder: Path,
        known_by_ms: int,
        progress: Progress | None = None,
        *,
        shard_of: Callable[[str], int] | None = None,
        indexed: EventColumns | None = None,
        shelf: Path | None = None,
    ) -> None:
        """Index the folder.

        Args:
            folder: where the event files lie.
            known_by_ms: the time of the run: what lies more than a day ahead of it is rejected.
            progress: told how many bytes are indexed, of how many.
            shard_of: the part of the borrowers that an id belongs to; without it all are one.
            indexed: the index, where the folder was indexed before.
            shelf: where what is packed lies unpacked, if it does.

        Raises:
            EventFilesError: no folder, no event file in it, a topic in two files, or a damaged one.
        """
        self.folder = folder
        self._known_by_ms = known_by_ms
        self._files: list[_File] = []
        for topic, path in require_event_files(folder):
            unpacked = shelf / topic if shelf is not None and path.suffix == ".gz" else None
            self._files.append(_File(topic, path, known_by_ms, shard_of, unpacked))
        self._by_topic = {file.topic_index: file for file in self._files}
        if indexed is None:
            self._index(progress)
            indexed = self._deliver_in_order()
        self.columns = indexed

    def __len__(self) -> int:
        """Lines in the folder, blank ones left out."""
        return len(self.columns.topics)

    @property
    def topics(self) -> tuple[Topic, ...]:
        """The topics that have a file."""
        return tuple(file.topic for file in self._files)

    @property
    def unknown_words(self) -> Counter[str]:
        """How often each field held a word the contract does not know, in the lines delivered so far."""
        return sum((file.unknown_words for file in self._files), Counter())

    def __iter__(self) -> Iterator[Line]:
        for begin in range(0, len(self), _DELIVERED_AT_ONCE):
            yield from self.lines(slice(begin, begin + _DELIVERED_AT_ONCE))

    def lines(self, rows: slice | NDArray[np.intp]) -> Iterator[Line]:
        """Some of the lines, decoded one by one."""
        columns = self.columns
        chosen = (columns.topics, columns.starts, columns.ends, columns.numbers, columns.places)
        for topic_index, start, end, number, place_ms in zip(
            *(column[rows].tolist() for column in chosen), strict=True
        ):
            file = self._by_topic[topic_index]
            raw = file.content[start:end]
            yield Line(topic_index, file.name, number, place_ms, raw, file.decode(raw))

    def share(self, shelf: Path) -> None:
        """Lay the index, and what had to be unpacked, into a folder from which other processes read them (`open_shared`)."""
        for name, column in self.columns._asdict().items():
            np.save(shelf / f"{name}.npy", column)
        for file in self._files:
            if file.path.suffix == ".gz":
                (shelf / file.topic).write_bytes(file.content)

    @classmethod
    def open_shared(cls, folder: Path, known_by_ms: int, shelf: Path) -> EventFolder:
        """The same folder as in the process that shared it, without indexing it once more."""
        columns = (np.load(shelf / f"{name}.npy", mmap_mode="r") for name in EventColumns._fields)
        return cls(folder, known_by_ms, indexed=EventColumns(*columns), shelf=shelf)

    def opened_again(self) -> EventFolder:
        """The same folder with decoders, and so counts, of its own."""
        return EventFolder(self.folder, self._known_by_ms, indexed=self.columns)

    def _index(self, progress: Progress | None) -> None:
        total = sum(len(file.content) for file in self._files)
        done = 0
        for file in self._files:
            for done_in_file in file.index():
                if progress is not None:
                    progress(done + done_in_file, total)
            done += len(file.content)

    def _deliver_in_order(self) -> EventColumns:
        files = self._files
        counts = [len(file.starts) for file in files]
        topics = np.repeat(np.array([file.topic_index for file in files], dtype=np.int8), counts)
        starts = _column([file.starts for file in files], np.int64)
        ends = _column([file.ends for file in files], np.int64)
        places = _column([file.places for file in files], np.int64)
        times = _column([file.times for file in files], np.int64)
        ranks = _column([file.ranks for file in files], np.int8)
        criteria = (ranks, times, topics, places)
        order = np.lexsort(criteria)  # the last column is the first criterion
        tied = np.logical_and.reduce([column[order[1:]] == column[order[:-1]] for column in criteria])

        def identity(row: int) -> tuple[str, bytes]:
            return _identity(self._by_topic[int(topics[row])].content[starts[row] : ends[row]])

        for first, last in _runs(tied):
            order[first:last] = sorted(order[first:last].tolist(), key=identity)
        heartbeat_ranks = np.array([TYPES_BY_TOPIC[topic].index(Heartbeat) for topic in TOPICS], np.int8)
        shards = _column([file.shards for file in files], np.int16)
        topics = topics[order]
        return EventColumns(
            topics=topics,
            starts=starts[order],
            ends=ends[order],
            numbers=_column([file.numbers for file in files], np.uint32)[order],
            places=places[order],
            times=times[order],
            heartbeats=ranks[order] == heartbeat_ranks[topics],
            offsets=_count_in_topic(topics),
            shards=shards[order] if len(shards) else np.zeros(len(order), np.int16),
        )


def _identity(raw: bytes) -> tuple[str, bytes]:
    """What decides between lines of one topic, time and type; alike in all of it, they are the same line."""
    try:
        return _read_header(raw).event_id, raw
    except _UNREADABLE:
        return "", raw


def _count_in_topic(topics: NDArray[np.int8]) -> NDArray[np.int64]:
    offsets = np.empty(len(topics), np.int64)
    for topic in np.unique(topics):
        rows = np.flatnonzero(topics == topic)
        offsets[rows] = np.arange(len(rows))
    return offsets


def file_of(topic: str) -> str:
    """The name of a topic's file."""
    return f"{topic}.jsonl"


def require_event_files(folder: Path) -> list[tuple[Topic, Path]]:
    """Find the event files of a folder.

    Raises:
        EventFilesError: no folder, no event file in it, or a topic in two files.
    """
    if not folder.is_dir():
        msg = f"{folder}: no such folder"
        raise EventFilesError(msg)
    found: list[tuple[Topic, Path]] = []
    for topic in TOPICS:
        path = _plain_or_packed(folder, file_of(topic))
        if path is not None:
            found.append((topic, path))
    if not found:
        msg = f"{folder}: no event file; expected any of {', '.join(map(file_of, TOPICS))} (or .gz)"
        raise EventFilesError(msg)
    return found


def _plain_or_packed(folder: Path, name: str) -> Path | None:
    candidates = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
    if len(candidates) > 1:
        msg = f"{folder}: both {name} and {name}.gz are there; keep one of them"
        raise EventFilesError(msg)
    return candidates[0] if candidates else None


def _map(path: Path) -> mmap.mmap:
    """Map a file's content; what is packed is unpacked into a nameless temporary file first."""
    try:
        if path.suffix != ".gz":
            with path.open("rb") as plain:
                return _map_open(plain)
        with tempfile.TemporaryFile() as unpacked:
            with gzip.open(path) as packed:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
            unpacked.flush()
            return _map_open(unpacked)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        msg = f"{path}: damaged gzip file: {error}"
        raise EventFilesError(msg) from error
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror or error}"
        raise EventFilesError(msg) from error


def _map_open(file: IO[bytes]) -> mmap.mmap:
    if file.seek(0, 2) == 0:
        blank = mmap.mmap(-1, 1)  # an empty file cannot be mapped; a blank line says the same
        blank[:] = b"\n"
        return blank
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _column(parts: list[array[int]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate([np.frombuffer(part, dtype=kind) for part in parts])


def _runs(tied: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Where rows are tied with the one before: from the first row of each run to behind its last."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], tied, [False])).astype(np.int8)))
    yield from ((int(first), int(last) + 1) for first, last in zip(edges[::2], edges[1::2], strict=True))


def read_outcomes(folder: Path) -> list[Outcome] | None:
    """How it ended with each borrower, from `outcomes.jsonl`; None where the folder has none. Never fed to the engine.

    Raises:
        EventFilesError: with file and line of the first line that does not fit.
    """
    return _read_all(folder, "outcomes.jsonl", Outcome)


def read_truth(folder: Path) -> list[Truth] | None:
    """What each signal should have told, from `truth.jsonl`; None where the folder has none. Never fed to the engine.

    Raises:
        EventFilesError: with file and line of the first line that does not fit.
    """
    return _read_all(folder, "truth.jsonl", Truth)


def _read_all(folder: Path, name: str, kind: type[_Record]) -> list[_Record] | None:
    path = _plain_or_packed(folder, name)
    if path is None:
        return None
    decode = msgspec.json.Decoder(kind).decode
    records: list[_Record] = []
    for number, line in enumerate(iter(_map(path).readline, b""), start=1):
        if line.isspace():
            continue
        try:
            records.append(decode(line))
        except _UNREADABLE as error:
            msg = f"{path}:{number}: {error}"
            raise EventFilesError(msg) from error
    return records
