"""What loan money is spent on, and `fund_misuse`: money lent for consumption that goes elsewhere.

**The process.** Most of every own loan is spent within three weeks, on what it was lent for. A misusing borrower first puts the
own savings into securities, gambling or property, then takes one more loan, a large one, and sends 60 to 100 % of it the same
way within four days, in one to three transfers. Others save a little by the month in securities, play a lottery, or make one large purchase: that is no misuse.

**The truth.** From the first transfer after the loan until a month after the last one, where the account held
enough for half of the loan at least.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from models.calendars import DAY_MS
from streams.simulator.account import Sweep
from streams.simulator.loans import Borrowing, LoanRecord
from streams.simulator.persons import Person
from streams.simulator.story import Fields, Story

_SPENT_PART: Final = (0.6, 0.95)
_SPENT_DAYS: Final = 20
_LASTS_MS: Final = 30 * DAY_MS
_MISUSED_PART_MIN: Final = 0.5
_FORBIDDEN: Final[tuple[tuple[float, Fields], ...]] = (
    (0.55, {"category": "securities", "counterparty_id": "broker-3", "counterparty_kind": "other"}),
    (0.85, {"category": "gambling", "counterparty_id": "bets-1", "counterparty_kind": "merchant"}),
    (1.00, {"category": "property", "counterparty_id": "developer-8", "counterparty_kind": "other"}),
)
"""What money is misused for, each up to its roll. An assumption, as all shares here."""
_SAVES_BY_PLAN: Final = 0.08
_PLAYS: Final = 0.04
_BUYS: Final = 0.04


class Misuse(NamedTuple):
    """One transfer of loan money to what it was not lent for."""

    loan: LoanRecord
    at_ms: int
    transfer: Sweep


def use_loans(person: Person, borrowing: Borrowing, story: Story) -> list[Misuse]:
    """Put what becomes of loan money, and what might be taken for misuse, into the story."""
    misuses: list[Misuse] = []
    for loan in borrowing.loans:
        if loan.principal_minor:
            if person.cause == "misusing" and loan.opened_day == person.cause_day:
                misuses += _misuse(loan, story)
            else:
                _consume(loan, story)
    _save_and_play(person, story)
    return misuses


def _consume(loan: LoanRecord, story: Story) -> None:
    dice = story.dice_for("background")
    part = dice.between(*_SPENT_PART)
    for share in (part * 0.6, part * 0.4):
        at_ms = loan.opened_ms + int(dice.between(0.1, _SPENT_DAYS) * DAY_MS)
        shop = {
            "category": dice.pick(("shopping", "shopping", "living", "other")),
            "counterparty_kind": "merchant",
        }
        shop["counterparty_id"] = f"shop-{dice.whole(1, 200):03d}"
        story.flow(at_ms, "out", int(loan.principal_minor * share), shop, optional=True)


def _misuse(loan: LoanRecord, story: Story) -> list[Misuse]:
    dice = story.dice_for("background")
    roll = dice.roll()
    fields = next(fields for below, fields in _FORBIDDEN if roll < below)
    savings_ms = loan.opened_ms - dice.whole(3, 25) * DAY_MS
    story.sweep(savings_ms, dice.between(0.85, 0.97), 0, dict(fields))
    number = dice.whole(1, 3)
    part_minor = int(loan.principal_minor * dice.between(0.6, 1.0)) // number
    times_ms = [loan.opened_ms + int(dice.between(0.05, 4) * DAY_MS) for _ in range(number)]
    return [
        Misuse(loan, at_ms, story.sweep(at_ms, 1.0, 0, dict(fields), part_minor))
        for at_ms in sorted(times_ms)
    ]


def note_misuse(person: Person, misuses: list[Misuse], story: Story) -> None:
    """Tell what `fund_misuse` should have told, once the account is settled."""
    sent = [
        (misuse.at_ms, misuse.transfer.amount_minor) for misuse in misuses if misuse.transfer.amount_minor
    ]
    if sent and sum(amount for _, amount in sent) >= _MISUSED_PART_MIN * misuses[0].loan.principal_minor:
        story.should_tell("fund_misuse", sent[0][0], sent[-1][0] + _LASTS_MS, person.cause)


def _save_and_play(person: Person, story: Story) -> None:
    dice, horizon = story.dice_for("background"), story.horizon
    saves, plays = dice.chance(_SAVES_BY_PLAN), dice.chance(_PLAYS)
    plan_minor = int(person.income_minor * dice.between(0.03, 0.08))
    for month in range(horizon.months_observed if saves or plays else 0):
        at_ms = horizon.waking_ms(horizon.day_in_month(month, dice.whole(1, 28)), dice.roll())
        if saves:
            fund = {"category": "securities", "counterparty_id": "fund-2", "counterparty_kind": "other"}
            story.flow(at_ms, "out", plan_minor, fund, optional=True)
        if plays:
            lottery = {"category": "gambling", "counterparty_id": "lottery", "counterparty_kind": "merchant"}
            story.flow(at_ms + 60_000, "out", dice.whole(20, 200) * 100, lottery, optional=True)
    if dice.chance(_BUYS):
        at_ms = horizon.waking_ms(dice.whole(horizon.start_day, horizon.end_day - 1), dice.roll())
        dealer = {"category": "shopping", "counterparty_id": f"dealer-{dice.whole(1, 30):02d}"}
        story.sweep(at_ms, dice.between(0.5, 0.9), int(0.3 * person.income_minor), dealer)
