"""Whom to observe when, and what has become of those observed: the engine's part in learning.

A borrower has one deadline for both (`Borrower.observation_due_ms`), and it passes with the watermark of `repayments`: the
next midnight of its own at which it is to be observed (`models.risk.labels`), or at which an observation matures. It is
kept apart from the deadlines of signals, so that no judgement ever waits for it and no alert depends on it. Where no own loan
is open, or none has told anything for so long that it is forgotten, there is none, and nobody looks at the borrower.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from models.borrower import Borrower
from models.calendars import DAY_MS
from models.deadlines import NEVER
from models.risk.examples import Example, make_observation, mature
from models.risk.labels import is_observed_at, next_observation_ms
from models.risk.pending import PENDING_OBSERVATIONS_MAX, Observation
from models.rulebook import Rulebook
from models.rules import Rules
from models.signals.risk_score import LOOK_DAYS, is_forgotten, wakes_ms

SURELY_NEXT_MS: Final = 8 * DAY_MS
"""A deadline no further away than this is the next midnight of a borrower's: no policy has them observed more often."""
_SLACK_DAYS: Final = 2
"""By so much the midnights of a borrower may be less apart than the policy says: clocks and time zones change."""


class Observer:
    """Observes the borrowers of a task."""

    def __init__(self, book: Rulebook, examples: list[Example], counts: Counter[str]) -> None:
        """`examples` takes what matures; `counts` what was noticed."""
        self._book = book
        self._examples = examples
        self._counts = counts

    def look(self, borrower_id: str, borrower: Borrower, at_ms: int) -> None:
        """The deadline `at_ms` has passed: hand out what has matured, observe if it is time to, and find the next one."""
        if borrower.observations:
            self._mature(borrower_id, borrower, at_ms)
        rules = self._book.of(borrower, None, at_ms)
        if (
            rules.policy.model.observes
            and is_observed_at(borrower_id, at_ms, rules)
            and not is_forgotten(borrower, at_ms - 1, rules)
        ):
            self._observe(borrower, at_ms, rules)
        borrower.observation_due_ms = self._next_ms(borrower_id, borrower, at_ms, rules)

    def await_next(self, borrower_id: str, borrower: Borrower, after_ms: int) -> bool:
        """Find the next deadline after an instant; whether it is another one."""
        former_ms = borrower.observation_due_ms
        rules = self._book.of(borrower, None, after_ms)
        model = rules.policy.model
        if model.observes and former_ms - after_ms <= (model.observes_every_days - _SLACK_DAYS) * DAY_MS:
            return False
        borrower.observation_due_ms = self._next_ms(borrower_id, borrower, after_ms, rules)
        return borrower.observation_due_ms != former_ms

    def _mature(self, borrower_id: str, borrower: Borrower, at_ms: int) -> None:
        matured = [one for one in borrower.observations if one.matures_ms <= at_ms]
        if len(matured) > 1:
            matured.sort(key=_order)
        for observation in matured:
            borrower.observations.remove(observation)
            rules = self._book.of(borrower, None, observation.observed_ms)
            self._examples.append(mature(borrower_id, borrower, observation, rules))

    def _observe(self, borrower: Borrower, at_ms: int, rules: Rules) -> None:
        if len(borrower.observations) >= PENDING_OBSERVATIONS_MAX:
            self._counts["observations.too-many-pending"] += 1
            return
        observation = make_observation(borrower, at_ms, rules, rules.card)
        if observation is not None:
            borrower.observations.append(observation)

    def _next_ms(self, borrower_id: str, borrower: Borrower, after_ms: int, rules: Rules) -> int:
        due_ms = NEVER
        for one in borrower.observations:
            if one.matures_ms < due_ms:
                due_ms = one.matures_ms
        if not rules.policy.model.observes:
            return due_ms
        from_ms = after_ms
        if not borrower.observations:
            if not _has_open_loan(borrower, after_ms):
                return due_ms
            if is_forgotten(borrower, after_ms, rules) and not _begins_later(borrower, after_ms):
                looked_at_ms = wakes_ms(borrower, after_ms, rules)
                if looked_at_ms == NEVER:
                    return due_ms
                from_ms = max(after_ms, looked_at_ms - LOOK_DAYS * DAY_MS)
        return min(due_ms, next_observation_ms(borrower_id, from_ms, rules))


def _order(observation: Observation) -> tuple[int, int]:
    return observation.matures_ms, observation.observed_ms


def _has_open_loan(borrower: Borrower, known_ms: int) -> bool:
    """Whether a loan has not ended by then, also one that begins later."""
    for loan in borrower.loans.values():
        if not loan.is_voided and (loan.closed_ms is None or loan.closed_ms > known_ms):
            return True
    return False


def _begins_later(borrower: Borrower, known_ms: int) -> bool:
    """Whether a loan is known that begins after an instant: a watermark is behind what is told."""
    return any(loan.opened_ms > known_ms for loan in borrower.loans.values())
