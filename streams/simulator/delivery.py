"""Merges the lives of all borrowers into one stream, in the order in which the lender learns of the events.

Borrowers are made up one by one, so their events must be sorted by time across borrowers. They are spilled to one
temporary file a week of the observed time, and each week is sorted when its turn comes: memory holds one week
(about 0.6 KB an event: 15 MB for 10,000 borrowers), the disk holds the rest (0.3 KB an event), removed at the end.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final, Self

from msgspec import Struct

from models.calendars import DAY_MS
from models.events import TOPICS, Topic
from models.judging import Outcome, Truth
from streams.event_folder_writer import EventFolderWriter
from streams.simulator.horizon import Horizon
from streams.simulator.lives import lives
from streams.simulator.settings import SimulationSettings
from streams.simulator.story import Life

Progress = Callable[[int, int], None]
"""Told how many borrowers are done, of how many."""

_WEEK_MS: Final = 7 * DAY_MS
_SPILL_BYTES: Final = 1 << 16
"""Buffer of a week's file: 520 weeks, the most there are, take 34 MB."""
_REPORTED_EVERY_BORROWERS: Final = 100
"""Borrowers between two reports of progress: some hundredths of a second."""
_SEPARATOR: Final = b"\t"
"""Between key, place, borrower and payload of a spilled line; JSON has tabs only escaped."""


class Delivery(Struct, frozen=True, gc=False):
    """One event as the lender gets it: the record key is `borrower_id`, the payload is JSON."""

    topic: Topic
    place_ms: int
    """When the lender learns of it: `ingested_at_ms`, else `event_time_ms`."""
    borrower_id: str
    payload: bytes


class SimulationCounts(Struct, frozen=True, kw_only=True):
    """What was written."""

    borrowers: int
    bad: int
    events: int
    events_by_topic: dict[str, int]
    truths_by_signal: dict[str, int]


def simulate(
    settings: SimulationSettings,
    *,
    on_life: Callable[[Outcome, list[Truth]], None] | None = None,
    progress: Progress | None = None,
) -> Iterator[Delivery]:
    """All events of a book in order of delivery, which is the order of `streams.event_files` for the same events.

    Args:
        settings: the book.
        on_life: given every borrower's outcome and truths, in order of their number, before the first event.
        progress: told how many borrowers are made up, of how many, before the first event.
    """
    horizon = Horizon(settings)
    with (
        tempfile.TemporaryDirectory(prefix="forewarn-simulation-") as folder,
        _Weeks(Path(folder), horizon) as weeks,
    ):
        for done, life in enumerate(lives(settings), start=1):
            weeks.add(life)
            if on_life is not None:
                on_life(life.outcome, life.truths)
            if progress is not None and (done % _REPORTED_EVERY_BORROWERS == 0 or done == settings.borrowers):
                progress(done, settings.borrowers)
        yield from weeks.deliver()


def write_folder(
    settings: SimulationSettings, path: Path, progress: Progress | None = None, *, packed: bool = False
) -> SimulationCounts:
    """Write a book as a folder of the file contract, its events in order of delivery.

    Args:
        settings: the book.
        path: made where it does not exist; the files of an earlier simulation are replaced.
        progress: told how many borrowers are made up, of how many.
        packed: write `.jsonl.gz`.

    Raises:
        streams.event_folder_writer.FolderInUseError: `path` holds event files that would stay beside the new ones.
    """
    bad = 0
    truths_by_signal: dict[str, int] = {}
    events: dict[str, int] = dict.fromkeys(TOPICS, 0)
    with EventFolderWriter(path, (*TOPICS, "outcomes", "truth"), packed=packed) as writer:

        def note(outcome: Outcome, truths: list[Truth]) -> None:
            nonlocal bad
            bad += outcome.outcome == "bad"
            writer.write_one("outcomes", outcome)
            for truth in truths:
                truths_by_signal[truth.signal] = truths_by_signal.get(truth.signal, 0) + 1
                writer.write_one("truth", truth)

        for delivery in simulate(settings, on_life=note, progress=progress):
            events[delivery.topic] += 1
            writer.write(delivery.topic, delivery.payload + b"\n")
    return SimulationCounts(
        borrowers=settings.borrowers,
        bad=bad,
        events=sum(events.values()),
        events_by_topic=events,
        truths_by_signal=dict(sorted(truths_by_signal.items())),
    )


class _Weeks:
    """Lines spilled by the week in which they are delivered."""

    def __init__(self, folder: Path, horizon: Horizon) -> None:
        self._begin_ms = horizon.begin_ms
        weeks = (horizon.end_ms - horizon.begin_ms) // _WEEK_MS + 1
        self._paths = [folder / f"{week:04d}" for week in range(weeks)]
        self._stack = ExitStack()
        self._files: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        self._files = [
            self._stack.enter_context(path.open("wb", buffering=_SPILL_BYTES)) for path in self._paths
        ]
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def add(self, life: Life) -> None:
        for key, topic_index, place_ms, borrower_id, payload in life.lines:
            week = (place_ms - self._begin_ms) // _WEEK_MS
            self._files[week].write(
                b"%b\t%d\t%d\t%b\t%b\n" % (key, topic_index, place_ms, borrower_id.encode(), payload)
            )

    def deliver(self) -> Iterator[Delivery]:
        self._stack.close()
        for path in self._paths:
            with path.open("rb") as file:
                lines = sorted(file)
            path.unlink()
            for line in lines:
                _, topic_index, place_ms, borrower_id, payload = line.split(_SEPARATOR, 4)
                yield Delivery(TOPICS[int(topic_index)], int(place_ms), borrower_id.decode(), payload[:-1])
