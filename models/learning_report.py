"""What learning was worth on a past: part of `report.json`. `models.learning_judging` finds the numbers.

Counts are plain numbers, shares lie between 0 and 1. What cannot be computed is null.
"""

from __future__ import annotations

from msgspec import Struct

from models.report import CalibrationDecile
from models.risk.guard import Refusal
from models.risk.published import Judged


class Foretold(Struct, frozen=True, kw_only=True):
    """How good probabilities were, all of them said before it was known what became of the borrower."""

    auc: float | None
    ks: float | None
    log_loss: float | None
    calibration_error: float | None
    """Mean over the examples of |mean probability - bad rate| of their decile."""
    calibration: tuple[CalibrationDecile, ...]


class ForetoldPeriod(Struct, frozen=True, kw_only=True):
    """Those who were observed within thirty days, by what was foretold of them then."""

    from_ms: int
    examples: int
    examples_bad: int
    auc: float | None
    """Of the cards that were in force."""
    auc_of_the_prior: float | None
    """Of the expert prior, had it stayed."""
    ks: float | None
    ks_of_the_prior: float | None
    log_loss: float | None
    log_loss_of_the_prior: float | None


class CardReport(Struct, frozen=True, kw_only=True):
    """One step: a card that was published, or refused. `scorecards.jsonl` has its weights, too."""

    number: int
    version: str
    refused: Refusal | None
    """Why it was not published: the one in force stayed."""
    effective_from_ms: int
    """Event time: all that it has learnt happened before."""
    in_force_from_ms: int | None
    """Since when it scores: never what was judged before it was there. Null where it was refused, or another took its place
    before it scored anything."""
    examples: int
    """Learnt from so far."""
    bads: int
    recent: Judged
    """The learner's probabilities of recent examples, each before it learnt from it: by these the guard went."""
    recent_in_use: Judged
    """Those of the card that was in use, of the same examples."""


class LearningReport(Struct, frozen=True, kw_only=True):
    """What was learnt from the stream's own labels, and how well it foretold them."""

    target_days_late: int
    """Bad is who is so many days late with some loan ..."""
    horizon_days: int
    """... within so many days; short loans have a target of their own. Both as the first policy has it."""
    examples: dict[str, int]
    """Observations that have matured, by outcome: those that are censored teach nothing."""
    cards: tuple[CardReport, ...]
    in_force: Foretold
    """By the cards that were in force when the borrowers were observed."""
    expert_prior: Foretold
    """Of the same examples, had the prior stayed in force."""
    periods: tuple[ForetoldPeriod, ...]

    @property
    def cards_published(self) -> int:
        """Cards that were not refused."""
        return sum(card.refused is None for card in self.cards)

    @property
    def examples_known(self) -> int:
        """Of whom is known what became."""
        return self.examples["good"] + self.examples["bad"]
