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

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import accumulate
from operator import sub
from typing import Final

from models.holidays import next_spring_festival, spring_festival_within, spring_festivals_within
from models.income import BENEFIT, PENSION
from models.limits import INT64_MAX
from models.pays import Pays
from models.policy import IncomeDropPolicy

MONTH_DAYS: Final = 31
"""The longest month: the time to the next pay of a monthly payer."""
_MONTH_HUNDREDTHS: Final = 3044
"""Mean days a month, times 100."""
WEEK_DAYS: Final = 7
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


class Stream:
    """A source with its rhythm; lists run along its pays.

    What was asked of it last is remembered with it: it never changes, and is asked the same again and again.
    """

    __slots__ = (
        "account",
        "amounts",
        "best_level",
        "currency",
        "days",
        "festival_days",
        "followed_days",
        "kind",
        "lag_days",
        "learnt_days",
        "levels",
        "looked",
        "now",
        "pace_days",
        "pays_per_level",
        "policy",
        "reach_days",
        "stands_at_most_days",
    )

    def __init__(self, pays: Pays, policy: IncomeDropPolicy, before: Stream | None = None) -> None:
        """Tell the rhythm of a source from its pays; `before`: as it was told once, most of which may still hold."""
        source, days, amounts = pays
        self.account, self.currency, self.kind = source.account, source.currency, source.kind
        self.days, self.amounts, self.policy = days, amounts, policy
        self.pace_days = pace_of(days)
        """Time from one pay to the next."""
        reach_days, followed_days = _unlearnt_reach_days(source.kind, self.pace_days, policy)
        self.festival_days = policy.spring_festival_days
        """Longer over a Spring Festival."""
        grown = None if before is None or before.policy is not policy else _grown(before, self)
        if before is None or grown is None:
            self.learnt_days = _learnt_days(days, followed_days, reach_days)
            self.pays_per_level, self.levels = _levels(days, amounts, self.pace_days, self.festival_days)
            self.best_level = max(self.levels)
        else:
            self.learnt_days = before.learnt_days
            if days[-1] - days[-2] > before.learnt_days - _JITTER_DAYS:
                self.learnt_days = _learnt_days(days[-2:], before.learnt_days, reach_days)
            self.pays_per_level, self.levels = before.pays_per_level, grown
            self.best_level = before.best_level if before.best_level > grown[-1] else grown[-1]
        """How many pays make a level, and the levels, minor units a month."""
        self.lag_days = (self.pays_per_level - 1) * self.pace_days
        """How far back the pays of one level reach."""
        learnt_days = self.learnt_days
        self.reach_days = reach_days if reach_days > learnt_days else learnt_days
        self.followed_days = followed_days if followed_days > learnt_days else learnt_days
        """A pay stands through so many days after its own, but only so many once the next pay has come: then the payer has
        not changed, and pay of full size is merely due."""
        most_days, two_paces_days = self.reach_days + self.festival_days, 2 * self.pace_days + _JITTER_DAYS
        self.stands_at_most_days = most_days if most_days > two_paces_days else two_paces_days
        """No pay stands longer, whatever festivals there are."""
        self.now = (0, 0, 0, 0)
        """From a day to before another, the level and the day at whose beginning it may fall: as `level_now` said last."""
        self.looked: tuple[tuple[int, int], list[int], int] | None = None
        """What `models.income_picture` saw in its past last: when, the levels, and which of them is usual."""


def stream_of(pays: Pays, policy: IncomeDropPolicy) -> Stream:
    """Tell the rhythm of a source from its pays.

    Between two pays the same is asked again and again: as of another day, by another signal. So what was told last is kept
    beside the source, with and without its newest pay.
    """
    source, days, amounts = pays
    known: list[Stream] = vars(source).setdefault("rhythms", [])
    for stream in reversed(known):
        if stream.policy is policy and (
            (stream.days is days and stream.amounts is amounts)
            or (stream.days == days and stream.amounts == amounts)
        ):
            return stream
    stream = Stream(pays, policy, known[-1] if known else None)
    known.append(stream)
    if len(known) > _KNOWN_RHYTHMS:
        del known[0]
    return stream


def pace_of(days: list[int]) -> int:
    """The usual gap. By the week it is the mean; else the gap that covers the middle day, however many extra pays there are."""
    newest = days[-_PACE_GAPS - 1 :]
    gaps: list[int] = sorted(map(sub, newest[1:], newest))
    count = len(gaps)
    if not count:
        return MONTH_DAYS
    middle = gaps[count // 2]
    if count < _PACE_GAPS_MIN:
        return min(max(MONTH_DAYS, middle), _PACE_DAYS_MAX)
    while gaps[-1] > middle * _OUTAGE_FACTOR:
        gaps.pop()
    covered = list(accumulate(gaps))
    total = covered[-1]
    if total <= len(gaps) * _WEEKLY_DAYS_MAX:
        return round(total / len(gaps))
    pace_days = gaps[bisect_left(covered, total / 2)]
    return pace_days if pace_days < _PACE_DAYS_MAX else _PACE_DAYS_MAX


def levels_before(stream: Stream, mornings: Iterable[int]) -> list[int]:
    """The level at the midnight that begins each day, 0 where no pay stands."""
    days = stream.days
    return [_best(stream, bisect_left(days, day) - 1, day)[0] for day in mornings]


def level_now(stream: Stream, today: int) -> tuple[int, int]:
    """The level today, with all pays known, and the day at whose beginning it may fall; (0, 0) where none stands.

    As long as no pay comes the best that stands stays the best until it stands no more, and then another is.
    """
    from_day, before_day, level, until_day = stream.now
    if from_day <= today < before_day:
        return level, until_day
    level, until_day, before_day = _level_on(stream, today)
    stream.now = today, before_day, level, until_day
    return level, until_day


def level_then(stream: Stream, day: int) -> tuple[int, int]:
    """The same on a day to come, if no pay comes: nothing is remembered."""
    return _level_on(stream, day)[:2]


def _level_on(stream: Stream, day: int) -> tuple[int, int, int]:
    """The level on a day, when it may fall, and until when all of that holds."""
    level, index = _best(stream, len(stream.levels) - 1, day)
    if not level:
        return 0, 0, INT64_MAX
    until_day = end_of_standing(stream, index)
    at_most_day = stream.days[index] + stream.stands_at_most_days + 1
    return level, until_day, until_day if until_day < at_most_day else at_most_day


def end_of_standing(stream: Stream, index: int) -> int:
    """The day at whose beginning a pay stands no more."""
    return _end_of_standing(stream, index, len(stream.levels) - 1)


def _end_of_standing(stream: Stream, index: int, newest: int) -> int:
    """The same where the pays after `newest` have not come yet."""
    days, pace_days = stream.days, stream.pace_days
    first = days[index]
    last = first + stream.reach_days
    if stream.festival_days:
        expected = first + pace_days
        near, far = expected - _FESTIVAL_NEAR_DAYS, expected + _FESTIVAL_NEAR_DAYS
        if next_spring_festival(first if first < near else near) <= far:
            if next_spring_festival(near) <= far:
                return max(last + stream.festival_days, expected + pace_days + _JITTER_DAYS) + 1
            return last + _FESTIVAL_EARLY_DAYS + 1
    for later in range(index + 1, newest + 1):
        if (days[later] - first) * 2 > pace_days:
            return first + stream.followed_days + 1
    return last + 1


def _best(stream: Stream, index: int, day: int) -> tuple[int, int]:
    """The best level of the pays up to `index` that stand on `day`, and the newest pay that has it."""
    days, levels = stream.days, stream.levels
    surely = day - stream.followed_days
    at_most = day - stream.stands_at_most_days
    newest = index
    best, best_index = 0, -1
    while index >= 0:
        first = days[index]
        if first < at_most:
            break
        level = levels[index]
        if level > best and (first >= surely or _end_of_standing(stream, index, newest) > day):
            best, best_index = level, index
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


def _grown(before: Stream, stream: Stream) -> list[int] | None:
    """The levels of a source to which one pay was added and nothing else happened; None where they are to be told anew."""
    days, pace_days = stream.days, stream.pace_days
    if before.days != days[:-1] or before.amounts != stream.amounts[:-1]:
        return None
    if pace_days != before.pace_days and not _are_whole_pays(before, pace_days):
        return None
    if pace_days <= _WEEKLY_DAYS_MAX:
        wide, narrow = _window_days(8, 7), _window_days(4, 7)
        since = days[-1] - wide - stream.festival_days
        if stream.festival_days and next_spring_festival(since) <= days[-1]:
            return None  # the clock of `_without_festivals` stands still in the window
        better = max(_since(stream, days[-1] - wide), 2 * _since(stream, days[-1] - narrow))
        return before.levels + _a_month([better], 8, 7)
    if pace_days <= _HALF_MONTHLY_DAYS_MAX or pace_days > _MONTHLY_DAYS_MAX or before.pays_per_level > 1:
        return None
    levels = [*before.levels, _since(stream, days[-1] - _window_days(1, pace_days))]
    return levels if _is_steady(levels, 1) else None


def _are_whole_pays(before: Stream, pace_days: int) -> bool:
    """Whether each level is the one pay of a month: then it is by another such pace, too, and a pay reaches as far."""
    shortest, longest = sorted((pace_days, before.pace_days))
    if shortest <= _HALF_MONTHLY_DAYS_MAX or longest > MONTH_DAYS or before.pays_per_level > 1:
        return False
    days = before.days
    return before.levels == before.amounts and (
        len(days) == 1 or min(map(sub, days[1:], days)) >= _window_days(1, pace_days)
    )


def _since(stream: Stream, day: int) -> int:
    """What came after a day."""
    return sum(stream.amounts[bisect_right(stream.days, day) :])


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
        sums.append(better if better > long else long)
    return sums


def _is_steady(sums: list[int], pays: int) -> bool:
    """Whether the newest sums vary little; too few to tell are steady."""
    newest = sums[pays - 1 :][-_STEADY_LEVELS:]
    if len(newest) < _PACE_GAPS_MIN:
        return True
    least = min(newest)
    if max(newest) - least <= _STEADY_VARIATION * least:
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


def _unlearnt_reach_days(kind: int, pace_days: int, policy: IncomeDropPolicy) -> tuple[int, int]:
    """How long a pay stands while no other comes, and how long once one has come; whatever this payer's habit."""
    late_days = policy.late_days
    if pace_days <= _HALF_MONTHLY_DAYS_MAX:
        # One pay may be skipped (a week off), so the slack is twice what is allowed for a late one.
        reach_days = (pace_days if pace_days > WEEK_DAYS else WEEK_DAYS) + 2 * late_days
        return reach_days, reach_days
    if pace_days <= _MONTHLY_DAYS_MAX:
        followed_days = (pace_days if pace_days > MONTH_DAYS else MONTH_DAYS) + late_days
    else:
        followed_days = pace_days + max(late_days, pace_days // 4)
    if kind in (PENSION, BENEFIT):
        return followed_days, followed_days
    job_change_days = policy.job_change_days
    return followed_days if followed_days > job_change_days else job_change_days, followed_days


def surely_stands(pays: Pays, day: int, policy: IncomeDropPolicy) -> bool:
    """Whether the last pay of a source stands on a day, told cheaply: where this says no, it may stand all the same.

    No pay stands for less than `WEEK_DAYS` and once what is allowed for a late one.
    """
    age_days = day - pays.days[-1]
    return (
        age_days <= WEEK_DAYS + policy.late_days
        or age_days <= _unlearnt_reach_days(pays.source.kind, pace_of(pays.days), policy)[0]
    )


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
