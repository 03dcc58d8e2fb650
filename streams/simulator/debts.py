"""Debts elsewhere: mortgages, instalments that outgrow the means, debts rolled from platform to platform, vendors' summaries.

**`over_indebtedness`, the process.** An overreaching borrower takes on three to five loans elsewhere, one every five to eight
weeks, each with a dozen monthly instalments of 14 to 28 % of income. A stacking borrower (`credit`) comes to the same faster.
**The truth.** From the day on which all monthly instalments, here and elsewhere, exceed what present income leaves after rent
and the usual daily living, until they no longer do (a loan's last instalment was due, income is back). Unemployment benefit
is income. While nothing comes at all, `income_drop` tells it: then the usual income counts. Who uses a card and pays it off
is not in debt: cards do not count.

**`borrowing_to_repay`, the process.** A rolling borrower borrows from one platform and repays another with it within three
days, every 18 to 32 days, each time a little more, going round four platforms. **The truth.** From the first repayment made with
borrowed money until a month after the last one. Whoever moves a debt once, for better terms, rolls nothing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from streams.simulator.income import BENEFIT_MINOR
from streams.simulator.loans import Borrowing
from streams.simulator.persons import Person
from streams.simulator.sightings import PLATFORMS, Sightings
from streams.simulator.spending import needs_part
from streams.simulator.story import Story

_LOANS: Final = (3, 5)
_INSTALMENT_PART: Final = (0.14, 0.28)
_INSTALMENTS: Final = 12
_SUMMARIES: Final = {"overreaching": (0.7, 1), "rolling": (0.5, 1)}
"""Part of the borrowers on whom a vendor reports, and every how many months. Assumptions, as all shares here."""
_SUMMARIES_ELSE: Final = (0.15, 3)
_ROUND: Final = 4
"""Platforms that a rolled debt goes round."""
_ROLLS_MOST: Final = 14
_CONSOLIDATES: Final = 0.01
"""Of all borrowers: move one debt to a bank, once."""
_MONTH_DAYS: Final = 30


class Debt(NamedTuple):
    """What falls due each month to somebody else."""

    from_day: int
    until_day: int
    """After the last instalment."""
    monthly_minor: int


def owe_elsewhere(person: Person, story: Story, sightings: Sightings) -> list[Debt]:
    """Put debts elsewhere into the story."""
    debts: list[Debt] = []
    if person.mortgage_minor:
        debts.append(_mortgage(person, story))
    if person.cause == "overreaching":
        debts += _overreach(person, story, sightings)
    if person.cause == "rolling":
        _roll(person, story, sightings)
    if person.cause == "none" and story.dice_for("background").chance(_CONSOLIDATES):
        _consolidate(person, story, sightings)
    return debts


def report_debts(person: Person, debts: list[Debt], story: Story) -> None:
    """What a vendor who sells summaries reports of these debts, now and then."""
    dice, horizon = story.dice_for("background"), story.horizon
    share, months = _SUMMARIES.get(person.cause, _SUMMARIES_ELSE)
    if not dice.chance(share):
        return
    for month in range(dice.whole(0, months - 1), horizon.months_observed, months):
        day = horizon.day_in_month(month, dice.whole(1, 28))
        standing = [debt for debt in debts if debt.from_day <= day < debt.until_day]
        fields = {
            "source": "vendor-1",
            "window_days": 90,
            "applications": dice.whole(0, 2),
            "institutions": len(standing),
            "monthly_due_minor": sum(debt.monthly_minor for debt in standing),
        }
        story.credit(horizon.waking_ms(day, dice.roll()), "credit_summary", fields)


def note_burden(person: Person, borrowing: Borrowing, debts: list[Debt], story: Story) -> None:
    """Tell what `over_indebtedness` should have told."""
    end_day = story.horizon.end_day
    own = [
        Debt(loan.opened_day, loan.dues[-1].day + 1, loan.monthly_minor)
        for loan in borrowing.loans
        if loan.principal_minor and loan.dues
    ]
    every = [debt for debt in own + debts if debt.from_day < min(debt.until_day, end_day)]
    changes = {day for debt in every for day in debt[:2]} | {person.cause_day, person.recovers_day or end_day}
    if story.benefit_days is not None:
        changes |= {story.benefit_days.start, story.benefit_days.stop}
    from_day: int | None = None
    for day in sorted(day for day in changes | {end_day} if day <= end_day):
        due_minor = sum(debt.monthly_minor for debt in every if debt.from_day <= day < debt.until_day)
        exceeds = due_minor > _left_minor(person, day, story.benefit_days)
        if exceeds and from_day is None:
            from_day = day
        if from_day is not None and (not exceeds or day == end_day):
            from_ms, until_ms = (story.horizon.midnight_ms(d) for d in (from_day, day + (day == end_day)))
            cause = person.cause if from_day >= person.cause_day else "none"
            story.should_tell("over_indebtedness", from_ms, until_ms, cause)
            from_day = None


def _left_minor(person: Person, day: int, benefit_days: range | None) -> int:
    """What a month's income leaves after rent and usual daily living."""
    income_minor = person.income_minor
    if person.is_hard_on(day):
        if person.cause == "income_cut":
            income_minor = int(person.income_minor * person.income_factor)
        elif benefit_days is not None and day in benefit_days:
            income_minor = BENEFIT_MINOR
    return income_minor + person.second_income_minor - int(person.income_minor * needs_part(person))


def _mortgage(person: Person, story: Story) -> Debt:
    dice, horizon = story.dice_for("background"), story.horizon
    bank, day_of_month = f"bank-{dice.whole(1, 20):02d}", dice.whole(1, 28)
    for month in range(horizon.months_observed):
        _repay(story, horizon.day_in_month(month, day_of_month), person.mortgage_minor, bank)
    return Debt(horizon.start_day, horizon.end_day + 1, person.mortgage_minor)


def _overreach(person: Person, story: Story, sightings: Sightings) -> list[Debt]:
    dice, horizon = story.dice_for("background"), story.horizon
    debts: list[Debt] = []
    first = dice.whole(0, len(PLATFORMS) - 1)
    day = person.cause_day
    stops_day = min(person.stops_paying_day or horizon.end_day, horizon.end_day)
    for number in range(dice.whole(*_LOANS)):
        monthly_minor = int(person.income_minor * dice.between(*_INSTALMENT_PART))
        if day + 2 < stops_day:
            platform = PLATFORMS[(first + number * 11) % len(PLATFORMS)]
            _ask(story, sightings, day, platform)
            _receive(story, sightings, day + 1, platform, int(monthly_minor * _INSTALMENTS * 0.9))
            for due_day in range(day + 1 + _MONTH_DAYS, stops_day, _MONTH_DAYS)[:_INSTALMENTS]:
                _repay(story, due_day, monthly_minor, platform)
            debts.append(Debt(day + 1, day + 2 + _MONTH_DAYS * _INSTALMENTS, monthly_minor))
        day += dice.whole(35, 56)
    return debts


def _roll(person: Person, story: Story, sightings: Sightings) -> None:
    dice, horizon = story.dice_for("background"), story.horizon
    first = dice.whole(0, len(PLATFORMS) - 1)
    platforms = [PLATFORMS[(first + number * 13) % len(PLATFORMS)] for number in range(_ROUND)]
    stops_day = min(person.stops_paying_day or horizon.end_day, horizon.end_day)
    day, owed_minor = person.cause_day, 0
    repaid_ms: list[int] = []
    wanted_minor = int(person.income_minor * dice.between(0.3, 0.8))
    for number in range(dice.whole(5, _ROLLS_MOST)):
        if day + 4 >= stops_day:
            break
        lender = platforms[number % _ROUND]
        if number < _ROUND:
            _ask(story, sightings, day, lender)
        disbursed_ms = _receive(story, sightings, day, lender, wanted_minor)
        if owed_minor:
            at_ms = disbursed_ms + 3_600_000 + int(dice.between(0, 3) * 86_400_000)
            _repay_at(story, at_ms, owed_minor, platforms[(number - 1) % _ROUND])
            repaid_ms.append(at_ms)
        owed_minor = int(wanted_minor * dice.between(1.02, 1.06))
        wanted_minor = int(owed_minor * dice.between(1.02, 1.08))
        day += dice.whole(18, 32)
    if repaid_ms:
        until_ms = repaid_ms[-1] + _MONTH_DAYS * 86_400_000
        story.should_tell("borrowing_to_repay", repaid_ms[0], until_ms, person.cause)


def _consolidate(person: Person, story: Story, sightings: Sightings) -> None:
    """A bank pays out, and the dearer debt is paid off the next day: sensible, and not again."""
    dice, horizon = story.dice_for("background"), story.horizon
    day = dice.whole(horizon.start_day, horizon.end_day - 3)
    amount_minor = int(person.income_minor * dice.between(0.5, 2))
    _ask(story, sightings, day, "bank-77")
    _receive(story, sightings, day + 1, "bank-77", amount_minor)
    _repay(story, day + 2, int(amount_minor * 0.98), dice.pick(PLATFORMS))


def _ask(story: Story, sightings: Sightings, day: int, platform: str) -> None:
    at_ms = story.horizon.midnight_ms(day) + 7 * 3_600_000
    sightings.add(at_ms, platform)
    story.credit(at_ms, "credit_query", {"institution_id": platform, "purpose": "loan_application"})


def _receive(story: Story, sightings: Sightings, day: int, platform: str, amount_minor: int) -> int:
    at_ms = story.horizon.waking_ms(day, story.dice_for("background").roll())
    fields = {"category": "loan_disbursement", "counterparty_id": platform, "counterparty_kind": "lender"}
    story.flow(at_ms, "in", amount_minor, fields)
    sightings.add(at_ms, platform, is_flow=True)
    return at_ms


def _repay(story: Story, day: int, amount_minor: int, platform: str) -> None:
    _repay_at(
        story, story.horizon.waking_ms(day, story.dice_for("background").roll()), amount_minor, platform
    )


def _repay_at(story: Story, at_ms: int, amount_minor: int, platform: str) -> None:
    fields = {"category": "loan_repayment", "counterparty_id": platform, "counterparty_kind": "lender"}
    story.flow(at_ms, "out", amount_minor, fields, optional=True)
