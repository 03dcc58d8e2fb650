"""The rhythm of one source of income: how much it brings a month, and how long it may stay away.

Every pay stands for a *level*: what the source brings a month, judged at that pay. Pay by the month: the pay and what came
within `_SPLIT_DAYS` before it (pay in parts, allowances). More frequent pay: the sum of the last few pays, scaled to a
month, of more pays where amounts vary. So pay-day jitter and months of 28 to 31 days move no level.

A pay *stands* until its **reach** has passed: the time to the next pay, and a slack for everything that makes pay late. A
source's level on a day is the best among the pays that stand. So small extra payments, an advance, pay in two parts or a
bonus never lower it; a lower pay does once the last full one has lost its standing, and no pay at all does at the same time.

Windows and paces were chosen on the made-up borrowers of `tests/support/incomes.py`, stable and losing, whose false alarms
and delays `tests/models/signals/test_income_drop_found_and_false.py` holds fast.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple

from models.holidays import spring_festival_within, spring_festivals_within
from models.income import BENEFIT, PENSION, Pays, gaps_of
from models.policy import IncomeDropPolicy

MONTH_DAYS: Final = 31
"""The longest month: the time to the next pay of a monthly payer."""
_MONTH_HUNDREDTHS: Final = 3044
"""Mean days a month, times 100."""
_WEEKLY_DAYS_MAX: Final = 10
"""Up to this pace pay is by the week (or more often: entries are one a week at most)."""
_HALF_MONTHLY_DAYS_MAX: Final = 20
"""Up to this pace pay is every second week, or twice a month."""
_TWICE_A_MONTH: Final = range(15, 18)
"""Paces of two pays a month, whose sum is the month's pay; 14 days is every second week."""
_MONTHLY_DAYS_MAX: Final = 45
_PACE_GAPS: Final = 12
"""Gaps from which the pace is told: a year of months, a quarter of weeks."""
_PACE_GAPS_MIN: Final = 3
"""With fewer a source is taken for monthly: salary and bonus of a new employer are no weekly pay."""
_PACE_DAYS_MAX: Final = 100
"""Pay that is rarer than once a quarter stands as if it were quarterly: it is extra pay, never the usual one."""
_OUTAGE_FACTOR: Final = 3
"""A gap beyond so many usual ones was an outage, not rhythm."""
_SPLIT_DAYS: Final = 12
"""Parts of one monthly pay come within so many days."""
_STEADY_VARIATION: Final = 0.12
"""Variation of levels, relative to their middle, up to which a source is steady. Pay that varies evenly by up to a
fifth stays within it, and cannot by chance fall short by 30 %."""
_STEADY_LEVELS: Final = 16
"""Newest levels that tell steadiness."""
_LEARNT_GAP_FACTOR: Final = 1.25
"""Own gaps up to so many reaches are the payer's habit and are learnt; longer ones were losses."""
_KNOWN_RHYTHMS: Final = 2
"""Rhythms kept of a source: as of its newest pay, and as of the one before."""
_JITTER_DAYS: Final = 3
"""Of a pay day: on top of the longest learnt gap, and of two paces over a festival."""

_FESTIVAL_REST_BEFORE_DAYS: Final = 7
"""Who rests over the festival leaves up to a week before it."""
_FESTIVAL_NEAR_DAYS: Final = 18
"""A pay due so many days (two weeks and jitter) before or after the festival may be two weeks late, or small, so that only
the next one tells."""
_FESTIVAL_EARLY_DAYS: Final = 7
"""A pay before the festival may have come two weeks early: the next one is due that much later, with some jitter."""


class Stream(NamedTuple):
    """A source with its rhythm; lists run along its pays."""

    pays: Pays
    pace_days: int
    """Time from one pay to the next."""
    reach_days: int
    """A pay stands through so many days after its own ..."""
    followed_days: int
    """... but so many once the next pay has come: then the payer has not changed, and pay of full size is merely due."""
    festival_days: int
    """Longer over a Spring Festival."""
    pays_per_level: int
    """How many pays make a level."""
    levels: list[int]
    """Minor units a month."""

    @property
    def lag_days(self) -> int:
        """How far back the pays of one level reach."""
        return (self.pays_per_level - 1) * self.pace_days


class _Known(NamedTuple):
    """A rhythm told before, of which pays and by which policy."""

    days: list[int]
    amounts: list[int]
    policy: IncomeDropPolicy
    rhythm: tuple[int, int, int, int, int, list[int]]


def stream_of(pays: Pays, policy: IncomeDropPolicy) -> Stream:
    """Tell the rhythm of a source from its pays.

    Between two pays the same is asked again and again: as of another day, by another signal. So what was told last is kept
    beside the source, with and without its newest pay.
    """
    known: list[_Known] = vars(pays.source).setdefault("rhythms", [])
    for one in known:
        if one.days == pays.days and one.amounts == pays.amounts and one.policy is policy:
            return Stream(pays, *one.rhythm)
    rhythm = _rhythm_of(pays, policy)
    known.append(_Known(pays.days, pays.amounts, policy, rhythm))
    del known[:-_KNOWN_RHYTHMS]
    return Stream(pays, *rhythm)


def _rhythm_of(pays: Pays, policy: IncomeDropPolicy) -> tuple[int, int, int, int, int, list[int]]:
    pace_days = pace_of(pays.days)
    return (
        pace_days,
        *_reach_days(pays, pace_days, policy),
        policy.spring_festival_days,
        *_levels(pays.days, pays.amounts, pace_days, policy.spring_festival_days),
    )


def pace_of(days: list[int]) -> int:
    """The usual gap. By the week it is the mean; else the gap that covers the middle day, however many extra pays there are."""
    gaps = sorted(gaps_of(days[-_PACE_GAPS - 1 :]))
    if not gaps:
        return MONTH_DAYS
    middle = gaps[len(gaps) // 2]
    if len(gaps) < _PACE_GAPS_MIN:
        return min(max(MONTH_DAYS, middle), _PACE_DAYS_MAX)
    while gaps[-1] > middle * _OUTAGE_FACTOR:
        gaps.pop()
    if sum(gaps) <= len(gaps) * _WEEKLY_DAYS_MAX:
        return round(sum(gaps) / len(gaps))
    half, covered = sum(gaps) / 2, 0
    for gap in gaps:
        covered += gap
        if covered >= half:
            return min(gap, _PACE_DAYS_MAX)
    raise AssertionError(gaps)


def levels_before(stream: Stream, mornings: Iterable[int]) -> list[int]:
    """The level at the midnight that begins each day, 0 where no pay stands."""
    days = stream.pays.days
    return [_best(stream, bisect_left(days, day) - 1, day)[0] for day in mornings]


def level_now(stream: Stream, today: int) -> tuple[int, int]:
    """The level today, with all pays known, and the day at whose beginning it may fall; (0, 0) where none stands."""
    level, index = _best(stream, len(stream.levels) - 1, today)
    return (level, end_of_standing(stream, index)) if level else (0, 0)


def end_of_standing(stream: Stream, index: int) -> int:
    """The day at whose beginning a pay stands no more."""
    return _end_of_standing(stream, index, len(stream.levels) - 1)


def _end_of_standing(stream: Stream, index: int, newest: int) -> int:
    """The same where the pays after `newest` have not come yet."""
    days, pace_days = stream.pays.days, stream.pace_days
    first = days[index]
    last = first + stream.reach_days
    if stream.festival_days:
        expected = first + pace_days
        if spring_festival_within(expected - _FESTIVAL_NEAR_DAYS, expected + _FESTIVAL_NEAR_DAYS):
            return max(last + stream.festival_days, expected + pace_days + _JITTER_DAYS) + 1
        if spring_festival_within(first, expected):
            return last + _FESTIVAL_EARLY_DAYS + 1
    for later in range(index + 1, newest + 1):
        if (days[later] - first) * 2 > pace_days:
            return first + stream.followed_days + 1
    return last + 1


def _best(stream: Stream, index: int, day: int) -> tuple[int, int]:
    """The best level of the pays up to `index` that stand on `day`, and the newest pay that has it."""
    (_, days, _), pace_days, reach_days, followed_days, festival_days, _, levels = stream
    surely = day - followed_days
    at_most = day - max(reach_days + festival_days, 2 * pace_days + _JITTER_DAYS)
    newest = index
    best, best_index = 0, -1
    while index >= 0:
        first = days[index]
        if first < at_most:
            break
        if levels[index] > best and (first >= surely or _end_of_standing(stream, index, newest) > day):
            best, best_index = levels[index], index
        index -= 1
    return best, best_index


# ---- levels ----------------------------------------------------------------------------------------------------------


def _levels(days: list[int], amounts: list[int], pace_days: int, festival_days: int) -> tuple[int, list[int]]:
    """How many pays make a level, and the level at each pay."""
    if pace_days <= _HALF_MONTHLY_DAYS_MAX:
        days = _without_festivals(days, festival_days)
    if pace_days <= _WEEKLY_DAYS_MAX:
        return 8, _a_month(_better_sums(days, amounts, 4, 8, 7), 8, 7)
    if pace_days <= _HALF_MONTHLY_DAYS_MAX:
        few, many = 2, 4
    else:
        few, many = 1, 3 if pace_days <= _MONTHLY_DAYS_MAX else 2
    sums = _sums(days, amounts, _window_days(few, pace_days))
    if _is_steady(sums, few):
        return few, _a_month(sums, few, pace_days)
    if few == 1:
        sums = _sums(days, amounts, _window_days(many, pace_days))
    else:
        sums = _better_sums(days, amounts, few, many, pace_days)
    return many, _a_month(sums, many, pace_days)


def _without_festivals(days: list[int], festival_days: int) -> list[int]:
    """The days on a clock that stands still over a Spring Festival: who is paid by the week rests then, unpaid."""
    for festival in reversed(spring_festivals_within(days[0], days[-1])):
        begin = festival - _FESTIVAL_REST_BEFORE_DAYS
        first = bisect_left(days, begin)
        after = bisect_left(days, begin + festival_days, first)
        days = [*days[:first], *[begin] * (after - first), *[day - festival_days for day in days[after:]]]
    return days


def _window_days(pays: int, pace_days: int) -> int:
    """Wide enough for so many pays and half a pace of jitter; for a single one, for its parts alone."""
    return _SPLIT_DAYS * pace_days // MONTH_DAYS if pays == 1 else (2 * pays - 1) * pace_days // 2


def _sums(days: list[int], amounts: list[int], window_days: int) -> list[int]:
    """For each pay, what came within the window that it ends."""
    sums: list[int] = []
    total = first = 0
    first_day = days[0]
    for day, amount_minor in zip(days, amounts, strict=True):
        total += amount_minor
        while first_day <= day - window_days:
            total -= amounts[first]
            first += 1
            first_day = days[first]
        sums.append(total)
    return sums


def _better_sums(days: list[int], amounts: list[int], few: int, many: int, pace_days: int) -> list[int]:
    """For each pay the sum over many pays, or what the last few stand for where that is more.

    A spell of good pay is enough: income that returns shows at once.
    """
    factor = many // few
    wide, narrow = _window_days(many, pace_days), _window_days(few, pace_days)
    sums: list[int] = []
    long = short = first = recent = 0
    first_day = recent_day = days[0]
    for day, amount_minor in zip(days, amounts, strict=True):
        long += amount_minor
        short += amount_minor
        while first_day <= day - wide:
            long -= amounts[first]
            first += 1
            first_day = days[first]
        while recent_day <= day - narrow:
            short -= amounts[recent]
            recent += 1
            recent_day = days[recent]
        better = short * factor
        sums.append(better if better > long else long)  # noqa: FURB136 - max() is a call, and this is the hot loop
    return sums


def _is_steady(sums: list[int], pays: int) -> bool:
    """Whether the newest sums vary little; too few to tell are steady."""
    newest = sums[pays - 1 :][-_STEADY_LEVELS:]
    if len(newest) < _PACE_GAPS_MIN or max(newest) - min(newest) <= _STEADY_VARIATION * min(newest):
        return True
    middle, variation = middle_and_variation(newest, pays)
    return variation <= _STEADY_VARIATION * middle


def middle_and_variation(levels: list[int], pays: int) -> tuple[int, int]:
    """The middle of levels of so many pays, and how much they ordinarily vary.

    That is the median deviation from the middle, or from the last level without a pay in common where that is
    less: a few bonuses are no variation, and neither is a slow decline.
    """
    middle = sorted(levels)[len(levels) // 2]
    around = sorted([abs(level - middle) for level in levels])
    along = sorted([abs(later - earlier) for earlier, later in zip(levels, levels[pays:], strict=False)])
    if not along:
        return middle, around[len(around) // 2]
    return middle, min(around[len(around) // 2], along[len(along) // 2])


def _a_month(sums: list[int], pays: int, pace_days: int) -> list[int]:
    if _HALF_MONTHLY_DAYS_MAX < pace_days <= _MONTHLY_DAYS_MAX:
        return sums if pays == 1 else [total // pays for total in sums]
    if pace_days in _TWICE_A_MONTH:
        return [total * 2 // pays for total in sums]
    divisor = pays * pace_days * 100
    return [total * _MONTH_HUNDREDTHS // divisor for total in sums]


# ---- reach -----------------------------------------------------------------------------------------------------------


def _reach_days(pays: Pays, pace_days: int, policy: IncomeDropPolicy) -> tuple[int, int]:
    """How long a pay stands while no other comes, and how long once one has come."""
    late_days = policy.late_days
    if pace_days <= _HALF_MONTHLY_DAYS_MAX:
        # One pay may be skipped (a week off), so the slack is twice what is allowed for a late one.
        reach_days = followed_days = max(pace_days, 7) + 2 * late_days
    else:
        if pace_days <= _MONTHLY_DAYS_MAX:
            reach_days = followed_days = max(MONTH_DAYS, pace_days) + late_days
        else:
            reach_days = followed_days = pace_days + max(late_days, pace_days // 4)
        if pays.source.kind not in (PENSION, BENEFIT):
            reach_days = max(reach_days, policy.job_change_days)
    learnt_days = _learnt_days(pays.days, followed_days, reach_days)
    return max(reach_days, learnt_days), max(followed_days, learnt_days)


def _learnt_days(days: list[int], known_days: int, reach_days: int) -> int:
    """The longest gap this payer has left before, with some slack; gaps over a Spring Festival teach nothing."""
    longest = known_days - _JITTER_DAYS
    longest_learnt = reach_days * _LEARNT_GAP_FACTOR
    earlier = days[0]
    for day in days:
        if longest < day - earlier <= longest_learnt and not spring_festival_within(earlier, day):
            longest = day - earlier
        earlier = day
    return longest + _JITTER_DAYS
