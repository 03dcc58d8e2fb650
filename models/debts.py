"""What a borrower owes elsewhere a month, as far as it shows: vendors' summaries, and regular repayments to other platforms.

**A summary** (`credit_summary`) that tells `monthly_due_minor` counts for the policy's `summary_days`; of several sources the
largest counts, for they look at the same debts.

**Regular repayments** are outflows of category `loan_repayment` to a named counterparty that is no own platform. What counts of
one is what it was paid in the month up to its last payment, or in the month before where that is less: so a loan paid off at
once, a first instalment, or two instalments in one month are no monthly burden. A counterparty counts until
`LAPSE_DAYS` after its last payment. Days, not instants, are compared: questions are asked as of a local midnight.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from msgspec import Struct
from xxhash import xxh3_64_intdigest

from models.events import CreditSummary, FundFlow
from models.money import within_int64
from models.obligations import NO_DAY
from models.recent_ids import fingerprint_of
from models.rules import Rules
from models.short_ids import short_id

LAPSE_DAYS: Final = 40
"""Who was not paid for so long is paid no more by the month: a month, and nine days of delay."""
LATE_DAYS: Final = 60
"""How far before the newest entry answers stay exact: the latest lateness that a policy can set."""
LENDERS_MAX: Final = 24
"""Counterparties kept: three times what `multi_platform_borrowing` finds serious; the one paid longest ago makes room."""
SUMMARIES_MAX: Final = 8
"""Summaries kept of all sources together: the oldest goes first."""
RECENT_MAX: Final = 12
"""Repayments kept one by one, the newest: what a void may name. The void of an older one is counted, and changes nothing."""
_CACHED_OWN_MAX: Final = 256
"""Sets of own platforms, by policy, whose names are remembered: a lender has few."""
_MONTH_DAYS: Final = 25
"""Back from a payment, these days hold a month's payments and not those of the month before."""
_BEFORE_DAYS: Final = 55
"""... and these, further back, the month before: gaps of 28 to 31 days."""
_KEPT_DAYS: Final = LAPSE_DAYS + _BEFORE_DAYS + LATE_DAYS


class Lender(Struct, array_like=True):
    """A counterparty that loans are repaid to, in one currency."""

    counterparty_id: str
    currency: str
    paid: list[int] = []
    """Day and what was paid on it, and so on, days ascending."""


class Summary(Struct, array_like=True, gc=False):
    """What one source says falls due a month."""

    day: int
    source: str
    monthly_due_minor: int
    fingerprint: bytes = b""
    """Of its event's id: a void names it."""


class RecentRepayment(Struct, array_like=True, frozen=True, order=True, gc=False):
    """A repayment by itself, so that it can be taken back."""

    day: int
    fingerprint: bytes
    lender: int
    """`_lender_key`."""
    amount_minor: int


class DebtEvidence(Struct, array_like=True):
    """All that is kept of one borrower's debts elsewhere: 3 bytes while empty, about 60 a lender."""

    lenders: list[Lender] = []
    summaries: list[Summary] = []
    """By day, source, amount, fingerprint."""
    newest_day: int = 0
    """Of a repayment: what is forgotten is measured from it."""
    recent: list[RecentRepayment] = []
    """By day: about 25 bytes each."""


# ---- recording -------------------------------------------------------------------------------------------------------


def record_flow(evidence: DebtEvidence, flow: FundFlow, rules: Rules) -> bool:
    """Remember a repayment elsewhere. Return whether it is one."""
    if flow.category != "loan_repayment" or flow.direction != "out" or flow.counterparty_id is None:
        return False
    if flow.loan_id is not None or not flow.amount_minor:
        return False
    day = rules.calendar.day_of(flow.event_time_ms)
    if day > evidence.newest_day:
        evidence.newest_day = day
        _forget_old(evidence, day - _KEPT_DAYS)
    elif day < evidence.newest_day - _KEPT_DAYS:
        return False
    lender = _lender_of(evidence, short_id(rules.institution(flow.counterparty_id)), flow.currency, day)
    if lender is None:
        return False
    paid = lender.paid
    index = len(paid)
    while index and paid[index - 2] > day:
        index -= 2
    if index and paid[index - 2] == day:
        paid[index - 1] = within_int64(paid[index - 1] + flow.amount_minor)
    else:
        paid[index:index] = (day, flow.amount_minor)
    insort(
        evidence.recent,
        RecentRepayment(day, fingerprint_of(flow.event_id), _lender_key(lender), flow.amount_minor),
    )
    del evidence.recent[:-RECENT_MAX]
    return True


def record_summary(evidence: DebtEvidence, event: CreditSummary, rules: Rules) -> bool:
    """Remember what a vendor says falls due a month. Return whether it says so."""
    if event.monthly_due_minor is None:
        return False
    day = rules.calendar.day_of(event.event_time_ms)
    told = Summary(day, short_id(event.source), event.monthly_due_minor, fingerprint_of(event.event_id))
    insort(evidence.summaries, told, key=_summary_order)
    del evidence.summaries[:-SUMMARIES_MAX]
    return True


def void_flow(evidence: DebtEvidence, fingerprint: bytes) -> bool:
    """Take a voided repayment back; False where it is not remembered."""
    gone = next((one for one in evidence.recent if one.fingerprint == fingerprint), None)
    if gone is None:
        return False
    evidence.recent.remove(gone)
    lender = next((one for one in evidence.lenders if _lender_key(one) == gone.lender), None)
    if lender is not None and gone.day in lender.paid[::2]:
        index = 2 * lender.paid[::2].index(gone.day)
        lender.paid[index + 1] -= gone.amount_minor
        if lender.paid[index + 1] <= 0:
            del lender.paid[index : index + 2]
        if not lender.paid:
            evidence.lenders.remove(lender)
    return True


def void_summary(evidence: DebtEvidence, fingerprint: bytes) -> bool:
    """Take a voided summary back; False where it is not remembered."""
    kept = [summary for summary in evidence.summaries if summary.fingerprint != fingerprint]
    was_there = len(kept) < len(evidence.summaries)
    evidence.summaries = kept
    return was_there


def _summary_order(summary: Summary) -> tuple[int, str, int, bytes]:
    return summary.day, summary.source, summary.monthly_due_minor, summary.fingerprint


def _lender_key(lender: Lender) -> int:
    """Thirty-two bits tell two dozen lenders apart."""
    return xxh3_64_intdigest(f"{lender.counterparty_id}/{lender.currency}".encode()) & 0xFFFFFFFF


def _lender_of(evidence: DebtEvidence, counterparty_id: str, currency: str, day: int) -> Lender | None:
    lenders = evidence.lenders
    for lender in lenders:
        if lender.counterparty_id == counterparty_id and lender.currency == currency:
            return lender
    if len(lenders) >= LENDERS_MAX:
        oldest = min(lenders, key=lambda lender: (lender.paid[-2], lender.counterparty_id, lender.currency))
        if oldest.paid[-2] >= day:
            return None
        lenders.remove(oldest)
    lender = Lender(counterparty_id, currency)
    lenders.append(lender)
    return lender


def _forget_old(evidence: DebtEvidence, first_day: int) -> None:
    for lender in evidence.lenders:
        while lender.paid and lender.paid[0] < first_day:
            del lender.paid[:2]
    if any(not lender.paid for lender in evidence.lenders):
        evidence.lenders = [lender for lender in evidence.lenders if lender.paid]


# ---- questions -------------------------------------------------------------------------------------------------------


def summary_minor(evidence: DebtEvidence, day: int, summary_days: int) -> int | None:
    """The largest of what sources say falls due a month, on what was known before the local `day`; None where none does.

    Of one source the newest holds, and of one day the largest.
    """
    latest: dict[str, int] = {}
    for summary in evidence.summaries:
        if day - summary_days <= summary.day < day:
            latest[summary.source] = summary.monthly_due_minor
    return max(latest.values(), default=None)


def regular_repayments(
    evidence: DebtEvidence, currency: str, day: int, own: Collection[str], rules: Rules
) -> tuple[int, int]:
    """What regular repayments elsewhere come to a month, on what was paid before `day`, and to how many lenders.

    Args:
        evidence: of one borrower.
        currency: of the repayments.
        day: the local day that begins.
        own: platform ids of the borrower's own loans, as reported.
        rules: with aliases and the lender's own institutions.
    """
    if not evidence.lenders:
        return 0, 0
    ours = _ours(frozenset(own), rules)
    total_minor = lenders = 0
    for lender in evidence.lenders:
        if lender.currency == currency and lender.counterparty_id not in ours:
            monthly_minor = _monthly_minor(lender.paid, day)
            total_minor += monthly_minor
            lenders += monthly_minor > 0
    return within_int64(total_minor), lenders


@lru_cache(maxsize=_CACHED_OWN_MAX)
def _ours(own: frozenset[str], rules: Rules) -> frozenset[str]:
    """What own institutions are called in the evidence."""
    return frozenset(short_id(name) for name in rules.own_institutions.union(map(rules.institution, own)))


def most_elsewhere_minor(evidence: DebtEvidence, from_day: int, summary_days: int) -> int:
    """No debts elsewhere come to more on `from_day` or any later day, on what is known; mostly they come to no more than nothing."""
    most_minor = told_minor = 0
    for lender in evidence.lenders:
        last_day = lender.paid[-2]
        if last_day + LAPSE_DAYS >= from_day:
            # Once all payments count, time only lets them lapse.
            all_count = last_day < from_day
            most_minor += (
                _monthly_minor(lender.paid, from_day) if all_count else _most_in_a_month_minor(lender.paid)
            )
    for summary in evidence.summaries:
        if summary.day + summary_days >= from_day and summary.monthly_due_minor > told_minor:
            told_minor = summary.monthly_due_minor
    return most_minor if most_minor > told_minor else told_minor


def next_change_day(evidence: DebtEvidence, today: int, summary_days: int) -> int:
    """The first day after `today` at whose beginning time alone may change an answer; `NO_DAY` if none."""
    next_day = NO_DAY
    for lender in evidence.lenders:
        paid = lender.paid
        for index in range(len(paid) - 2, -1, -2):
            day = paid[index]
            # What counts is the last payment before a day: that one may lapse, those before it cannot any more.
            change_day = day + 1 if day >= today else day + LAPSE_DAYS + 1
            if today < change_day < next_day:
                next_day = change_day
            if day < today:
                break
    for summary in evidence.summaries:
        for change_day in (summary.day + 1, summary.day + summary_days + 1):
            if today < change_day < next_day:
                next_day = change_day
    return next_day


def _most_in_a_month_minor(paid: list[int]) -> int:
    """The most that a lender was paid within days that count as one month."""
    most_minor = month_minor = first = 0
    for index in range(0, len(paid), 2):
        month_minor += paid[index + 1]
        while paid[first] <= paid[index] - _MONTH_DAYS:
            month_minor -= paid[first + 1]
            first += 2
        most_minor = max(most_minor, month_minor)
    return most_minor


def _monthly_minor(paid: list[int], day: int) -> int:
    """What a lender is paid a month, by the two months up to its last payment before `day`."""
    index = len(paid) - 2
    while index >= 0 and paid[index] >= day:
        index -= 2
    if index < 0 or day - paid[index] > LAPSE_DAYS:
        return 0
    month_day, before_day = paid[index] - _MONTH_DAYS, paid[index] - _BEFORE_DAYS
    month_minor = before_minor = 0
    while index >= 0 and paid[index] > month_day:
        month_minor += paid[index + 1]
        index -= 2
    while index >= 0 and paid[index] > before_day:
        before_minor += paid[index + 1]
        index -= 2
    return month_minor if month_minor < before_minor else before_minor
