"""The policy made ready for use, and the scorecard beside it: one object that every decision is given."""

from __future__ import annotations

from typing import Final

import msgspec

from models.business_days import business_days
from models.calendars import Calendar
from models.events import TOPICS
from models.policy import Policy, policy_of_segment
from models.risk.scorecard import Scorecard, expert_prior
from models.segments import accepted_by

BUCKET_STARTS_DAYS: Final = (1, 31, 61, 91, 271, 361)
"""Days past due at which a bucket begins (blueprint, section 5)."""


class Rules:
    """A policy with its calendar and look-ups, and the card that weighs risk. Immutable but for the calendar's caches."""

    def __init__(self, policy: Policy, policy_version: str | None = None) -> None:
        """Derive all that is asked for per event. `policy_version`: of the whole policy, where this is a segment of it."""
        self.policy = policy
        self.card: Scorecard = expert_prior()
        """What turns features into a probability; who judges asks for no other, wherever it comes from (`with_card`)."""
        self._whole_version = policy_version
        self.policy_version = policy_version or policy.version
        self.are_for_all = policy_version is None and not policy.segments
        """Whether they hold for every loan and every borrower: there are no segments."""
        self.segments = tuple(
            (
                accepted_by(policy.segments[name].match),
                Rules(policy_of_segment(policy, name), self.policy_version),
            )
            for name in sorted(policy.segments)
        )
        """What a loan must be to belong to a segment, and the rules of that segment; in order of their names."""
        self.calendar = Calendar(policy.time_zone)
        self.lateness_ms = tuple(policy.lateness_ms(topic) for topic in TOPICS)
        """Allowed lateness by feed, in the order of `TOPICS`."""
        self.missed_payment_steps_days = _missed_payment_steps_days(policy)
        """Days past due at which `missed_payment` opens, changes its severity or its bucket."""
        ledger, missed_payment = policy.ledger, policy.signals.missed_payment
        self._business_days = business_days(ledger.business_calendar) if ledger.due_on_business_days else None
        counts_from_grace_end = missed_payment.grace_counts_from == "grace_end"
        self.grace_within_due_days = missed_payment.grace_days if counts_from_grace_end else 0
        self.moves_due_days = self._business_days is not None or self.grace_within_due_days > 0
        self.silent_days = 0 if counts_from_grace_end else missed_payment.grace_days
        """Days past due for which `missed_payment` is silent."""
        self.own_institutions = frozenset(
            policy.institution_aliases.get(name, name) for name in policy.own_institutions
        )

    def with_card(self, card: Scorecard) -> Rules:
        """These rules, by another card."""
        if card == self.card:
            return self
        rules = Rules(self.policy, self._whole_version)
        rules.card = card
        rules.calendar = self.calendar  # with the days that it has looked up
        rules.segments = tuple((accepted, own.with_card(card)) for accepted, own in self.segments)
        return rules

    def last_day_to_pay(self, due_day: int) -> int:
        """The day from which days past due are counted: the due date, moved to a business day and by a long grace."""
        if not self.moves_due_days:
            return due_day
        if self._business_days is not None:
            due_day = self._business_days.next_business_day(due_day)
        return due_day + self.grace_within_due_days

    def institution(self, reported_id: str) -> str:
        """The id under which a reported institution is counted."""
        return self.policy.institution_aliases.get(reported_id, reported_id)


def _missed_payment_steps_days(policy: Policy) -> tuple[int, ...]:
    missed_payment = policy.signals.missed_payment
    silent_days = 0 if missed_payment.grace_counts_from == "grace_end" else missed_payment.grace_days
    steps = {*msgspec.structs.astuple(missed_payment.severity), *BUCKET_STARTS_DAYS}
    return tuple(sorted({silent_days + 1, *(step for step in steps if step > silent_days)}))
