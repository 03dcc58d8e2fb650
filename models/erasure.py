"""Erasure: what the law demands be forgotten, and what those who act on open alerts must still be told.

An alert that is open when its borrower is erased is acted on by somebody: it gets one last revision, `resolved` with resolution
`cancelled`, so that they stop and can delete their own copy. That revision says that the borrower was erased and nothing
else of them: no evidence, no exposure, the probability of a borrower of whom nothing is known. Without it the alert would
stay open for its readers for ever, and a person who had a right to be forgotten would go on being called.

What was published before stays in the log with its hashes until retention deletes it, as the README says.
"""

from __future__ import annotations

from models.borrower import Borrower, new_borrower
from models.episodes import Step
from models.lifecycle import Occasion
from models.publication import Publisher, Revision


def close_alerts(borrower_id: str, borrower: Borrower, occasion: Occasion, publisher: Publisher) -> None:
    """Publish the last revision of every open alert of a borrower who is to be forgotten."""
    nobody = new_borrower(occasion.event_time_ms)
    for episode in borrower.episodes:
        if episode.closed_ms is not None:
            continue
        episode.closed_ms = occasion.at_ms
        episode.revision += 1
        revision = Revision(
            step=Step("resolved", "cancelled"),
            finding=None,
            at_ms=occasion.at_ms,
            event_time_ms=occasion.event_time_ms,
            origin=occasion.origin,
            deadline=False,
            is_erasure=True,
        )
        publisher.publish(borrower_id, nobody, episode, revision)
