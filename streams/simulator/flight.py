"""`asset_flight`: who does not mean to pay takes the money away, once an instalment is past due.

**The process.** All who abscond, and one in ten of the others who stop paying, send most of what the account holds to two to
four counterparties that nobody has seen, within days, two to twenty days after the first instalment that stays unpaid.

**The truth.** From the first such transfer until a fortnight after the last one, where they came to half a month's income or
more: who has little left has nothing to take away. Living off what is left is not flight.
"""

from __future__ import annotations

from typing import Final

from models.calendars import DAY_MS
from streams.simulator.account import Sweep
from streams.simulator.loans import Borrowing
from streams.simulator.persons import Person
from streams.simulator.story import Story

_FLEES: Final = 0.10
"""Of those who stop paying for another reason. An assumption."""
_WORTH_PART: Final = 0.5
_LASTS_MS: Final = 14 * DAY_MS

Transfers = list[tuple[int, Sweep]]


def take_money_away(person: Person, borrowing: Borrowing, story: Story) -> Transfers:
    """Put the transfers into the story: when, and how much as far as the account holds it."""
    unpaid_from = min(
        (loan.unpaid_from for loan in borrowing.loans if loan.unpaid_from is not None), default=None
    )
    if unpaid_from is None:
        return []
    dice, horizon = story.dice_for("flight"), story.horizon
    if person.cause != "absconding" and not dice.chance(_FLEES):
        return []
    day = unpaid_from + 1 + dice.whole(2, 20)
    transfers: Transfers = []
    for number in range(dice.whole(2, 4)):
        if day < horizon.end_day:
            at_ms = horizon.waking_ms(day, dice.roll())
            payee = {"counterparty_id": f"{person.borrower_id}-p{number % 3}", "counterparty_kind": "other"}
            sweep = story.sweep(at_ms, dice.between(0.5, 0.85), 0, {"category": "other", **payee})
            transfers.append((at_ms, sweep))
        day += dice.whole(0, 2)
    return transfers


def note_flight(person: Person, transfers: Transfers, story: Story) -> None:
    """Tell what `asset_flight` should have told, once the account is settled."""
    taken = [(at_ms, sweep.amount_minor) for at_ms, sweep in transfers if sweep.amount_minor]
    if sum(amount_minor for _, amount_minor in taken) >= _WORTH_PART * person.income_minor:
        times_ms = [at_ms for at_ms, _ in taken]
        story.should_tell("asset_flight", min(times_ms), max(times_ms) + _LASTS_MS, person.cause)
