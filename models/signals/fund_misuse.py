"""`fund_misuse`: loan money that went within days to what its purpose forbids: securities, property, gambling.

`models.fund_use` says what is a loan's money and what is not: other money in sight is always taken first. The signal compares
what is left for the loan with its principal (with what was disbursed, where no principal is known), and asks for an absolute
minimum besides. A loan whose money was not seen to come in may have been paid to somebody else (a shop, a seller): it is at
most `watch`.

**What does not count.** Property bought with a mortgage, or whatever else the policy allows for a purpose or a product; pay, sales,
refunds and money of other lenders spent on the same; what came back within the watch; payments later than `watch_days`
after the disbursement; other currencies; loans that have ended.

The finding stands for `remember_days` after the watch (resolution `passed`), unless the loan ends or money comes back before.
An open alert keeps a severity until the fraction is `ease_margin` below its threshold. What a payment was for is not known
from its category alone: somebody asks (stage `call`), and a limit is cut, at `serious`, by a person only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from models.alerts import EvidenceValue, Finding, Reason, Resolution, Severity, Text, plain_number
from models.borrower import HIGHEST, Borrower
from models.calendars import DAY_MS, iso_date
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import FUND_FLOWS
from models.fund_use import FundUseEvidence, Use, draws_of, later_changes_ms, use_of
from models.ledger import Loan
from models.limits import INT64_MAX
from models.money import format_amount
from models.obligations import is_open
from models.policy import FundMisusePolicy, UseCategory
from models.rules import Rules
from models.signals.binding import known_of, open_state
from models.signals.missed_payment import resolution as loan_resolution

_CHINESE: Final[dict[UseCategory, str]] = {"securities": "证券", "property": "房产", "gambling": "博彩"}


def judge(
    evidence: FundUseEvidence,
    loans: dict[str, Loan],
    loan_id: str,
    at_ms: int,
    open_severity: Severity | None,
    rules: Rules,
    *,
    deadline: bool = False,
) -> Finding | None:
    """Compare what went where it must not with the principal, as of `at_ms`.

    Args:
        evidence: of one borrower.
        loans: the borrower's own.
        loan_id: the one to judge.
        at_ms: later evidence does not count.
        open_severity: of the open alert, which eases later than it rose.
        rules: the policy.
        deadline: what happens at the very instant of `at_ms` comes after it.
    """
    known_ms = known_of(at_ms, deadline=deadline)
    loan = loans[loan_id]
    if not evidence.last_spent_ms or loan.is_voided or not is_open(loan, known_ms):
        return None
    use = use_of(evidence, loans, loan_id, at_ms, known_ms, rules)
    policy = rules.policy.signals.fund_misuse
    if use is None or use.total_minor < policy.amount_minor_min:
        return None
    fraction = use.total_minor / (loan.principal_minor or use.disbursed_minor)
    reached = _severity(fraction, open_severity, policy, is_seen=use.is_seen)
    if reached is None:
        return None
    severity, threshold = reached
    return Finding(severity, (_reason(loan, use, fraction, threshold, rules),))


def next_deadline_ms(
    evidence: FundUseEvidence, loans: dict[str, Loan], loan_id: str, after_ms: int, rules: Rules
) -> int | None:
    """The first instant after `after_ms` at which a disbursement is remembered no more.

    What is recorded for later than `after_ms` counts from the millisecond after it: that matters when the flows came before
    their loan was known, and nothing was judged at their time.
    """
    loan = loans[loan_id]
    if not evidence.last_spent_ms or loan.is_voided or not is_open(loan, after_ms):
        return None
    policy = rules.policy.signals.fund_misuse
    remembered_ms = (policy.watch_days + policy.remember_days) * DAY_MS
    draws = draws_of(evidence, loans, after_ms, rules).get(loan_id, ())
    changes_ms = [draw.time_ms + remembered_ms for draw in draws if draw.time_ms <= evidence.last_spent_ms]
    changes_ms += [time_ms + 1 for time_ms in later_changes_ms(evidence, after_ms)]
    return min((change_ms for change_ms in changes_ms if change_ms > after_ms), default=None)


def resolution(
    evidence: FundUseEvidence,
    loans: dict[str, Loan],
    loan_id: str,
    opened_ms: int,
    at_ms: int,
    rules: Rules,
) -> Resolution | None:
    """How the loan ended; None where money came back; `passed` where the time is over."""
    loan = loans[loan_id]
    if not is_open(loan, at_ms):
        return loan_resolution(loan, opened_ms, at_ms, rules)
    return "passed" if use_of(evidence, loans, loan_id, at_ms, at_ms, rules) is None else None


def _severity(
    fraction: float, open_severity: Severity | None, policy: FundMisusePolicy, *, is_seen: bool
) -> tuple[Severity, float] | None:
    """The severity of a fraction, and the fraction from which on it holds."""
    thresholds = policy.severity
    for severity, opens_at in (
        (Severity.SERIOUS, thresholds.serious),
        (Severity.WARNING, thresholds.warning),
        (Severity.WATCH, thresholds.watch),
    ):
        if severity > Severity.WATCH and not is_seen:
            continue
        if fraction >= opens_at:
            return severity, opens_at
        eases_below = round(opens_at - policy.ease_margin, 9)
        if open_severity is not None and open_severity >= severity and fraction >= eases_below:
            return severity, eases_below
    return None


def _reason(loan: Loan, use: Use, fraction: float, threshold: float, rules: Rules) -> Reason:
    currency = loan.currency
    used = sorted(use.used_minor.items())
    lent_date, first_date, last_date = (
        iso_date(rules.calendar.day_of(time_ms))
        for time_ms in (use.first_draw_ms, use.first_use_ms, use.last_use_ms)
    )
    evidence: dict[str, EvidenceValue] = {
        "fraction": plain_number(fraction),
        "threshold": plain_number(threshold),
        "used_minor": min(use.total_minor, INT64_MAX),
        "disbursed_minor": use.disbursed_minor,
        "principal_minor": loan.principal_minor,
        "currency": currency,
        "disbursed_date": lent_date,
        "disbursement_seen": "yes" if use.is_seen else "no",
        "first_date": first_date,
        "last_date": last_date,
        "watch_days": rules.policy.signals.fund_misuse.watch_days,
    }
    for category, amount_minor in used:
        evidence[f"{category}_minor"] = min(amount_minor, INT64_MAX)
    whole = format_amount(loan.principal_minor or use.disbursed_minor, currency)
    percent, least = (f"{plain_number(part * 100, 1)} %" for part in (fraction, threshold))
    english = ", ".join(f"{format_amount(amount, currency)} to {category}" for category, amount in used)
    chinese = "、".join(
        f"{format_amount(amount, currency)} 流向{_CHINESE[category]}" for category, amount in used
    )
    return Reason(
        code="FM-FLOW",
        text=Text(
            en=f"Of a loan of {whole} disbursed from {lent_date} on, no other money in sight explains {english} "
            f"({first_date} to {last_date}): {percent} of it; this severity holds from {least}.",
            zh=f"{lent_date} 起发放的 {whole} 贷款中，{chinese}（{first_date} 至 {last_date}），"
            f"无法由其他可见资金解释：占 {percent}；达到 {least} 即为此级别。",
        ),
        evidence=evidence,
    )


class FundMisuse:
    """`fund_misuse`, a loan at a time; its time follows the task's highest watermark."""

    name: Final = "fund_misuse"
    clock: Final = HIGHEST
    feed: Final = FUND_FLOWS
    looks_often: Final = False

    def cooldown_days(self, rules: Rules) -> int:
        """As the policy says."""
        return rules.policy.signals.fund_misuse.cooldown_days

    def subjects(self, borrower: Borrower) -> Iterable[str | None]:
        """Every own loan, once anything was paid to where it may be forbidden."""
        return borrower.loans if borrower.fund_use.last_spent_ms else ()

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
        """What went of the loan's money to where it must not."""
        assert subject is not None
        severity, _ = open_state(episode)
        return judge(borrower.fund_use, borrower.loans, subject, at_ms, severity, rules, deadline=deadline)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """When a disbursement is remembered no more."""
        assert subject is not None
        due_ms = next_deadline_ms(borrower.fund_use, borrower.loans, subject, after_ms, rules)
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """The loan ended, money came back, or the time is over."""
        assert subject is not None
        return resolution(borrower.fund_use, borrower.loans, subject, episode.opened_ms, at_ms, rules)
