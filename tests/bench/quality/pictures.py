"""Pictures of borrowers from a folder of events, without judging: alerts add nothing that a feature is read from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from models.borrower import Borrower, new_borrower
from models.events import TOPICS, BorrowerEvent, EventVoided, Heartbeat, Origin
from models.evidence import record
from models.rules import Rules
from streams.codec import Reject
from streams.event_files import EventFolder

_LATER_MS: Final = 10**13
"""The time of the run: everything lies in its past."""


def told_in(folder: Path) -> Iterator[tuple[BorrowerEvent, Origin]]:
    """The events of a folder as they were delivered; rejects, repeats and what takes an event back are left out."""
    told: set[int] = set()
    for offset, line in enumerate(EventFolder(folder, _LATER_MS)):
        event = line.content
        if isinstance(event, Reject | Heartbeat | EventVoided):
            continue
        name = hash((line.topic_index, event.borrower_id, event.event_id))
        if name not in told:
            told.add(name)
            yield event, Origin(TOPICS[line.topic_index], 0, offset, event.event_id)


def pictures_of(folder: Path, rules: Rules) -> dict[str, Borrower]:
    """All borrowers, once every event of the folder has come."""
    pictures: dict[str, Borrower] = {}
    for event, origin in told_in(folder):
        borrower = pictures.get(event.borrower_id)
        if borrower is None:
            borrower = pictures[event.borrower_id] = new_borrower(event.event_time_ms)
        record(borrower, event, origin, rules)
    return pictures
