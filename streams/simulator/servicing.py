"""What servicing reports: attempts to reach who is past due, promises, holds, notes on alerts; and `unreachable`.

**The process.** From the third day past due on somebody calls, two or three times a week, later less often. Who will pay answers
every other call and names the day of payment, or a nearer one and slips. Of those who do not pay any more, half stop
answering altogether after five to twenty-five days; a quarter answer and promise what they do not mean to keep; the rest
answer and promise little. (19 % of adults in the United States generally answer unknown numbers: Pew Research Center, 14
December 2020; a known lender is answered more often. All shares here are assumptions.)

**The truth.** Who has decided to answer nobody is out of reach from the first attempt that fails after that until nothing is past
due, or the end (cause `evading`). A promise after which nothing came by the end of the second day
after its date tells from the end of its date until nothing is past due (`broken_promise`, where it was never meant
`empty_promise`). Whichever comes first in a time past due names it. Bad luck with some calls is neither.
"""

from __future__ import annotations

from typing import Final, Literal

from models.alerts import alert_id
from models.calendars import DAY_MS
from streams.simulator.loans import Borrowing, LoanRecord
from streams.simulator.persons import Person
from streams.simulator.story import Fields, Story

Attitude = Literal["will pay", "evading", "promising", "open"]

_ATTEMPT_DAYS: Final = (
    3, 6, 8, 11, 13, 15, 18, 21, 25, 28, 32, 36, 40, 45, 50, 55, 60, 70, 80, 90, 110, 130, 150,
)  # fmt: skip
"""Days past due of the attempts: within seven a week, as the packaged policy allows."""
_EVADES_AFTER_DAYS: Final = (5, 25)
_ANSWERS: Final[dict[Attitude, float]] = {"will pay": 0.6, "evading": 0.4, "promising": 0.5, "open": 0.45}
_PROMISES: Final[dict[Attitude, float]] = {"will pay": 0.7, "evading": 0.2, "promising": 0.8, "open": 0.1}
"""Of those who answer."""
_SLACK_DAYS: Final = 2
_OTHER_PARTY: Final = 0.08
_HARDSHIP: Final = 0.1
_NOTED: Final = 0.05
"""Of the attempts after which somebody writes something about the alert."""
_HELD: Final = 0.02
"""Of all borrowers in a year: a hold that has nothing to do with arrears."""


def collect(person: Person, borrowing: Borrowing, story: Story) -> None:
    """Put all that servicing does into the story, and what `unreachable` should have told."""
    roll = story.dice_for("background").roll()
    unwilling: Attitude = "evading" if roll < 0.5 else "promising" if roll < 0.75 else "open"
    paid_ms = [payment.at_ms for loan in borrowing.loans for payment in loan.paid]
    for loan in borrowing.loans:
        for from_day, until_ms in loan.spells:
            stays_unpaid = loan.unpaid_from is not None and until_ms > story.horizon.end_ms
            attitude = unwilling if stays_unpaid else "will pay"
            _Spell(loan, from_day, until_ms, attitude, paid_ms, story).call()
    _hold_for_other_reasons(person, story)


class _Spell:
    """One time past due, as servicing goes through it."""

    def __init__(
        self,
        loan: LoanRecord,
        from_day: int,
        until_ms: int,
        attitude: Attitude,
        paid_ms: list[int],
        story: Story,
    ) -> None:
        self._loan = loan
        self._from_day = from_day
        self._until_ms = until_ms
        self._attitude = attitude
        self._paid_ms = paid_ms
        self._story = story
        self._dice = story.dice_for("servicing")
        self._promised_day = 0
        self._out_of_reach_ms: int | None = None
        self._told: list[tuple[int, str]] = []

    def call(self) -> None:
        """Try to reach the borrower until the loan is paid up."""
        dice, horizon = self._dice, self._story.horizon
        evades_day = self._from_day + dice.whole(*_EVADES_AFTER_DAYS)
        for days in _ATTEMPT_DAYS:
            day = self._from_day + days
            if day >= horizon.end_day or horizon.midnight_ms(day + 1) > self._until_ms:
                break
            at_ms = horizon.waking_ms(day, dice.roll())
            evades = self._attitude == "evading" and day >= evades_day
            if days > 10 and dice.chance(_OTHER_PARTY):
                self._attempt(at_ms, {"outcome": "reached", "party": "third_party"})
            elif not evades and dice.chance(_ANSWERS[self._attitude]):
                self._attempt(at_ms, self._answer(day))
            else:
                self._attempt(at_ms, {"outcome": "unreached", "party": "borrower"})
                if evades and self._out_of_reach_ms is None:
                    self._out_of_reach_ms = at_ms
            if days == 15 and dice.chance(_HARDSHIP):
                _hold(self._story, at_ms, 30, f"{self._loan.loan_id}-h{self._from_day}", "hardship")
            if dice.chance(_NOTED):
                self._note(at_ms)
        if self._out_of_reach_ms is not None:
            self._told.append((self._out_of_reach_ms, "evading"))
        if self._told:
            from_ms, cause = min(self._told)
            self._story.should_tell("unreachable", from_ms, self._until_ms, cause)

    def _attempt(self, at_ms: int, answer: Fields) -> None:
        self._story.servicing(at_ms, "contact_attempted", {"channel": "call", **answer})

    def _answer(self, day: int) -> Fields:
        """What the borrower says: a promise, while none is open; or just something."""
        dice, horizon = self._dice, self._story.horizon
        if day <= self._promised_day or not dice.chance(_PROMISES[self._attitude]):
            outcome = "refused" if self._attitude == "open" and dice.chance(0.3) else "reached"
            return {"outcome": outcome, "party": "borrower"}
        promised_day = day + dice.whole(1, 5)
        if self._attitude == "will pay" and self._until_ms < horizon.midnight_ms(day + 11):
            promised_day = day + (self._until_ms - horizon.midnight_ms(day)) // DAY_MS
        self._promised_day = promised_day
        from_ms = horizon.midnight_ms(promised_day + 1)
        if not self._has_paid(horizon.midnight_ms(day), horizon.midnight_ms(promised_day + 1 + _SLACK_DAYS)):
            cause = "empty_promise" if self._attitude in ("promising", "evading") else "broken_promise"
            self._told.append((from_ms, cause))
        return {"outcome": "promised", "party": "borrower", "promise_date": horizon.iso(promised_day)}

    def _has_paid(self, from_ms: int, until_ms: int) -> bool:
        """Whether anything came, for whatever loan: nobody promises for one of them."""
        return any(from_ms <= paid_ms < until_ms for paid_ms in self._paid_ms)

    def _note(self, at_ms: int) -> None:
        """A remark on the alert of this missed payment, as its contract names it."""
        dice, story = self._dice, self._story
        opened_ms = story.horizon.midnight_ms(self._from_day)
        about = alert_id(story.borrower_id, "missed_payment", self._loan.loan_id, opened_ms, 0)
        note: Fields = {"alert_id": about, "actor": f"agent-{dice.whole(1, 12):02d}"}
        roll = dice.roll()
        if roll < 0.6:
            story.servicing(at_ms + 120_000, "alert_acknowledged", note)
        elif roll < 0.8:
            story.servicing(at_ms + 120_000, "alert_reviewed", note | {"verdict": "confirmed"})
        else:
            snooze = {"until_ms": at_ms + dice.whole(1, 5) * DAY_MS, "reason": "asked for time"}
            story.servicing(at_ms + 120_000, "alert_snoozed", note | snooze)


def _hold_for_other_reasons(person: Person, story: Story) -> None:
    dice, horizon = story.dice_for("background"), story.horizon
    if dice.chance(_HELD * (horizon.end_day - horizon.start_day) / 365):
        at_ms = horizon.waking_ms(dice.whole(horizon.start_day, horizon.end_day - 1), dice.roll())
        reason = dice.pick(("dispute", "dispute", "consent_withdrawn", "vulnerable", "other"))
        _hold(story, at_ms, dice.whole(10, 60), f"{person.borrower_id}-hold", reason)


def _hold(story: Story, at_ms: int, days: int, hold_id: str, reason: str) -> None:
    hold = {"hold_id": hold_id, "reason": reason}
    story.servicing(at_ms + 1_000, "hold_placed", hold)
    story.servicing(at_ms + days * DAY_MS, "hold_released", hold)
