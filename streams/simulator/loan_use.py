"""What loan money is spent on, and `fund_misuse`: money lent for consumption that goes elsewhere.

**The process.** Most of every own loan is spent within three weeks, on what it was lent for. A misusing borrower takes one more
loan and sends 60 to 100 % of it within four days to a broker, a bookmaker or a property developer, in one to three
transfers. Others save a little by the month in securities, play a lottery, or make one large purchase: that is no misuse.

**The truth.** From the first of these transfers until a month after the last one.
"""

from __future__ import annotations

from typing import Final

from models.calendars import DAY_MS
from streams.simulator.loans import Borrowing, LoanRecord
from streams.simulator.persons import Person
from streams.simulator.story import Fields, Story

_SPENT_PART: Final = (0.6, 0.95)
_SPENT_DAYS: Final = 20
_LASTS_MS: Final = 30 * DAY_MS
_FORBIDDEN: Final[tuple[tuple[float, Fields], ...]] = (
    (0.55, {"category": "securities", "counterparty_id": "broker-3", "counterparty_kind": "other"}),
    (0.85, {"category": "gambling", "counterparty_id": "bets-1", "counterparty_kind": "merchant"}),
    (1.00, {"category": "property", "counterparty_id": "developer-8", "counterparty_kind": "other"}),
)
"""What money is misused for, each up to its roll. An assumption, as all shares here."""
_SAVES_BY_PLAN: Final = 0.08
_PLAYS: Final = 0.04
_BUYS: Final = 0.04


def use_loans(person: Person, borrowing: Borrowing, story: Story) -> None:
    """Put what becomes of loan money, and what might be taken for misuse, into the story."""
    for loan in borrowing.loans:
        if loan.principal_minor:
            if person.cause == "misusing" and loan.opened_day == person.cause_day:
                _misuse(person, loan, story)
            else:
                _consume(loan, story)
    _save_and_play(person, story)


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


def _misuse(person: Person, loan: LoanRecord, story: Story) -> None:
    dice = story.dice_for("background")
    roll = dice.roll()
    fields = next(fields for below, fields in _FORBIDDEN if roll < below)
    number = dice.whole(1, 3)
    part_minor = int(loan.principal_minor * dice.between(0.6, 1.0)) // number
    times_ms = [loan.opened_ms + int(dice.between(0.05, 4) * DAY_MS) for _ in range(number)]
    for at_ms in times_ms:
        story.flow(at_ms, "out", part_minor, dict(fields), optional=True)
    story.should_tell("fund_misuse", min(times_ms), max(times_ms) + _LASTS_MS, person.cause)


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
