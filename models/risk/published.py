"""What is told of a scorecard when it is published, when it is refused, and when an earlier one is gone back to."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from models.risk.guard import Refusal
from models.risk.prequential import Figures
from models.risk.scorecard import Scorecard

Step = Literal["published", "refused", "rolled_back"]


class Judged(Struct, frozen=True):
    """How good probabilities were, without the deciles: what is kept of it for years."""

    examples: float
    """By weight: the old count less."""
    bad_rate: float | None
    auc: float | None
    ks: float | None
    log_loss: float | None
    calibration_error: float | None


class CardStep(Struct, frozen=True, kw_only=True):
    """One step in the life of the card, as it is told for years. No instant of the clock on the wall is in it."""

    number: int
    """Of the step, counted from 1."""
    step: Step
    version: str
    """Of the card published, refused or gone back to."""
    replaces: str
    """Version of the card that was in use until then; where the new one is refused, it stays."""
    effective_from_ms: int
    """Event time: it scores what is as of that instant and later. It has learnt of nothing that happened later."""
    examples_offset: int
    """Of the first example that it has not learnt from: a restart goes on there."""
    examples: int
    """Learnt from, since the expert prior."""
    bads: int
    counts: dict[str, int]
    """Examples by outcome and reason, those that could not be read, and drifts."""
    refused: Refusal | None
    """Why it is not to be used; None where it is."""
    figures: Judged
    """Of the learner's probabilities, each before its example was learnt from."""
    recent: Judged
    """The same over recent examples alone, which the guard went by."""
    recent_in_use: Judged
    """Of the card that was in use, over the same."""
    by_segment: dict[str, Judged]
    optimiser: bytes
    """What the weights were learnt with: whoever goes back to this card learns on with it."""


class PublishedCard(CardStep, frozen=True, kw_only=True):
    """A step with the card itself, and all that learning goes on from."""

    card: Scorecard
    former: Scorecard
    """The one in use until then."""
    state: bytes
    """From which `Issuing.from_bytes` goes on at `examples_offset`."""

    def told(self) -> CardStep:
        """The step alone."""
        return CardStep(**{name: getattr(self, name) for name in CardStep.__struct_fields__})


def judged(figures: Figures) -> Judged:
    """What is kept of figures."""
    return Judged(
        examples=figures.examples,
        bad_rate=figures.bad_rate,
        auc=figures.auc,
        ks=figures.ks,
        log_loss=figures.log_loss,
        calibration_error=figures.calibration_error,
    )
