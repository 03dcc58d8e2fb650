"""Months in which the money runs out before an instalment is due: expenses that take it, and what `payment_at_risk` should tell.

**The process.** For some months of a squeezed borrower an expense (a hospital, a repair, school fees) comes between the
last pay and the due date, and leaves less than the instalment. Then others send the money at the last moment, or the
instalment is paid late, or half of it is.

**The truth** is told of everybody whom a cause has left short, also of those who lost income or owe too much. It asks what
became of the money, not what could be guessed: an instalment was at risk when, up to the moment at which it was paid,
at which others sent the money, or at which its due date ended, the account held less than it, and that had begun before
the due day. It lasts from when the money was gone, `_AHEAD_DAYS` before the due day at the earliest, since nobody speaks of
an instalment sooner (collection practice reminds three to seven days ahead), until that moment. A loan that is past due
already is left to `missed_payment`. A borrower without a cause who pays from an account that the lender does not see was
never at risk: an alert is false.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from streams.simulator.account import Account
from streams.simulator.persons import Cause, Person
from streams.simulator.story import Story

if TYPE_CHECKING:
    from streams.simulator.loans import Borrowing, LoanRecord

LATE_DAYS_MOST: Final = 22
"""A late instalment is paid before the next one can be (28 days later, at most 5 early): payments never overtake."""
_AHEAD_DAYS: Final = 7
_SQUEEZED_DAYS: Final = 180
"""How long it goes on. An assumption, as the probabilities below."""
_EXPENSE_COMES: Final = 0.75
_RESCUED: Final = 0.45
_LATE: Final = 0.35
_EXPENSES: Final = ("hospital-02", "hospital-11", "garage-05", "school-03", "repairs-08", "court-01")
_FLOW_BEFORE_MS: Final = 61_000
"""Money leaves the account a minute before the lender books the payment."""
_SHORT: Final[frozenset[Cause]] = frozenset(
    {"job_loss", "income_cut", "stacking", "squeezed", "rolling", "overreaching", "misusing"}
)
"""Causes that leave a borrower short of money; the others forget, or do not want to pay."""


class Squeeze(NamedTuple):
    """How one instalment is paid after all."""

    pay_days: list[int]
    """One, or two for two halves."""
    rescue_ms: int | None
    """When others send the money."""


def is_squeezed(person: Person, due_day: int) -> bool:
    """Whether an instalment falls into the hard months of a squeezed borrower."""
    return person.cause == "squeezed" and 0 <= due_day - person.cause_day < _SQUEEZED_DAYS


def squeeze_before(due_day: int, amount_minor: int, story: Story) -> Squeeze | None:
    """Let an expense take the money for an instalment; None where pay comes too close to it, or luck holds."""
    dice, horizon = story.dice_for("shortage"), story.horizon
    last_pay_day = max((day for day in story.pay_days if day <= due_day), default=0)
    first_day = max(last_pay_day + 1, due_day - 6)
    if first_day > due_day - 2 or not dice.chance(_EXPENSE_COMES):
        return None
    expense_day = dice.whole(first_day, due_day - 2)
    leave_minor = int(amount_minor * dice.between(0.05, 0.7))
    fields = {"category": "other", "counterparty_id": dice.pick(_EXPENSES), "counterparty_kind": "other"}
    story.sweep(horizon.waking_ms(expense_day, dice.roll()), 1.0, leave_minor, fields)
    roll = dice.roll()
    if roll < _RESCUED:
        rescue_ms = horizon.midnight_ms(due_day) + 7 * 3_600_000
        family = {"category": "other", "counterparty_id": "family", "counterparty_kind": "linked"}
        story.flow(rescue_ms, "in", int(amount_minor * 1.05), family)
        return Squeeze([due_day], rescue_ms)
    late_day = due_day + dice.whole(2, 15)
    return Squeeze([late_day] if roll < _RESCUED + _LATE else [due_day, late_day], None)


def note_shortages(person: Person, borrowing: Borrowing, account: Account, story: Story) -> None:
    """Tell what `payment_at_risk` should have told, once the account is settled."""
    if person.cause not in _SHORT:
        return
    for loan in borrowing.loans:
        _note_loan(person, loan, account, story)


def _note_loan(person: Person, loan: LoanRecord, account: Account, story: Story) -> None:
    horizon = story.horizon
    payments = sorted(loan.paid)
    owed_minor = paid_minor = 0
    place = 0
    for due in loan.dues:
        if due.day >= horizon.end_day:
            return
        first_ms, day_ms, end_ms = (
            horizon.midnight_ms(day) for day in (due.day - _AHEAD_DAYS, due.day, due.day + 1)
        )
        before_minor, owed_minor = owed_minor, owed_minor + due.minimum_minor
        paid_ms = end_ms
        while place < len(payments) and paid_minor < owed_minor:
            paid_minor += payments[place].counted_minor
            paid_ms = payments[place].at_ms
            place += 1
        is_past_due = sum(p.counted_minor for p in payments if p.at_ms < first_ms) < before_minor
        if due.day < person.cause_day or is_past_due:
            continue
        last_ms = min(paid_ms - _FLOW_BEFORE_MS, end_ms, loan.rescues_ms.get(due.day, end_ms))
        since_ms = account.below_since_ms(due.minimum_minor, last_ms, first_ms)
        if since_ms is not None and since_ms < min(day_ms, last_ms):
            story.should_tell("payment_at_risk", since_ms, last_ms, person.cause)
