"""`income_drop`: recognised income against the borrower's own past.

**Now.** A borrower's income is the sum of its sources' levels (`models.rhythm`), a month. It rises when pay comes and falls
only at a local midnight, when a pay loses its standing because the next one of its size did not come in time.

**Usual.** The same sum, looked at every `SAMPLE_DAYS` back from before the loss, ten times at most; of these the value that
three tenths lie below, without bonuses and less each source's ordinary variation (`_levels_on`). So a bonus, however large, a
change of employer with both pays in one month, or a bad month hardly move it, while four months at a new level make it
the usual one. While an alert is open, the looks go back from its opening: the loss is measured against what was before.

**Found** where the part lost reaches a threshold, with a history as long as the policy wants from the first to the last
full pay. An open alert keeps its severity until the loss is `ease_margin` below its threshold. It resolves when income
returns, or as `passed` when the level has settled (`_has_settled`).

**Cannot see.** Where the account into which a source paid was unlinked before the pay failed to come, or had fallen silent
as a whole (`_fell_silent`), the missing pay says nothing of the borrower. If the loss in sight alone is none, the finding
is `watch` and not actionable. Each account is judged by itself: others that live on do not show where the pay went.

Several currencies are kept apart, for nothing here knows rates: the one with most pays is judged.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from models.alerts import EvidenceValue, Finding, Reason, Resolution, Severity, Text, plain_number
from models.borrower import Borrower
from models.calendars import iso_date
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import FUND_FLOWS
from models.income import (
    EMPLOYER,
    LOOKBACK_DAYS,
    LOSS,
    OUTLOOK,
    SALARY,
    Account,
    IncomeEvidence,
    Pays,
    is_active,
    monday_of,
    next_counting_day,
    pays_as_of,
    pays_into,
    recognised,
    week_of,
    weeks_up_to,
)
from models.income_level import REMEMBERED_DAYS, pay_counts_day
from models.limits import INT64_MAX
from models.money import format_amount, within_int64
from models.policy import IncomeDropPolicy
from models.rhythm import (
    WEEK_DAYS,
    Stream,
    end_of_standing,
    level_now,
    level_then,
    levels_before,
    middle_and_variation,
    stream_of,
    surely_stands,
)
from models.rules import Rules
from models.signals.binding import BORROWER_LEVEL, open_state

SAMPLE_DAYS: Final = 28
"""Between two looks at past income: whole weeks, about a month."""
LOOK_DAYS_MAX: Final = 10 * SAMPLE_DAYS
"""Looks at past income: nine months, so that a slow decline shows, and four at a new level outweigh the rest."""
OPENED_AFTER_DAYS_MAX: Final = 60
"""An alert opens so long after a pay at most, as far as the looks at past income go: it bounds what is kept."""
BONUS_PART: Final = 4
"""A level more than a quarter above the middle of a source's levels is a bonus, until half of them are as high."""
SETTLED_BAND: Final = 0.15
"""Of the usual income: how far the level may move and still count as settled."""
SETTLED_CHECK_DAYS: Final = 30
"""Between two looks at whether an unsettled level has settled after all."""
PERIOD_DAYS: Final = 30
"""What `income_minor` and `usual_income_minor` are for: a month."""
_SILENT_MEMORY_WEEKS: Final = 12
"""Weeks before a silence that tell an account's own frequency of flows: enough for three of a flow a month."""
_SILENT_ACTIVE_WEEKS_MIN: Final = 3
"""Fewer active weeks among them, and silence is nothing new: then a missing pay is a missing pay."""

_NO_DAY: Final = INT64_MAX

_Blindness = Literal["silent", "unlinked", ""]


class _Standing(NamedTuple):
    """A source as of an instant."""

    stream: Stream
    level: int
    """Minor units a month that stand."""
    until_day: int
    """At its beginning the level may fall; where nothing stands, when the last pay lost its standing."""
    blind: _Blindness
    """Why the missing pay says nothing, or empty."""
    usual: int = 0
    """The source's own part in what is usual."""


class _Scene(NamedTuple):
    """All sources of the main currency as of an instant."""

    today: int
    look_day: int
    """The day of the first look at past income."""
    standings: list[_Standing]


class _Picture(NamedTuple):
    """All that a judgement compares; amounts are minor units a month."""

    today: int
    usual: int
    income: int
    unseen: int
    """Of what is missing: the part that we cannot see."""
    history_days: int
    standings: list[_Standing]
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


def judge(
    evidence: IncomeEvidence,
    at_ms: int,
    open_severity: Severity | None,
    opened_at_ms: int | None,
    rules: Rules,
) -> Finding | None:
    """The loss of income as of `at_ms`.

    Args:
        evidence: of one borrower.
        at_ms: only flows with event time up to this instant count.
        open_severity: of the open alert, which eases with a margin; None where none is open.
        opened_at_ms: when the open alert opened: what is usual is what was before.
        rules: with the policy's thresholds.
    """
    policy = rules.policy.signals.income_drop
    opened_at_ms = opened_at_ms if open_severity is not None else None
    scene = _scene(evidence, at_ms, opened_at_ms, rules)
    if opened_at_ms is None and _is_plainly_enough(scene.standings, scene.look_day, policy.severity.watch):
        return None
    picture = _look(scene, policy)
    if picture is None or picture.history_days < policy.history_days_min:
        return None
    if opened_at_ms is None:
        if _is_forgotten(picture, policy) or _may_be_a_part_month(picture, policy):
            return None
    elif _has_settled(picture, rules.calendar.day_of(opened_at_ms), policy):
        return None
    found = _severity(picture.lost_in_sight, open_severity, policy)
    if found is not None:
        severity, threshold = found
        return Finding(severity, _loss_reasons(picture, threshold))
    watch = policy.severity.watch - (policy.ease_margin if open_severity is not None else 0)
    if picture.lost < watch:
        return None
    return Finding(Severity.WATCH, (_blind_reason(picture, watch),), actionable=False)


def next_deadline_ms(
    evidence: IncomeEvidence,
    after_ms: int,
    open_severity: Severity | None,
    opened_at_ms: int | None,
    rules: Rules,
) -> int | None:
    """The first local midnight after `after_ms` at which time alone may change the judgement, or None."""
    if open_severity is None or opened_at_ms is None:
        due_ms = _outlook(evidence, after_ms, rules).deadline_ms
        return None if due_ms == NEVER else due_ms
    policy, calendar = rules.policy.signals.income_drop, rules.calendar
    scene = _scene(evidence, after_ms, opened_at_ms, rules)
    check_day = _next_settled_check(scene.today, calendar.day_of(opened_at_ms), policy)
    day = min(
        _later(scene.today, next_counting_day(evidence, scene.today)),
        _later(scene.today, check_day),
        _next_fall_day(evidence, scene, policy),
    )
    return None if day == _NO_DAY else calendar.midnight_ms(day)


def next_change_ms(evidence: IncomeEvidence, after_ms: int, rules: Rules) -> int | None:
    """The first local midnight after `after_ms` at which time alone may change what is known of income, or None.

    Never later than the next deadline where no alert is open: what stands may fall, and still be plainly enough.
    """
    change_ms = _outlook(evidence, after_ms, rules).until_ms
    return None if change_ms == NEVER else change_ms


def resolution(evidence: IncomeEvidence, opened_at_ms: int, at_ms: int, rules: Rules) -> Resolution | None:
    """Why an alert is found no more as of `at_ms`: None where income returned, `passed` where it settled without."""
    policy = rules.policy.signals.income_drop
    picture = _look(_scene(evidence, at_ms, opened_at_ms, rules), policy)
    if picture is None:
        return "passed"
    return "passed" if picture.lost >= policy.severity.watch - policy.ease_margin else None


def awaits_pay(evidence: IncomeEvidence, account_id: str, at_ms: int, rules: Rules) -> bool:
    """Whether pay into an account may have failed to come by `at_ms`, without an alert open: only then does life there count.

    Told cheaply, and in doubt yes. While the last pay of a source stands, nobody asks whether its account has fallen silent,
    and once it stands no more the deadline asks.
    """
    day = rules.calendar.day_of(at_ms)
    policy = rules.policy.signals.income_drop
    monday = monday_of(week_of(day))
    fresh_days = policy.late_days + WEEK_DAYS  # no pay stands for less
    if all(day - fresh_days <= source.days[-1] < monday for source in evidence.sources):
        return False
    awaited = pays_into(evidence, account_id, monday)
    if len(evidence.sources) > 1:  # of one payer they may be taken together
        return any(day - pays.days[-1] > fresh_days for pays in awaited)
    return any(not surely_stands(pays, day, policy) for pays in awaited)


def lost_fraction(evidence: IncomeEvidence, at_ms: int, rules: Rules) -> float | None:
    """The part of usual income that does not come in, 0 to 1; None where too little is known to tell."""
    outlook = _known_outlook(evidence, at_ms, rules) or _known_outlook(evidence, at_ms, rules, LOSS)
    if outlook is None:
        lost = _lost_fraction(evidence, at_ms, rules)
        _remember_loss(evidence, lost, at_ms, rules)
        return lost
    if not outlook.is_lost_told:
        outlook.lost, outlook.is_lost_told = _lost_fraction(evidence, at_ms, rules), True
    return outlook.lost


def _lost_fraction(evidence: IncomeEvidence, at_ms: int, rules: Rules) -> float | None:
    policy = rules.policy.signals.income_drop
    picture = _look(_scene(evidence, at_ms, None, rules), policy)
    if picture is None or picture.history_days < policy.history_days_min:
        return None
    return min(1.0, max(0.0, picture.lost_in_sight))


# ---- the outlook -----------------------------------------------------------------------------------------------------


class SteadyIncome(NamedTuple):
    """What all pay that has come brings a month while all of it stands, in the main currency."""

    currency: str
    amount_minor: int
    after_day: int
    """From the midnight on that ends this day ..."""
    until_day: int
    """... until before this one it is what `models.income_level` tells; then it may be another."""


def steady_income(evidence: IncomeEvidence, rules: Rules) -> SteadyIncome | None:
    """What was learnt of income with the outlook; None where there is none. There must be a source."""
    known: _Outlook | None = vars(evidence.sources[0]).get(OUTLOOK)
    return None if known is None or known.rules is not rules else known.steady


class _Outlook:
    """What holds of a borrower without an alert until time changes it, as of any instant from the one asked about on.

    It is kept beside the first source, and never in the state, while all pay stands, on accounts that were never unlinked:
    then nothing but time, pay and links changes it, and `models.income` drops it for the last two.
    """

    __slots__ = ("deadline_ms", "from_ms", "is_lost_told", "lost", "rules", "steady", "until_ms")

    def __init__(self, from_ms: int, until_ms: int, deadline_ms: int, rules: Rules) -> None:
        """`until_ms`: when what stands may change; `deadline_ms`: when that may be a loss."""
        self.from_ms, self.until_ms, self.deadline_ms, self.rules = from_ms, until_ms, deadline_ms, rules
        self.steady: SteadyIncome | None = None
        self.lost: float | None = None
        self.is_lost_told = False


def _known_outlook(
    evidence: IncomeEvidence, at_ms: int, rules: Rules, name: str = OUTLOOK
) -> _Outlook | None:
    if not evidence.sources:
        return None
    known: _Outlook | None = vars(evidence.sources[0]).get(name)
    if known is None or not known.from_ms <= at_ms < known.until_ms or known.rules is not rules:
        return None
    return known


def _outlook(evidence: IncomeEvidence, at_ms: int, rules: Rules) -> _Outlook:
    """What is known already as of an instant, or told now."""
    known = _known_outlook(evidence, at_ms, rules)
    if known is not None:
        return known
    policy = rules.policy.signals.income_drop
    scene = _scene(evidence, at_ms, None, rules)
    is_clear = _is_clear(evidence, scene)
    counting_day = _later(scene.today, next_counting_day(evidence, scene.today))
    fall_day = loss_day = _NO_DAY
    if _pay_days_apart(scene.standings) >= policy.history_days_min:
        fall_day = _next_fall_day(evidence, scene, policy)
        loss_day = _next_loss_day(scene, fall_day, policy) if is_clear else fall_day
    midnight_ms = rules.calendar.midnight_ms
    change_day, due_day = min(counting_day, fall_day), min(counting_day, loss_day)
    until_ms = NEVER if change_day == _NO_DAY else midnight_ms(change_day)
    due_ms = NEVER if due_day == _NO_DAY else midnight_ms(due_day)
    outlook = _Outlook(at_ms, until_ms, due_ms, rules)
    if is_clear and not _is_ahead(evidence, at_ms, scene.today):
        outlook.steady = _steady(evidence, scene) if scene.standings else None
        vars(evidence.sources[0])[OUTLOOK] = outlook
    return outlook


def _is_clear(evidence: IncomeEvidence, scene: _Scene) -> bool:
    """Whether all pay stands, on accounts that were never unlinked: neither life on them nor a link to come matters then."""
    is_clear = True
    for standing in scene.standings:
        is_clear = is_clear and standing.level > 0
    for account in evidence.accounts:
        is_clear = is_clear and _was_always_seen(account)
    return is_clear


def _steady(evidence: IncomeEvidence, scene: _Scene) -> SteadyIncome:
    """What stands, until some does no more or more pay counts: the very answer of `models.income_level` from tomorrow on."""
    amount_minor = last_day = 0
    until_day = pay_counts_day(evidence, scene.today + 1)
    for standing in scene.standings:
        amount_minor += standing.level
        until_day = min(until_day, standing.until_day)
        last_day = max(last_day, standing.stream.days[-1])
    until_day = min(until_day, last_day + REMEMBERED_DAYS + 1)
    currency = scene.standings[0].stream.currency
    return SteadyIncome(currency, within_int64(amount_minor), scene.today, until_day)


def _remember_loss(evidence: IncomeEvidence, lost: float | None, at_ms: int, rules: Rules) -> None:
    """Keep it to the end of the week, or to when a level may fall: where no pay stands, its account is judged by whole weeks.

    Who has lost income and is past due is looked at daily.
    """
    scene = _scene(evidence, at_ms, None, rules)
    if _is_ahead(evidence, at_ms, scene.today):
        return
    for account in evidence.accounts:
        if account.links and account.links[-1] // 2 > at_ms:
            return
    until_day = monday_of(week_of(scene.today) + 1)
    counting_day = next_counting_day(evidence, scene.today)
    if counting_day is not None:
        until_day = min(until_day, counting_day)
    for standing in scene.standings:
        if standing.level:
            until_day = min(until_day, standing.until_day)
    until_ms = rules.calendar.midnight_ms(until_day)
    loss = _Outlook(at_ms, until_ms, until_ms, rules)
    loss.lost, loss.is_lost_told = lost, True
    vars(evidence.sources[0])[LOSS] = loss


def _is_ahead(evidence: IncomeEvidence, at_ms: int, today: int) -> bool:
    """Whether pay may be known that had not come by an instant."""
    recent = evidence.recent
    if not evidence.sources or not recent or recent[-1].time_ms > at_ms:
        return True
    return max([source.days[-1] for source in evidence.sources]) > today


def _later(today: int, day: int | None) -> int:
    """A day that is yet to come, or none."""
    return day if day is not None and day > today else _NO_DAY


def _next_fall_day(evidence: IncomeEvidence, scene: _Scene, policy: IncomeDropPolicy) -> int:
    """The next day at whose beginning what stands may fall, or be seen, or be forgotten."""
    today, standings = scene.today, scene.standings
    next_day = _NO_DAY
    for standing in standings:
        if standing.level:
            next_day = min(next_day, _later(today, standing.until_day))
        if standing.blind:
            next_day = min(next_day, _later(today, _sign_of_life_day(evidence, standing, today)))
    if standings and not any(standing.level for standing in standings):
        next_day = min(next_day, _later(today, _forgotten_day(standings, policy)))
    return next_day


def _next_loss_day(scene: _Scene, fall_day: int, policy: IncomeDropPolicy) -> int:
    """The first day at whose beginning what stands may fall by too much, while no pay comes.

    What was followed by the next pay of its size falls by little, every month. Told only as far as the next pay is waited
    for: with it all is told anew, and one look too many does no harm.
    """
    standings, watch = scene.standings, policy.severity.watch
    paces = [one.stream.pace_days for one in standings]
    last_day = scene.look_day + max(paces, default=0) + policy.late_days
    while fall_day <= last_day:
        fallen: list[_Standing] = []
        for one in standings:
            level, until_day = one.level, one.until_day
            if until_day <= fall_day:
                level, until_day = level_then(one.stream, fall_day)
                if not level:
                    return fall_day
            fallen.append(_Standing(one.stream, level, until_day, ""))
        if not _is_plainly_enough(fallen, scene.look_day, watch):
            return fall_day
        standings, fall_day = fallen, min([one.until_day for one in fallen])
    return fall_day


# ---- the picture -----------------------------------------------------------------------------------------------------


class _LastScene:
    """The scene looked at last: a judgement is followed by the question for the next deadline, on the same scene.

    Measured: half of the time of `income_drop`, which was half of the engine's. It changes no answer.
    """

    def __init__(self) -> None:
        self._evidence: IncomeEvidence | None = None
        self._rules: Rules | None = None
        self._revision = self._at_ms = -1
        self._opened_at_ms: int | None = None
        self._scene = _Scene(0, 0, [])

    def look(self, evidence: IncomeEvidence, at_ms: int, opened_at_ms: int | None, rules: Rules) -> _Scene:
        if (
            self._evidence is evidence
            and self._at_ms == at_ms
            and self._revision == evidence.revision
            and self._opened_at_ms == opened_at_ms
            and self._rules is rules
        ):
            return self._scene
        self._scene = _set_scene(evidence, at_ms, opened_at_ms, rules)
        self._evidence, self._revision, self._rules = evidence, evidence.revision, rules
        self._at_ms, self._opened_at_ms = at_ms, opened_at_ms
        return self._scene


_scene: Final = _LastScene().look


def _set_scene(evidence: IncomeEvidence, at_ms: int, opened_at_ms: int | None, rules: Rules) -> _Scene:
    """The sources of the main currency, with their rhythm, and how they stand."""
    calendar, policy = rules.calendar, rules.policy.signals.income_drop
    today = calendar.day_of(at_ms)
    seen = pays_as_of(evidence, at_ms, calendar)
    if not seen:
        return _Scene(today, 0, [])
    if opened_at_ms is None:
        look_day = max([pays.days[-1] for pays in seen])
    else:
        look_day = _last_pay_before(seen, calendar.day_of(opened_at_ms))
    income = recognised(seen, look_day - LOOKBACK_DAYS)
    if len(income) > 1:
        income = _of_main_currency(income)
    streams = [stream_of(pays, policy) for pays in income]
    standings = [_standing(evidence, streams, stream, at_ms, today, rules) for stream in streams]
    return _Scene(today, look_day, standings)


def _last_pay_before(seen: list[Pays], opened_day: int) -> int:
    """The last pay day before the week in which an alert opened: it was there at the opening, however late we ask."""
    monday = monday_of(week_of(opened_day))
    days = [pays.days[count - 1] for pays in seen if (count := bisect_left(pays.days, monday))]
    return max([*days, opened_day - OPENED_AFTER_DAYS_MAX])


def _of_main_currency(income: list[Pays]) -> list[Pays]:
    """Those in the currency with most pays."""
    counts: Counter[str] = Counter()
    for pays in income:
        counts[pays.source.currency] += len(pays.days)
    currency = min(counts, key=lambda code: (-counts[code], code))
    return [pays for pays in income if pays.source.currency == currency]


def _is_plainly_enough(standings: list[_Standing], look_day: int, watch: float) -> bool:
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


def _last_look(standings: list[_Standing], look_day: int) -> int:
    """The day of the newest look at past income."""
    # A level of many pays is low only once most of them are: what is usual lies before them.
    return look_day - max([standing.stream.lag_days for standing in standings])


def _without_bonus(middle: int) -> int:
    """The highest level that is no bonus beside this middle one."""
    return middle + middle // BONUS_PART


def _look(scene: _Scene, policy: IncomeDropPolicy) -> _Picture | None:
    """Compare what comes in now with what is usual; None where too little is known."""
    standings = scene.standings
    if not standings:
        return None
    watch = policy.severity.watch
    first_day = min([standing.stream.days[0] for standing in standings])
    last_look = _last_look(standings, scene.look_day)
    looks = range(last_look, max(first_day + SAMPLE_DAYS - 1, last_look - LOOK_DAYS_MAX), -SAMPLE_DAYS)
    if not looks:
        return None
    owns = [_own_past(standing.stream, looks) for standing in standings]
    usual = owns[0][1]
    if len(owns) > 1:
        usual = _usual(list(map(sum, zip(*[levels for levels, _ in owns], strict=True))))
    if usual == 0:
        return None
    income = blind = last_full_day = 0
    by_own: list[_Standing] = []
    for (stream, level, until_day, blindness, _), (_, own) in zip(standings, owns, strict=True):
        by_own.append(_Standing(stream, level, until_day, blindness, own))
        income += level
        if blindness:
            blind += own
        last_full_day = max(last_full_day, stream.days[_last_full(stream.levels, own, watch)])
    return _Picture(
        today=scene.today,
        usual=usual,
        income=income,
        unseen=max(min(blind, usual - income), 0),
        history_days=last_full_day - first_day,
        standings=by_own,
        watch=watch,
    )


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
    return [max(min(level, cap) - variation, 0) for level in levels_before(stream, looks)]


def _usual(levels: list[int]) -> int:
    """The value that three tenths of the looks lie below."""
    return sorted(levels)[len(levels) * 3 // 10]


def _expected_by_day(standings: list[_Standing], watch: float) -> int:
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


def _standing(
    evidence: IncomeEvidence, streams: list[Stream], stream: Stream, at_ms: int, today: int, rules: Rules
) -> _Standing:
    level, until_day = level_now(stream, today)
    number = stream.account
    if number < 0 or (level and _was_always_seen(evidence.accounts[number])):
        return _Standing(stream, level, until_day or end_of_standing(stream, len(stream.levels) - 1), "")
    account = evidence.accounts[number]
    end_day, dark_day = _sight(account, stream, at_ms, rules)
    if today < end_day and stream.levels[-1] >= level:
        return _Standing(stream, stream.levels[-1], max(end_day, until_day), "")
    if level:
        return _Standing(stream, level, until_day, "")
    blind: _Blindness = ""
    if dark_day is not None and not is_active(account, week_of(dark_day) + 1, week_of(today) - 1):
        blind = "unlinked"
    elif _fell_silent(account, streams, stream, today):
        blind = "silent"
    return _Standing(stream, 0, end_day, blind)


def _was_always_seen(account: Account) -> bool:
    """Whether the account was never unlinked: then what stands stands for as long as its rhythm says."""
    links = account.links
    if len(links) <= 1:  # as nearly always: linked once
        return not links or links[0] % 2 == 1
    return all(link % 2 for link in links)


def _sight(account: Account, stream: Stream, at_ms: int, rules: Rules) -> tuple[int, int | None]:
    """When the last pay stands no more, given what we could see, and since which day we see the account no more.

    An unlink after that day changes nothing: the pay had failed to come in our sight. A link after an unlink
    before it begins the waiting anew.
    """
    day_of = rules.calendar.day_of
    last_pay_day = stream.days[-1]
    end_day = end_of_standing(stream, len(stream.levels) - 1)
    dark_day: int | None = None
    for link in account.links:
        instant_ms, is_linked = divmod(link, 2)
        if instant_ms > at_ms:
            break
        day = day_of(instant_ms)
        if is_linked and dark_day is not None:
            end_day = max(end_day, day + stream.reach_days + 1)
            dark_day = None
        elif not is_linked and dark_day is None and last_pay_day <= day < end_day:
            dark_day = day
    return end_day, dark_day


def _fell_silent(account: Account, streams: list[Stream], stream: Stream, today: int) -> bool:
    """Whether nothing at all moved on the account since before the missing pay was expected, against its habit.

    Judged when the last pay lost its standing, in whole weeks: it still moved about the last pay, has been silent since the
    week of the expected pay or longer, and for longer than ever in the `_SILENT_MEMORY_WEEKS` before, in at least
    `_SILENT_ACTIVE_WEEKS_MIN` of which it moved. A sign of life since then ends the silence. An account on which nothing
    but pay (and own transfers) ever moved can fall silent in no other way than by the pay's absence: it never is silent.
    """
    last_day = stream.days[-1]
    expected_day = last_day + stream.pace_days
    last_whole_week = week_of(end_of_standing(stream, len(stream.levels) - 1)) - 1
    weeks = weeks_up_to(account, last_whole_week)
    silent_weeks = (weeks & -weeks).bit_length() - 1
    before = (weeks >> max(silent_weeks, 0)) & ((1 << _SILENT_MEMORY_WEEKS) - 1)
    if before.bit_count() < _SILENT_ACTIVE_WEEKS_MIN:
        return False
    if silent_weeks <= max(last_whole_week - week_of(expected_day), _longest_silence(before)):
        return False
    if silent_weeks > last_whole_week - week_of(last_day) + 1:
        return False
    if is_active(account, last_whole_week + 1, week_of(today) - 1):
        return False
    number = stream.account
    return not any(other.account == number and other.days[-1] >= expected_day for other in streams)


def _longest_silence(weeks: int) -> int:
    """The most weeks in a row without a bit, between two with one."""
    return max(map(len, f"{weeks:b}".strip("0").split("1")))


# ---- judging ---------------------------------------------------------------------------------------------------------


def _severity(
    lost: float, open_severity: Severity | None, policy: IncomeDropPolicy
) -> tuple[Severity, float] | None:
    """The severity of a loss and the fraction from which on it holds."""
    thresholds = policy.severity
    for severity, rises_at in (
        (Severity.SERIOUS, thresholds.serious),
        (Severity.WARNING, thresholds.warning),
        (Severity.WATCH, thresholds.watch),
    ):
        if lost >= rises_at:
            return severity, rises_at
        if open_severity is not None and open_severity >= severity and lost >= rises_at - policy.ease_margin:
            return severity, rises_at - policy.ease_margin
    return None


def _is_forgotten(picture: _Picture, policy: IncomeDropPolicy) -> bool:
    """Whether no income at all has been the new normal for long enough."""
    return picture.income == 0 and picture.today >= _forgotten_day(picture.standings, policy)


def _forgotten_day(standings: list[_Standing], policy: IncomeDropPolicy) -> int:
    return max(standing.until_day for standing in standings) + policy.settled_days


def _may_be_a_part_month(picture: _Picture, policy: IncomeDropPolicy) -> bool:
    """Whether the loss may be a new employer's first pay for part of a month: then its second pay tells."""
    first_pays = sum(
        standing.level
        for standing in picture.standings
        if len(standing.stream.levels) == 1 and standing.stream.kind in (SALARY, EMPLOYER)
    )
    doubled = picture.income + first_pays
    return first_pays > 0 and (picture.usual - doubled) / picture.usual < policy.severity.watch


def _has_settled(picture: _Picture, opened_day: int, policy: IncomeDropPolicy) -> bool:
    """Whether the level has been the same for `settled_days`, or has not settled in half as long again.

    Looked at every `SETTLED_CHECK_DAYS` from `settled_days` after the opening on, so that the answer changes at known
    midnights only.
    """
    over_days = picture.today - opened_day - policy.settled_days
    if over_days < 0:
        return False
    if over_days >= policy.settled_days // 2:
        return True
    check_day = picture.today - over_days % SETTLED_CHECK_DAYS
    days = [
        day
        for day in range(check_day, opened_day, -SETTLED_CHECK_DAYS)
        if day > check_day - policy.settled_days
    ]
    levels = [levels_before(standing.stream, days) for standing in picture.standings]
    now, *before = map(sum, zip(*levels, strict=True))
    return all(abs(level - now) <= SETTLED_BAND * picture.usual for level in before)


def _pay_days_apart(standings: list[_Standing]) -> int:
    """Days from the first to the last pay."""
    if len(standings) == 1:
        days = standings[0].stream.days
        return days[-1] - days[0]
    if not standings:
        return -1
    first_day = min([standing.stream.days[0] for standing in standings])
    return max([standing.stream.days[-1] for standing in standings]) - first_day


def _next_settled_check(today: int, opened_day: int, policy: IncomeDropPolicy) -> int:
    first_day = opened_day + policy.settled_days
    if today < first_day:
        return first_day
    next_day = today + SETTLED_CHECK_DAYS - (today - first_day) % SETTLED_CHECK_DAYS
    last_day = first_day + policy.settled_days // 2
    return min(next_day, last_day) if today < last_day else 0


def _sign_of_life_day(evidence: IncomeEvidence, standing: _Standing, today: int) -> int:
    """The Monday on which a flow of the current week ends a silence; 0 where there is none."""
    number = standing.stream.account
    week = week_of(today)
    return monday_of(week + 1) if is_active(evidence.accounts[number], week, week) else 0


# ---- reasons ---------------------------------------------------------------------------------------------------------


def _loss_reasons(picture: _Picture, threshold: float) -> tuple[Reason, ...]:
    reasons = [
        _absent_reason(picture, threshold) if picture.income == 0 else _drop_reason(picture, threshold)
    ]
    if picture.unseen:
        reasons.append(_blind_reason(picture, threshold))
    return tuple(reasons)


def _numbers(picture: _Picture, lost: float, threshold: float) -> dict[str, EvidenceValue]:
    return {
        "lost_fraction": plain_number(lost),
        "threshold": plain_number(threshold),
        "income_minor": min(picture.income, INT64_MAX),
        "usual_income_minor": min(picture.usual, INT64_MAX),
        "period_days": PERIOD_DAYS,
        "currency": picture.currency,
        "last_income_date": iso_date(picture.last_pay_day),
        "expected_by_date": iso_date(picture.expected_by_day),
        "history_days": picture.history_days,
        "unseen_minor": min(picture.unseen, INT64_MAX),
    }


def _absent_reason(picture: _Picture, threshold: float) -> Reason:
    numbers = _numbers(picture, picture.lost_in_sight, threshold)
    usual = format_amount(picture.usual, picture.currency)
    percent = _percent(threshold)
    return Reason(
        code="ID-ABSENT",
        text=Text(
            en=(
                f"No recognised income any more: the last came on {numbers['last_income_date']}, the next was awaited "
                f"until {numbers['expected_by_date']}. Usual are {usual} a month; this severity holds from {percent} lost."
            ),
            zh=(
                f"已无可识别收入：最近一笔在 {numbers['last_income_date']}，下一笔最迟应于 "
                f"{numbers['expected_by_date']} 到账。平时每月 {usual}；损失达到 {percent} 即为此级别。"
            ),
        ),
        evidence=numbers,
    )


def _drop_reason(picture: _Picture, threshold: float) -> Reason:
    numbers = _numbers(picture, picture.lost_in_sight, threshold)
    income, usual = (format_amount(amount, picture.currency) for amount in (picture.income, picture.usual))
    lost, percent = _percent(picture.lost_in_sight), _percent(threshold)
    return Reason(
        code="ID-DROP",
        text=Text(
            en=(
                f"Recognised income is {income} a month, usual are {usual}: {lost} lost; "
                f"this severity holds from {percent}. Pay of the usual size was awaited until {numbers['expected_by_date']}."
            ),
            zh=(
                f"可识别收入为每月 {income}，平时为 {usual}：损失 {lost}；达到 {percent} 即为此级别。"
                f"正常金额的收入最迟应于 {numbers['expected_by_date']} 到账。"
            ),
        ),
        evidence=numbers,
    )


def _blind_reason(picture: _Picture, threshold: float) -> Reason:
    blind = [standing for standing in picture.standings if standing.blind and standing.usual]
    cause = "unlinked" if any(standing.blind == "unlinked" for standing in blind) else "silent"
    numbers = _numbers(picture, picture.lost, threshold) | {"cause": cause}
    unseen, usual = (format_amount(amount, picture.currency) for amount in (picture.unseen, picture.usual))
    why_en = "was unlinked" if cause == "unlinked" else "has fallen silent as a whole"
    why_zh = "已解除授权" if cause == "unlinked" else "已整体静默"
    return Reason(
        code="ID-CANNOT-SEE",
        text=Text(
            en=(
                f"The account that received {unseen} of {usual} a month {why_en}: whether that income still comes "
                f"cannot be seen."
            ),
            zh=f"每月 {usual} 中有 {unseen} 到账的账户{why_zh}：无法判断该收入是否仍在发放。",
        ),
        evidence=numbers,
    )


def _percent(fraction: float) -> str:
    return f"{plain_number(fraction * 100, 1)} %"


class IncomeDrop:
    """`income_drop`, a borrower at a time, on the watermark of `fund-flows`."""

    name: Final = "income_drop"
    clock: Final = FUND_FLOWS
    feed: Final = FUND_FLOWS
    looks_often: Final = False

    def cooldown_days(self, rules: Rules) -> int:
        """As the policy says."""
        return rules.policy.signals.income_drop.cooldown_days

    def subjects(self, borrower: Borrower) -> Iterable[str | None]:
        """The borrower as a whole."""
        return BORROWER_LEVEL

    def judge(
        self,
        borrower: Borrower,
        subject: str | None,
        at_ms: int,
        episode: Episode | None,
        rules: Rules,
        *,
        deadline: bool,
    ) -> Finding | None:
        """Income lost as of `at_ms`."""
        return judge(borrower.income, at_ms, *open_state(episode), rules)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next local midnight by which pay is expected, or the new level has settled."""
        due_ms = next_deadline_ms(borrower.income, after_ms, *open_state(episode), rules)
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """None where income returned, `passed` where it settled at a new level."""
        return resolution(borrower.income, episode.opened_ms, at_ms, rules)
