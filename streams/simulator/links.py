"""Borrowers who stand in for each other, and `linked_distress`.

**The process.** A few borrowers with an even number are linked to the one before: their guarantor, owner or co-borrower. When
that one stops paying, two in five of the linked stop some weeks later, though nothing else had befallen them.

**The truth.** While the other one is in trouble: has lost the job, or is past due for a month or longer for a reason (from the first
day of that time past due); as far as both are linked. A forgotten instalment is no trouble, nor is a habit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from models.calendars import DAY_MS
from models.judging import Truth
from streams.simulator.dice import Dice
from streams.simulator.horizon import Horizon
from streams.simulator.persons import Person
from streams.simulator.settings import SimulationSettings
from streams.simulator.story import Story

_INFECTED: Final = 0.4
"""Of those linked to somebody who stops paying. An assumption, as the two below."""
_UNLINKED: Final = 0.05
_RELATIONS: Final = ("guarantor", "guarantor", "co_borrower", "owner")
_TROUBLE_MS_MIN: Final = 30 * DAY_MS


class Link(Struct, frozen=True):
    """A borrower's link to another one."""

    number: int
    """Of the other one."""
    relation: str
    from_day: int
    until_day: int
    """Beyond the end for most."""


def draw_link(number: int, settings: SimulationSettings, horizon: Horizon) -> Link | None:
    """To whom borrower `number` is linked, if to anybody: to one whose life does not depend on links itself."""
    if number % 2:
        return None
    dice = Dice(settings.seed, number, "link")
    if not dice.chance(2 * settings.linked_share):
        return None
    from_day = horizon.start_day + dice.whole(0, 60)
    unlinked = dice.chance(_UNLINKED)
    until_day = from_day + dice.whole(60, 400) if unlinked else horizon.end_day + 1
    return Link(number - 1, dice.pick(_RELATIONS), from_day, until_day)


def infect(person: Person, other: Person, link: Link, dice: Dice) -> Person:
    """The borrower, who may stop paying because the other one does."""
    infected, days = dice.chance(_INFECTED), dice.whole(20, 70)
    day = other.stops_paying_day
    if person.cause != "none" or day is None or not infected or not link.from_day <= day < link.until_day:
        return person
    return replace(person, cause="linked", cause_day=day, stops_paying_day=day + days)


def link_up(link: Link, other_id: str, other_truths: Iterable[Truth], story: Story) -> None:
    """Put the link into the story, and what `linked_distress` should have told."""
    horizon = story.horizon
    from_ms = horizon.waking_ms(link.from_day, story.dice_for("link").roll())
    fields = {"linked_borrower_id": other_id, "relation": link.relation}
    story.servicing(from_ms, "borrower_linked", fields)
    until_ms = horizon.end_ms + 1
    if link.until_day < horizon.end_day:
        until_ms = horizon.waking_ms(link.until_day, 0.5)
        story.servicing(until_ms, "borrower_unlinked", fields)
    for begins_ms, ends_ms, cause in _troubles(other_truths):
        story.should_tell("linked_distress", max(begins_ms, from_ms), min(ends_ms, until_ms), cause)


def _troubles(truths: Iterable[Truth]) -> list[tuple[int, int, str]]:
    """When the other one was in trouble, and why; what overlaps is one trouble."""
    found: list[tuple[int, int, str]] = []
    for truth in sorted(truths, key=lambda truth: truth.from_ms):
        is_loss = truth.signal == "income_drop" and truth.cause == "job_loss"
        is_arrears = truth.signal == "missed_payment" and truth.cause not in ("habit", "forgetful")
        if not is_loss and not (is_arrears and truth.until_ms - truth.from_ms >= _TROUBLE_MS_MIN):
            continue
        if found and truth.from_ms <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], truth.until_ms), found[-1][2])
        else:
            found.append((truth.from_ms, truth.until_ms, truth.cause))
    return found
