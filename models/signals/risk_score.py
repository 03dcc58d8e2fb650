"""`risk_score`: the probability that the scorecard gives crosses a tier of the policy, or jumps, and not for a miss alone.

**Looked at** at local midnights, every one while an alert is open, else every `LOOK_DAYS`: as of any instant the finding is
that of the last look, on what happened before it. What a day does and undoes is no rise. `next_deadline_ms` names those at
which something may be found (`is_in_reach`): daily looks at all who are a few days late would cost more than they find.

**Found** where the probability reaches the tier of a severity, or has risen by `rise` against the look `rise_days` before.
An open alert keeps a severity until the probability is below `ease_ratio` of what it took.

**What does not count.** An instalment that is late: `missed_payment` and `relapse` tell of it, and by itself it lifts the
probability of everybody who forgot one. So the *background* is asked too, the probability of the same borrower had nothing
ever been late, and below `background_min` nothing is found: the score speaks where a miss and other trouble come together, or
before any miss. Had nothing been late nobody would have called for it in vain nor been promised anything, and as long as
something is past due more would have been paid, and more lately: how much is not known, so what favours the borrower most is
taken. Balances are taken as they are: what is late is a small part of them.
Who has no open loan here cannot be late with it. Who is at the target already is foreseen no more.

**Ends** with the look that finds it no more: as `passed` where the target is reached, or there is no open loan any more.

The watermark is that of `repayments`: what must not be missed is a payment already made. Which card weighs the features, and
which features it weighs, is not known here: it is that of the rules in force at the instant, as the thresholds are. What makes
looks cheap are bounds on its probability: own loans are told, income and institutions at their worst, and features of any
other kind may lie anywhere, but where the borrower has no evidence of the kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache
from math import inf, nextafter
from typing import Final, NamedTuple

from msgspec import Struct

from models import income_outlook
from models.alerts import SEVERITIES, Finding, Reason, Resolution, Severity, Text, Tier, plain_number
from models.borrower import Borrower
from models.calendars import DAY_MS, iso_date
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import REPAYMENTS
from models.institutions import REVIEW
from models.ledger import (
    Loan,
    balances_at,
    credit_limit_minor,
    next_entry_ms,
    oldest_unpaid_day,
    position,
)
from models.policy import Policy
from models.risk.features import FEATURES, LOOKBACK_DAYS, UNKNOWN, Features, Kind
from models.risk.observation import Reading, told_kinds
from models.risk.scorecard import Contribution, Scorecard, logit, tier_of
from models.rules import Rules
from models.signals.binding import BORROWER_LEVEL

LOOK_DAYS: Final = 3
"""Local days from look to look while no alert is open: two days later than daily at most, where the median lead is a month."""
QUIET_DAYS: Final = 400
"""Of a loan nobody pays and nobody owes for a year and a month there is nothing to foresee, and it need not be looked at for
decades: a book's dates may be absurd."""
_NEVER_LATE: Final = {
    "days_past_due": 0.0,
    "worst_days_past_due": 0.0,
    "overdue_share": 0.0,
    "missed_instalments": 0.0,
    "unreached_attempts": 0.0,
    "broken_promises": 0.0,
}
"""The features of late payments, and of what is done about them, of who was never late."""
_OF_PAYMENTS: Final = frozenset[Kind](("payments", "statements"))
"""Kinds that tell of what was paid, and so of what is late now."""
_OWN_LOANS: Final = frozenset[Kind](("loans",))
"""What every look needs: who has no open loan cannot be late, who is at the target is foreseen no more."""
_BOUNDED: Final = frozenset[Kind](("loans", "income", "institutions"))
"""Kinds of which the bounds know something; their features come first."""
_CHEAP_FIRST: Final[tuple[Kind, ...]] = ("granted", "rollovers", "payments", "money", "debts", "dues")
"""The other kinds in the order in which they are read: what takes long, and tells little, last."""
_CHEAP_FIRST_IF_LATE: Final = tuple(kind for kind in _CHEAP_FIRST if kind not in _OF_PAYMENTS)
"""The same for who is late."""
_ALONE: Final[dict[Kind, frozenset[Kind]]] = {kind: frozenset((kind,)) for kind in _CHEAP_FIRST}
_ROUNDING: Final = 1e-9
"""Log-odds: much more than sums of a card's weights differ by when they are added up in another order."""
_ALL_LOST: Final = 1.0
"""Of income."""
_DAYS_ALIKE: Final = 30
"""Days that the bounds of a look do not tell apart: a look too many, where a bin of the card begins amid them."""
FACTORS_TOLD_MAX: Final = 3
"""Largest contributions named in an alert: what a reader can hold against the file."""


class Look(NamedTuple):
    """The probability at a local midnight, and what it was made of."""

    day: int
    features: Features
    probability: float
    background: float
    """The same had nothing ever been late."""


def judge(borrower: Borrower, at_ms: int, open_severity: Severity | None, rules: Rules) -> Finding | None:
    """Find what the last look up to `at_ms` shows.

    Args:
        borrower: the evidence; what is later than the look does not count.
        at_ms: any instant.
        open_severity: of the open alert, which eases later than it rose.
        rules: the policy, and the card.
    """
    policy = rules.policy.signals.risk_score
    ease = 1.0 if open_severity is None else policy.ease_ratio
    look = _seen(borrower, at_ms, open_severity, rules)
    if look is None:
        return None
    crossed = _crossed(look.probability, open_severity, rules)
    jump = _jump(borrower, look, policy.rise * ease, rules)
    if crossed is None and jump is None:
        return None
    severity = Severity.WATCH if crossed is None else crossed[0]
    reasons = [] if crossed is None else [_tier_reason(look, crossed[1], policy.background_min * ease, rules)]
    reasons += [] if jump is None else [jump]
    return Finding(severity, (*reasons, *_factor_reasons(look.features, rules)))


def stands(borrower: Borrower, at_ms: int, open_severity: Severity, rules: Rules) -> bool:
    """Whether it is plain that `judge` finds the severity of the open alert again: most daily looks do.

    Told by the tier alone, without the reasons and the look further back that a revision would tell of.
    """
    look = _seen(borrower, at_ms, open_severity, rules)
    crossed = None if look is None else _crossed(look.probability, open_severity, rules)
    return crossed is not None and crossed[0] == open_severity


def next_deadline_ms(borrower: Borrower, after_ms: int, open_severity: Severity | None, rules: Rules) -> int:
    """The midnight of the next look: of one at which there may be something, else of the first after the next miss."""
    calendar = rules.calendar
    day = calendar.day_of(after_ms)
    if open_severity is not None:
        return calendar.midnight_ms(day + 1)
    ahead = _look_ahead(borrower, after_ms, day, rules)
    if not ahead.is_alive and is_forgotten(borrower, after_ms, rules):
        return wakes_ms(borrower, after_ms, rules)
    if _reaches(ahead, borrower, after_ms, _unbounded(borrower, rules), rules):
        return calendar.midnight_ms(_next_look_day(day))
    return NEVER if ahead.due_day is None else calendar.midnight_ms(_next_look_day(ahead.due_day))


def is_forgotten(borrower: Borrower, known_ms: int, rules: Rules) -> bool:
    """Whether the own loans tell nothing for `QUIET_DAYS`: whatever changes with time alone has changed by then."""
    for loan in borrower.loans.values():
        if _is_alive(loan, known_ms, rules):
            return False
    return True


def _is_alive(loan: Loan, known_ms: int, rules: Rules) -> bool:
    """Whether anything was entered in a loan, or falls due, within `QUIET_DAYS`."""
    after_ms = known_ms - QUIET_DAYS * DAY_MS
    if after_ms < loan.opened_ms <= known_ms:
        return True
    due_day = oldest_unpaid_day(loan, known_ms, rules)
    if due_day is not None and abs(due_day - rules.calendar.day_of(known_ms)) <= QUIET_DAYS:
        return True
    entry_ms = next_entry_ms(loan, after_ms)
    return entry_ms is not None and entry_ms <= known_ms


def wakes_ms(borrower: Borrower, after_ms: int, rules: Rules) -> int:
    """The first midnight at which a borrower that is forgotten may be so no more: soon before what is owed falls due."""
    day = rules.calendar.day_of(after_ms)
    wakes: list[int] = []
    for loan in borrower.loans.values():
        due_day = oldest_unpaid_day(loan, after_ms, rules)
        if due_day is not None and due_day - QUIET_DAYS > day:
            wakes.append(due_day - QUIET_DAYS)
        entry_ms = next_entry_ms(loan, after_ms)
        if entry_ms is not None:
            wakes.append(rules.calendar.day_of(entry_ms))
    return rules.calendar.midnight_ms(_next_look_day(max(day, min(wakes) - 1))) if wakes else NEVER


@lru_cache(maxsize=64)
def _kinds_beyond(rules: Rules) -> frozenset[Kind]:
    """The kinds that the card weighs, and of which the bounds know nothing."""
    return rules.card.kinds - _BOUNDED


def weighs_more(rules: Rules) -> bool:
    """Whether the card weighs evidence of which the bounds know nothing: then anything that is new of it may bring a look."""
    return bool(_kinds_beyond(rules))


def next_look_ms(after_ms: int, rules: Rules) -> int:
    """The next midnight at which all are looked at."""
    return rules.calendar.midnight_ms(_next_look_day(rules.calendar.day_of(after_ms)))


def look_from_ms(from_ms: int, rules: Rules) -> int:
    """The first midnight at or after `from_ms` at which all are looked at."""
    return next_look_ms(from_ms - 1, rules)


def is_in_reach(borrower: Borrower, known_ms: int, rules: Rules) -> bool:
    """Whether the next look may find something, on what is known up to `known_ms`; cheap, and rather too often than not.

    Where it may not, no later look may either until something happens or the next instalment gets past due: what only
    time changes, or would take long to ask (income), is taken at its worst.
    """
    ahead = _look_ahead(borrower, known_ms, rules.calendar.day_of(known_ms), rules)
    return _reaches(ahead, borrower, known_ms, _unbounded(borrower, rules), rules)


class _Ahead(Struct, frozen=True, gc=False):
    """What the own loans let expect of the next look."""

    first_opened_ms: int
    open_loans: int
    days_past_due: int
    """At the next look; 0 or less where nothing will be past due."""
    worst_days: int
    """Without what is past due now."""
    utilisation: float
    """As known now: what falls due until then may change it."""
    due_day: int | None
    """The first day, not before that of the next look, on which the oldest of what a loan asks for falls due."""
    is_alive: bool
    """Whether a due date is near enough that the borrower is not forgotten; if not, it may be alive all the same."""


def _look_ahead(borrower: Borrower, known_ms: int, day: int, rules: Rules) -> _Ahead:
    """Walk over the loans once, on what is known up to `known_ms`, on the local `day`."""
    look_day = _next_look_day(day)
    tolerance_minor = rules.policy.signals.missed_payment.tolerance_minor
    open_loans = days_past_due = worst_days = used_minor = limits_minor = 0
    first_opened_ms = known_ms
    next_due_day: int | None = None
    is_alive = False
    for loan in borrower.loans.values():
        closed_ms = loan.closed_ms
        is_open = closed_ms is None or closed_ms > known_ms
        balances = loan.now if known_ms >= loan.now.upto_ms else balances_at(loan, known_ms, rules)
        due_day: int | None = None
        for index, short_minor in enumerate(balances.short_minor):  # as `oldest_unpaid`
            if short_minor > tolerance_minor:
                due_day = loan.lines[index].due_day
                if rules.moves_due_days:
                    due_day = rules.last_day_to_pay(due_day)
                break
        if due_day is not None and is_open:
            if -QUIET_DAYS <= due_day - day <= QUIET_DAYS:
                is_alive = True
            if due_day >= look_day and (next_due_day is None or due_day < next_due_day):
                next_due_day = due_day
        opened_ms = loan.opened_ms
        if opened_ms > known_ms or loan.is_voided:
            continue
        if opened_ms < first_opened_ms:
            first_opened_ms = opened_ms
        if balances.worst_days_past_due > worst_days:
            worst_days = balances.worst_days_past_due
        if is_open:
            open_loans += 1
            if due_day is not None and look_day - due_day > days_past_due:
                days_past_due = look_day - due_day
            if loan.limits_minor and (limit_minor := credit_limit_minor(loan, known_ms)):
                used_minor += position(loan, known_ms, known_ms, day, rules).outstanding_minor
                limits_minor += limit_minor
        elif due_day is not None and closed_ms is not None:
            worst_days = max(worst_days, rules.calendar.day_of(closed_ms) - due_day)
    utilisation = used_minor / limits_minor if limits_minor else UNKNOWN
    return _Ahead(first_opened_ms, open_loans, days_past_due, worst_days, utilisation, next_due_day, is_alive)


def _reaches(ahead: _Ahead, borrower: Borrower, known_ms: int, rest: frozenset[Kind], rules: Rules) -> bool:
    """`is_in_reach`, once it is known what the loans let expect, and of which kinds the bounds know nothing."""
    if not ahead.open_loans or ahead.days_past_due >= rules.policy.risk.target_days_late:
        return False
    sightings = _sightings_in_window(borrower, known_ms, rules)
    if_late, at_once = _thresholds_reached(
        ahead.open_loans, ahead.worst_days, sightings, ahead.utilisation, _ALL_LOST, rest, rules
    )
    return if_late if ahead.days_past_due > 0 else at_once


def resolution(borrower: Borrower, at_ms: int, rules: Rules) -> Resolution | None:
    """`passed` where the target is reached or nothing is left to be late with; None where the probability has fallen."""
    look_ms = rules.calendar.midnight_ms(rules.calendar.day_of(at_ms))
    return None if _can_be_late(_look(borrower, look_ms, rules).features, rules) else "passed"


# ---- the look --------------------------------------------------------------------------------------------------------


def _next_look_day(day: int) -> int:
    """The first local day after `day` at whose midnight all are looked at."""
    return (day // LOOK_DAYS + 1) * LOOK_DAYS


def _seen(borrower: Borrower, at_ms: int, open_severity: Severity | None, rules: Rules) -> Look | None:
    """The last look up to an instant, if it shows enough of a background that anything may be found; None if it does not."""
    calendar, policy = rules.calendar, rules.policy.signals.risk_score
    day = calendar.day_of(at_ms)
    if open_severity is not None:
        background_min = policy.background_min * policy.ease_ratio
        look_ms = calendar.midnight_ms(day)
        if is_forgotten(borrower, look_ms - 1, rules):
            return None
    else:
        background_min = policy.background_min
        look_ms = calendar.midnight_ms(day - day % LOOK_DAYS)
        known_ms = look_ms - 1
        ahead = _look_ahead(borrower, known_ms, calendar.day_of(known_ms), rules)
        if not ahead.open_loans or ahead.days_past_due >= rules.policy.risk.target_days_late:
            return None
        if not ahead.is_alive and is_forgotten(borrower, known_ms, rules):
            return None
        if rest := _unbounded(borrower, rules):
            return _look_while_in_reach(ahead, borrower, look_ms, rest, rules)
        if not (
            _may_be_found(ahead, borrower, look_ms, rules)
            and _reaches(ahead, borrower, known_ms, rest, rules)
        ):
            return None
    look = _look(borrower, look_ms, rules)
    return look if _can_be_late(look.features, rules) and look.background >= background_min else None


def _may_be_found(ahead: _Ahead, borrower: Borrower, look_ms: int, rules: Rules) -> bool:
    """Whether a look may find something, with as many new institutions as there may be; never told from late payments.

    At most looks the background is too low, or nothing is past due and the probability is: the rest takes longer to ask. So it is
    too, for most, if nothing is known but that income was not lost: then nobody tells what part of it was.
    """
    sightings = _sightings_in_window(borrower, look_ms - 1, rules)
    has_limit, is_late = ahead.utilisation != UNKNOWN, ahead.days_past_due > 0
    if income_outlook.is_known_plain(borrower.income, look_ms, rules):
        most_used = inf if has_limit else UNKNOWN
        reached = _thresholds_reached(
            ahead.open_loans, ahead.worst_days, sightings, most_used, _no_loss(rules), frozenset(), rules
        )
        if not reached[0 if is_late else 1]:
            return False
    lost = _told_loss(income_outlook.lost_fraction(borrower.income, look_ms, rules))
    background, probability = _most_of(ahead, lost, look_ms, sightings, frozenset(), rules)
    background_needed, needed = _needed(rules)
    return background >= background_needed and (is_late or probability >= needed)


def _look_while_in_reach(
    ahead: _Ahead, borrower: Borrower, look_ms: int, rest: frozenset[Kind], rules: Rules
) -> Look | None:
    """The look, if it shows enough: evidence is read kind by kind, the cheap ones first, until it is plain that it does not.

    What favours the borrower most counts for the background of who is late, so evidence of payments is left at its worst there.
    """
    sightings = _sightings_in_window(borrower, look_ms - 1, rules)
    if income_outlook.is_known_plain(borrower.income, look_ms, rules):
        lost = 0.0, _no_loss(rules), 0.0, 1.0
    else:
        lost = _told_loss(income_outlook.lost_fraction(borrower.income, look_ms, rules))
    most, most_now = _most_of(ahead, lost, look_ms, sightings, rest, rules)
    needed, needed_now = _needed(rules)
    asked = _CHEAP_FIRST
    if ahead.days_past_due > 0:
        asked = _CHEAP_FIRST_IF_LATE
    else:
        most, needed = most_now, needed_now
    if most < needed:
        return None
    reading = Reading(borrower, look_ms, rules, deadline=True)
    for kind in asked:
        if kind in rest:
            most -= rules.card.lowered(kind, reading.read(_ALONE[kind]))
            if most < needed:
                return None
    look = _look_by(reading, look_ms, rules)
    background_min = rules.policy.signals.risk_score.background_min
    return look if _can_be_late(look.features, rules) and look.background >= background_min else None


def _no_loss(rules: Rules) -> float:
    """The most that may be lost of income where `income_drop` finds nothing."""
    return nextafter(rules.policy.signals.income_drop.severity.watch, 0)


def _look(borrower: Borrower, look_ms: int, rules: Rules) -> Look:
    return _look_by(Reading(borrower, look_ms, rules, deadline=True), look_ms, rules)


def _look_by(reading: Reading, look_ms: int, rules: Rules) -> Look:
    card = rules.card
    features = Features(**reading.read(card.kinds | _OWN_LOANS))
    probability = background = card.score(card.pick(features))
    if features.worst_days_past_due:
        background = _background(features, card)
    return Look(rules.calendar.day_of(look_ms), features, probability, background)


def _background(features: Features, card: Scorecard) -> float:
    """The probability of somebody who was late, had nothing ever been late."""
    known = features._replace(**_NEVER_LATE)
    if not features.days_past_due or card.kinds.isdisjoint(_OF_PAYMENTS):
        return card.score(card.pick(known))
    longest_days = LOOKBACK_DAYS if known.days_since_payment == UNKNOWN else known.days_since_payment
    least = known._replace(days_since_payment=0.0)
    most = known._replace(
        days_since_payment=longest_days,
        paid_months=UNKNOWN if known.paid_months == UNKNOWN else inf,
        statement_paid_share=UNKNOWN if known.statement_paid_share == UNKNOWN else inf,
    )
    return card.floor(card.pick(least), card.pick(most))


def _can_be_late(features: Features, rules: Rules) -> bool:
    """Whether there is an open loan, and the target not reached."""
    return features.open_loans > 0 and features.days_past_due < rules.policy.risk.target_days_late


@lru_cache(maxsize=4096)
def _thresholds_reached(
    open_loans: int,
    worst_days: int,
    sightings: int,
    utilisation: float,
    lost_most: float,
    rest: frozenset[Kind],
    rules: Rules,
) -> tuple[bool, bool]:
    """Whether the worst there may be is enough: once something is past due, and as long as nothing is.

    Most borrowers ask for the same few.
    """
    background, probability = _ceilings(
        open_loans, worst_days, sightings, utilisation, rest, rules, lost_most
    )
    policy = rules.policy.signals.risk_score
    is_enough = background >= policy.background_min
    return is_enough, is_enough and probability >= _least(rules.policy)


_Lost = tuple[float, float, float, float]
"""The lowest and the highest part of income that may be lost, and the same of whether one can be told (1) or not (0)."""


def _told_loss(lost: float | None) -> _Lost:
    return (0.0, 0.0, 0.0, 0.0) if lost is None else (lost, lost, 1.0, 1.0)


def _most_of(
    ahead: _Ahead, lost: _Lost, look_ms: int, sightings: int, rest: frozenset[Kind], rules: Rules
) -> tuple[float, float]:
    """The most that a look may show, by all that is told cheaply: see `_most_by`."""
    return _most_by(
        lost,
        (look_ms - ahead.first_opened_ms) // DAY_MS // _DAYS_ALIKE,
        ahead.open_loans,
        ahead.worst_days,
        sightings,
        rest,
        rules,
        has_limit=ahead.utilisation != UNKNOWN,
    )


@lru_cache(maxsize=4096)
def _most_by(
    lost: _Lost,
    months: int,
    open_loans: int,
    worst_days: int,
    sightings: int,
    rest: frozenset[Kind],
    rules: Rules,
    *,
    has_limit: bool,
) -> tuple[float, float]:
    """The highest background and, with nothing past due, the highest probability there may be, in log-odds.

    Where it is known what part of income may be lost, and for how many times `_DAYS_ALIKE` days loans have been here. Most borrowers
    have lost nothing; so many days are taken together, so that few other things are ever asked.
    """
    least_lost, most_lost, is_visible, may_be_visible = lost
    most_used = inf if has_limit else UNKNOWN
    days = months * _DAYS_ALIKE
    least, most = _rest_between(rest)
    lows = Features(0, 0, 0, 0, least_lost, is_visible, 0, UNKNOWN, days, open_loans, *least)
    days += _DAYS_ALIKE - 1
    highs = Features(0, 0, 0, 0, most_lost, may_be_visible, sightings, most_used, days, open_loans, *most)
    background = probability = _most(lows, highs, rules)
    if worst_days:
        lows, highs = (bound._replace(worst_days_past_due=worst_days) for bound in (lows, highs))
        probability = _most(lows, highs, rules)
    return background, probability


@lru_cache(maxsize=64)
def _needed(rules: Rules) -> tuple[float, float]:
    """The log-odds of the background and of the probability below which nothing is found, told from sums in any order."""
    background_min = rules.policy.signals.risk_score.background_min
    return logit(background_min) - _ROUNDING, logit(_least(rules.policy)) - _ROUNDING


def _ceilings(
    open_loans: int,
    worst_days: int,
    sightings: int,
    utilisation: float,
    rest: frozenset[Kind],
    rules: Rules,
    lost_most: float = _ALL_LOST,
) -> tuple[float, float]:
    """The highest background and, with nothing past due, the highest probability; of the kinds of `rest` nothing is known."""
    least, most = _rest_between(rest)
    least_used = UNKNOWN if utilisation == inf else utilisation
    lows = Features(0, 0, 0, 0, 0.0, 0.0, 0, least_used, 0, open_loans, *least)
    highs = Features(0, 0, 0, 0, lost_most, 1.0, sightings, utilisation, inf, open_loans, *most)
    background = _ceiling(lows, highs, rules)
    if not worst_days:
        return background, background
    lows, highs = (bound._replace(worst_days_past_due=worst_days) for bound in (lows, highs))
    return background, _ceiling(lows, highs, rules)


def _ceiling(lows: Features, highs: Features, rules: Rules) -> float:
    """The most that the card gives to anything between the two."""
    return rules.card.ceiling(rules.card.pick(lows), rules.card.pick(highs))


def _most(lows: Features, highs: Features, rules: Rules) -> float:
    """The same in log-odds."""
    return rules.card.most(rules.card.pick(lows), rules.card.pick(highs))


def _unbounded(borrower: Borrower, rules: Rules) -> frozenset[Kind]:
    """The kinds that the card weighs, of which the borrower has evidence, and of which the bounds know nothing."""
    beyond = _kinds_beyond(rules)
    return told_kinds(borrower, beyond) if beyond else beyond


@cache
def _rest_between(kinds: frozenset[Kind]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The lowest and highest values of the features that the bounds know nothing of: anything for those of `kinds`."""
    nothing_known = zip(FEATURES, Features(), strict=True)
    rest = [(feature, default) for feature, default in nothing_known if feature.kind not in _BOUNDED]
    lows = tuple(-inf if feature.kind in kinds else default for feature, default in rest)
    highs = tuple(inf if feature.kind in kinds else default for feature, default in rest)
    return lows, highs


def _sightings_in_window(borrower: Borrower, known_ms: int, rules: Rules) -> int:
    """At least as many as there are new institutions, now or later; never those of the lender and of the own loans."""
    tracks = borrower.institutions.tracks
    since_ms = known_ms - rules.policy.signals.multi_platform_borrowing.window_days * DAY_MS
    if not tracks or tracks[-1].start_ms <= since_ms:  # the newest begins last
        return 0
    fresh = [
        track.institution_id
        for track in tracks
        if since_ms < track.start_ms <= known_ms and track.kind != REVIEW
    ]
    if not fresh:
        return 0
    own = {rules.institution(platform_id) for platform_id in borrower.own_platforms(known_ms)}
    return len(set(fresh) - own - rules.own_institutions)


# ---- the comparison --------------------------------------------------------------------------------------------------


def _begins_at(severity: str, policy: Policy) -> float:
    """The probability at which the tier of a severity begins."""
    tier: Tier = getattr(policy.signals.risk_score.severity, severity)
    begins_at: float = getattr(policy.risk.tiers, tier)
    return begins_at


def _least(policy: Policy) -> float:
    """No lower probability is found, be it for its tier or for its rise."""
    return min(policy.signals.risk_score.rise, _begins_at("watch", policy))


def _crossed(
    probability: float, open_severity: Severity | None, rules: Rules
) -> tuple[Severity, float] | None:
    """The severity of a probability, and the probability from which on it holds."""
    for severity in (Severity.WARNING, Severity.WATCH):
        begins_at = _begins_at(severity.word, rules.policy)
        if probability >= begins_at:
            return severity, begins_at
        eases_below = begins_at * rules.policy.signals.risk_score.ease_ratio
        if open_severity is not None and open_severity >= severity and probability >= eases_below:
            return severity, eases_below
    return None


def _jump(borrower: Borrower, look: Look, rise: float, rules: Rules) -> Reason | None:
    """Why a probability has jumped, where it has: it is looked at as far back only where it is high enough to have."""
    if look.probability < rise:
        return None
    policy = rules.policy.signals.risk_score
    before = _look(borrower, rules.calendar.midnight_ms(look.day - policy.rise_days), rules)
    risen = look.probability - before.probability
    return _jump_reason(look, before, rise, rules) if risen >= rise else None


# ---- the reasons -----------------------------------------------------------------------------------------------------


def _tier_reason(look: Look, threshold: float, background_min: float, rules: Rules) -> Reason:
    tier = tier_of(look.probability, rules)
    risk = rules.policy.risk
    days, horizon, date = risk.target_days_late, risk.horizon_days, iso_date(look.day)
    shown, begins_at, background, enough = map(
        _percent, (look.probability, threshold, look.background, background_min)
    )
    return Reason(
        code="RS-TIER",
        text=Text(
            en=f"{shown} likely on {date} to be {days} days past due within {horizon} days: tier {tier} (this severity "
            f"holds from {begins_at}). Had nothing ever been late it would be {background} (asked for: {enough}).",
            zh=f"截至 {date}，{horizon} 天内逾期达 {days} 天的概率为 {shown}：风险等级{_TIERS_ZH[tier]}（达到 {begins_at} "
            f"即为此级别）；假设从未逾期则为 {background}（要求至少 {enough}）。",
        ),
        evidence={
            "probability": plain_number(look.probability),
            "threshold": plain_number(threshold),
            "tier": tier,
            "background": plain_number(look.background),
            "background_min": plain_number(background_min),
            "target_days_late": days,
            "horizon_days": horizon,
            "as_of_date": date,
            "model_version": rules.card.version,
        },
    )


def _jump_reason(look: Look, before: Look, rise: float, rules: Rules) -> Reason:
    days = rules.policy.signals.risk_score.rise_days
    date, date_before = iso_date(look.day), iso_date(before.day)
    risen = look.probability - before.probability
    shown, shown_before = _percent(look.probability), _percent(before.probability)
    points, asked = (_percent(part).removesuffix(" %") for part in (risen, rise))
    return Reason(
        code="RS-JUMP",
        text=Text(
            en=f"The probability has risen by {points} points within {days} days (threshold {asked}): from {shown_before} on "
            f"{date_before} to {shown} on {date}.",
            zh=f"{days} 天内概率上升 {points} 个百分点（阈值 {asked}）：由 {date_before} 的 {shown_before} 升至 {date} 的 {shown}。",
        ),
        evidence={
            "rise": plain_number(risen),
            "threshold": plain_number(rise),
            "probability": plain_number(look.probability),
            "probability_before": plain_number(before.probability),
            "rise_days": days,
            "as_of_date": date,
            "before_date": date_before,
            "tier": tier_of(look.probability, rules),
            "model_version": rules.card.version,
        },
    )


def _factor_reasons(features: Features, rules: Rules) -> list[Reason]:
    return [
        _factor_reason(factor) for factor in rules.card.reasons(rules.card.pick(features), FACTORS_TOLD_MAX)
    ]


def _factor_reason(factor: Contribution) -> Reason:
    value, weight = plain_number(factor.value), plain_number(factor.weight, 2)
    return Reason(
        code="RS-FACTOR",
        text=Text(
            en=f"What counts most: {factor.feature} {value} adds {weight} to the log-odds.",
            zh=f"主要因素：{_FEATURES_ZH.get(factor.feature, factor.feature)} {value}，使对数几率增加 {weight}。",
        ),
        evidence={"feature": factor.feature, "value": value, "log_odds": weight},
    )


def _percent(fraction: float) -> str:
    return f"{plain_number(fraction * 100, 2)} %"


_TIERS_ZH: Final[dict[Tier, str]] = {"low": "低", "medium": "中", "high": "高", "severe": "极高"}
_FEATURES_ZH: Final = {
    "days_past_due": "当前逾期天数",
    "worst_days_past_due": "历史最长逾期天数",
    "overdue_share": "逾期金额占比",
    "missed_instalments": "未还期数",
    "income_lost_fraction": "收入下降比例",
    "income_visible": "可见收入",
    "new_institutions": "新增机构数",
    "utilisation": "额度使用率",
    "relation_days": "合作天数",
    "open_loans": "未结清贷款数",
    "granted_months": "授信额（月工资数）",
    "paid_months": "近期还款额（月工资数）",
    "days_since_payment": "距上次还款天数",
    "statement_paid_share": "账单还款比例",
    "statement_utilisation": "账单额度使用率",
    "statement_change": "账单余额变化",
    "statement_change_3": "三期账单余额变化",
    "debt_months": "负债收入比（月收入倍数）",
    "debt_service_share": "月还款收入比",
    "cash_cover": "可见余额对下期还款的覆盖率",
    "rollovers": "以贷还贷次数",
    "unreached_attempts": "联系未果次数",
    "broken_promises": "未履行还款承诺次数",
    "days_to_due": "距下次应还天数",
    "days_since_late": "距上次逾期天数",
}
"""By feature; another card's own feature is called by its name."""


class RiskScore:
    """`risk_score`, a borrower at a time, on the watermark of `repayments`."""

    name: Final = "risk_score"
    clock: Final = REPAYMENTS
    feed: Final = REPAYMENTS
    looks_often: Final = False

    def cooldown_days(self, rules: Rules) -> int:
        """As the policy says."""
        return rules.policy.signals.risk_score.cooldown_days

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
        """What the last midnight's look shows."""
        severity = None if episode is None else SEVERITIES[episode.severity]
        return judge(borrower, at_ms, severity, rules)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next midnight at which there may be something to find."""
        severity = None if episode is None else SEVERITIES[episode.severity]
        return next_deadline_ms(borrower, after_ms, severity, rules)

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """Come true or without object, or fallen."""
        return resolution(borrower, at_ms, rules)
