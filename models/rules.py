"""The policy made ready for use: one object that every decision is given."""

from __future__ import annotations

from models.calendars import Calendar
from models.events import TOPICS
from models.policy import Policy


class Rules:
    """A policy with its calendar and look-ups. Immutable but for the calendar's caches."""

    def __init__(self, policy: Policy) -> None:
        """Derive all that is asked for per event."""
        self.policy = policy
        self.policy_version = policy.version
        self.calendar = Calendar(policy.time_zone)
        self.lateness_ms = tuple(policy.lateness_ms(topic) for topic in TOPICS)
        """Allowed lateness by feed, in the order of `TOPICS`."""
        self.own_institutions = frozenset(
            policy.institution_aliases.get(name, name) for name in policy.own_institutions
        )

    def institution(self, reported_id: str) -> str:
        """The id under which a reported institution is counted."""
        return self.policy.institution_aliases.get(reported_id, reported_id)
