"""After a change of policy every borrower is judged once more, within a day of event time, each at a minute of its own.

What stands already when a policy takes effect is found so (decisions/0007-policies-in-time.md), without judging everybody at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from models.deadlines import NEVER
from models.rulebook import MINUTE_MS, REVIEW_MINUTES, review_minute

_LAST_MINUTE_MS: Final = (REVIEW_MINUTES - 1) * MINUTE_MS


class Reviews:
    """Whose turn is when. Holds nothing but for a day after a change."""

    def __init__(self, clocks: int) -> None:
        """No review on any clock."""
        self.minutes: dict[int, list[list[str]]] = {}
        """By the start of the policy: the borrowers of each minute."""
        self._passed_ms = [-1] * clocks
        """The last minute whose borrowers were judged, by clock."""

    def __bool__(self) -> bool:
        """Whether there are any, or soon will be."""
        return bool(self.minutes)

    def plan(self, from_ms: int, borrower_ids: Iterable[str], watermarks_ms: Sequence[int]) -> bool:
        """Have all borrowers judged once more after a policy takes effect; False where every clock is past it."""
        if min(watermarks_ms) >= from_ms + _LAST_MINUTE_MS:
            return False
        minutes: list[list[str]] = [[] for _ in range(REVIEW_MINUTES)]
        for borrower_id in borrower_ids:
            minutes[review_minute(borrower_id)].append(borrower_id)
        self.minutes[from_ms] = minutes
        return True

    def call_off(self, starts_ms: Sequence[int]) -> None:
        """Let go of reviews after policies that will not take effect: all but those that start then."""
        for start_ms in self.minutes.keys() - set(starts_ms):
            del self.minutes[start_ms]

    def take_in(self, borrower_id: str) -> None:
        """A borrower is new: it has its turns like all others."""
        for minutes in self.minutes.values():
            minutes[review_minute(borrower_id)].append(borrower_id)

    def next_ms(self, clock: int, watermark_ms: int) -> int:
        """The next minute of any review on a clock, or `NEVER`."""
        return self.after_ms(max(watermark_ms, self._passed_ms[clock]))

    def after_ms(self, after_ms: int) -> int:
        """The first minute of any review after an instant, or `NEVER`."""
        due_ms = NEVER
        for from_ms in self.minutes:
            minute = max(0, (after_ms - from_ms) // MINUTE_MS + 1)
            if minute < REVIEW_MINUTES:
                due_ms = min(due_ms, from_ms + minute * MINUTE_MS)
        return due_ms

    def begin(self, clock: int, due_ms: int) -> bool:
        """Whether a minute's borrowers are to be judged now: once on each clock."""
        if due_ms <= self._passed_ms[clock]:
            return False
        self._passed_ms[clock] = due_ms
        return True

    def whose_turn(self, due_ms: int) -> set[str]:
        """The borrowers of a minute."""
        found: set[str] = set()
        for from_ms, minutes in self.minutes.items():
            minute, rest_ms = divmod(due_ms - from_ms, MINUTE_MS)
            if rest_ms == 0 and 0 <= minute < REVIEW_MINUTES:
                found.update(minutes[minute])
        return found

    def end(self, watermarks_ms: Sequence[int]) -> None:
        """Let go of the reviews that every clock has passed."""
        reached_ms = min(max(pair) for pair in zip(watermarks_ms, self._passed_ms, strict=True))
        for from_ms in list(self.minutes):
            if from_ms + _LAST_MINUTE_MS <= reached_ms:
                del self.minutes[from_ms]

    def follow(self, others: Reviews) -> None:
        """Take over the turns of another engine's, to go ahead of it with a borrower of its."""
        self.minutes = others.minutes.copy()
