"""Pay as of an instant: what had come and counted by then, and which of it is income.

Pay counts at three instants (`models.income` keeps just enough): the first flow of a week at its own, the rest of its day
from the midnight that ends it, and what follows in the same week from the week's end. So an answer about the past
`AS_OF_DAYS` is the one that would have been given then.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from models.calendars import Calendar
from models.income import (
    EMPLOYER,
    FIRST_NUMBERS,
    LOOKBACK_DAYS,
    IncomeEvidence,
    Source,
    declared_payers,
    has_regular_run,
    monday_of,
    week_of,
)
from models.limits import INT64_MAX
from models.short_ids import short_id


class Pays(NamedTuple):
    """A source as of an instant: one entry a week with pay, ascending; never empty."""

    source: Source
    days: list[int]
    amounts: list[int]


def pays_as_of(evidence: IncomeEvidence, at_ms: int, calendar: Calendar) -> list[Pays]:
    """Every source that paid by `at_ms`, income or not, with what counted by then."""
    return pays_on(evidence, calendar.day_of(at_ms), at_ms, calendar)


def pays_on(evidence: IncomeEvidence, today: int, at_ms: int, calendar: Calendar) -> list[Pays]:
    """The same, where the local day of the instant is known already."""
    monday = today - (today + 3) % 7
    seen: list[Pays] = []
    for source in evidence.sources:
        days = source.days
        if days[-1] < monday:
            seen.append(Pays(source, days, source.amounts))
            continue
        pays = _pays_amid_week(source, monday, today, at_ms - calendar.midnight_ms(today))
        if pays is not None:
            seen.append(pays)
    return seen


def _pays_amid_week(source: Source, monday: int, today: int, clock_ms: int) -> Pays | None:
    """What counts of a source of which some pay is of the week of `today`, or came later; None where nothing does."""
    days, amounts = source.days, source.amounts
    if is_one_flow(source):
        last_day = days[-1]
        if last_day < today or (last_day == today and source.firsts[-3] <= clock_ms):
            return Pays(source, days, amounts)
    count = bisect_left(days, monday)
    if days[count] < monday + 7:
        first_day, amount_minor = _counted_this_week(source, today, clock_ms)
        if amount_minor:
            if count + 1 == len(days) and days[count] == first_day and amounts[count] == amount_minor:
                return Pays(source, days, amounts)
            return Pays(source, [*days[:count], first_day], [*amounts[:count], amount_minor])
    return Pays(source, days[:count], amounts[:count]) if count else None


def is_one_flow(source: Source) -> bool:
    """Whether the newest week with pay brought one flow only, as is usual: it counts as a whole from its instant on."""
    firsts = source.firsts
    return bool(firsts) and firsts[-FIRST_NUMBERS] == source.days[-1] and firsts[-2] == source.amounts[-1]


def next_counting_day(evidence: IncomeEvidence, today: int) -> int | None:
    """The day at whose beginning something counts that came in the week of `today` and does not count yet."""
    next_monday = today + 7 - (today + 3) % 7
    next_day: int | None = None
    for source in evidence.sources:
        last_day = source.days[-1]
        if last_day < next_monday - 7 or (last_day <= today and is_one_flow(source)):
            continue
        first = _first_of_week(source, next_monday - 7)
        if first < 0:
            continue
        first_day, _, first_minor, rest_minor = source.firsts[first : first + FIRST_NUMBERS]
        if first_day == today and rest_minor:
            return today + 1
        index = bisect_left(source.days, next_monday - 7)
        if source.amounts[index] != min(first_minor + rest_minor, INT64_MAX):
            next_day = next_monday
    return next_day


def _counted_this_week(source: Source, today: int, clock_ms: int) -> tuple[int, int]:
    """The first pay day of the week of `today`, and what of it counts by now."""
    index = _first_of_week(source, monday_of(week_of(today)))
    if index < 0:
        return 0, 0
    first_day, first_clock_ms, first_minor, rest_minor = source.firsts[index : index + FIRST_NUMBERS]
    if first_day < today:
        return first_day, min(first_minor + rest_minor, INT64_MAX)
    return first_day, first_minor if first_day == today and first_clock_ms <= clock_ms else 0


def _first_of_week(source: Source, monday: int) -> int:
    """Where the first pay day of a week is kept, -1 where it is not."""
    firsts = source.firsts
    for index in range(len(firsts) - FIRST_NUMBERS, -1, -FIRST_NUMBERS):
        if firsts[index] < monday:
            return -1
        if firsts[index] < monday + 7:
            return index
    return -1


def recognised(seen: list[Pays], after_day: int) -> list[Pays]:
    """Those of `seen` that are income, cut to the days after `after_day`."""
    if len(seen) == 1 and seen[0].source.kind <= EMPLOYER and seen[0].days[0] > after_day:
        return seen
    cut: list[Pays] = []
    for source, days, amounts in seen:
        index = bisect_right(days, after_day) if days[0] <= after_day else 0
        if index < len(days):
            cut.append(Pays(source, days[index:], amounts[index:]) if index else Pays(source, days, amounts))
    if len(cut) > 1:
        cut = _by_payer(cut)
    if max([pays.source.kind for pays in cut], default=0) <= EMPLOYER:
        return cut
    payers = declared_payers(pays.source for pays in cut)
    return [
        pays
        for pays in cut
        if pays.source.kind <= EMPLOYER
        or (pays.source.counterparty_id, pays.source.currency) in payers
        or has_regular_run(pays.days, pays.amounts)
    ]


def _by_payer(cut: list[Pays]) -> list[Pays]:
    """One entry a payer and account: a bank may name the category of one pay and not of the next."""
    payers: dict[tuple[int, str, str], Pays] = {}
    unnamed: list[Pays] = []
    for pays in cut:
        source = pays.source
        if not source.counterparty_id:
            unnamed.append(pays)
            continue
        payer = (source.account, source.counterparty_id, source.currency)
        known = payers.get(payer)
        payers[payer] = pays if known is None else _merged(known, pays)
    return [*payers.values(), *unnamed]


def _merged(one: Pays, other: Pays) -> Pays:
    """The pays of both, one entry a week, under the kind that is surest to be income."""
    weeks: dict[int, tuple[int, int]] = {}
    for pays in (one, other):
        for day, amount_minor in zip(pays.days, pays.amounts, strict=True):
            known_day, known_minor = weeks.get(week_of(day), (day, 0))
            weeks[week_of(day)] = (max(day, known_day), known_minor + amount_minor)
    ordered = [weeks[week] for week in sorted(weeks)]
    source = min(one.source, other.source, key=lambda source: source.kind)
    return Pays(source, [day for day, _ in ordered], [amount_minor for _, amount_minor in ordered])


def pays_into(evidence: IncomeEvidence, account_id: str, before_day: int) -> list[Pays]:
    """Every source that paid into an account before a day, income or not, with what of it a judgement looks at."""
    account_id = short_id(account_id)
    pays: list[Pays] = []
    for source in evidence.sources:
        if source.account < 0 or evidence.accounts[source.account].account_id != account_id:
            continue
        count = bisect_left(source.days, before_day)
        if count:
            first = bisect_right(source.days, source.days[count - 1] - LOOKBACK_DAYS)
            pays.append(Pays(source, source.days[first:count], source.amounts[first:count]))
    return pays
