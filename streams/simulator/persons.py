"""Who a borrower is, and what hidden cause will befall them: drawn once, before anything happens."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from streams.simulator.dice import Dice
from streams.simulator.horizon import Horizon
from streams.simulator.settings import SimulationSettings

Job = Literal["monthly", "weekly", "gig", "pension", "owner"]
Cause = Literal[
    "none",
    "job_loss",
    "income_cut",
    "stacking",
    "forgetful",
    "silent",
    "squeezed",
    "rolling",
    "overreaching",
    "misusing",
    "absconding",
    "linked",
]
Habit = Literal["early", "on the day", "late"]

_PAY_DAYS: Final = (5, 8, 10, 10, 15, 15, 15, 20, 25, 28, 31)
"""Pay days of a month; 31 is its last day."""
_CAUSE_AFTER_DAYS: Final = 125
"""No cause before: an income is known after 90 days, and a month more makes it fair."""
_CAUSE_BEFORE_END_DAYS: Final = 30
_STOP_PAYING: Final[dict[Cause, tuple[float, int, int]]] = {
    "job_loss": (0.55, 20, 80),
    "income_cut": (0.30, 30, 90),
    "stacking": (0.60, 30, 100),
    "silent": (1.0, 0, 0),
    "squeezed": (0.15, 60, 150),
    "rolling": (0.50, 120, 220),
    "overreaching": (0.40, 120, 260),
    "misusing": (0.35, 60, 150),
    "absconding": (1.0, 0, 0),
}
"""Probability that the cause ends in no more payments, and after how many days (least, most)."""
_RESUME: Final = 0.15
"""Of those who stop paying: find the money after all, before 90 days past due."""
_STRUGGLE: Final = 0.6
"""Of those who keep paying: late for some months."""
_RELAPSE: Final = 0.4
"""Of those who resume or struggle: in trouble once more within the year. An assumption."""
_BUFFER: Final = (0.15, 2.1)
"""Kept on the account, in monthly incomes. Six weeks' income is what a family needs, and about two thirds have less: JPMorgan
Chase Institute, "Weathering Volatility 2.0" (2019). Here 63 % have less."""
_MORTGAGE: Final = 0.35
"""Of those who pay no rent: repay a mortgage to a bank. An assumption, as is the amount."""
_MORTGAGE_PART: Final = (0.10, 0.22)


class Traits(Struct, frozen=True, kw_only=True):
    """What a borrower of the second version is like (`hazards`)."""

    slack: float
    """How much goes wrong before they cease to pay; spread 1 around 0. Nobody sees it."""
    employer: int
    """Employers have many people, and may lay off many at once."""
    slip_chance: float
    """Of an instalment, while nothing weighs on them: paid, but days late."""
    appetite: float
    """How often other lenders are asked, by what is usual."""
    revolves: bool
    """Pays a card's minimum and a bit instead of the balance."""
    fills: float
    """How much of a card's limit is used, by what is usual."""
    trusted: float
    """How much was lent, by what is usual."""
    outage: range | None
    """Days on which the feed of the account was down."""


class Person(Struct, frozen=True, kw_only=True):
    """A borrower; amounts are a month, days are day numbers."""

    number: int
    borrower_id: str
    job: Job
    income_minor: int
    second_income_minor: int
    """From a second employer; 0 for most."""
    pay_day: int
    """Day of the month, or (paid by the week) weekday from 0."""
    pays_before_weekend: bool
    bonus_months: int
    """Extra monthly pays with the last pay before the Spring Festival."""
    changes_employer_day: int | None
    savings_minor: int
    rents: bool
    habit: Habit
    cause: Cause
    cause_day: int
    """When the cause befalls; beyond the end where there is none."""
    recovers_day: int | None
    """When income returns, for the causes that take it."""
    income_factor: float
    """Of the old income: what is left by an income cut."""
    stops_paying_day: int | None
    resumes_paying_day: int | None
    struggles_until_day: int
    """Until then instalments are often late; before `cause_day` where it does not come to that."""
    relapse_day: int | None
    """When those who paid again miss once more."""
    buffer_minor: int
    """What the account is meant to hold: what is above goes to savings that the lender does not see."""
    mortgage_minor: int
    """Due each month to a bank; 0 for most."""
    traits: Traits | None = None
    """Of the second version; None in the first."""

    def is_hard_on(self, day: int) -> bool:
        """Whether a cause has taken income on a day."""
        recovered = self.recovers_day is not None and day >= self.recovers_day
        return self.cause in ("job_loss", "income_cut") and day >= self.cause_day and not recovered


def draw_person(number: int, settings: SimulationSettings, horizon: Horizon, dice: Dice) -> Person:
    """Draw borrower `number` (from 1)."""
    job = _draw_job(dice)
    # Median 9,000 yuan a month with a long right tail; pensions are smaller.
    income = 9_000 * 2.2 ** (dice.roll() + dice.roll() + dice.roll() - 1.5) * (0.5 if job == "pension" else 1)
    income_minor = int(income) * 100
    cause = _draw_cause(job, settings, dice)
    second = cause != "income_cut" and job == "monthly" and dice.chance(0.05)
    cause_day = _draw_cause_day(cause, horizon, dice)
    stops, resumes, struggles_until = _draw_consequences(cause, cause_day, dice)
    more = Dice(settings.seed, number, "means")
    person = Person(
        number=number,
        borrower_id=f"s{number:08d}",
        job=job,
        income_minor=income_minor,
        second_income_minor=int(income_minor * dice.between(0.25, 0.5)) if second else 0,
        pay_day=dice.whole(0, 6)
        if job in ("weekly", "gig")
        else 15
        if job == "pension"
        else dice.pick(_PAY_DAYS),
        pays_before_weekend=dice.chance(0.7),
        bonus_months=dice.pick((0, 0, 1, 1, 2, 3)) if job == "monthly" else 0,
        changes_employer_day=_draw_employer_change(job, cause, horizon, dice),
        savings_minor=int(income_minor * dice.between(0.3, 2.5)),
        rents=dice.chance(0.55),
        habit=dice.pick(("early",) * 11 + ("on the day",) * 8 + ("late",)),
        cause=cause,
        cause_day=cause_day,
        recovers_day=_draw_recovery(cause, cause_day, dice),
        income_factor=dice.between(0.3, 0.62),
        stops_paying_day=stops,
        resumes_paying_day=resumes,
        struggles_until_day=struggles_until,
        relapse_day=_draw_relapse(cause_day, resumes, struggles_until, more),
        buffer_minor=int(income_minor * more.between(*_BUFFER)),
        mortgage_minor=0,
    )
    has_mortgage = more.chance(_MORTGAGE) and not person.rents
    mortgage_minor = int(income_minor * more.between(*_MORTGAGE_PART)) if has_mortgage else 0
    return replace(person, mortgage_minor=mortgage_minor)


def _draw_job(dice: Dice) -> Job:
    roll = dice.roll()
    if roll < 0.75:
        return "monthly"
    return "weekly" if roll < 0.83 else "gig" if roll < 0.90 else "pension"


def _draw_cause(job: Job, settings: SimulationSettings, dice: Dice) -> Cause:
    roll = dice.roll()
    causes: tuple[tuple[Cause, float], ...] = (
        ("job_loss", settings.job_loss_share),
        ("income_cut", settings.income_cut_share),
        ("stacking", settings.stacking_share),
        ("forgetful", settings.forgetful_share),
        ("silent", settings.silent_share),
        ("squeezed", settings.squeezed_share),
        ("rolling", settings.rolling_share),
        ("overreaching", settings.overreaching_share),
        ("misusing", settings.misusing_share),
        ("absconding", settings.absconding_share),
    )
    for cause, share in causes:
        if roll < share:
            # A pension is neither lost nor cut: what would have done it makes the pensioner forgetful.
            return "forgetful" if job == "pension" and cause in ("job_loss", "income_cut") else cause
        roll -= share
    return "none"


def _draw_cause_day(cause: Cause, horizon: Horizon, dice: Dice) -> int:
    length = horizon.end_day - horizon.start_day
    earliest = horizon.start_day + min(_CAUSE_AFTER_DAYS, length // 2)
    latest = max(earliest, horizon.end_day - _CAUSE_BEFORE_END_DAYS)
    # The earlier of two dice: a default takes half a year to show, and should mostly show within the observed time.
    day = min(dice.whole(earliest, latest), dice.whole(earliest, latest))
    return horizon.end_day + 1 if cause == "none" else day


def _draw_consequences(cause: Cause, cause_day: int, dice: Dice) -> tuple[int | None, int | None, int]:
    """When the borrower stops paying, resumes, and until when instalments are often late."""
    probability, least, most = _STOP_PAYING.get(cause, (0.0, 0, 0))
    stops_day = cause_day + dice.whole(least, most)
    if dice.chance(probability):
        resumes_day = stops_day + dice.whole(40, 80) if dice.chance(_RESUME) else None
        return stops_day, resumes_day, stops_day
    if probability > 0 and dice.chance(_STRUGGLE):
        return None, None, cause_day + dice.whole(60, 150)
    return None, None, cause_day - 1


def _draw_relapse(
    cause_day: int, resumes_day: int | None, struggles_until_day: int, dice: Dice
) -> int | None:
    """When one who paid again misses once more: two to seven months later."""
    relapses, days = dice.chance(_RELAPSE), dice.whole(60, 210)
    if resumes_day is None and struggles_until_day < cause_day:
        return None
    return (resumes_day or struggles_until_day) + days if relapses else None


def _draw_recovery(cause: Cause, cause_day: int, dice: Dice) -> int | None:
    """A new job within 60 to 200 days for most who lost one; what was cut comes back for few."""
    recovers = dice.chance(0.6 if cause == "job_loss" else 0.3)
    day = cause_day + dice.whole(60, 200)
    return day if recovers and cause in ("job_loss", "income_cut") else None


def _draw_employer_change(job: Job, cause: Cause, horizon: Horizon, dice: Dice) -> int | None:
    """A change without loss, for a few with a steady job: another payer, another pay day."""
    changes = dice.chance(0.05)
    day = dice.whole(horizon.start_day, horizon.end_day)
    return day if changes and job == "monthly" and cause not in ("job_loss", "income_cut") else None
