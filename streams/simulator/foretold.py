"""`risk_score`: the borrower does get there, so a probability could have told it.

**The truth.** Some own loan reaches 30 days past due: from 60 days before (or the loan's opening, or the end of the last such
time, whichever is latest) until it does. These are the days of the packaged policy, of which the probability is. It is
the only truth that looks ahead; what could have been seen of it does not matter, so not all of it can be found.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from models.calendars import DAY_MS
from streams.simulator.loans import TOLERANCE_MINOR, Borrowing, LoanRecord
from streams.simulator.persons import Person
from streams.simulator.story import Story

TARGET_DAYS_LATE: Final = 30
HORIZON_DAYS: Final = 60


def note_foretold(person: Person, borrowing: Borrowing, story: Story) -> None:
    """Tell what `risk_score` should have told."""
    at_target = [
        (from_ms, until_ms, loan.opened_ms)
        for loan in borrowing.loans
        for from_ms, until_ms in _times_at_target(loan, story)
    ]
    reached_until_ms = 0
    for from_ms, until_ms, opened_ms in sorted(at_target):
        if from_ms > reached_until_ms:
            told_from_ms = max(from_ms - HORIZON_DAYS * DAY_MS, opened_ms, reached_until_ms)
            is_caused = person.cause != "none" and from_ms > story.horizon.midnight_ms(person.cause_day)
            story.should_tell("risk_score", told_from_ms, from_ms, person.cause if is_caused else "habit")
        reached_until_ms = max(reached_until_ms, until_ms)


def _times_at_target(loan: LoanRecord, story: Story) -> Iterator[tuple[int, int]]:
    """When some instalment of a loan was so late, one by one; the oldest is paid first. What comes later is known, too."""
    payments = sorted(loan.paid)
    owed_minor = paid_minor = place = 0
    paid_ms = 0
    for due in loan.dues:
        owed_minor += due.minimum_minor
        while place < len(payments) and owed_minor - paid_minor > TOLERANCE_MINOR:
            paid_ms, paid_minor = payments[place].at_ms, paid_minor + payments[place].counted_minor
            place += 1
        from_ms = story.horizon.midnight_ms(due.day + TARGET_DAYS_LATE)
        if owed_minor - paid_minor > TOLERANCE_MINOR:
            yield from_ms, story.horizon.end_ms + 1
        elif paid_ms > from_ms:
            yield from_ms, paid_ms
