"""What recognised income brings a month, and which pay is awaited when: for the signals that compare it with debts."""

from __future__ import annotations

from typing import Final, NamedTuple

from models.income import LOOKBACK_DAYS as PAY_LOOKBACK_DAYS
from models.income import IncomeEvidence, Pays, monday_of, pays_as_of, recognised, week_of
from models.money import within_int64
from models.obligations import month_later
from models.rhythm import level_now, pace_of, stream_of
from models.rules import Rules

REMEMBERED_DAYS: Final = 120
"""Income whose last pay is older is not known any more: a quarterly payer's next one would have come."""
PAY_SLACK_DAYS: Final = 3
"""A pay so many days after its usual day is still on its way: weekends and bank days."""
_PAYS_MIN: Final = 3
"""Two gaps show a rhythm; with fewer pays nobody knows when the next one comes."""
PAY_EARLY_DAYS: Final = 2
"""A pay may come so many days before its usual day, when that is a weekend: in doubt it is awaited."""
_A_MONTH_DAYS: Final = range(28, 33)
"""Gaps of a payer who pays on the same day of each month."""


class MonthlyIncome(NamedTuple):
    """Recognised income in one currency, minor units a month."""

    amount_minor: int
    history_days: int
    """From the first to the last pay."""
    last_pay_day: int
    until_day: int
    """At its beginning the amount may change by time alone."""
    is_standing: bool
    """Whether pay of that level stands; else it is what is remembered, and any pay takes its place."""


class AwaitedPay(NamedTuple):
    """A pay that a payer's rhythm lets expect."""

    day: int
    amount_minor: int


class _LastIncome:
    """The income looked at last: a judgement is followed by the question for the next deadline, on the same evidence."""

    def __init__(self) -> None:
        self._asked: tuple[IncomeEvidence, int, str, int, Rules] | None = None
        self._income: MonthlyIncome | None = None

    def look(self, evidence: IncomeEvidence, currency: str, day: int, rules: Rules) -> MonthlyIncome | None:
        asked = self._asked
        if (
            asked is None
            or asked[0] is not evidence
            or asked[1:4] != (evidence.revision, currency, day)
            or asked[4] is not rules
        ):
            self._income = _monthly_income(evidence, currency, day, rules)
            self._asked = (evidence, evidence.revision, currency, day, rules)
        return self._income


_look: Final = _LastIncome().look


def monthly_income(evidence: IncomeEvidence, currency: str, day: int, rules: Rules) -> MonthlyIncome | None:
    """Income as of the midnight at which a local day begins; None where none is known.

    The level that stands (`models.rhythm`). Where no pay stands any more, that of the last pays counts until the last is
    `REMEMBERED_DAYS` old: that income was lost is for `income_drop` to tell, and no debt grew by it.
    """
    return _look(evidence, currency, day, rules)


def next_pay_counts_day(evidence: IncomeEvidence, today: int) -> int | None:
    """The first day after `today` from which on pay counts that has come and does not count yet.

    Of a week, the first pay day counts from the next day on, the rest once the week is over (`models.income`).
    """
    days: list[int] = []
    for source in evidence.sources:
        for pay_day in reversed(source.days):
            if pay_day < today - 7:
                break
            days += (pay_day + 1, monday_of(week_of(pay_day) + 1) + 1)
        days += (first_day + 1 for first_day in source.firsts[::4])
    return min((day for day in days if day > today), default=None)


def _monthly_income(evidence: IncomeEvidence, currency: str, day: int, rules: Rules) -> MonthlyIncome | None:
    income = _income_of(evidence, currency, day, rules)
    if not income:
        return None
    last_pay_day = max(pays.days[-1] for pays in income)
    if day - last_pay_day > REMEMBERED_DAYS:
        return None
    streams = [stream_of(pays, rules.policy.signals.income_drop) for pays in income]
    standing = [level_now(stream, day) for stream in streams]
    amount_minor = sum(level for level, _ in standing)
    until_day = min((until for level, until in standing if level), default=0)
    is_standing = amount_minor > 0
    if not is_standing:
        amount_minor = sum(stream.levels[-1] for stream in streams)
        until_day = last_pay_day + REMEMBERED_DAYS + 1
    first_day = min(pays.days[0] for pays in income)
    history_days = last_pay_day - first_day
    return MonthlyIncome(within_int64(amount_minor), history_days, last_pay_day, until_day, is_standing)


def awaited_pays(
    evidence: IncomeEvidence, currency: str, day: int, last_day: int, rules: Rules
) -> list[AwaitedPay]:
    """The pays that should come from the local `day` to `last_day`, on what had come before `day`, in order of time.

    The day is `PAY_EARLY_DAYS` before that of the payer's rhythm; the amount is the middle of the last three. A pay that
    is `PAY_SLACK_DAYS` over its usual gap is overdue, and its source is counted on no more.
    """
    awaited: list[AwaitedPay] = []
    for pays in _income_of(evidence, currency, day, rules):
        if len(pays.days) < _PAYS_MIN:
            continue
        pace_days = pace_of(pays.days)
        last_pay_day = pays.days[-1]
        if last_pay_day + pace_days + PAY_SLACK_DAYS < day:
            continue
        due_day = month_later(last_pay_day) if pace_days in _A_MONTH_DAYS else last_pay_day + pace_days
        amount_minor = sorted(pays.amounts[-3:])[1]
        while due_day - PAY_EARLY_DAYS <= last_day:
            awaited.append(AwaitedPay(max(due_day - PAY_EARLY_DAYS, day), amount_minor))
            due_day += max(pace_days, 1)
    return sorted(awaited)


def _income_of(evidence: IncomeEvidence, currency: str, day: int, rules: Rules) -> list[Pays]:
    """Recognised pay in a currency, on what had come before `day`."""
    seen = pays_as_of(evidence, rules.calendar.midnight_ms(day) - 1, rules.calendar)
    if not seen:
        return []
    newest_day = max(pays.days[-1] for pays in seen)
    return [
        pays for pays in recognised(seen, newest_day - PAY_LOOKBACK_DAYS) if pays.source.currency == currency
    ]
