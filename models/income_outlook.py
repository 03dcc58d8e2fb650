"""What holds of income until pay, links, life or time change it: kept beside the sources, and never in the state.

While all pay stands, on accounts that were never unlinked, only new pay, a link or a known midnight changes anything: so one
look tells until when income is steady, when there may be a loss, and what is lost until then. Where some pay stands no more,
life on its account matters too, and the loss alone is kept, to the end of the week at most. `models.income` drops what is
kept when pay, links or life change. None of it is an answer that a fresh look would not give.
"""

from __future__ import annotations

from msgspec import Struct

from models.deadlines import NEVER
from models.income import (
    EMPLOYER,
    LOOKBACK_DAYS,
    LOSS,
    OUTLOOK,
    IncomeEvidence,
    is_active,
    monday_of,
    week_of,
)
from models.income_level import REMEMBERED_DAYS, pay_counts_day
from models.income_picture import Scene, Standing, is_plainly_enough, lost_of_one, picture_of, scene_of
from models.income_sight import was_always_seen
from models.money import within_int64
from models.obligations import NO_DAY
from models.pays import Pays, is_one_flow, next_counting_day, pays_into, recognised
from models.policy import IncomeDropPolicy, Policy
from models.rhythm import (
    WEEK_DAYS,
    Stream,
    end_of_standing,
    level_now,
    level_then,
    stream_of,
    surely_stands,
)
from models.rules import Rules


class SteadyIncome(Struct, frozen=True, gc=False):
    """What all pay that has come brings a month at least in the main currency, while no more comes.

    It is what `models.income_level` tells, but where the newest pay is enough by itself: older pay may stand beside it for more.
    """

    currency: str
    after_day: int
    """From the midnight on that ends this day."""
    spans: tuple[tuple[int, int], ...]
    """One after the other: minor units a month, and until before which day at least. After the last it is not known here."""

    def on(self, day: int) -> tuple[int, int] | None:
        """Minor units a month as of the midnight that begins a day, and until before which day; None where it is not known."""
        if day > self.after_day:
            for span in self.spans:
                if day < span[1]:
                    return span
        return None


class Outlook(Struct, gc=False):
    """What holds of a borrower without an alert until time changes it, as of any instant from the one asked about on.

    It is kept beside the first source, and never in the state, while all pay stands, on accounts that were never unlinked:
    then nothing but time, pay and links changes it, and `models.income` drops it for the last two.
    """

    from_ms: int
    until_ms: int
    """When what stands may change."""
    deadline_ms: int
    """When that may be a loss."""
    policy: Policy
    """Which told it; the card that weighs risk has no part in it, so that a card of every day changes nothing."""
    plain: Stream | None = None
    """The one source, where its newest pay alone is enough: then nothing is found, and older pay may fall meanwhile."""
    steady: SteadyIncome | None = None
    lost: float | None = None
    lost_ms: tuple[int, int] = (0, 0)
    """From which instant to before which that part is lost."""


def awaits_pay(evidence: IncomeEvidence, account_id: str, at_ms: int, rules: Rules) -> bool:
    """Whether pay into an account may have failed to come by `at_ms`, without an alert open: only then does life there count.

    Told cheaply, and in doubt yes. While the last pay of a source stands, nobody asks whether its account has fallen silent,
    and once it stands no more the deadline asks. From the evidence alone: what is kept beside it is gone after a restart,
    and when a borrower was judged last is part of the state.
    """
    day = rules.calendar.day_of(at_ms)
    policy = rules.policy.signals.income_drop
    monday = day - (day + 3) % 7
    fresh_days = policy.late_days + WEEK_DAYS  # no pay stands for less
    for source in evidence.sources:
        if not day - fresh_days <= source.days[-1] < monday:
            break
    else:
        return False
    is_only = len(evidence.sources) == 1  # else of one payer they may be taken together
    for pays in pays_into(evidence, account_id, monday):
        if day - pays.days[-1] > fresh_days and not (is_only and surely_stands(pays, day, policy)):
            return True
    return False


def lost_fraction(evidence: IncomeEvidence, at_ms: int, rules: Rules) -> float | None:
    """The part of usual income that does not come in, 0 to 1; None where too little is known to tell."""
    outlook = _known_outlook(evidence, at_ms, rules) or _known_outlook(evidence, at_ms, rules, LOSS)
    if outlook is None:
        lost = _lost_fraction(evidence, at_ms, rules)
        _remember_loss(evidence, lost, at_ms, rules)
        return lost
    from_ms, until_ms = outlook.lost_ms
    if not from_ms <= at_ms < until_ms:
        if outlook.plain is not None:
            return _lost_of_plain(outlook, outlook.plain, at_ms, rules)
        outlook.lost = _lost_fraction(evidence, at_ms, rules)
        outlook.lost_ms = outlook.from_ms, outlook.until_ms
    return outlook.lost


def _lost_of_plain(outlook: Outlook, stream: Stream, at_ms: int, rules: Rules) -> float | None:
    """The same of one source whose newest pay stands: nothing is out of sight, and `level_now` tells what comes and until when."""
    policy, calendar = rules.policy.signals.income_drop, rules.calendar
    if stream.days[-1] - stream.days[0] < policy.history_days_min:
        outlook.lost, outlook.lost_ms = None, (outlook.from_ms, outlook.until_ms)
        return None
    level, until_day = level_now(stream, calendar.day_of(at_ms))
    outlook.lost = lost_of_one(stream, level, policy)
    outlook.lost_ms = at_ms, calendar.midnight_ms(until_day)
    return outlook.lost


def _lost_fraction(evidence: IncomeEvidence, at_ms: int, rules: Rules) -> float | None:
    policy = rules.policy.signals.income_drop
    picture = picture_of(scene_of(evidence, at_ms, None, rules), policy)
    if picture is None or picture.history_days < policy.history_days_min:
        return None
    return min(1.0, max(0.0, picture.lost_in_sight))


def _remember_loss(evidence: IncomeEvidence, lost: float | None, at_ms: int, rules: Rules) -> None:
    """Keep it to the end of the week, or to when a level may fall: where no pay stands, its account is judged by whole weeks.

    Who has lost income and is past due is looked at daily.
    """
    scene = scene_of(evidence, at_ms, None, rules)
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
    loss = Outlook(at_ms, until_ms, until_ms, rules.policy)
    loss.lost, loss.lost_ms = lost, (at_ms, until_ms)
    vars(evidence.sources[0])[LOSS] = loss


def steady_income(evidence: IncomeEvidence, day: int, rules: Rules) -> SteadyIncome | None:
    """What the outlook tells of income as of the midnight that begins a day; None where it tells nothing. There must be a source.

    Deadlines that stand in the state follow from it, and must not depend on whether anybody asked before: where no outlook is
    known, a plain one is told anew; any other says just what `models.income_level` does.
    """
    known: Outlook | None = vars(evidence.sources[0]).get(OUTLOOK)
    if known is None or known.policy is not rules.policy:
        known = _plain_outlook(evidence, rules.calendar.midnight_ms(day) - 1, rules)
    return None if known is None else known.steady


def _steady(evidence: IncomeEvidence, scene: Scene, falls: list[list[Standing]]) -> SteadyIncome:
    """What stands, now and after each fall, until more pay counts: the very answer of `models.income_level` from tomorrow on."""
    last_day = 0
    for standing in scene.standings:
        if standing.stream.days[-1] > last_day:
            last_day = standing.stream.days[-1]
    end_day = min(pay_counts_day(evidence, scene.today + 1), last_day + REMEMBERED_DAYS + 1)
    spans: list[tuple[int, int]] = []
    for standings in (scene.standings, *falls):
        amount_minor, until_day = 0, end_day
        for standing in standings:
            amount_minor += standing.level
            if standing.until_day < until_day:
                until_day = standing.until_day
        spans.append((within_int64(amount_minor), until_day))
        if until_day == end_day:
            break
    return SteadyIncome(scene.standings[0].stream.currency, scene.today, tuple(spans))


# ---- the outlook -----------------------------------------------------------------------------------------------------


def outlook_of(evidence: IncomeEvidence, at_ms: int, rules: Rules) -> Outlook:
    """What is known already as of an instant, or told now."""
    known = _known_outlook(evidence, at_ms, rules) or _told_plain(evidence, at_ms, rules)
    if known is not None:
        return known
    policy = rules.policy.signals.income_drop
    scene = scene_of(evidence, at_ms, None, rules)
    is_clear = _is_clear(evidence, scene)
    counting_day = later(scene.today, next_counting_day(evidence, scene.today))
    fall_day = loss_day = NO_DAY
    falls: list[list[Standing]] = []
    if _pay_days_apart(scene.standings) >= policy.history_days_min:
        fall_day = next_fall_day(evidence, scene, policy)
        loss_day = _next_loss_day(scene, fall_day, policy, falls) if is_clear else fall_day
    midnight_ms = rules.calendar.midnight_ms
    change_day = counting_day if counting_day < fall_day else fall_day
    due_day = counting_day if counting_day < loss_day else loss_day
    until_ms = NEVER if change_day == NO_DAY else midnight_ms(change_day)
    due_ms = NEVER if due_day == NO_DAY else midnight_ms(due_day)
    outlook = Outlook(at_ms, until_ms, due_ms, rules.policy)
    if is_clear and not _is_ahead(evidence, at_ms, scene.today):
        outlook.steady = _steady(evidence, scene, falls) if scene.standings else None
        vars(evidence.sources[0])[OUTLOOK] = outlook
    return outlook


def is_plain(evidence: IncomeEvidence, at_ms: int, rules: Rules) -> bool:
    """Whether nothing is found as of an instant without an alert, told cheaply: where this says no, it may be so all the same."""
    known = _known_outlook(evidence, at_ms, rules) or _told_plain(evidence, at_ms, rules)
    return known is not None and known.plain is not None


def is_known_plain(evidence: IncomeEvidence, at_ms: int, rules: Rules) -> bool:
    """Whether that was told with the newest pay and still holds: nobody looks for it."""
    known = _known_outlook(evidence, at_ms, rules)
    return known is not None and known.plain is not None


def _told_plain(evidence: IncomeEvidence, at_ms: int, rules: Rules) -> Outlook | None:
    outlook = _plain_outlook(evidence, at_ms, rules)
    if outlook is not None:
        vars(evidence.sources[0])[OUTLOOK] = outlook
    return outlook


def _plain_outlook(evidence: IncomeEvidence, at_ms: int, rules: Rules) -> Outlook | None:
    """The outlook of who has one source, whose newest pay is enough by itself, as nearly every pay is; None for anybody else.

    It is enough for as long as it stands, whatever older pay does. So nobody looks at how the older pays stand, and when they fall.
    """
    if len(evidence.sources) != 1:
        return None
    (source,) = evidence.sources
    today = rules.calendar.day_of(at_ms)
    if source.kind > EMPLOYER or not is_one_flow(source) or _is_ahead(evidence, at_ms, today):
        return None
    for account in evidence.accounts:
        if not was_always_seen(account):
            return None
    policy = rules.policy.signals.income_drop
    days, last_day = source.days, source.days[-1]
    pays = Pays(source, days, source.amounts)
    if days[0] <= last_day - LOOKBACK_DAYS:
        (pays,) = recognised([pays], last_day - LOOKBACK_DAYS)
    stream = stream_of(pays, policy)
    newest = len(stream.levels) - 1
    level, end_day = stream.levels[newest], end_of_standing(stream, newest)
    if not level or today >= end_day:
        return None
    best, watch = stream.best_level, policy.severity.watch
    if best - level >= watch * best and not is_plainly_enough(
        [Standing(stream, level, end_day, "")], last_day, watch
    ):
        return None
    until_ms = rules.calendar.midnight_ms(end_day)
    may_be_lost = last_day - stream.days[0] >= policy.history_days_min
    known_until_day = min(end_day, last_day + REMEMBERED_DAYS + 1)
    outlook = Outlook(at_ms, until_ms, until_ms if may_be_lost else NEVER, rules.policy, plain=stream)
    outlook.steady = SteadyIncome(source.currency, last_day, ((within_int64(level), known_until_day),))
    return outlook


def _known_outlook(evidence: IncomeEvidence, at_ms: int, rules: Rules, name: str = OUTLOOK) -> Outlook | None:
    if not evidence.sources:
        return None
    known: Outlook | None = vars(evidence.sources[0]).get(name)
    if known is None or not known.from_ms <= at_ms < known.until_ms or known.policy is not rules.policy:
        return None
    return known


def _is_clear(evidence: IncomeEvidence, scene: Scene) -> bool:
    """Whether all pay stands, on accounts that were never unlinked: neither life on them nor a link to come matters then."""
    for standing in scene.standings:
        if not standing.level:
            return False
    for account in evidence.accounts:
        if not was_always_seen(account):
            return False
    return True


def _is_ahead(evidence: IncomeEvidence, at_ms: int, today: int) -> bool:
    """Whether pay may be known that had not come by an instant."""
    recent = evidence.recent
    if not evidence.sources or not recent or recent[-1].time_ms > at_ms:
        return True
    for source in evidence.sources:
        if source.days[-1] > today:
            return True
    return False


def _pay_days_apart(standings: list[Standing]) -> int:
    """Days from the first to the last pay."""
    if len(standings) == 1:
        days = standings[0].stream.days
        return days[-1] - days[0]
    if not standings:
        return -1
    first_day = min([standing.stream.days[0] for standing in standings])
    return max([standing.stream.days[-1] for standing in standings]) - first_day


# ---- what time changes -----------------------------------------------------------------------------------------------


def next_fall_day(evidence: IncomeEvidence, scene: Scene, policy: IncomeDropPolicy) -> int:
    """The next day at whose beginning what stands may fall, or be seen, or be forgotten."""
    today, standings = scene.today, scene.standings
    next_day = NO_DAY
    none_stands = bool(standings)
    for standing in standings:
        if standing.level:
            none_stands = False
            if today < standing.until_day < next_day:
                next_day = standing.until_day
        if standing.blind:
            next_day = min(next_day, later(today, _sign_of_life_day(evidence, standing, today)))
    if none_stands:
        next_day = min(next_day, later(today, forgotten_day(standings, policy)))
    return next_day


def _next_loss_day(scene: Scene, fall_day: int, policy: IncomeDropPolicy, falls: list[list[Standing]]) -> int:
    """The first day at whose beginning what stands may fall by too much, while no pay comes.

    What was followed by the next pay of its size falls by little, every month; what stands then is added to `falls`. Told
    only as far as the next pay is waited for: with it all is told anew, and one look too many does no harm.
    """
    standings, watch = scene.standings, policy.severity.watch
    paces = [one.stream.pace_days for one in standings]
    last_day = scene.look_day + max(paces, default=0) + policy.late_days
    while fall_day <= last_day:
        fallen: list[Standing] = []
        for one in standings:
            level, until_day = one.level, one.until_day
            if until_day <= fall_day:
                level, until_day = level_then(one.stream, fall_day)
                if not level:
                    return fall_day
            fallen.append(Standing(one.stream, level, until_day, ""))
        if not is_plainly_enough(fallen, scene.look_day, watch):
            return fall_day
        falls.append(fallen)
        standings, fall_day = fallen, min([one.until_day for one in fallen])
    return fall_day


def forgotten_day(standings: list[Standing], policy: IncomeDropPolicy) -> int:
    """From when on no income at all is the new normal, where none of it stands."""
    return max(standing.until_day for standing in standings) + policy.settled_days


def _sign_of_life_day(evidence: IncomeEvidence, standing: Standing, today: int) -> int:
    """The Monday on which a flow of the current week ends a silence; 0 where there is none."""
    number = standing.stream.account
    week = week_of(today)
    return monday_of(week + 1) if is_active(evidence.accounts[number], week, week) else 0


def later(today: int, day: int | None) -> int:
    """A day that is yet to come, or none."""
    return day if day is not None and day > today else NO_DAY
