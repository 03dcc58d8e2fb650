"""After a change of policy every borrower is judged once more, within a day of event time, each at a minute of its own.

What stands already when a policy takes effect is found so (decisions/0007-policies-in-time.md), without judging everybody at once.
After a change of the card alone it is the score that is judged once more (decisions/0012-cards-in-time.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from models.deadlines import NEVER
from models.rulebook import MINUTE_MS, REVIEW_MINUTES, review_minute

_LAST_MINUTE_MS: Final = (REVIEW_MINUTES - 1) * MINUTE_MS


class Reviews:
    """Whose turn is when. Holds nothing but for a day after a change."""

    def __init__(self, clocks: int, score_clock: int) -> None:
        """No review on any clock. The score's are on one alone."""
        self.are_due = False
        """Whether there are any, or soon will be: asked with every event, and so no call."""
        self.are_whole = False
        """Whether anybody is judged in more than the score."""
        self._whole: set[int] = set()
        """Starts of policies: everything is judged once more after them."""
        self._of_score: set[int] = set()
        """Starts of cards, after which only the score is."""
        self._score_clock = score_clock
        self._minutes: list[list[str]] = []
        """The borrowers of each minute of a review's day; none while there is no review."""
        self._passed_ms = [-1] * clocks
        """The last minute whose borrowers were judged, by clock."""

    def plan(
        self,
        from_ms: int,
        borrower_ids: Iterable[str],
        watermarks_ms: Sequence[int],
        *,
        is_of_score: bool = False,
    ) -> bool:
        """Have all borrowers judged once more after an instant; False where every clock is past it."""
        own_ms = [watermarks_ms[self._score_clock]] if is_of_score else watermarks_ms
        if min(own_ms) >= from_ms + _LAST_MINUTE_MS:
            return False
        if not self._minutes:
            self._minutes = [[] for _ in range(REVIEW_MINUTES)]
            for borrower_id in borrower_ids:
                self._minutes[review_minute(borrower_id)].append(borrower_id)
        (self._of_score if is_of_score else self._whole).add(from_ms)
        self._describe()
        return True

    def keep(self, whole_ms: Sequence[int], of_score_ms: Sequence[int]) -> None:
        """Let go of reviews after what will not take effect: all but those that start then, of the one kind or the other."""
        planned_ms = self._whole | self._of_score
        self._whole = planned_ms & set(whole_ms)
        self._of_score = planned_ms & set(of_score_ms)
        self._describe()

    def take_in(self, borrower_id: str) -> None:
        """A borrower is new: it has its turns like all others."""
        if self._minutes:
            self._minutes[review_minute(borrower_id)].append(borrower_id)

    def leave_out(self, borrower_id: str) -> None:
        """A borrower is forgotten."""
        if self._minutes:
            self._minutes[review_minute(borrower_id)].remove(borrower_id)

    def next_ms(self, clock: int, watermark_ms: int) -> int:
        """The next minute of any review on a clock, or `NEVER`."""
        return self.after_ms(clock, max(watermark_ms, self._passed_ms[clock]))

    def after_ms(self, clock: int, after_ms: int) -> int:
        """The first minute of any review of a clock after an instant, or `NEVER`."""
        due_ms = NEVER
        for from_ms in self._starts_of(clock):
            minute = max(0, (after_ms - from_ms) // MINUTE_MS + 1)
            if minute < REVIEW_MINUTES:
                # Minutes of nobody are passed over, but for the first and the last: with them a review begins and ends.
                while 0 < minute < REVIEW_MINUTES - 1 and not self._minutes[minute]:
                    minute += 1
                due_ms = min(due_ms, from_ms + minute * MINUTE_MS)
        return due_ms

    def begin(self, clock: int, due_ms: int) -> bool:
        """Whether a minute's borrowers are to be judged now: once on each clock."""
        if due_ms <= self._passed_ms[clock]:
            return False
        self._passed_ms[clock] = due_ms
        return True

    def how_many(self, clock: int, due_ms: int) -> int:
        """How many borrowers' turn it is at most."""
        return sum(
            len(self._minutes[minute])
            for from_ms in self._starts_of(clock)
            if (due_ms - from_ms) % MINUTE_MS == 0
            and 0 <= (minute := (due_ms - from_ms) // MINUTE_MS) < REVIEW_MINUTES
        )

    def whose_turn(self, clock: int, due_ms: int) -> dict[str, bool]:
        """The borrowers of a minute, in order, and whether they are judged in everything."""
        found: dict[str, bool] = {}
        for from_ms in self._starts_of(clock):
            minute, rest_ms = divmod(due_ms - from_ms, MINUTE_MS)
            if rest_ms == 0 and 0 <= minute < REVIEW_MINUTES:
                is_whole = from_ms in self._whole
                for borrower_id in self._minutes[minute]:
                    found[borrower_id] = is_whole or found.get(borrower_id, False)
        return dict(sorted(found.items()))

    def end(self, watermarks_ms: Sequence[int]) -> None:
        """Let go of the reviews that their clocks have passed."""
        reached_ms = [max(pair) for pair in zip(watermarks_ms, self._passed_ms, strict=True)]
        self._whole = {from_ms for from_ms in self._whole if from_ms + _LAST_MINUTE_MS > min(reached_ms)}
        of_score_ms = reached_ms[self._score_clock]
        self._of_score = {from_ms for from_ms in self._of_score if from_ms + _LAST_MINUTE_MS > of_score_ms}
        self._describe()

    def follow(self, others: Reviews) -> None:
        """Take over the turns of another engine's, to go ahead of it with a borrower of its."""
        self._whole, self._of_score = others._whole.copy(), others._of_score.copy()
        self._minutes = others._minutes
        self.are_due, self.are_whole = others.are_due, others.are_whole

    def _starts_of(self, clock: int) -> set[int]:
        return self._whole | self._of_score if clock == self._score_clock else self._whole

    def _describe(self) -> None:
        self.are_whole = bool(self._whole)
        if not self._whole and not self._of_score:
            self._minutes = []
        self.are_due = bool(self._minutes)
