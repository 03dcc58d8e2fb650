"""The policy made ready for use: one object that every decision is given."""

from __future__ import annotations

from typing import Final

import msgspec

from models.calendars import Calendar
from models.events import TOPICS
from models.policy import Policy

BUCKET_STARTS_DAYS: Final = (1, 31, 61, 91, 271, 361)
"""Days past due at which a bucket begins (blueprint, section 5)."""


class Rules:
    """A policy with its calendar and look-ups. Immutable but for the calendar's caches."""

    def __init__(self, policy: Policy) -> None:
        """Derive all that is asked for per event."""
        self.policy = policy
        self.policy_version = policy.version
        self.calendar = Calendar(policy.time_zone)
        self.lateness_ms = tuple(policy.lateness_ms(topic) for topic in TOPICS)
        """Allowed lateness by feed, in the order of `TOPICS`."""
        self.missed_payment_steps_days = _missed_payment_steps_days(policy)
        """Days past due at which `missed_payment` opens, changes its severity or its bucket."""
        self.own_institutions = frozenset(
            policy.institution_aliases.get(name, name) for name in policy.own_institutions
        )

    def institution(self, reported_id: str) -> str:
        """The id under which a reported institution is counted."""
        return self.policy.institution_aliases.get(reported_id, reported_id)


def _missed_payment_steps_days(policy: Policy) -> tuple[int, ...]:
    missed_payment = policy.signals.missed_payment
    opening = missed_payment.grace_days + 1
    steps = {*msgspec.structs.astuple(missed_payment.severity), *BUCKET_STARTS_DAYS}
    return tuple(sorted({opening, *(step for step in steps if step > missed_payment.grace_days)}))
