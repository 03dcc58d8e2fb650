"""Steps as a trainer would publish them, around any card."""

from __future__ import annotations

from models.risk.guard import Refusal
from models.risk.published import Judged, PublishedCard
from models.risk.scorecard import Scorecard, expert_prior
from streams.ports import OutputRecord
from streams.scorecards import step_records

_NOT_JUDGED = Judged(0.0, None, None, None, None, None)


def step_with(
    card: Scorecard, number: int, effective_from_ms: int, refused: Refusal | None = None
) -> PublishedCard:
    """A step of which nothing is known but the card and its time."""
    return PublishedCard(
        number=number,
        step="published" if refused is None else "refused",
        version=card.version,
        replaces=expert_prior().version,
        effective_from_ms=effective_from_ms,
        examples_offset=0,
        examples=0,
        bads=0,
        counts={},
        refused=refused,
        figures=_NOT_JUDGED,
        recent=_NOT_JUDGED,
        recent_in_use=_NOT_JUDGED,
        by_segment={},
        optimiser=b"",
        card=card,
        former=expert_prior(),
        state=b"",
    )


def records_of(
    card: Scorecard, number: int, effective_from_ms: int, refused: Refusal | None = None
) -> list[OutputRecord]:
    """The records that such a step writes."""
    return step_records(step_with(card, number, effective_from_ms, refused))
