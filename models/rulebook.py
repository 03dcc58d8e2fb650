"""Which rules hold when, and for whom: policies one after the other in event time, each with its segments.

Everything is judged as of an instant, by the policy in force at that instant (`decisions/0007-policies-in-time.md`). What
stands already when a policy takes effect is found by a review: within a day of event time every borrower is judged once
more, at a minute of its own.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from models.borrower import Borrower
from models.calendars import DAY_MS
from models.deadlines import NEVER
from models.ledger import Loan
from models.limits import POLICIES_REMEMBERED_MAX
from models.risk.scorecard import Scorecard
from models.rules import Rules

MINUTE_MS: Final = 60_000
REVIEW_MINUTES: Final = DAY_MS // MINUTE_MS
"""A review takes a day of event time: a minute then holds about a thousandth of the borrowers."""
SINCE_EVER_MS: Final = -1


class Span(Struct, frozen=True, array_like=True, gc=False):
    """A policy, and from which instant on (event time) it judges."""

    from_ms: int
    version: str


class Adopted(Struct, frozen=True, array_like=True, gc=False):
    """What a task has taken up, as its progress remembers it."""

    publication: int
    """Number of the last publication that was looked at; 0 where none was."""
    spans: tuple[Span, ...]
    """In order of time; the first holds for all time before it as well."""


class Rulebook:
    """The rules of one task. It changes only by `adopt`."""

    def __init__(self, rules: Rules, publication: int = 0) -> None:
        """One policy, since ever."""
        self.publication = publication
        self._card = rules.card
        self._froms_ms = [SINCE_EVER_MS]
        self._rules = [rules]
        self._describe()

    @classmethod
    def resumed(cls, spans: Sequence[tuple[int, Rules]], publication: int) -> Rulebook:
        """What was adopted before; at least one span, in order of time."""
        book = cls(spans[0][1], publication)
        book._froms_ms = [from_ms for from_ms, _ in spans]
        book._rules = [rules for _, rules in spans]
        book._describe()
        return book

    def use_card(self, card: Scorecard) -> None:
        """Have a card weigh the risk of all time, whatever the policy."""
        self._card = card
        self._rules = [rules.with_card(card) for rules in self._rules]
        self._describe()

    def at(self, at_ms: int) -> Rules:
        """The rules in force at an instant, whatever the segment."""
        if self._is_single:
            return self._rules[0]
        return self._rules[max(0, bisect_right(self._froms_ms, at_ms) - 1)]

    def of(self, borrower: Borrower, subject: str | None, at_ms: int) -> Rules:
        """The rules for a loan, or (None) for the borrower as a whole.

        A loan's are those of the first segment that it fits; a borrower's those of the first that one of the loans open
        at the instant fits.
        """
        if self.only is not None:
            return self.only
        rules = self.at(at_ms)
        if not rules.segments:
            return rules
        loans = _open_loans(borrower, at_ms) if subject is None else [borrower.loans.get(subject)]
        known = [loan for loan in loans if loan is not None]
        for accepted, own in rules.segments:
            if accepted.fits_any(known):
                return own
        return rules

    @property
    def adopted(self) -> Adopted:
        """What to remember of it."""
        spans = zip(self._froms_ms, self._rules, strict=True)
        return Adopted(
            self.publication, tuple(Span(from_ms, rules.policy_version) for from_ms, rules in spans)
        )

    @property
    def starts_ms(self) -> Sequence[int]:
        """When each policy that followed another one took effect, or will."""
        return self._froms_ms[1:]

    def adopt(self, rules: Rules, effective_from_ms: int, *, not_before_ms: int) -> int | None:
        """Have a policy judge from `effective_from_ms` on, or from `not_before_ms` where that is later.

        What was to take effect at that instant or later is called off. Returns since when it judges; None where the
        policy judged then anyway.
        """
        from_ms = max(effective_from_ms, not_before_ms)
        kept = bisect_right(self._froms_ms, from_ms - 1) if from_ms > SINCE_EVER_MS else 0
        before = self._rules[kept - 1] if kept else None
        del self._froms_ms[kept:], self._rules[kept:]
        is_new = before is None or before.policy_version != rules.policy_version
        if is_new:
            self._froms_ms.append(from_ms)
            self._rules.append(rules.with_card(self._card))
            del self._froms_ms[:-POLICIES_REMEMBERED_MAX], self._rules[:-POLICIES_REMEMBERED_MAX]
        self._describe()
        return from_ms if is_new and len(self._rules) > 1 else None

    def review_ms(self, borrower_id: str, after_ms: int) -> int:
        """When a borrower is judged once more because of a policy, first after an instant; `NEVER` where not at all."""
        if self._is_single:
            return NEVER
        offset_ms = review_minute(borrower_id) * MINUTE_MS
        reviews_ms = (from_ms + offset_ms for from_ms in self._froms_ms[1:])
        return min((review_ms for review_ms in reviews_ms if review_ms > after_ms), default=NEVER)

    def _describe(self) -> None:
        self._is_single = len(self._rules) == 1
        self.only = self._rules[0] if self._is_single and not self._rules[0].segments else None
        self.has_combinations = any(rules.policy.combinations for rules in self._rules)
        self.has_segments = any(rules.segments for rules in self._rules)
        self.lateness_ms_max = max(max(rules.lateness_ms) for rules in self._rules)


def review_minute(borrower_id: str) -> int:
    """The minute of a review's day at which a borrower's turn is."""
    return zlib.crc32(borrower_id.encode()) % REVIEW_MINUTES


def _open_loans(borrower: Borrower, at_ms: int) -> list[Loan | None]:
    return [
        loan
        for loan in borrower.loans.values()
        if loan.opened_ms <= at_ms
        and not loan.is_voided
        and (loan.closed_ms is None or loan.closed_ms > at_ms)
    ]
