"""Why nobody may act on an alert: one word, the strongest of all that hold (decisions/0004-holds.md).

`data_incomplete` > the borrower's holds in the order of `models.servicing.HOLD_STRENGTH` > `reviewed_false_positive` >
`snoozed`. A hold never hides an alert: revisions go on, with `actionable: false`.
"""

from __future__ import annotations

from typing import Final

from models import servicing
from models.borrower import Borrower
from models.episodes import AWAKE, Attention, Episode
from models.servicing import AlertNote

DATA_INCOMPLETE: Final = "data_incomplete"
"""The hold of a borrower of whom a rejected record is missing: fail closed, for it may be a stronger hold than any known."""
REVIEWED_FALSE_POSITIVE: Final = "reviewed_false_positive"
"""A person found this alert wrong; it stands until it gets worse than it was then."""
SNOOZED: Final = "snoozed"
"""A person wants to see this alert later, unless it gets worse."""


def hold_of(borrower: Borrower, episode: Episode | None, known_ms: int, at_ms: int) -> str | None:
    """The strongest hold as of an instant; `episode` is None for an alert that is about to open."""
    if borrower.incomplete and min(borrower.incomplete.values()) <= at_ms:
        return DATA_INCOMPLETE
    reason = servicing.hold_as_of(borrower.servicing, known_ms, at_ms)
    if reason is not None or episode is None:
        return reason
    if _is_quiet(episode.review, at_ms):
        return REVIEWED_FALSE_POSITIVE
    return SNOOZED if _is_quiet(episode.snooze, at_ms) else None


def attend(borrower: Borrower, episode: Episode, severity: int, known_ms: int) -> None:
    """Bring what was said of an alert up to an instant at which it is judged to be of `severity`."""
    notes = borrower.servicing
    if not notes.notes:
        return
    review = servicing.newest_note(notes, episode.alert_id, "reviewed", known_ms)
    if review is not None and review.verdict != "false_positive":
        review = None
    episode.review = _attention(episode.review, review, severity)
    snooze = servicing.newest_note(notes, episode.alert_id, "snoozed", known_ms)
    episode.snooze = _attention(episode.snooze, snooze, severity)


def _attention(before: Attention | None, note: AlertNote | None, severity: int) -> Attention | None:
    """What a note does: it keeps quiet what is no worse than when it was written; once awake, it sleeps no more."""
    if note is None:
        return None
    if before is None or before.time_ms != note.time_ms:
        return Attention(note.time_ms, severity, note.until_ms)
    return Attention(before.time_ms, AWAKE, before.until_ms) if severity > before.severity else before


def _is_quiet(attention: Attention | None, at_ms: int) -> bool:
    if attention is None or attention.severity == AWAKE:
        return False
    return attention.until_ms is None or at_ms < attention.until_ms
