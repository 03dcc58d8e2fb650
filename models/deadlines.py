"""The deadlines of a partition's borrowers, by clock: a queue in order of time, then of borrower."""

from __future__ import annotations

import heapq
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
        self.earliest_ms = NEVER
        """No deadline of any clock is earlier: most events need to know no more."""

    def push(self, clock: int, due_ms: int, borrower_id: str) -> None:
        """Add a deadline of a borrower."""
        heapq.heappush(self._entries[clock], (due_ms, borrower_id))
        self.earliest_ms = min(self.earliest_ms, due_ms)

    def next_due_clock(self, targets_ms: dict[int, int]) -> int | None:
        """Among the clocks of `targets_ms`, the one whose next deadline is earliest and not after its target."""
        earliest: tuple[int, int] | None = None
        for clock, target_ms in targets_ms.items():
            entries = self._entries[clock]
            if (
                entries
                and entries[0][0] <= target_ms
                and (earliest is None or (entries[0][0], clock) < earliest)
            ):
                earliest = (entries[0][0], clock)
        return None if earliest is None else earliest[1]

    def pop(self, clock: int) -> tuple[int, str]:
        """Take the earliest deadline of a clock."""
        earliest = heapq.heappop(self._entries[clock])
        self.earliest_ms = min([entries[0][0] for entries in self._entries if entries], default=NEVER)
        return earliest

    def is_overgrown(self, clock: int, borrowers: int) -> bool:
        """Whether replaced deadlines have piled up."""
        return len(self._entries[clock]) > max(_REBUILD_ENTRIES_MIN, _STALE_FACTOR * borrowers)

    def rebuild(self, clock: int, entries: list[tuple[int, str]]) -> None:
        """Replace a clock's queue by the deadlines that stand."""
        heapq.heapify(entries)
        self._entries[clock] = entries
