"""A book in which everybody pays every instalment five days late: what a change of policy makes of it is plain to see."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from models.events import TOPICS, BorrowerEvent
from streams.partitioner import partition_of
from tests.support.events import at, feed_of, loan, paid
from tests.support.workload import Produced, heartbeat_bytes

OPENED = "2025-01-02"
DUE_DAYS = ("2025-02-10", "2025-03-10", "2025-04-10", "2025-05-10", "2025-06-10", "2025-07-10")
BORROWERS = 12
DAYS_LATE = 5


class Parts(NamedTuple):
    """The book cut at instants: the events of each part in order of time."""

    events: Sequence[Sequence[BorrowerEvent]]
    ends_ms: Sequence[int]


def late_payers(cuts: Sequence[str]) -> Parts:
    """The book, cut at the midnights that begin these days; the last part ends with July."""
    events: list[BorrowerEvent] = []
    for number in range(BORROWERS):
        borrower, loan_id = f"late-{number}", f"l-{number}"
        dues = [(_later(due, number), 100_000) for due in DUE_DAYS]
        events.append(loan(OPENED, dues, borrower, loan_id, product=f"product-{number % 2}"))
        events += [paid(_later(due, DAYS_LATE), amount, "12:00", borrower, loan_id) for due, amount in dues]
    events.sort(key=lambda event: event.event_time_ms)
    ends_ms = [*(at(cut, "00:00") for cut in cuts), at("2025-08-01", "00:00")]
    starts_ms = [0, *ends_ms[:-1]]
    return Parts(
        [
            [event for event in events if start_ms <= event.event_time_ms < end_ms]
            for start_ms, end_ms in zip(starts_ms, ends_ms, strict=True)
        ],
        ends_ms,
    )


def write_book(parts: Parts, folder: Path) -> Path:
    """The book as a folder of event files."""
    folder.mkdir()
    lines = [msgspec.json.encode(event) for events in parts.events for event in events]
    (folder / "repayments.jsonl").write_bytes(b"\n".join(lines))
    return folder


def records(events: Sequence[BorrowerEvent], end_ms: int, partitions: int) -> list[Produced]:
    """A part as records, with a heartbeat on every partition that says that it is whole."""
    produced = [
        Produced(
            feed_of(event),
            partition_of(event.borrower_id.encode(), partitions),
            event.borrower_id.encode(),
            msgspec.json.encode(event),
        )
        for event in events
    ]
    return produced + [
        Produced(feed, partition, None, heartbeat_bytes(end_ms))
        for feed in range(len(TOPICS))
        for partition in range(partitions)
    ]


def _later(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
