"""Which rules hold when, and for whom: policies and scorecards, each one after the other in event time.

Everything is judged as of an instant, by the policy in force at that instant with its segments, and by the card in force then
(`decisions/0007-policies-in-time.md`, `decisions/0012-cards-in-time.md`). What stands already when one takes effect is found by
a review: within a day of event time every borrower is judged once more, at a minute of its own; where only the card is
another, by the score alone.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

from msgspec import Struct

from models.borrower import Borrower
from models.calendars import DAY_MS
from models.deadlines import NEVER
from models.ledger import Loan
from models.limits import CARDS_REMEMBERED_MAX, POLICIES_REMEMBERED_MAX
from models.risk.scorecard import Scorecard
from models.rules import Rules

MINUTE_MS: Final = 60_000
REVIEW_MINUTES: Final = DAY_MS // MINUTE_MS
"""A review takes a day of event time: a minute then holds about a thousandth of the borrowers."""
SINCE_EVER_MS: Final = -1


class Span(Struct, frozen=True, array_like=True, gc=False):
    """A policy or card, and from which instant on (event time) it judges."""

    from_ms: int
    version: str


class Adopted(Struct, frozen=True, array_like=True, gc=False):
    """What a task has taken up of policies, or of cards, as its progress remembers it."""

    publication: int
    """Number of the last publication that was looked at; 0 where none was."""
    spans: tuple[Span, ...]
    """In order of time; the first holds for all time before it as well."""


V = TypeVar("V")


class _Sequence(Generic[V]):
    """Versions one after the other in event time."""

    def __init__(self, first: V, remembered_max: int) -> None:
        """One, since ever; so many are remembered."""
        self.froms_ms = [SINCE_EVER_MS]
        self.values = [first]
        self._remembered_max = remembered_max

    def resume(self, spans: Sequence[tuple[int, V]]) -> None:
        """Hold what was held before; at least one, in order of time."""
        self.froms_ms = [from_ms for from_ms, _ in spans]
        self.values = [value for _, value in spans]

    def at(self, at_ms: int) -> V:
        """The one that holds at an instant."""
        return self.values[max(0, bisect_right(self.froms_ms, at_ms) - 1)]

    def adopt(self, value: V, effective_from_ms: int, not_before_ms: int) -> int | None:
        """Let one hold from an instant on; since when it does, None where it would have held anyway."""
        from_ms = max(effective_from_ms, not_before_ms)
        kept = bisect_right(self.froms_ms, from_ms - 1) if from_ms > SINCE_EVER_MS else 0
        before = self.values[kept - 1] if kept else None
        del self.froms_ms[kept:], self.values[kept:]
        if before is not None and _version_of(before) == _version_of(value):
            return None
        self.froms_ms.append(from_ms)
        self.values.append(value)
        del self.froms_ms[: -self._remembered_max], self.values[: -self._remembered_max]
        return from_ms if len(self.values) > 1 else None

    def told(self, publication: int) -> Adopted:
        """What to remember of it."""
        spans = zip(self.froms_ms, self.values, strict=True)
        return Adopted(publication, tuple(Span(from_ms, _version_of(value)) for from_ms, value in spans))


def _version_of(value: object) -> str:
    if isinstance(value, Scorecard):
        return value.version
    assert isinstance(value, Rules), value
    return value.policy_version


class Rulebook:
    """The rules of one task: a policy and a card for every instant. It changes only by `adopt` and `adopt_card`."""

    def __init__(self, rules: Rules, publication: int = 0) -> None:
        """One policy and its card, since ever."""
        self.publication = publication
        self.card_publication = 0
        self._policies = _Sequence(rules, POLICIES_REMEMBERED_MAX)
        self._cards = _Sequence(rules.card, CARDS_REMEMBERED_MAX)
        self._froms_ms: list[int] = []
        self._rules: list[Rules] = []
        self._describe()

    @classmethod
    def resumed(cls, spans: Sequence[tuple[int, Rules]], publication: int) -> Rulebook:
        """The policies that were adopted before; at least one, in order of time."""
        book = cls(spans[0][1], publication)
        book._policies.resume(spans)
        book._describe()
        return book

    def hold_cards(self, spans: Sequence[tuple[int, Scorecard]], publication: int) -> None:
        """The same of the cards."""
        self.card_publication = publication
        self._cards.resume(spans)
        self._describe()

    def use_card(self, card: Scorecard) -> None:
        """Have a card weigh the risk of all time, whatever the policy."""
        self.hold_cards([(SINCE_EVER_MS, card)], self.card_publication)

    def at(self, at_ms: int) -> Rules:
        """The rules in force at an instant, whatever the segment."""
        if at_ms >= self._latest_from_ms:
            return self._latest
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

    def for_all_at(self, at_ms: int) -> Rules | None:
        """The rules for everybody as of an instant; None where they differ by segment."""
        return self.only or (None if self.has_segments else self.at(at_ms))

    @property
    def adopted(self) -> Adopted:
        """What to remember of the policies."""
        return self._policies.told(self.publication)

    @property
    def adopted_cards(self) -> Adopted:
        """What to remember of the cards."""
        return self._cards.told(self.card_publication)

    def adopt(self, rules: Rules, effective_from_ms: int, *, not_before_ms: int) -> int | None:
        """Have a policy judge from `effective_from_ms` on, or from `not_before_ms` where that is later.

        What was to take effect at that instant or later is called off. Returns since when it judges; None where the
        policy judged then anyway.
        """
        from_ms = self._policies.adopt(rules, effective_from_ms, not_before_ms)
        self._describe()
        return from_ms

    def adopt_card(self, card: Scorecard, effective_from_ms: int, *, not_before_ms: int) -> int | None:
        """The same of a card."""
        from_ms = self._cards.adopt(card, effective_from_ms, not_before_ms)
        self._describe()
        return from_ms

    def review_ms(self, borrower_id: str, after_ms: int) -> int:
        """When a borrower is judged once more in everything, first after an instant; `NEVER` where not at all."""
        return _first_review_ms(self.starts_ms, borrower_id, after_ms)

    def score_review_ms(self, borrower_id: str, after_ms: int) -> int:
        """The same where only the score is judged once more."""
        return _first_review_ms(self.score_starts_ms, borrower_id, after_ms)

    def _describe(self) -> None:
        policies, cards = self._policies, self._cards
        known = {(rules.policy_version, rules.card.version): rules for rules in self._rules}
        self._froms_ms = sorted({*policies.froms_ms, *cards.froms_ms})
        self._rules = []
        for from_ms in self._froms_ms:
            rules, card = policies.at(from_ms), cards.at(from_ms)
            place = rules.policy_version, card.version
            if place not in known:
                known[place] = rules.with_card(card)
            self._rules.append(known[place])
        is_single = len(self._rules) == 1
        self._latest, self._latest_from_ms = self._rules[-1], -(2**63) if is_single else self._froms_ms[-1]
        self.only = self._latest if is_single and not self._latest.segments else None
        of_cards = cards.froms_ms[1:]
        # What the score confirms is judged once more with it, and asks for all clocks.
        is_confirming = any(
            rule.confirmed_by == "risk_score"
            for rules in policies.values
            for rule in rules.policy.combinations
        )
        self.starts_ms: Sequence[int] = sorted({*policies.froms_ms[1:], *(of_cards if is_confirming else ())})
        """When each policy that followed another one took effect, or will: everything is judged once more then."""
        self.score_starts_ms: Sequence[int] = () if is_confirming else of_cards
        """The same of the cards: the score is."""
        self.has_combinations = any(rules.policy.combinations for rules in policies.values)
        self.has_segments = any(rules.segments for rules in policies.values)
        self.lateness_ms_max = max(max(rules.lateness_ms) for rules in policies.values)


def _first_review_ms(starts_ms: Sequence[int], borrower_id: str, after_ms: int) -> int:
    if not starts_ms:
        return NEVER
    offset_ms = review_minute(borrower_id) * MINUTE_MS
    following = bisect_right(starts_ms, after_ms - offset_ms)
    return starts_ms[following] + offset_ms if following < len(starts_ms) else NEVER


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
