"""What a borrower spends: a handful of flows a month, less when a cause has taken the income."""

from __future__ import annotations

from typing import Final

from streams.simulator.persons import Person
from streams.simulator.story import Fields, Story

_HARD_TIMES: Final = 0.5
"""Part of the usual spending that remains."""
_RENT: Final = 0.22
"""Of the monthly income, as all parts below."""
_LIVING: Final = (0.10, 0.16)
_SHOPPING: Final = (0.02, 0.12)
_MERCHANTS: Final = 400
_MOVES_SAVINGS: Final = 0.35
"""Of the months. Part of the time money comes back; else what exceeds the buffer leaves. Assumptions."""
_FROM_SAVINGS: Final = 0.25


def spend(person: Person, story: Story) -> None:
    """Put all spending into the story."""
    dice = story.dice
    rent_day = dice.whole(1, 28)
    for month in range(story.horizon.months_observed):
        day = story.horizon.day_in_month(month, 1)
        hard = person.is_hard_on(day)
        budget_minor = int(person.income_minor * (_HARD_TIMES if hard else 1))
        if person.rents:
            _spend(story, day + rent_day - 1, _RENT * person.income_minor, "rent", "landlord")
        for _ in range(2):
            _spend_somewhere(story, day, budget_minor * dice.between(*_LIVING), "living")
        if dice.chance(0.75):
            _spend_somewhere(story, day, budget_minor * dice.between(*_SHOPPING), "shopping")
        if dice.chance(0.25):
            _spend(story, day + dice.whole(0, 27), budget_minor * 0.05, "cash", None)
        if dice.chance(_MOVES_SAVINGS):
            _move_savings(person, story, day + dice.whole(0, 27), int(budget_minor * 0.15))
        if dice.chance(0.05):
            fields: Fields = {
                "category": "refund",
                "counterparty_id": "m-001",
                "counterparty_kind": "merchant",
            }
            at_ms = story.horizon.waking_ms(day + dice.whole(0, 27), dice.roll())
            story.flow(at_ms, "in", int(budget_minor * 0.03), fields)


def needs_part(person: Person) -> float:
    """What rent and daily living usually take of the income."""
    return (_RENT if person.rents else 0) + sum(_LIVING)


def _spend_somewhere(story: Story, month_day: int, amount_minor: float, category: str) -> None:
    dice = story.dice
    _spend(story, month_day + dice.whole(0, 27), amount_minor, category, f"m-{dice.whole(1, _MERCHANTS):03d}")


def _spend(story: Story, day: int, amount_minor: float, category: str, merchant: str | None) -> None:
    at_ms = story.horizon.waking_ms(day, story.dice.roll())
    fields: Fields = {"category": category}
    if merchant is not None:
        fields |= {"counterparty_id": merchant, "counterparty_kind": "merchant"}
    story.flow(at_ms, "out", int(amount_minor), fields, optional=True)


def _move_savings(person: Person, story: Story, day: int, amount_minor: int) -> None:
    """To and from an account of one's own that we do not see: no income, though it comes in."""
    dice = story.dice
    fields = {"category": "own_transfer", "counterparty_id": "own", "counterparty_kind": "self"}
    at_ms = story.horizon.waking_ms(day, dice.roll())
    if dice.chance(_FROM_SAVINGS):
        story.flow(at_ms, "in", amount_minor, fields, optional=True)
    else:
        story.sweep(at_ms, dice.between(0.6, 1.0), person.buffer_minor, fields)
