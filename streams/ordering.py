"""The order in which the records of one task are taken: by time, then topic, then offset.

Each topic's records come with a key (`ingested_at_ms`, else `event_time_ms`) that is made non-decreasing per topic.
A record may be taken when no topic can still bring one that comes before it. So the order depends on what was
written, never on how it was cut into batches.

Key and topic are kept as one integer, `order = key_ms * topics + topic`: comparing integers is what sorting does fastest,
and sorting four sorted runs is merging them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from operator import itemgetter
from typing import Final, Generic, TypeVar

_ORDER: Final = itemgetter(0)
_NO_BOUND: Final = 2**80
"""Beyond every order: int64 keys times a few topics."""

E = TypeVar("E")
R = TypeVar("R")


class MergeQueue(Generic[E, R]):
    """What was read and not yet taken, of all topics of one task: events `E`, each with its record `R`."""

    def __init__(self, floors_ms: Sequence[int]) -> None:
        """`floors_ms`: by topic, the last key that was taken before; 0 at the very beginning."""
        self._topics = len(floors_ms)
        self._floors_ms = list(floors_ms)
        self._waiting: list[list[tuple[int, E, R]]] = [[] for _ in floors_ms]
        self._arrivals: list[deque[tuple[int, int]]] = [deque() for _ in floors_ms]
        """By topic: (when a batch arrived, its last order), for those that still wait."""
        self._ready: list[tuple[int, E, R]] = []
        self._ready_from = 0

    def push(
        self,
        topic: int,
        keys_ms: Sequence[int],
        events: Sequence[E],
        records: Sequence[R],
        arrived_ms: int,
    ) -> None:
        """Take in a batch of one topic, in the order of its offsets.

        Args:
            topic: its index.
            keys_ms: one for each event; a key below the one before it counts as the one before it.
            events: what is to be ordered.
            records: where each came from.
            arrived_ms: stop-watch time, for `release`.
        """
        if not keys_ms:
            return
        topics, floor_ms = self._topics, self._floors_ms[topic]
        # Most batches are in order already, and to see that is five times faster than to mend it.
        if keys_ms[0] < floor_ms or keys_ms != sorted(keys_ms):
            keys_ms = list(accumulate(keys_ms, max, initial=floor_ms))[1:]
        orders = [key_ms * topics + topic for key_ms in keys_ms]
        self._waiting[topic].extend(zip(orders, events, records, strict=True))
        self._floors_ms[topic] = keys_ms[-1]
        self._arrivals[topic].append((arrived_ms, orders[-1]))

    def release(self, idle: Sequence[bool] | None = None, waited_since_ms: int = 0) -> None:
        """Let go what nothing can come before.

        Args:
            idle: None for `clock = "event"`: every topic must show what it has next. For `clock = "wall"`, by topic,
                whether it is caught up: it then holds the others only so long.
            waited_since_ms: stop-watch time; what arrived no later than this has waited enough for idle topics.
        """
        strict = min(floor * self._topics + topic for topic, floor in enumerate(self._floors_ms))
        if idle is None:
            self._release_up_to(strict)
            return
        busy = min(
            (floor * self._topics + topic for topic, floor in enumerate(self._floors_ms) if not idle[topic]),
            default=_NO_BOUND,
        )
        waited = max(
            (
                order
                for arrivals in self._arrivals
                for arrived_ms, order in arrivals
                if arrived_ms <= waited_since_ms
            ),
            default=-1,
        )
        self._release_up_to(max(strict, min(busy, waited)))

    def release_all(self) -> None:
        """Let go everything: no topic will bring more."""
        self._release_up_to(_NO_BOUND)

    def take(self, count_max: int) -> Sequence[tuple[int, E, R]]:
        """Hand out what was let go, in order, at most `count_max`: (order, event, record)."""
        start = self._ready_from
        taken = self._ready[start : start + count_max]
        self._ready_from = start + len(taken)
        if self._ready_from == len(self._ready):
            self._ready = []
            self._ready_from = 0
        return taken

    def give_back(self, taken: Sequence[tuple[int, E, R]]) -> None:
        """Take back the end of what was handed out last: it comes first the next time."""
        self._ready = [*taken, *self._ready[self._ready_from :]]
        self._ready_from = 0

    def place(self, order: int) -> tuple[int, int]:
        """The merge key and the topic inside an order."""
        return divmod(order, self._topics)

    def buffered(self, topic: int) -> int:
        """How many records of a topic wait to be let go."""
        return len(self._waiting[topic])

    def batches(self, topic: int) -> int:
        """How many batches of a topic wait, in whole or in part."""
        return len(self._arrivals[topic])

    @property
    def ready(self) -> int:
        """How many records are let go and not yet taken."""
        return len(self._ready) - self._ready_from

    @property
    def waiting(self) -> int:
        """How many records of all topics wait to be let go."""
        return sum(map(len, self._waiting))

    def _release_up_to(self, bound: int) -> None:
        released = self._ready[self._ready_from :]
        before = len(released)
        runs = 0
        for topic, waiting in enumerate(self._waiting):
            count = _count_up_to(waiting, bound)
            if count == 0:
                continue
            runs += 1
            released += waiting[:count]
            del waiting[:count]
            arrivals = self._arrivals[topic]
            while arrivals and arrivals[0][1] <= bound:
                arrivals.popleft()
        if runs == 0:
            return
        if runs > 1:
            released[before:] = sorted(released[before:], key=_ORDER)
        self._ready = released
        self._ready_from = 0


def _count_up_to(waiting: list[tuple[int, E, R]], bound: int) -> int:
    """How many of the sorted entries have an order of at most `bound`."""
    if not waiting or waiting[0][0] > bound:
        return 0
    low, high = 0, len(waiting)
    if waiting[-1][0] <= bound:
        return high
    while low < high:
        middle = (low + high) // 2
        if waiting[middle][0] <= bound:
            low = middle + 1
        else:
            high = middle
    return low
