"""The deadlines of a partition's borrowers, by clock: a queue in order of time, then of borrower.

A calendar queue: what is due on a day that has not come is noted under that day by the borrower's id alone, and put in order when
the day comes. Of a million borrowers that are some three million entries of eight bytes, where instants in order took ninety-six.
Of the day that has come, those of one instant stand together: it is the deadline of three quarters of all borrowers at times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from sys import intern
from typing import Final

from models.calendars import DAY_MS
from models.limits import INT64_MAX

NEVER: Final = INT64_MAX
"""No deadline."""
_STALE_FACTOR: Final = 4
"""A queue is rebuilt when it holds this many entries a borrower: replaced deadlines never pile up."""
_REBUILD_ENTRIES_MIN: Final = 4096
"""Below this a queue is never rebuilt: not worth the walk."""

Standing = Callable[[int, str], int]
"""A borrower's deadline on a clock as it stands now, or `NEVER`."""


class _ClockQueue:
    """The entries of one clock: in order up to the end of a day, and by day behind it."""

    def __init__(self) -> None:
        """Nothing is due, and no day has come."""
        self.instants: list[int] = []
        """A heap: those before `later_ms` at which somebody is due, each once."""
        self.due: dict[int, list[str]] = {}
        """A heap of borrowers by instant. Most of a day's deadlines are one midnight, which is held once for all of them."""
        self.soon = 0
        """Entries in `due`."""
        self.later_ms = 0
        """Where the first day begins that has not come."""
        self.days: dict[int, list[str]] = {}
        """Who has an entry on a later day, by its number since the epoch; as many days as deadlines lie ahead, so some thousands."""
        self.noted = 0
        """Entries in `days`."""

    def __len__(self) -> int:
        return self.soon + self.noted

    def add(self, due_ms: int, borrower_id: str) -> int:
        """Add an entry; return the instant before which it is sure not to be due."""
        if due_ms < self.later_ms:
            self.add_exactly(due_ms, borrower_id)
            return due_ms
        day = due_ms // DAY_MS
        borrower_id = intern(borrower_id)  # every event brings another text; one is noted for all
        ids = self.days.get(day)
        if ids is None:
            self.days[day] = [borrower_id]
        else:
            ids.append(borrower_id)
        self.noted += 1
        return day * DAY_MS

    def add_exactly(self, due_ms: int, name: str) -> None:
        """Add an entry in its order at once, whatever its day."""
        names = self.due.get(due_ms)
        if names is None:
            self.due[due_ms] = [name]
            heappush(self.instants, due_ms)
        else:
            heappush(names, name)
        self.soon += 1

    def take(self) -> tuple[int, str]:
        """Take the earliest entry that is in order, once if it is there several times."""
        due_ms = self.instants[0]
        names = self.due[due_ms]
        first = heappop(names)
        self.soon -= 1
        while names and names[0] == first:
            heappop(names)
            self.soon -= 1
        if not names:
            del self.due[due_ms]
            heappop(self.instants)
        return due_ms, first

    def first_day(self) -> int | None:
        """The first of the later days, if nothing is due before it begins."""
        if not self.days or (self.instants and self.instants[0] < self.later_ms):
            return None  # as mostly: no look at all the days
        day = min(self.days)
        return None if self.instants and self.instants[0] < day * DAY_MS else day

    def head_ms(self) -> int:
        """Nothing is due before it."""
        day = self.first_day()
        if day is not None:
            return day * DAY_MS
        return self.instants[0] if self.instants else NEVER

    def open_day(self, day: int, clock: int, standing: Standing) -> None:
        """The day has come: put it in order, by the deadlines that stand now. One that has moved on is noted under its new day."""
        ids = self.days.pop(day)
        self.noted -= len(ids)
        self.later_ms = (day + 1) * DAY_MS
        for borrower_id in dict.fromkeys(ids):
            due_ms = standing(clock, borrower_id)
            if due_ms != NEVER:
                self.add(due_ms, borrower_id)


class DeadlineQueue:
    """Entries are never taken out when a deadline moves: whoever pops one checks that it still stands."""

    def __init__(self, clocks: int, standing: Standing) -> None:
        """An empty queue for each of `clocks`. `standing` is asked when the day of an entry comes."""
        self._clocks = [_ClockQueue() for _ in range(clocks)]
        self._standing = standing
        self.heads_ms = [NEVER] * clocks
        """Before it nothing is due, by clock; `NEVER` where there is nothing."""
        self.earliest_ms = NEVER
        """No deadline of any clock is earlier: most events need to know no more."""

    def push(self, clock: int, due_ms: int, borrower_id: str) -> bool:
        """Add a deadline of a borrower. Return whether there are so many that they may have piled up."""
        entries = self._clocks[clock]
        self._bring_forward(clock, entries.add(due_ms, borrower_id))
        return len(entries) > _REBUILD_ENTRIES_MIN

    def push_exactly(self, clock: int, due_ms: int, name: str) -> None:
        """Add what is due at an instant and no borrower's: nobody is asked whether it stands."""
        self._clocks[clock].add_exactly(due_ms, name)
        self._bring_forward(clock, due_ms)

    def _bring_forward(self, clock: int, head_ms: int) -> None:
        if head_ms < self.heads_ms[clock]:
            self.heads_ms[clock] = head_ms
            if head_ms < self.earliest_ms:
                self.earliest_ms = head_ms

    def pop_until(self, clocks: Sequence[int], target_ms: int) -> tuple[int, int, str] | None:
        """Take the earliest deadline of some clocks, in order of their numbers, if it is not after `target_ms`.

        Of one instant the lower clock comes first, then the lower id. One that was queued twice comes once. When all are
        taken, `settle` tells what is left.
        """
        heads_ms = self.heads_ms
        while True:
            first_ms, first = target_ms + 1, -1
            for clock in clocks:
                head_ms = heads_ms[clock]
                if head_ms < first_ms:
                    first_ms, first = head_ms, clock
            if first < 0:
                return None
            if (found := self._pop(first)) is not None:
                return found

    def pop_due(self, targets_ms: dict[int, int]) -> tuple[int, int, str] | None:
        """The same where every clock has a target of its own, by clock."""
        while True:
            first_ms, first = NEVER, -1
            for clock, target_ms in targets_ms.items():
                head_ms = self.heads_ms[clock]
                if head_ms <= target_ms and (head_ms < first_ms or (head_ms == first_ms and clock < first)):
                    first_ms, first = head_ms, clock
            if first < 0:
                return None
            if (found := self._pop(first)) is not None:
                return found

    def _pop(self, clock: int) -> tuple[int, int, str] | None:
        """Take what stands at the head of a clock: its earliest deadline, or None, for a day has come and must be put in order first."""
        entries = self._clocks[clock]
        day = entries.first_day()
        if day is not None:
            entries.open_day(day, clock, self._standing)
            self.heads_ms[clock] = entries.head_ms()
            return None
        due_ms, borrower_id = entries.take()
        self.heads_ms[clock] = entries.head_ms()
        return due_ms, clock, borrower_id

    def settle(self) -> None:
        """Find `earliest_ms` anew; until then it tells an instant that is too early, never one too late."""
        self.earliest_ms = min(self.heads_ms)

    def is_overgrown(self, clock: int, borrowers: int) -> bool:
        """Whether replaced deadlines have piled up."""
        entries = len(self._clocks[clock])
        return entries > _REBUILD_ENTRIES_MIN and entries > _STALE_FACTOR * borrowers

    def rebuild(self, clock: int, standing: Iterable[tuple[int, str]]) -> None:
        """Replace all of a clock's queue by the deadlines that stand; what is no borrower's is to be pushed again."""
        entries = _ClockQueue()
        entries.later_ms = self._clocks[clock].later_ms
        for due_ms, borrower_id in standing:
            entries.add(due_ms, borrower_id)
        self._clocks[clock] = entries
        self.heads_ms[clock] = entries.head_ms()
