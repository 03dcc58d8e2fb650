"""What a borrower earns: pay days with their jitter, weekends, the Spring Festival, bonuses, changes and losses."""

from __future__ import annotations

from collections.abc import Iterator

from streams.simulator.dice import Dice
from streams.simulator.horizon import Horizon, weekday
from streams.simulator.persons import Person
from streams.simulator.story import Fields, Story

WEEKS_A_MONTH = 365.25 / 12 / 7
BENEFIT_MINOR = 160_000
"""Unemployment benefit a month."""


def earn(person: Person, story: Story) -> None:
    """Put all income into the story, and what `income_drop` should have told."""
    wages = _weekly(person, story) if person.job in ("weekly", "gig", "owner") else _monthly(person, story)
    _Earner(person, story).pay(wages)
    if person.second_income_minor:
        fields = {"category": "salary", **_employer(f"emp-{person.number % 983:03d}-b")}
        for month in range(story.horizon.months_observed):
            day = story.horizon.day_in_month(month, 18) + story.dice.whole(-1, 1)
            _put(story, day, person.second_income_minor, fields)
    if person.cause == "job_loss" and story.dice.chance(0.3):
        _draw_benefits(person, story)


class _Earner:
    """Goes through the due wages of the main job: pays them, or what the cause leaves of them."""

    def __init__(self, person: Person, story: Story) -> None:
        self._person = person
        self._story = story
        self._lost_from_ms: int | None = None
        self._steady = _main_fields(person, changed=False)
        self._changed = _main_fields(person, changed=True)
        self._raise = story.dice.between(0.85, 1.1)

    def pay(self, wages: Iterator[tuple[int, int]]) -> None:
        """Pay each wage (day it is due, amount)."""
        for day, amount_minor in wages:
            self._pay_one(day, amount_minor)
        if self._lost_from_ms is not None:
            until_ms = self._story.horizon.end_ms + 1
            self._story.should_tell("income_drop", self._lost_from_ms, until_ms, self._person.cause)

    def _pay_one(self, day: int, amount_minor: int) -> None:
        person, story = self._person, self._story
        hit = person.cause in ("job_loss", "income_cut") and day >= person.cause_day
        back = hit and person.recovers_day is not None and day >= person.recovers_day
        if not hit:
            changed = person.changes_employer_day is not None and day >= person.changes_employer_day
            _put(story, day, amount_minor, self._changed if changed else self._steady)
        elif back:
            new_job = person.cause == "job_loss"
            paid_minor = int(amount_minor * self._raise) if new_job else amount_minor
            at_ms = _put(story, day, paid_minor, self._changed if new_job else self._steady)
            if self._lost_from_ms is not None:
                story.should_tell("income_drop", self._lost_from_ms, at_ms, person.cause)
                self._lost_from_ms = None
        elif person.cause == "income_cut":
            at_ms = _put(story, day, int(amount_minor * person.income_factor), self._steady)
            self._lost_from_ms = self._lost_from_ms or at_ms
        else:
            self._lost_from_ms = self._lost_from_ms or story.horizon.midnight_ms(day)


def _main_fields(person: Person, *, changed: bool) -> Fields:
    match person.job:
        case "pension":
            return {
                "category": "pension",
                "counterparty_id": "pension-fund",
                "counterparty_kind": "government",
            }
        case "gig":
            platform = f"gig-{(person.number + changed) % 7}"
            return {"category": "business_income", "counterparty_id": platform, "counterparty_kind": "other"}
        case "owner":
            customers = f"customer-{person.number % 211:03d}"
            return {"category": "business_income", "counterparty_id": customers, "counterparty_kind": "other"}
        case _:
            place = person.number * 31 % 4_999 if person.traits is None else person.traits.employer
            employer = _employer(f"emp-{place:04d}{'-new' if changed else ''}")
            # Some banks do not say what an inflow is: then the steady payer has to tell.
            return employer if person.number % 20 == 0 else {"category": "salary", **employer}


def _employer(counterparty_id: str) -> Fields:
    return {"counterparty_id": counterparty_id, "counterparty_kind": "employer"}


def _put(story: Story, day: int, amount_minor: int, fields: Fields) -> int:
    at_ms = story.horizon.waking_ms(day, story.dice.roll() * 0.5)  # payroll runs in the first half of the day
    story.flow(at_ms, "in", amount_minor, fields)
    story.pay_days.append(day)
    return at_ms


def _monthly(person: Person, story: Story) -> Iterator[tuple[int, int]]:
    """Day and amount of each month's pay."""
    horizon, dice = story.horizon, story.dice
    second_pay_day = dice.pick((5, 10, 15, 25))
    previous_day = horizon.start_day - 62
    for month in range(horizon.months_observed):
        day = horizon.day_in_month(month, person.pay_day)
        if person.changes_employer_day is not None and day >= person.changes_employer_day:
            day = max(horizon.day_in_month(month, second_pay_day), person.changes_employer_day)
        amount_minor = person.income_minor * dice.between(0.97, 1.03)
        if person.job == "monthly":
            day, factor = _around_the_calendar(person, horizon, dice, day)
            amount_minor *= factor
        if day > previous_day:  # a pay brought forward is not paid again
            yield day, int(amount_minor) // 100 * 100
        previous_day = day


def _around_the_calendar(person: Person, horizon: Horizon, dice: Dice, day: int) -> tuple[int, float]:
    """Move a pay day for weekend, jitter and Spring Festival; the factor holds festival bonuses and short pay."""
    festival = horizon.festival_near(day, before=4, after=10)
    if festival is not None:
        roll = dice.roll()
        if roll < 0.6:
            return festival - dice.whole(2, 5), 1.0 + person.bonus_months
        if roll < 0.85:
            return festival + dice.whole(9, 14), 1.0
        return day, dice.between(0.5, 0.8)
    if weekday(day) >= 5:
        day += 4 - weekday(day) if person.pays_before_weekend else 7 - weekday(day)
    roll = dice.roll()
    if roll > 0.75:
        day += dice.whole(1, 3) if roll < 0.93 else -dice.whole(1, 3)
    near = horizon.festival_near(day, before=34, after=0)
    return day, 1.0 + (person.bonus_months if near is not None else 0)


def _weekly(person: Person, story: Story) -> Iterator[tuple[int, int]]:
    """Day and amount of each week's pay; gig work varies, skips weeks, and rests over the Spring Festival.

    What a business owner takes in varies more, and every fourth week or so nothing comes.
    """
    horizon, dice, gig, owner = story.horizon, story.dice, person.job == "gig", person.job == "owner"
    first = horizon.start_day + (person.pay_day - weekday(horizon.start_day)) % 7
    week_minor = person.income_minor / WEEKS_A_MONTH
    for day in range(first, horizon.end_day, 7):
        if owner:
            amount_minor = week_minor * dice.between(0.4, 2.2)
        else:
            amount_minor = week_minor * (dice.between(0.6, 1.4) if gig else dice.between(0.85, 1.15))
        rests = horizon.festival_near(day, before=3, after=11) is not None
        skips = (gig and dice.chance(0.06)) or (owner and dice.chance(0.23))
        if not rests and not skips:
            yield day, int(amount_minor) // 100 * 100


def _draw_benefits(person: Person, story: Story) -> None:
    """Unemployment benefit, beginning a month after the loss, for half a year at most."""
    fields = {"category": "benefit", "counterparty_id": "social-security", "counterparty_kind": "government"}
    until = min(person.recovers_day or story.horizon.end_day, person.cause_day + 210)
    days = range(person.cause_day + 30, until, 30)
    for day in days:
        _put(story, day, BENEFIT_MINOR, fields)
    if days:
        story.benefit_days = range(days[0], days[-1] + 30)
