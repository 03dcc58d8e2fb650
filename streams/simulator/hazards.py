"""The second version's borrowers: how much slack they have, what befalls them, and how likely each month is to be the last one paid.

In the first version a cause leads to default on its own schedule, whoever it befalls. Here every borrower has a *slack*, which
nobody sees, and a hazard of ceasing to pay that follows from it and from what has befallen them:

    hazard a month = base x exp(-slack) x what the cause does while it lasts x season

The same slack shows, with noise, in all that the lender sees: how often payments are late by days, what is left on the account, how
full a card is, how often other lenders are asked, what was granted. So a default can be foretold as far as the hazard can
be guessed, and no further: most months of a high hazard pass without one. `oracle` says how far that is.

**Where the numbers are from.** The base gives flows into 30 days past due of about one in ten borrowers a year: Federal Reserve Bank of New York,
Quarterly Report on Household Debt and Credit, 2023 Q4 (press release of 6 February 2024): 8.5 % of card and 7.7 % of auto-loan
balances became delinquent within a year. One adult in six (17 %) had not paid all bills in full in the month before: Board of Governors,
Economic Well-Being of U.S. Households in 2023 (SHED, May 2024); here slips of days are half as frequent, since a loan's instalment is
seldom the bill that waits. Layoffs and discharges are 1.0 % of jobs a month (1.6 million of 157 million): Bureau of Labor Statistics, Job Openings
and Labor Turnover, October 2023 (USDL-23-2528), here through `job_loss_share` and the layoffs of employers. One in four individuals sees
income change by 30 % or more from one year to the next: JPMorgan Chase Institute, Weathering Volatility (May 2015); here owners'
and gig workers' months. Unemployment triples default: Gerardi, Herkenhoff, Ohanian and Willen, Can't Pay or Won't Pay?, Review of
Financial Studies 31(3), 2018. All else, the sizes of the other effects and how strongly slack shows, are assumptions.
"""

from __future__ import annotations

from math import exp, log
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from streams.simulator.dice import Dice
from streams.simulator.horizon import Horizon
from streams.simulator.persons import Cause, Job, Person, Traits
from streams.simulator.settings import SimulationSettings

BASE_A_MONTH: Final = 0.004
"""Hazard of one of ordinary slack whom nothing has befallen."""
MONTH_DAYS: Final = 30.44
RESUME: Final = 0.15
"""Of those who stop paying: find the money after all, before 90 days past due; as in the first version."""
_HAZARD_MAX: Final = 0.6
_SEASON: Final = 1.3
"""In the month of a Spring Festival: gifts, travel, and pay that comes late."""
_EFFECT: Final[dict[Cause, float]] = {
    "job_loss": 8.0,
    "income_cut": 4.0,
    "stacking": 8.0,
    "rolling": 5.0,
    "overreaching": 5.0,
    "squeezed": 4.0,
    "misusing": 3.0,
    "silent": 6.0,
}
"""By how much the hazard is multiplied while the cause lasts. Unemployment alone triples default; a lost job of a borrower without a
second income weighs more."""
_SHIFTED: Final[dict[Cause, float]] = {
    "job_loss": 1.5,
    "income_cut": 1.5,
    "stacking": 16.0,
    "rolling": 14.0,
    "overreaching": 14.0,
    "squeezed": 1.0,
    "misusing": 10.0,
    "silent": 6.0,
}
"""The same after the world has changed (`shift_month`): the state pays the wages of those laid off, and platforms no longer refinance."""
_FALLS: Final = 0.7
"""After it those who seemed strong, and were lent most, fall first: prices of what they own have collapsed, and the weak are held. The
hazard then rises with slack, which turns what a card has learnt against it."""
_CRISIS: Final = 3.0
"""How many times as many fall then. Of loans on homes 2 % were delinquent at the beginning of 2007 and 11 % three years later, of card
debts 4 % and near 7 %: Board of Governors, Charge-Off and Delinquency Rates on Loans and Leases at Commercial Banks."""
_LASTS_DAYS: Final = 240
"""How long a cause weighs that does not end by itself; then life has settled around it."""
_EMPLOYERS: Final = 199
_EMPLOYER_LAYS_OFF: Final = 0.12
"""Of employers, within the observed time: a layoff that hits one in four of its people at once."""
_LAID_OFF: Final = 0.25
_OWNERS: Final = 0.12
"""Of borrowers paid by the month: own a business instead."""


def draw_traits(person: Person, settings: SimulationSettings, horizon: Horizon) -> Person:
    """The person with slack, and with all that follows from it, until the day on which they stop paying."""
    dice = Dice(settings.seed, person.number, "hazard")
    slack = _normal(dice)
    job: Job = "owner" if person.job == "monthly" and dice.chance(_OWNERS) else person.job
    person = replace(
        person,
        job=job,
        pay_day=dice.whole(0, 6) if job == "owner" else person.pay_day,
        second_income_minor=0 if job == "owner" else person.second_income_minor,
        changes_employer_day=None if job == "owner" else person.changes_employer_day,
        income_minor=int(person.income_minor * exp(0.2 * slack)) // 100 * 100,
        savings_minor=int(person.savings_minor * exp(0.6 * slack + 0.3 * _normal(dice))),
        buffer_minor=int(person.buffer_minor * exp(0.7 * slack + 0.3 * _normal(dice))),
        stops_paying_day=None,
        resumes_paying_day=None,
        relapse_day=None,
        struggles_until_day=person.cause_day - 1,
    )
    person = _befall(person, slack, settings, horizon, dice)
    traits = Traits(
        slack=slack,
        employer=person.number * 31 % _EMPLOYERS,
        slip_chance=_logistic(-2.9 - 0.8 * slack + 0.5 * _normal(dice)),
        appetite=exp(-0.5 * slack + 0.4 * _normal(dice) - 0.2),
        revolves=dice.chance(_logistic(-0.4 - 1.0 * slack)),
        fills=exp(-0.35 * slack + 0.2 * _normal(dice)),
        trusted=exp(0.25 * slack + 0.2 * _normal(dice)),
        outage=_draw_outage(horizon, dice),
    )
    person = replace(person, traits=traits)
    return _stop(person, settings, horizon, dice)


def hazard_a_month(person: Person, day: int, settings: SimulationSettings, horizon: Horizon) -> float:
    """How likely the month around `day` is to be the one in which they cease to pay."""
    assert person.traits is not None, "only borrowers of the second version have a hazard"
    base, slack = BASE_A_MONTH, person.traits.slack
    if _is_shifted(day, settings, horizon):
        base, slack = _CRISIS * base, -_FALLS * slack
    hazard = base * exp(-slack) * _effect(person, day, settings, horizon)
    if horizon.festival_near(day, before=15, after=15) is not None:
        hazard *= _SEASON
    return min(hazard, _HAZARD_MAX)


def slip_chance(person: Person, day: int) -> float:
    """How likely an instalment is to be late by days, for those who pay at all: thrice as likely in odds while a cause lasts."""
    assert person.traits is not None, "only borrowers of the second version slip"
    chance = person.traits.slip_chance
    return _logistic(log(chance / (1 - chance)) + 1.2) if is_strained(person, day) else chance


def is_strained(person: Person, day: int) -> bool:
    """Whether a cause weighs on a day."""
    until_day = person.recovers_day or person.cause_day + _LASTS_DAYS
    return person.cause not in ("none", "forgetful", "linked") and person.cause_day <= day < until_day


class _Ends(Struct, frozen=True):
    stops_day: int | None
    resumes_day: int | None


def _befall(
    person: Person, slack: float, settings: SimulationSettings, horizon: Horizon, dice: Dice
) -> Person:
    """Causes find those without slack more often; an employer's layoff finds many at once."""
    is_spared = person.cause != "none" and not dice.chance(min(1.0, exp(-0.6 * slack) * 0.75))
    person = replace(person, cause="none", cause_day=horizon.end_day + 1) if is_spared else person
    employer = Dice(settings.seed, person.number * 31 % _EMPLOYERS, "employer")
    lays_off = employer.chance(_EMPLOYER_LAYS_OFF)
    layoff_day = employer.whole(min(horizon.start_day + 95, horizon.end_day), horizon.end_day)
    hit = dice.chance(_LAID_OFF)
    if person.job != "monthly" or person.cause != "none" or not (lays_off and hit):
        return person
    recovers = dice.chance(0.6)
    return replace(
        person,
        cause="job_loss",
        cause_day=layoff_day,
        recovers_day=layoff_day + dice.whole(60, 200) if recovers else None,
        changes_employer_day=None,
    )


def _stop(person: Person, settings: SimulationSettings, horizon: Horizon, dice: Dice) -> Person:
    """Roll for each month whether it is the last one paid."""
    ends = _Ends(None, None)
    if person.cause == "absconding":
        ends = _Ends(person.cause_day, None)
    for first, after in horizon.months[: horizon.months_observed]:
        rolled, day = dice.roll(), first + int(dice.roll() * (after - first))
        resumes, days = dice.chance(RESUME), dice.whole(40, 80)
        if ends.stops_day is None and rolled < hazard_a_month(person, day, settings, horizon):
            ends = _Ends(day, day + days if resumes else None)
    return replace(person, stops_paying_day=ends.stops_day, resumes_paying_day=ends.resumes_day)


def _effect(person: Person, day: int, settings: SimulationSettings, horizon: Horizon) -> float:
    if not is_strained(person, day):
        return 1.0
    effects = _SHIFTED if _is_shifted(day, settings, horizon) else _EFFECT
    return effects.get(person.cause, 1.0)


def _is_shifted(day: int, settings: SimulationSettings, horizon: Horizon) -> bool:
    month = settings.shift_month
    return month is not None and day >= horizon.months[month][0]


def _draw_outage(horizon: Horizon, dice: Dice) -> range | None:
    """Days on which the bank's feed of the account was down and nothing was sent later, for a few."""
    is_down = dice.chance(0.03)
    first = dice.whole(horizon.start_day, horizon.end_day)
    return range(first, first + dice.whole(15, 60)) if is_down else None


def _normal(dice: Dice) -> float:
    """Twelve dice: mean 0, spread 1, within six."""
    return sum(dice.roll() for _ in range(12)) - 6


def _logistic(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))
