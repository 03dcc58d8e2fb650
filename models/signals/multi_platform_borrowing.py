"""Borrowing spreads to new platforms: distinct new institutions within the policy's window.

What counts, and what makes an institution known, is said in `models.institutions`. The signal opens at the count of
`watch`, rises at those of `warning` and `serious`, and is found no more (resolution `passed`) when the window has
emptied below `watch`. An open alert eases one institution below the count at which its severity began, so that a
borrower who gains one and loses one does not make it escalate and ease in turn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from models.alerts import EvidenceValue, Finding, Reason, Resolution, Severity, Text
from models.borrower import HIGHEST, Borrower
from models.calendars import DAY_MS, iso_date
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import CREDIT_QUERIES
from models.institutions import (
    ACCOUNT,
    DISBURSEMENT,
    QUERY,
    InstitutionEvidence,
    NewInstitution,
    new_institutions,
    within_window,
)
from models.policy import CountSeverity
from models.rules import Rules
from models.signals.binding import BORROWER_LEVEL, open_state

LISTED_MAX: Final = 10
"""Institutions named in the evidence: enough to check a `serious` alert, bounded for the reader's sake."""


def judge(
    evidence: InstitutionEvidence,
    at_ms: int,
    open_severity: Severity | None,
    own: Collection[str],
    rules: Rules,
) -> Finding | None:
    """Find what the window that ends at `at_ms` holds.

    Args:
        evidence: of one borrower.
        at_ms: later evidence does not count.
        open_severity: of the open alert, which eases later than it rose.
        own: platform ids of the borrower's own loans as of `at_ms`.
        rules: the policy.
    """
    policy = rules.policy.signals.multi_platform_borrowing
    if not is_in_reach(evidence, at_ms, rules):
        return None
    counted = within_window(new_institutions(evidence, own, rules), at_ms, policy.window_days)
    reached = _severity(len(counted), open_severity, policy.severity)
    if reached is None:
        return None
    severity, threshold = reached
    return Finding(severity=severity, reasons=(_reason(counted, threshold, policy.window_days, rules),))


def next_deadline_ms(
    evidence: InstitutionEvidence,
    after_ms: int,
    open_severity: Severity | None,
    own: Collection[str],
    rules: Rules,
) -> int | None:
    """The first instant after `after_ms` at which the finding changes by the passing of time, to the millisecond.

    An institution leaves the window exactly `window_days` after its first sighting. One recorded for later than
    `after_ms` enters it at its first sighting: that matters when an event came late and the rest is judged again.
    """
    policy = rules.policy.signals.multi_platform_borrowing
    watch = policy.severity.watch
    if not is_in_reach(evidence, after_ms, rules):
        return None
    window_ms = policy.window_days * DAY_MS
    found = new_institutions(evidence, own, rules)
    changes_ms = {
        change_ms
        for new in found
        for change_ms in (new.first_ms, new.first_ms + window_ms)
        if change_ms > after_ms
    }
    open_now = len(within_window(found, after_ms, policy.window_days)) >= watch
    for change_ms in sorted(changes_ms):
        if open_now or len(within_window(found, change_ms, policy.window_days)) >= watch:
            return change_ms
    return None


def is_in_reach(evidence: InstitutionEvidence, at_ms: int, rules: Rules) -> bool:
    """Whether the window that ends at `at_ms`, or a later one, may hold enough: each institution in it begins a track."""
    policy = rules.policy.signals.multi_platform_borrowing
    wanted, start_ms = policy.severity.watch, at_ms - policy.window_days * DAY_MS
    for track in reversed(evidence.tracks):
        if not wanted or track.start_ms <= start_ms:
            break
        wanted -= 1
    return not wanted


def _severity(
    count: int, open_severity: Severity | None, thresholds: CountSeverity
) -> tuple[Severity, int] | None:
    """The severity of a count, and the count from which on it holds."""
    ladder = (
        (Severity.SERIOUS, thresholds.serious),
        (Severity.WARNING, thresholds.warning),
        (Severity.WATCH, thresholds.watch),
    )
    for severity, opens_at in ladder:
        if count >= opens_at:
            return severity, opens_at
        eases_below = max(opens_at - 1, thresholds.watch)
        if open_severity is not None and open_severity >= severity and count >= eases_below:
            return severity, eases_below
    return None


def _reason(counted: list[NewInstitution], threshold: int, window_days: int, rules: Rules) -> Reason:
    kinds = [institution.kind for institution in counted]
    by_queries, by_disbursements, by_accounts = map(kinds.count, (QUERY, DISBURSEMENT, ACCOUNT))
    first_date = iso_date(rules.calendar.day_of(counted[0].first_ms))
    last_date = iso_date(rules.calendar.day_of(counted[-1].first_ms))
    names = [institution.institution_id for institution in counted]
    listed = ", ".join(names[:LISTED_MAX]) + (", …" if len(names) > LISTED_MAX else "")
    evidence: dict[str, EvidenceValue] = {
        "institutions": len(counted),
        "threshold": threshold,
        "window_days": window_days,
        "first_date": first_date,
        "last_date": last_date,
        "by_queries": by_queries,
        "by_disbursements": by_disbursements,
        "by_accounts": by_accounts,
        "institution_ids": listed,
    }
    english = (
        f"{len(counted)} new institutions within {window_days} days ({first_date} to {last_date}): "
        f"{by_queries} by application query, {by_disbursements} by disbursement, {by_accounts} by new account; "
        f"this severity holds from {threshold}."
    )
    chinese = (
        f"{window_days} 天内新增 {len(counted)} 家机构（{first_date} 至 {last_date}）："
        f"申请查询 {by_queries} 家，放款 {by_disbursements} 家，新开账户 {by_accounts} 家；"
        f"达到 {threshold} 家即为此级别。"
    )
    return Reason(code="MPB-COUNT", text=Text(en=english, zh=chinese), evidence=evidence)


class MultiPlatformBorrowing:
    """`multi_platform_borrowing`, a borrower at a time; its window follows the task's highest watermark."""

    name: Final = "multi_platform_borrowing"
    clock: Final = HIGHEST
    feed: Final = CREDIT_QUERIES
    looks_often: Final = False

    def cooldown_days(self, rules: Rules) -> int:
        """As the policy says."""
        return rules.policy.signals.multi_platform_borrowing.cooldown_days

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
        """Distinct new institutions in the window that ends at `at_ms`."""
        if not is_in_reach(borrower.institutions, at_ms, rules):
            return None
        severity, _ = open_state(episode)
        return judge(borrower.institutions, at_ms, severity, borrower.own_platforms(at_ms), rules)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next instant at which an institution leaves the window."""
        if not is_in_reach(borrower.institutions, after_ms, rules):
            return NEVER
        severity, _ = open_state(episode)
        due_ms = next_deadline_ms(
            borrower.institutions, after_ms, severity, borrower.own_platforms(after_ms), rules
        )
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """The window has emptied."""
        return "passed"
