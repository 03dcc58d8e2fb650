"""The longest pause: the longest time that a task with input it could process went without a commit.

Measured from the outside, in the log. Every transaction writes a progress record, whose timestamp is the instant at which
the worker took the transaction, and which says how far the task is. A record of the input can be processed from the moment
at which it, and of every other topic one that does not come before it in the merge, were produced (their timestamps). So
between two transactions of a task that follow each other the pause is the time from the later of (the former one, the moment
from which the first record that it left open could be processed) to the latter one. Before the first transaction of a task
its whole input is open. The instant of visibility is one commit later: some milliseconds, unless it is the commit itself that
is disturbed, which shows in the interval behind it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from streams.ports import RawRecord
from streams.progress import decode_progress, is_progress_key
from tests.support.oracle import FEEDS, placed_records


class Commit(NamedTuple):
    """One transaction of a task, as its progress record tells."""

    at_ms: int
    offsets: tuple[int, ...]
    """The next record to read, by feed."""


class Shown(NamedTuple):
    """The input records of one topic of a task, in order."""

    offsets: Sequence[int]
    keys_ms: Sequence[int]
    """Merge keys, never decreasing."""
    produced_at_ms: Sequence[int]


def commits_of(state: Sequence[RawRecord]) -> list[Commit]:
    """The transactions of a task, from its partition of the changelog."""
    return [
        Commit(record.timestamp, decode_progress(record.value or b"").offsets[:FEEDS])
        for record in state
        if record.key is not None and is_progress_key(record.key)
    ]


def shown_by(feed: int, records: Sequence[RawRecord]) -> Shown:
    """When the records of one topic of a task were produced, and where the merge puts them."""
    placed = list(placed_records(feed, records))
    return Shown(
        [record.offset for _, record, _ in placed],
        [key_ms for key_ms, _, _ in placed],
        [record.timestamp for _, record, _ in placed],
    )


def longest_pause_ms(commits: Sequence[Commit], feeds: Sequence[Shown]) -> int:
    """The longest pause of one task, in milliseconds; 0 where nothing ever waited."""
    longest_ms = 0
    former = Commit(0, (0,) * len(feeds))
    for commit in commits:
        waiting = [_processable_at_ms(feed, offset, feeds) for feed, offset in enumerate(former.offsets)]
        since_ms = min((at_ms for at_ms in waiting if at_ms is not None), default=commit.at_ms)
        longest_ms = max(longest_ms, commit.at_ms - max(former.at_ms, since_ms))
        former = commit
    return longest_ms


def _processable_at_ms(feed: int, offset: int, feeds: Sequence[Shown]) -> int | None:
    """From when on the first record at or behind an offset can be processed; None where it never can."""
    own = feeds[feed]
    index = bisect_left(own.offsets, offset)
    if index == len(own.offsets):
        return None
    at_ms = own.produced_at_ms[index]
    for number, other in enumerate(feeds):
        # A topic before this one in the order of ties holds it back up to and with its own key.
        beyond = own.keys_ms[index] + (number < feed)
        shown = bisect_left(other.keys_ms, beyond)
        if shown == len(other.keys_ms):
            return None
        at_ms = max(at_ms, other.produced_at_ms[shown])
    return at_ms
