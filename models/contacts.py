"""Limits on contacting a person, and the wait for a promise: both as of an instant.

Attempts are counted for each borrower, over all loans and channels, and whoever could not be told (party `other`) may have
been the borrower: a limit fails closed. Third parties, guarantors and co-borrowers are other people.
"""

from __future__ import annotations

from typing import Final

from models import servicing
from models.calendars import DAY_MS
from models.deadlines import NEVER
from models.rules import Rules
from models.servicing import ServicingEvidence, end_of_day_ms

WEEK_DAYS: Final = 7
_DAY_ROUND_DAYS: Final = 3
"""More than what a count of local days may lack of the time between two instants, with the day on which clocks change."""


def attempts_left(evidence: ServicingEvidence, known_ms: int, day: int, rules: Rules) -> int:
    """How many attempts may still be made on the local `day`, on what is known up to `known_ms`."""
    contact = rules.policy.contact
    limit = min(contact.attempts_per_day, contact.attempts_per_7_days)
    if not evidence.contacts:
        return limit
    if _is_quiet_day(evidence, known_ms, day, rules):
        return 0
    since_ms = rules.calendar.midnight_ms(day - WEEK_DAYS + 1)
    days = servicing.attempt_days(evidence, known_ms, since_ms, rules)
    if not days:
        return limit
    this_day = contact.attempts_per_day - sum([attempt_day == day for attempt_day in days])
    this_week = contact.attempts_per_7_days - sum([attempt_day <= day for attempt_day in days])
    return max(0, min(this_day, this_week))


def first_day_with_attempts(
    evidence: ServicingEvidence, known_ms: int, from_day: int, rules: Rules
) -> int | None:
    """The first local day, not before `from_day`, on which an attempt may be made; None where the policy allows none."""
    contact = rules.policy.contact
    for day in range(from_day, from_day + max(WEEK_DAYS, contact.days_after_conversation) + 1):
        if attempts_left(evidence, known_ms, day, rules):
            return day
    return None


def are_attempts_used_up(evidence: ServicingEvidence, known_ms: int, at_ms: int, rules: Rules) -> bool:
    """Whether no attempt is left on the local day of `at_ms`, because of those that were made."""
    return bool(evidence.contacts) and not attempts_left(
        evidence, known_ms, rules.calendar.day_of(at_ms), rules
    )


def attempts_return_ms(evidence: ServicingEvidence, known_ms: int, rules: Rules) -> int:
    """The midnight that begins the next day on which an attempt may be made, or `NEVER`."""
    tomorrow = rules.calendar.day_of(known_ms) + 1
    day = first_day_with_attempts(evidence, known_ms, tomorrow, rules)
    return NEVER if day is None else rules.calendar.midnight_ms(day)


def is_promise_pending(evidence: ServicingEvidence, known_ms: int, at_ms: int, rules: Rules) -> bool:
    """Whether the borrower's last promise is near enough to wait for, its day not over, and nothing refused since."""
    for contact in reversed(evidence.contacts):
        if contact.time_ms > known_ms:
            continue
        if contact.is_promise:
            end_ms = _wait_ends_ms(contact, rules)
            return end_ms is not None and at_ms < end_ms
        if contact.outcome == "refused" and contact.is_at_borrower:
            return False
    return False


def promise_wait_ends_ms(evidence: ServicingEvidence, after_ms: int, rules: Rules) -> list[int]:
    """When the waits for the borrower's promises end after an instant, each whether it still counts or not."""
    ends_ms: list[int] = []
    waits_days = rules.policy.recommendation.promise_days_max + _DAY_ROUND_DAYS
    since_ms = after_ms - waits_days * DAY_MS
    for contact in reversed(evidence.contacts):
        if contact.time_ms < since_ms:
            break  # nobody waits so long for a promise, nor for an older one
        if contact.promise_day is not None and contact.is_promise:
            end_ms = _wait_ends_ms(contact, rules)
            if end_ms is not None and end_ms > after_ms:
                ends_ms.append(end_ms)
    return ends_ms


def _wait_ends_ms(promise: servicing.Contact, rules: Rules) -> int | None:
    """The midnight that ends the promised day; None where it is too far away to wait for."""
    assert promise.promise_day is not None
    away_days = promise.promise_day - rules.calendar.day_of(promise.time_ms)
    if away_days > rules.policy.recommendation.promise_days_max:
        return None
    return end_of_day_ms(promise.promise_day, rules)


def _is_quiet_day(evidence: ServicingEvidence, known_ms: int, day: int, rules: Rules) -> bool:
    """Whether a conversation lies so near before `day` that the policy wants the borrower left alone."""
    quiet_days = rules.policy.contact.days_after_conversation
    if not quiet_days:
        return False
    answer = servicing.last_answer(evidence, known_ms)
    return answer is not None and day < rules.calendar.day_of(answer.time_ms) + quiet_days
