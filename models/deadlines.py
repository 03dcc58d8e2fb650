"""The deadlines of a partition's borrowers, by clock: a queue in order of time, then of borrower."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from typing import Final

from models.limits import INT64_MAX

NEVER: Final = INT64_MAX
"""No deadline."""
_STALE_FACTOR: Final = 4
"""A queue is rebuilt when it holds this many entries a borrower: replaced deadlines never pile up."""
_REBUILD_ENTRIES_MIN: Final = 4096
"""Below this a queue is never rebuilt: not worth the walk."""


class DeadlineQueue:
    """Entries are never taken out when a deadline moves: whoever pops one checks that it still stands."""

    def __init__(self, clocks: int) -> None:
        """An empty queue for each of `clocks`."""
        self._entries: list[list[tuple[int, str]]] = [[] for _ in range(clocks)]
        self.heads_ms = [NEVER] * clocks
        """The earliest deadline by clock, or `NEVER`."""
        self.earliest_ms = NEVER
        """No deadline of any clock is earlier: most events need to know no more."""

    def push(self, clock: int, due_ms: int, borrower_id: str) -> bool:
        """Add a deadline of a borrower. Return whether there are so many that they may have piled up."""
        entries = self._entries[clock]
        heappush(entries, (due_ms, borrower_id))
        if due_ms < self.heads_ms[clock]:
            self.heads_ms[clock] = due_ms
            if due_ms < self.earliest_ms:
                self.earliest_ms = due_ms
        return len(entries) > _REBUILD_ENTRIES_MIN

    def pop_until(self, clocks: Sequence[int], target_ms: int) -> tuple[int, int, str] | None:
        """Take the earliest deadline of some clocks, in order of their numbers, if it is not after `target_ms`.

        Of one instant the lower clock comes first, then the lower id. One that was queued twice comes once. When all are
        taken, `settle` tells what is left.
        """
        heads_ms, first_ms, first = self.heads_ms, target_ms + 1, -1
        for clock in clocks:
            head_ms = heads_ms[clock]
            if head_ms < first_ms:
                first_ms, first = head_ms, clock
        return None if first < 0 else self._pop(first)

    def pop_due(self, targets_ms: dict[int, int]) -> tuple[int, int, str] | None:
        """The same where every clock has a target of its own, by clock."""
        first_ms, first = NEVER, -1
        for clock, target_ms in targets_ms.items():
            head_ms = self.heads_ms[clock]
            if head_ms <= target_ms and (head_ms < first_ms or (head_ms == first_ms and clock < first)):
                first_ms, first = head_ms, clock
        return None if first < 0 else self._pop(first)

    def _pop(self, clock: int) -> tuple[int, int, str]:
        """Take the earliest deadline of a clock that has one."""
        entries = self._entries[clock]
        earliest = heappop(entries)
        while entries and entries[0] == earliest:
            heappop(entries)
        self.heads_ms[clock] = entries[0][0] if entries else NEVER
        return earliest[0], clock, earliest[1]

    def settle(self) -> None:
        """Find `earliest_ms` anew; until then it tells an instant that is too early, never one too late."""
        self.earliest_ms = min(self.heads_ms)

    def is_overgrown(self, clock: int, borrowers: int) -> bool:
        """Whether replaced deadlines have piled up."""
        entries = len(self._entries[clock])
        return entries > _REBUILD_ENTRIES_MIN and entries > _STALE_FACTOR * borrowers

    def rebuild(self, clock: int, entries: list[tuple[int, str]]) -> None:
        """Replace a clock's queue by the deadlines that stand."""
        heapify(entries)
        self._entries[clock] = entries
        self.heads_ms[clock] = entries[0][0] if entries else NEVER
