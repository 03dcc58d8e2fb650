"""`relapse`: what was repaired, and missed again.

**The process.** Part of those who had stopped paying and resumed, or were late for months and recovered, are late once more two
to seven months later (`persons`); who struggles relapses as well, month after month.

**The truth.** Any time past due that begins within a year after the end of an earlier one, over all own loans, where the
earlier one had lasted a week or more: a few days late by habit is no credit that had to be repaired. It lasts as long as
the new time past due.
"""

from __future__ import annotations

from typing import Final

from models.calendars import DAY_MS
from streams.simulator.loans import Borrowing
from streams.simulator.persons import Person
from streams.simulator.story import Story

_WITHIN_MS: Final = 365 * DAY_MS
_REPAIRED_MS_MIN: Final = 7 * DAY_MS


def note_relapses(person: Person, borrowing: Borrowing, story: Story) -> None:
    """Tell what `relapse` should have told."""
    begins = [
        (story.horizon.midnight_ms(day), until_ms)
        for loan in borrowing.loans
        for day, until_ms in loan.spells
    ]
    repaired_ms: list[int] = []
    for from_ms, until_ms in _together(begins):
        if any(0 < from_ms - earlier_ms <= _WITHIN_MS for earlier_ms in repaired_ms):
            is_caused = person.cause != "none" and from_ms > story.horizon.midnight_ms(person.cause_day)
            story.should_tell("relapse", from_ms, until_ms, person.cause if is_caused else "habit")
        # The first midnight past due is day one: a week is told of at the midnight that begins day seven.
        if until_ms - from_ms >= _REPAIRED_MS_MIN - DAY_MS:
            repaired_ms.append(until_ms)


def _together(spells: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Times past due of several loans that overlap are one."""
    together: list[tuple[int, int]] = []
    for from_ms, until_ms in sorted(spells):
        if together and from_ms <= together[-1][1]:
            together[-1] = (together[-1][0], max(together[-1][1], until_ms))
        else:
            together.append((from_ms, until_ms))
    return together
