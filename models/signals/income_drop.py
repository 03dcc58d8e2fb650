"""`income_drop`: recognised income against the borrower's own past (`models.income_picture`).

**Found** where the part lost reaches a threshold, with a history as long as the policy wants from the first to the last
full pay. An open alert keeps its severity until the loss is `ease_margin` below its threshold. It resolves when income
returns, or as `passed` when the level has settled (`_has_settled`).

**Cannot see.** A pay may be missing only because we no longer see its account (`models.income_sight`). If the loss in sight
alone is none, the finding is `watch` and not actionable.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from models.alerts import EvidenceValue, Finding, Reason, Resolution, Severity, Text, plain_number
from models.borrower import Borrower
from models.calendars import iso_date
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import FUND_FLOWS
from models.income import EMPLOYER, SALARY, IncomeEvidence
from models.income_outlook import forgotten_day, is_plain, later, next_fall_day, outlook_of
from models.income_picture import Picture, is_plainly_enough, picture_of, scene_of
from models.limits import INT64_MAX
from models.money import format_amount
from models.obligations import NO_DAY
from models.pays import next_counting_day
from models.policy import IncomeDropPolicy
from models.rhythm import levels_before
from models.rules import Rules
from models.signals.binding import BORROWER_LEVEL, open_state

SETTLED_BAND: Final = 0.15
"""Of the usual income: how far the level may move and still count as settled."""
SETTLED_CHECK_DAYS: Final = 30
"""Between two looks at whether an unsettled level has settled after all."""
PERIOD_DAYS: Final = 30
"""What `income_minor` and `usual_income_minor` are for: a month."""


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
    if opened_at_ms is None and is_plain(evidence, at_ms, rules):
        return None
    scene = scene_of(evidence, at_ms, opened_at_ms, rules)
    if opened_at_ms is None and is_plainly_enough(scene.standings, scene.look_day, policy.severity.watch):
        return None
    picture = picture_of(scene, policy)
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
        due_ms = outlook_of(evidence, after_ms, rules).deadline_ms
        return None if due_ms == NEVER else due_ms
    policy, calendar = rules.policy.signals.income_drop, rules.calendar
    scene = scene_of(evidence, after_ms, opened_at_ms, rules)
    check_day = _next_settled_check(scene.today, calendar.day_of(opened_at_ms), policy)
    day = min(
        later(scene.today, next_counting_day(evidence, scene.today)),
        later(scene.today, check_day),
        next_fall_day(evidence, scene, policy),
    )
    return None if day == NO_DAY else calendar.midnight_ms(day)


def resolution(evidence: IncomeEvidence, opened_at_ms: int, at_ms: int, rules: Rules) -> Resolution | None:
    """Why an alert is found no more as of `at_ms`: None where income returned, `passed` where it settled without."""
    policy = rules.policy.signals.income_drop
    picture = picture_of(scene_of(evidence, at_ms, opened_at_ms, rules), policy)
    if picture is None:
        return "passed"
    return "passed" if picture.lost >= policy.severity.watch - policy.ease_margin else None


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


def _is_forgotten(picture: Picture, policy: IncomeDropPolicy) -> bool:
    """Whether no income at all has been the new normal for long enough."""
    return picture.income == 0 and picture.today >= forgotten_day(picture.standings, policy)


def _may_be_a_part_month(picture: Picture, policy: IncomeDropPolicy) -> bool:
    """Whether the loss may be a new employer's first pay for part of a month: then its second pay tells."""
    first_pays = sum(
        standing.level
        for standing in picture.standings
        if len(standing.stream.levels) == 1 and standing.stream.kind in (SALARY, EMPLOYER)
    )
    doubled = picture.income + first_pays
    return first_pays > 0 and (picture.usual - doubled) / picture.usual < policy.severity.watch


def _has_settled(picture: Picture, opened_day: int, policy: IncomeDropPolicy) -> bool:
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


def _next_settled_check(today: int, opened_day: int, policy: IncomeDropPolicy) -> int:
    first_day = opened_day + policy.settled_days
    if today < first_day:
        return first_day
    next_day = today + SETTLED_CHECK_DAYS - (today - first_day) % SETTLED_CHECK_DAYS
    last_day = first_day + policy.settled_days // 2
    return min(next_day, last_day) if today < last_day else 0


# ---- reasons ---------------------------------------------------------------------------------------------------------


def _loss_reasons(picture: Picture, threshold: float) -> tuple[Reason, ...]:
    reasons = [
        _absent_reason(picture, threshold) if picture.income == 0 else _drop_reason(picture, threshold)
    ]
    if picture.unseen:
        reasons.append(_blind_reason(picture, threshold))
    return tuple(reasons)


def _numbers(picture: Picture, lost: float, threshold: float) -> dict[str, EvidenceValue]:
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


def _absent_reason(picture: Picture, threshold: float) -> Reason:
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


def _drop_reason(picture: Picture, threshold: float) -> Reason:
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


def _blind_reason(picture: Picture, threshold: float) -> Reason:
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
        if episode is None:
            return judge(borrower.income, at_ms, None, None, rules)
        return judge(borrower.income, at_ms, *open_state(episode), rules)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next local midnight by which pay is expected, or the new level has settled."""
        if episode is None:
            return outlook_of(borrower.income, after_ms, rules).deadline_ms
        due_ms = next_deadline_ms(borrower.income, after_ms, *open_state(episode), rules)
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """None where income returned, `passed` where it settled at a new level."""
        return resolution(borrower.income, episode.opened_ms, at_ms, rules)
