"""The longest pause: the longest time that a task with input waiting went without a commit.

Measured from the outside, in the log. Every transaction writes a progress record, whose timestamp is the instant at which
the worker took the transaction, and which says how far the task is. Behind one, input waits from the moment the first
record that it leaves open was produced (its timestamp in the input topic). So between two transactions of a task that follow
each other the pause is the time from the later of (the former one, that moment) to the latter one. Before the first
transaction of a task its whole input is open. What is read of a topic that the merge holds back for another topic counts as
waiting as well, so the figure is rather too long than too short. The instant of visibility is one commit later (some
milliseconds, unless the commit itself is what is disturbed: that shows in the next interval).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from streams.ports import RawRecord
from streams.progress import decode_progress, is_progress_key


class Commit(NamedTuple):
    """One transaction of a task, as its progress record tells."""

    at_ms: int
    offsets: tuple[int, ...]
    """The next record to read, by feed."""


class Arrivals(NamedTuple):
    """Input records of one topic of a task: offsets, and when they were produced."""

    offsets: Sequence[int]
    at_ms: Sequence[int]

    def first_from(self, offset: int) -> int | None:
        """When the first record at or behind an offset came; None where none did."""
        index = bisect_left(self.offsets, offset)
        return self.at_ms[index] if index < len(self.at_ms) else None


def commits_of(state: Sequence[RawRecord]) -> list[Commit]:
    """The transactions of a task, from its partition of the changelog."""
    return [
        Commit(record.timestamp, decode_progress(record.value or b"").offsets)
        for record in state
        if record.key is not None and is_progress_key(record.key)
    ]


def arrivals_of(records: Sequence[RawRecord]) -> Arrivals:
    """When the records of one partition came."""
    return Arrivals([record.offset for record in records], [record.timestamp for record in records])


def longest_pause_ms(commits: Sequence[Commit], feeds: Sequence[Arrivals]) -> int:
    """The longest pause of one task, in milliseconds; 0 where nothing ever waited."""
    longest_ms = 0
    former = Commit(0, (0,) * len(feeds))
    for commit in commits:
        waiting = [feed.first_from(offset) for feed, offset in zip(feeds, former.offsets, strict=True)]
        since_ms = min((at_ms for at_ms in waiting if at_ms is not None), default=commit.at_ms)
        longest_ms = max(longest_ms, commit.at_ms - max(former.at_ms, since_ms))
        former = commit
    return longest_ms
