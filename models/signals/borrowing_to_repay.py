"""`borrowing_to_repay`: a loan from one platform, then a repayment to another within days, again and again.

`models.rollovers` says what a pair of disbursement and repayment is, and what is none: a refinancing that was agreed, one loan
that consolidates several, revolving with one platform. The signal counts the pairs completed within `window_days`; once is
no alert. It opens at the count of `watch`, rises at those of `warning` and `serious`, and is found no more (resolution
`passed`) when the window has emptied below `watch`. An open alert eases one pair below the count at which its severity began.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from models.alerts import EvidenceValue, Finding, Reason, Resolution, Severity, Text, plain_number
from models.borrower import HIGHEST, Borrower
from models.calendars import DAY_MS, iso_date
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import FUND_FLOWS
from models.ledger import Loan
from models.money import format_amount
from models.policy import CountSeverity
from models.rollovers import Pair, RolloverEvidence, lent_at_most, pairs
from models.rules import Rules
from models.signals.binding import BORROWER_LEVEL, known_of, open_state

LISTED_MAX: Final = 5
"""Pairs told in the evidence, the newest: as many as make it `serious`."""


def judge(
    evidence: RolloverEvidence,
    loans: dict[str, Loan],
    at_ms: int,
    open_severity: Severity | None,
    rules: Rules,
    *,
    deadline: bool = False,
) -> Finding | None:
    """Count the pairs in the window that ends at `at_ms`.

    Args:
        evidence: of one borrower.
        loans: the borrower's own.
        at_ms: later evidence does not count.
        open_severity: of the open alert, which eases later than it rose.
        rules: the policy.
        deadline: what happens at the very instant of `at_ms` comes after it.
    """
    policy = rules.policy.signals.borrowing_to_repay
    counted = _within_window(evidence, loans, known_of(at_ms, deadline=deadline), at_ms, rules)
    reached = _severity(len(counted), open_severity, policy.severity)
    if reached is None:
        return None
    severity, threshold = reached
    return Finding(severity, (_reason(counted, threshold, rules),))


def next_deadline_ms(
    evidence: RolloverEvidence, loans: dict[str, Loan], after_ms: int, rules: Rules
) -> int | None:
    """The first instant after `after_ms` at which a pair leaves the window, while there are enough of them."""
    policy = rules.policy.signals.borrowing_to_repay
    counted = _within_window(evidence, loans, after_ms, after_ms, rules)
    if len(counted) < policy.severity.watch:
        return None
    return counted[0].completed_ms + policy.window_days * DAY_MS


def _within_window(
    evidence: RolloverEvidence, loans: dict[str, Loan], known_ms: int, at_ms: int, rules: Rules
) -> list[Pair]:
    """The pairs completed in the half-open window that ends at `at_ms`: later than its start, not after its end.

    None of them where there cannot be enough for an alert.
    """
    if not is_in_reach(evidence, loans, at_ms, rules):
        return []
    start_ms = at_ms - rules.policy.signals.borrowing_to_repay.window_days * DAY_MS
    return [pair for pair in pairs(evidence, loans, known_ms, rules) if pair.completed_ms > start_ms]


def is_in_reach(evidence: RolloverEvidence, loans: dict[str, Loan], at_ms: int, rules: Rules) -> bool:
    """Whether the window that ends at `at_ms`, or a later one, may hold enough: each pair takes a repayment, and a loan of its own."""
    policy = rules.policy.signals.borrowing_to_repay
    if len(evidence.repayments) < policy.severity.watch:
        return False
    start_ms = at_ms - (policy.window_days + policy.pair_days) * DAY_MS
    return lent_at_most(evidence, loans, start_ms) >= policy.severity.watch


def _severity(
    count: int, open_severity: Severity | None, thresholds: CountSeverity
) -> tuple[Severity, int] | None:
    """The severity of a count, and the count from which on it holds."""
    if count < thresholds.watch:
        return None
    for severity, opens_at in (
        (Severity.SERIOUS, thresholds.serious),
        (Severity.WARNING, thresholds.warning),
        (Severity.WATCH, thresholds.watch),
    ):
        if count >= opens_at:
            return severity, opens_at
        eases_below = max(opens_at - 1, thresholds.watch)
        if open_severity is not None and open_severity >= severity and count >= eases_below:
            return severity, eases_below
    return None


def _reason(counted: list[Pair], threshold: int, rules: Rules) -> Reason:
    policy = rules.policy.signals.borrowing_to_repay
    first_date, last_date = (
        iso_date(rules.calendar.day_of(pair.completed_ms)) for pair in (counted[0], counted[-1])
    )
    percent = f"{plain_number(policy.pair_fraction * 100, 1)} %"
    evidence: dict[str, EvidenceValue] = {
        "pairs": len(counted),
        "threshold": threshold,
        "window_days": policy.window_days,
        "pair_days": policy.pair_days,
        "pair_fraction": plain_number(policy.pair_fraction),
        "first_date": first_date,
        "last_date": last_date,
        "newest_pairs": "; ".join(_told(pair, rules) for pair in counted[-LISTED_MAX:]),
    }
    english = (
        f"{len(counted)} times within {policy.window_days} days ({first_date} to {last_date}) a loan was followed "
        f"within {policy.pair_days} days by repayments to another platform of at least {percent} of it; "
        f"this severity holds from {threshold}."
    )
    chinese = (
        f"{policy.window_days} 天内 {len(counted)} 次（{first_date} 至 {last_date}）在获得放款后 {policy.pair_days} 天内"
        f"向其他平台还款，金额不低于放款的 {percent}；达到 {threshold} 次即为此级别。"
    )
    return Reason(code="BTR-COUNT", text=Text(en=english, zh=chinese), evidence=evidence)


def _told(pair: Pair, rules: Rules) -> str:
    lent_date, repaid_date = (
        iso_date(rules.calendar.day_of(time_ms)) for time_ms in (pair.lent.time_ms, pair.completed_ms)
    )
    borrowed, repaid = (
        format_amount(amount, pair.lent.currency) for amount in (pair.lent.amount_minor, pair.repaid_minor)
    )
    return f"{lent_date} {borrowed} from {pair.lent.platform_id}, {repaid_date} {repaid} to {pair.repaid_to}"


@lru_cache(maxsize=64)
def _may_confirm(rules: Rules) -> bool:
    return any(rule.confirmed_by == BorrowingToRepay.name for rule in rules.policy.combinations)


class BorrowingToRepay:
    """`borrowing_to_repay`, a borrower at a time; its window follows the task's highest watermark."""

    name: Final = "borrowing_to_repay"
    clock: Final = HIGHEST
    feed: Final = FUND_FLOWS
    looks_often: Final = False

    def cooldown_days(self, rules: Rules) -> int:
        """As the policy says."""
        return rules.policy.signals.borrowing_to_repay.cooldown_days

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
        """Pairs of borrowing and repaying in the window that ends at `at_ms`."""
        severity, _ = open_state(episode)
        return judge(borrower.rollovers, borrower.loans, at_ms, severity, rules, deadline=deadline)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next instant at which a pair leaves the window: it shows in its own alert, and in what it confirms."""
        if episode is None and not _may_confirm(rules):
            return NEVER
        due_ms = next_deadline_ms(borrower.rollovers, borrower.loans, after_ms, rules)
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """The window has emptied, or what was paired proved to be agreed."""
        return "passed"
