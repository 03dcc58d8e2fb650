"""Matured examples of a book, week after week."""

from __future__ import annotations

from random import Random

from models.calendars import DAY_MS
from models.risk.examples import Example
from models.risk.issuing import STEP_MS
from models.risk.labels import Outcome
from models.risk.scorecard import Scorecard

START = Scorecard(("new_institutions",), ((1.0, 3.0),), ((0.0, 0.0, 0.0),), -3.0)
"""A card that knows nothing but how many go bad."""
FIRST_WEEK_MS = 2_858 * STEP_MS
MIDNIGHT_MS = 16 * 3_600_000
"""Where in a day of UTC the local midnights lie: those of Shanghai."""


def example(
    institutions: float,
    outcome: Outcome,
    *,
    segment: str | None = None,
    matured_ms: int = FIRST_WEEK_MS + MIDNIGHT_MS,
    borrower: int = 0,
) -> Example:
    """One with a single feature that matters."""
    return Example(
        borrower=f"{borrower:016x}",
        observed_ms=matured_ms - 60 * DAY_MS,
        matured_ms=matured_ms,
        features={"new_institutions": institutions, "open_loans": 1.0},
        outcome=outcome,
        reason="disputed" if outcome == "censored" else "days_late" if outcome == "bad" else "paid_as_agreed",
        decided_ms=matured_ms,
        contacts=0,
        segment=segment,
        probability=0.1,
        card_version="v",
    )


def weeks_of_examples(
    seed: int,
    weeks: int,
    a_week: int,
    rates: tuple[float, float, float] = (0.02, 0.10, 0.40),
    first_week: int = 0,
) -> list[Example]:
    """So many a week mature, on its first day; a share of them goes bad by the number of new institutions, one in fifty is censored."""
    dice = Random(seed)
    examples = []
    for week in range(first_week, first_week + weeks):
        for borrower in range(a_week):
            place = dice.randrange(3)
            outcome: Outcome = "bad" if dice.random() < rates[place] else "good"
            if dice.random() < 0.02:
                outcome = "censored"
            matured_ms = FIRST_WEEK_MS + week * STEP_MS + MIDNIGHT_MS
            segment = ("card", "cash", None)[dice.randrange(3)]
            examples.append(
                example((0, 1, 3)[place], outcome, segment=segment, matured_ms=matured_ms, borrower=borrower)
            )
    return examples
