"""What recognised income brings a month, and which pay is awaited when: for the signals that compare it with debts."""

from __future__ import annotations

from typing import Final, NamedTuple

from models.income import FIRST_NUMBERS, IncomeEvidence, Source, monday_of, week_of
from models.income import LOOKBACK_DAYS as PAY_LOOKBACK_DAYS
from models.money import within_int64
from models.obligations import NO_DAY, month_later
from models.pays import Pays, is_one_flow, pays_as_of, recognised
from models.policy import Policy
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
_WEEK_DAYS: Final = 7
_SPANS_MAX: Final = 4
"""Answers kept of a borrower: of today, of tomorrow and of the end of the week, in the one currency nearly everybody earns in."""
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


class _Span(NamedTuple):
    """Income in a currency as it is from one day to before another: evidence known already changes nothing between."""

    policy: Policy
    currency: str
    from_day: int
    until_day: int
    income: MonthlyIncome | None


def monthly_income(evidence: IncomeEvidence, currency: str, day: int, rules: Rules) -> MonthlyIncome | None:
    """Income as of the midnight at which a local day begins; None where none is known.

    The level that stands (`models.rhythm`). Where no pay stands any more, that of the last pays counts until the last is
    `REMEMBERED_DAYS` old: that income was lost is for `income_drop` to tell, and no debt grew by it.
    """
    return income_from(evidence, currency, day, rules)[0]


def income_from(
    evidence: IncomeEvidence, currency: str, day: int, rules: Rules
) -> tuple[MonthlyIncome | None, int]:
    """Income as of a day, and the first later day at whose beginning it may be another, on what is known (`NO_DAY` if none).

    It is asked for with every pay and every due date, and stays the same for weeks: the last answers are kept beside the
    evidence until that changes, and never in the state.
    """
    spans: list[_Span] = vars(evidence).setdefault("monthly", [])
    for span in spans:
        if (
            span.from_day <= day < span.until_day
            and span.currency == currency
            and span.policy is rules.policy
        ):
            return span.income, span.until_day
    calendar, sources = rules.calendar, evidence.sources
    if (
        len(sources) == 1 and sources[0].days[-1] < day and is_one_flow(sources[0])
    ):  # as nearly always: all counts
        (source,) = sources
        income = _monthly_income([Pays(source, source.days, source.amounts)], currency, day, rules)
        until_day = NO_DAY
    else:
        seen = pays_as_of(evidence, calendar.midnight_ms(day) - 1, calendar)
        income = _monthly_income(seen, currency, day, rules) if seen else None
        until_day = NO_DAY if _is_all(evidence, seen) else pay_counts_day(evidence, day)
    if income is not None and income.until_day < until_day:
        until_day = income.until_day
    spans.append(_Span(rules.policy, currency, day, until_day, income))
    del spans[:-_SPANS_MAX]
    return income, until_day


def _is_all(evidence: IncomeEvidence, seen: list[Pays]) -> bool:
    """Whether all pay that has come counts: then each source is seen with its own lists."""
    if len(seen) < len(evidence.sources):
        return False
    for source, days, amounts in seen:
        if days is not source.days or amounts is not source.amounts:
            return False
    return True


def pay_counts_day(evidence: IncomeEvidence, day: int) -> int:
    """The first day after `day` at whose beginning pay counts that has come and does not count on `day`; `NO_DAY` if none."""
    monday = monday_of(week_of(day - 1))
    next_day = NO_DAY
    for source in evidence.sources:
        if is_one_flow(source) and source.days[-1] < day:
            continue  # it counts from the next day on, and all before it did by the end of its week
        index = len(source.days) - 1
        while index >= 0 and source.days[index] >= monday:
            for counting_day in _counting_days(source, index):
                if day < counting_day < next_day:
                    next_day = counting_day
            index -= 1
    return next_day


def _counting_days(source: Source, index: int) -> tuple[int, int, int]:
    """From when on what a week brought counts (`models.pays`), asked as of midnights.

    The first flow counts from the next day on, the rest of its day from the day after that; what came later in the week
    counts once the week, and one day of the next, are over.
    """
    last_day = source.days[index]
    monday = monday_of(week_of(last_day))
    week_day = monday + _WEEK_DAYS + 1
    for first in range(len(source.firsts) - FIRST_NUMBERS, -1, -FIRST_NUMBERS):
        first_day, _, first_minor, rest_minor = source.firsts[first : first + FIRST_NUMBERS]
        if monday <= first_day < monday + _WEEK_DAYS:
            is_all = first_day == last_day and first_minor + rest_minor == source.amounts[index]
            first_counts_day, rest_day = first_day + 1, first_day + 2
            return (
                first_counts_day,
                rest_day if rest_minor else first_counts_day,
                first_counts_day if is_all else week_day,
            )
        if first_day < monday:
            break
    return week_day, week_day, week_day


def _monthly_income(seen: list[Pays], currency: str, day: int, rules: Rules) -> MonthlyIncome | None:
    paid = _income_among(seen, currency)
    if not paid:
        return None
    first_day, last_pay_day = paid[0].days[0], paid[0].days[-1]
    for pays in paid[1:]:
        first_day, last_pay_day = min(first_day, pays.days[0]), max(last_pay_day, pays.days[-1])
    forgotten_day = last_pay_day + REMEMBERED_DAYS + 1
    if day >= forgotten_day:
        return None
    policy = rules.policy.signals.income_drop
    amount_minor = last_minor = 0
    until_day = forgotten_day
    for pays in paid:
        stream = stream_of(pays, policy)
        level, end_day = level_now(stream, day)
        last_minor += stream.levels[-1]
        if level:
            amount_minor += level
            until_day = min(until_day, end_day)
    is_standing = amount_minor > 0
    if not is_standing:
        amount_minor, until_day = last_minor, forgotten_day
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
    return _income_among(pays_as_of(evidence, rules.calendar.midnight_ms(day) - 1, rules.calendar), currency)


def _income_among(seen: list[Pays], currency: str) -> list[Pays]:
    if not seen:
        return []
    if len(seen) == 1 and seen[0].source.currency != currency:
        return []
    newest_day = max([pays.days[-1] for pays in seen])
    return [
        pays for pays in recognised(seen, newest_day - PAY_LOOKBACK_DAYS) if pays.source.currency == currency
    ]
