"""`unreachable`: attempts to reach the borrower fail again and again while something is past due, or promises are broken.

**Attempts.** Counted are failed attempts at the borrower (party `borrower`, or none given) since the last answer, made while
an own loan was past due: since the grace of the oldest unpaid instalment ended. So a payment that clears the oldest
instalment begins the count anew: who pays is not out of reach. They must lie on several local days.

**Promises.** A promise with a date is broken when its day, and the grace for bookings, has ended and less than the policy's
share of the promised amount had come in since it was made, over all own loans; where no amount was promised, when nothing
came. What a guarantor, an insurer or the lender pays keeps nobody's promise. A broken promise counts for
`promise_window_days`, while something is past due, and only where it was broken since then: once the oldest unpaid instalment
is cleared, what was promised for it has been made good, if late, and the next miss does not bring it up again.

**What does not count**, for a false alarm sends a field worker to somebody's door: attempts at third parties, co-borrowers
and guarantors, and their answers (another person's answer reaches nobody); attempts whose outcome or party nobody could
tell; attempts before anything was past due; a promise without a date; a promise for a day already over when it was made. A
refusal is an answer.

Resolves (`paid`) when nothing is past due any more; without a resolution's name when the borrower was reached and no broken promise
counts; `passed` when broken promises have become old. The worse of the two counts is the severity, without hysteresis:
between two answers or payments the first only grows, and the second steps at most once a promise.

Its deadlines are about payments that did not come, so the watermark of `repayments` judges them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from models import servicing
from models.alerts import Finding, Reason, Resolution, Severity, Text
from models.borrower import Borrower
from models.calendars import DAY_MS, iso_date
from models.deadlines import NEVER
from models.episodes import Episode
from models.events import REPAYMENTS
from models.ledger import Loan, oldest_unpaid_day
from models.money import format_amount
from models.policy import CountSeverity, UnreachablePolicy
from models.rules import Rules
from models.servicing import Contact, ServicingEvidence, end_of_day_ms
from models.signals.binding import BORROWER_LEVEL, known_of


class _Broken(NamedTuple):
    """A promise that was not kept, when that was certain, and what had come in by then (minor units)."""

    promise: Contact
    end_ms: int
    paid_minor: int


def judge(
    evidence: ServicingEvidence,
    loans: dict[str, Loan],
    at_ms: int,
    rules: Rules,
    *,
    deadline: bool = False,
) -> Finding | None:
    """What the contact record says as of `at_ms`, while a loan is past due.

    Args:
        evidence: of one borrower.
        loans: the borrower's own loans.
        at_ms: later events do not count; with `deadline`, those of that very instant neither.
        rules: the policy.
        deadline: time alone caused the judgement.
    """
    if not evidence.contacts:
        return None
    since_ms = past_due_since_ms(loans, at_ms, rules, deadline=deadline)
    if since_ms is None:
        return None
    known_ms = known_of(at_ms, deadline=deadline)
    policy = rules.policy.signals.unreachable
    found = [
        _attempts_found(evidence, since_ms, known_ms, policy, rules),
        _promises_found(evidence, loans, since_ms, known_ms, at_ms, policy, rules),
    ]
    worst_first = sorted((one for one in found if one is not None), key=lambda one: -one[0])
    if not worst_first:
        return None
    return Finding(worst_first[0][0], tuple(reason for _, reason in worst_first))


def next_deadline_ms(evidence: ServicingEvidence, after_ms: int, rules: Rules) -> int | None:
    """The first instant after `after_ms` at which time alone may change the judgement, or None.

    A promise is certain to be broken, or too old to count. Failed attempts count by themselves, and a loan that falls past due
    finds nothing that counts yet.
    """
    policy = rules.policy.signals.unreachable
    window_ms = policy.promise_window_days * DAY_MS
    next_ms: int | None = None
    for contact in evidence.contacts:
        if contact.promise_day is None or not _can_be_broken(contact, rules):
            continue
        change_ms = _end_ms(contact, rules)
        if change_ms <= after_ms:
            change_ms += window_ms
        if change_ms > after_ms and (next_ms is None or change_ms < next_ms):
            next_ms = change_ms
    return next_ms


def resolution(
    evidence: ServicingEvidence, loans: dict[str, Loan], opened_ms: int, at_ms: int, rules: Rules
) -> Resolution | None:
    """Why the alert is over: nothing past due, an answer since it opened, or time."""
    if past_due_since_ms(loans, at_ms, rules, deadline=False) is None:
        return "paid"
    answer = servicing.last_answer(evidence, at_ms)
    return None if answer is not None and answer.time_ms >= opened_ms else "passed"


def past_due_since_ms(loans: dict[str, Loan], at_ms: int, rules: Rules, *, deadline: bool) -> int | None:
    """Since when something is past due beyond its grace as of `at_ms`: the oldest unpaid instalment of all loans."""
    known_ms = known_of(at_ms, deadline=deadline)
    oldest_day: int | None = None
    for loan in loans.values():
        due_day = oldest_unpaid_day(loan, known_ms, rules) if loan.opened_ms <= known_ms else None
        if due_day is not None and (oldest_day is None or due_day < oldest_day):
            oldest_day = due_day
    if oldest_day is None:
        return None
    since_ms = rules.calendar.midnight_ms(oldest_day + rules.silent_days + 1)
    return since_ms if since_ms <= at_ms else None


def _attempts_found(
    evidence: ServicingEvidence, since_ms: int, known_ms: int, policy: UnreachablePolicy, rules: Rules
) -> tuple[Severity, Reason] | None:
    row = servicing.unreached_since(evidence, since_ms, known_ms)
    reached = _severity_of(len(row), policy.severity)
    if reached is None:
        return None
    days = {rules.calendar.day_of(contact.time_ms) for contact in row}
    if len(days) < policy.distinct_days_min:
        return None
    severity, threshold = reached
    return severity, _attempts_reason(len(row), days, threshold, policy)


def _promises_found(
    evidence: ServicingEvidence,
    loans: dict[str, Loan],
    since_ms: int,
    known_ms: int,
    at_ms: int,
    policy: UnreachablePolicy,
    rules: Rules,
) -> tuple[Severity, Reason] | None:
    broken = broken_promises(evidence, loans, known_ms, at_ms, rules, since_ms)
    reached = _severity_of(len(broken), policy.broken_promises)
    if reached is None:
        return None
    severity, threshold = reached
    return severity, _promises_reason(broken, loans, threshold, policy)


def broken_promises(
    evidence: ServicingEvidence,
    loans: dict[str, Loan],
    known_ms: int,
    at_ms: int,
    rules: Rules,
    since_ms: int = -1,
) -> list[_Broken]:
    """The promises whose end lies within the window before `at_ms` and not before `since_ms`, and that were not kept by then."""
    policy = rules.policy.signals.unreachable
    since_ms = max(since_ms, at_ms - policy.promise_window_days * DAY_MS + 1)
    broken: list[_Broken] = []
    for promise in evidence.contacts:
        if promise.promise_day is None or promise.time_ms > known_ms:
            continue
        end_ms = _end_ms(promise, rules)
        if not since_ms <= end_ms <= at_ms or not _can_be_broken(promise, rules):
            continue
        paid_minor = _paid_minor(loans, promise.time_ms, end_ms, known_ms)
        if not _is_kept(promise, paid_minor, policy):
            broken.append(_Broken(promise, end_ms, paid_minor))
    return broken


def _can_be_broken(contact: Contact, rules: Rules) -> bool:
    """A promise for a day that was over when it was made is a mistake of whoever wrote it down."""
    if contact.promise_day is None or not contact.is_promise:
        return False
    return contact.promise_day >= rules.calendar.day_of(contact.time_ms)


def _end_ms(promise: Contact, rules: Rules) -> int:
    """The midnight from which on a promise not kept is broken."""
    assert promise.promise_day is not None
    return end_of_day_ms(promise.promise_day + rules.policy.signals.unreachable.promise_grace_days, rules)


def _is_kept(promise: Contact, paid_minor: int, policy: UnreachablePolicy) -> bool:
    if promise.promise_amount_minor is None:
        return paid_minor > 0
    return paid_minor >= policy.promise_kept_share * promise.promise_amount_minor


def _paid_minor(loans: dict[str, Loan], from_ms: int, until_ms: int, known_ms: int) -> int:
    """What came in from `from_ms` to before `until_ms`, over all loans, but for compensation; bounced by now is not paid."""
    return sum(
        payment.counted_minor(known_ms)
        for loan in loans.values()
        for payment in loan.payments
        if from_ms <= payment.time_ms < until_ms and payment.time_ms <= known_ms and not payment.compensates
    )


def _severity_of(count: int, thresholds: CountSeverity) -> tuple[Severity, int] | None:
    ladder = (
        (Severity.SERIOUS, thresholds.serious),
        (Severity.WARNING, thresholds.warning),
        (Severity.WATCH, thresholds.watch),
    )
    return next((step for step in ladder if count >= step[1]), None)


def _attempts_reason(count: int, days: set[int], threshold: int, policy: UnreachablePolicy) -> Reason:
    first, last = iso_date(min(days)), iso_date(max(days))
    return Reason(
        code="UR-CONTACT",
        text=Text(
            en=f"{count} attempts in a row did not reach the borrower, on {len(days)} days ({first} to {last}), while "
            f"past due; this severity holds from {threshold}, on at least {policy.distinct_days_min} days.",
            zh=f"逾期期间连续 {count} 次联系借款人未果，分布在 {len(days)} 天（{first} 至 {last}）；"
            f"达到 {threshold} 次且至少 {policy.distinct_days_min} 天即为此级别。",
        ),
        evidence={
            "attempts": count,
            "threshold": threshold,
            "days": len(days),
            "threshold_days": policy.distinct_days_min,
            "first_date": first,
            "last_date": last,
        },
    )


def _promises_reason(
    broken: list[_Broken], loans: dict[str, Loan], threshold: int, policy: UnreachablePolicy
) -> Reason:
    last = broken[-1]
    asked_minor = last.promise.promise_amount_minor
    promised_date = iso_date(last.promise.promise_day)
    currencies = {loan.currency for loan in loans.values()}
    currency = currencies.pop() if len(currencies) == 1 else ""
    paid = format_amount(last.paid_minor, currency).strip()
    asked = "a payment" if asked_minor is None else format_amount(asked_minor, currency).strip()
    asked_zh = "还款" if asked_minor is None else f"还款 {asked}"
    count = len(broken)
    return Reason(
        code="UR-PROMISE",
        text=Text(
            en=f"{count} broken {'promise' if count == 1 else 'promises'} within {policy.promise_window_days} days, the "
            f"last one of {asked} by {promised_date}, of which {paid} came; this severity holds from {threshold}.",
            zh=f"{policy.promise_window_days} 天内 {count} 次未履行还款承诺，最近一次承诺于 {promised_date} 前{asked_zh}，"
            f"实际收到 {paid}；达到 {threshold} 次即为此级别。",
        ),
        evidence={
            "broken_promises": count,
            "threshold": threshold,
            "window_days": policy.promise_window_days,
            "promised_date": promised_date,
            "promised_minor": asked_minor,
            "paid_minor": last.paid_minor,
            "kept_share": policy.promise_kept_share,
        },
    )


class Unreachable:
    """`unreachable`, a borrower at a time, on the watermark of `repayments`: what it misses are payments."""

    name: Final = "unreachable"
    clock: Final = REPAYMENTS
    feed: Final = REPAYMENTS
    looks_often: Final = False

    def cooldown_days(self, rules: Rules) -> int:
        """As the policy says."""
        return rules.policy.signals.unreachable.cooldown_days

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
        """Failed attempts and broken promises while past due."""
        return judge(borrower.servicing, borrower.loans, at_ms, rules, deadline=deadline)

    def next_deadline_ms(
        self, borrower: Borrower, subject: str | None, after_ms: int, episode: Episode | None, rules: Rules
    ) -> int:
        """The next instant at which a promise is broken or forgotten."""
        if not borrower.servicing.contacts:
            return NEVER
        due_ms = next_deadline_ms(borrower.servicing, after_ms, rules)
        return NEVER if due_ms is None else due_ms

    def resolution(
        self, borrower: Borrower, subject: str | None, at_ms: int, episode: Episode, rules: Rules
    ) -> Resolution | None:
        """Paid, reached, or passed."""
        return resolution(borrower.servicing, borrower.loans, episode.opened_ms, at_ms, rules)
