"""Who asks the bureau about a borrower: the normal background, harmless crowds, and stacking.

Stacking is borrowing from many new institutions within weeks: queries, disbursements, accounts elsewhere, and then
instalments to all of them.
"""

from __future__ import annotations

from typing import Final

from streams.simulator.debts import Debt
from streams.simulator.dice import Dice
from streams.simulator.hazards import is_strained
from streams.simulator.persons import Person
from streams.simulator.sightings import PLATFORMS, Sightings
from streams.simulator.story import Story

_BANKS: Final = tuple(f"bank-{number:02d}" for number in range(1, 21))
_FUNDERS: Final = tuple(f"funder-{number}" for number in range(1, 10))
_APPLICATIONS_A_MONTH: Final = 0.09
_REVIEWS_A_MONTH: Final = 0.15
_SELF_QUERIES_A_MONTH: Final = 0.04
_AGGREGATOR_A_MONTH: Final = 0.003
_INSTALMENT: Final = 0.19
"""Of what a platform paid out: each of six monthly instalments."""
_NEEDY: Final = 0.12
_STRAINED: Final = 3.0
"""How much more often other lenders are asked while a cause weighs. Assumptions, both."""
_RATE_SHOPPING: Final = 0.01
"""Of all borrowers: compare four or five banks within three weeks (a mortgage), and are fine afterwards."""


def ask_bureau(person: Person, platform_id: str, story: Story, sightings: Sightings) -> list[Debt]:
    """Put all credit queries and accounts elsewhere into the story; return the debts that stacking leaves."""
    _background(person, platform_id, story, sightings)
    if story.dice.chance(_RATE_SHOPPING):
        _shop_for_rates(story, sightings)
    return _stack(person, story, sightings) if person.cause == "stacking" else []


def note_crowds(person: Person, story: Story, sightings: Sightings) -> None:
    """Tell what `multi_platform_borrowing` should have told."""
    cause = person.cause if person.cause in ("stacking", "overreaching", "rolling") else "rate_shopping"
    for from_ms, until_ms in sightings.crowded(story.horizon.begin_ms, story.horizon.end_ms):
        story.should_tell("multi_platform_borrowing", from_ms, until_ms, cause)


def _background(person: Person, platform_id: str, story: Story, sightings: Sightings) -> None:
    dice = story.dice
    for month in range(story.horizon.months_observed):
        day = story.horizon.day_in_month(month, dice.whole(1, 28))
        at_ms = story.horizon.waking_ms(day, dice.roll())
        roll = dice.roll()
        if person.traits is not None and dice.chance(_more_applications(person, day)):
            _query(story, sightings, at_ms, dice.pick(PLATFORMS), "loan_application")
        if roll < _APPLICATIONS_A_MONTH:
            institution = dice.pick(_BANKS)
            purpose = "card_application" if dice.chance(0.3) else "loan_application"
            _query(story, sightings, at_ms, institution, purpose)
        elif roll < _APPLICATIONS_A_MONTH + _REVIEWS_A_MONTH:
            story.credit(
                at_ms, "credit_query", {"institution_id": platform_id, "purpose": "post_loan_review"}
            )
        elif roll < _APPLICATIONS_A_MONTH + _REVIEWS_A_MONTH + _SELF_QUERIES_A_MONTH:
            story.credit(at_ms, "credit_query", {"institution_id": "bureau", "purpose": "self_query"})
        elif roll > 1 - _AGGREGATOR_A_MONTH:
            _ask_aggregator(story, sightings, at_ms, dice)


def _more_applications(person: Person, day: int) -> float:
    """Of a month in the second version, beside the usual ones: those without slack ask more often, and most while a cause weighs."""
    assert person.traits is not None
    return min(0.9, _NEEDY * person.traits.appetite * (_STRAINED if is_strained(person, day) else 1))


def _query(story: Story, sightings: Sightings, at_ms: int, institution_id: str, purpose: str) -> None:
    if at_ms < story.horizon.begin_ms:
        return
    sightings.add(at_ms, institution_id)
    story.credit(at_ms, "credit_query", {"institution_id": institution_id, "purpose": purpose})


def _ask_aggregator(story: Story, sightings: Sightings, at_ms: int, dice: Dice) -> None:
    """One application, shown to several funders within minutes: counts once."""
    application = f"{story.borrower_id}-agg-{at_ms}"
    sightings.add(at_ms, application)
    for number in range(dice.whole(3, 6)):
        fields = {
            "institution_id": _FUNDERS[number],
            "purpose": "loan_application",
            "application_id": application,
            "institution_kind": "funder",
        }
        story.credit(at_ms + number * 90_000, "credit_query", fields)


def _shop_for_rates(story: Story, sightings: Sightings) -> None:
    dice, horizon = story.dice, story.horizon
    begin_day = dice.whole(horizon.start_day, horizon.end_day - 1)
    for number in range(dice.whole(4, 5)):
        at_ms = horizon.waking_ms(begin_day + dice.whole(0, 20), dice.roll())
        _query(story, sightings, at_ms, f"bank-{90 + number}", "loan_application")


def _stack(person: Person, story: Story, sightings: Sightings) -> list[Debt]:
    """Four to ten new platforms within eight to thirty-five days; most pay out, and then want their instalments."""
    dice, horizon = story.dice, story.horizon
    first = dice.whole(0, len(PLATFORMS) - 1)
    span_days = dice.whole(8, 35)
    debts: list[Debt] = []
    for number in range(dice.whole(4, 10)):
        platform = PLATFORMS[(first + number * 7) % len(PLATFORMS)]
        day = person.cause_day + dice.whole(0, span_days)
        at_ms = horizon.waking_ms(day, dice.roll())
        unseen = dice.chance(0.1)
        if not unseen:
            _query(story, sightings, at_ms, platform, "loan_application")
        if unseen or dice.chance(0.6):
            amount_minor = int(person.income_minor * dice.between(0.3, 1.2))
            paid_out_day = day + dice.whole(1, 3)
            _borrow_elsewhere(person, story, sightings, platform, paid_out_day, amount_minor)
            if paid_out_day < horizon.end_day:
                debts.append(Debt(paid_out_day, paid_out_day + 190, int(amount_minor * _INSTALMENT)))
    return debts


def _borrow_elsewhere(
    person: Person, story: Story, sightings: Sightings, platform: str, day: int, amount_minor: int
) -> None:
    """A disbursement, often an account that the bureau shows, and monthly instalments until the money runs out."""
    dice, horizon = story.dice, story.horizon
    if day >= horizon.end_day:
        return
    at_ms = horizon.waking_ms(day, dice.roll())
    fields = {"counterparty_id": platform, "counterparty_kind": "lender"}
    story.flow(at_ms, "in", amount_minor, {"category": "loan_disbursement", **fields})
    sightings.add(at_ms, platform, is_flow=True)
    if dice.chance(0.6):
        opened_ms = at_ms + 3_600_000
        account = {"institution_id": platform, "credit_account_id": f"{platform}-{story.borrower_id}"}
        story.credit(opened_ms, "credit_account_opened", {**account, "amount_minor": amount_minor})
        sightings.add(opened_ms, platform)
    stops_day = min(person.stops_paying_day or horizon.end_day, horizon.end_day)
    for due_day in range(day + 30, min(stops_day, day + 190), 30):
        at_ms = horizon.waking_ms(due_day, dice.roll())
        story.flow(
            at_ms,
            "out",
            int(amount_minor * _INSTALMENT),
            {"category": "loan_repayment", **fields},
            optional=True,
        )
