"""Made-up borrowers by how they are paid, seeded; and a small driver that does with `income_drop` what the engine does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from random import Random
from typing import Final, NamedTuple

from models.alerts import Finding, Severity
from models.calendars import HOUR_MS, date_of_day, day_of_date
from models.events import CounterpartyKind, Direction, FlowCategory, FundFlow
from models.holidays import SPRING_FESTIVAL_DAYS
from models.income import IncomeEvidence, record_flow
from models.rules import Rules
from models.signals.income_drop import judge, next_deadline_ms, resolution

START: Final = day_of_date(date(2022, 3, 1))
DAYS: Final = 730


class Pay(NamedTuple):
    """Money that comes in on a day; `payer` is a counterparty id."""

    day: int
    amount: int
    payer: str = "employer-1"
    category: FlowCategory | None = "salary"
    kind: CounterpartyKind | None = "employer"


class Borrower(NamedTuple):
    """What a borrower receives, and when income was lost, if ever: the first expected pay that is missing or low."""

    pays: list[Pay]
    lost_day: int | None = None


class Episode(NamedTuple):
    """An alert: opened, worst severity, closed."""

    opened_ms: int
    worst: Severity
    actionable: bool
    closed_ms: int | None
    resolution: str | None


# ---- the driver ------------------------------------------------------------------------------------------------------


def flow(
    at_ms: int,
    amount: int,
    *,
    category: FlowCategory | None = "salary",
    payer: str | None = "employer-1",
    kind: CounterpartyKind | None = "employer",
    account: str = "acct-1",
    currency: str = "CNY",
    direction: Direction = "in",
) -> FundFlow:
    """Make a flow."""
    return FundFlow(
        event_id=f"{at_ms}-{payer}-{amount}-{account}-{direction}",
        borrower_id="b",
        event_time_ms=at_ms,
        account_id=account,
        direction=direction,
        amount_minor=amount,
        currency=currency,
        category=category,
        counterparty_id=payer,
        counterparty_kind=kind,
    )


def flows_of(borrower: Borrower, dice: Random, rules: Rules) -> list[FundFlow]:
    """The pays in the morning or afternoon, and every few days some spending."""
    midnight = rules.calendar.midnight_ms
    flows = [
        flow(
            midnight(pay.day) + dice.choice((9, 16)) * HOUR_MS,
            pay.amount,
            payer=pay.payer,
            category=pay.category,
            kind=pay.kind,
        )
        for pay in borrower.pays
    ]
    day = START
    while (day := day + dice.randint(1, 9)) < START + DAYS:
        at_ms = midnight(day) + 20 * HOUR_MS
        flows.append(flow(at_ms, 10_000, category="shopping", payer="m", kind="merchant", direction="out"))
    return sorted(flows, key=lambda event: event.event_time_ms)


def drive(flows: Iterable[FundFlow], until_ms: int, rules: Rules) -> list[Episode]:
    """Judge at events and deadlines, in order of time; return the alerts."""
    evidence = IncomeEvidence()
    episodes: list[Episode] = []
    open_: Episode | None = None
    severity: Severity | None = None
    deadline: int | None = None

    def step(at_ms: int) -> None:
        nonlocal open_, severity, deadline
        finding = judge(evidence, at_ms, severity, open_.opened_ms if open_ else None, rules)
        if finding is not None and open_ is None:
            open_ = Episode(at_ms, finding.severity, finding.actionable, None, None)
        elif finding is None and open_ is not None:
            why = resolution(evidence, open_.opened_ms, at_ms, rules)
            episodes.append(open_._replace(closed_ms=at_ms, resolution=why))
            open_ = None
        elif finding is not None and open_ is not None:
            open_ = open_._replace(
                worst=max(open_.worst, finding.severity), actionable=open_.actionable or finding.actionable
            )
        severity = finding.severity if finding else None
        deadline = next_deadline_ms(evidence, at_ms, severity, open_.opened_ms if open_ else None, rules)

    for event in flows:
        while deadline is not None and deadline < event.event_time_ms:
            step(deadline)
        if record_flow(evidence, event, rules):
            step(event.event_time_ms)
    while deadline is not None and deadline <= until_ms:
        step(deadline)
    return episodes if open_ is None else [*episodes, open_]


def find(evidence: IncomeEvidence, at_ms: int, rules: Rules) -> Finding | None:
    """What is found where no alert is open."""
    return judge(evidence, at_ms, None, None, rules)


# ---- calendars -------------------------------------------------------------------------------------------------------


def month_days(pay_day: int, count: int = 24) -> Iterator[int]:
    """The pay day of each month from `START` on; 31 is the month's last day."""
    first = date_of_day(START)
    for number in range(count):
        month = first.month - 1 + number
        year, month = first.year + month // 12, month % 12 + 1
        after = date(year + month // 12, month % 12 + 1, 1)
        last = day_of_date(after) - 1
        yield min(day_of_date(date(year, month, 1)) + pay_day - 1, last)


def before_weekend(day: int) -> int:
    """The Friday before a Saturday or Sunday."""
    return day - max(date_of_day(day).weekday() - 4, 0)


def festival_near(day: int, before: int, after: int) -> int | None:
    """The festival that lies up to `before` days after or `after` days before `day`."""
    for festival in SPRING_FESTIVAL_DAYS:
        if -after <= festival - day <= before:
            return festival
    return None


# ---- stable ----------------------------------------------------------------------------------------------------------


def monthly(dice: Random, jitter: int = 3, spread: float = 0.03) -> list[Pay]:
    """One pay a month, its day moved by the jitter, its amount varying a little."""
    level, pay_day = dice.randint(400_000, 2_000_000), dice.randint(1, 31)
    return [
        Pay(day + dice.randint(-jitter, jitter), round(level * dice.uniform(1 - spread, 1 + spread)))
        for day in month_days(pay_day)
    ]


def stable_monthly(dice: Random) -> Borrower:
    """Pay day plus or minus three days."""
    return Borrower(monthly(dice))


def stable_month_end(dice: Random) -> Borrower:
    """Pay on the last day of the month, on Friday where that is a weekend."""
    level = dice.randint(400_000, 2_000_000)
    return Borrower([Pay(before_weekend(day), level) for day in month_days(31)])


def stable_bonus(dice: Random) -> Borrower:
    """Once or twice a year three times the pay, with the pay or days apart."""
    pays = monthly(dice)
    for number in dice.sample(range(3, 24), 3):
        pay = pays[number]
        if dice.random() < 0.5:
            pays[number] = pay._replace(amount=pay.amount * 3)
        else:
            pays.append(pay._replace(day=pay.day + dice.randint(3, 27), amount=pay.amount * 2))
    return Borrower(pays)


def stable_thirteenth(dice: Random) -> Borrower:
    """A thirteenth salary every December or January."""
    pays = monthly(dice)
    for pay in list(pays):
        if date_of_day(pay.day).month == 12:
            pays.append(pay._replace(day=pay.day + dice.randint(0, 28)))
    return Borrower(pays)


def stable_quarterly_bonus(dice: Random) -> Borrower:
    """Every third month half a pay to two pays on top, always on the same day of the month."""
    pays = monthly(dice)
    share, apart = dice.uniform(0.3, 2.0), dice.choice([0, 0, dice.randint(1, 28)])
    for number, pay in enumerate(list(pays)):
        if number % 3 == 2:
            pays.append(pay._replace(day=pay.day + apart, amount=round(pay.amount * share)))
    return Borrower(pays)


def stable_weekly(dice: Random) -> Borrower:
    """Pay every week, its day moving a little; a week off now and then, and over the Spring Festival."""
    level = dice.randint(100_000, 400_000)
    off = {START + 7 * week for week in range(dice.randint(8, 20), 104, dice.randint(15, 40))}
    return Borrower(
        [
            Pay(day + dice.randint(-1, 1), round(level * dice.uniform(0.85, 1.15)))
            for day in range(START, START + DAYS, 7)
            if day not in off and festival_near(day, 2, 9) is None
        ]
    )


def stable_biweekly(dice: Random) -> Borrower:
    """Pay every second week."""
    level = dice.randint(200_000, 800_000)
    return Borrower(
        [
            Pay(day + dice.randint(-2, 2), round(level * dice.uniform(0.93, 1.07)))
            for day in range(START, START + DAYS, 14)
        ]
    )


def gig_weeks(dice: Random, factor: Callable[[int], float], per_week: tuple[int, int] = (2, 8)) -> list[Pay]:
    """Many small payments; the week's total varies by 40 %, a week or two a year are holidays."""
    level = dice.randint(80_000, 300_000)
    holidays = set(range(dice.randint(8, 20), 104, dice.randint(20, 40)))
    pays: list[Pay] = []
    for week in range(104):
        monday = START + 7 * week
        on_holiday = week in holidays and festival_near(monday, 28, 28) is None
        if on_holiday or festival_near(monday, 5, 9) is not None:
            continue
        total = level * dice.uniform(0.6, 1.4)
        count = dice.randint(*per_week)
        shares = [dice.random() + 0.2 for _ in range(count)]
        for share in shares:
            day = monday + dice.randint(0, 6)
            amount = round(total * share / sum(shares) * factor(day))
            if amount > 0:
                pays.append(Pay(day, amount, "platform-1", "business_income", "other"))
    return sorted(pays)


def stable_gig(dice: Random) -> Borrower:
    """Gig work, many payments a week."""
    return Borrower(gig_weeks(dice, lambda _: 1.0))


def stable_gig_weekly(dice: Random) -> Borrower:
    """Gig work, one payment a week that varies by 40 %."""
    return Borrower(gig_weeks(dice, lambda _: 1.0, (1, 1)))


def stable_two_employers(dice: Random) -> Borrower:
    """Two monthly pays on different days."""
    second = [pay._replace(payer="employer-2") for pay in monthly(dice)]
    return Borrower([*monthly(dice), *second])


def stable_change(dice: Random) -> Borrower:
    """A change of employer: 15 to 45 days between the last old and the first new pay, about the same level."""
    old = monthly(dice, jitter=2)
    last = dice.randint(5, 18)
    gap, share = dice.randint(15, 45), dice.uniform(0.85, 1.2)
    first_new = old[last].day + gap
    new = [
        Pay(
            first_new + round(30.44 * number) + (dice.randint(-2, 2) if number else 0),
            round(old[0].amount * share),
            "e-2",
        )
        for number in range(24)
    ]
    return Borrower([*old[: last + 1], *new])


def stable_festival(dice: Random) -> Borrower:
    """The pay nearest to a Spring Festival comes up to two weeks early or late, or is small."""
    pays = monthly(dice, jitter=2)
    for festival in (festival for festival in SPRING_FESTIVAL_DAYS if START < festival < START + DAYS):
        number = min(range(len(pays)), key=lambda number: abs(pays[number].day - festival))
        pay, roll = pays[number], dice.random()
        if roll < 0.4:
            pays[number] = pay._replace(day=pay.day - dice.randint(1, 14))
        elif roll < 0.8:
            pays[number] = pay._replace(day=pay.day + dice.randint(1, 14))
        else:
            pays[number] = pay._replace(amount=round(pay.amount * dice.uniform(0.3, 0.8)))
    return Borrower(pays)


def stable_raises(dice: Random) -> Borrower:
    """Raises and cuts of less than 25 % now and then."""
    pays, factor = [], 1.0
    for number, pay in enumerate(monthly(dice, spread=0.0)):
        if number and number % 7 == 0:
            factor = dice.uniform(0.76, 1.3) if factor == 1.0 else 1.0
        pays.append(pay._replace(amount=round(pay.amount * max(factor, 0.76))))
    return Borrower([pay for pay in pays if pay.amount])


def stable_side_income(dice: Random) -> Borrower:
    """A monthly pay and a side income of up to a quarter of the total that is missing now and then."""
    pays = monthly(dice)
    side = [
        Pay(day, round(pays[0].amount * dice.uniform(0.1, 0.3)), "side", "business_income", "other")
        for day in month_days(dice.randint(1, 28))
        if dice.random() < 0.6
    ]
    return Borrower([*pays, *side])


def stable_pension(dice: Random) -> Borrower:
    """A pension on the 15th, before the weekend."""
    level = dice.randint(150_000, 600_000)
    return Borrower(
        [Pay(before_weekend(day), level, "fund", "pension", "government") for day in month_days(15)]
    )


def stable_undeclared(dice: Random) -> Borrower:
    """A monthly pay without a category."""
    return Borrower(
        [pay._replace(category=None, kind=dice.choice([None, "employer"])) for pay in monthly(dice)]
    )


STABLE: Final[dict[str, Callable[[Random], Borrower]]] = {
    maker.__name__.removeprefix("stable_"): maker
    for maker in (
        stable_monthly,
        stable_month_end,
        stable_bonus,
        stable_thirteenth,
        stable_quarterly_bonus,
        stable_weekly,
        stable_biweekly,
        stable_gig,
        stable_gig_weekly,
        stable_two_employers,
        stable_change,
        stable_festival,
        stable_raises,
        stable_side_income,
        stable_pension,
        stable_undeclared,
    )
}


# ---- losing ----------------------------------------------------------------------------------------------------------


def lose_job(dice: Random) -> Borrower:
    """Monthly pay that stops."""
    pays = monthly(dice)
    last = dice.randint(5, 18)
    return Borrower(pays[:last], pays[last].day)


def cut(dice: Random, factor: float) -> Borrower:
    """Monthly pay that falls to a part of what it was."""
    pays = monthly(dice)
    first = dice.randint(5, 18)
    low = [pay._replace(amount=round(pay.amount * factor)) for pay in pays[first:]]
    return Borrower([*pays[:first], *low], low[0].day)


def lose_bigger_employer(dice: Random) -> Borrower:
    """The bigger of two employers stops paying."""
    pays, second = monthly(dice), monthly(dice)
    smaller = pays[0].amount * dice.uniform(0.3, 0.7)
    last = dice.randint(5, 18)
    others = [pay._replace(amount=round(smaller), payer="employer-2") for pay in second]
    return Borrower([*pays[:last], *others], pays[last].day)


def lose_gig(dice: Random) -> Borrower:
    """Gig income falls to a quarter or less within a week."""
    day, left = START + dice.randint(150, 500), dice.uniform(0.0, 0.25)
    return Borrower(gig_weeks(dice, lambda at: left if at >= day else 1.0), day)


def cut_gig(dice: Random) -> Borrower:
    """Gig income falls to about half."""
    day, left = START + dice.randint(150, 500), dice.uniform(0.4, 0.55)
    return Borrower(gig_weeks(dice, lambda at: left if at >= day else 1.0, (1, 1)), day)


def lose_weekly(dice: Random) -> Borrower:
    """Weekly pay that stops."""
    pays = stable_weekly(dice).pays
    last = dice.randint(25, 80)
    return Borrower(pays[:last], pays[last - 1].day + 7)


def decline(dice: Random) -> Borrower:
    """Monthly pay that falls to less than half over four to eight months; lost when below 70 %."""
    pays = monthly(dice)
    first, months, end = dice.randint(5, 10), dice.randint(4, 8), dice.uniform(0.25, 0.45)
    lost_day = None
    for number in range(first, 24):
        factor = max(1 - (1 - end) * (number - first + 1) / months, end)
        pays[number] = pays[number]._replace(amount=round(pays[number].amount * factor))
        if lost_day is None and factor <= 0.7:
            lost_day = pays[number].day
    return Borrower(pays, lost_day)


LOSING: Final[dict[str, Callable[[Random], Borrower]]] = {
    "job_loss": lose_job,
    "cut_to_60": lambda dice: cut(dice, 0.6),
    "cut_to_45": lambda dice: cut(dice, 0.45),
    "cut_to_15": lambda dice: cut(dice, 0.15),
    "bigger_employer": lose_bigger_employer,
    "gig_collapse": lose_gig,
    "gig_halved": cut_gig,
    "weekly_stops": lose_weekly,
    "slow_decline": decline,
}
