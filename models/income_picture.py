"""What income looks like as of an instant: what comes now, against what is usual for this borrower.

**Now.** A borrower's income is the sum of its sources' levels (`models.rhythm`), a month. It rises when pay comes and falls
only at a local midnight, when a pay loses its standing because the next one of its size did not come in time.

**Usual.** The same sum, looked at every `SAMPLE_DAYS` back from before the loss, ten times at most; of these the value that
three tenths lie below, without bonuses and less each source's ordinary variation (`_levels_on`). So a bonus, however large, a
change of employer with both pays in one month, or a bad month hardly move it, while four months at a new level make it
the usual one. While an alert is open, the looks go back from its opening: the loss is measured against what was before.

**Unseen.** Of what is missing, the part that could not have been seen (`models.income_sight`).

Several currencies are kept apart, for nothing here knows rates: the one with most pays is judged.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from typing import Final, NamedTuple

from msgspec import Struct

from models.income import (
    LOOKBACK_DAYS,
    IncomeEvidence,
    is_active,
    monday_of,
    week_of,
)
from models.income_sight import Blindness, fell_silent, sight_of, was_always_seen
from models.pays import Pays, pays_on, recognised
from models.policy import IncomeDropPolicy, Policy
from models.rhythm import Stream, end_of_standing, level_now, levels_before, middle_and_variation, stream_of
from models.rules import Rules

SAMPLE_DAYS: Final = 28
"""Between two looks at past income: whole weeks, about a month."""
LOOK_DAYS_MAX: Final = 10 * SAMPLE_DAYS
"""Looks at past income: nine months, so that a slow decline shows, and four at a new level outweigh the rest."""
OPENED_AFTER_DAYS_MAX: Final = 60
"""An alert opens so long after a pay at most, as far as the looks at past income go: it bounds what is kept."""
BONUS_PART: Final = 4
"""A level more than a quarter above the middle of a source's levels is a bonus, until half of them are as high."""


class Standing(Struct, frozen=True, gc=False):
    """A source as of an instant."""

    stream: Stream
    level: int
    """Minor units a month that stand."""
    until_day: int
    """At its beginning the level may fall; where nothing stands, when the last pay lost its standing."""
    blind: Blindness
    """Why the missing pay says nothing, or empty."""
    usual: int = 0
    """The source's own part in what is usual."""


class Scene(Struct, frozen=True, gc=False):
    """All sources of the main currency as of an instant."""

    today: int
    look_day: int
    """The day of the first look at past income."""
    standings: list[Standing]


class Picture(NamedTuple):
    """All that a judgement compares; amounts are minor units a month."""

    today: int
    usual: int
    income: int
    unseen: int
    """Of what is missing: the part that we cannot see."""
    history_days: int
    standings: list[Standing]
    watch: float
    """The part that is a loss."""

    @property
    def expected_by_day(self) -> int:
        """Until when pay of the usual size was awaited, from the source that is missed most."""
        return _expected_by_day(self.standings, self.watch)

    @property
    def currency(self) -> str:
        """Of all amounts."""
        return self.standings[0].stream.currency

    @property
    def last_pay_day(self) -> int:
        """When income last came in."""
        return max(standing.stream.days[-1] for standing in self.standings)

    @property
    def lost(self) -> float:
        """Part of the usual income that does not come in, seen or unseen."""
        return (self.usual - self.income) / self.usual

    @property
    def lost_in_sight(self) -> float:
        """The same without what we cannot see."""
        return (self.usual - self.income - self.unseen) / self.usual


# ---- the scene -------------------------------------------------------------------------------------------------------


class _LastScene:
    """The scene looked at last: a judgement is followed by the question for the next deadline, on the same scene.

    Measured: half of the time of `income_drop`, which was half of the engine's. It changes no answer.
    """

    def __init__(self) -> None:
        self._evidence: IncomeEvidence | None = None
        self._policy: Policy | None = None
        self._revision = self._at_ms = -1
        self._opened_at_ms: int | None = None
        self._scene = Scene(0, 0, [])

    def look(self, evidence: IncomeEvidence, at_ms: int, opened_at_ms: int | None, rules: Rules) -> Scene:
        if (
            self._evidence is evidence
            and self._at_ms == at_ms
            and self._revision == evidence.revision
            and self._opened_at_ms == opened_at_ms
            and self._policy is rules.policy
        ):
            return self._scene
        self._scene = _set_scene(evidence, at_ms, opened_at_ms, rules)
        self._evidence, self._revision, self._policy = evidence, evidence.revision, rules.policy
        self._at_ms, self._opened_at_ms = at_ms, opened_at_ms
        return self._scene


scene_of: Final = _LastScene().look
"""The scene of a borrower as of an instant; with the instant at which an alert opened, where one is open."""


def _set_scene(evidence: IncomeEvidence, at_ms: int, opened_at_ms: int | None, rules: Rules) -> Scene:
    """The sources of the main currency, with their rhythm, and how they stand."""
    calendar, policy = rules.calendar, rules.policy.signals.income_drop
    today = calendar.day_of(at_ms)
    seen = pays_on(evidence, today, at_ms, calendar)
    if not seen:
        return Scene(today, 0, [])
    if len(seen) == 1 and opened_at_ms is None:
        look_day = seen[0].days[-1]
    elif opened_at_ms is None:
        look_day = max([pays.days[-1] for pays in seen])
    else:
        look_day = _last_pay_before(seen, calendar.day_of(opened_at_ms))
    income = recognised(seen, look_day - LOOKBACK_DAYS)
    if len(income) > 1:
        income = _of_main_currency(income)
    streams = [stream_of(pays, policy) for pays in income]
    standings = [_standing(evidence, streams, stream, at_ms, today, rules) for stream in streams]
    return Scene(today, look_day, standings)


def _last_pay_before(seen: list[Pays], opened_day: int) -> int:
    """The last pay day before the week in which an alert opened: it was there at the opening, however late we ask."""
    monday = monday_of(week_of(opened_day))
    days = [pays.days[count - 1] for pays in seen if (count := bisect_left(pays.days, monday))]
    return max([*days, opened_day - OPENED_AFTER_DAYS_MAX])


def _of_main_currency(income: list[Pays]) -> list[Pays]:
    """Those in the currency with most pays."""
    first = income[0].source.currency
    if all(pays.source.currency == first for pays in income):
        return income
    counts: Counter[str] = Counter()
    for pays in income:
        counts[pays.source.currency] += len(pays.days)
    currency = min(counts, key=lambda code: (-counts[code], code))
    return [pays for pays in income if pays.source.currency == currency]


def _standing(
    evidence: IncomeEvidence, streams: list[Stream], stream: Stream, at_ms: int, today: int, rules: Rules
) -> Standing:
    level, until_day = level_now(stream, today)
    number = stream.account
    if number < 0 or (level and was_always_seen(evidence.accounts[number])):
        return Standing(stream, level, until_day or end_of_standing(stream, len(stream.levels) - 1), "")
    account = evidence.accounts[number]
    end_day, dark_day = sight_of(account, stream, at_ms, rules)
    if today < end_day and stream.levels[-1] >= level:
        return Standing(stream, stream.levels[-1], max(end_day, until_day), "")
    if level:
        return Standing(stream, level, until_day, "")
    blind: Blindness = ""
    if dark_day is not None and not is_active(account, week_of(dark_day) + 1, week_of(today) - 1):
        blind = "unlinked"
    elif fell_silent(account, streams, stream, today):
        blind = "silent"
    return Standing(stream, 0, end_day, blind)


# ---- the picture -----------------------------------------------------------------------------------------------------


def is_plainly_enough(standings: list[Standing], look_day: int, watch: float) -> bool:
    """Whether no loss can be found, whatever is usual: more than the best levels ever it is not, nor more than without bonuses."""
    best = income = 0
    for standing in standings:
        best += standing.stream.best_level
        income += standing.level
    if best - income < watch * best:
        return True
    if not standings:
        return False
    last_look = _last_look(standings, look_day)
    most = 0
    for standing in standings:
        levels = standing.stream.levels[: bisect_right(standing.stream.days, last_look)]
        most += _without_bonus(sorted(levels)[len(levels) // 2]) if levels else 0
    return most - income < watch * most


def _last_look(standings: list[Standing], look_day: int) -> int:
    """The day of the newest look at past income."""
    # A level of many pays is low only once most of them are: what is usual lies before them.
    return look_day - max([standing.stream.lag_days for standing in standings])


def _without_bonus(middle: int) -> int:
    """The highest level that is no bonus beside this middle one."""
    return middle + middle // BONUS_PART


def picture_of(scene: Scene, policy: IncomeDropPolicy) -> Picture | None:
    """Compare what comes in now with what is usual; None where too little is known."""
    standings = scene.standings
    if not standings:
        return None
    watch = policy.severity.watch
    first_day = min([standing.stream.days[0] for standing in standings])
    last_look = _last_look(standings, scene.look_day)
    looks = _looks(last_look, first_day)
    if not looks:
        return None
    owns = [_own_past(standing.stream, looks) for standing in standings]
    usual = owns[0][1]
    if len(owns) > 1:
        usual = _usual(list(map(sum, zip(*[levels for levels, _ in owns], strict=True))))
    if usual == 0:
        return None
    income = blind = last_full_day = 0
    by_own: list[Standing] = []
    for standing, (_, own) in zip(standings, owns, strict=True):
        stream = standing.stream
        by_own.append(Standing(stream, standing.level, standing.until_day, standing.blind, own))
        income += standing.level
        if standing.blind:
            blind += own
        full_day = stream.days[_last_full(stream.levels, own, watch)]
        if full_day > last_full_day:
            last_full_day = full_day
    return Picture(
        today=scene.today,
        usual=usual,
        income=income,
        unseen=max(min(blind, usual - income), 0),
        history_days=last_full_day - first_day,
        standings=by_own,
        watch=watch,
    )


def lost_of_one(stream: Stream, level: int, policy: IncomeDropPolicy) -> float | None:
    """What a picture of one source in sight, of which a level stands, says is lost; None where too little is known to tell."""
    days = stream.days
    looks = _looks(days[-1] - stream.lag_days, days[0])
    if not looks:
        return None
    usual = _own_past(stream, looks)[1]
    if usual == 0:
        return None
    full_day = days[_last_full(stream.levels, usual, policy.severity.watch)]
    if full_day - days[0] < policy.history_days_min:
        return None
    return (usual - level) / usual if level < usual else 0.0


def _looks(last_look: int, first_day: int) -> range:
    """The days of the looks at past income, newest first."""
    return range(last_look, max(first_day + SAMPLE_DAYS - 1, last_look - LOOK_DAYS_MAX), -SAMPLE_DAYS)


def _own_past(stream: Stream, looks: range) -> tuple[list[int], int]:
    """The levels of one source at past looks, and its own usual one: the same until pay comes, so told once."""
    asked = looks[0], len(looks)
    if stream.looked is None or stream.looked[0] != asked:
        levels = _levels_on(stream, looks)
        stream.looked = asked, levels, _usual(levels)
    return stream.looked[1:]


def _levels_on(stream: Stream, looks: range) -> list[int]:
    """The levels at past looks, without bonuses and less what is this source's ordinary variation.

    Neither touches steady pay. A bonus is what stands out above the middle of the levels: one every quarter can stand
    at most of the looks, but never makes up most of the pays.
    """
    known = stream.levels[: bisect_right(stream.days, looks[0])]
    if not known:
        return [0] * len(looks)
    middle, variation = middle_and_variation(known, stream.pays_per_level)
    if stream.pays_per_level > 2:  # such sums overlap, so that some of the variation does not show
        variation += variation // 2
    cap = _without_bonus(middle)
    most = max(cap - variation, 0)
    return [
        most if level >= cap else level - variation if level > variation else 0
        for level in levels_before(stream, looks)
    ]


def _usual(levels: list[int]) -> int:
    """The value that three tenths of the looks lie below."""
    return sorted(levels)[len(levels) * 3 // 10]


def _expected_by_day(standings: list[Standing], watch: float) -> int:
    """The last day on which pay of the usual size would have been in time; of sources missed alike the latest."""
    ends = [
        end_of_standing(standing.stream, _last_full(standing.stream.levels, standing.usual, watch))
        if standing.level
        else standing.until_day
        for standing in standings
    ]
    missed = [standing.usual - standing.level for standing in standings]
    return max(zip(missed, ends, strict=True))[1] - 1


def _last_full(levels: list[int], usual: int, watch: float) -> int:
    """The index of a source's newest pay that is no loss by the source's own measure."""
    usual = usual or sorted(levels)[len(levels) // 2]
    most = watch * usual
    for index in range(len(levels) - 1, 0, -1):
        if usual - levels[index] < most:
            return index
    return 0
